package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	imageBytes = 200 << 20
	// A pull that gets no byte for so long is given up; containerd waits as long unless told otherwise.
	pullSilence = time.Minute
)

func (r *runtime) ListImages(_ context.Context, asked *cri.ListImagesRequest) (*cri.ListImagesResponse, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	wanted := asked.GetFilter().GetImage().GetImage()
	var found []*cri.Image
	for reference, image := range r.disk.Images {
		if wanted == "" || wanted == reference {
			found = append(found, copied(image))
		}
	}
	return &cri.ListImagesResponse{Images: found}, nil
}

func (r *runtime) ImageStatus(_ context.Context, asked *cri.ImageStatusRequest) (*cri.ImageStatusResponse, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	image, pulled := r.disk.Images[asked.Image.Image]
	if !pulled {
		return &cri.ImageStatusResponse{}, nil // the kubelet's sign for: not here
	}
	return &cri.ImageStatusResponse{Image: copied(image)}, nil
}

func (r *runtime) PullImage(ctx context.Context, asked *cri.PullImageRequest) (*cri.PullImageResponse, error) {
	reference := asked.Image.Image
	r.mutex.Lock()
	faults, _ := r.faults.current()
	r.mutex.Unlock()
	behaviour, err := behave(reference, asked.GetSandboxConfig().GetAnnotations(), faults)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if behaviour.pullFails() {
		return nil, status.Errorf(codes.NotFound, "failed to pull and unpack image %q: not found", reference)
	}
	if err := fetch(ctx, r.registry, behaviour.pullSeconds()); err != nil {
		return nil, status.Errorf(codes.Unavailable, "failed to pull and unpack image %q: %v", reference, err)
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.disk.Images[reference] = newImage(reference)
	return &cri.PullImageResponse{ImageRef: reference}, r.disk.write()
}

// newImage has a digest that depends on the reference alone, as the same tag gives the same image on every box.
func newImage(reference string) *cri.Image {
	digest := sha256.Sum256([]byte(reference))
	repository, _, _ := strings.Cut(reference, "@")
	if slash, colon := strings.LastIndex(repository, "/"), strings.LastIndex(repository, ":"); colon > slash {
		repository = repository[:colon]
	}
	return &cri.Image{
		Id:          reference,
		RepoTags:    []string{reference},
		RepoDigests: []string{fmt.Sprintf("%s@sha256:%x", repository, digest)},
		Size_:       imageBytes,
		Spec:        &cri.ImageSpec{Image: reference},
	}
}

// fetch downloads over the site's uplink, a layer each tenth of a second, at least one; see link/registry.go.
func fetch(ctx context.Context, registry string, pullSeconds float64) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", registry)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	answers := bufio.NewReader(conn)
	for range max(1, int(pullSeconds*10)) {
		_ = conn.SetDeadline(time.Now().Add(pullSilence))
		if _, err = conn.Write([]byte("layer\n")); err == nil {
			_, err = answers.ReadString('\n')
		}
		if err != nil {
			return fmt.Errorf("registry: %w", errors.Join(ctx.Err(), err))
		}
	}
	return nil
}

func (r *runtime) RemoveImage(_ context.Context, asked *cri.RemoveImageRequest) (*cri.RemoveImageResponse, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	delete(r.disk.Images, asked.Image.Image)
	return &cri.RemoveImageResponse{}, r.disk.write()
}

func (r *runtime) ImageFsInfo(context.Context, *cri.ImageFsInfoRequest) (*cri.ImageFsInfoResponse, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	usage := &cri.FilesystemUsage{
		Timestamp:  time.Now().UnixNano(),
		FsId:       &cri.FilesystemIdentifier{Mountpoint: "/"},
		UsedBytes:  &cri.UInt64Value{Value: uint64(len(r.disk.Images)) * imageBytes},
		InodesUsed: &cri.UInt64Value{Value: uint64(len(r.disk.Images)) * 1000},
	}
	filesystems := []*cri.FilesystemUsage{usage}
	return &cri.ImageFsInfoResponse{ImageFilesystems: filesystems, ContainerFilesystems: filesystems}, nil
}
