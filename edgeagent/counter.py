"""Where a workload's counter is, and what it says: a metric on the box's own loopback, or a number in a file.

``http://127.0.0.1:9100/metrics#frames_total`` or ``file:/run/scan/frames``; a file may hold metrics as well, and then
needs their name after ``#``. Nothing but loopback is asked: whoever writes configurations cannot make boxes ask others.
"""

import math
import re
from dataclasses import dataclass
from typing import Final

LARGEST: Final = 1024 * 1024
"""Bytes of an answer; the client libraries' own metrics take a tenth."""
_NAME: Final = "[a-zA-Z_:][a-zA-Z0-9_:]*"
_HTTP: Final = re.compile(
    r"http://(?:localhost|(?P<host>127(?:\.(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])){3}|\[::1\]))"
    rf"(?::(?P<port>[0-9]{{1,5}}))?(?P<path>/[!-\"$-~]*)?#(?P<metric>{_NAME})"
)
_FILE: Final = re.compile(rf"file:(?://)?(?P<path>/[^/\0#][^\0#]*)(?:#(?P<metric>{_NAME}))?")
_SERIES: Final = re.compile(rf"(?P<name>{_NAME})(?:\{{.*\}})?\s+(?P<value>\S+)(?:\s+-?[0-9]+)?\s*")
_PORTS: Final = range(1, 65536)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a counter is: at a port of this machine, or in a file."""

    path: str
    metric: str = ""  # empty: the file holds one number
    host: str = ""  # an address of loopback; empty: a file
    port: int = 0


def read_place(text: str) -> Place:
    """Return the place that a text names. Raises ValueError that says what to write instead."""
    if (file := _FILE.fullmatch(text)) and ".." not in file["path"].split("/"):
        return Place(file["path"], file["metric"] or "")
    http = _HTTP.fullmatch(text)
    if http is None or int(http["port"] or 80) not in _PORTS:
        raise ValueError(
            f"{text!r} is no place of a counter on this machine: write http://127.0.0.1:PORT/PATH#METRIC or file:/PATH"
        )
    host = (http["host"] or "127.0.0.1").strip("[]")
    return Place(http["path"] or "/metrics", http["metric"], host, int(http["port"] or 80))


def read_counter(text: str, metric: str) -> float | None:
    """Return what a counter says: the sum of a metric's series, or the number that the text is. None: nothing."""
    if not metric:
        return _number(text.strip())
    found = [_number(series["value"]) for line in text.splitlines() if (series := _of(line, metric))]
    known = [value for value in found if value is not None]
    return math.fsum(known) if known else None


def _of(line: str, metric: str) -> re.Match[str] | None:
    series = _SERIES.fullmatch(line) if line.startswith(metric) else None
    return series if series and series["name"] == metric else None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
