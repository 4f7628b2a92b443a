"""What the operator holds of the cluster: fed by watches and by the answers to its own writes, never older than either.

One thread owns it. Whoever writes to the cluster hands the answer to ``absorb``, so the next look knows of the write
even where the watch lags behind; a watch event that is older than what is held changes nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from cloud.fleet.report import is_dark
from cloud.fleet.resource import is_name
from cloud.rollout.connectivity import Connectivity, ReadySign, Verdict
from cloud.rollout.parsing import mark, parse, unparsed
from cloud.rollout.snapshot import Box, Fleet, Pod, Version
from cloud.rollout.views import (
    BoxView,
    DaemonSetView,
    Key,
    Kind,
    Mark,
    NodeView,
    PodView,
    Raw,
    ReleaseView,
    SiteView,
    View,
    WorkloadKey,
    memory_name,
)

UPKEEP: Final[WorkloadKey] = ("", "")  # wakes the upkeep of EdgeBoxes instead of a workload


@dataclass(frozen=True, slots=True)
class Held:
    """Everything held for one workload."""

    key: WorkloadKey
    fleet: Fleet
    releases: tuple[ReleaseView, ...]  # oldest first, unreadable ones included
    daemon_sets: tuple[DaemonSetView, ...]  # our own, oldest first
    steady_in: timedelta | None  # until the next box that has just returned may be touched; None: there is none


@dataclass(frozen=True, slots=True)
class Drift:
    """How what is held differs from what the cluster says it has."""

    ghosts: tuple[Key, ...]  # held, but gone
    missed: tuple[Key, ...]  # not held, or held in an older state

    def __bool__(self) -> bool:
        return bool(self.ghosts or self.missed)


class Mirror:
    """The cluster as last seen."""

    def __init__(self, connectivity: Connectivity) -> None:
        self._connectivity = connectivity
        self._objects: dict[Kind, dict[Key, View]] = {kind: {} for kind in Kind}
        self._passed_over: dict[Kind, dict[Key, Mark]] = {kind: {} for kind in Kind}
        self._verdicts: dict[str, Verdict] = {}  # by node
        self._observers: frozenset[str] = frozenset()  # monitors that live
        self._members: dict[tuple[Kind, WorkloadKey], dict[Key, View]] = {}  # pods, DaemonSets, releases by workload

    def absorb(self, kind: Kind, raw: Raw, now: datetime) -> frozenset[WorkloadKey]:
        """Take in an object from a watch or a list; return what it concerns, nothing if we knew that much.

        What it raises is a fault in this program: see ``pass_over``.
        """
        seen = mark(raw)
        old = self._objects[kind].get(seen.key)
        if old is not None and old.mark.uid == seen.uid and old.mark.revision >= seen.revision:
            return frozenset()
        return self._take_in(kind, parse(kind, raw, old), now)

    def pass_over(self, kind: Kind, raw: Raw, why: Exception, now: datetime) -> frozenset[WorkloadKey]:
        """Take note of an object that could not be absorbed, so that it counts as seen; return what it concerns.

        It stays as it last could be. Of a release nobody knows then what it asks for, so no box of it moves.
        """
        concerned = self._take_in(kind, unparsed(raw, why), now) if kind is Kind.RELEASE else frozenset()
        self._passed_over[kind][mark(raw).key] = mark(raw)
        return concerned

    def passed_over(self, kind: Kind, seen: Mark) -> bool:
        """Tell whether the object could not be absorbed the last time."""
        known = self._passed_over[kind].get(seen.key)
        return known is not None and known.uid == seen.uid

    def _take_in(self, kind: Kind, new: View, now: datetime) -> frozenset[WorkloadKey]:
        old = self._objects[kind].get(new.mark.key)
        self._passed_over[kind].pop(new.mark.key, None)
        if old is not None:
            self._forget(kind, old)
            if old.mark.uid != new.mark.uid:  # another box of that name
                self._verdicts.pop(new.mark.key[1], None)
        self._keep(kind, new)
        judged = self._judge(new.mark.key, now) if isinstance(new, NodeView | BoxView) else False
        if judged and kind is Kind.BOX:
            return self.workloads() | {UPKEEP}
        return self._concerned(kind, new, old) if judged or _differs(old, new) else frozenset()

    def holds(self, kind: Kind, one: Mark) -> bool:
        """Tell whether that object is held: the answer to a write of ours must not bring back what is gone."""
        held = self._objects[kind].get(one.key)
        return held is not None and held.mark.uid == one.uid

    def drop(self, kind: Kind, key: Key, uid: str) -> frozenset[WorkloadKey]:
        """Forget an object that is gone; return what that concerns."""
        self._passed_over[kind].pop(key, None)
        old = self._objects[kind].get(key)
        if old is None or (uid and old.mark.uid != uid):
            return frozenset()
        self._forget(kind, old)
        if kind is Kind.NODE:
            self._verdicts.pop(key[1], None)
        return self._concerned(kind, old, old)

    @property
    def observers(self) -> frozenset[str]:
        """The monitors that live."""
        return self._observers

    def heard_from(self, observers: frozenset[str], now: datetime) -> frozenset[WorkloadKey]:
        """Take in which monitors live; return what that concerns."""
        changed, self._observers = self._observers ^ observers, observers
        if not changed:
            return frozenset()
        judged = [
            self._judge(view.mark.key, now) for view in self._all(Kind.BOX, BoxView) if view.status.witness in changed
        ]
        return self.workloads() | {UPKEEP} if any(judged) else frozenset({UPKEEP})

    def drift(self, kind: Kind, before: Mapping[Key, Mark], marks: Iterable[Mark]) -> Drift:
        """Compare with a fresh list of the cluster; ``before`` is what ``marks`` said when the list was asked for."""
        listed = {one.key: one for one in marks}
        held = self._objects[kind]
        ghosts = tuple(
            key
            for key, one in before.items()
            if key in held and held[key].mark.uid == one.uid and (key not in listed or listed[key].uid != one.uid)
        )
        seen = {key: view.mark.revision for key, view in held.items()}
        seen |= {key: one.revision for key, one in self._passed_over[kind].items()}
        missed = tuple(key for key, one in listed.items() if key not in seen or seen[key] < one.revision)
        return Drift(ghosts, missed)

    def marks(self, kind: Kind) -> Mapping[Key, Mark]:
        """Return what is held of a kind."""
        return {key: view.mark for key, view in self._objects[kind].items()}

    def workloads(self) -> frozenset[WorkloadKey]:
        """Return every workload that has a release."""
        return frozenset(key for kind, key in self._members if kind is Kind.RELEASE)

    def nodes(self) -> Mapping[str, tuple[NodeView, Verdict]]:
        """Return every box's node with the verdict on it, by name."""
        views: list[NodeView] = self._all(Kind.NODE, NodeView)
        return {view.name: (view, self._verdicts[view.name]) for view in views}

    def boxes(self) -> Mapping[str, BoxView]:
        """Return every EdgeBox, by name."""
        return {view.mark.key[1]: view for view in self._all(Kind.BOX, BoxView)}

    def releases(self) -> tuple[ReleaseView, ...]:
        """Return every release."""
        return tuple(self._all(Kind.RELEASE, ReleaseView))

    def held(self, key: WorkloadKey, now: datetime) -> Held:
        """Return everything held for one workload, as it is at this moment."""
        releases = sorted(self._of(Kind.RELEASE, key, ReleaseView), key=lambda one: (one.created, one.mark.key[1]))
        ours = [one for one in self._of(Kind.DAEMON_SET, key, DaemonSetView) if one.ours]
        daemon_sets = sorted(ours, key=lambda one: (one.created, one.version))
        versions = {one.version: Version(one.version, one.exclusive) for one in daemon_sets}
        versions |= {one.hash: one for view in releases for one in view.rendered}
        boxes = tuple(self._boxes(key, frozenset(versions), now))
        steady = [due for verdict in self._verdicts.values() if (due := verdict.steady_at(now))]
        return Held(
            key=key,
            fleet=Fleet(
                unread={one.mark.uid: (one.created, one.mark.key[1]) for one in releases if one.release is None},
                standings=tuple(one for view in releases if (one := view.standing) is not None),
                boxes=tuple(box for box in boxes if is_name(box.site)),
                unfit=tuple(box for box in boxes if not is_name(box.site)),
                versions=versions,
                zones={view.mark.key[1]: ZoneInfo(view.zone) for view in self._all(Kind.SITE, SiteView) if view.zone},
            ),
            releases=tuple(releases),
            daemon_sets=tuple(daemon_sets),
            steady_in=min(steady) - now if steady else None,
        )

    def _boxes(self, key: WorkloadKey, versions: frozenset[str], now: datetime) -> Iterable[Box]:
        workload, memory = key[1], memory_name(*key)
        none: frozenset[str] = frozenset()
        pods: dict[str, list[Pod]] = {}
        for view in self._of(Kind.POD, key, PodView):
            pods.setdefault(view.node, []).append(view.pod)
        for name, (node, verdict) in sorted(self.nodes().items()):
            yield Box(
                name=name,
                site=node.site,
                role=node.role,
                labels=node.labels,
                online=verdict.online,
                since=verdict.since,
                steady=verdict.steady(now),
                joined=node.joined,
                versions=node.versions.get(workload, none) & versions,  # another namespace's workload may be a namesake
                pods=tuple(pods.get(name, ())),
                previous=node.previous.get(memory, ()),
                reverted=node.reverted.get(memory, ""),
                moved_by=node.moved_by.get(memory, ()),
            )

    def _judge(self, key: Key, now: datetime) -> bool:
        """Renew the verdict on a box, if it has a node; tell whether it changed."""
        node = self._objects[Kind.NODE].get(key)
        if not isinstance(node, NodeView):
            return False
        known = self._verdicts.get(node.name)
        verdict = self._verdicts[node.name] = self._connectivity.judge(self._sign(node, now), known, now)
        return known != verdict

    def _sign(self, node: NodeView, now: datetime) -> ReadySign:
        """What is said of a box: by a monitor that lives, if it says that the box is dark; else by Kubernetes."""
        box = self._objects[Kind.BOX].get(node.mark.key)
        if isinstance(box, BoxView) and box.status.witness in self._observers and is_dark(box.status):
            return ReadySign(ready=False, since=box.status.since or now, witness=box.status.witness)
        return node.sign

    def _keep(self, kind: Kind, view: View) -> None:
        self._objects[kind][view.mark.key] = view
        if (workload := _workload_of(view)) is not None:
            self._members.setdefault((kind, workload), {})[view.mark.key] = view

    def _forget(self, kind: Kind, view: View) -> None:
        del self._objects[kind][view.mark.key]
        if (workload := _workload_of(view)) is not None:
            members = self._members[kind, workload]
            del members[view.mark.key]
            if not members:
                del self._members[kind, workload]

    def _concerned(self, kind: Kind, new: View, old: View | None) -> frozenset[WorkloadKey]:
        if kind is Kind.NODE:
            return self.workloads() | {UPKEEP}
        if kind is Kind.SITE:
            return self.workloads()
        if kind is Kind.BOX:
            return frozenset({UPKEEP})
        return frozenset(key for view in (new, old) if view and (key := _workload_of(view)))

    def _all(self, kind: Kind, of: type[Any]) -> list[Any]:
        return [view for view in self._objects[kind].values() if isinstance(view, of)]

    def _of(self, kind: Kind, key: WorkloadKey, of: type[Any]) -> list[Any]:
        return [view for view in self._members.get((kind, key), {}).values() if isinstance(view, of)]


def _workload_of(view: View) -> WorkloadKey | None:
    """Return the workload an object belongs to; None: it is of the fleet."""
    if isinstance(view, PodView | DaemonSetView | ReleaseView):
        return view.mark.key[0], view.workload
    return None


def _differs(old: View | None, new: View) -> bool:
    """Tell whether there is news in it beside a newer revision."""
    return old is None or replace(old, mark=new.mark) != new
