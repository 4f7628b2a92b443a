"""Fleets that users describe in TOML, and the small one a rehearsal takes where none is given.

    sites = 12                      # the short form: tc-001 to tc-012, scan boxes first, then vision, then gateways
    boxes = 16

    [[site]]                        # or the long one: each site with its boxes
    name      = "hangzhou-2"
    time_zone = "Asia/Shanghai"     # the default
    region    = "east"              # the default
    boxes     = [{role = "scan", count = 2}, {role = "vision", labels = {line = "fast"}}]

A box is called after its site, role and number, unless it is given a `name`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final
from zoneinfo import available_timezones

from simulator.fleet import ROLE_LABEL, SITE_LABEL, Box, Fleet, FleetError, Role, Site, usual_fleet
from simulator.tables import FileError, Table, label_value, labels, one_of, text, whole

MOST: Final = 500  # boxes; one machine carries no more
USUAL_SITES: Final = 12
USUAL_PAIRS: Final = 4  # sites with a second box


def parse_fleet(entries: Mapping[str, Any]) -> Fleet:
    """Read a fleet. Raises FileError with every problem of the file."""
    file = Table("", entries, [])
    if "site" in entries:
        sites = tuple(parse_site(table) for table in file.tables("site", "site"))
        if not entries["site"]:
            file.objection("site", "is empty: describe one site at least, with its boxes")
    else:
        count = file.take("sites", whole(1, MOST), 1, required=True)
        boxes = file.take("boxes", whole(1, MOST), count)
        if boxes < count:
            file.objection("boxes", f"{boxes}: each of the {count} sites has at least one box: write {count} or more")
        sites = ()
    file.close()
    if file.problems:
        raise FileError(file.problems)
    try:
        return Fleet(sites) if sites else usual_fleet(count, boxes)
    except FleetError as wrong:
        raise FileError([str(wrong)]) from wrong


def parse_site(table: Table) -> Site:
    """Read one site; problems go into the table."""
    name = table.take("name", text, "", required=True)
    if not table.entries.get("boxes"):
        table.objection("boxes", 'is missing or empty: a site has one at least, for example [{role = "scan"}]')
    site = Site(
        name=name,
        time_zone=table.take("time_zone", time_zone, "Asia/Shanghai"),
        region=table.take("region", label_value, "east"),
        boxes=tuple(boxes_of(name, table)),
    )
    table.close()
    return site


def boxes_of(site: str, table: Table) -> Iterator[Box]:
    """Read the boxes of a site."""
    numbers: dict[str, int] = {}
    none: Mapping[str, str] = {}
    for group in table.tables("boxes", "box"):
        role = Role(group.take("role", one_of(Role), Role.SCAN, required=True))
        own = group.take("labels", own_labels, none)
        count = group.take("count", whole(1, MOST), 1)
        name = group.take("name", text, "")
        group.close()
        if name and count > 1:
            group.objection("name", f"{count} boxes cannot share one: leave it out, or count out")
        for _ in range(count):
            numbers[role] = numbers.get(role, 0) + 1
            yield Box(name or f"{site}-{role}-{numbers[role]}", role, own)


def own_labels(value: object) -> Mapping[str, str]:
    """Labels of a box beside those that it has by itself."""
    found = labels(value)
    for key in (SITE_LABEL, ROLE_LABEL):
        if key in found:
            raise ValueError(f"{key} comes of the site and the role: remove it here")
    return found


def time_zone(value: object) -> str:
    """A time zone that there is."""
    if not isinstance(value, str) or value not in available_timezones():
        raise ValueError(f'{value!r} is no time zone: write an IANA name, for example "Asia/Shanghai"')
    return value


def fleet_for(selector: Mapping[str, Any]) -> Fleet:
    """The usual rehearsal fleet: 12 sites and 16 boxes that carry the labels a release selects."""
    wanted = selector.get("matchLabels") or {}
    role = Role(wanted[ROLE_LABEL]) if wanted.get(ROLE_LABEL) in set(Role) else Role.SCAN
    own = {key: value for key, value in wanted.items() if key != SITE_LABEL}
    names = [f"tc-{number:03}" for number in range(1, USUAL_SITES + 1)]
    return Fleet(
        tuple(
            Site(
                name, tuple(Box(f"{name}-{role}-{one}", role, own) for one in range(1, 3 if index < USUAL_PAIRS else 2))
            )
            for index, name in enumerate(names)
        )
    )
