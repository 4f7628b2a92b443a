"""Where the demo's story happens: no box is asked for two things at once, whatever the size of the fleet."""

import pytest

from simulator.fleet import Role, usual_fleet
from simulator.play import broken, darkened, simulated, torn, with_agents


@pytest.mark.parametrize(("sites", "boxes"), [(3, 4), (10, 13), (100, 130)])
def test_what_happens_where(sites: int, boxes: int) -> None:
    fleet = usual_fleet(sites, boxes)
    dark, cut = darkened(fleet), torn(fleet)
    assert cut not in dark
    real, others = with_agents(fleet), simulated(fleet)
    assert {site.name for site, _ in real} == {cut, *dark[:2]}
    assert len(real) == min(3, sites - 1)
    assert sorted(box.name for _, box in (*real, *others)) == sorted(box.name for _, box in fleet.boxes())
    for role in (Role.SCAN, Role.VISION):
        site, box = broken(fleet, role)
        assert box.role is role
        assert (site, box) in others
        assert len(site.boxes) > 1
