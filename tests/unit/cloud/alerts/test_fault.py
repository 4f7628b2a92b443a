"""A fault is known by its code and its subject."""

from datetime import UTC, datetime

import pytest

from cloud.alerts.fault import Code, Fault, Kind, Subject
from cloud.alerts.notice import Notice, Occasion, Severity

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        (Subject(Kind.FLEET), "fleet"),
        (Subject(Kind.SITE, "tc-001"), "tc-001"),
        (Subject(Kind.BOX, "tc-001", "tc-001-scan-1"), "tc-001/tc-001-scan-1"),
        (Subject(Kind.GPU, "tc-001", "tc-001-gpu-1", "0"), "tc-001/tc-001-gpu-1/0"),
        (Subject(Kind.CHANNEL, part="ding"), "ding"),
    ],
)
def test_a_subject_is_named_from_the_site_down(subject: Subject, name: str) -> None:
    assert str(subject) == name


def test_a_fingerprint_is_the_same_whenever_the_fault_is_seen_and_whatever_is_known_of_it() -> None:
    box = Subject(Kind.BOX, "tc-001", "tc-001-scan-1")
    early, late = Fault(Code.BOX_DOWN, box, NOON), Fault(Code.BOX_DOWN, box, NOON.replace(hour=13), {"witness": "gw"})
    assert early.fingerprint == late.fingerprint == "BoxDown/tc-001/tc-001-scan-1"


def test_two_notices_of_one_alert_have_two_keys() -> None:
    site = Subject(Kind.SITE, "tc-001")
    keys = [
        Notice("SiteDark/tc-001", n, occasion, Code.SITE_DARK, Severity.CRITICAL, site, (), NOON, NOON, {}, "").key
        for n, occasion in ((1, Occasion.FIRING), (2, Occasion.RESOLVED))
    ]
    assert keys == ["SiteDark/tc-001#1", "SiteDark/tc-001#2"]
