"""One look at a workload: what was gathered goes to the planner, newest release first, and what it decides is written.

The order of writes is the safety: DaemonSets, then the status, locked to the revision that was planned on, then the
nodes. So a box under way is in the status before its labels change, and of two operators that plan on the same state
only one gets to move boxes. The nodes carry no such lock: before each write it is asked whether we still lead.
An older release is planned on the boxes as the newer ones have left them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol

from pydantic import ValidationError

from cloud.fleet.errors import Late, SpecError, Unavailable
from cloud.rollout import history, ownership
from cloud.rollout.actions import Move, Note, Plan, Severity
from cloud.rollout.cluster import Answer, Cluster, Conflict, Forbidden, Missing, Refused, Verb, Write, always, manifest
from cloud.rollout.mirror import Held
from cloud.rollout.moves import CUTOVER, carried_out
from cloud.rollout.parsing import mark
from cloud.rollout.patches import node_patch, not_patched
from cloud.rollout.plan import plan
from cloud.rollout.release import Release
from cloud.rollout.snapshot import Box, Standing
from cloud.rollout.start import begin, failed, held_up, image_of, impossible, predecessor, settled
from cloud.rollout.status import OVER, Phase, ReleaseStatus
from cloud.rollout.telling import Decision, Trouble, events
from cloud.rollout.template import versions
from cloud.rollout.views import Kind, Raw, ReleaseView


class Registry(Protocol):
    """Knows which content a tag means."""

    def pin(self, image: str, release: Release, /) -> str | None:
        """Return the image with its digest, or as written if it cannot be told; None: digests are not asked for.

        Never waits. Raises Unavailable while it asks, Late if the release should say that it waits.
        """
        ...


_ENDED: Final = frozenset({Phase.SUPERSEDED, Phase.ROLLED_BACK, Phase.HALTED})
"""Nothing becomes of a release in these phases that has no box any more; most releases of a workload are so."""
REGISTRY_AGAIN: Final = timedelta(seconds=1)  # until it is asked again what a registry has told
LATE_AGAIN: Final = timedelta(seconds=5)  # the same for one that takes its time
TROUBLE_AGAIN: Final = timedelta(seconds=30)  # until a release in trouble is looked at again, whatever happens


@dataclass(slots=True)
class Look:
    """One look at a workload. What has been written stands in ``answers`` even if the look ends with an error."""

    held: Held  # the boxes as this look has left them so far
    cluster: Cluster
    registry: Registry
    now: datetime
    leads: Callable[[], bool] = always  # whether we have led without a break since this look began; for any thread
    answers: list[tuple[Kind, Raw]] = field(default_factory=list)
    told: frozenset[Trouble] = frozenset()  # troubles that the look before has told already
    decisions: list[Decision] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    recheck_after: timedelta | None = None  # None: only an event can change anything
    untold: int = 0  # Events and messages that the API server did not take; the log has them

    def take(self) -> None:
        """Decide and write. Raises Conflict, Refused, Unavailable; the caller looks again."""
        self._recheck(self.held.steady_in)
        views: list[ReleaseView] = []
        for view in self.held.releases:
            views.append(self._alone(view, partial(self._begun, view, tuple(views))))
        fleet, rendered = self.held.fleet, {one.hash: one for view in views for one in view.rendered}
        self.held = replace(self.held, fleet=replace(fleet, versions={**fleet.versions, **rendered}))
        free = {box.name for box in fleet.boxes}
        for index in reversed(range(len(views))):
            view, standing = views[index], views[index].standing
            own = ownership.taken(view, self._among(free))
            done_with = view.status.phase in _ENDED and view.status.observed_generation == view.generation and not own
            if standing and standing.variants and not (standing.unknown or impossible(view) or done_with):
                views[index] = self._alone(view, partial(self._decided, tuple(views), view, standing, free))
                own = ownership.taken(views[index], self._among(free))
            free -= own
        if not any(view.unreadable for view in views):
            self._tidy(views)

    def _among(self, names: set[str]) -> Iterator[Box]:
        return (box for box in self.held.fleet.boxes if box.name in names)

    def _alone(self, view: ReleaseView, step: Callable[[], ReleaseView]) -> ReleaseView:
        """Take one step with one release; what goes wrong with it is its own trouble. Raises Conflict, Unavailable."""
        try:
            return step()
        except (Conflict, Unavailable):
            raise
        except (Missing, Refused) as no:
            self._trouble(view, type(no).__name__, f"The API server says no: {no}")
        except Exception as bug:  # noqa: BLE001 - an abort of another release of the workload must still be carried out
            words = f"The operator cannot work out what to do, which is a fault in it: {type(bug).__name__}: {bug}"
            self._trouble(view, "Broken", words, bug)
        return view

    def _trouble(self, view: ReleaseView, reason: str, message: str, cause: Exception | None = None) -> None:
        """Show what keeps a release from going on, once; whatever can be read of it stays as it is."""
        trouble = Trouble(view.mark.uid, reason, message[:1000])
        self._recheck(TROUBLE_AGAIN)
        if trouble not in self.told:
            note, known = Note(reason, trouble.message, Severity.WARNING), self._known(view)
            stands = known.status if settled(known) else known.status.model_copy(update={"template": None})
            status = known.status if view.unreadable else held_up(known, note, self.now, stands)
            if status != known.status:
                try:
                    self._write_status(known, status)
                except (Conflict, Missing, Refused, ValidationError):
                    self.untold += 1
            self._tell(view, (note,), cause)
        self.troubles.append(trouble)

    def _decided(
        self, views: Sequence[ReleaseView], view: ReleaseView, standing: Standing, free: set[str]
    ) -> ReleaseView:
        """Plan one release and carry the plan out; return the release as it then stands."""
        decided = plan(ownership.snapshot(self.held.fleet, standing, free), self.now)
        try:
            self._ensure(views, view, decided)
        except SpecError as wrong:
            return self._fail(view, str(wrong))
        self._recheck(decided.recheck_after)
        return self._settle(view, decided)

    def _begun(self, view: ReleaseView, older: Sequence[ReleaseView]) -> ReleaseView:
        """Return the release with its template settled, in memory: it is written with the first plan."""
        if view.unreadable:
            self._trouble(view, "StatusUnreadable", f"{view.unreadable}: {_UNREADABLE}")
            return view
        release, stands = view.release, settled(view)
        if release is None and view.status.started_at is not None:
            self._trouble(view, "SpecUnreadable", f"{view.problem}: {_SPEC_UNREADABLE}")
            return view
        if release is None or (stands and view.problem):
            return self._fail(view, view.problem)
        if stands or impossible(view):
            return view
        before = predecessor(older, self.held.daemon_sets, self.held.fleet.boxes)
        try:
            pinned = self.registry.pin(image_of(release, before), release)
            status = begin(release, view.status, before, pinned)
            rendered = versions(release.namespace, release.spec.workload, status.template or {})
        except SpecError as wrong:
            return self._fail(view, str(wrong))
        except Unavailable as waits:
            self._recheck(LATE_AGAIN if isinstance(waits, Late) else REGISTRY_AGAIN)
            if isinstance(waits, Late):
                self._trouble(view, "RegistryLate", str(waits))
            return replace(view, rendered=())  # what it has is of the release as it was before an edit
        return replace(view, status=status, rendered=rendered)

    def _ensure(self, views: Sequence[ReleaseView], view: ReleaseView, decided: Plan) -> None:
        """Write the DaemonSets that the plan or a box needs, as the release has them.

        Raises SpecError if the API server does not want the template.
        """
        own = {one.hash for one in view.rendered}
        if decided.status.phase in OVER:
            own &= self._carried()
        wanted = own.union(*(move.add for move in decided.moves))
        lacks = history.lacking(self.held.daemon_sets, views, wanted)
        for answer in self._write([lack.write for lack in lacks]):
            wrong = isinstance(answer, Refused) and not isinstance(answer, Forbidden)
            if wrong and view.status.completed_at is None:
                raise SpecError(f"spec.workload.template: the API server does not take it: {answer}")
            if isinstance(answer, Exception):
                raise answer
        self._tell(view, [lack.note for lack in lacks if lack.found and lack.found.changed])

    def _carried(self) -> set[str]:
        """Return the versions that the labels of any box ask for."""
        return {version for box in (*self.held.fleet.boxes, *self.held.fleet.unfit) for version in box.versions}

    def _settle(self, view: ReleaseView, decided: Plan) -> ReleaseView:
        """Write the status, then move the boxes, then tell; return the release as it now stands."""
        known, status = self._known(view), self._as_told(view, decided.status)
        if decided.moves or status != known.status:  # unchanged, it still is the lock
            try:
                view = self._write_status(view, status)
            except Refused as no:
                if isinstance(no, Forbidden) or known.status.template is not None:
                    raise
                return self._fail(known, f"spec.workload.template: the API server does not take the status: {no}")
        if refused := self._move(decided.moves):
            view = self._write_status(view, not_patched(view, refused, self.now))
        told = (Note("BoxFailed", f"{box} could not be patched: {no}", Severity.WARNING) for box, no in refused.items())
        self._tell(view, (*decided.notes, *told))
        return view

    def _move(self, moves: Sequence[Move]) -> dict[str, str]:
        """Patch the nodes; return which the API server refused to have moved forward, and its words."""
        answers = self._write([node_patch(self.held.key, move) for move in moves])
        refused = {
            move.box: str(answer)
            for move, answer in zip(moves, answers, strict=True)
            if isinstance(answer, Refused) and move.why == CUTOVER
        }
        made = [move for move in moves if move.box not in refused]
        self._raise_first(answer for move, answer in zip(moves, answers, strict=True) if move.box not in refused)
        fleet = self.held.fleet
        self.held = replace(self.held, fleet=replace(fleet, boxes=carried_out(made, fleet.boxes)))
        return refused

    def _as_told(self, view: ReleaseView, status: ReleaseStatus) -> ReleaseStatus:
        """Return the status with the trouble that the look before has met; it is gone one look after the trouble is."""
        trouble = next((one for one in self.told if one.uid == view.mark.uid), None)
        if trouble is None:
            return status
        self._recheck(TROUBLE_AGAIN)
        note = Note(trouble.reason, trouble.message, Severity.WARNING)
        return held_up(self._known(view), note, self.now, status)

    def _known(self, view: ReleaseView) -> ReleaseView:
        """Return the release as the cluster has it, without what this look has settled in memory."""
        return next(one for one in self.held.releases if one.mark.uid == view.mark.uid)

    def _write_status(self, view: ReleaseView, status: ReleaseStatus) -> ReleaseView:
        """Write a status as it can be read again. Raises ValidationError, which is a bug, and what a write raises."""
        namespace, name = view.mark.key
        body = status.dump()
        ReleaseStatus.model_validate(body)
        lock = {"uid": view.mark.uid, "resourceVersion": str(view.mark.revision)}
        whole = manifest(Kind.RELEASE, name, namespace, metadata=lock, status=body)
        answers = self._write([Write(Verb.REPLACE, Kind.RELEASE, whole, "status")])
        self._raise_first(answers)
        return replace(
            view, status=status, mark=next((mark(one) for one in answers if isinstance(one, dict)), view.mark)
        )

    def _fail(self, view: ReleaseView, problem: str) -> ReleaseView:
        """Show the person what is wrong; return the release as it then stands."""
        status = failed(view, problem, self.now)
        if status == self._known(view).status:
            return view
        view = self._write_status(view, status)
        self._tell(view, (Note("InvalidSpec", problem, Severity.WARNING),))
        return view

    def _tidy(self, views: Sequence[ReleaseView]) -> None:
        """Remove DaemonSets that nothing needs; one that another took away meanwhile is no loss."""
        old = history.obsolete(self.held.daemon_sets, views, (*self.held.fleet.boxes, *self.held.fleet.unfit))
        self._raise_first(
            self._write(
                [
                    Write(
                        Verb.DELETE,
                        Kind.DAEMON_SET,
                        manifest(Kind.DAEMON_SET, one.mark.key[1], one.mark.key[0], metadata={"uid": one.mark.uid}),
                    )
                    for one in old
                ]
            )
        )

    def _tell(self, view: ReleaseView, notes: Sequence[Note], cause: Exception | None = None) -> None:
        """Tell what was decided; a decision stands though an Event of it is lost."""
        self.decisions += [Decision(view.mark.key[1], note, cause) for note in notes]
        for event in events(view, notes, self.now):
            try:
                self.cluster.tell(event)
            except (Conflict, Missing, Refused, Unavailable):
                self.untold += 1

    def _write(self, writes: Sequence[Write]) -> Sequence[Answer]:
        answers = self.cluster.write(writes, self.leads) if writes else ()
        for write, answer in zip(writes, answers, strict=True):
            if not isinstance(answer, Exception) and write.verb is not Verb.DELETE:
                self.answers.append((write.kind, answer))
        return answers

    @staticmethod
    def _raise_first(answers: Iterable[Answer]) -> None:
        """Raise the first failure; what is gone needs no write any more."""
        for answer in answers:
            if isinstance(answer, Exception) and not isinstance(answer, Missing):
                raise answer

    def _recheck(self, after: timedelta | None) -> None:
        if after is not None:
            self.recheck_after = min(after, self.recheck_after or after)


_SPEC_UNREADABLE: Final = (
    "this operator cannot read what the release asks for, so the boxes that it has moved stay as they are; run an "
    "operator that can, or create a new EdgeRelease in its place"
)
_UNREADABLE: Final = (
    "nothing is done with its boxes, for nobody knows where it stands; mend what was written there by hand, or create "
    "a new EdgeRelease in its place and then delete this one"
)
