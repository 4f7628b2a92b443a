// hollownode is an edge box without a container engine: KubeEdge's real edgecore (edgehub, metamanager, edged with
// the kubelet inside, task manager) on a container runtime that only pretends to run containers (package runtime files
// here). One process is one box, since KubeEdge keeps its state in package globals.
//
//	hollownode --config edgecore.yaml --images 127.0.0.1:41000 --network 127.70.3
//
// It works in its current directory, which is the box's folder: database, certificates, the runtime's state
// (runtime.json), the box's faults (faults.json) and the runtime's socket lie there. Killing the process is
// cutting the box's power; starting it again is booting the same box.
package main

import (
	"flag"
	"os"

	"k8s.io/klog/v2"

	"github.com/kubeedge/beehive/pkg/core"
	"github.com/kubeedge/kubeedge/edge/cmd/edgecore/app/options"
	"github.com/kubeedge/kubeedge/edge/pkg/edged"
	"github.com/kubeedge/kubeedge/edge/pkg/edgehub"
	"github.com/kubeedge/kubeedge/edge/pkg/edgehub/certificate"
	"github.com/kubeedge/kubeedge/edge/pkg/metamanager"
	"github.com/kubeedge/kubeedge/edge/pkg/metamanager/dao"
	"github.com/kubeedge/kubeedge/edge/pkg/taskmanager"
)

// The runtime's socket is reached through the working directory, because a socket's address may not be longer than 108
// bytes and a folder's name may.
const runtimeEndpoint = "unix:///proc/self/cwd/cri.sock"

func main() {
	config := flag.String("config", "edgecore.yaml", "KubeEdge's own configuration of this box")
	images := flag.String("images", "", "host:port of the uplink that image pulls take")
	network := flag.String("network", "127.64.0", "first three bytes of the addresses of this box's pods, in 127.0.0.0/8")
	flag.Parse()

	edgecore := options.NewEdgeCoreOptions()
	edgecore.ConfigFile = *config
	settings, err := edgecore.Config()
	if err != nil {
		klog.Exitf("hollownode: cannot read %s: %v", *config, err)
	}
	settings.Modules.Edged.TailoredKubeletConfig.ContainerRuntimeEndpoint = runtimeEndpoint
	settings.Modules.Edged.TailoredKubeletConfig.ImageServiceEndpoint = runtimeEndpoint

	// The database must be there before any module is registered.
	dao.Init(settings.DataBase.DataSource, settings.Modules.MetaManager)
	runtime, err := newRuntime(*network, *images)
	if err != nil {
		klog.Exitf("hollownode: %v", err)
	}
	if err := runtime.serve("cri.sock"); err != nil {
		klog.Exitf("hollownode: cannot serve the container runtime: %v", err)
	}

	edged.DefaultKubeletDeps = kubeletDependencies
	edged.DefaultRunLiteKubelet = runKubelet
	edged.Register(settings.Modules.Edged)
	edgehub.Register(settings.Modules.EdgeHub, settings.Modules.Edged.HostnameOverride)
	metamanager.Register(settings.Modules.MetaManager)
	taskmanager.Register(settings.Modules.TaskManager)
	go func() { <-certificate.CleanupTokenChan }() // edgehub waits until someone hears that it has its certificate

	core.Run()
	os.Exit(0)
}
