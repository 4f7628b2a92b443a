"""The record of a running cluster: what is written is read, and boxes come and go."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from simulator import record
from simulator.fleet import Box, Role, usual_fleet
from simulator.fleetfile import parse_fleet
from simulator.programs import Place, Ports, Seat, Timing, Uplink
from simulator.record import NoRecordError, Record

SAMPLE_FLEET = Path(__file__).parents[3] / "manifests/samples/rehearsal/fleet.toml"


@pytest.fixture
def sample(tmp_path: Path) -> Record:
    place = Place({"etcd": Path("/x/etcd")}, Path("/x/crds"), tmp_path, Ports(1, 2, 3, 4, 5, 6, 7), "secret", Timing())
    seats = {"tc-001-scan-1": Seat("127.70.1", 20001), "tc-002-scan-1": Seat("127.70.2", 20002)}
    return Record(place, usual_fleet(2, 2), seats, {"tc-001": Uplink(1, 2, 3), "tc-002": Uplink(4, 5, 6)})


def test_what_is_written_is_read(sample: Record, tmp_path: Path) -> None:
    sample.write()
    assert record.read(tmp_path) == sample


def test_a_fleet_out_of_a_file_is_written_and_read_as_well(sample: Record, tmp_path: Path) -> None:
    described = replace(sample, fleet=parse_fleet(tomllib.loads(SAMPLE_FLEET.read_text())))
    described.write()
    assert record.read(tmp_path) == described


def test_a_cluster_of_which_nothing_is_written_down_yet_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(NoRecordError, match=r"not up yet: wait for its start, or end it with `fleetsim cluster down"):
        record.read(tmp_path)


def test_nobody_else_may_read_the_admins_token(sample: Record, tmp_path: Path) -> None:
    sample.write()
    assert (tmp_path / record.FILE).stat().st_mode & 0o077 == 0


def test_a_box_that_came_and_went_leaves_no_trace(sample: Record) -> None:
    grown = sample.with_box("tc-002", Box("late", Role.GATEWAY), Seat("127.70.3", 20003))
    site, box, seat = grown.find("late")
    assert (site.name, box.role, seat.kubelet_port) == ("tc-002", Role.GATEWAY, 20003)
    assert grown.without_box("late") == sample
