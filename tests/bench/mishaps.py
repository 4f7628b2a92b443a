"""Who is told what, of everything that can befall a box: simulated boxes, the real broker, the real monitor."""

import os
import threading
from pathlib import Path

import pytest

from edgeagent.wire import Address
from simulator.devices import Devices
from simulator.files import read_script
from simulator.mishaps import turns
from simulator.striking import play
from tests.contract.plainbroker import MOSQUITTO, until
from tests.contract.watched import Told, Watched, patiently, watched

pytestmark = [
    pytest.mark.skipif(
        MOSQUITTO is None and not os.environ.get("CI"), reason="no mosquitto: apt-get install mosquitto"
    ),
    pytest.mark.timeout(420),
]
SCRIPT = Path(__file__).with_name("mishaps.toml")
SITES = "power dark crash stall gpu xid agent clock reach storm modem clone hang calm".split()
BOXES = [Address(site, f"{site}-{number}") for site in SITES for number in (1, 2)]


def told_of(site: str, one: Watched) -> list[Told]:
    """What was told of a site, in its order."""
    return [notice for notice in list(one.duty.told) if notice.site == site]


def said_of(site: str, one: Watched) -> list[str]:
    return [str(notice) for notice in told_of(site, one)]


def is_over(site: str, one: Watched) -> bool:
    return any(notice.occasion == "resolved" for notice in told_of(site, one))


def test_each_mishap_is_told_as_what_it_is_and_once(tmp_path: Path) -> None:
    script = read_script(SCRIPT)
    with watched(tmp_path / "watched") as one:
        devices = Devices(one.endpoints(BOXES), seed=1)
        devices.start()
        try:
            until(lambda: devices.connected() == len(BOXES), "all boxes are connected")
            one.hears(devices, BOXES[-1])
            play(turns(script.blows, BOXES), devices, lambda *_: None, threading.Event())
            for site in EXACTLY:
                patiently(lambda site=site: is_over(site, one), f"{site} is over")  # type: ignore[misc]
        finally:
            devices.stop()
    for site, (codes, where) in EXACTLY.items():
        assert len(told_of(site, one)) == 2, said_of(site, one)
        begin, end = told_of(site, one)
        assert (begin.occasion, end.occasion, begin.code) == ("firing", "resolved", end.code), said_of(site, one)
        assert begin.code in codes, said_of(site, one)
        assert " ".join(filter(None, (begin.site, begin.box, begin.part))) == where
    assert said_of("clock", one) == []
    for site in ("storm", "modem"):
        assert 1 <= len(told_of(site, one)) <= 3, said_of(site, one)
    assert said_of("clone", one).count("firing BoxCloned clone clone-1") == 1, said_of("clone", one)


ALONE = {"BoxSilent"}  # of a neighbour that was not quick enough, for the machine is busy
EXACTLY = {
    "power": ({"BoxDown"} | ALONE, "power power-1"),
    "dark": ({"SiteDark"}, "dark"),
    "crash": ({"WorkloadCrashed"}, "crash crash-1 scan"),
    "stall": ({"WorkloadStalled"}, "stall stall-1 sync"),
    "gpu": ({"GpuLost"}, "gpu gpu-1 0"),
    "xid": ({"GpuFailing"}, "xid xid-1 0"),
    "agent": ({"AgentDown"}, "agent agent-1"),
    "reach": ({"BoxUnreachable"} | ALONE, "reach reach-1"),
    "hang": ({"AgentDown"} | ALONE, "hang hang-1"),
}
