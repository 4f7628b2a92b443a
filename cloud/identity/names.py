"""Who may speak: the name in a certificate, which is the user's name at the broker.

A box is called ``<shard>/<site>/<box>``, just as its topics go on after ``edgefleet/v1/``: the broker's rule for all
boxes is then one pattern, and holds the shard as well. The cloud's own processes have one word. A certificate's common
name has room for 64 letters (RFC 5280, ub-common-name), and brokers hold to that.
"""

from typing import Final

from cloud.fleet.errors import SpecError
from cloud.fleet.resource import is_name
from edgeagent.wire import Address, Channel, WireError, read_topic, shard, topic

LONGEST: Final = 64
_LEVELS: Final = 3


def box_name(address: Address) -> str:
    """Return the name of a box. Raises SpecError if it cannot have one."""
    try:
        read_topic(topic(address, Channel.BIRTH))
    except WireError:
        raise SpecError(
            f"{address}: write site and box in lower-case letters, digits, dashes and dots, such as tc-001/scan-1"
        ) from None
    name = f"{shard(address.site)}/{address}"
    if len(name) > LONGEST:
        most, have = LONGEST - len(shard(address.site)) - 2, len(address.site) + len(address.box)
        raise SpecError(f"{address}: site and box have {have} letters, a certificate has room for {most}: shorten one")
    return name


def read_box_name(name: str) -> Address | None:
    """Return the box that a certificate names; None: it names no box."""
    parts = name.split("/")
    if len(parts) != _LEVELS:
        return None
    address = Address(parts[1], parts[2])
    try:
        return address if box_name(address) == name else None
    except SpecError:
        return None


def read_address(text: str) -> Address:
    """Return the box that a person means by ``<site>/<box>``. Raises SpecError."""
    site, slash, box = text.partition("/")
    address = Address(site, box)
    if not slash:
        raise SpecError(f"{text}: write the site as well, such as tc-001/scan-1")
    box_name(address)
    return address


def process_name(text: str) -> str:
    """Pass on what can be the name of one of the cloud's processes. Raises SpecError."""
    if not is_name(text):
        raise SpecError(f"{text!r}: write one word of lower-case letters, digits and dashes, such as monitor-0")
    return text
