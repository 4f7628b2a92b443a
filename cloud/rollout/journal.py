"""What the operator's log says of its work: a line for each decision that changed something, and what went wrong."""

from collections.abc import Iterable

import structlog

from cloud.fleet.upkeep import Unfit
from cloud.rollout import metrics
from cloud.rollout.reconcile import Look
from cloud.rollout.views import Kind, Mark, WorkloadKey

log = structlog.get_logger("operator")


def tell_look(key: WorkloadKey, look: Look) -> None:
    """Tell what one look at a workload has decided, and count what went wrong in it."""
    metrics.ERRORS.labels(error="EventLost").inc(look.untold)
    for trouble in look.troubles:
        metrics.ERRORS.labels(error=trouble.reason).inc()
    for one in look.decisions:
        about = {"release": f"{key[0]}/{one.release}", "workload": key[1], "message": one.note.message}
        say = log.error if one.cause else log.info
        say(one.note.reason, exc_info=one.cause, **about)


def tell_unfit(nodes: Iterable[Unfit]) -> None:
    """Tell which nodes have no EdgeBox that says what they say."""
    for one in nodes:
        log.warning("UnfitNode", node=one.box, message=one.problem)


def tell_unreadable(kind: Kind, one: Mark, bug: Exception) -> None:
    """Count and tell of an object that this program cannot read."""
    metrics.ERRORS.labels(error="Unreadable").inc()
    about = {"kind": kind.value, "namespace": one.key[0], "name": one.key[1]}
    log.error("Unreadable", message=f"a fault in this program: {type(bug).__name__}: {bug}", exc_info=bug, **about)


def tell_failure(key: WorkloadKey, result: str, failure: Exception, delay: float) -> None:
    """Count and tell what ended a look, or an audit."""
    metrics.ERRORS.labels(error=type(failure).__name__).inc()
    about = {"namespace": key[0], "workload": key[1], "retry_in": round(delay, 1)}
    match result:
        case "broken":
            log.error("Broken", message=str(failure), exc_info=failure, **about)
        case "conflict":
            log.debug("Conflict", message=str(failure), **about)
        case _:
            log.warning(type(failure).__name__, message=str(failure), **about)
