"""Configurations of a real edge box's programs; values in, values out, no I/O.

All paths are KubeEdge's and containerd's usual ones: the box lives in a room where these are its own (room.py).
"""

import json
from pathlib import Path
from typing import Any

from simulator.fleet import Box, Site
from simulator.programs import Place, Program, Seat, Uplink, edgecore_config

HOME = "/var/lib/kubeedge"
RUNTIME = "unix:///run/containerd/containerd.sock"
NODE_NETWORK = "10.87.0"  # the box's own address is .1; both networks exist inside its room only
POD_NETWORK = "10.88.0.0/24"
PAUSE = "edgefleet.invalid/pause:1"  # imported, never pulled
NEVER = dict.fromkeys(("memory.available", "nodefs.available", "nodefs.inodesFree", "imagefs.available"), "0%")


def containerd_config(cni: str, snapshotter: str) -> str:
    """The runtime: our pause image, the CNI plugins in the folder `cni`, nothing of the machine's own settings."""
    return f"""version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt"]  # would make /opt/containerd

[grpc]
address = "{RUNTIME.removeprefix("unix://")}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
restrict_oom_score_adj = true  # without CAP_SYS_RESOURCE runc could not lower it and would die
disable_apparmor = true        # would load a profile into the machine's kernel
stream_server_address = "127.0.0.1"

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "{snapshotter}"

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{cni}"
conf_dir = "{HOME}/cni"
"""


def network_config() -> str:
    """Each pod on a cable of its own, host ports by address translation; leases end with the box's power."""
    ipam = {"type": "host-local", "subnet": POD_NETWORK, "dataDir": "/run/cni"}
    plugins = [{"type": "ptp", "ipam": ipam}, {"type": "portmap", "capabilities": {"portMappings": True}}]
    return json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": plugins}, indent=1)


def node_config(place: Place, site: Site, box: Box, uplink: Uplink, cgroup: str) -> dict[str, Any]:
    """edgecore's: the same as a hollow node's but for what a real container runtime needs. Without the token."""
    config = edgecore_config(place, site, box, Seat(NODE_NETWORK, kubelet_port=10255), uplink)
    edged = config["modules"]["edged"]
    edged["rootDirectory"] = "/var/lib/kubelet"
    edged["podSandboxImage"] = PAUSE
    edged["tailoredKubeletConfig"] |= {
        "containerRuntimeEndpoint": RUNTIME,
        "imageServiceEndpoint": RUNTIME,
        "staticPodPath": f"{HOME}/manifests",
        "podLogsDir": "/var/log/pods",
        "volumePluginDir": f"{HOME}/volume-plugins",
        "cgroupRoot": f"/{cgroup}",
        "cgroupsPerQOS": True,  # False collides with the default of enforceNodeAllocatable
        "enforceNodeAllocatable": ["pods"],
        "makeIPTablesUtilChains": False,
        "evictionHard": NEVER,  # a machine with a full disk is no reason to evict, nor to remove an old image:
        "imageGCHighThresholdPercent": 100,
    }
    return config


def containerd() -> Program:
    """The container runtime; its containers outlive it, as on any box."""
    return Program("containerd", ("containerd", "--config", f"{HOME}/containerd.toml"), Path(HOME))


def edgecore(binary: Path) -> Program:
    """KubeEdge's edge side."""
    return Program("edgecore", (str(binary), "--config", f"{HOME}/edgecore.json"), Path(HOME))
