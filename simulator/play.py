"""The releases of the demo, and what a person should see of them; no I/O here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from simulator.course import count
from simulator.evidence import Evidence
from simulator.expectations import EXPECTATIONS, Case
from simulator.fleet import ROLE_LABEL, Box, Fleet, Role, Site
from simulator.news import TOLD_ONCE
from simulator.rehearsal import Result
from simulator.timeline import Ground

NAMESPACE: Final = "sorting"  # of its own: a first release of the reader's own is in default
REGISTRY: Final = "registry.example"
DARK_SITES: Final = 7
SCAN: Final = f"{NAMESPACE}/{Role.SCAN}"  # as people are told of the workloads
VISION: Final = f"{NAMESPACE}/{Role.VISION}"
PARALLEL_SHARE: Final = 25  # percent of sites in change at one time
APPROVER: Final = "Mei Lin, release engineer"

Manifest = dict[str, Any]


def image(workload: str, version: str) -> str:
    """Where a version would be pulled from, were the boxes real."""
    return f"{REGISTRY}/{workload}:{version}"


def first(role: Role) -> Manifest:
    """Version 1.0 of a workload, everywhere at once."""
    spec = {
        "stages": [{"name": "everywhere", "upTo": "100%", "soak": "0s"}],
        "budget": {"maxParallelSites": "100%", "maxUnavailablePerSite": "100%"},
        "health": {"readyFor": "1s", "timeout": "2m"},
    }
    return release(role, "1.0", spec)


def second_scan() -> Manifest:
    """Scan 2.0: one site, a tenth, and after a person's word all others."""
    spec = {
        "stages": [
            {"name": "canary", "upTo": 1, "soak": "4s"},
            {"name": "early", "upTo": "10%", "soak": "4s"},
            {"name": "rest", "upTo": "100%", "soak": "3s", "approval": True},
        ],
        "budget": {"maxParallelSites": f"{PARALLEL_SHARE}%"},
        "health": {"readyFor": "2s", "timeout": "2m"},
        "onFailure": {"retries": 0},
    }
    return release(Role.SCAN, "2.0", spec)


def bad_vision() -> Manifest:
    """Vision 2.0-bad, which must not get beyond its canary, and goes back by itself."""
    spec = {
        "stages": [
            {"name": "canary", "upTo": 1, "soak": "10s"},
            {"name": "rest", "upTo": "100%", "soak": "10s"},
        ],
        "health": {"readyFor": "5s", "timeout": "2m", "maxRestarts": 0},
        "onFailure": {"retries": 0, "action": "RollbackAll"},
    }
    return release(Role.VISION, "2.0-bad", spec)


def release(role: Role, version: str, spec: Mapping[str, Any]) -> Manifest:
    """A release of a role's workload to every box of that role."""
    workload = role.value
    container: Manifest = {"name": workload, "image": image(workload, version)}
    if role is Role.SCAN:  # a port of the box itself: so old and new cannot run side by side
        container["ports"] = [{"containerPort": 8080, "hostPort": 8080}]
    return {
        "apiVersion": "edgefleet.io/v1alpha1",
        "kind": "EdgeRelease",
        "metadata": {"name": f"{workload}-{version.replace('.', '-')}", "namespace": NAMESPACE},
        "spec": {
            "workload": {"name": workload, "template": {"spec": {"containers": [container]}}},
            "targets": {"selector": {"matchLabels": {ROLE_LABEL: workload}}},
            **spec,
        },
    }


def ground_of(fleet: Fleet, role: Role) -> Ground:
    """The sites and boxes of a role."""
    boxes: dict[str, list[str]] = {}
    for site, box in fleet.boxes():
        if box.role is role:
            boxes.setdefault(site.name, []).append(box.name)
    return Ground(boxes)


def darkened(fleet: Fleet) -> tuple[str, ...]:
    """The sites that go dark: spread over the fleet, neither its first nor all; fewer in a small fleet."""
    names = [site.name for site in fleet.sites]
    number = min(DARK_SITES, len(names) // 3)
    return tuple(names[(index + 1) * len(names) // (number + 1)] for index in range(number))


def torn(fleet: Fleet) -> str:
    """The site that is cut in the middle of a release: the last that is not dark already."""
    return next(site.name for site in reversed(fleet.sites) if site.name not in darkened(fleet))


def with_agents(fleet: Fleet) -> tuple[tuple[Site, Box], ...]:
    """The boxes on which real agents run: at the site that is cut, and at two of the dark ones."""
    chosen = {torn(fleet), *darkened(fleet)[:2]}
    return tuple((site, site.boxes[0]) for site in fleet.sites if site.name in chosen)


def simulated(fleet: Fleet) -> tuple[tuple[Site, Box], ...]:
    """The boxes whose agents are simulated: all others."""
    real = {box.name for _, box in with_agents(fleet)}
    return tuple((site, box) for site, box in fleet.boxes() if box.name not in real)


def broken(fleet: Fleet, role: Role) -> tuple[Site, Box]:
    """The box of a role that something befalls: the first whose site has a neighbour for it, else the first."""
    own = [(site, box) for site, box in simulated(fleet) if box.role is role]
    return next(((site, box) for site, box in own if len(site.boxes) > 1), own[0])


@dataclass(frozen=True, slots=True)
class Promise:
    """One line of the demo's last table: what a person should have seen, and which judge says so."""

    expected: str
    judge: str  # a name in EXPECTATIONS, or TOLD_ONCE


SCAN_ONE: Final = (Promise("scan 1.0 runs on every scan box", "released"),)
SCAN_TWO: Final = (
    Promise("scan 2.0 asks a person before it goes everywhere", "approval-first"),
    Promise("scan 2.0 reaches every scan box in the end", "released"),
    Promise("no dark box is touched", "dark-boxes-wait"),
    Promise("each dark box catches up exactly once", "dark-boxes-move-once"),
    Promise("never more sites change at once than allowed", "sites-budget"),
    Promise("a box never runs two versions of scan at once", "one-version"),
)
SITE_CUT: Final = Promise("a site that is cut in the middle of a release is told once", TOLD_ONCE)
SITES_DARK: Final = Promise("each dark site is told once, and none of its boxes", TOLD_ONCE)
AGENT_KILLED: Final = Promise("an agent that is killed is told once", TOLD_ONCE)
CRASHED: Final = Promise("a scan workload that crashes is told once", TOLD_ONCE)
STALLED: Final = Promise("a vision workload that stands still is told once", TOLD_ONCE)
POWER_LOST: Final = Promise("a GPU box that loses power is told once", TOLD_ONCE)
BREAKDOWNS: Final = (AGENT_KILLED, CRASHED, STALLED, POWER_LOST)
BAD_VISION: Final = (
    Promise("vision 2.0-bad is stopped by itself", "stopped"),
    Promise("vision 2.0-bad never gets beyond its canary", "first-stage-only"),
    Promise("the canary goes back to vision 1.0 by itself", "back-again"),
    Promise("no box is without vision in the meantime", "never-without"),
)


def results(promises: tuple[Promise, ...], evidence: Evidence, case: Case) -> list[Result]:
    """A row for each promise; one that nothing can be said about has not been kept."""
    rows = []
    for promise in promises:
        found = EXPECTATIONS[promise.judge].judge(evidence, case)
        if found is None:
            rows.append(Result(promise.judge, promise.expected, ok=False, happened="it never came to that"))
        else:
            rows.append(Result(promise.judge, promise.expected, found.ok, found.happened, found.seconds))
    return rows


def unkept(promises: tuple[Promise, ...]) -> list[Result]:
    """The rows of promises that the story never got to."""
    return [Result(one.judge, one.expected, ok=False, happened="the story ended before") for one in promises]


def size(fleet: Fleet) -> str:
    """A fleet in words."""
    sites = count(len(fleet.sites), "transfer centre", "transfer centres")
    return f"{sites} with {count(len(list(fleet.boxes())), 'edge box', 'edge boxes')}"
