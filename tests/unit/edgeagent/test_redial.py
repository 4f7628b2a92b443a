"""When a box tries again to reach the broker."""

import pytest

from edgeagent.redial import DELAYS, STEADY, delay, failures


@pytest.mark.parametrize(("lasted", "after"), [(0.0, 4), (STEADY - 0.1, 4), (STEADY, 0)])
def test_only_a_session_that_lasted_makes_up_for_failures(lasted: float, after: int) -> None:
    assert failures(3, lasted) == after


@pytest.mark.parametrize("failed", range(8))
def test_attempts_come_less_and_less_often_up_to_five_seconds_and_not_in_step(failed: int) -> None:
    base = DELAYS[min(failed, len(DELAYS) - 1)]
    assert (delay(failed, 0.0), delay(failed, 0.5), delay(failed, 1.0)) == (0.75 * base, base, 1.25 * base)
    assert delay(failed, 1.0) <= 5.0
