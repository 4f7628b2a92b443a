package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"
)

// runtime is a CRI container runtime whose containers are only written down. It keeps no timers: the kubelet asks once
// a second for all containers, and what should have happened by then is worked out on asking.
type runtime struct {
	cri.UnimplementedRuntimeServiceServer
	cri.UnimplementedImageServiceServer

	mutex    sync.Mutex
	disk     disk // what outlives a power cut
	faults   faultFile
	network  string             // first three bytes of pod addresses; .1 is the box itself
	registry string             // where pulls go
	probes   map[string]*probed // by container id: the ports that answer the kubelet's probes
}

// newRuntime boots the box: containers that ran when the power went are ended now, as a real runtime finds them.
func newRuntime(network, registry string) (*runtime, error) {
	stored, err := readDisk("runtime.json")
	if err != nil {
		return nil, err
	}
	stored.boot(time.Now())
	return &runtime{
		disk:     stored,
		faults:   faultFile{path: "faults.json"},
		network:  network,
		registry: registry,
		probes:   map[string]*probed{},
	}, nil
}

func (r *runtime) serve(socket string) error {
	_ = os.Remove(socket)
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	cri.RegisterRuntimeServiceServer(server, r)
	cri.RegisterImageServiceServer(server, r)
	go func() {
		if err := server.Serve(listener); err != nil {
			klog.Exitf("hollownode: container runtime: %v", err)
		}
	}()
	return nil
}

func (r *runtime) Version(context.Context, *cri.VersionRequest) (*cri.VersionResponse, error) {
	return &cri.VersionResponse{Version: "0.1.0", RuntimeName: "hollow", RuntimeVersion: "1.0.0", RuntimeApiVersion: "v1"}, nil
}

func (r *runtime) Status(context.Context, *cri.StatusRequest) (*cri.StatusResponse, error) {
	return &cri.StatusResponse{Status: &cri.RuntimeStatus{Conditions: []*cri.RuntimeCondition{
		{Type: cri.RuntimeReady, Status: true},
		{Type: cri.NetworkReady, Status: true},
	}}}, nil
}

func (r *runtime) UpdateRuntimeConfig(context.Context, *cri.UpdateRuntimeConfigRequest) (*cri.UpdateRuntimeConfigResponse, error) {
	return &cri.UpdateRuntimeConfigResponse{}, nil
}

func (r *runtime) RunPodSandbox(_ context.Context, asked *cri.RunPodSandboxRequest) (*cri.RunPodSandboxResponse, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	config := asked.Config
	address, err := r.freeAddress(config)
	if err != nil {
		return nil, err
	}
	id := newID()
	r.disk.Sandboxes[id] = &cri.PodSandboxStatus{
		Id:        id,
		Metadata:  config.Metadata,
		State:     cri.PodSandboxState_SANDBOX_READY,
		CreatedAt: time.Now().UnixNano(),
		Network:   &cri.PodSandboxNetworkStatus{Ip: address},
		// The kubelet makes a new sandbox whenever these do not say what the pod asks for.
		Linux:          &cri.LinuxPodSandboxStatus{Namespaces: &cri.Namespace{Options: config.GetLinux().GetSecurityContext().GetNamespaceOptions()}},
		Labels:         config.Labels,
		Annotations:    config.Annotations,
		RuntimeHandler: asked.RuntimeHandler,
	}
	return &cri.RunPodSandboxResponse{PodSandboxId: id}, r.disk.write()
}

// freeAddress gives each pod an address of its own in 127.0.0.0/8, so that the kubelet's network probes reach a real
// port; a pod on the host's network has none, the kubelet then reports the box's.
func (r *runtime) freeAddress(config *cri.PodSandboxConfig) (string, error) {
	if config.GetLinux().GetSecurityContext().GetNamespaceOptions().GetNetwork() == cri.NamespaceMode_NODE {
		return "", nil
	}
	taken := map[string]bool{}
	for _, sandbox := range r.disk.Sandboxes {
		if sandbox.State == cri.PodSandboxState_SANDBOX_READY {
			taken[sandbox.Network.Ip] = true
		}
	}
	for last := 2; last < 255; last++ {
		if address := fmt.Sprintf("%s.%d", r.network, last); !taken[address] {
			return address, nil
		}
	}
	return "", status.Errorf(codes.ResourceExhausted, "no free address in %s.0/24: 253 pods run on this box", r.network)
}

func (r *runtime) StopPodSandbox(_ context.Context, asked *cri.StopPodSandboxRequest) (*cri.StopPodSandboxResponse, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if sandbox, known := r.disk.Sandboxes[asked.PodSandboxId]; known {
		sandbox.State = cri.PodSandboxState_SANDBOX_NOTREADY
	}
	for _, one := range r.disk.Containers {
		if one.SandboxID == asked.PodSandboxId {
			r.end(one, time.Now(), 137, "Error")
		}
	}
	return &cri.StopPodSandboxResponse{}, r.disk.write()
}

func (r *runtime) RemovePodSandbox(_ context.Context, asked *cri.RemovePodSandboxRequest) (*cri.RemovePodSandboxResponse, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for id, one := range r.disk.Containers {
		if one.SandboxID == asked.PodSandboxId {
			r.end(one, time.Now(), 137, "Error")
			delete(r.disk.Containers, id)
		}
	}
	delete(r.disk.Sandboxes, asked.PodSandboxId)
	return &cri.RemovePodSandboxResponse{}, r.disk.write()
}

func (r *runtime) PodSandboxStatus(_ context.Context, asked *cri.PodSandboxStatusRequest) (*cri.PodSandboxStatusResponse, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	sandbox, known := r.disk.Sandboxes[asked.PodSandboxId]
	if !known {
		return nil, status.Errorf(codes.NotFound, "no pod sandbox %s", asked.PodSandboxId)
	}
	return &cri.PodSandboxStatusResponse{Status: copied(sandbox)}, nil
}

func (r *runtime) ListPodSandbox(_ context.Context, asked *cri.ListPodSandboxRequest) (*cri.ListPodSandboxResponse, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	var found []*cri.PodSandbox
	for _, one := range r.disk.Sandboxes {
		filter := asked.GetFilter()
		if filter.GetId() != "" && filter.Id != one.Id ||
			filter.GetState() != nil && filter.State.State != one.State ||
			!carries(one.Labels, filter.GetLabelSelector()) {
			continue
		}
		found = append(found, &cri.PodSandbox{Id: one.Id, Metadata: one.Metadata, State: one.State, CreatedAt: one.CreatedAt,
			Labels: one.Labels, Annotations: one.Annotations, RuntimeHandler: one.RuntimeHandler})
	}
	return &cri.ListPodSandboxResponse{Items: found}, nil
}

func carries(labels, wanted map[string]string) bool {
	for key, value := range wanted {
		if labels[key] != value {
			return false
		}
	}
	return true
}

func newID() string {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails: the standard library ends the process instead
	return hex.EncodeToString(random)
}

// copied returns a value of its own, since gRPC encodes an answer after the lock is gone.
func copied[T any](value *T) *T {
	duplicate := *value
	return &duplicate
}
