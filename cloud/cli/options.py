"""The options that every command shares, and what the exit codes mean."""

import inspect
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Final

import typer

EXIT_CODES: Final = "Exit codes: 0 done, 1 failed or answered with no, 2 wrong usage."


class Format(StrEnum):
    """How a command answers."""

    TEXT = "text"
    JSON = "json"


def help_text(command: Callable[..., None]) -> str:
    """Return a command's docstring as its help, with the lines of its examples left as they are."""
    return (inspect.getdoc(command) or "").replace("Examples:", "\b\nExamples:")


Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", metavar="NAME", help="Namespace of the release; default: the context's."),
]
Kubeconfig = Annotated[
    str | None, typer.Option("--kubeconfig", metavar="FILE", help="Kubeconfig file; default: as kubectl finds it.")
]
Context = Annotated[
    str | None, typer.Option("--context", metavar="NAME", help="Context of the kubeconfig; default: its current one.")
]
Output = Annotated[Format, typer.Option("--output", "-o", help="text for people, json for programs.")]
