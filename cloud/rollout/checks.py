"""What forbids a release to move a box; each check is named as its objection."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from cloud.rollout.actions import Move
from cloud.rollout.budget import Ledger
from cloud.rollout.moves import forward, way_forward
from cloud.rollout.release import Abort, FailureAction
from cloud.rollout.snapshot import Box, Snapshot
from cloud.rollout.status import MOST_TRIED, Effort, Waiting
from cloud.rollout.windows import NoZone, OddZone, next_start


@dataclass(frozen=True, slots=True)
class Objection:
    """Why something does not happen now."""

    reason: Waiting
    hint: str  # a sentence: what it waits for, and what a person can do
    until: datetime | None = None  # None: until somebody or something acts
    boxes: tuple[str, ...] = ()  # that wait for it; empty: the whole release

    def of(self, *boxes: str) -> "Objection":
        """Return the same objection for these boxes."""
        return Objection(self.reason, self.hint, self.until, boxes)


@dataclass(frozen=True, slots=True)
class Visit:
    """A site at which boxes could be moved now."""

    snapshot: Snapshot
    site: str
    ledger: Ledger
    now: datetime


@dataclass(frozen=True, slots=True)
class Attempt:
    """A box that could be moved now."""

    visit: Visit
    box: Box
    effort: Effort | None  # the attempt that failed before; None: this is the first

    @property
    def move(self) -> Move:
        """The patch that brings the version to the box."""
        snapshot = self.visit.snapshot
        return forward(self.box, snapshot.wanted[self.box.name], snapshot.versions, snapshot.release.uid)


def too_many_failures(snapshot: Snapshot) -> Objection | None:
    """Object once more boxes failed than may."""
    breach = snapshot.status.breach
    if breach is None:
        return None
    hint = f"{breach.message} Create a new release, raise onFailure.maxFailed, or roll back."
    return Objection(Waiting.PAUSED, hint)


def paused(snapshot: Snapshot) -> Objection | None:
    """Object while a person has paused the release."""
    if not snapshot.release.spec.control.paused:
        return None
    return Objection(Waiting.PAUSED, f"Paused by a person: edgefleet resume {snapshot.release.name} goes on.")


def stopped_for_good(snapshot: Snapshot) -> Objection | None:
    """Object once a person has ended the release."""
    if snapshot.release.spec.control.abort is None:
        return None
    return Objection(Waiting.PAUSED, "Ended by a person: create a new release.")


def superseded(snapshot: Snapshot) -> Objection | None:
    """Object once a newer release owns every box."""
    return Objection(Waiting.PAUSED, "A newer release has taken over.") if snapshot.superseded else None


RELEASE_CHECKS: tuple[Callable[[Snapshot], Objection | None], ...] = (
    stopped_for_good,
    superseded,
    too_many_failures,
    paused,
)
"""Order is meaning: the first objection is the one a person is told."""


def release_objection(snapshot: Snapshot) -> Objection | None:
    """Return why the release brings its version to no further box now; None: it may."""
    return next((objection for check in RELEASE_CHECKS if (objection := check(snapshot))), None)


def retreat(snapshot: Snapshot) -> FailureAction | None:
    """Return how far the release takes boxes back now; None: it does not."""
    abort = snapshot.release.spec.control.abort
    if abort is not None:
        return FailureAction.ROLLBACK_ALL if abort is Abort.ROLLBACK else None
    action, status = snapshot.release.spec.on_failure.action, snapshot.status
    if status.breach is None or action is FailureAction.PAUSE or status.completed_at is not None:
        return None
    return action


def outside_window(visit: Visit) -> Objection | None:
    """Object while no window is open long enough at the site."""
    spec, site = visit.snapshot.release.spec, visit.site
    if spec.control.emergency is not None:
        return None
    try:
        start = next_start(spec.windows, visit.snapshot.zones.get(site), visit.now, spec.health.timeout)
    except NoZone:
        hint = f"Site {site} has no time zone, so its windows cannot be told: create its EdgeSite with timeZone."
        return Objection(Waiting.WINDOW, hint)
    except OddZone as zone:
        hint = f"Time zone {zone} of spec.windows does not exist, so no window opens; use a name such as Asia/Shanghai."
        return Objection(Waiting.WINDOW, hint)
    if start is None:
        hint = "No window is as long as health.timeout: lengthen a window or shorten the timeout."
        return Objection(Waiting.WINDOW, hint)
    if start <= visit.now:
        return None
    return Objection(Waiting.WINDOW, f"The next window at {site} opens then.", start)


def too_many_sites(visit: Visit) -> Objection | None:
    """Object while as many other sites are being changed as may be."""
    refusal = visit.ledger.site_refused(visit.site)
    return Objection(Waiting.BUDGET, f"{refusal}.") if refusal else None


def back_off(attempt: Attempt) -> Objection | None:
    """Object until the time of the next attempt has come."""
    effort = attempt.effort
    if effort is None or effort.retry_at is None or effort.retry_at <= attempt.visit.now:
        return None
    hint = f"{attempt.box.name} failed ({effort.cause}) and is tried again, attempt {effort.attempt + 1}."
    return Objection(Waiting.RETRY, hint, effort.retry_at)


def status_full(attempt: Attempt) -> Objection | None:
    """Object while the status of the release holds as many boxes as it may, this one not among them."""
    tried = attempt.visit.ledger.tried
    if len(tried) < MOST_TRIED or attempt.box.name in tried:
        return None
    hint = (
        f"{len(tried)} boxes are under way or have failed, as many as a release keeps account of: the others follow "
        "when some are healthy; if they do not become so, mend the version and create a new release."
    )
    return Objection(Waiting.BUDGET, hint)


def budget_spent(attempt: Attempt) -> Objection | None:
    """Object while the budget does not allow one more box; enter the move in the ledger if it does."""
    box, snapshot = attempt.box, attempt.visit.snapshot
    after = way_forward(box, snapshot.wanted[box.name], snapshot.versions)
    refusal = attempt.visit.ledger.admit(box, after)
    return Objection(Waiting.BUDGET, f"{refusal}.") if refusal else None


SITE_CHECKS: tuple[Callable[[Visit], Objection | None], ...] = (outside_window, too_many_sites)
BOX_CHECKS: tuple[Callable[[Attempt], Objection | None], ...] = (back_off, status_full, budget_spent)
"""The budget comes last, because it is spent by being asked."""


def site_objection(visit: Visit) -> Objection | None:
    """Return why no box of the site is moved now; None: each is looked at."""
    return next((objection for check in SITE_CHECKS if (objection := check(visit))), None)


def box_objection(attempt: Attempt) -> Objection | None:
    """Return why the box is not moved now though its site may be; None: it is, and the ledger has it."""
    return next((objection for check in BOX_CHECKS if (objection := check(attempt))), None)
