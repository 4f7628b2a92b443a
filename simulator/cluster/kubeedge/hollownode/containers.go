package main

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"
)

// container is what the runtime knows of one container beside its status.
type container struct {
	Status      *cri.ContainerStatus `json:"status"`
	SandboxID   string               `json:"sandbox"`
	Annotations map[string]string    `json:"annotations"` // the pod's, in which the behaviour is said
	Finite      bool                 `json:"finite"`      // it is meant to end by itself: an init container, a job
}

func (r *runtime) CreateContainer(_ context.Context, asked *cri.CreateContainerRequest) (*cri.CreateContainerResponse, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	config := asked.Config
	if _, pulled := r.disk.Images[config.Image.Image]; !pulled {
		return nil, status.Errorf(codes.NotFound, "image %s is not on this box", config.Image.Image)
	}
	reference := config.Image.Image
	if config.Image.UserSpecifiedImage != "" {
		reference = config.Image.UserSpecifiedImage
	}
	if _, err := behave(reference, asked.SandboxConfig.Annotations, nil); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	id := newID()
	r.disk.Containers[id] = &container{
		SandboxID:   asked.PodSandboxId,
		Annotations: asked.SandboxConfig.Annotations,
		Status: &cri.ContainerStatus{
			Id:          id,
			Metadata:    config.Metadata,
			State:       cri.ContainerState_CONTAINER_CREATED,
			CreatedAt:   time.Now().UnixNano(),
			Image:       &cri.ImageSpec{Image: reference},
			ImageRef:    config.Image.Image,
			ImageId:     config.Image.Image,
			Labels:      config.Labels,
			Annotations: config.Annotations,
			Mounts:      config.Mounts,
			LogPath:     asked.SandboxConfig.LogDirectory + "/" + config.LogPath,
		},
	}
	return &cri.CreateContainerResponse{ContainerId: id}, r.disk.write()
}

// StartContainer begins to answer the container's probes and marks it running. A container that is never to be ready
// and has no probe that could say so hangs here, as a device that does not answer makes a real one hang: it stays
// ContainerCreating until the kubelet's own time-out, which then tries again.
func (r *runtime) StartContainer(ctx context.Context, asked *cri.StartContainerRequest) (*cri.StartContainerResponse, error) {
	one, pod, err := r.starting(asked.ContainerId)
	if err != nil {
		return nil, err
	}
	program := findProgram(pod, one.Status.Metadata.Name)
	for !program.hasReadinessProbe() && r.isNeverReady(one) {
		select {
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		case <-time.After(time.Second): // faults.json may have changed by then
		}
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if _, still := r.disk.Containers[asked.ContainerId]; !still {
		return nil, notFound(asked.ContainerId)
	}
	if one.Status.State != cri.ContainerState_CONTAINER_CREATED {
		return nil, status.Errorf(codes.FailedPrecondition, "container %s is already started", asked.ContainerId)
	}
	if err := r.answerProbes(one, program); err != nil {
		return nil, status.Errorf(codes.Unavailable, "container %s: %v", one.Status.Metadata.Name, err)
	}
	one.Finite = program.finite
	one.Status.State = cri.ContainerState_CONTAINER_RUNNING
	one.Status.StartedAt = time.Now().UnixNano()
	one.log("started " + one.Status.Image.Image)
	return &cri.StartContainerResponse{}, r.disk.write()
}

func (r *runtime) starting(id string) (*container, podKey, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	one, known := r.disk.Containers[id]
	if !known {
		return nil, podKey{}, notFound(id)
	}
	return one, keyOf(one.Status.Labels), nil
}

func (r *runtime) StopContainer(_ context.Context, asked *cri.StopContainerRequest) (*cri.StopContainerResponse, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if one, known := r.disk.Containers[asked.ContainerId]; known {
		r.end(one, time.Now(), 0, "Completed") // a program that minds SIGTERM
	}
	return &cri.StopContainerResponse{}, r.disk.write()
}

func (r *runtime) RemoveContainer(_ context.Context, asked *cri.RemoveContainerRequest) (*cri.RemoveContainerResponse, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if one, known := r.disk.Containers[asked.ContainerId]; known {
		r.end(one, time.Now(), 137, "Error")
		delete(r.disk.Containers, asked.ContainerId)
	}
	return &cri.RemoveContainerResponse{}, r.disk.write()
}

func (r *runtime) ListContainers(_ context.Context, asked *cri.ListContainersRequest) (*cri.ListContainersResponse, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	err := r.catchUp(time.Now())
	var found []*cri.Container
	for id, one := range r.disk.Containers {
		filter := asked.GetFilter()
		if filter.GetId() != "" && filter.Id != id ||
			filter.GetPodSandboxId() != "" && filter.PodSandboxId != one.SandboxID ||
			filter.GetState() != nil && filter.State.State != one.Status.State ||
			!carries(one.Status.Labels, filter.GetLabelSelector()) {
			continue
		}
		found = append(found, &cri.Container{Id: id, PodSandboxId: one.SandboxID, Metadata: one.Status.Metadata,
			Image: one.Status.Image, ImageRef: one.Status.ImageRef, ImageId: one.Status.ImageId, State: one.Status.State,
			CreatedAt: one.Status.CreatedAt, Labels: one.Status.Labels, Annotations: one.Status.Annotations})
	}
	return &cri.ListContainersResponse{Containers: found}, err
}

func (r *runtime) ContainerStatus(_ context.Context, asked *cri.ContainerStatusRequest) (*cri.ContainerStatusResponse, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if err := r.catchUp(time.Now()); err != nil {
		return nil, err
	}
	one, known := r.disk.Containers[asked.ContainerId]
	if !known {
		return nil, notFound(asked.ContainerId)
	}
	return &cri.ContainerStatusResponse{Status: copied(one.Status)}, nil
}

// catchUp lets happen what should have happened by now: containers that crash, and those that have done their work.
func (r *runtime) catchUp(now time.Time) error {
	faults, changed := r.faults.current()
	ended := false
	for _, one := range r.disk.Containers {
		if one.Status.State != cri.ContainerState_CONTAINER_RUNNING {
			continue
		}
		behaviour, err := behave(one.Status.Image.Image, one.Annotations, faults)
		if err != nil {
			klog.ErrorS(err, "behaviour unreadable", "container", one.Status.Metadata.Name)
			continue
		}
		if r.endIfDue(one, behaviour, changed, now) {
			ended = true
			continue
		}
		if answering, there := r.probes[one.Status.Id]; there {
			if err := answering.adjust(!behaviour.neverReady()); err != nil {
				klog.ErrorS(err, "port of a probe", "container", one.Status.Metadata.Name)
			}
		}
	}
	if !ended {
		return nil
	}
	return r.disk.write()
}

// endIfDue counts a fault that was set while the container ran from then on, not from the container's start.
func (r *runtime) endIfDue(one *container, behaviour behaviour, changed, now time.Time) bool {
	since := time.Unix(0, one.Status.StartedAt)
	if changed.After(since) {
		since = changed
	}
	after, code, crashes := behaviour.crash()
	switch due := since.Add(after); {
	case crashes && !now.Before(due):
		reason := "Error"
		if code == 0 {
			reason = "Completed"
		}
		r.end(one, due, code, reason)
	case !crashes && one.Finite:
		r.end(one, now, 0, "Completed")
	default:
		return false
	}
	return true
}

func (r *runtime) isNeverReady(one *container) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	faults, _ := r.faults.current()
	behaviour, err := behave(one.Status.Image.Image, one.Annotations, faults)
	return err == nil && behaviour.neverReady()
}

func (r *runtime) end(one *container, when time.Time, code int32, reason string) {
	if one.Status.State == cri.ContainerState_CONTAINER_EXITED {
		return
	}
	one.ended(when, code, reason)
	if answering, there := r.probes[one.Status.Id]; there {
		answering.close()
		delete(r.probes, one.Status.Id)
	}
}

func (c *container) ended(when time.Time, code int32, reason string) {
	c.Status.State = cri.ContainerState_CONTAINER_EXITED
	c.Status.FinishedAt = when.UnixNano()
	c.Status.ExitCode = code
	c.Status.Reason = reason
	c.log("ended with " + reason)
}

func notFound(id string) error {
	return status.Errorf(codes.NotFound, "no container %s", id)
}
