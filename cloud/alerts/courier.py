"""A thread for each channel that sends, and sends again: what cannot go now is told later, together.

Delivered at least once: whoever hands a notice over again after a crash is told apart by its key, where the channel
still remembers it, and by the receiver through the same key.
"""

import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import structlog

from cloud.alerts import budget
from cloud.alerts.channels.form import Answer, Delivered, Form, Message, Outcome, Refused, Style, Unavailable
from cloud.alerts.notice import Notice

log = structlog.get_logger("courier")

DELAYS: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds between attempts, ±25 %; the last one again and again, for alerts do not get old while they hold."""
REMEMBERED: Final = 10_000
"""Keys of notices that were delivered lately."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One way to tell people."""

    name: str
    form: Form
    style: Style
    post: Callable[[Message], Answer | Unavailable]


class Courier:
    """Brings notices to one channel. ``delivered`` is called from its thread with those that have arrived."""

    def __init__(self, channel: Channel, delivered: Callable[[str, Sequence[Notice]], None]) -> None:
        self._channel, self._delivered = channel, delivered
        self._waiting: tuple[Notice, ...] = ()
        self._known: OrderedDict[str, None] = OrderedDict()
        self._bucket = budget.full(channel.form.a_minute, time.monotonic())
        self._change, self._stopping = threading.Condition(), False
        self._thread = threading.Thread(target=self._run, name=f"courier {channel.name}", daemon=True)
        self.failing = ""  # why it does not deliver; empty: it does
        self.dropped = 0

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def tell(self, notices: Sequence[Notice]) -> None:
        """Send these; never blocks."""
        with self._change:
            fresh = [one for one in notices if one.key not in self._known]
            waiting = budget.kept((*self._waiting, *fresh))
            self.dropped += len(self._waiting) + len(fresh) - len(waiting)
            self._waiting = waiting
            self._change.notify()

    def stop(self, within: float = 2.0) -> tuple[Notice, ...]:
        """End; returns what was not delivered."""
        with self._change:
            self._stopping = True
            self._change.notify()
        self._thread.join(within)
        with self._change:
            return self._waiting

    def _run(self) -> None:
        failures = 0
        while (batch := self._batch()) is not None:
            outcome = self._sent(batch)
            failures = failures + 1 if isinstance(outcome, Unavailable) else 0
            self._note(batch, outcome)
            if isinstance(outcome, Unavailable):
                chance = random.uniform(0.75, 1.25)  # noqa: S311 - no secret
                self._pause(outcome.after or DELAYS[min(failures, len(DELAYS)) - 1] * chance)

    def _batch(self) -> tuple[Notice, ...] | None:
        """Wait for something to send, and for leave to send it; None: we stop."""
        with self._change:
            while not self._stopping:
                wait = self._bucket.wait(time.monotonic())
                if self._waiting and not wait:
                    return self._waiting
                self._change.wait(wait if self._waiting else None)
        return None

    def _sent(self, batch: tuple[Notice, ...]) -> Outcome:
        channel = self._channel
        self._bucket = self._bucket.taken(time.monotonic())
        answer = channel.post(channel.form.message(budget.digest(batch), channel.style, datetime.now(UTC)))
        return answer if isinstance(answer, Unavailable) else channel.form.outcome(answer)

    def _note(self, batch: tuple[Notice, ...], outcome: Outcome) -> None:
        match outcome:
            case Delivered():
                self._over(batch)
                self._say("")
                self._delivered(self._channel.name, batch)
            case Refused(why):
                self._over(batch)
                self.dropped += len(batch)
                self._say(why)
            case Unavailable(why):
                self._say(why)

    def _over(self, batch: tuple[Notice, ...]) -> None:
        keys = {one.key for one in batch}
        with self._change:
            self._waiting = tuple(one for one in self._waiting if one.key not in keys)
            self._known.update(dict.fromkeys(keys))
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)

    def _say(self, why: str) -> None:
        """Log when a channel begins to fail, fails for another reason, or is well again."""
        if why != self.failing:
            self.failing = why
            log.warning("ChannelFailing", channel=self._channel.name, message=why) if why else log.info(
                "ChannelWell", channel=self._channel.name
            )

    def _pause(self, seconds: float) -> None:
        with self._change:
            self._change.wait_for(lambda: self._stopping, seconds)
