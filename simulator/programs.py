"""Command lines and configurations of everything a cluster consists of; values in, values out, no I/O.

Flags and settings that surprise carry their reason. Paths of one cluster are all inside its folder.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulator.fleet import Box, Site, node_labels

LOOPBACK = "127.0.0.1"
SERVICE_RANGE = "10.96.0.0/16"
NODE_LIMIT = 2000  # cloudcore sizes queues and workers by it
API_QPS = 500  # of each client of ours inside the control plane: 130 boxes move at once

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
KUBEEDGE = ("cloudcore", "controllermanager", "edgecore", "hollownode", "link")


@dataclass(frozen=True, slots=True)
class Ports:
    """The cloud's ports, all on loopback."""

    etcd: int
    etcd_peer: int
    apiserver: int
    hub: int  # cloudcore's websocket, 10000 in a usual installation
    enrol: int  # cloudcore's HTTPS for certificates, 10002 in a usual installation
    cloudcore_metrics: int
    kubeedge_health: int


@dataclass(frozen=True, slots=True)
class Uplink:
    """The near ends of a site's link, as the boxes there see the cloud."""

    hub: int
    enrol: int
    images: int


@dataclass(frozen=True, slots=True)
class Seat:
    """What is set aside for one box on this machine."""

    network: str  # first three bytes of its own addresses in 127.0.0.0/8
    kubelet_port: int  # the kubelet's read-only port, on which edged asks whether it has started


@dataclass(frozen=True, slots=True)
class Timing:
    """How patient the cluster is, in seconds; both ends of KubeEdge's and Kubernetes' own settings.

    The defaults are quicker than a usual installation (50 and 15), so that a test does not wait for a minute.
    """

    grace: int = 20  # a silent node is NotReady after it
    heartbeat: int = 5  # edgehub's; a lost connection is tried again after two of them


@dataclass(frozen=True, slots=True)
class Place:
    """Where one cluster lives: its programs, its folder, its ports and its admin's token."""

    programs: Mapping[str, Path]  # by name
    crds: Path  # folder with KubeEdge's custom resources
    folder: Path
    ports: Ports
    token: str
    timing: Timing
    existing: str | None = None  # address of an API server that is not ours; None: ours

    @property
    def server(self) -> str:
        """Where the API server answers."""
        return self.existing or f"https://{LOOPBACK}:{self.ports.apiserver}"

    @property
    def kubeconfig(self) -> Path:
        """Ready for kubectl: server, certificate authority and admin token in one file."""
        return self.folder / "kubeconfig"

    def box(self, name: str) -> Path:
        """The folder of one box: its database, certificates, images, faults and log."""
        return self.folder / "boxes" / name

    @property
    def pki(self) -> Path:
        """Keys and certificates of the control plane."""
        return self.folder / "pki"


@dataclass(frozen=True, slots=True)
class Program:
    """One process to start."""

    name: str
    argv: tuple[str, ...]
    folder: Path  # its working directory
    env: Mapping[str, str] = field(default_factory=dict)


def etcd(place: Place) -> Program:
    """The store; without fsync, for a simulated cluster is thrown away and never recovered."""
    client, peer = (f"http://{LOOPBACK}:{port}" for port in (place.ports.etcd, place.ports.etcd_peer))
    flags = {
        "name": "sim",
        "data-dir": place.folder / "etcd",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"sim={peer}",
        "unsafe-no-fsync": "true",
        "log-level": "warn",
    }
    return program(place, "etcd", flags)


def apiserver(place: Place) -> Program:
    """RBAC, so that roles are really tested; no endpoint of its own, for nothing runs inside the cluster's network."""
    flags = {
        "etcd-servers": f"http://{LOOPBACK}:{place.ports.etcd}",
        "bind-address": LOOPBACK,
        "advertise-address": LOOPBACK,
        "secure-port": place.ports.apiserver,
        "cert-dir": place.pki,
        "authorization-mode": "RBAC",
        "anonymous-auth": "true",
        "token-auth-file": place.pki / "tokens.csv",
        "service-account-key-file": place.pki / "service-account.key",
        "service-account-signing-key-file": place.pki / "service-account.key",
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-cluster-ip-range": SERVICE_RANGE,
        "endpoint-reconciler-type": "none",
        "allow-privileged": "true",
        "max-requests-inflight": 2000,
        "max-mutating-requests-inflight": 1000,
    }
    return program(place, "kube-apiserver", flags, {"GOGC": "60"})


def controller_manager(place: Place) -> Program:
    """The node life cycle is what the fleet sees of it: NotReady after the grace time, eviction after 300 s."""
    flags = {
        "kubeconfig": place.kubeconfig,
        "root-ca-file": place.pki / "apiserver.crt",
        "service-account-private-key-file": place.pki / "service-account.key",
        "leader-elect": "false",
        "secure-port": 0,
        "node-monitor-grace-period": f"{place.timing.grace}s",
        "node-monitor-period": "2s",
        "kube-api-qps": API_QPS,
        "kube-api-burst": 2 * API_QPS,
    }
    return program(place, "kube-controller-manager", flags)


def scheduler(place: Place) -> Program:
    """DaemonSet pods are bound by it as well."""
    flags = {
        "kubeconfig": place.kubeconfig,
        "leader-elect": "false",
        "secure-port": 0,
        "kube-api-qps": API_QPS,
        "kube-api-burst": 2 * API_QPS,
    }
    return program(place, "kube-scheduler", flags)


def cloudcore(place: Place) -> Program:
    """KubeEdge's cloud side; its configuration is cloudcore_config."""
    argv = (str(place.programs["cloudcore"]), "--config", "cloudcore.json")
    return Program("cloudcore", argv, place.folder / "cloudcore")


def kubeedge_controllers(place: Place) -> Program:
    """Node groups and node jobs, image pre-pulls among them."""
    flags = {"kubeconfig": place.kubeconfig, "health-probe-bind-address": f"{LOOPBACK}:{place.ports.kubeedge_health}"}
    return program(place, "controllermanager", flags)


def link(place: Place) -> Program:
    """All sites' uplinks in one process."""
    return Program("link", (str(place.programs["link"]),), place.folder / "link")


def hollow_node(place: Place, name: str, seat: Seat, uplink: Uplink) -> Program:
    """One box. One thread of Go code at a time and an eager collector keep 130 of them small."""
    argv = (str(place.programs["hollownode"]), "--config", "edgecore.json")
    addresses = ("--images", f"{LOOPBACK}:{uplink.images}", "--network", seat.network)
    return Program(f"box/{name}", argv + addresses, place.box(name), {"GOMAXPROCS": "1", "GOGC": "50"})


def program(place: Place, name: str, flags: Mapping[str, Any], env: Mapping[str, str] | None = None) -> Program:
    """A program of the cloud that is told everything by flags."""
    argv = (str(place.programs[name]), *(f"--{flag}={value}" for flag, value in flags.items()))
    return Program(name, argv, place.folder, env or {})


def cloudcore_config(place: Place) -> dict[str, Any]:
    """All four TLS paths must be its own, though the files are never there: it would read the machine's otherwise."""
    folder = place.folder / "cloudcore"
    hub = {
        "enable": True,
        "nodeLimit": NODE_LIMIT,
        "advertiseAddress": [LOOPBACK],
        "dnsNames": ["localhost"],  # the default is one empty name, of which no certificate can be made
        "tlsCAFile": str(folder / "ca.crt"),
        "tlsCAKeyFile": str(folder / "ca.key"),
        "tlsCertFile": str(folder / "server.crt"),
        "tlsPrivateKeyFile": str(folder / "server.key"),
        "unixsocket": {"enable": False, "address": f"unix://{folder}/kubeedge.sock"},  # its folder is made all the same
        "quic": {"enable": False},
        "websocket": {"enable": True, "address": LOOPBACK, "port": place.ports.hub},
        "https": {"enable": True, "address": LOOPBACK, "port": place.ports.enrol},
    }
    off = {name: {"enable": False} for name in ("cloudStream", "router", "iptablesManager")}
    on = {name: {"enable": True} for name in ("dynamicController", "taskManager")}  # node jobs need taskManager
    return {
        "apiVersion": "cloudcore.config.kubeedge.io/v1alpha1",
        "kind": "CloudCore",
        "commonConfig": {"monitorServer": {"bindAddress": f"{LOOPBACK}:{place.ports.cloudcore_metrics}"}},
        "kubeAPIConfig": {"kubeConfig": str(place.kubeconfig), "qps": 5 * NODE_LIMIT, "burst": 10 * NODE_LIMIT},
        "modules": {"cloudHub": hub, **off, **on},
    }


def edgecore_config(place: Place, site: Site, box: Box, seat: Seat, uplink: Uplink) -> dict[str, Any]:
    """One box, still without its token; the kubelet inside wants absolute paths, the rest works in its folder."""
    folder = place.box(box.name)
    kubelet = {
        "address": LOOPBACK,
        "readOnlyPort": seat.kubelet_port,
        "staticPodPath": str(folder / "manifests"),
        "podLogsDir": str(folder / "pod-logs"),
        "volumePluginDir": str(folder / "volume-plugins"),
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "enableControllerAttachDetach": False,
        "makeIPTablesUtilChains": False,  # as root it would change the machine's own packet filter
        "resolvConf": "",
        "nodeStatusMaxImages": 50,  # KubeEdge reports none by default; a pull that is done should be seen
        "maxOpenFiles": 4096,
        "serializeImagePulls": False,
        "maxParallelImagePulls": 2,
    }
    edged = {
        "enable": True,
        "hostnameOverride": box.name,
        "nodeIP": f"{seat.network}.1",
        "rootDirectory": str(folder / "edged"),
        "registerSchedulable": True,
        "nodeLabels": node_labels(site, box),
        "tailoredKubeletConfig": kubelet,
    }
    hub = {
        "enable": True,
        "heartbeat": place.timing.heartbeat,
        "httpServer": f"https://{LOOPBACK}:{uplink.enrol}",
        "tlsCaFile": "ca.crt",
        "tlsCertFile": "server.crt",
        "tlsPrivateKeyFile": "server.key",
        "quic": {"enable": False},
        "websocket": {"enable": True, "server": f"{LOOPBACK}:{uplink.hub}"},
    }
    off = {name: {"enable": False} for name in ("eventBus", "deviceTwin", "edgeStream", "serviceBus", "dbTest")}
    return {
        "apiVersion": "edgecore.config.kubeedge.io/v1alpha2",
        "kind": "EdgeCore",
        "database": {"dataSource": "edgecore.db"},
        "modules": {"edged": edged, "edgeHub": hub, "taskManager": {"enable": True}, **off},
    }


def kubeconfig(server: str, authority: bytes, token: str, namespace: str = "default") -> dict[str, Any]:
    """A kubectl configuration with everything inside; `authority` is base64."""
    cluster = {"server": server, "certificate-authority-data": authority.decode()}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "edgefleet-sim", "cluster": cluster}],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [
            {"name": "edgefleet-sim", "context": {"cluster": "edgefleet-sim", "user": "user", "namespace": namespace}}
        ],
        "current-context": "edgefleet-sim",
    }
