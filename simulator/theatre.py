"""A cluster with edgefleet at work on it, and somebody who watches: what the demo and the rehearsal play on."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from simulator.adjust import patterns
from simulator.cluster import Cluster
from simulator.evidence import Evidence
from simulator.faults import Fault
from simulator.fleet import Fleet
from simulator.operating import PROGRAM, Operator, install
from simulator.progress import ClusterError, Report
from simulator.recorder import Recorder
from simulator.scenario import Ailment, Deed
from simulator.starting import ending
from simulator.tables import FileError
from simulator.timeline import Act

API: Final = "/apis/edgefleet.io/v1alpha1"
DARK_SECONDS: Final = 90.0  # until Kubernetes has given a cut site up: 20 s of grace, and what a busy machine adds

Manifest = Mapping[str, Any]


@dataclass(slots=True)
class Theatre:
    """The stage on which releases are played. One thread uses it."""

    cluster: Cluster
    operator: Operator
    recorder: Recorder
    dark: set[str] = field(default_factory=set)  # sites that are cut now
    ever_dark: set[str] = field(default_factory=set)
    ills: dict[str, list[Fault]] = field(default_factory=dict)  # by box

    def release(self, manifest: Manifest) -> float:
        """Create a release; returns when, in the recorder's seconds. Raises FileError if the API server refuses it."""
        at = self.recorder.now()
        self._post(manifest)
        return at

    def completed(self, manifest: Manifest) -> dict[str, Any]:
        """The release as the API server would store it, all defaults filled in. Raises FileError if it refuses."""
        return self._post(manifest, dryRun="All")

    def _post(self, manifest: Manifest, **query: str) -> dict[str, Any]:
        path = collection(manifest["metadata"]["namespace"])
        asked = "&".join(f"{key}={value}" for key, value in {**query, "fieldValidation": "Strict"}.items())
        try:
            stored = self.cluster.kube.create(f"{path}?{asked}", dict(manifest))
        except httpx.HTTPStatusError as refusal:
            raise FileError(objections(refusal)) from refusal
        if stored is None:
            raise FileError([f"metadata.name: there is an EdgeRelease {manifest['metadata']['name']!r}: take another"])
        return stored

    def approve(self, namespace: str, name: str, approvals: Sequence[Mapping[str, str]]) -> float:
        """Write all approvals given so far; returns when."""
        at = self.recorder.now()
        patch = {"spec": {"control": {"approvals": list(approvals)}}}
        self.cluster.kube.merge(f"{collection(namespace)}/{name}", patch)
        return at

    def do(self, act: Act, image: str) -> None:
        """Let a thing befall the fleet; `image` is what the new version's faults concern."""
        match act.deed:
            case Deed.CUT:
                self.cut(*act.sites)
            case Deed.HEAL:
                self.heal(*(act.sites or sorted(self.dark)))
            case Deed.DEGRADE:
                self.cluster.degrade(*act.sites, delay_ms=act.delay_ms, loss=act.loss)
            case _:
                for box in act.boxes:
                    self.ail(box, act.ailment or Ailment(), act.deed, image)

    def cut(self, *sites: str) -> None:
        """Cut uplinks."""
        self.cluster.cut(*sites)
        self.dark |= set(sites)
        self.ever_dark |= set(sites)

    def heal(self, *sites: str) -> None:
        """Let bytes flow again."""
        self.cluster.heal(*sites)
        self.dark -= set(sites)

    def ail(self, box: str, ailment: Ailment, deed: Deed, image: str) -> None:
        """Add what is wrong with a box to what is wrong already; a mend takes all of it away."""
        ills = self.ills.setdefault(box, [])
        if deed is Deed.MEND:
            ills.clear()
        else:
            for pattern in ("*",) if ailment.any_image else patterns(image):
                ills.append(
                    Fault(
                        image=pattern,
                        pull_seconds=ailment.pull_seconds,
                        pull_fail=ailment.pull_fail,
                        crash_after=ailment.crash_after,
                        exit_code=ailment.exit_code,
                        never_ready=ailment.never_ready,
                    )
                )
        self.cluster.fault(box, *ills)

    def looks(self, seconds: float) -> Iterator[Evidence]:
        """The evidence after each change until time is up; raises ClusterError when a program has ended."""
        for evidence in self.recorder.looks(seconds):
            self.check()
            yield evidence

    def wait_dark(self, sites: Sequence[str]) -> float:
        """Return when Kubernetes has given up every box of these sites. Raises ClusterError when it has not in time."""
        for evidence in self.looks(DARK_SECONDS):
            if (since := are(evidence, sites, ready=False)) is not None:
                return since
        names = ", ".join(sites)
        raise ClusterError(f"sites {names} were cut, and are not dark after {DARK_SECONDS:.0f} s: {self.logs}")

    def back_since(self, sites: Sequence[str]) -> float | None:
        """When the last box of these sites came online again; None: not all are yet."""
        return are(self.recorder.evidence(), sites, ready=True)

    def check(self) -> None:
        """Raise ClusterError when a program that everything depends on has ended."""
        if fallen := self.cluster.keeper.fallen():
            log = self.cluster.keeper.log_of(fallen[0].name)
            raise ClusterError(f"{ending(self.cluster.keeper, fallen[0])}: read {log}")

    @property
    def logs(self) -> str:
        """Where to read on."""
        return f"read {self.cluster.keeper.log_of(PROGRAM)} and its neighbours"


def are(evidence: Evidence, sites: Sequence[str], *, ready: bool) -> float | None:
    """Since when every box of these sites is ready, or is not; None: some are otherwise."""
    own = [seen[-1] for seen in evidence.nodes.values() if seen[-1].site in sites]
    return max((node.at for node in own), default=0.0) if all(node.ready is ready for node in own) else None


@contextmanager
def theatre(fleet: Fleet, folder: Path, report: Report, began: float, *, passing: bool = False) -> Iterator[Theatre]:
    """Everything up and at work inside the block, nothing left after it. Raises ClusterError.

    `began`: when the time of the evidence begins, by the monotonic clock. `passing`: see Cluster.up.
    """
    with Cluster.up(fleet, folder, report=report, passing=passing) as cluster:
        operator = install(cluster, report)
        with Recorder(cluster.kube, began) as recorder:
            stage = Theatre(cluster, operator, recorder)
            try:
                yield stage
            except httpx.HTTPError as lost:
                raise ClusterError(f"the API server did not answer as it should: {lost}; {stage.logs}") from lost


def collection(namespace: str) -> str:
    """Where the releases of a namespace are."""
    return f"{API}/namespaces/{namespace}/edgereleases"


def objections(refusal: httpx.HTTPStatusError) -> list[str]:
    """What the API server objects to, a line each."""
    try:
        status = refusal.response.json()
    except json.JSONDecodeError:
        return [str(refusal)]
    causes = (status.get("details") or {}).get("causes") or []
    return [f"{one.get('field', '')}: {one.get('message', '')}" for one in causes] or [str(status.get("message"))]
