"""Whose tag is asked for when: looks never wait, and what one namespace asks for holds up no other."""

import threading
from collections.abc import Iterator

import pytest

from cloud.fleet.errors import Late, Unavailable
from cloud.rollout import pinning, registry
from cloud.rollout.pinning import PATIENCE, SILENT_FOR, Registries
from cloud.rollout.registry import Reference, digest_of
from tests.unit.cloud.rollout.shop import DIGEST, INDEX, Answer, OpenShop, Shop, answered, pinned, release


class Clock:
    """Goes on when it is told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Slow:
    """Answers for repositories named `slow` when it is let, for all others at once."""

    def __init__(self) -> None:
        self.let = threading.Event()

    def __call__(self, _shop: Shop, path: str, _token: str) -> Answer:
        if path.startswith("/v2/slow"):
            self.let.wait(10)
        return 200, {}, INDEX


@pytest.fixture
def slow() -> Iterator[Slow]:
    made = Slow()
    yield made
    made.let.set()
    answered()


def test_what_needs_no_registry_asks_none(refused: list[str]) -> None:
    assert Registries(resolve=True).pin(f"scan@{DIGEST}", release()) == f"scan@{DIGEST}"
    assert Registries(resolve=False).pin("scan:2", release()) is None
    assert refused == []


def test_a_look_never_waits_for_a_registry_and_the_next_one_knows(open_shop: OpenShop, slow: Slow) -> None:
    image, registries = f"{open_shop(slow).host}/slow:2", Registries(resolve=True)
    for _ in range(2):
        with pytest.raises(Unavailable, match="to tell which content"):
            registries.pin(image, release())
    slow.let.set()
    assert pinned(image, registries) == f"{image}@{DIGEST}"


def test_tags_that_nobody_tells_hold_up_no_other_namespace(open_shop: OpenShop, slow: Slow) -> None:
    shop, registries = open_shop(slow), Registries(resolve=True)
    for number in range(60):
        with pytest.raises(Unavailable):
            registries.pin(f"{shop.host}/slow:{number}", release(f"r{number}", "tenant"))
    with pytest.raises(Unavailable):
        registries.pin(f"{shop.host}/scan:2", release("mine"))
    while len(shop.asked) < 2:
        threading.Event().wait(0.01)
    assert set(shop.asked) == {"/v2/slow/manifests/0", "/v2/scan/manifests/2"}, "one of the tenant's at a time"


def test_the_tags_of_one_namespace_are_asked_for_one_after_the_other_without_a_further_look(
    open_shop: OpenShop, slow: Slow
) -> None:
    shop, registries = open_shop(slow), Registries(resolve=True)
    for number in range(3):
        with pytest.raises(Unavailable):
            registries.pin(f"{shop.host}/slow:{number}", release(f"r{number}"))
    slow.let.set()
    answered()
    assert shop.asked == [f"/v2/slow/manifests/{number}" for number in range(3)]
    assert registries.pin(f"{shop.host}/slow:2", release("r2")) == f"{shop.host}/slow:2@{DIGEST}"


def test_no_more_than_so_many_registries_are_asked_at_one_time(
    open_shop: OpenShop, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pinning, "ASKED", 1)
    shop, registries = open_shop(slow), Registries(resolve=True)
    for number in range(2):
        with pytest.raises(Unavailable):
            registries.pin(f"{shop.host}/slow:{number}", release(namespace=f"n{number}"))
    while not shop.asked:
        threading.Event().wait(0.01)
    assert shop.asked == ["/v2/slow/manifests/0"]


def test_a_host_that_did_not_answer_in_time_is_not_asked_again_for_a_minute_by_that_namespace(
    dripping: tuple[str, threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "WHOLE", 0.2)
    clock, asked = Clock(), []

    def asking(wanted: Reference) -> str:
        asked.append(wanted.tag)
        return digest_of(wanted)

    monkeypatch.setattr(pinning, "digest_of", asking)
    registries = Registries(resolve=True, clock=clock)
    host, _ = dripping
    assert pinned(f"{host}/scan:1", registries, release("one")) == f"{host}/scan:1"
    assert registries.pin(f"{host}/scan:2", release("two")) == f"{host}/scan:2", "at once"
    assert pinned(f"{host}/scan:3", registries, release(namespace="other")) == f"{host}/scan:3"
    clock.seconds += SILENT_FOR
    assert pinned(f"{host}/scan:4", registries, release("four")) == f"{host}/scan:4"
    assert asked == ["1", "3", "4"]


def test_a_release_that_has_waited_for_long_is_told_to_say_so(open_shop: OpenShop, slow: Slow) -> None:
    clock = Clock()
    image, registries = f"{open_shop(slow).host}/slow:2", Registries(resolve=True, clock=clock)
    with pytest.raises(Unavailable) as first:
        registries.pin(image, release())
    assert not isinstance(first.value, Late)
    clock.seconds += PATIENCE + 1
    with pytest.raises(Late, match=image):
        registries.pin(image, release())


def test_an_answer_is_for_the_release_that_asked_and_for_no_later_one(open_shop: OpenShop) -> None:
    clock, shop = Clock(), open_shop(Slow())
    image, registries = f"{shop.host}/scan:2", Registries(resolve=True, clock=clock)
    with pytest.raises(Unavailable):
        registries.pin(image, release("deleted"))
    answered()
    assert pinned(image, registries, release("another")) == f"{image}@{DIGEST}"
    assert len(shop.asked) == 2
    clock.seconds += SILENT_FOR + 1
    assert pinned(image, registries, release("deleted")) == f"{image}@{DIGEST}"
    assert len(shop.asked) == 3, "what nobody came back for is forgotten"
