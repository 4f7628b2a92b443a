"""An API server that is there already, in place of a control plane of our own.

We come as a guest: with a service account of our own in the namespace kubeedge, which must not be there yet, since two
cloudcores in one cluster fight over it. Leaving, we take nodes, namespace and rights away; KubeEdge's custom resource
definitions stay, for they may have been there before.
"""

import base64
import json
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from simulator.kube import Kube
from simulator.programs import Place
from simulator.progress import ClusterError

NAMESPACE = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": "kubeedge", "labels": {"edgefleet.io/simulated": "true"}},
}
GUEST = "edgefleet-simulator"
RIGHTS = f"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{GUEST}"
TOKEN_LIFE = "24h"  # noqa: S105 - a time
KUBECTL_SECONDS = 60


def move_in(place: Place, kubeconfig: Path) -> Place:
    """The same place with the API server of the kubeconfig; raises ClusterError when we are not welcome there."""
    view = json.loads(kubectl(place, kubeconfig, "config", "view", "--raw", "--minify", "--flatten", "--output=json"))
    server, authority = endpoint(view, kubeconfig)
    found = kubectl(place, kubeconfig, "get", "namespace", "kubeedge", "--ignore-not-found", "--output=json")
    if found and "edgefleet.io/simulated" not in json.loads(found)["metadata"].get("labels", {}):
        raise ClusterError(
            f"{server} has a namespace kubeedge that is not ours: KubeEdge is in use there, and two cloudcores fight. "
            "Use a cluster without it, or leave out --kubeconfig for a control plane of your own."
        )
    kubectl(place, kubeconfig, "apply", "--filename=-", text=json.dumps(NAMESPACE))
    for kind, words in (
        ("serviceaccount", ("--namespace=kubeedge",)),
        ("clusterrolebinding", ("--clusterrole=cluster-admin", f"--serviceaccount=kubeedge:{GUEST}")),
    ):
        made = kubectl(place, kubeconfig, "create", kind, GUEST, *words, "--dry-run=client", "--output=json")
        kubectl(place, kubeconfig, "apply", "--filename=-", text=made)
    token = kubectl(place, kubeconfig, "create", "token", GUEST, "--namespace=kubeedge", f"--duration={TOKEN_LIFE}")
    place.pki.mkdir(mode=0o700)
    (place.pki / "apiserver.crt").write_bytes(authority)
    return replace(place, token=token.strip(), existing=server)


def endpoint(view: dict[str, Any], kubeconfig: Path) -> tuple[str, bytes]:
    """Address and certificate authority (PEM) out of a flattened kubeconfig."""
    clusters = view.get("clusters") or []
    if not clusters:
        raise ClusterError(f"{kubeconfig} has no current context: choose one with `kubectl config use-context`")
    cluster = clusters[0]["cluster"]
    if "certificate-authority-data" not in cluster:
        raise ClusterError(f"{kubeconfig} names no certificate authority for {cluster['server']}: add it")
    return cluster["server"], base64.b64decode(cluster["certificate-authority-data"])


def move_out(kube: Kube, boxes: Iterable[str]) -> None:
    """Take away what we brought; the rights last, for we need them."""
    for box in boxes:
        kube.delete(f"/api/v1/nodes/{box}")
    kube.delete("/api/v1/namespaces/kubeedge")
    kube.delete(RIGHTS)


def kubectl(place: Place, kubeconfig: Path, *words: str, text: str = "") -> str:
    """What kubectl says, acting as the owner of the kubeconfig; raises ClusterError with its complaint."""
    command = [str(place.programs["kubectl"]), f"--kubeconfig={kubeconfig}", *words]
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=True, timeout=KUBECTL_SECONDS)
    except subprocess.CalledProcessError as problem:
        raise ClusterError(f"{kubeconfig}: kubectl {' '.join(words[:3])}: {problem.stderr.strip()}") from problem
    except subprocess.TimeoutExpired as problem:
        raise ClusterError(f"{kubeconfig}: the API server does not answer within {KUBECTL_SECONDS} s") from problem
    return done.stdout
