"""The options that every command shares, and what the exit codes mean."""

from enum import StrEnum
from typing import Annotated, Final

import typer

EXIT_CODES: Final = "Exit codes: 0 done, 1 failed or answered with no, 2 wrong usage."


class Format(StrEnum):
    """How a command answers."""

    TEXT = "text"
    JSON = "json"


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
