"""The operator's process: settings, access, kopf, and how it ends."""

import asyncio
import os
import socket
import sys
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Final

import kopf
import structlog
from prometheus_client import start_http_server

from cloud import depth, logs
from cloud.fleet.errors import SpecError
from cloud.rollout.cluster import Missing
from cloud.rollout.connectivity import NodeReady
from cloud.rollout.handlers import kopf_settings, quiet, registry_of
from cloud.rollout.kube import KubeCluster, access
from cloud.rollout.leadership import Deposed, Leadership
from cloud.rollout.mirror import Mirror
from cloud.rollout.peering import Signatures, signatures
from cloud.rollout.pinning import Registries
from cloud.rollout.worker import Blind, Work
from cloud.settings import OperatorSettings

PEERINGS: Final = "/apis/kopf.dev/v1/clusterkopfpeerings"
AFRESH: Final = 3  # exit code: nothing is wrong with the settings, start this process again

log = structlog.get_logger("operator")


def run(settings: OperatorSettings) -> int:
    """Run until a signal, or until only a fresh process helps; return the exit code. Raises SpecError."""
    quiet(logs.set_up(settings.log_level))
    if not depth.reads_all():
        log.warning("ShallowPython", message=_SHALLOW)
    configuration = access()
    cluster = KubeCluster(configuration)
    if settings.peering:
        _must_have_peering(cluster, settings)
    _serve_metrics(settings)
    try:
        return asyncio.run(_operate(settings, cluster, configuration))
    finally:
        cluster.close()


_SHALLOW: Final = (
    f"Python {sys.version_info.major}.{sys.version_info.minor} cannot read every object that the API server takes: one "
    "EdgeRelease with a deeply nested template ends this process again and again; run the operator on Python 3.11"
)


def _serve_metrics(settings: OperatorSettings) -> None:
    """Raise SpecError if the port is taken."""
    try:
        if settings.metrics_port:
            start_http_server(settings.metrics_port, addr=settings.listen)
    except OSError as taken:
        raise SpecError(
            f"cannot listen on {settings.listen}:{settings.metrics_port}: {taken.strerror}; set EDGEFLEET_METRICS_PORT "
            "to a free port, or to 0 for none"
        ) from taken


async def _operate(settings: OperatorSettings, cluster: KubeCluster, configuration: Any) -> int:  # noqa: ANN401 - untyped
    identity, priority = _identity(), _priority()
    work = Work(
        cluster=cluster,
        registry=Registries(resolve=settings.resolve_images),
        mirror=Mirror(NodeReady()),
        pace=settings.pace_seconds,
        audit_every=settings.audit_seconds,
        leadership=Leadership(_peering(cluster, settings, identity, priority) if settings.peering else None),
    )
    stop = asyncio.Event()
    log.info("starting", identity=identity, cluster=configuration.host)
    looking = asyncio.create_task(work.run(), name="work")
    looking.add_done_callback(lambda _: stop.set())
    await kopf.operator(
        registry=registry_of(work, partial(_credentials, configuration)),
        settings=kopf_settings(settings.lead_seconds, priority),
        identity=identity,  # type: ignore[arg-type] # kopf has a name of its own for this str
        clusterwide=True,
        standalone=not settings.peering,
        peering_name=settings.peering or None,
        liveness_endpoint=f"http://{settings.listen}:{settings.probe_port}/healthz" if settings.probe_port else None,
        stop_flag=stop,
    )
    if not looking.done():
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        log.info("stopped")
        return 0
    return _ended(looking)


def _ended(looking: asyncio.Task[None]) -> int:
    if looking.cancelled():
        return 0
    match looking.exception():
        case None:
            log.info("stopped")
            return 0
        case Deposed() | Blind() as why:
            log.warning(type(why).__name__, message=f"{why}; this process ends to start afresh")
            return AFRESH
        case bug:
            log.error("Broken", message=str(bug), exc_info=bug)
            return 1


def _identity() -> str:
    """Return the name under which this process signs the peering object.

    In a pod it is the pod's: a container that is started again takes over from itself and need not wait.
    """
    return os.environ.get("POD_NAME") or f"{socket.gethostname()}-{os.getpid()}-{time.time_ns() // 10**6 % 10**9}"


def _priority() -> int:
    """Return who goes before whom: the oldest process leads, so a new one never takes over from one that works."""
    return 2**53 - time.time_ns() // 1000  # fits the integers that JSON carries safely


def _peering(
    cluster: KubeCluster, settings: OperatorSettings, identity: str, priority: int
) -> Callable[[datetime], Signatures]:
    def read(now: datetime) -> Signatures:
        status = cluster.get(f"{PEERINGS}/{settings.peering}").get("status")
        return signatures(status or {}, identity, priority, now)

    return read


def _must_have_peering(cluster: KubeCluster, settings: OperatorSettings) -> None:
    """Raise SpecError if operators could not agree on a leader."""
    try:
        cluster.get(f"{PEERINGS}/{settings.peering}")
    except Missing as absent:
        raise SpecError(
            f"the peering object {settings.peering!r} is missing: kubectl apply --server-side -k manifests/crds, then "
            "the same with manifests/base, or set EDGEFLEET_PEERING= to run a single operator"
        ) from absent


def _credentials(configuration: Any) -> kopf.ConnectionInfo:  # noqa: ANN401 - a class of an untyped library
    """Return the same access for kopf's watches."""
    header = configuration.get_api_key_with_prefix("BearerToken") or configuration.get_api_key_with_prefix(
        "authorization"
    )
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        token=header.removeprefix("Bearer ") if header else None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
    )
