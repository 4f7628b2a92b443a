"""What is written down of a running cluster, so that another process can cut, heal, stop it: cluster.json."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from simulator.fleet import Box, Fleet, Role, Site
from simulator.folder import naming
from simulator.programs import Place, Ports, Seat, Timing, Uplink
from simulator.progress import ClusterError

FILE = "cluster.json"


class NoRecordError(ClusterError):
    """A cluster has not come so far that anything was written down of it."""


@dataclass(frozen=True, slots=True)
class Record:
    """One cluster: where it lives, who belongs to it, and what this machine has set aside for each."""

    place: Place
    fleet: Fleet
    seats: dict[str, Seat]  # by box
    uplinks: dict[str, Uplink]  # by site

    def with_box(self, site: str, box: Box, seat: Seat) -> "Record":
        """The same with one box more at a site there is."""
        sites = (replace(one, boxes=(*one.boxes, box)) if one.name == site else one for one in self.fleet.sites)
        return replace(self, fleet=Fleet(tuple(sites)), seats=self.seats | {box.name: seat})

    def without_box(self, name: str) -> "Record":
        """The same with one box less; its site stays, even when it is empty."""
        sites = (replace(s, boxes=tuple(box for box in s.boxes if box.name != name)) for s in self.fleet.sites)
        seats = {other: seat for other, seat in self.seats.items() if other != name}
        return replace(self, fleet=Fleet(tuple(sites)), seats=seats)

    def find(self, name: str) -> tuple[Site, Box, Seat]:
        """A box with all there is about it; raises FleetError when it is not in the fleet."""
        site = self.fleet.site_of(name)
        return site, next(box for box in site.boxes if box.name == name), self.seats[name]

    def write(self) -> None:
        """Replace the file in one step; only this user may read it, the admin's token is in it."""
        path = self.place.folder / FILE
        fresh = path.with_suffix(".new")
        with naming(fresh):
            fresh.touch(mode=0o600)
            fresh.write_text(json.dumps(asdict(self), default=str, indent=1))
        fresh.replace(path)


def read(folder: Path) -> Record:
    """The record of the cluster in a folder. Raises NoRecordError when there is none."""
    try:
        stored: dict[str, Any] = json.loads((folder / FILE).read_text())
    except FileNotFoundError as absent:
        raise NoRecordError(
            f"the cluster in {folder} is not up yet: wait for its start, or end it with "
            f"`fleetsim cluster down --dir '{folder}'`"
        ) from absent
    place = stored["place"]
    return Record(
        place=Place(
            programs={name: Path(path) for name, path in place["programs"].items()},
            crds=Path(place["crds"]),
            folder=Path(place["folder"]),
            ports=Ports(**place["ports"]),
            token=place["token"],
            timing=Timing(**place["timing"]),
            existing=place["existing"],
        ),
        fleet=Fleet(tuple(read_site(site) for site in stored["fleet"]["sites"])),
        seats={name: Seat(**seat) for name, seat in stored["seats"].items()},
        uplinks={name: Uplink(**uplink) for name, uplink in stored["uplinks"].items()},
    )


def read_site(stored: dict[str, Any]) -> Site:
    """One site with its boxes."""
    boxes = tuple(Box(box["name"], Role(box["role"]), box["labels"]) for box in stored["boxes"])
    return Site(stored["name"], boxes, stored["time_zone"], stored["region"])
