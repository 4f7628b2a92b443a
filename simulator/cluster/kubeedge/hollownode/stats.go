package main

import (
	"context"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// The kubelet's eviction manager wants to know what every container uses. A pretended one uses a little of everything.
const (
	containerMemory = 32 << 20
	containerDisk   = 1 << 20
)

func (r *runtime) ContainerStats(_ context.Context, asked *cri.ContainerStatsRequest) (*cri.ContainerStatsResponse, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	one, known := r.disk.Containers[asked.ContainerId]
	if !known {
		return nil, notFound(asked.ContainerId)
	}
	return &cri.ContainerStatsResponse{Stats: one.stats(time.Now())}, nil
}

func (r *runtime) ListContainerStats(_ context.Context, asked *cri.ListContainerStatsRequest) (*cri.ListContainerStatsResponse, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	var found []*cri.ContainerStats
	for id, one := range r.disk.Containers {
		filter := asked.GetFilter()
		if filter.GetId() != "" && filter.Id != id ||
			filter.GetPodSandboxId() != "" && filter.PodSandboxId != one.SandboxID ||
			!carries(one.Status.Labels, filter.GetLabelSelector()) {
			continue
		}
		found = append(found, one.stats(time.Now()))
	}
	return &cri.ListContainerStatsResponse{Stats: found}, nil
}

func (c *container) stats(now time.Time) *cri.ContainerStats {
	at := now.UnixNano()
	return &cri.ContainerStats{
		Attributes: &cri.ContainerAttributes{Id: c.Status.Id, Metadata: c.Status.Metadata, Labels: c.Status.Labels,
			Annotations: c.Status.Annotations},
		Cpu:           &cri.CpuUsage{Timestamp: at, UsageCoreNanoSeconds: &cri.UInt64Value{Value: uint64(now.UnixNano() - c.Status.CreatedAt)}},
		Memory:        &cri.MemoryUsage{Timestamp: at, WorkingSetBytes: &cri.UInt64Value{Value: containerMemory}},
		WritableLayer: &cri.FilesystemUsage{Timestamp: at, FsId: &cri.FilesystemIdentifier{Mountpoint: "/"}, UsedBytes: &cri.UInt64Value{Value: containerDisk}, InodesUsed: &cri.UInt64Value{Value: 10}},
	}
}
