"""Lets this process read objects that are nested as deeply as the API server takes them.

Whoever may create an EdgeRelease may nest its template up to ``DEEPEST`` levels, and everybody's releases come with it
out of one list, one watch, one file. Such a release is refused in words of our own, but has to be read for that.
"""

import json
import resource
import sys
import threading
from typing import Final

DEEPEST: Final = 10_000  # levels of one object that the API server takes: encoding/json of Go decodes no more
FRAMES: Final = 50_000  # calls inside one another: a copy takes two for each level
STACK: Final = 64 * 2**20  # bytes, of every thread: measured, so many levels of any kind take at most 16 MiB


def make_room() -> None:
    """Raise the limits of this process; to be called before it starts threads."""
    sys.setrecursionlimit(FRAMES)
    threading.stack_size(STACK)
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    if soft != resource.RLIM_INFINITY and soft < STACK:  # the main thread's stack grows up to it while we run
        resource.setrlimit(resource.RLIMIT_STACK, (STACK if hard == resource.RLIM_INFINITY else min(STACK, hard), hard))


def reads_all() -> bool:
    """Tell whether the deepest object can be read: Python 3.12 and 3.13 have a limit of their own in their C code."""
    levels = DEEPEST + 2  # a list or a watch has it inside
    try:
        json.loads("[" * levels + "]" * levels)
    except RecursionError:
        return False
    return True
