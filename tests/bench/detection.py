"""How soon people are told, and how often wrongly: ``make bench-detection``; FAULTS=200 for all, FAULTS=3 for a glance.

A real broker with the configuration that we ship, the real monitor, real agents, and simulated boxes beside them. A
seeded script of faults is played; each is joined with what a recording server was told. Simpler detectors hear the same
beats in the same run. Prints a table, writes build/bench-detection.json, ends with 1 where a goal is missed.
"""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table

TREE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE))  # tests are no package that is installed

from edgeagent.wire import Address  # noqa: E402 - after the path
from simulator.devices import Devices  # noqa: E402
from simulator.mishaps import Blow, Change, Mishap, Turn, turns  # noqa: E402
from simulator.striking import play  # noqa: E402
from tests.bench import ingest  # noqa: E402
from tests.bench.agents import Agents  # noqa: E402
from tests.bench.baselines import BASELINES, Record, first_after, quantile  # noqa: E402
from tests.bench.faults import LASTS, Plan, plan  # noqa: E402
from tests.bench.figures import Figure, show  # noqa: E402
from tests.bench.joining import ENDS, WITHIN, Fault, Joined, false_alarms, is_begin, join  # noqa: E402
from tests.bench.listener import Listener  # noqa: E402
from tests.contract.plainbroker import until  # noqa: E402
from tests.contract.watched import Told, Watched, patiently, watched  # noqa: E402

if TYPE_CHECKING:
    from concurrent.futures import Future

FAULTS: Final = 50
SEED: Final = 20261127
AGENTS: Final = 24
AGENTS_A_CORE: Final = 12  # a small machine has fewer of them, and says so
GOALS: Final[Mapping[str, float]] = {
    "agent killed": 0.25,
    "agent killed (real process)": 0.25,
    "power loss": 3.2,
    "hang": 3.2,
    "hang (real process)": 3.2,
    "box link cut": 12.0,
    "site cut": 3.5,
    "workload crashed": 1.0,
    "workload stalled": 3.0,
    "GPU lost": 1.0,
    "fatal Xid": 1.0,
    "clone": 60.0,
}
"""Seconds from fault to notice, p99. A box that answers its neighbours is given six periods to come back, a clone has
to return twice."""
ROWS: Final[Mapping[Mishap, str]] = {
    Mishap.POWER_LOSS: "power loss",
    Mishap.HANG: "hang",
    Mishap.AGENT_KILLED: "agent killed",
    Mishap.LINK_CUT: "box link cut",
    Mishap.CRASH: "workload crashed",
    Mishap.STALL: "workload stalled",
    Mishap.GPU_LOST: "GPU lost",
    Mishap.XID: "fatal Xid",
    Mishap.CLONE: "clone",
}
SILENT: Final = frozenset({Mishap.POWER_LOSS, Mishap.HANG, Mishap.AGENT_KILLED, Mishap.LINK_CUT})
"""What a detector can know from beats alone."""
BACK_WITHIN: Final = 8.0
"""Seconds: the goal is 3 from the moment at which the box can speak again; the longest back-off of an agent is 5."""


@dataclass(slots=True)
class Both:
    """Does to a real agent what concerns one, and to a simulated box the rest."""

    devices: Devices
    agents: Agents
    real: frozenset[Address]

    def strike(self, change: Change, where: Iterable[Address], blow: Blow) -> "Future[float]":
        """Do this to these boxes; all of them are of one sort."""
        boxes = tuple(where)
        return (self.agents if boxes[0] in self.real else self.devices).strike(change, boxes, blow)


@dataclass(slots=True)
class Run:
    """What happened in a run."""

    plan: Plan
    real: frozenset[Address]
    struck: list[tuple[Turn, float]] = field(default_factory=list)
    told: Sequence[Told] = ()
    records: Mapping[Address, Record] = field(default_factory=dict)
    begun: float = 0.0
    ended: float = 0.0
    figures: list[Figure] = field(default_factory=list)

    def faults(self) -> Iterator[Fault]:
        """Yield the faults that are measured one by one."""
        mended = {(id(turn.blow), turn.boxes): at for turn, at in self.struck if not is_begin(turn)}
        for turn, at in self.struck:
            if is_begin(turn):
                yield Fault(self._row(turn), turn, at, mended.get((id(turn.blow), turn.boxes), self.ended))

    def _row(self, turn: Turn) -> str:
        if turn.blow.sites:
            return "site cut"
        return ROWS[turn.blow.kind] + (" (real process)" if turn.boxes[0] in self.real else "")

    def spans(self) -> dict[str, list[tuple[float, float]]]:
        """Return when something was wrong at which site; poor links are to be endured."""
        spans: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for turn, at in self.struck:
            if turn.blow.kind is not Mishap.LOSS:
                for site in {one.site for one in turn.boxes}:
                    spans[site].append((at, at + LASTS + ENDS))
        return spans


def main(arguments: list[str] | None = None) -> None:
    """Run, print, write; None: of the command line and FAULTS."""
    parser = argparse.ArgumentParser(description="Measure how soon people are told.")
    parser.add_argument("--faults", type=int, default=int(os.environ.get("FAULTS") or FAULTS), help="of each kind")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--output", type=Path, default=TREE / "build" / "bench-detection.json")
    options = parser.parse_args(arguments)
    count = min(AGENTS, AGENTS_A_CORE * (os.cpu_count() or 1)) & ~1
    real = [Address(f"real-{number:02}", f"real-{number:02}-{box}") for number in range(count // 2) for box in (1, 2)]
    script = plan(options.faults, options.seed, real)
    say = Console(stderr=True).print
    say(f"… {len(script.boxes)} simulated boxes, {len(real)} real agents, {script.lasts / 60:.1f} minutes of faults")
    with tempfile.TemporaryDirectory(prefix="edgefleet-bench-") as folder:
        run = observed(Path(folder), script, real)
    rows = [join(fault, run.told) for fault in run.faults()]
    figures = [*run.figures, *of_faults(rows), *of_people(run), *ingest.measure()]
    compared(run, rows)
    show(figures)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps([one.dump() for one in figures], indent=2) + "\n")
    sys.exit(0 if all(one.ok for one in figures) else 1)


def observed(folder: Path, script: Plan, real: Sequence[Address]) -> Run:
    """Play the script."""
    run, canary = Run(script, frozenset(real)), Address("canary", "canary-1")
    with watched(folder / "watched") as one:
        listener = Listener(one.ear())
        devices = Devices(one.endpoints([*script.boxes, canary]), seed=SEED)
        agents = Agents(one.broker, real, folder / "agents")
        try:
            devices.start(within=10.0)
            agents.ready()
            patiently(lambda: devices.connected() == len(script.boxes) + 1, "all boxes are connected")
            one.hears(devices, canary)
            measured(run, one, Both(devices, agents, run.real), listener)
        finally:
            agents.close()
            devices.stop()
            listener.close()
        run.told, run.records = tuple(one.duty.told), listener.records
    return run


def measured(run: Run, one: Watched, hand: Both, listener: Listener) -> None:
    """Play, and measure what boxes cost meanwhile."""
    run.begun, used, messages, sent = time.monotonic(), hand.devices.seconds, listener.messages, listener.bytes
    before = hand.agents.used()
    said = [0.0]

    def struck(turn: Turn, at: float) -> None:
        run.struck.append((turn, at))
        if at - said[0] > PROGRESS_EVERY:
            said[0] = at
            Console(stderr=True).print(
                f"… {at - run.begun:4.0f} s of {run.plan.lasts:.0f}: {len(run.struck)} changes, "
                f"{len(one.duty.told)} notices"
            )

    play(turns(run.plan.blows, [*run.plan.boxes, *sorted(run.real)]), hand, struck, threading.Event())
    last = max((at for turn, at in run.struck), default=run.begun)
    until(lambda: time.monotonic() > last + SETTLED, "what is told late")
    run.ended = time.monotonic()
    lasted, boxes = run.ended - run.begun, len(run.plan.boxes) + len(run.real)
    after = hand.agents.used()
    same = [(before[box], now) for box, now in after.items() if now[1] >= before[box][1]]
    cpu = [(now[1] - then[1]) / (now[0] - then[0]) for then, now in same]
    run.figures = [
        Figure("agent: processor, mean", 100 * fmean(cpu) if cpu else 0.0, "% of a core"),
        Figure("agent: memory, largest", max(now[2] for now in after.values()) / 2**20, "MiB"),
        Figure("a box says, topic and payload", (listener.bytes - sent) / boxes / lasted * 3600 / 1e6, "MB/h", 1.0),
        Figure("messages heard", (listener.messages - messages) / lasted, "1/s"),
        Figure("simulated box: processor", 1000 * (hand.devices.seconds - used) / len(run.plan.boxes) / lasted, "ms/s"),
    ]


PROGRESS_EVERY: Final = 10.0
SETTLED: Final = 12.0


def of_faults(rows: Sequence[Joined]) -> Iterator[Figure]:
    """Yield for each kind how soon it was told, how often not, how often as something else."""
    for kind in dict.fromkeys(one.fault.kind for one in rows):
        those = [one for one in rows if one.fault.kind == kind]
        after = [one.after for one in those if one.after is not None]
        yield Figure(f"{kind}: number", len(those), "faults")
        yield Figure(f"{kind}: fault to notice, p50", quantile(after, 0.5), "s")
        yield Figure(f"{kind}: fault to notice, p99", quantile(after, 0.99), "s", GOALS[kind])
        yield Figure(f"{kind}: nobody was told", len(those) - len(after), "faults", 0)
        yield Figure(f"{kind}: told as something else", sum(not one.right for one in those if one.after), "faults", 0)
        yield Figure(f"{kind}: notices each", fmean(one.notices for one in those), "notices", 1)
    back = [one.back for one in rows if one.back is not None and one.fault.turn.blow.kind in SILENT]
    yield Figure("back online: mended to notice, p50", quantile(back, 0.5), "s")
    yield Figure("back online: mended to notice, p99", quantile(back, 0.99), "s", BACK_WITHIN)


def of_people(run: Run) -> Iterator[Figure]:
    """Yield what people were told of nothing, and of what comes and goes."""
    hours = (len(run.plan.boxes) + len(run.real)) * (run.ended - run.begun) / 3600
    since = [one for one in run.told if one.at >= run.begun]
    wrong = false_alarms(since, run.spans())
    for one in wrong:
        Console(stderr=True).print(f"! of nothing, {one.at - run.begun:.1f} s: {one}")
    yield Figure("box-hours watched", hours, "h")
    yield Figure("false alarms", len(wrong), "notices", 0)
    yield Figure("false alarms a box-hour", len(wrong) / hours, "1/h")
    observers = [one for one in since if one.code in {"ObserverDegraded", "FleetDark"} and one.occasion == "firing"]
    yield Figure("told that we ourselves did not hear well", len(observers), "notices")
    for kind, most in (("storm", 3), ("modem", 3), ("clock", 0)):
        of_sites = [sum(one.site == site for one in since) for site in sites(run.plan, kind)]
        yield Figure(f"{kind}: most notices at a site", max(of_sites), "notices", most)


def sites(script: Plan, kind: str) -> set[str]:
    """Return the sites of a group."""
    return {one.site for one in script.boxes if one.site.startswith(f"{kind}-")}


def compared(run: Run, rows: Sequence[Joined]) -> None:
    """Print what simpler detectors would have said of the same beats."""
    table = Table("detector", "fault", "number", "missed", "p50 s", "p99 s", box=None, pad_edge=False)
    spans, alarms = run.spans(), dict[str, int]()
    for name, baseline in BASELINES.items():
        moments = {box: list(baseline(record, run.ended)) for box, record in run.records.items()}
        alarms[name] = sum(
            at > run.begun and not any(begun <= at <= ended for begun, ended in spans.get(box.site, ()))
            for box, said in moments.items()
            for at in said
        )
        for kind in dict.fromkeys(one.fault.kind for one in rows if one.fault.turn.blow.kind in SILENT):
            those = [one.fault for one in rows if one.fault.kind == kind]
            after = [first_after(moments.get(one.turn.boxes[0], ()), one.begun, WITHIN) for one in those]
            seen = [one for one in after if one is not None]
            row = (
                f"{len(those)}",
                f"{len(those) - len(seen)}",
                f"{quantile(seen, 0.5):.2f}",
                f"{quantile(seen, 0.99):.2f}",
            )
            table.add_row(name, kind, *row)
    hours = (len(run.plan.boxes) + len(run.real)) * (run.ended - run.begun) / 3600
    for name, count in alarms.items():
        run.figures.append(Figure(f"{name}: false alarms a box-hour", count / hours, "1/h"))
    Console().print(table)


if __name__ == "__main__":
    main()
