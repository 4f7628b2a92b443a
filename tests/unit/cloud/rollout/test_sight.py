"""A watch that is behind is not blind."""

from cloud.rollout.sight import LATE_FOR, SILENT_FOR, Sight
from cloud.rollout.views import Kind

BOX = (Kind.NODE, ("", "box-1"))


def test_what_is_not_missed_is_no_loss_however_silent_it_is() -> None:
    sight = Sight()
    sight.heard(Kind.NODE, 0)
    sight.audited([], 1e6)
    assert sight.lost(1e6) is None


def test_a_watch_that_falls_silent_while_something_is_missed_is_dead() -> None:
    sight = Sight()
    sight.audited([BOX], 10)
    assert sight.lost(10 + SILENT_FOR) is None
    sight.audited([BOX], 20)
    assert sight.lost(11 + SILENT_FOR) == f"the watch of Node missed /box-1 for {1 + SILENT_FOR:.0f} s"


def test_a_watch_in_a_flood_of_events_has_more_time_but_not_for_ever() -> None:
    sight = Sight()
    sight.audited([BOX], 0)
    for now in range(int(LATE_FOR)):
        sight.heard(Kind.NODE, now)
        assert sight.lost(now) is None
    sight.heard(Kind.NODE, LATE_FOR + 1)
    assert sight.lost(LATE_FOR + 1) is not None


def test_what_has_arrived_is_forgotten() -> None:
    sight = Sight()
    sight.audited([BOX], 0)
    sight.audited([], 5)
    sight.audited([BOX], 50)
    assert sight.lost(51) is None
