"""A file of releases as it is read: YAML within bounds, and nothing in it twice.

Everything that is too much is refused before it is held in full: bytes of the file, depth, what aliases repeat.
"""

import json
import math
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, Final

import yaml
from yaml.composer import Composer

from cloud.fleet.errors import SpecError
from cloud.fleet.scalars import shortened

LARGEST: Final = 4 * 2**20  # bytes of a file
LARGEST_SENT: Final = 3 * 2**20  # letters of one document as JSON; the API server takes no more
DEEPEST: Final = 100  # levels of a document; a release with a pod template has about 20
_MISSHAPEN: Final = (ValueError, TypeError, LookupError, AttributeError)  # what the library meets in a tag's odd value


def documents(file: str) -> list[Any]:
    """Return the documents of a YAML file that are not empty; ``-`` is standard input. Raises SpecError."""
    try:
        data = _read(file)
        found = [one for one in _parsed(data) if one is not None]
        for one in found:
            _must_be_sendable(one)
    except OSError as missing:
        raise SpecError(f"{file}: {missing.strerror}") from missing
    except SpecError as bad:
        raise SpecError(f"{file}: {bad}") from bad
    except yaml.YAMLError as bad:
        raise SpecError(f"{file}: not YAML: {' '.join(str(bad).split())}") from bad
    except _MISSHAPEN as bad:
        raise SpecError(f"{file}: not YAML: a value is not what its tag or its form says ({bad})") from bad
    return found


def _read(file: str) -> bytes:
    if file == "-":
        data = sys.stdin.buffer.read(LARGEST + 1)
    else:
        with Path(file).open("rb") as opened:
            data = opened.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise SpecError(f"larger than {LARGEST // 2**20} MiB; give one file a release")
    return data


def _parsed(data: bytes) -> Iterator[Any]:
    loader = _Strict(data)
    try:
        while loader.check_node():
            yield loader.construct_document(loader.get_node())
    finally:
        loader.dispose()


_PARSER: Final[Any] = (Composer, yaml.CSafeLoader) if yaml.__with_libyaml__ else (yaml.SafeLoader,)


class _Strict(*_PARSER):  # type: ignore[misc] # which of them it is depends on how the library was built
    """Composes in Python what libyaml, where it is there, parses: libyaml's own composing has no bounds."""

    def __init__(self, data: bytes) -> None:
        _PARSER[-1].__init__(self, data)
        Composer.__init__(self)
        self.depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:  # noqa: ANN401 - nodes of the library
        """Return the next node. Raises SpecError where it lies too deep."""
        if self.depth >= DEEPEST:
            line = self.peek_event().start_mark.line + 1
            raise SpecError(f"line {line}: nested deeper than {DEEPEST}; write a shallower object")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def compose_mapping_node(self, anchor: Any) -> Any:  # noqa: ANN401 - the same
        """Return the next object. Raises SpecError if a key stands there twice: one of the two would be lost."""
        node = super().compose_mapping_node(anchor)
        known: dict[tuple[str, str], int] = {}
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            line, name = key.start_mark.line + 1, (key.tag, key.value)
            if name in known:
                first = known[name]
                raise SpecError(f"line {line}: key {key.value!r} stands in line {first} already; keep one of the two")
            known[name] = line
        return node


def _must_be_sendable(document: object) -> None:
    """Refuse what is no JSON, or is too deep or too large once its aliases are written out. Raises SpecError."""
    size, rest = 0, [(document, 0)]
    while rest:
        value, depth = rest.pop()
        size += _length(value)
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        rest += [(one, depth + 1) for one in inside]
        if depth > DEEPEST:
            raise SpecError(f"nested deeper than {DEEPEST} with its aliases written out; write a shallower object")
        if size > LARGEST_SENT:
            raise SpecError(
                f"a document is larger than {LARGEST_SENT // 2**20} MiB with its aliases written out; write less"
            )


def _length(value: object) -> int:
    """Return how many letters a value takes as JSON, without what is in it."""
    match value:
        case dict():
            return 2 + sum(2 + len(_key(key)) for key in value)
        case list():
            return 2 + len(value)
        case str() | int() | None:
            return len(json.dumps(value))
        case float() if math.isfinite(value):
            return len(json.dumps(value))
        case date():
            return len(value.isoformat())
        case _:
            raise SpecError(f"holds {shortened(value)}, for which JSON has no word; the API server takes JSON only")


def _key(key: object) -> str:
    if isinstance(key, str):
        return json.dumps(key)
    raise SpecError(f"holds the key {key}, which is no text; put it in quotation marks")
