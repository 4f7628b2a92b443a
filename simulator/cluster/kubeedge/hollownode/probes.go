package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	health "google.golang.org/grpc/health/grpc_health_v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	kubelettypes "k8s.io/kubelet/pkg/types"

	"github.com/kubeedge/kubeedge/edge/pkg/metamanager/dao/dbclient"
)

// The kubelet probes as it always does; this file is the program it probes. Every port that a probe of the container
// names is really open at the pod's address while the container runs. Readiness and start-up probes of a container that is
// never ready get no as an answer (HTTP 503, a closed port, exit code 1), liveness probes yes.

// program is what the pod's specification says of one container.
type program struct {
	container *v1.Container // nil: the box's database does not know the pod
	finite    bool
}

type podKey struct{ namespace, name string }

func keyOf(labels map[string]string) podKey {
	return podKey{labels[kubelettypes.KubernetesPodNamespaceLabel], labels[kubelettypes.KubernetesPodNameLabel]}
}

// findProgram reads the pod where edged has it from: the box's own database.
func findProgram(key podKey, name string) program {
	found, err := dbclient.NewMetaService().QueryMeta("key", fmt.Sprintf("%s/pod/%s", key.namespace, key.name))
	if err != nil || len(*found) == 0 {
		return program{}
	}
	var pod v1.Pod
	if json.Unmarshal([]byte((*found)[0]), &pod) != nil {
		return program{}
	}
	for index := range pod.Spec.InitContainers {
		if one := &pod.Spec.InitContainers[index]; one.Name == name {
			sidecar := one.RestartPolicy != nil && *one.RestartPolicy == v1.ContainerRestartPolicyAlways
			return program{container: one, finite: !sidecar}
		}
	}
	for index := range pod.Spec.Containers {
		if one := &pod.Spec.Containers[index]; one.Name == name {
			return program{container: one, finite: pod.Spec.RestartPolicy != v1.RestartPolicyAlways}
		}
	}
	return program{}
}

func (p program) hasReadinessProbe() bool {
	return p.container != nil && (p.container.ReadinessProbe != nil || p.container.StartupProbe != nil)
}

// beginProbes are those that a container which is never ready fails.
func (p program) beginProbes() []*v1.Probe {
	return slices.DeleteFunc([]*v1.Probe{p.container.ReadinessProbe, p.container.StartupProbe}, func(probe *v1.Probe) bool {
		return probe == nil
	})
}

func (p program) allProbes() []*v1.Probe {
	if p.container.LivenessProbe == nil {
		return p.beginProbes()
	}
	return append(p.beginProbes(), p.container.LivenessProbe)
}

// port is one that probes ask.
type port struct {
	number int
	scheme string // http, https or grpc; a TCP probe is content with any
	refuse bool   // a TCP probe asks for readiness here: the port is closed while the container is not ready
}

func (p program) ports() []port {
	var ports []port
	if p.container == nil {
		return nil
	}
	for _, probe := range p.allProbes() {
		wanted := p.portOf(probe)
		if wanted.number == 0 {
			continue
		}
		same := slices.IndexFunc(ports, func(other port) bool { return other.number == wanted.number })
		if same < 0 {
			ports = append(ports, wanted)
			continue
		}
		ports[same].refuse = ports[same].refuse || wanted.refuse
		if probe.TCPSocket == nil {
			ports[same].scheme = wanted.scheme
		}
	}
	return ports
}

// portOf has the number 0 for a probe that needs none.
func (p program) portOf(probe *v1.Probe) port {
	switch {
	case probe.HTTPGet != nil && probe.HTTPGet.Scheme == v1.URISchemeHTTPS:
		return port{number: p.numberOf(probe.HTTPGet.Port), scheme: "https"}
	case probe.HTTPGet != nil:
		return port{number: p.numberOf(probe.HTTPGet.Port), scheme: "http"}
	case probe.TCPSocket != nil:
		return port{number: p.numberOf(probe.TCPSocket.Port), scheme: "http", refuse: probe != p.container.LivenessProbe}
	case probe.GRPC != nil:
		return port{number: int(probe.GRPC.Port), scheme: "grpc"}
	default:
		return port{}
	}
}

func (p program) numberOf(wanted intstr.IntOrString) int {
	for _, declared := range p.container.Ports {
		if wanted.Type == intstr.String && declared.Name == wanted.StrVal {
			return int(declared.ContainerPort)
		}
	}
	return wanted.IntValue()
}

// probed is a running container as its probes see it.
type probed struct {
	program program
	address string
	ready   func() bool
	open    map[int]net.Listener
}

func (r *runtime) answerProbes(one *container, program program) error {
	address := r.disk.Sandboxes[one.SandboxID].GetNetwork().GetIp()
	if address == "" {
		address = r.network + ".1" // the box's own
	}
	answering := &probed{program: program, address: address, open: map[int]net.Listener{},
		ready: func() bool { return !r.isNeverReady(one) }}
	faults, _ := r.faults.current()
	behaviour, err := behave(one.Status.Image.Image, one.Annotations, faults)
	if err == nil {
		err = answering.adjust(!behaviour.neverReady())
	}
	if err != nil {
		answering.close()
		return err
	}
	r.probes[one.Status.Id] = answering
	return nil
}

// adjust opens and closes ports as the container's readiness wants it.
func (p *probed) adjust(ready bool) error {
	for _, one := range p.program.ports() {
		listener, open := p.open[one.number]
		switch refused := one.refuse && !ready; {
		case refused && open:
			_ = listener.Close()
			delete(p.open, one.number)
		case !refused && !open:
			listener, err := net.Listen("tcp", fmt.Sprintf("%s:%d", p.address, one.number))
			if err != nil {
				return err
			}
			p.open[one.number] = listener
			p.serve(listener, one)
		}
	}
	return nil
}

func (p *probed) close() {
	for _, listener := range p.open {
		_ = listener.Close()
	}
}

// serve answers until the listener is closed.
func (p *probed) serve(listener net.Listener, on port) {
	answer := http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		if p.program.asksReadiness(on.number, request.URL.Path) && !p.ready() {
			http.Error(response, "not ready", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(response, "ok")
	})
	switch on.scheme {
	case "grpc":
		server := grpc.NewServer()
		health.RegisterHealthServer(server, &healthService{probed: p})
		go func() { _ = server.Serve(listener) }()
	case "https":
		server := httptest.NewUnstartedServer(answer) // brings a certificate; the kubelet accepts any
		server.Listener = listener
		server.StartTLS()
	default:
		server := &http.Server{Handler: answer, ReadHeaderTimeout: 10 * time.Second}
		go func() { _ = server.Serve(listener) }()
	}
}

func (p program) asksReadiness(number int, path string) bool {
	return slices.ContainsFunc(p.beginProbes(), func(probe *v1.Probe) bool {
		return probe.HTTPGet != nil && p.portOf(probe).number == number &&
			"/"+strings.TrimPrefix(probe.HTTPGet.Path, "/") == path
	})
}

type healthService struct {
	health.UnimplementedHealthServer
	probed *probed
}

func (s *healthService) Check(_ context.Context, asked *health.HealthCheckRequest) (*health.HealthCheckResponse, error) {
	asksReadiness := slices.ContainsFunc(s.probed.program.beginProbes(), func(probe *v1.Probe) bool {
		return probe.GRPC != nil && (probe.GRPC.Service == nil && asked.Service == "" ||
			probe.GRPC.Service != nil && *probe.GRPC.Service == asked.Service)
	})
	if asksReadiness && !s.probed.ready() {
		return &health.HealthCheckResponse{Status: health.HealthCheckResponse_NOT_SERVING}, nil
	}
	return &health.HealthCheckResponse{Status: health.HealthCheckResponse_SERVING}, nil
}

// ExecSync answers exec probes; there is nothing else in a pretended container that could be run.
func (r *runtime) ExecSync(_ context.Context, asked *cri.ExecSyncRequest) (*cri.ExecSyncResponse, error) {
	r.mutex.Lock()
	one, known := r.disk.Containers[asked.ContainerId]
	answering := r.probes[asked.ContainerId]
	r.mutex.Unlock()
	if !known || one.Status.State != cri.ContainerState_CONTAINER_RUNNING {
		return nil, notFound(asked.ContainerId)
	}
	if answering != nil && answering.program.runsForReadiness(asked.Cmd) && r.isNeverReady(one) {
		return &cri.ExecSyncResponse{ExitCode: 1, Stderr: []byte("not ready\n")}, nil
	}
	return &cri.ExecSyncResponse{}, nil
}

func (p program) runsForReadiness(command []string) bool {
	return slices.ContainsFunc(p.beginProbes(), func(probe *v1.Probe) bool {
		return probe.Exec != nil && slices.Equal(probe.Exec.Command, command)
	})
}
