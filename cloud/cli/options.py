"""The options that every command shares, and what the exit codes mean."""

import inspect
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Final

import typer

from cloud.fleet.resource import is_name

EXIT_CODES: Final = (
    "Exit codes: 0 done, 1 failed or answered with no, 2 wrong usage. Errors are text on standard error, "
    "whatever --output says."
)


class Format(StrEnum):
    """How a command answers."""

    TEXT = "text"
    JSON = "json"


def help_text(command: Callable[..., None]) -> str:
    """Return a command's docstring as its help, with the lines of its examples left as they are."""
    return (inspect.getdoc(command) or "").replace("Examples:", "\b\nExamples:")


_LONGEST_NAME: Final = 253  # of a release or a node, which is a DNS subdomain: names with dots between them


def namespace_name(text: str | None) -> str | None:
    """Pass on what can be the name of a namespace, which becomes a part of a path. Raises typer.BadParameter."""
    if text is not None and not is_name(text):
        raise typer.BadParameter(f"{text!r}: write lower-case letters, digits and dashes, at most 63, such as sorting")
    return text


def object_name(text: str) -> str:
    """Pass on what can be the name of a release or a node, as ``namespace_name`` does. Raises typer.BadParameter."""
    if len(text) > _LONGEST_NAME or not all(map(is_name, text.split("."))):
        raise typer.BadParameter(f"{text!r}: write lower-case letters, digits, dashes and dots, such as scan-2-4-0")
    return text


def some_words(text: str) -> str:
    """Pass on what is not empty. Raises typer.BadParameter."""
    if not text.strip():
        raise typer.BadParameter("is empty: say it in a few words")
    return text


Namespace = Annotated[
    str | None,
    typer.Option(
        *("--namespace", "-n"),
        metavar="NAME",
        callback=namespace_name,
        help="Namespace of the release; default: the context's.",
    ),
]
Kubeconfig = Annotated[
    str | None, typer.Option("--kubeconfig", metavar="FILE", help="Kubeconfig file; default: as kubectl finds it.")
]
Context = Annotated[
    str | None, typer.Option("--context", metavar="NAME", help="Context of the kubeconfig; default: its current one.")
]
Output = Annotated[Format, typer.Option("--output", "-o", help="text for people, json for programs.")]
