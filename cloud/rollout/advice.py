"""What a person should know first of a release, and which commands make sense now."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cloud.rollout.control import awaiting
from cloud.rollout.release import Release
from cloud.rollout.status import OVER, Phase, ReleaseStatus

UNSEEN_AFTER: Final = timedelta(seconds=30)
"""An operator that runs looks at a new release within a second or two."""


@dataclass(frozen=True, slots=True)
class Advice:
    """The answer to "what now?"."""

    sentence: str
    commands: tuple[str, ...]  # without the program's name and the namespace; exact, to be copied


def advise(release: Release, status: ReleaseStatus, now: datetime) -> Advice:
    """Return what to tell of the release first and what can be done."""
    return Advice(_sentence(release, status, now), tuple(_commands(release, status)))


def passed(status: ReleaseStatus) -> bool:
    """Tell whether the release has reached what it can reach now: only dark boxes are left."""
    return status.phase in {Phase.SUCCEEDED, Phase.CATCHING_UP}


def stuck(release: Release, status: ReleaseStatus) -> bool:
    """Tell whether the release will not reach its goal unless a person acts: it failed, went back or was ended."""
    if status.observed_generation != release.generation:
        return False
    return status.phase in OVER - {Phase.SUCCEEDED} or (status.phase is Phase.PAUSED and status.breach is not None)


def _sentence(release: Release, status: ReleaseStatus, now: datetime) -> str:
    if status.observed_generation is None:
        age = now - release.created
        if age < UNSEEN_AFTER:
            return "Just created; the operator has not looked at it yet."
        return "No operator has looked at this release: is it running? `edgefleet doctor` tells."
    told = status.message or f"{status.phase}."
    if status.observed_generation != release.generation:
        return f"{told} (The last change of the release has not been looked at yet.)"
    return told


def _commands(release: Release, status: ReleaseStatus) -> list[str]:
    name, control = release.name, release.spec.control
    if status.phase in OVER:
        return [f"rollback {name} --reason WHY"] if status.phase is Phase.SUCCEEDED and control.abort is None else []
    if control.abort is not None:
        return [f"watch {name}"]
    stage = awaiting(release, status)
    commands = [f"approve {name} --stage {stage}"] if stage else []
    if control.paused:
        commands.append(f"resume {name}")
    elif status.phase is not Phase.PAUSED:
        commands += [f"watch {name}", f"pause {name}"]
    if status.failures:
        commands.append(f"why {status.failures[0].example}")
    commands.append(f"rollback {name} --reason WHY")
    return commands
