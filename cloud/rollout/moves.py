"""Which labels of a node change when a box goes forward or back."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from cloud.rollout.actions import Move
from cloud.rollout.snapshot import Box, Version

CUTOVER: Final = "cutover"
"""Why a box is patched: the version is brought to it."""
REMEMBERED: Final = 3
"""Versions a box remembers, so that several releases can be taken back one after the other."""
MOVERS: Final = REMEMBERED + 1
"""Releases a box remembers to have been moved by: to each of those versions, and to the one it runs."""


def surges(box: Box, version: str, versions: Mapping[str, Version]) -> bool:
    """Tell whether the new version can become ready beside what the box runs now."""
    others = box.versions - {version}
    known = [versions.get(one) for one in {version, *others}]
    return bool(others) and all(one is not None and not one.exclusive for one in known)


def forward(box: Box, version: str, versions: Mapping[str, Version], release_uid: str) -> Move:
    """Return the patch that brings the version to the box: beside the old one if both can run, else in its place."""
    others, after = box.versions - {version}, way_forward(box, version, versions)
    return Move(
        box=box.name,
        add=after - box.versions,
        remove=box.versions - after,
        previous=_remembered(box, version, others) if others or not box.versions else None,
        reverted="" if box.reverted else None,
        moved_by=(release_uid, *(one for one in box.moved_by if one != release_uid))[:MOVERS],
        why=CUTOVER,
    )


def way_forward(box: Box, version: str, versions: Mapping[str, Version]) -> frozenset[str]:
    """Return the versions the box is asked to run while this one is brought to it."""
    return box.versions | {version} if surges(box, version, versions) else frozenset({version})


def finish(box: Box, version: str) -> Move | None:
    """Return the patch that ends a surge once the new version is healthy; None if nothing else is asked for."""
    others = box.versions - {version}
    return Move(box=box.name, remove=others, why="healthy") if others else None


def back(box: Box, version: str, versions: Mapping[str, Version], release_uid: str) -> Move:
    """Return the patch that takes the box back to what it ran before; a box that ran nothing runs nothing again.

    It is for the release that moved the box last, and for no other.
    """
    left = way_back(box, version, versions)
    return Move(
        box=box.name,
        add=left - box.versions,
        remove=frozenset({version}),
        previous=tuple(one for one in box.previous if one not in left),
        reverted=release_uid,
        moved_by=box.moved_by[1:],
        why="back",
    )


def way_back(box: Box, version: str, versions: Mapping[str, Version]) -> frozenset[str]:
    """Return the versions the box is left with without this one: what is still beside it, else what it ran before."""
    known = [one for one in box.previous if one in versions and one != version]
    return box.versions - {version} or frozenset(known[:1])


def carried_out(moves: Iterable[Move], boxes: Iterable[Box]) -> tuple[Box, ...]:
    """Return all the boxes as they are once the nodes have been patched; their pods follow later."""
    made = {move.box: move for move in moves}
    return tuple(patched(box, made[box.name]) if box.name in made else box for box in boxes)


def patched(box: Box, move: Move) -> Box:
    """Return the box as its node is after the patch, with the pods it has before."""
    return replace(
        box,
        versions=move.on(box.versions),
        previous=box.previous if move.previous is None else move.previous,
        reverted=box.reverted if move.reverted is None else move.reverted,
        moved_by=box.moved_by if move.moved_by is None else move.moved_by,
    )


def _remembered(box: Box, version: str, others: frozenset[str]) -> tuple[str, ...]:
    """Return what to go back to, newest first: a version that runs, else the one before it, else one that once ran.

    A version of which nothing bad is told but that it is not ready just now counts as one that runs.
    """
    running = sorted(one for one in others if box.runs(one)) or sorted(one for one in others if box.intact(one))
    before = tuple(one for one in box.previous if one != version) if others else ()
    newest = running[:1] or ([] if before else sorted(one for one in others if box.has(one))[:1])
    return (*newest, *(one for one in before if one not in newest))[:REMEMBERED]
