"""What can be read out of the evidence."""

from simulator.evidence import Evidence, Span, at_one_time, change_spans, changes, running_spans
from tests.unit.simulator.seen import NEW, OLD, Seen, release


def test_things_that_touch_do_not_overlap() -> None:
    assert at_one_time([Span(0, 5, "a"), Span(5, 9, "b")]) == (1, 0)


def test_the_same_thing_twice_counts_once() -> None:
    assert at_one_time([Span(0, 5, "a"), Span(1, 9, "a"), Span(2, 3, "b")]) == (2, 2)


def test_nothing_is_nothing_at_one_time() -> None:
    assert at_one_time([]) == (0, 0.0)


def test_changes_come_in_the_order_of_time_with_what_was_added_and_removed() -> None:
    seen = Seen(2).wants(12, "b2", NEW).wants(11, "b1", OLD, NEW)
    told = [(one.at, one.box, set(one.added), set(one.removed)) for one in changes(seen.evidence(), "scan")]
    assert told == [(11, "b1", {NEW}, set()), (12, "b2", {NEW}, {OLD})]


def test_a_node_that_only_went_dark_is_no_change() -> None:
    assert changes(Seen(1).dark(5, "b1").evidence(), "scan") == ()


def test_a_pod_that_stops_and_runs_again_makes_two_spans() -> None:
    seen = Seen(1).runs(5, "b1", OLD, running=False, ready=False).runs(8, "b1", OLD)
    spans = running_spans(seen.evidence(), "scan")["b1"]
    assert [(one.since, one.until) for one in spans] == [(1, 5), (8, float("inf"))]
    assert running_spans(seen.evidence(), "vision") == {}


def test_a_change_that_never_ends_lasts_for_ever() -> None:
    (span,) = change_spans(Seen(1).wants(11, "b1", NEW).evidence(), "scan", frozenset({NEW}))
    assert (span.since, span.until, span.what) == (11, float("inf"), "b1")


def test_a_pod_that_never_ran_has_no_span() -> None:
    seen = Seen(1).runs(11, "b1", NEW, running=False, ready=False)
    assert [one.what for one in running_spans(seen.evidence(), "scan")["b1"]] == [OLD]


def test_what_runs_and_what_ever_ran_are_told_apart() -> None:
    evidence = Seen(2).moves(11, "b1").evidence()
    assert evidence.running_on("b1", "scan") == {NEW}
    assert evidence.ever_ran({OLD}) == {"b1", "b2"}
    assert evidence.ready_boxes({OLD}) == {"b2"}
    assert evidence.site_of("b2") == "s2"


def test_a_release_stands_as_it_was_seen_last() -> None:
    assert Seen().told(release(1), release(2, "Paused")).evidence().last("scan-2") == release(2, "Paused")
    assert Evidence().last("scan-2") is None
