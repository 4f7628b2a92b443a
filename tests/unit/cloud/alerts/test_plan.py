"""The alert plan: what is wrong with it is told in one go."""

from typing import Any

import pytest

from cloud.alerts.notice import Language
from cloud.alerts.plan import FORMS, AlertPlan, Kind, read
from cloud.fleet.errors import SpecError

ROBOT = {"name": "robot", "kind": "DingTalk", "urlFile": "/run/secrets/robot"}
LETTERS = {"host": "mail.example", "sender": "a@b.example", "to": ["c@d.example"]}
MAIL = {"name": "mail", "kind": "Mail", "mail": LETTERS}


def test_every_kind_has_a_form_and_no_plan_tells_nobody() -> None:
    assert FORMS.keys() == set(Kind)
    assert read(None) == AlertPlan()


def test_a_plan_names_channels_and_who_is_told_over_them() -> None:
    plan = read({"channels": [ROBOT, MAIL], "receivers": [{"name": "duty", "channels": ["robot", "mail"]}]})
    assert plan.channels[0].language is Language.CHINESE
    assert plan.channels[1].mail is not None
    assert plan.channels[1].mail.port == 587


@pytest.mark.parametrize(
    ("given", "objections"),
    [
        ({"channel": []}, ["channel: Extra inputs"]),
        ({"channels": [{"name": "robot"}]}, ["channels.0.kind"]),
        ({"channels": [ROBOT | {"mail": LETTERS}]}, ["give mail for kind Mail, and for no other"]),
        ({"channels": [MAIL | {"urlFile": "x"}]}, ["kind Mail has none"]),
        ({"channels": [{"name": "r", "kind": "Slack"}]}, ["name the file that holds the address"]),
        ({"channels": [ROBOT, ROBOT]}, ["channel 'robot' is there 2 times"]),
        (
            {"channels": [ROBOT], "receivers": [{"name": "duty", "channels": ["robto"]}]},
            ["receiver 'duty' names channel 'robto', which is none: write one of robot"],
        ),
        ({"receivers": [{"name": "duty", "channels": []}, {"nam": "x"}]}, ["receivers.0.channels", "receivers.1.nam"]),
        ([], ["dictionary"]),
    ],
)
def test_what_is_wrong_is_named(given: Any, objections: list[str]) -> None:  # noqa: ANN401 - whatever a file holds
    with pytest.raises(SpecError) as refused:
        read(given)
    assert [one for one in objections if one not in str(refused.value)] == []
