"""Tokens and certificates as they are kept: one key a token, however many ask at once; what is revoked stays so."""

import os
import pwd
import stat
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cloud.fleet.errors import SpecError, Unavailable
from cloud.identity import folder as identity
from cloud.identity.authority import PROCESS_LIFE, Authority
from cloud.identity.db import Books
from cloud.identity.folder import Fleet, Folder
from cloud.identity.tokens import Token
from edgeagent.wire import Address

BOX = Address("tc-001", "scan-1")
NOW = datetime(2026, 11, 27, tzinfo=UTC)
FLEET = Fleet(host="fleet.example.com")


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    one = Books(f"sqlite:///{tmp_path / 'identity.db'}")
    yield one
    one.close()


def test_of_many_keys_that_come_at_once_one_has_the_token(tmp_path: Path, books: Books) -> None:
    books.invite(Token("d", BOX, 100.0), 0.0)
    together, got = threading.Barrier(8), list[Token | None]()

    def come(number: int) -> None:
        mine = Books(f"sqlite:///{tmp_path / 'identity.db'}")
        together.wait()
        got.append(mine.claim("d", f"key {number}"))
        mine.close()

    threads = [threading.Thread(target=come, args=(number,)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len({token.key for token in got if token}) == 1
    assert len(got) == 8


def test_the_same_key_may_come_again(books: Books) -> None:
    books.invite(Token("d", BOX, 100.0), 0.0)
    assert books.claim("d", "ours") == books.claim("d", "ours") == Token("d", BOX, 100.0, "ours")
    assert books.claim("d", "theirs") == Token("d", BOX, 100.0, "ours")
    assert books.claim("e", "ours") is None


def test_a_new_token_of_a_box_makes_its_earlier_ones_void_and_forgets_old_ones_of_all(books: Books) -> None:
    for digest, box, expires in (("a", "x", 10.0), ("b", "y", 100.0), ("c", "x", 100.0)):
        books.invite(Token(digest, Address("s", box), expires), 50.0)
    assert [books.claim(one, "k") is not None for one in "abc"] == [False, True, True]


def test_what_is_revoked_does_not_hold_and_its_name_is_barred_until_it_is_let_again(books: Books) -> None:
    books.record(1, "n", 100.0)
    books.record(2, "n", 100.0)
    books.record(3, "m", 100.0)
    books.invite(Token("d", BOX, 100.0), 0.0)
    assert books.revoke("n", BOX, 5.0) == 2
    assert [books.holds(one) for one in (1, 2, 3, 4)] == [False, False, True, False]
    assert (sorted(books.revoked()), books.barred(), books.claim("d", "k")) == ([1, 2], ["n"], None)
    books.record(5, "n", 100.0)  # was on its way
    assert not books.holds(5)
    assert books.revoke("n", BOX, 6.0) == 1
    assert (books.unbar("n"), books.unbar("n"), books.barred()) == (True, False, [])


def test_a_database_that_cannot_be_read_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(b"no database" * 100)
    with pytest.raises(Unavailable, match="does not answer"):
        Books(f"sqlite:///{tmp_path / 'broken'}")


def test_the_folder_is_made_once_and_kept(tmp_path: Path) -> None:
    first = identity.create(tmp_path / "f", FLEET, NOW)
    written = first.furnish(NOW)
    again = identity.create(tmp_path / "f", FLEET, NOW + timedelta(days=1))
    assert (again.authority.fingerprint, again.furnish(NOW + timedelta(days=1))) == (first.authority.fingerprint, [])
    assert {one.name for one in written} >= {"mosquitto.conf", "rules.acl", "revoked.pem", "server.key", "monitor.crt"}


def test_what_is_due_is_made_anew_and_the_authority_never(tmp_path: Path) -> None:
    first = identity.create(tmp_path / "f", FLEET, NOW)
    first.furnish(NOW)
    later = [one.name for one in first.furnish(NOW + PROCESS_LIFE * 0.7)]
    assert sorted(later) == sorted(["server.key", "server.crt"] * 2 + ["monitor.key", "monitor.crt"])
    elsewhere = identity.create(tmp_path / "f", Fleet(host="other.example.com"), NOW)
    assert "server.crt" in [one.name for one in elsewhere.furnish(NOW)]
    assert elsewhere.authority.fingerprint == first.authority.fingerprint


def test_nobody_but_the_owner_reads_a_key_or_the_database(tmp_path: Path) -> None:
    one = identity.create(tmp_path / "f", FLEET, NOW)
    one.furnish(NOW)
    secret = [file for file in (tmp_path / "f").rglob("*") if file.suffix in {".key", ".db"}]
    assert len(secret) == 5
    assert {stat.S_IMODE(file.stat().st_mode) for file in secret} == {0o600}
    folders = {name: stat.S_IMODE((tmp_path / "f" / name).stat().st_mode) for name in ("", "broker", "monitor")}
    assert folders == {"": 0o711, "broker": 0o755, "monitor": 0o700}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_broker_s_files_belong_to_whom_it_becomes(tmp_path: Path) -> None:
    one = identity.create(tmp_path / "f", Fleet(host="h", broker_user="nobody"), NOW)
    one.furnish(NOW)
    nobody = pwd.getpwnam("nobody").pw_uid
    assert {file.stat().st_uid for file in (tmp_path / "f/broker").iterdir()} == {nobody}
    assert {(tmp_path / "f" / name).stat().st_uid for name in ("authority.key", "identity.db", "broker")} == {0}


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("authority.key", b"", "restore them from a copy"),
        ("authority.crt", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "restore them"),
        ("fleet.json", b"{}", "identity init"),
        ("fleet.json", None, "fleet.json: missing.*identity init"),
        ("authority.key", Authority.create(NOW).private, "does not belong"),
    ],
    ids=["empty key", "no certificate", "empty settings", "no settings", "another's key"],
)
def test_a_folder_that_is_broken_is_told_with_the_next_step(
    tmp_path: Path, file: str, content: bytes | None, told: str
) -> None:
    identity.create(tmp_path / "f", FLEET, NOW)
    (tmp_path / "f" / file).unlink()
    if content is not None:
        (tmp_path / "f" / file).write_bytes(content)
    with pytest.raises(SpecError, match=told):
        Folder.load(tmp_path / "f")


def test_an_authority_whose_key_was_lost_is_not_replaced_by_another(tmp_path: Path) -> None:
    identity.create(tmp_path / "f", FLEET, NOW)
    (tmp_path / "f/authority.key").unlink()
    with pytest.raises(SpecError):
        identity.create(tmp_path / "f", FLEET, NOW)


def test_a_revocation_is_on_the_list_at_once(tmp_path: Path) -> None:
    one = identity.create(tmp_path / "f", FLEET, NOW)
    one.furnish(NOW)
    books = one.books()
    books.record(77, "19/tc-001/scan-1", time.time())
    books.revoke("19/tc-001/scan-1", BOX, time.time())
    books.close()
    assert {file.name for file in one.tell_broker(NOW)} == {"revoked.pem", "rules.acl"}
    assert "user 19/tc-001/scan-1\ntopic deny #" in (tmp_path / "f/broker/rules.acl").read_text()
