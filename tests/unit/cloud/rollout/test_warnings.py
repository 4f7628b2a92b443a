"""What a person should know of a release before it goes wrong."""

from dataclasses import replace
from datetime import timedelta

from cloud.rollout.ownership import snapshot
from cloud.rollout.warnings import warnings_of
from tests.unit.cloud.rollout.world import World, world_of


def warnings(world: World, resolved: str = "") -> list[str]:
    fleet = world.fleet()
    standing = fleet.standings[0]
    status = standing.status.model_copy(update={"resolved_image": resolved})
    return list(warnings_of(snapshot(fleet, replace(standing, status=status)), {}))


def test_sites_of_a_single_box_are_named_if_the_box_goes_down() -> None:
    world = world_of([1, 2])
    world.release("v1")
    assert warnings(world) == ["1 site with a single box of its role, down during a cutover: tc-000."]
    world.release("v1", exclusive=False)
    assert warnings(world) == []


def test_boxes_that_are_left_alone_for_their_site_label_are_told_to_the_release_that_is_meant_for_them() -> None:
    world = world_of([2])
    world.release("v1")
    odd = [
        replace(box, name=f"odd-{site}", site=site)
        for site, box in zip(("A_Site", ""), world.fleet().boxes, strict=True)
    ]
    other = replace(odd[0], name="other", labels={"edgefleet.io/role": "belt"})
    fleet = replace(world.fleet(), unfit=(*odd, other))
    (told,) = warnings_of(snapshot(fleet, fleet.standings[0]), {})
    assert told.startswith("2 boxes left alone, for the label edgefleet.io/site is no name of a site")
    assert told.endswith("odd-A_Site, odd-.")


def test_a_long_list_is_cut() -> None:
    world = world_of([1] * 8)
    world.release("v1")
    assert warnings(world)[0].endswith("tc-000, tc-001, tc-002, tc-003, tc-004 and 3 more.")


def test_an_image_without_digest_is_told() -> None:
    world = world_of([2])
    world.release("v1")
    assert "scan:1 is used as written" in warnings(world, "scan:1")[0]
    assert warnings(world, "scan@sha256:ab") == []


def test_windows_that_never_open_are_told_each_with_its_reason() -> None:
    world = world_of([2])
    windows = [
        {"from": "10:00", "to": "10:05"},
        {"from": "10:00", "to": "12:00", "tz": "Asia/Atlantis"},
    ]
    world.release("v1", {"windows": windows})
    told = warnings(world)
    assert [text.split(",", maxsplit=1)[0] for text in told] == [
        "1 site without a time zone",
        "Window 10:00 to 10:05 is shorter than health.timeout 10m: never used.",
        "Time zone Asia/Atlantis does not exist",
    ]


def test_what_the_resource_has_no_room_for_is_not_told() -> None:
    world = world_of([2])
    short = [{"from": f"{n:02}:00", "to": f"{n:02}:05", "tz": f"Nowhere/No{n}"} for n in range(16)]
    world.release("v1", {"windows": short})
    assert len(warnings(world)) == 20, "32 would be refused, and with them the whole status"


def test_a_timeout_that_a_reconnect_can_outlast_is_told() -> None:
    world = world_of([2])
    world.release("v1", {"health": {"timeout": "119s", "readyFor": "5s"}})
    assert "health.timeout 119s is short" in warnings(world)[0]
    world.release("v1", {"health": {"timeout": "2m", "readyFor": "5s"}})
    assert not any("is short" in text for text in warnings(world))


def test_boxes_that_wait_for_a_release_with_nothing_that_works_are_named() -> None:
    world = world_of([1, 1])
    world.bad.add(("*", "v1"))
    world.release("v1", {"health": {"readyFor": "5s", "timeout": "5m"}})
    world.pass_time(timedelta(seconds=20))
    world.release("v2", {"stages": [{"name": "all", "approval": True}]})
    world.pass_time(timedelta(minutes=1))
    assert "1 box with nothing that works until this release comes there: tc-000-scan-0." in world.status("v2").warnings
