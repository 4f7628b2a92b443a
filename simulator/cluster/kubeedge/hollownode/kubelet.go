package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	cadvisorv1 "github.com/google/cadvisor/info/v1"
	cadvisorv2 "github.com/google/cadvisor/info/v2"
	"go.opentelemetry.io/otel/trace/noop"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/client-go/tools/record"
	"k8s.io/component-base/featuregate"
	remote "k8s.io/cri-client/pkg"
	"k8s.io/klog/v2"
	kubeletapp "k8s.io/kubernetes/cmd/kubelet/app"
	kubeletoptions "k8s.io/kubernetes/cmd/kubelet/app/options"
	"k8s.io/kubernetes/pkg/kubelet"
	cadvisor "k8s.io/kubernetes/pkg/kubelet/cadvisor/testing"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	kubeletutil "k8s.io/kubernetes/pkg/kubelet/util"
	"k8s.io/kubernetes/pkg/util/oom"
	"k8s.io/kubernetes/pkg/volume"
	"k8s.io/kubernetes/pkg/volume/configmap"
	"k8s.io/kubernetes/pkg/volume/downwardapi"
	"k8s.io/kubernetes/pkg/volume/emptydir"
	"k8s.io/kubernetes/pkg/volume/hostpath"
	"k8s.io/kubernetes/pkg/volume/projected"
	"k8s.io/kubernetes/pkg/volume/secret"
	"k8s.io/kubernetes/pkg/volume/util/hostutil"
	"k8s.io/kubernetes/pkg/volume/util/subpath"
	"k8s.io/mount-utils"
)

// kubeletDependencies gives the real kubelet a pretended machine: no cgroups, no mounts, our container runtime.
// Nothing here may be nil that Kubernetes 1.32 does not check: the tracer and both latency trackers are used unchecked.
func kubeletDependencies(server *kubeletoptions.KubeletServer, _ featuregate.FeatureGate) (*kubelet.Dependencies, error) {
	logger := klog.Background()
	tracer := noop.NewTracerProvider()
	containers, err := remote.NewRemoteRuntimeService(runtimeEndpoint, 2*time.Minute, tracer, &logger)
	if err != nil {
		return nil, fmt.Errorf("container runtime: %w", err)
	}
	images, err := remote.NewRemoteImageService(runtimeEndpoint, 2*time.Minute, tracer, &logger)
	if err != nil {
		return nil, fmt.Errorf("image service: %w", err)
	}
	folder, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	kubelet.ContainerLogsDir = filepath.Join(folder, "container-logs")
	return &kubelet.Dependencies{
		RemoteRuntimeService: containers,
		RemoteImageService:   images,
		CAdvisorInterface:    &machine{cadvisor.Fake{NodeName: server.HostnameOverride}},
		ContainerManager:     &resources{cm.NewStubContainerManager()},
		OSInterface:          boxFiles{folder: folder},
		Mounter:              mount.NewFakeMounter(nil),
		Subpather:            &subpath.FakeSubpath{},
		HostUtil:             hostutil.NewFakeHostUtil(nil),
		OOMAdjuster:          oom.NewFakeOOMAdjuster(),
		VolumePlugins:        volumePlugins(),
		// KubeEdge reports no events unless told to, so none is lost; with a real recorder the kubelet would watch the
		// machine's kernel log for killed processes, which is not the box's and not every user's to read.
		Recorder:                  &record.FakeRecorder{},
		TracerProvider:            tracer,
		PodStartupLatencyTracker:  kubeletutil.NewPodStartupLatencyTracker(),
		NodeStartupLatencyTracker: kubeletutil.NewNodeStartupLatencyTracker(),
	}, nil
}

func runKubelet(ctx context.Context, server *kubeletoptions.KubeletServer, dependencies *kubelet.Dependencies,
	_ featuregate.FeatureGate) error {
	return kubeletapp.RunKubelet(ctx, server, dependencies)
}

func volumePlugins() []volume.VolumePlugin {
	var plugins []volume.VolumePlugin
	plugins = append(plugins, emptydir.ProbeVolumePlugins()...)
	plugins = append(plugins, hostpath.ProbeVolumePlugins(volume.VolumeConfig{})...)
	plugins = append(plugins, secret.ProbeVolumePlugins()...)
	plugins = append(plugins, configmap.ProbeVolumePlugins()...)
	plugins = append(plugins, downwardapi.ProbeVolumePlugins()...)
	return append(plugins, projected.ProbeVolumePlugins()...)
}

// machine is a box with four cores, 8 GiB and a disk with room, of which the kubelet's fake knows only cores and memory.
type machine struct{ cadvisor.Fake }

const gibibyte = 1 << 30

func (m *machine) MachineInfo() (*cadvisorv1.MachineInfo, error) {
	return &cadvisorv1.MachineInfo{NumCores: 4, MemoryCapacity: 8 * gibibyte, InstanceID: cadvisorv1.InstanceID(m.NodeName)}, nil
}

func (m *machine) VersionInfo() (*cadvisorv1.VersionInfo, error) {
	return &cadvisorv1.VersionInfo{KernelVersion: "6.1.0-hollow", ContainerOsVersion: "hollow edge box"}, nil
}

// ContainerInfoV2 answers for the whole machine, without which the kubelet's eviction manager cannot work.
func (m *machine) ContainerInfoV2(name string, _ cadvisorv2.RequestOptions) (map[string]cadvisorv2.ContainerInfo, error) {
	now := time.Now()
	return map[string]cadvisorv2.ContainerInfo{name: {
		Spec: cadvisorv2.ContainerSpec{HasCpu: true, HasMemory: true, Memory: cadvisorv2.MemorySpec{Limit: 8 * gibibyte}},
		Stats: []*cadvisorv2.ContainerStats{{
			Timestamp: now,
			Cpu:       &cadvisorv1.CpuStats{},
			CpuInst:   &cadvisorv2.CpuInstStats{},
			Memory:    &cadvisorv1.MemoryStats{Usage: gibibyte, WorkingSet: gibibyte},
		}},
	}}, nil
}

func (m *machine) GetDirFsInfo(string) (cadvisorv2.FsInfo, error) { return roomy(), nil }

func (m *machine) ImagesFsInfo(context.Context) (cadvisorv2.FsInfo, error) { return roomy(), nil }

func (m *machine) RootFsInfo() (cadvisorv2.FsInfo, error) { return roomy(), nil }

func (m *machine) ContainerFsInfo(context.Context) (cadvisorv2.FsInfo, error) { return roomy(), nil }

// resources has a disk for pods to write on; the kubelet's stub has none.
type resources struct{ cm.ContainerManager }

func (r *resources) GetCapacity(bool) v1.ResourceList {
	return v1.ResourceList{v1.ResourceEphemeralStorage: resource.MustParse("60Gi")}
}

func roomy() cadvisorv2.FsInfo {
	inodes, free := uint64(4<<20), uint64(4<<20-1000)
	return cadvisorv2.FsInfo{Capacity: 64 * gibibyte, Available: 60 * gibibyte, Usage: 4 * gibibyte, Inodes: &inodes, InodesFree: &free}
}
