"""A real cluster with edgefleet installed: operators as processes of their own, releases, and waits that explain."""

import base64
import json
import math
import signal
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Self

import yaml

from simulator import programs
from simulator.cluster import Cluster
from simulator.fleet import Fleet, Site
from simulator.keeper import Keeper, end, spawn
from simulator.machine import free_ports
from simulator.operating import ACCOUNT, NAMESPACE, install_resources
from simulator.programs import Timing
from tests.cluster.audit import Audit, Request
from tests.cluster.observer import RUN, Observer, Program
from tests.cluster.waiting import SOON, until
from tests.resources import release

TREE: Final = Path(__file__).resolve().parents[2]
RELEASES: Final = "/apis/edgefleet.io/v1alpha1/namespaces/{}/edgereleases"
TOUCHED: Final = "edgefleet.io/touched"
FORGOTTEN: Final = 180.0  # seconds after which a pod that its box has not begun is one that KubeEdge has forgotten
LOG_TAIL: Final = 25  # lines in the message of a wait that failed

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rollout:
    """One release that was created."""

    program: Program
    name: str
    tag: str
    rig: "Rig"

    @property
    def raw(self) -> Json:
        """The object as it stands; empty: nobody has seen it yet."""
        return self.rig.observer.release(self.program.namespace, self.name)

    @property
    def status(self) -> Json:
        """What the operator has written last."""
        found: Json = self.raw.get("status", {})
        return found

    @property
    def phase(self) -> str:
        """Where it stands; empty: the operator has written nothing yet."""
        return str(self.status.get("phase", ""))

    @property
    def phases(self) -> list[str]:
        """Every phase it went through, in order."""
        seen = [one.get("phase", "") for one in self.rig.observer.statuses(self.program.namespace, self.name)]
        return [one for index, one in enumerate(seen) if one and (index == 0 or one != seen[index - 1])]

    def wait(self, *phases: str, seconds: float = SOON) -> Self:
        """Return when it stands in one of the phases. What KubeEdge forgets is mended once, as the README says."""
        forgotten = time.monotonic() + FORGOTTEN

        def there() -> bool:
            nonlocal forgotten
            if time.monotonic() > forgotten:
                self.rig.touch_pods(self.program.namespace)
                forgotten = math.inf
            return self.phase in phases

        self.rig.until(there, f"{self.name} is {' or '.join(phases)}", self, seconds=seconds)
        return self

    def wait_until_moving(self) -> Self:
        """Return as soon as a first box is asked for its version."""
        boxes = [box.name for _, box in self.rig.cluster.fleet.boxes()]
        self.rig.until(lambda: any(map(self.touched, boxes)), f"{self.name} is under way", self)
        return self

    def touched(self, box: str) -> bool:
        """Whether the box has ever been asked for its version."""
        return any(self.tag in tags for tags in self.rig.observer.asked(box, self.program))

    def change(self, **spec: Any) -> None:  # noqa: ANN401 - JSON
        """Merge into its spec. Raises httpx.HTTPStatusError with the API server's words."""
        path = f"{RELEASES.format(self.program.namespace)}/{self.name}"
        self.rig.cluster.kube.merge(path, {"spec": spec})

    def approve(self, stage: str) -> None:
        """Let a stage start."""
        self.change(control={"approvals": [{"stage": stage, "by": "a person", "reason": "looked at it"}]})


@dataclass(slots=True)
class Rig:
    """The cluster, what is known of it from outside, and the operators that were started on it."""

    cluster: Cluster
    observer: Observer
    audit: Audit
    keeper: Keeper  # of the operators, apart from the cluster's own programs: these may end
    started: int = 0
    operators: list[str] = field(default_factory=list)  # that run, oldest first
    ports: dict[str, tuple[int, int]] = field(default_factory=dict)  # by operator: of its metrics, of its probe

    def start_operator(self, **settings: str) -> str:
        """Start one operator under its service account; returns its name at once."""
        self.started += 1
        name = f"operator-{self.started}"
        metrics, probe = free_ports(2)
        own = {
            "KUBECONFIG": str(self._credential(name)),
            "PYTHONPATH": str(TREE),
            "EDGEFLEET_RESOLVE_IMAGES": "false",
            "EDGEFLEET_METRICS_PORT": str(metrics),
            "EDGEFLEET_PROBE_PORT": str(probe),
            **{f"EDGEFLEET_{key.upper()}": value for key, value in settings.items()},
        }
        argv = (sys.executable, "-m", "cloud", "operator")
        self.keeper.start(programs.Program(name, argv, self.keeper.folder / name, own))
        self.operators.append(name)
        self.ports[name] = metrics, probe
        return name

    def _credential(self, name: str) -> Path:
        """A kubeconfig with a token of the operator's own, so that the audit log tells one from another."""
        return self.cluster.kubeconfig_for(NAMESPACE, ACCOUNT, self.keeper.folder / f"{name}.kubeconfig")

    def requests_of(self, name: str) -> list[Request]:
        """What this operator has asked of the API server."""
        token = yaml.safe_load((self.keeper.folder / f"{name}.kubeconfig").read_text())["users"][0]["user"]["token"]
        claims = token.split(".")[1]
        own = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["jti"]
        return [one for one in self.audit.requests() if one.credential == f"JTI={own}"]

    def writes_of(self, name: str) -> list[Request]:
        """What it has written beside the object by which operators agree, as far as it was taken."""
        own = [one for one in self.requests_of(name) if one.verb not in {"get", "list", "watch"}]
        return [one for one in own if one.resource != "clusterkopfpeerings" and one.code < HTTPStatus.BAD_REQUEST]

    def lead(self, **settings: str) -> str:
        """Start one operator and return its name when it is at work."""
        name = self.start_operator(**settings)
        self.until(lambda: self.leads(name), f"{name} leads")
        return name

    def led(self) -> Self:
        """The same with exactly one operator at work."""
        if len(self.operators) != 1:
            self.stop_operators()
            self.lead()
        return self

    def leads(self, name: str) -> bool:
        """Whether the operator has begun to act."""
        return self.has_said(name, "leading")

    def has_said(self, name: str, event: str) -> bool:
        """Whether the operator has logged an event of that name."""
        return any(line.get("event") == event for line in self.log(name))

    def log(self, name: str) -> Iterator[Json]:
        """What an operator has logged."""
        path = self.keeper.log_of(name)
        for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
            try:
                yield json.loads(line)
            except ValueError:
                yield {"event": line}

    def measure(self, name: str, metric: str) -> float:
        """What an operator has measured, without labels the sum over them."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[name][0]}/metrics", timeout=20) as answer:
            lines = [line.rpartition(" ") for line in answer.read().decode().splitlines()]
        return sum(float(value) for told, _, value in lines if metric in {told, told.partition("{")[0]})

    def is_well(self, name: str) -> bool:
        """Whether an operator's probe says so."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[name][1]}/healthz", timeout=20) as answer:
                return bool(answer.status == HTTPStatus.OK)
        except OSError:
            return False

    def send(self, name: str, number: signal.Signals) -> None:
        """Send an operator a signal; after SIGKILL it is gone."""
        self.keeper.signal(name, number)
        if number is signal.SIGKILL:
            self.operators.remove(name)

    def stop_operators(self) -> None:
        """End all operators in good order, those as well that sleep."""
        for name in self.operators:
            self.keeper.signal(name, signal.SIGCONT)
            self.keeper.signal(name, signal.SIGTERM)
        while self.operators:
            self.end_of(*self.operators)

    def end_of(self, *names: str, seconds: float = SOON) -> tuple[str, int]:
        """Return the first of these operators to end, with its exit code."""

        def ended() -> list[tuple[str, int]]:
            return [(one.name, one.code) for one in self.keeper.ended() if one.name in names]

        self.until(ended, f"{' or '.join(names)} ends", seconds=seconds)
        name, code = ended()[0]
        self.operators.remove(name)
        return name, code

    def namespace(self, name: str) -> str:
        """Make a namespace."""
        self.cluster.kube.create("/api/v1/namespaces", {"metadata": {"name": name}})
        return name

    def release(self, program: Program, tag: str, sites: Iterable[str], **changes: Any) -> Rollout:  # noqa: ANN401
        """Create a quick release of one stage to all boxes of these sites; changes by path, dots as two underscores."""
        body = manifest(program, tag, sites, {path.replace("__", "."): value for path, value in changes.items()})
        if self.cluster.kube.create(RELEASES.format(program.namespace), body) is None:
            raise AssertionError(f"{body['metadata']['name']} was there already")
        return Rollout(program, body["metadata"]["name"], tag, self)

    def settled(self, program: Program, tag: str, boxes: Iterable[str]) -> bool:
        """Whether every box runs that tag, is asked for nothing else, and has no other pod of the program."""
        return all(self.observer.settled(box, program, tag) for box in boxes)

    def moves(self, program: Program) -> dict[str, int]:
        """How often the operator asked which box for another version of the program, from the first on."""
        return dict(self.audit.moves(self.observer.hashes(program)))

    def changes(
        self, program: Program, tag: str, boxes: Iterable[str], since: float = 0
    ) -> list[tuple[float, float, str]]:
        """When which site was in change to the tag: from the label that asks for it to the first ready pod of it."""
        pods = self.observer.pods(program)
        found = []
        for box in boxes:
            begins = [at for at, tags in self.observer.asks_when(box, program) if tags == (tag,) and at > since]
            ends = [pod.at for pod in pods if pod.box == box and pod.tag == tag and pod.ready]
            found += [(begin, min(ends), self.cluster.fleet.site_of(box).name) for begin in begins]
        return found

    def label(self, program: Program, tag: str) -> str:
        """The node label that asks for a tag."""
        return f"{RUN}{program.workload}.{self.observer.hash_of(program, tag)}"

    def boxes(self, *sites: str) -> list[str]:
        """The boxes at these sites."""
        return [box.name for site, box in self.cluster.fleet.boxes() if site.name in sites]

    def restart(self, program: programs.Program) -> None:
        """Kill one of the cloud's programs and start it again, by this command line."""
        self.cluster.keeper.signal(program.name, signal.SIGKILL)
        self.cluster.keeper.start(program)

    @property
    def apiserver(self) -> programs.Program:
        """The API server, which keeps an audit log."""
        plain = programs.apiserver(self.cluster.record.place)
        return replace(plain, argv=plain.argv + self.audit.flags)

    def until(self, fact: Callable[[], object], what: str, *about: Rollout, seconds: float = SOON) -> None:
        """Return as soon as the fact holds; fail with everything that may explain why it does not."""
        until(fact, what, seconds, told=lambda: self.explain(about))

    def touch_pods(self, namespace: str) -> None:
        """Change what waits for its box, so that KubeEdge hands it over again."""
        path = f"/api/v1/namespaces/{namespace}/pods"
        for pod in (self.cluster.kube.get(path) or {"items": []})["items"]:
            if pod["spec"].get("nodeName") and not pod["status"].get("containerStatuses"):
                name = pod["metadata"]["name"]
                self.cluster.kube.merge(f"{path}/{name}", {"metadata": {"annotations": {TOUCHED: "yes"}}})

    def explain(self, about: Iterable[Rollout]) -> str:
        """Where things stand, for a person who has to find out."""
        lines = []
        for rollout in about:
            lines += [f"-- {rollout.name}", json.dumps(rollout.status | {"template": "..."}, indent=1)]
            lines += [str(pod) for pod in self.observer.pods(rollout.program)[-10:]]
            events = self.cluster.kube.get(f"/api/v1/namespaces/{rollout.program.namespace}/events") or {"items": []}
            lines += [f"{one['lastTimestamp']} {one['reason']}: {one['message']}" for one in events["items"][-20:]]
        for name in self.operators[-2:]:
            log = self.keeper.log_of(name)
            lines += [f"-- {log}", *log.read_text(errors="replace").splitlines()[-LOG_TAIL:]]
        return "\n".join(lines)


@contextmanager
def raised(folder: Path, sites: Iterable[Site], timing: Timing | None = None) -> Iterator[Rig]:
    """Bring up a cluster with edgefleet's custom resources and rights; no operator runs yet."""
    with Cluster.up(Fleet(()), folder / "cluster", timing=timing) as cluster:
        audit = Audit(folder)
        workshop = folder / "operators"
        (workshop / "logs").mkdir(parents=True)
        keeper, supervisor = spawn(workshop)
        try:
            with Observer(cluster.kube) as observer:
                made = Rig(cluster, observer, audit, keeper)
                made.restart(made.apiserver)
                made.until(cluster.kube.is_ready, "the API server answers again")
                install_resources(cluster)
                cluster.add_sites(sites)
                yield made
                bugs = [name for name in made.ports if made.has_said(name, "Broken")]
                assert not bugs, f"operators met bugs of their own: read {workshop / 'logs'}"
        finally:
            end(keeper, supervisor)


def manifest(program: Program, tag: str, sites: Iterable[str], changes: Json) -> Json:
    """A release that takes seconds where a real one takes hours, of a program that needs no API token."""
    container = {"name": program.workload, "image": f"registry.example/{program.workload}:{tag}"}
    quick: Json = {
        "workload.name": program.workload,
        "workload.image": container["image"],
        "workload.template": {"spec": {"automountServiceAccountToken": False, "containers": [container]}},
        "workload.cutover": "Recreate",
        "targets.selector": {
            "matchExpressions": [{"key": "edgefleet.io/site", "operator": "In", "values": sorted(sites)}]
        },
        "stages": [{"name": "all", "upTo": "100%", "soak": "0s"}],
        "budget.maxParallelSites": "100%",
        "health": {"readyFor": "1s", "timeout": "10m", "maxRestarts": 1},
        "onFailure.retries": 0,
    }
    return release(quick | changes, f"{program.workload}-{tag}".replace(".", "-"))
