"""The near side of the link process: open a site's uplink, cut and heal it, make it slow and lossy."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.sockets import ask

SOCKET = "link.sock"


@dataclass(frozen=True, slots=True)
class Shape:
    """What an uplink does to what passes: one-way delay in milliseconds, share of lost segments (0 to 0.9)."""

    cut: bool
    delay_ms: float
    loss: float


@dataclass(frozen=True, slots=True)
class Links:
    """All sites' uplinks; every call raises ClusterError with the next step."""

    folder: Path

    def open(self, site: str, targets: Mapping[str, str]) -> dict[str, int]:
        """Give each target (host:port) a near port; more targets can be added later. "images" is always there."""
        ports: dict[str, int] = self._ask({"op": "open", "site": site, "targets": dict(targets)})["ports"]
        return ports

    def cut(self, site: str) -> None:
        """Hold all bytes, both ways; open connections stay open and new ones hang."""
        self._ask({"op": "set", "site": site, "cut": True})

    def heal(self, site: str) -> None:
        """Let the bytes flow again, those held first."""
        self._ask({"op": "set", "site": site, "cut": False})

    def degrade(self, site: str, delay_ms: float, loss: float) -> None:
        """Make it slow and lossy; 0 and 0 make it good again."""
        self._ask({"op": "set", "site": site, "delayMs": delay_ms, "loss": loss})

    def state(self) -> dict[str, Shape]:
        """Every site's uplink as it is now."""
        sites = self._ask({"op": "state"})["sites"]
        return {name: Shape(one["cut"], one["delayMs"], one["loss"]) for name, one in sites.items()}

    def _ask(self, question: dict[str, object]) -> dict[str, Any]:
        return ask(self.folder / SOCKET, question)
