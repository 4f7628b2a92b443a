"""YAML that other people wrote, read so that none of it does harm: not too deep, not too much, and no key twice.

What passes is what JSON can hold, and as kubectl reads it: a date without quotes stays the text that it is.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

import yaml

from simulator.tables import FileError

try:
    from yaml import CSafeLoader as Loader
except ImportError:  # PyYAML without libyaml: ten times slower
    from yaml import SafeLoader as Loader  # type: ignore[assignment]

DEEPEST: Final = 100  # levels; a pod template has about fifteen
MOST: Final = 200_000  # values of a document, one that is referred to counted each time
TIMESTAMP: Final = "tag:yaml.org,2002:timestamp"


class Plain(Loader):
    """A loader of plain values."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - no ClassVar where it comes from
        first: [(tag, pattern) for tag, pattern in known if tag != TIMESTAMP]
        for first, known in Loader.yaml_implicit_resolvers.items()
    }


def documents(text: str, file: str) -> list[Any]:
    """The documents of a file. Raises FileError with the file's name and, where there is one, the line."""
    try:
        need_flat(text)
        return list(read(text))
    except yaml.YAMLError as wrong:
        raise FileError([f"{file}: is no YAML: {' '.join(str(wrong).split())}"]) from wrong
    except FileError as wrong:
        raise FileError(f"{file}: {problem}" for problem in wrong.problems) from wrong


def need_flat(text: str) -> None:
    """Raise FileError where it nests too deep; before it is composed, for that goes as deep as the text does."""
    depth = 0
    for event in yaml.parse(text, Loader=Plain):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise FileError([f"line {line_of(event)}: nests deeper than {DEEPEST} levels: nothing in a release does"])


def read(text: str) -> Iterator[Any]:
    """One document after the other. Raises FileError and yaml.YAMLError."""
    for document in yaml.compose_all(text, Loader=Plain):
        if problems := list(twice(document)):
            raise FileError(problems)
        yield value_of(document)


def twice(document: yaml.Node) -> Iterator[str]:
    """Keys that stand in one mapping again. Raises FileError where references make too much, or never end."""
    todo, seen = [(document, 1)], 1
    while todo:
        node, depth = todo.pop()
        inside: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            yield from again(node)
            inside = [one for pair in node.value for one in pair]
        elif isinstance(node, yaml.SequenceNode):
            inside = node.value
        seen += len(inside)
        if seen > MOST or (inside and depth > DEEPEST):
            raise FileError([f"line {line_of(node)}: its references make too much of it: write out what you mean"])
        todo += [(one, depth + 1) for one in inside]


def again(mapping: yaml.MappingNode) -> Iterator[str]:
    """The same of one mapping."""
    first: dict[tuple[str, str], int] = {}
    for key, _ in mapping.value:
        known = (key.tag, str(key.value))
        if known in first:
            yield f"line {line_of(key)}: {key.value} stands here twice, first in line {first[known]}: leave one out"
        first.setdefault(known, line_of(key))


def value_of(document: yaml.Node) -> Any:  # noqa: ANN401 - whatever a document holds
    """A document as plain values. Raises FileError for what JSON cannot hold."""
    try:
        value = Plain("").construct_document(document)
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as wrong:
        raise FileError([f"holds what JSON cannot: {wrong}"]) from wrong
    return value


def line_of(where: yaml.Node | yaml.Event) -> int:
    """The line in which it begins, as an editor counts."""
    mark: Any = where.start_mark  # there is one in all that is read
    return int(mark.line) + 1
