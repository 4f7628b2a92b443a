"""Settings come from the environment, and every bad one is told at once."""

import pytest

from cloud.fleet.errors import SpecError
from cloud.settings import load


def test_settings_have_defaults_and_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load().peering == "edgefleet-operator"
    monkeypatch.setenv("EDGEFLEET_PEERING", "")
    assert load().peering == ""


def test_what_is_given_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEFLEET_LOG_LEVEL", "error")
    assert load(log_level="debug").log_level == "debug"
    assert load(log_level=None).log_level == "error"


def test_every_bad_setting_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEFLEET_LEAD_SECONDS", "1")
    monkeypatch.setenv("EDGEFLEET_METRICS_PORT", "many")
    with pytest.raises(SpecError, match=r"(?s)EDGEFLEET_LEAD_SECONDS.*EDGEFLEET_METRICS_PORT"):
        load()
