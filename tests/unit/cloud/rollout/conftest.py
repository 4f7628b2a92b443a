"""Registries for the tests of what asks them."""

import threading
from collections.abc import Callable, Iterator

import pytest

from tests.unit.cloud.rollout.shop import Answer, Shop, drips


@pytest.fixture
def open_shop() -> Iterator[Callable[[Callable[[Shop, str, str], Answer]], Shop]]:
    shops: list[Shop] = []

    def opened(answer: Callable[[Shop, str, str], Answer]) -> Shop:
        shops.append(Shop(answer))
        return shops[-1]

    yield opened
    for shop in shops:
        shop.close()


@pytest.fixture
def dripping() -> Iterator[tuple[str, threading.Event]]:
    """A registry whose headers never end; the event: the client has gone."""
    with drips() as registry:
        yield registry
