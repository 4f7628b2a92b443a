"""What an answer of the API server means: whose fault it is, and whether it is worth another try."""

import pytest

from cloud.fleet.errors import Unavailable
from cloud.rollout.cluster import Conflict, Forbidden, Missing, Refused
from cloud.rollout.kube import complaint


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (400, "bad request", Refused),
        (422, "DaemonSet is invalid", Refused),
        (413, "request entity too large", Refused),
        (500, "failed to create typed patch object", Refused),
        (500, "etcdserver: request is too large", Refused),
        (401, "who are you", Forbidden),
        (403, "exceeded quota", Forbidden),
        (404, "not found", Missing),
        (410, "the provided continue parameter is too old", Unavailable),
        (409, "changed", Conflict),
        (429, "slow down", Unavailable),
        (500, "leader changed", Unavailable),
        (599, "gone", Unavailable),
    ],
)
def test_only_what_is_written_wrong_is_the_persons_to_correct(code: int, text: str, kind: type[Exception]) -> None:
    assert type(complaint(code, text)) is kind
