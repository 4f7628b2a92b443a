"""All channels of a plan as one: hands notices to couriers, and knows which of them do not deliver. Composition."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cloud.alerts.channels import http, smtp
from cloud.alerts.channels.form import Answer, Message, Style, Unavailable
from cloud.alerts.courier import Channel, Courier
from cloud.alerts.notice import Notice
from cloud.alerts.plan import FORMS, AlertPlan, ChannelSpec
from cloud.fleet.errors import SpecError


class Desk:
    """The outlet of a monitor. Raises SpecError that names every file that cannot be read."""

    def __init__(self, plan: AlertPlan, delivered: Callable[[str, Sequence[Notice]], None]) -> None:
        problems: list[str] = []
        channels = [_channel(one, plan.runbooks, problems) for one in plan.channels]
        if problems:
            raise SpecError("; ".join(problems))
        self._couriers = {one.name: Courier(one, delivered) for one in channels}

    def start(self) -> None:
        """Begin to send."""
        for courier in self._couriers.values():
            courier.start()

    def tell(self, channel: str, notices: Sequence[Notice]) -> None:
        """Send these as one message, or as soon as the channel may."""
        self._couriers[channel].tell(notices)

    def failing(self) -> Mapping[str, str]:
        """Return why a channel does not deliver, by its name."""
        return {name: courier.failing for name, courier in self._couriers.items() if courier.failing}

    def stop(self) -> None:
        """End all couriers."""
        for courier in self._couriers.values():
            courier.stop()


def _channel(spec: ChannelSpec, runbooks: str, problems: list[str]) -> Channel:
    secret = _text(spec.secret_file, spec.name, problems)
    ca = Path(spec.ca_file) if spec.ca_file else None
    post: Callable[[Message], Answer | Unavailable]
    try:
        if spec.mail is not None:
            letters = spec.mail
            server = smtp.Server(letters.host, letters.port, letters.sender, letters.to, letters.user, secret, ca)
            post = smtp.poster(server)
        else:
            post = http.poster(_text(spec.url_file, spec.name, problems), ca)
    except OSError as wrong:
        problems.append(f"channel {spec.name!r}: {spec.ca_file}: {wrong.strerror or wrong}")
        post = _nowhere
    return Channel(spec.name, FORMS[spec.kind], Style(spec.language, runbooks, secret), post)


def _text(path: str | None, name: str, problems: list[str]) -> str:
    """Return the one line that a file holds."""
    if path is None:
        return ""
    try:
        text = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as wrong:
        problems.append(f"channel {name!r}: {path}: {getattr(wrong, 'strerror', None) or 'is no text'}")
        return ""
    if not text or "\n" in text:
        problems.append(f"channel {name!r}: {path}: write one line into it")
    return text


def _nowhere(_: Message) -> Unavailable:
    return Unavailable("its settings are wrong")
