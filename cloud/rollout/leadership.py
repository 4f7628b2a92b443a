"""Whether this process leads: asked of the cluster in a thread of its own, known from the last answer while it is good.

For the event loop's thread; only what ``unbroken`` returns may be called by others.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Final

from cloud.fleet.errors import Unavailable
from cloud.rollout.cluster import Missing, Refused, always
from cloud.rollout.peering import Lead, Signatures

ASKED_EVERY: Final = 2.0  # seconds; well below what an answer is good for


class Deposed(Exception):  # noqa: N818 - it states what happened
    """Another operator leads now: this process ends, and starts afresh as its standby."""


@dataclass(slots=True)
class Leadership:
    """What is known of who leads."""

    peering: Callable[[datetime], Signatures] | None  # asks the cluster who has signed; None: we are alone
    clock: Callable[[], float] = time.monotonic
    _lead: Lead = field(default_factory=Lead)
    _thread: ThreadPoolExecutor = field(default_factory=partial(ThreadPoolExecutor, 1, thread_name_prefix="lead"))

    async def ask(self) -> None:
        """Ask the cluster. Raises Deposed, Missing, Refused, Unavailable."""
        if self.peering is None:
            return
        asked = self.clock()
        reading = partial(self.peering, datetime.now(UTC))
        said = await asyncio.get_running_loop().run_in_executor(self._thread, reading)
        if said.rival is not None:
            raise Deposed(f"operator {said.rival} leads")
        self._lead = self._lead.confirmed(said, asked, self.clock())

    async def keep_asking(self) -> None:
        """Ask for ever, for a process that nothing wakes. Raises Deposed; what else goes wrong who writes is told."""
        while True:
            with contextlib.suppress(Unavailable, Missing, Refused):
                await self.ask()
            await asyncio.sleep(ASKED_EVERY)

    async def must_hold(self) -> None:
        """Raise Deposed if another operator leads, Unavailable while it is not certain that we do."""
        if not self.unbroken()():
            await self.ask()
        if not self.unbroken()():
            raise Unavailable("waits until it is certain that this operator leads")

    def unbroken(self) -> Callable[[], bool]:
        """Return what tells, in any thread and whenever it is called, whether we have led without a break since now."""
        if self.peering is None:
            return always
        term = self._lead.term
        return lambda: self._lead.term == term and self._lead.holds(self.clock())

    def end(self) -> None:
        """Ask no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)
