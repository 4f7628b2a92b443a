"""What kopf does for us: watches of six kinds, a peering, a probe. Nothing of kopf is ever written to a watched object.

Only ``on.event`` handlers, which keep no state. kopf's own indices are not used: they hold every raw object until all
are listed, keep what was deleted while a watch was down, and cannot take in the answers to our own writes.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

import kopf

from cloud.rollout.cluster import RESOURCES, Resource
from cloud.rollout.views import Kind
from cloud.rollout.worker import Work

STOP_SECONDS: Final = 3.0  # for the writes under way; Kubernetes gives thirty in all


def registry_of(work: Work, credentials: Callable[[], kopf.ConnectionInfo]) -> kopf.OperatorRegistry:
    """Return the handlers of one operator; ``credentials`` is asked again when the cluster refuses the last ones."""
    registry = kopf.OperatorRegistry()
    for kind, resource in RESOURCES.items():
        _watch(registry, work, kind, resource)

    @kopf.on.login(registry=registry)
    async def login(**_: object) -> kopf.ConnectionInfo:
        return credentials()

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: object) -> None:
        await work.stop(STOP_SECONDS)

    @kopf.on.probe(registry=registry, id="looks")
    async def probe(**_: object) -> str:
        if (complaint := work.stuck()) is not None:
            raise kopf.PermanentError(complaint)
        return "well"

    return registry


def kopf_settings(lead_seconds: int, priority: int) -> kopf.OperatorSettings:
    """Return kopf's settings, each with its reason."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False  # decisions are told by us, as Events on the release
    settings.execution.max_workers = 1  # our handlers are coroutines
    settings.process.ultimate_exiting_timeout = 10.0  # a hung request must not keep a stopped process alive
    settings.peering.lifetime = lead_seconds
    settings.peering.priority = priority
    settings.peering.stealth = True
    # A watch must never go blind in silence. Kubernetes sends a bookmark a minute, so 70 silent seconds (kopf's
    # default, kept) mean a dead stream; the server ends each after 5 minutes at the latest, and the client a little
    # later if the server forgets; a connection that cannot be made counts as lost after 5 s. What still slips
    # through is found by the audits of worker.py.
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330.0
    settings.watching.connect_timeout = 5.0
    settings.watching.chunk_size = 500
    settings.networking.request_timeout = 60.0
    settings.networking.connect_timeout = 5.0
    settings.queueing.idle_timeout = 0.5  # a task per object, with its last body, lives this long after an event
    settings.queueing.exit_timeout = 1.0
    settings.persistence.finalizer = "edgefleet.io/unused"  # no handler of ours asks for one
    settings.persistence.consistency_timeout = 0.0
    for resource in RESOURCES.values():
        if resource.selector:
            group, _, version = resource.api_version.rpartition("/")
            settings.watching.label_selectors[group, version, resource.plural] = resource.selector
    return settings


def quiet(level: int) -> None:
    """Let kopf log only what a person has to know; our own lines are structured."""
    logging.getLogger("kopf").setLevel(max(level, logging.WARNING))
    for chatty in ("aiohttp", "urllib3", "asyncio", "httpx", "httpcore"):
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))


def _watch(registry: kopf.OperatorRegistry, work: Work, kind: Kind, resource: Resource) -> None:
    group, _, version = resource.api_version.rpartition("/")

    @kopf.on.event(group, version, resource.plural, registry=registry, id=f"see-{resource.plural}")
    async def see(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401 - kopf passes a dozen more
        work.seen(kind, event["type"], dict(event["object"]))
