"""Random stories of a fleet, for laws: what stands where, what is released, what goes wrong, what people do."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from cloud.rollout.snapshot import Version
from cloud.rollout.status import OVER, Phase, Waiting
from tests.unit.cloud.rollout.laws import Diary, LawfulWorld
from tests.unit.cloud.rollout.world import EVERYWHERE, MINUTE, SECOND, Node

ZONES = ("Asia/Shanghai", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe", "Europe/Berlin")
BEGINNINGS = (
    datetime(2026, 3, 2, 12, tzinfo=UTC),
    datetime(2026, 3, 8, 6, 30, tzinfo=UTC),  # New York loses an hour at 07:00
    datetime(2026, 10, 25, 0, 30, tzinfo=UTC),  # Berlin gains one at 01:00
)
EVENTS = (
    *("release",) * 3,
    *("again", "tuned"),
    *("cut", "heal") * 3,
    *("cut site", "flap", "bad box", "bad version", "no image", "good", "flaky", "turn bad"),
    *("join", "leave", "wave", "role", "hand"),
    *("pause", "resume", "approve", "halt", "roll back", "lift", "emergency", "budget", "touch"),
    *("away", "wait", "wait"),
)
OVERRIDES = [{"selector": {"matchLabels": {"wave": "a"}}, "args": ["--fast"]}]  # of a release that is "tuned"
WAITS = tuple(timedelta(seconds=n) for n in (0, 1, 4, 9, 15, 40, 150, 700))


@dataclass(frozen=True)
class Happening:
    """One thing that happens, to whom (by number), and how much time passes after it."""

    what: str
    which: int
    wait: timedelta


@dataclass(frozen=True)
class Story:
    """All that decides how a world fares; the same story gives the same world."""

    begins: datetime
    sites: tuple[tuple[str, ...], ...]  # role of each box of each site
    installed: bool  # the boxes run something already
    exclusive: tuple[bool, ...] = (True,) * 5  # of each release, and last of the version before
    specs: tuple[dict[str, Any], ...] = ()
    happenings: tuple[Happening, ...] = ()
    stop_after: timedelta = timedelta(0)


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    """Draw what a release asks for, of all that may be asked for."""

    def one_of(*values: object) -> Any:  # noqa: ANN401 - any field of the spec
        return draw(st.sampled_from(values))

    soak = one_of("0s", "10s", "3m")
    early = one_of(
        [],
        [{"name": "canary", "upTo": 1}],
        [{"name": "canary", "upTo": 1}, {"name": "half", "upTo": "50%"}],
        [{"name": "canary", "upTo": 1}, {"name": "more", "upTo": 3, "approval": True}],
        [{"name": "brave", "upTo": "100%", "selector": {"matchLabels": {"wave": "a"}}}],
    )
    last = {"name": "rest", "approval": one_of(*(False, False, True))}
    return {
        "targets": one_of(
            *[{"selector": {"matchLabels": {"edgefleet.io/role": "scan"}}}] * 3,
            {"selector": {"matchLabels": {"wave": "a"}}},
            {
                "selector": {"matchExpressions": [{"key": "edgefleet.io/role", "operator": "Exists"}]},
                "exclude": {"matchLabels": {"wave": "a"}},
            },
        ),
        "stages": [{**stage, "soak": soak} for stage in [*early, last]],
        "budget": {
            "maxParallelSites": one_of(1, 2, "50%", "100%"),
            "maxUnavailablePerSite": one_of(1, 1, 2, "34%", "100%"),
        },
        "windows": one_of(
            *[[]] * 4,
            [{"from": "22:00", "to": "02:00"}],
            [{"from": "01:30", "to": "03:30"}, {"from": "12:00", "to": "13:00", "tz": "Asia/Kathmandu"}],
            [{"from": "00:00", "to": "23:59", "tz": "America/New_York", "days": ["Mon", "Tue", "Sun"]}],
        ),
        "health": {"readyFor": one_of("5s", "20s"), "timeout": one_of("1m", "3m"), "maxRestarts": one_of(0, 2)},
        "offline": {
            "policy": one_of("CatchUp", "CatchUp", "Skip", "Block"),
            "minOnline": one_of("0%", "50%", "80%", "100%", 1),
            "catchUpFor": one_of("5m", "30d"),
        },
        "onFailure": {
            "retries": one_of(0, 1, 2),
            "revertBox": one_of(*(True, True, False)),
            "maxFailed": one_of(0, 1, "30%", "100%"),
            "minAttempted": one_of(1, 1, 3),
            "action": one_of("Pause", "RollbackStage", "RollbackAll"),
        },
        "watchAfter": one_of("0s", "10m", "24h"),
    }


SITES = st.lists(
    st.lists(st.sampled_from(("scan", "scan", "scan", "belt")), min_size=1, max_size=5).map(tuple),
    min_size=1,
    max_size=4,
).map(tuple)


@st.composite
def stories(draw: st.DrawFn, events: tuple[str, ...] = EVENTS) -> Story:
    """Draw a story of up to four releases."""
    happening = st.builds(Happening, st.sampled_from(events), st.integers(0, 40), st.sampled_from(WAITS))
    return Story(
        begins=draw(st.sampled_from(BEGINNINGS)),
        sites=draw(SITES),
        installed=draw(st.booleans()),
        exclusive=draw(st.tuples(*[st.booleans()] * 5)),
        specs=tuple(draw(st.lists(specs(), min_size=1, max_size=4))),
        happenings=tuple(draw(st.lists(happening, min_size=4, max_size=24))),
        stop_after=draw(st.sampled_from((timedelta(0), 4 * SECOND))),
    )


def world_of_story(story: Story) -> LawfulWorld:
    """Return the world as it is before anything happens."""
    world = LawfulWorld({}, story.begins, stop_after=story.stop_after)
    world.zones = {f"tc-{n}": ZoneInfo(ZONES[n % len(ZONES)]) for n in range(9)}
    world.versions["old"] = Version("old", story.exclusive[-1])
    for n, roles in enumerate(story.sites):
        for k, role in enumerate(roles):
            node = Node(f"tc-{n}-{k}", f"tc-{n}", role, {"wave": "ab"[(n + k) % 2]})
            node.link_since = story.begins - timedelta(hours=1)
            if story.installed:
                node.install("old", story.begins)
            world.nodes[node.name] = node
    world.live()
    return world


def play(story: Story, kills: tuple[int | None, ...] = (None,)) -> Iterator[LawfulWorld]:
    """Play a story and yield the world after each happening; the operator is killed after so many writes, in turn."""
    world, left, deaths = world_of_story(story), list(story.specs), cycle(kills)
    for happening in (Happening("release", 0, 30 * SECOND), *story.happenings):
        happen(world, happening, left, story.exclusive)
        world.pass_time(happening.wait, deaths)
        yield world


def happen(world: LawfulWorld, happening: Happening, left: list[dict[str, Any]], exclusive: tuple[bool, ...]) -> None:
    """Let one thing happen; what makes no sense now does not happen."""
    boxes, names = sorted(world.nodes), sorted(world.releases)
    if happening.what in {"release", "again", "tuned"}:
        if left:
            name = f"v{len(names) + 1}"
            same_as = names[happening.which % len(names)] if happening.what != "release" else ""
            workload = {"name": "scan", "image": "scan:1", "overrides": OVERRIDES if happening.what == "tuned" else []}
            spec = {"workload": workload, **left.pop(0)}
            world.release(name, spec, exclusive=exclusive[len(names)], same_as=same_as)
        return
    if boxes and happening.what in TO_BOXES:
        TO_BOXES[happening.what](world, world.nodes[boxes[happening.which % len(boxes)]], names, happening.which)
    elif happening.what in TO_RELEASES:
        TO_RELEASES[happening.what](world, names[happening.which % len(names)])
    elif happening.what == "join":
        node = Node(f"new-{happening.which}", f"tc-{happening.which % 5}", extra={"wave": "ab"[happening.which % 2]})
        node.link_since = world.now
        world.nodes.setdefault(node.name, node)
    elif happening.what == "good":
        nothing_is_wrong(world)
    elif happening.what == "away":
        for _ in range(1 + happening.which):
            world.live(7 * SECOND)


def nothing_is_wrong(world: LawfulWorld) -> None:
    world.bad.clear()
    world.flaky.clear()
    world.absent.clear()


def _no_image(world: LawfulWorld, node: Node, names: list[str], which: int) -> None:
    world.absent.add((EVERYWHERE if which % 2 else node.name, names[which // 2 % len(names)]))


def _cut_site(world: LawfulWorld, node: Node, _names: list[str], _which: int) -> None:
    world.cut(*(one.name for one in world.nodes.values() if one.site == node.site))


def _flap(world: LawfulWorld, node: Node, _names: list[str], which: int) -> None:
    world.cut(node.name)
    world.pass_time((1 + which % 12) * SECOND)
    if node.name in world.nodes:
        world.heal(node.name)


def _by_hand(world: LawfulWorld, node: Node, _names: list[str], which: int) -> None:
    versions = list(world.versions)
    world.relabel_by_hand(node.name, [set(), {versions[which % len(versions)]}, set(versions[-2:])][which % 3])


def _join_wave(world: LawfulWorld, node: Node, names: list[str], which: int) -> None:
    node.extra["wave"] = "ab"[which % 2]
    for name in names:  # another version may be wanted there, or none
        world.diaries[name, node.name] = Diary()
        world.moved_at.pop((name, node.name), None)


def _change_role(_world: LawfulWorld, node: Node, _names: list[str], which: int) -> None:
    node.role = ("scan", "belt")[which % 2]


def _leave(world: LawfulWorld, node: Node, _names: list[str], _which: int) -> None:
    del world.nodes[node.name]


TO_BOXES = {
    "cut": lambda world, node, _names, _which: world.cut(node.name),
    "heal": lambda world, node, _names, _which: world.heal(node.name),
    "cut site": _cut_site,
    "flap": _flap,
    "bad box": lambda world, node, names, which: world.bad.add((node.name, names[which % len(names)])),
    "turn bad": lambda world, node, _names, _which: world.bad.update((node.name, one) for one in node.wanted),
    "bad version": lambda world, _node, names, which: world.bad.add((EVERYWHERE, names[which % len(names)])),
    "no image": _no_image,
    "flaky": lambda world, node, names, which: world.flaky.add((node.name, names[which % len(names)])),
    "leave": _leave,
    "wave": _join_wave,
    "role": _change_role,
    "hand": _by_hand,
}


def _control(**change: object) -> Any:  # noqa: ANN401 - a happening
    def happen(world: LawfulWorld, name: str) -> None:
        control = world.releases[name][0].spec.control
        if control.abort is None:
            world.edit(name, control={**control.dump(), **change})

    return happen


def approve(world: LawfulWorld, name: str) -> None:
    spec = world.releases[name][0].spec
    approvals = [{"stage": stage.name, "by": "Mei"} for stage in spec.stages if stage.approval]
    world.edit(name, control={**spec.control.dump(), "approvals": approvals})


TO_RELEASES = {
    "pause": _control(paused=True),
    "resume": _control(paused=False),
    "halt": _control(abort="Halt"),
    "roll back": _control(abort="Rollback"),
    "emergency": _control(emergency={"by": "Mei", "reason": "parcels wait"}),
    "approve": approve,
    "lift": lambda world, name: world.lift(name),
    "budget": lambda world, name: world.edit(name, budget={"maxParallelSites": 1, "maxUnavailablePerSite": 1}),
    "touch": lambda world, name: world.edit(name),
}


def all_ends_well(world: LawfulWorld) -> None:
    """End all faults, give all approvals, take off all brakes; then every release must reach an end.

    A release that was stopped by failures, or of which a stage selects no box, waits for a person, which is its end as
    well.
    """
    world.heal(*world.nodes)
    nothing_is_wrong(world)
    for name in world.releases:
        approve(world, name)
        TO_RELEASES["resume"](world, name)
    comes_to_an_end(world)


def comes_to_an_end(world: LawfulWorld) -> None:
    """Let time pass until every release has reached its end."""
    deadline = world.now + timedelta(days=9)
    while not all(ended(world, name) for name in world.releases):
        assert world.now < deadline, "law 7: no end: " + "; ".join(
            f"{name} {status.phase}: {status.message}" for name, (_, status) in world.releases.items()
        )
        world.pass_time(5 * MINUTE)


def ended(world: LawfulWorld, name: str) -> bool:
    release, status = world.releases[name]
    if status.phase in OVER:
        return True
    targeted = any(release.spec.targets.include(node.labels) for node in world.nodes.values())
    mistaken = status.waiting_on is not None and status.waiting_on.reason is Waiting.NO_SITE
    return not targeted or mistaken or (status.phase is Phase.PAUSED and status.breach is not None)
