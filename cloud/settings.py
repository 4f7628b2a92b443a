"""Settings of the cloud's processes: from the environment, all problems reported at once, at start."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, TypeVar

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from cloud.fleet.errors import SpecError

PREFIX: Final = "EDGEFLEET_"


class OperatorSettings(BaseSettings):
    """What can be set of the operator; each as an environment variable with the prefix ``EDGEFLEET_``."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    peering: Annotated[
        str,
        Field(
            max_length=253,
            description="Name of the peering object through which operators agree on a leader. Empty: run alone.",
        ),
    ] = "edgefleet-operator"
    lead_seconds: Annotated[
        int,
        Field(
            ge=12,
            le=300,
            description="A leader that has not signed for so long is replaced. It signs up to 10 s before; 20 s is "
            "the shortest that outlives one lost request.",
        ),
    ] = 20
    metrics_port: Annotated[int, Field(ge=0, le=65535, description="Port of /metrics; 0: none.")] = 9464
    probe_port: Annotated[int, Field(ge=0, le=65535, description="Port of /healthz; 0: none.")] = 8464
    listen: Annotated[str, Field(description="Address that /metrics and /healthz listen on; 0.0.0.0 in a pod.")] = (
        "127.0.0.1"
    )
    resolve_images: Annotated[
        bool,
        Field(description="Ask the registry once per release which digest the tag means, so that all boxes get that."),
    ] = True
    audit_seconds: Annotated[
        float,
        Field(
            gt=0,
            le=3600,
            description="How often what watches brought is compared with the cluster. A comparison lists only names: "
            "20 requests for 10,000 boxes.",
        ),
    ] = 300.0
    pace_seconds: Annotated[
        float,
        Field(ge=0.05, le=60, description="Seconds between two looks at one workload, so between two status writes."),
    ] = 1.0
    log_level: Annotated[
        str, Field(pattern=r"^(debug|info|warning|error)$", description="Least severe line that is logged.")
    ] = "info"


class MonitorSettings(BaseSettings):
    """What can be set of the monitor; each as an environment variable with the prefix ``EDGEFLEET_``."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    broker_host: Annotated[str, Field(min_length=1, max_length=253, description="Where the MQTT broker is.")] = (
        "127.0.0.1"
    )
    broker_port: Annotated[int, Field(ge=1, le=65535, description="Its port.")] = 8883
    broker_ca: Annotated[
        Path | None,
        Field(description="Certificates that prove the broker's. Absent: no TLS, on this machine."),
    ] = None
    broker_certificate: Annotated[Path | None, Field(description="Our own certificate, for the broker.")] = None
    broker_key: Annotated[Path | None, Field(description="Its key.")] = None
    broker_name: Annotated[
        str,
        Field(
            pattern=r"^[a-z0-9]([-a-z0-9]{0,62})$",
            description="Our name at the broker: that of our certificate. Each monitor has its own.",
        ),
    ] = "monitor"
    cluster: Annotated[
        bool,
        Field(
            description="Write verdicts into the EdgeBoxes of the cluster that KUBECONFIG or the pod's account names, "
            "so that releases leave dark boxes alone at once."
        ),
    ] = False
    replica: Annotated[int, Field(ge=0, le=63, description="Which of the monitors this is, from 0 on.")] = 0
    replicas: Annotated[
        int, Field(ge=1, le=64, description="Monitors in all. Each hears the shards whose number mod this is its own.")
    ] = 1
    state: Annotated[Path, Field(description="Folder for what must outlive the process.")] = Path("edgefleet-monitor")
    log_level: Annotated[
        str, Field(pattern=r"^(debug|info|warning|error)$", description="Least severe line that is logged.")
    ] = "info"


S = TypeVar("S", bound=BaseSettings)


def load(**given: object) -> OperatorSettings:
    """Return the operator's settings; what is ``given`` and not None goes before the environment.

    Raises SpecError that names every bad one.
    """
    return _loaded(OperatorSettings, given)


def load_monitor(**given: object) -> MonitorSettings:
    """Return the monitor's settings, as ``load`` does."""
    settings = _loaded(MonitorSettings, given)
    if settings.replica >= settings.replicas:
        raise SpecError(f"settings: {PREFIX}REPLICA: must be below {PREFIX}REPLICAS, which is {settings.replicas}")
    if (settings.broker_certificate is None) is not (settings.broker_key is None):
        raise SpecError(f"settings: {PREFIX}BROKER_CERTIFICATE and {PREFIX}BROKER_KEY: set both, or neither")
    return settings


def _loaded(kind: type[S], given: Mapping[str, object]) -> S:
    try:
        return kind.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as wrong:
        problems = (f"{PREFIX}{str(one['loc'][0]).upper()}: {one['msg']}" for one in wrong.errors(include_url=False))
        raise SpecError("settings: " + "; ".join(problems)) from wrong
