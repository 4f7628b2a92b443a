"""Signals by which a person, a supervisor or a closing terminal ends a command: all end it in good order."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, NoReturn

import typer

ENDINGS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
BROKEN_OFF: Final = 130  # as a shell says it of a program that Ctrl-C ended


def at_the_end(act: Callable[[int, FrameType | None], Any] | signal.Handlers) -> None:
    """Let each of the signals do this from now on; a hang-up that nohup has switched off stays so."""
    for number in ENDINGS:
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, act)


@contextmanager
def stopping() -> Iterator[None]:
    """The signals end the block in good order, and the command with a status of its own."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        del number, frame
        at_the_end(signal.SIG_IGN)  # a second one would tear what is being stopped
        raise KeyboardInterrupt

    at_the_end(stop)
    try:
        yield
    except KeyboardInterrupt:
        with contextlib.suppress(OSError):  # after a hang-up there is nobody to tell
            typer.echo("\nStopped; nothing is left running.", err=True)
        raise typer.Exit(BROKEN_OFF) from None
