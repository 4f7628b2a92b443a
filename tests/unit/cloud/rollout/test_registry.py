"""Tags become digests over HTTP, from a registry on loopback; whatever it does wrong, the release goes on."""

import json
import threading

import httpx
import pytest

from cloud.rollout import registry
from cloud.rollout.registry import MANIFESTS, Reference, Silent, Untold, digest_of, reference
from tests.unit.cloud.rollout.shop import DIGEST, INDEX, Answer, OpenShop, Shop, pinned


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("scan", Reference("registry-1.docker.io", "library/scan", "latest")),
        ("team/scan:2", Reference("registry-1.docker.io", "team/scan", "2")),
        ("localhost/scan:2", Reference("localhost", "scan", "2")),
        ("registry.example:5000/a/b:2", Reference("registry.example:5000", "a/b", "2")),
        ("registry.example/a/b", Reference("registry.example", "a/b", "latest")),
        (f"scan@{DIGEST}", None),
        ("registry.example/../etc/passwd:x", None),
        ("registry.example/a:b/c", None),
        ("registry.example/a?x=1:2", None),
    ],
)
def test_a_reference_is_read_as_container_runtimes_read_it(image: str, parts: Reference | None) -> None:
    assert reference(image) == parts


def test_a_tag_becomes_the_digest_of_the_index_for_every_architecture(open_shop: OpenShop) -> None:
    shop = open_shop(lambda _shop, _path, _token: (200, {"Docker-Content-Digest": DIGEST}, INDEX))
    assert pinned(f"{shop.host}/scan:2") == f"{shop.host}/scan:2@{DIGEST}"
    assert shop.asked == ["/v2/scan/manifests/2"]


@pytest.mark.parametrize("kind", [*MANIFESTS, f"{MANIFESTS[0].upper()} ; charset=utf-8"])
def test_a_manifest_of_any_kind_that_was_asked_for_is_one(open_shop: OpenShop, kind: str) -> None:
    shop = open_shop(lambda _shop, _path, _token: (200, {"Content-Type": kind, "Content-Encoding": "identity"}, INDEX))
    assert digest_of(Reference(shop.host, "scan", "2")) == DIGEST


def test_a_registry_that_wants_an_anonymous_token_gets_one(open_shop: OpenShop) -> None:
    def answer(shop: Shop, path: str, token: str) -> Answer:
        if path.startswith("/token"):
            assert "scope=repository%3Ascan%3Apull" in path
            return 200, {}, json.dumps({"token": "anonymous"}).encode()
        if token == "Bearer anonymous":  # noqa: S105 - of the test
            return 200, {}, INDEX
        realm = f'Bearer realm="http://{shop.host}/token",service="shop",scope="repository:scan:pull"'
        return 401, {"WWW-Authenticate": realm}, b""

    assert digest_of(Reference(open_shop(answer).host, "scan", "2")) == DIGEST


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (404, {}, b""),
        (500, {}, b""),
        (307, {"Location": "http://169.254.169.254/latest/meta-data"}, b""),
        (401, {"WWW-Authenticate": 'Basic realm="x"'}, b""),
        (401, {}, b""),
        (401, {"WWW-Authenticate": 'Bearer realm="http://169.254.169.254/token"'}, b""),
        (401, {"WWW-Authenticate": 'Bearer realm="file:///etc/passwd"'}, b""),
        (200, {"Docker-Content-Digest": "sha256:" + "0" * 64}, INDEX),
        (200, {"Content-Type": "text/html; charset=utf-8"}, b"<!doctype html><title>Sign in</title>"),
        (200, {"Content-Type": ""}, INDEX),
        (200, {"Content-Encoding": "gzip"}, INDEX),
    ],
)
def test_a_digest_that_is_not_told_leaves_the_reference_as_it_is_written(
    open_shop: OpenShop, status: int, headers: dict[str, str], body: bytes, refused: list[str]
) -> None:
    shop = open_shop(lambda _shop, _path, _token: (status, headers, body))
    assert pinned(f"{shop.host}/scan:2") == f"{shop.host}/scan:2"
    assert refused == [], "no other address was even tried"


@pytest.mark.parametrize("token", [b"no json", b"[]", b"{}", b'{"token": 5}'])
def test_a_token_that_is_none_is_not_used(open_shop: OpenShop, token: bytes) -> None:
    def answer(shop: Shop, path: str, _token: str) -> Answer:
        if path.startswith("/token"):
            return 200, {}, token
        return 401, {"WWW-Authenticate": f'Bearer realm="http://{shop.host}/token"'}, b""

    with pytest.raises(Untold, match="anonymous token"):
        digest_of(Reference(open_shop(answer).host, "scan", "2"))


def test_an_endless_answer_is_cut_off(open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "LARGEST", 10)
    shop = open_shop(lambda _shop, _path, _token: (200, {}, INDEX))
    with pytest.raises(Untold, match="more than 10 bytes"):
        digest_of(Reference(shop.host, "scan", "2"))


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "[::]", "[::ffff:169.254.169.254]"])
def test_an_address_that_serves_a_clouds_secrets_is_never_asked(host: str, refused: list[str]) -> None:
    with pytest.raises(Untold, match="not asked"):
        digest_of(Reference(host, "scan", "2"))
    assert refused == []


def test_a_registry_that_is_not_there_costs_a_warning_only() -> None:
    assert pinned("127.0.0.1:1/scan:2") == "127.0.0.1:1/scan:2"


@pytest.mark.parametrize(
    "image",
    [
        "registry..example/scan:2",
        f"{'a' * 64}.example/scan:2",
        "localhost:99999/scan:2",
        "localhost:abc/scan:2",
        "[::1/scan:2",
        "xn--.a/scan:2",
        "a.b?c/scan:1",
    ],
)
def test_a_reference_that_nobody_can_ask_for_stays_as_written(image: str) -> None:
    assert pinned(image) == image


@pytest.mark.parametrize("realm", ["https://[", "https://a..b/t", "http://localhost:99999999/t", "https://xn--/t"])
def test_a_realm_that_is_no_address_leaves_the_reference_as_it_is_written(open_shop: OpenShop, realm: str) -> None:
    shop = open_shop(lambda _shop, _path, _token: (401, {"WWW-Authenticate": f'Bearer realm="{realm}"'}, b""))
    assert pinned(f"{shop.host}/scan:2") == f"{shop.host}/scan:2"


@pytest.mark.parametrize("token", ['{"token": "tök"}'.encode(), b"[" * 1_000_000])
def test_a_token_that_cannot_be_read_or_sent_leaves_the_reference_as_it_is_written(
    open_shop: OpenShop, token: bytes
) -> None:
    def answer(shop: Shop, path: str, _token: str) -> Answer:
        if path.startswith("/token"):
            return 200, {}, token
        return 401, {"WWW-Authenticate": f'Bearer realm="http://{shop.host}/token"'}, b""

    shop = open_shop(answer)
    assert pinned(f"{shop.host}/scan:2") == f"{shop.host}/scan:2"


def test_headers_that_drip_are_not_waited_for_any_longer_and_their_connection_ends(
    dripping: tuple[str, threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "WHOLE", 2.0)
    host, gone = dripping
    with pytest.raises(Silent):
        digest_of(Reference(host, "scan", "2"))
    assert gone.wait(30)


def test_a_registry_that_says_nothing_at_all_has_not_answered_in_time(
    open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = threading.Event()

    def answer(_shop: Shop, _path: str, _token: str) -> Answer:
        told.wait(10)
        return 404, {}, b""

    monkeypatch.setattr(registry, "TIMEOUT", httpx.Timeout(0.1))
    with pytest.raises(Silent):
        digest_of(Reference(open_shop(answer).host, "scan", "2"))
    told.set()


def test_a_reference_that_would_grow_too_long_stays_as_written(open_shop: OpenShop) -> None:
    shop = open_shop(lambda _shop, _path, _token: (200, {}, INDEX))
    image = f"{shop.host}/{'a' * 450}:2"
    assert pinned(image) == image
