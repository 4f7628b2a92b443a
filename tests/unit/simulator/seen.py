"""Builds evidence of a small fleet, one fact a call; the smallest valid value for everything that is not said."""

from dataclasses import replace
from typing import Any

from simulator.evidence import Evidence, Node, Pod, Release, Stage, Version
from simulator.expectations import Case
from simulator.timeline import Ground

OLD, NEW = "old1", "new2"


def release(at: float, phase: str = "Rolling", **fields: Any) -> Release:  # noqa: ANN401 - any field of a release
    made = Release(at, "scan-2", "scan", phase, stage="", message="", counts={}, stages=())
    return replace(made, **fields)


def stage(name: str, phase: str = "Pending", *sites: str) -> Stage:
    return Stage(name, phase, sites)


class Seen:
    """What was seen of sites s1, s2, ... with one scan box each: b1, b2, ..."""

    def __init__(self, sites: int = 3, *, exclusive: bool = False) -> None:
        self.sites = [f"s{number}" for number in range(1, sites + 1)]
        self.nodes: dict[str, list[Node]] = {}
        self.pods: dict[str, list[Pod]] = {}
        self.releases: list[Release] = []
        self.versions = {
            OLD: Version(OLD, "scan", "scan-1", "r/scan:1", exclusive),
            NEW: Version(NEW, "scan", "scan-2", "r/scan:2", exclusive),
        }
        for number in range(1, sites + 1):
            self.wants(0, f"b{number}", OLD)
            self.runs(1, f"b{number}", OLD)

    def wants(self, at: float, box: str, *versions: str, ready: bool = True) -> "Seen":
        wanted = frozenset(("scan", version) for version in versions)
        site = self.sites[int(box[1:]) - 1]
        self.nodes.setdefault(box, []).append(Node(at, box, site, "scan", ready, wanted))
        return self

    def dark(self, at: float, box: str) -> "Seen":
        self.nodes[box].append(replace(self.nodes[box][-1], at=at, ready=False))
        return self

    def back(self, at: float, box: str) -> "Seen":
        self.nodes[box].append(replace(self.nodes[box][-1], at=at, ready=True))
        return self

    def runs(self, at: float, box: str, version: str, *, ready: bool = True, running: bool = True) -> "Seen":
        uid = f"{box}-{version}"
        made = Pod(at, uid, box, "scan", version, f"r/scan:{version}", running, ready, 0)
        self.pods.setdefault(uid, []).append(made)
        return self

    def gone(self, at: float, box: str, version: str) -> "Seen":
        seen = self.pods[f"{box}-{version}"]
        seen.append(replace(seen[-1], at=at, running=False, ready=False, gone=True))
        return self

    def moves(self, at: float, box: str) -> "Seen":
        """From old to new, the old one first."""
        self.wants(at, box, NEW).gone(at + 1, box, OLD)
        return self.runs(at + 2, box, NEW)

    def told(self, *releases: Release) -> "Seen":
        self.releases += releases
        return self

    def evidence(self) -> Evidence:
        releases = {"scan-2": tuple(self.releases)} if self.releases else {}
        return Evidence(self.versions, self.nodes, self.pods, releases)

    def case(self, **fields: Any) -> Case:  # noqa: ANN401 - any field of a case
        ground = Ground({site: (f"b{number}",) for number, site in enumerate(self.sites, start=1)})
        made = Case("scan-2", "scan", "scan-1", ground, created=10.0, parallel_sites=1)
        return replace(made, **fields)
