"""The alert plan: channels, who is told over which of them, and silences; read from one file, every problem at once."""

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, ValidationError

from cloud.alerts.channels import alertmanager, dingtalk, feishu, mail, slack, webhook, wecom
from cloud.alerts.channels.form import Form
from cloud.alerts.notice import Language
from cloud.alerts.routing import Receiver, Silence
from cloud.fleet.errors import SpecError
from cloud.fleet.resource import ZONE_SPELLED, Name, Part, Rule

FilePath = Annotated[str, Field(min_length=1, max_length=1024)]


class Kind(StrEnum):
    """What stands at the other end."""

    DINGTALK = "DingTalk"
    WECOM = "WeCom"
    FEISHU = "Feishu"
    SLACK = "Slack"
    WEBHOOK = "Webhook"
    ALERTMANAGER = "Alertmanager"
    MAIL = "Mail"


FORMS: Final[Mapping[Kind, Form]] = {
    Kind.DINGTALK: dingtalk.FORM,
    Kind.WECOM: wecom.FORM,
    Kind.FEISHU: feishu.FORM,
    Kind.SLACK: slack.FORM,
    Kind.WEBHOOK: webhook.FORM,
    Kind.ALERTMANAGER: alertmanager.FORM,
    Kind.MAIL: mail.FORM,
}


class Letters(Part, extra="forbid"):
    """How e-mail goes out."""

    host: Annotated[str, Field(min_length=1, max_length=253, description="Of the mail server.")]
    port: Annotated[int, Field(ge=1, le=65535, description="465 speaks TLS at once, others after STARTTLS.")] = 587
    sender: Annotated[str, Field(min_length=3, max_length=254, pattern=r"^[^@\s<>]+@[^@\s<>]+$")]
    to: Annotated[
        tuple[Annotated[str, Field(max_length=254, pattern=r"^[^@\s<>]+@[^@\s<>]+$")], ...],
        Field(min_length=1, max_length=50),
    ]
    user: Annotated[str, Field(max_length=254, description="Empty: nobody logs in.")] = ""


class ChannelSpec(Part, extra="forbid"):
    """One way to tell people. Addresses with a token in them, and secrets, stand in files of their own."""

    name: Annotated[Name, Field(description="By which receivers name it.")]
    kind: Annotated[Kind, Field(description="What stands at the other end.")]
    url_file: Annotated[FilePath | None, Field(description="File with the address that is posted to.")] = None
    secret_file: Annotated[
        FilePath | None, Field(description="File with the secret that signs, or with the mail password.")
    ] = None
    ca_file: Annotated[FilePath | None, Field(description="Whom to trust; absent: whom the machine trusts.")] = None
    language: Annotated[Language, Field(description="zh or en.")] = Language.CHINESE
    mail: Annotated[Letters | None, Field(description="For kind Mail.")] = None

    rules = (
        Rule(
            "(self.kind == 'Mail') == has(self.mail)",
            "give mail for kind Mail, and for no other",
            lambda self: (self.kind is Kind.MAIL) is (self.mail is not None),
            ".mail",
        ),
        Rule(
            "(self.kind != 'Mail') == has(self.urlFile)",
            "name the file that holds the address; kind Mail has none",
            lambda self: (self.kind is not Kind.MAIL) is (self.url_file is not None),
            ".urlFile",
        ),
    )


class AlertPlan(Part, extra="forbid"):
    """Who is told of what, and how."""

    channels: Annotated[tuple[ChannelSpec, ...], Field(max_length=64)] = ()
    receivers: Annotated[tuple[Receiver, ...], Field(max_length=256)] = ()
    silences: Annotated[tuple[Silence, ...], Field(max_length=256)] = ()
    time_zone: Annotated[str, Field(max_length=64, description="Of the times in notices."), ZONE_SPELLED] = "UTC"
    runbooks: Annotated[str, Field(max_length=1024, description="Address that runbooks stand below.")] = ""


def read(given: object) -> AlertPlan:
    """Return the plan that a file says. Raises SpecError that names every problem."""
    try:
        plan = AlertPlan.model_validate({} if given is None else given)
    except ValidationError as wrong:
        said = (
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}".removeprefix(": ")
            for one in wrong.errors(include_url=False, include_input=False)
        )
        raise SpecError("; ".join(said)) from wrong
    if problems := _problems(plan):
        raise SpecError("; ".join(problems))
    return plan


def _problems(plan: AlertPlan) -> list[str]:
    names = Counter(one.name for one in plan.channels)
    return [
        *(f"channel {name!r} is there {count} times" for name, count in names.items() if count > 1),
        *(
            f"receiver {one.name!r} names channel {name!r}, which is none: write one of {', '.join(sorted(names))}"
            for one in plan.receivers
            for name in one.channels
            if name not in names
        ),
    ]
