"""Where counters may be, and what is read there."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.counter import Place, read_counter, read_place


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("http://127.0.0.1:9100/metrics#frames_total", Place("/metrics", "frames_total", "127.0.0.1", 9100)),
        ("http://localhost:9100#frames_total", Place("/metrics", "frames_total", "127.0.0.1", 9100)),
        ("http://127.3.2.1/a?b=c#x:y", Place("/a?b=c", "x:y", "127.3.2.1", 80)),
        ("http://[::1]:80/#x", Place("/", "x", "::1", 80)),
        ("file:/run/scan/frames", Place("/run/scan/frames")),
        ("file:///run/scan/metrics.prom#frames_total", Place("/run/scan/metrics.prom", "frames_total")),
    ],
)
def test_a_place_is_read(text: str, place: Place) -> None:
    assert read_place(text) == place


@pytest.mark.parametrize(
    "text",
    [
        "",
        "frames_total",
        "http://127.0.0.1:9100/metrics",
        "http://127.0.0.1:0/metrics#a",
        "http://127.0.0.1:65536/metrics#a",
        "http://10.0.0.1/metrics#a",
        "http://169.254.169.254/metrics#a",
        "http://127.0.0.1.evil.example/metrics#a",
        "http://127.0.0.256/metrics#a",
        "http://me@127.0.0.1/metrics#a",
        "http://127.0.0.1:9100/me trics#a",
        "http://127.0.0.1:9100/me\r\nHost: x#a",
        "https://127.0.0.1/metrics#a",
        "http://127.0.0.1/metrics#9a",
        "file:run/scan",
        "file://elsewhere/run/scan",
        "file:/run/../etc/shadow",
        "file:/run/a\0b",
        "file:/run/scan#not a metric",
    ],
)
def test_another_place_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"write http://127\.0\.0\.1:PORT/PATH#METRIC or file:/PATH"):
        read_place(text)


METRICS = """# HELP frames_total Frames read.
# TYPE frames_total counter
frames_total{camera="a b", lane="1"} 10
frames_total{camera="}"} 2.5 1700000000
frames_total_created 7
frames 3
other NaN
broken
"""


@pytest.mark.parametrize(
    ("text", "metric", "value"),
    [
        (METRICS, "frames_total", 12.5),
        (METRICS, "frames", 3.0),
        (METRICS, "other", None),
        (METRICS, "broken", None),
        (METRICS, "absent", None),
        (" 42\n", "", 42.0),
        ("1e3", "", 1000.0),
        ("inf", "", None),
        ("NaN", "", None),
        ("", "", None),
        ("1 2", "", None),
    ],
)
def test_a_counter_is_read(text: str, metric: str, value: float | None) -> None:
    assert read_counter(text, metric) == value


@given(st.text(max_size=300), st.sampled_from(["", "a", "frames_total"]))
def test_whatever_is_there_gives_a_number_or_nothing(text: str, metric: str) -> None:
    value = read_counter(f"{metric} {text}\n{text}", metric)
    assert value is None or math.isfinite(value)
