"""What is said when a box joins: a token is one line that tells where, by whom to know it, and the secret."""

import pytest

from edgeagent.enrolment import EnrolmentError, Invitation, due, read_admission, read_token

MARK, SECRET = "ab" * 32, "cd" * 20


@pytest.mark.parametrize("host", ["fleet.example.com", "10.0.0.1", "2001:db8::1"])
def test_a_token_leads_back_to_what_it_was_made_of(host: str) -> None:
    made = Invitation(host, 8443, MARK, SECRET)
    assert read_token(f"  {made.text()}\n") == made


def test_a_token_shows_its_secret_to_nobody_who_prints_it() -> None:
    assert SECRET not in repr(Invitation("h", 1, MARK, SECRET))


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"efl1.h:1.{MARK}.{SECRET}0",
        f"efl1.h:1.{MARK}.{SECRET[1:]}",
        f"efl1.h:0.{MARK}.{SECRET}",
        f"efl1.h:65536.{MARK}.{SECRET}",
        f"efl1.h:1.{MARK[2:]}.{SECRET}",
        f"efl2.h:1.{MARK}.{SECRET}",
        f"efl1.h/x:1.{MARK}.{SECRET}",
        f"efl1.u@h:1.{MARK}.{SECRET}",
        f"efl1.h:1.{MARK}.{SECRET}\nx",
    ],
)
def test_what_is_no_token_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(EnrolmentError, match="no enrolment token") as told:
        read_token(text)
    assert SECRET[:-2] not in str(told.value)


@pytest.mark.parametrize("answer", [b"", b"{}", b"[]", b"<html>", b"\xff", b"[" * 100_000])
def test_an_answer_of_somebody_else_is_told_apart(answer: bytes) -> None:
    with pytest.raises(EnrolmentError, match="not as an enrolment server"):
        read_admission(answer)


def test_an_answer_is_read_and_what_is_new_in_it_passed_over() -> None:
    known = b'"site":"s","box":"b","certificate":"c","authority":"a","host":"h","port":1,"renew_after":1,"expires":2'
    assert read_admission(b'{%s,"new":3}' % known).box == "b"


def test_it_is_time_when_the_moment_has_come() -> None:
    assert [due(10.0, now) for now in (9.9, 10.0)] == [False, True]
