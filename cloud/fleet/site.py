"""EdgeSite: what people tell us of a transfer centre or campus."""

from enum import StrEnum
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field

from cloud.fleet.resource import ZONE_SPELLED, Part, Spec
from cloud.fleet.scalars import Spelled

ONE_LINE: Final = Spelled(
    r"^[^\x00-\x1f\x7f-\x9f]*$", "write one line without control characters, for example Hangzhou Xiaoshan"
)


class SiteKind(StrEnum):
    """What stands at the site."""

    TRANSFER_CENTRE = "TransferCentre"
    CAMPUS = "Campus"
    DEPOT = "Depot"


class Contact(Part):
    """A person or group to be told about the site."""

    name: Annotated[str, Field(min_length=1, max_length=128, description="Who this is."), ONE_LINE]
    role: Annotated[
        str, Field(max_length=64, description="What the person does at the site, for example technician."), ONE_LINE
    ] = ""
    phone: Annotated[
        str,
        Field(max_length=32, description="Telephone number."),
        Spelled(r"^[+0-9 ()-]*$", "write digits, blanks and + ( ) -, for example +86 571 5550 1234"),
    ] = ""
    email: Annotated[str, Field(max_length=254, description="E-mail address."), ONE_LINE] = ""


class SiteSpec(Spec):
    """What people tell us of a site."""

    display_name: Annotated[
        str, Field(max_length=128, description="The name people use, in any language."), ONE_LINE
    ] = ""
    time_zone: Annotated[
        str,
        Field(
            min_length=1,
            max_length=64,
            description="IANA time zone of the site, for example Asia/Shanghai; windows with `tz: Site` use it.",
        ),
        ZONE_SPELLED,
    ]
    region: Annotated[str, Field(max_length=63, description="Region the site belongs to."), ONE_LINE] = ""
    kind: Annotated[SiteKind, Field(description="What stands at the site.")] = SiteKind.TRANSFER_CENTRE
    uplink_mbps: Annotated[
        int | None, Field(ge=1, le=1_000_000, description="Speed of the uplink in Mbit/s; absent: not known.")
    ] = None
    contacts: Annotated[tuple[Contact, ...], Field(max_length=20, description="Whom to tell about the site.")] = ()


def zone_of(name: str) -> ZoneInfo | None:
    """Return the time zone of that IANA name, None if there is no such zone."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
