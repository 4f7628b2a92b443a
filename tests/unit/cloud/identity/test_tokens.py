"""A token lets in the first key that comes with it, as often as it comes, until it expires."""

import pytest

from cloud.identity.tokens import Refusal, Token, digest, refusal
from edgeagent.wire import Address

BOX = Address("tc-001", "scan-1")


@pytest.mark.parametrize(
    ("token", "now", "refused"),
    [
        (Token("d", BOX, 100.0, "ours"), 99.0, None),
        (Token("d", BOX, 100.0, "theirs"), 99.0, Refusal.USED),
        (Token("d", BOX, 100.0), 99.0, Refusal.USED),  # was not claimed
        (Token("d", BOX, 100.0, "ours"), 100.0, Refusal.EXPIRED),
        (None, 0.0, Refusal.UNKNOWN),
    ],
)
def test_a_token_lets_in_its_own_key_in_its_own_time(token: Token | None, now: float, refused: Refusal | None) -> None:
    assert refusal(token, "ours", now) is refused


def test_a_secret_is_kept_as_its_digest_alone() -> None:
    assert digest("ab") == "fb8e20fc2e4c3f248c60c39bd652f3c1347298bb977b8b4d5903b85055620603"
