"""The folder that a cluster lives in: one start at a time has it, it is emptied first, and a full disk is told."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from simulator.progress import ClusterError

SCARCE: Final = 70 * 2**20  # bytes; etcd asks for 64 MB at once, for the log that it writes ahead


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Have the folder for a start, made if it is not there. Raises ClusterError where another start has it.

    The kernel frees that of a start which was killed; where the file system knows no locks, nobody is kept out.
    """
    with usable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if is_taken(held):
            raise ClusterError(f"a cluster is being started in {folder}: wait until it is up, or give another folder")
        yield
    finally:
        os.close(held)


def is_taken(held: int) -> bool:
    """Take the lock of an open folder, if nobody has it; returns whether somebody has."""
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def clear(folder: Path) -> None:
    """Make a claimed folder empty; raises ClusterError when it cannot be, or holds something that is not a cluster's.

    The folder itself stays, for it is what is locked.
    """
    with usable(folder):
        if any(folder.iterdir()) and not (folder / "logs" / "supervisor.log").exists():
            raise ClusterError(f"{folder} is not empty and holds no cluster: give an empty or new folder")
        for entry in folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        (folder / "logs").mkdir()
        folder.chmod(0o700)


@contextlib.contextmanager
def usable(folder: Path) -> Iterator[None]:
    """What cannot be done with the folder is a ClusterError that names it."""
    try:
        yield
    except OSError as wrong:
        raise ClusterError(f"{folder} cannot be used: {wrong.strerror}: give an empty or new folder") from wrong


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """An OSError of writing a file says which: the kernel tells it only of opening one."""
    try:
        yield
    except OSError as lost:
        lost.filename = lost.filename or str(path)
        raise


def shortage(folder: Path) -> str:
    """What to say before that something in the folder went wrong: that its disk is full; nothing where it is not."""
    free = shutil.disk_usage(folder).free
    if free >= SCARCE:
        return ""
    return f"the disk of {folder} is full ({free // 2**20} MB are free), so make room there; "
