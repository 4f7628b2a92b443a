"""Which labels of a node change when a box goes forward or back."""

from collections.abc import Mapping

from cloud.rollout.actions import Move
from cloud.rollout.snapshot import Box, Version


def surges(box: Box, version: str, versions: Mapping[str, Version]) -> bool:
    """Tell whether the new version can become ready beside what the box runs now."""
    others = box.versions - {version}
    known = [versions.get(one) for one in {version, *others}]
    return bool(others) and all(one is not None and not one.exclusive for one in known)


def forward(box: Box, version: str, versions: Mapping[str, Version]) -> Move:
    """Return the patch that brings the version to the box: beside the old one if both can run, else in its place."""
    others = box.versions - {version}
    return Move(
        box=box.name,
        add=frozenset({version}) - box.versions,
        remove=frozenset() if surges(box, version, versions) else others,
        previous=_worth_returning_to(box, others) if others or not box.versions else None,
        reverted="" if box.reverted else None,
        why="cutover",
    )


def finish(box: Box, version: str) -> Move | None:
    """Return the patch that ends a surge once the new version is healthy; None if nothing else is asked for."""
    others = box.versions - {version}
    return Move(box=box.name, remove=others, why="healthy") if others else None


def back(box: Box, version: str, versions: Mapping[str, Version], release_uid: str) -> Move:
    """Return the patch that takes the box back to what it ran before; a box that ran nothing runs nothing again."""
    add = way_back(box, version, versions) - box.versions
    return Move(box=box.name, add=add, remove=frozenset({version}), reverted=release_uid, why="back")


def way_back(box: Box, version: str, versions: Mapping[str, Version]) -> frozenset[str]:
    """Return the versions the box is left with without this one: what is still beside it, else what it ran before."""
    return box.versions - {version} or frozenset({box.previous}) & versions.keys() - {version}


def _worth_returning_to(box: Box, others: frozenset[str]) -> str:
    """Return the version to go back to: one that runs, else the one before it, else what was asked for."""
    running = sorted(version for version in others if box.runs(version))
    if running or not others:
        return next(iter(running), "")
    return box.previous or min(others)
