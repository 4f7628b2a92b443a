"""Whether watches still see: what an audit found missing may be on its way, unless a watch has fallen silent.

Times are seconds of a clock that never goes back.
"""

from collections.abc import Iterable
from typing import Final

from cloud.rollout.views import Key, Kind

SILENT_FOR: Final = 6.0  # seconds without any event, though an object is missed, before its watch counts as dead
LATE_FOR: Final = 300.0  # seconds that one object may be missed though its watch brings others, as in a flood of events


class Sight:
    """What is known of the watches."""

    def __init__(self) -> None:
        self._missed: dict[tuple[Kind, Key], float] = {}  # object -> since when it is missed
        self._heard: dict[Kind, float] = {}  # kind -> when its watch last brought something

    def heard(self, kind: Kind, now: float) -> None:
        """Take note that a watch brought something."""
        self._heard[kind] = now

    def audited(self, missed: Iterable[tuple[Kind, Key]], now: float) -> None:
        """Take note of all that an audit found missing."""
        self._missed = {one: self._missed.get(one, now) for one in missed}

    def lost(self, now: float) -> str | None:
        """Return which object a watch that lives would have brought by now; None: they see."""
        for (kind, (namespace, name)), since in self._missed.items():
            silent = now - max(since, self._heard.get(kind, since))
            if silent > SILENT_FOR or now - since > LATE_FOR:
                return f"the watch of {kind} missed {namespace}/{name} for {now - since:.0f} s"
        return None
