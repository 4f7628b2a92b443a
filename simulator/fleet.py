"""What a simulated fleet consists of: sites with boxes and roles; no I/O here."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice

SITE_LABEL = "edgefleet.io/site"
ROLE_LABEL = "edgefleet.io/role"
ZONE_LABEL = "topology.kubernetes.io/zone"
REGION_LABEL = "topology.kubernetes.io/region"

NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")  # a DNS label: sites become label values, boxes node names
BOXES_PER_ADDRESS_BLOCK = 16384  # each box has a /24 of its own in 127.64.0.0/10


class FleetError(ValueError):
    """A fleet that cannot be built; the text names the thing and the next step."""


class Role(StrEnum):
    """What a box is for."""

    SCAN = "scan"
    VISION = "vision"
    GATEWAY = "gateway"


@dataclass(frozen=True, slots=True)
class Box:
    """One edge node; `labels` are further node labels, beside site, role and topology."""

    name: str
    role: Role = Role.SCAN
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Site:
    """One transfer centre; `region` becomes the node's region, the site itself its zone."""

    name: str
    boxes: tuple[Box, ...] = ()
    time_zone: str = "Asia/Shanghai"
    region: str = "east"


@dataclass(frozen=True, slots=True)
class Fleet:
    """All sites; raises FleetError for names that no Kubernetes node or label can carry."""

    sites: tuple[Site, ...]

    def __post_init__(self) -> None:
        names = [name for site in self.sites for name in (site.name, *(box.name for box in site.boxes))]
        if bad := sorted(name for name in names if not NAME.fullmatch(name)):
            raise FleetError(f"fleet: {bad[0]!r} is no name: use lower-case letters, digits and -, at most 63")
        for kind, listed in (("site", [s.name for s in self.sites]), ("box", [b.name for _, b in self.boxes()])):
            if twice := sorted(name for name, times in Counter(listed).items() if times > 1):
                raise FleetError(f"fleet: {kind} {twice[0]!r} is there twice: give each its own name")
        if len(list(self.boxes())) > BOXES_PER_ADDRESS_BLOCK:
            raise FleetError(f"fleet: more than {BOXES_PER_ADDRESS_BLOCK} boxes: loopback has no more addresses")

    def boxes(self) -> Iterator[tuple[Site, Box]]:
        """Every box with its site, site by site."""
        return ((site, box) for site in self.sites for box in site.boxes)

    def site_of(self, box_name: str) -> Site:
        """The site a box stands at; raises FleetError when there is no such box."""
        for site, box in self.boxes():
            if box.name == box_name:
                return site
        raise FleetError(f"box {box_name!r} is not in the fleet: `fleetsim cluster status` lists the boxes")


def node_labels(site: Site, box: Box) -> dict[str, str]:
    """The labels a box registers its node with; Kubernetes adds the host name itself."""
    own = {SITE_LABEL: site.name, ROLE_LABEL: box.role.value, ZONE_LABEL: site.name, REGION_LABEL: site.region}
    return {**own, **box.labels}


def usual_fleet(sites: int, boxes: int) -> Fleet:
    """A scan box at every site, then a vision box at as many sites as boxes remain, then a gateway, then scan boxes.

    Sites are called tc-001 (transfer centre) and so on; boxes after site and role.
    """
    if sites < 1:
        raise FleetError(f"--sites {sites}: a fleet needs at least 1 site")
    if boxes < sites:
        raise FleetError(f"--boxes {boxes} for --sites {sites}: every site has at least one box, so ask for {sites}")
    digits = max(3, len(str(sites)))
    names = [f"tc-{number:0{digits}}" for number in range(1, sites + 1)]
    standing: dict[str, list[Box]] = {name: [] for name in names}
    for name, role, count in islice(places(names), boxes):
        standing[name].append(Box(f"{name}-{role.value}-{count}", role))
    return Fleet(tuple(Site(name, tuple(boxes)) for name, boxes in standing.items()))


def places(sites: list[str]) -> Iterator[tuple[str, Role, int]]:
    """Where the next box goes, without end: site, role, and its number among the boxes of that role there."""
    for role in (Role.SCAN, Role.VISION, Role.GATEWAY):
        yield from ((site, role, 1) for site in sites)
    count = 2
    while True:
        yield from ((site, Role.SCAN, count) for site in sites)
        count += 1
