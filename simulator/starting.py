"""Bringing a cluster up, step by step: cloud, uplinks, boxes. Each step waits for a fact, never for a time."""

import base64
import json
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

import yaml

from simulator import programs
from simulator.folder import naming, shortage
from simulator.keeper import Ended, Keeper
from simulator.kube import Kube
from simulator.link import Links
from simulator.programs import LOOPBACK, Place, Uplink
from simulator.progress import ClusterError, Report, Step
from simulator.record import Record

CLOUD_SECONDS = 60.0
BOXES_SECONDS = 240.0
BOOTING_AT_ONCE = 16
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # FIPS 186-4, D.1.2.3
EC_HEADER = bytes.fromhex("30310201010420")  # SEQUENCE of 49: INTEGER 1, OCTET STRING of 32
EC_CURVE = bytes.fromhex("a00a06082a8648ce3d030107")  # [0] OBJECT IDENTIFIER prime256v1
LOG_TAIL = 15  # lines of a program's log in the error about its end


def wait_until(fact: Callable[[], bool], what: str, seconds: float, keeper: Keeper) -> None:
    """Return as soon as the fact holds; raises ClusterError when time is up or a program of the cloud has ended."""
    deadline = time.monotonic() + seconds
    while not fact():
        if fallen := keeper.fallen():
            raise ClusterError(f"{ending(keeper, fallen[0])} while waiting for {what}:\n{tail(keeper, fallen[0].name)}")
        if time.monotonic() > deadline:
            logs = keeper.folder / "logs"
            raise ClusterError(f"{shortage(keeper.folder)}{what} not reached within {seconds:.0f} s: read {logs}")
        time.sleep(0.1)


def ending(keeper: Keeper, one: Ended) -> str:
    """That a program has ended, and before it that the disk is full, of which its own words say nothing plain."""
    return f"{shortage(keeper.folder)}{one.name} ended with {one.code}"


def tail(keeper: Keeper, name: str) -> str:
    """The last lines of a program's log, and where to read on."""
    log = keeper.log_of(name)
    lines = log.read_text(errors="replace").splitlines()[-LOG_TAIL:]
    return "\n".join([*(f"  {line}" for line in lines), f"  (all of it in {log})"])


def start_api(place: Place, keeper: Keeper, report: Report) -> None:
    """The store and the API server, which is not ready yet when this returns."""
    write_keys(place)
    report(Step("etcd and the API server"))
    keeper.start(programs.etcd(place))
    keeper.start(programs.apiserver(place))
    key = place.pki / "apiserver.key"  # it comes last: with it the certificate is there, and whole
    wait_until(key.exists, "the API server's certificate", CLOUD_SECONDS, keeper)


def open_api(place: Place) -> Kube:
    """A client of the API server as its admin."""
    write_kubeconfig(place.kubeconfig, place, place.token)
    return Kube(place.server, place.pki / "apiserver.crt", place.token)


def start_cloud(place: Place, keeper: Keeper, kube: Kube, report: Report) -> None:
    """The rest of the control plane, KubeEdge's custom resources, cloudcore; returns when boxes can enrol."""
    wait_until(kube.is_ready, "a ready API server", CLOUD_SECONDS, keeper)
    if place.existing is None:
        keeper.start(programs.controller_manager(place))
        keeper.start(programs.scheduler(place))
    report(Step("KubeEdge's custom resources"))
    install_crds(kube, place.crds, keeper)
    report(Step("cloudcore (it waits for up to 9 s by itself)"))
    start_kubeedge(place, keeper)
    wait_until(lambda: enrolment_token(kube) is not None, "cloudcore's enrolment token", CLOUD_SECONDS, keeper)


def write_keys(place: Place) -> None:
    """The key that signs service account tokens, and the admin's token as the API server reads it."""
    place.pki.mkdir(mode=0o700)
    write_secret(place.pki / "service-account.key", signing_key())
    write_secret(place.pki / "tokens.csv", f'{place.token},edgefleet-admin,edgefleet-admin,"system:masters"\n')


def signing_key() -> str:
    """A new private key on P-256 as PEM (RFC 5915, without the optional public half)."""
    secret = (secrets.randbelow(P256_ORDER - 1) + 1).to_bytes(32, "big")
    body = base64.b64encode(EC_HEADER + secret + EC_CURVE).decode()
    return f"-----BEGIN EC PRIVATE KEY-----\n{body[:64]}\n{body[64:]}\n-----END EC PRIVATE KEY-----\n"


def write_secret(path: Path, text: str) -> None:
    """Only this user may read it."""
    with naming(path):
        path.touch(mode=0o600)
        path.write_text(text)


def new_token() -> str:
    """The admin's, different for each cluster."""
    return secrets.token_urlsafe(24)


def write_kubeconfig(path: Path, place: Place, token: str, namespace: str = "default") -> None:
    """Only this user may read it."""
    authority = base64.b64encode((place.pki / "apiserver.crt").read_bytes())
    write_secret(path, yaml.safe_dump(programs.kubeconfig(place.server, authority, token, namespace), sort_keys=False))


def install_crds(kube: Kube, folder: Path, keeper: Keeper) -> None:
    """All of KubeEdge's: cloudcore watches each and does not start without."""
    group = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    wanted = [yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yaml"))]
    for crd in wanted:
        kube.create(group, crd)
    names = {crd["metadata"]["name"] for crd in wanted}

    def established() -> bool:
        listed = (kube.get(group) or {})["items"]
        return names <= {
            crd["metadata"]["name"]
            for crd in listed
            if any(c["type"] == "Established" and c["status"] == "True" for c in crd["status"].get("conditions") or [])
        }

    wait_until(established, "KubeEdge's custom resources", CLOUD_SECONDS, keeper)
    kube.create("/api/v1/namespaces", {"metadata": {"name": "kubeedge"}})


def start_kubeedge(place: Place, keeper: Keeper) -> None:
    """cloudcore, its controllers and the process that carries the uplinks."""
    core = programs.cloudcore(place)
    core.folder.mkdir()
    config = core.folder / "cloudcore.json"
    with naming(config):
        config.write_text(json.dumps(programs.cloudcore_config(place), indent=1))
    for one in (core, programs.kubeedge_controllers(place), programs.link(place)):
        keeper.start(one)


def enrolment_token(kube: Kube) -> str | None:
    """What a box shows to get its certificate; None: cloudcore has not made it yet."""
    secret = kube.get("/api/v1/namespaces/kubeedge/secrets/tokensecret") or {}
    encoded = secret.get("data", {}).get("tokendata")
    return base64.b64decode(encoded).decode() if encoded else None


def open_uplink(place: Place, site: str) -> Uplink:
    """The site's own way to cloudcore and to the registry."""
    targets = {"hub": f"{LOOPBACK}:{place.ports.hub}", "enrol": f"{LOOPBACK}:{place.ports.enrol}"}
    ports = Links(place.folder / "link").open(site, targets)
    return Uplink(hub=ports["hub"], enrol=ports["enrol"], images=ports["images"])


def need_token(kube: Kube) -> str:
    """The enrolment token; raises ClusterError when cloudcore keeps none."""
    token = enrolment_token(kube)
    if token is None:
        raise ClusterError("cloudcore's enrolment token is gone: read logs/cloudcore.log")
    return token


def boot_box(record: Record, name: str, keeper: Keeper, token: str) -> None:
    """Write a box's configuration and switch it on; a box that has its certificate minds no token."""
    place = record.place
    site, box, seat = record.find(name)
    uplink = record.uplinks[site.name]
    config = programs.edgecore_config(place, site, box, seat, uplink)
    config["modules"]["edgeHub"]["token"] = token
    folder = place.box(name)
    folder.mkdir(parents=True, exist_ok=True)
    write_secret(folder / "edgecore.json", json.dumps(config, indent=1))
    keeper.start(programs.hollow_node(place, name, seat, uplink))


def boot_gently(record: Record, names: Iterable[str], keeper: Keeper, kube: Kube, report: Report) -> None:
    """Boot boxes a few at a time, the next as soon as one is Ready; returns when all are.

    All at once they starve each other and cloudcore of processors: their first heartbeats come too late, Kubernetes
    takes them for dead again, and the whole lasts twice as long.
    """
    waiting = deque(names)
    total, booting = len(waiting), set[str]()
    token = need_token(kube)

    def all_ready() -> bool:
        nodes = kube.ready_nodes()
        booting.difference_update([name for name in booting if nodes.get(name)])
        complain_of_fallen(keeper, booting)
        while waiting and len(booting) < BOOTING_AT_ONCE:
            booting.add(waiting[0])
            boot_box(record, waiting.popleft(), keeper, token)
        report(Step("boxes Ready", total - len(waiting) - len(booting), total))
        return not waiting and not booting

    wait_until(all_ready, f"{total} boxes Ready", BOXES_SECONDS, keeper)


def wait_for_boxes(kube: Kube, names: Iterable[str], keeper: Keeper, report: Report, *, ready: bool = True) -> None:
    """Return when every named box's node is Ready (or, with ready=False, is not)."""
    wanted = set(names)
    what = "boxes Ready" if ready else "boxes not Ready"

    def there() -> bool:
        nodes = kube.ready_nodes()
        done = sum(nodes.get(name, False) is ready for name in wanted)
        report(Step(what, done, len(wanted)))
        complain_of_fallen(keeper, wanted)
        return done == len(wanted)

    wait_until(there, f"{len(wanted)} {what}", BOXES_SECONDS, keeper)


def complain_of_fallen(keeper: Keeper, names: Iterable[str]) -> None:
    """Raise ClusterError when one of these boxes ended by itself; a box that was switched off may be off."""
    watched = {f"box/{name}" for name in names}
    for one in keeper.ended():
        if one.name in watched and one.code > 0:
            raise ClusterError(f"{ending(keeper, one)}:\n{tail(keeper, one.name)}")
