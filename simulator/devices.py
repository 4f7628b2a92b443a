"""Many simulated boxes at work in one thread: their clocks, their sessions, their LANs, and what befalls them.

Composition: what a box says device.py decides, how it travels is mqtt.py's. A cut or a loss that is asked for here
holds up the bytes of the boxes alone; where a site's uplink is a forwarder, cut that, and KubeEdge is dark as well.
"""

import heapq
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from types import MappingProxyType
from typing import Final

from edgeagent.outbox import Now, Parcel, Portrait, Vitals
from edgeagent.redial import DELAYS, delay, failures
from edgeagent.wire import Address, Ask, Channel, Finding, GpuState, WorkloadState, topic
from simulator import device as boxes
from simulator.device import Condition, Device
from simulator.mishaps import Blow, Change
from simulator.mqtt import Call, Delivered, Ended, Endpoint, Name, Opened, Received, Switchboard, Told

GIVES_UP_AFTER: Final = 8.0
"""Seconds of a cut after which both sides have given the session up: the keep-alive and a half of it."""
LAN_DELAY: Final = 0.002
"""Seconds for a neighbour's answer on the LAN."""
CLONE: Final = "clone"
SILENCING: Final = {
    Change.POWER_OFF: Condition.OFF, Change.FREEZE: Condition.FROZEN, Change.KILL_AGENT: Condition.AGENT_DOWN
}  # fmt: skip
REVIVING: Final = frozenset({Change.BOOT, Change.THAW, Change.START_AGENT})
_OF_LINKS: Final = frozenset({Change.CUT, Change.HEAL, Change.LOSE_SEGMENTS, Change.LOSE_NONE})
FIGURES: Final = {"node_load1": 0.1, "node_memory_MemAvailable_bytes": 6e9, "node_filesystem_avail_bytes": 4e10}
WHOLE: Final = Vitals({"scan": WorkloadState.RUNNING, "sync": WorkloadState.RUNNING}, {"L4": GpuState.OK})


@dataclass(slots=True)
class _Machine:
    device: Device
    endpoint: Endpoint
    failures: int = 0
    opened: float = 0.0  # when its session was; 0: it has none
    cut: float | None = None  # since when; None: bytes flow
    loss: float = 0.0
    free: float = 0.0  # until when a lost segment stands before all that follows


class Devices:
    """A fleet of simulated boxes; ``endpoints`` says where each finds the broker, ``wholes`` how it is when well."""

    def __init__(  # noqa: PLR0913 - each has a usual answer
        self, endpoints: Mapping[Address, Endpoint], *, seed: int = 0, whole: Vitals = WHOLE, period: float = 1.0,
        wholes: Mapping[Address, Vitals] = MappingProxyType({}), entered: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self._board = Switchboard(entered)
        self._orders: SimpleQueue[tuple[Callable[[], None], Future[float]]] = SimpleQueue()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._stopping = False
        now = time.monotonic()
        self._machines = {
            (address, ""): _Machine(self._made(address, wholes.get(address, whole), period, now), endpoint)
            for address, endpoint in endpoints.items()
        }
        self._thread = threading.Thread(target=self._run, name="devices", daemon=True)
        self.seconds = 0.0  # of processor that the thread has used

    def start(self, within: float = 1.0) -> None:
        """Switch all boxes on, evenly over so many seconds."""
        for place, name in enumerate(self._machines):
            self._after(within * place / len(self._machines), lambda name=name: self._dial(name))  # type: ignore[misc]
        self._thread.start()

    def stop(self) -> None:
        """End, as when all power is gone."""
        self._stopping = True
        self._board.wake()
        self._thread.join()
        self._board.close()

    def connected(self) -> int:
        """Return how many boxes have a session."""
        return sum(bool(machine.opened) for machine in list(self._machines.values()))

    @property
    def sent(self) -> tuple[int, int]:
        """Messages and bytes of payload that boxes have sent."""
        return self._board.parcels, self._board.sent

    def strike(self, change: Change, where: Iterable[Address], blow: Blow) -> "Future[float]":
        """Do this to these boxes at one moment, which the future tells, by the monotonic clock."""
        names = [(address, "") for address in where]

        def order() -> None:
            for name in names:
                if name in self._machines:
                    self._strike(name, change, blow)

        done: Future[float] = Future()
        self._orders.put((order, done))
        self._board.wake()
        return done

    def _made(self, address: Address, whole: Vitals, period: float, now: float) -> Device:
        """A box that has been up for up to a month."""
        portrait = Portrait(
            address, self._boot(), version="simulated", period=period, lan=("192.0.2.1",), port=7946,
            facts={"model": "simulated"},
        )  # fmt: skip
        return boxes.device(portrait, whole, now - self._random.uniform(60, 30 * 86400))

    def _boot(self) -> str:
        return f"{self._random.getrandbits(64):016x}"

    def _run(self) -> None:
        begun = time.thread_time()
        while not self._stopping:
            wait = self._due[0][0] - time.monotonic() if self._due else 0.5
            for told in self._board.poll(min(wait, 0.5)):
                self._take(told)
            self._obey()
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                heapq.heappop(self._due)[2]()
            self.seconds = time.thread_time() - begun

    def _obey(self) -> None:
        while True:
            try:
                order, done = self._orders.get_nowait()
            except Empty:
                return
            at = time.monotonic()
            order()
            done.set_result(at)

    def _after(self, seconds: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._count), do))

    def _now(self, machine: _Machine) -> Now:
        return boxes.now_of(machine.device, time.monotonic(), time.time())

    def _dial(self, name: Name) -> None:
        machine = self._machines.get(name)
        if machine is None or machine.opened or machine.cut is not None or not _speaks(machine.device):
            return
        address = name[0]
        session, will = boxes.opening(machine.device, self._now(machine))
        topics = (topic(address, Channel.CONFIG), topic(address, Channel.ASK))
        self._board.dial(Call(name, machine.endpoint, str(address), session, will, topics))

    def _take(self, told: Told) -> None:
        machine = self._machines.get(told.name)
        if machine is None:
            return
        match told:
            case Opened(session=session):
                machine.opened = time.monotonic()
                self._said(told.name, boxes.opened(machine.device, session, self._now(machine)))
                self._beat_when_due(told.name)
            case Ended():
                self._ended(told.name, machine)
            case Delivered(token=token):
                machine.device = boxes.delivered(machine.device, token)
            case Received(topic=heard, payload=payload):
                machine.device, parcels, ask = boxes.received(machine.device, heard, payload, self._now(machine))
                self._say(told.name, parcels)
                if ask is not None:
                    self._look(told.name, ask)

    def _ended(self, name: Name, machine: _Machine) -> None:
        lasted = time.monotonic() - machine.opened if machine.opened else 0.0
        machine.failures = failures(machine.failures, lasted)
        machine.opened, machine.device = 0.0, boxes.closed(machine.device)
        self._after(delay(machine.failures, self._random.random()), lambda: self._dial(name))

    def _beat_when_due(self, name: Name) -> None:
        """Beat, and be here again at the next one, as long as the session lasts."""
        opened = self._machines[name].opened

        def beat() -> None:
            machine = self._machines.get(name)
            if machine is None or machine.opened != opened or not _speaks(machine.device):
                return
            if machine.cut is not None and time.monotonic() - machine.cut > GIVES_UP_AFTER:
                self._give_up(name, machine)
                return
            now = self._now(machine)
            self._said(name, boxes.ticked(machine.device, now, FIGURES))
            self._board.tend(name)
            self._after(machine.device.pulse.due - now.elapsed, beat)

        self._after(self._machines[name].device.pulse.due - self._now(self._machines[name]).elapsed, beat)

    def _give_up(self, name: Name, machine: _Machine) -> None:
        """A cut has lasted so long that the session is none any more; the broker does not hear its end."""
        self._board.drop(name, silently=True)
        machine.opened, machine.device = 0.0, boxes.closed(machine.device)

    def _said(self, name: Name, said: boxes.Said) -> None:
        self._machines[name].device = said[0]
        self._say(name, said[1])

    def _say(self, name: Name, parcels: tuple[Parcel, ...]) -> None:
        """Send, as late as lost segments make it: TCP delivers in order, so what follows a lost one waits as well."""
        machine, now = self._machines[name], time.monotonic()
        stalled = sum(boxes.stall(machine.loss, self._random.random) for _ in parcels) if machine.loss else 0.0
        machine.free = max(machine.free, now) + stalled
        if machine.free <= now:
            self._board.say(name, parcels)
        elif parcels:
            session = machine.opened
            self._after(machine.free - now, lambda: self._say_late(name, session, parcels))

    def _say_late(self, name: Name, session: float, parcels: tuple[Parcel, ...]) -> None:
        machine = self._machines.get(name)
        if machine is not None and machine.opened == session and _speaks(machine.device):
            self._board.say(name, parcels)

    def _look(self, name: Name, ask: Ask) -> None:
        """Look for a neighbour on the LAN, which takes the whole time where nobody answers."""
        neighbour = self._machines.get((Address(name[0].site, ask.box), ""))
        found = boxes.found(neighbour.device if neighbour else None)

        def answer() -> None:
            machine = self._machines.get(name)
            if machine is not None and machine.opened and _speaks(machine.device):
                self._said(name, boxes.answered(machine.device, ask.nonce, found))

        self._after(LAN_DELAY if found is Finding.AGENT else ask.within, answer)

    def _strike(self, name: Name, change: Change, blow: Blow) -> None:
        machine = self._machines[name]
        if change in SILENCING:
            self._silence(name, SILENCING[change])
        elif change in REVIVING:
            self._revive(name, change)
        elif change in _OF_LINKS:
            self._shape(name, change, blow)
        elif change is Change.CLONE:
            self._clone(name, machine)
        elif change is Change.REMOVE_CLONE:
            self._board.drop((name[0], CLONE))
            self._machines.pop((name[0], CLONE), None)
        elif _speaks(machine.device):
            self._said(name, boxes.befallen(machine.device, change, blow, self._now(machine)))

    def _silence(self, name: Name, condition: Condition) -> None:
        """Say nothing more; a machine that only lost its agent closes the connection, others do nothing at all."""
        machine = self._machines[name]
        self._board.drop(name, silently=condition is not Condition.AGENT_DOWN)
        machine.opened, machine.device = 0.0, replace(boxes.closed(machine.device), condition=condition)

    def _revive(self, name: Name, change: Change) -> None:
        machine = self._machines[name]
        if change is Change.BOOT:
            machine.device = boxes.booted(machine.device, self._boot(), time.monotonic() - 1.0)
        machine.device = replace(machine.device, condition=Condition.WORKING)
        machine.failures = 0
        self._dial(name)

    def _shape(self, name: Name, change: Change, blow: Blow) -> None:
        """Do to the link of a box; what is so already stays so."""
        machine = self._machines[name]
        match change:
            case Change.CUT if machine.cut is None:
                machine.cut = time.monotonic()
                self._board.hold(name) if machine.opened else self._board.drop(name, silently=True)
            case Change.HEAL if machine.cut is not None:
                self._heal(name, machine)
            case Change.LOSE_SEGMENTS | Change.LOSE_NONE:
                machine.loss = blow.loss if change is Change.LOSE_SEGMENTS else 0.0

    def _heal(self, name: Name, machine: _Machine) -> None:
        machine.cut = None
        if machine.opened:
            self._board.release(name)
        else:
            left = DELAYS[-1] * self._random.uniform(0.0, 1.25)  # it was in the middle of its back-off
            self._after(left, lambda: self._dial(name))

    def _clone(self, name: Name, machine: _Machine) -> None:
        """Let another machine speak under the same name; each closes the other's session by opening its own."""
        clone = (name[0], CLONE)
        fresh = boxes.booted(machine.device, self._boot(), time.monotonic() - 1.0)
        self._machines[clone] = _Machine(replace(fresh, kept=()), machine.endpoint)
        self._dial(clone)


def _speaks(device: Device) -> bool:
    return device.condition is Condition.WORKING
