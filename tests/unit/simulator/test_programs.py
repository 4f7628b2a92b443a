"""Command lines and configurations: what must be said to the programs, and what must never be said."""

from dataclasses import replace
from pathlib import Path

import pytest

from simulator import programs
from simulator.fleet import Box, Role, Site
from simulator.programs import CONTROL_PLANE, KUBEEDGE, Place, Ports, Program, Seat, Timing, Uplink

PLACE = Place(
    programs={name: Path("/bin dir") / name for name in (*CONTROL_PLANE, *KUBEEDGE)},
    crds=Path("/bin dir/crds"),
    folder=Path("/state dir"),
    ports=Ports(21, 22, 23, 24, 25, 26, 27),
    token="admin-token",  # noqa: S106 - of no cluster
    timing=Timing(grace=33, heartbeat=7),
)
SITE = Site("tc-001", (Box("tc-001-scan-1", Role.SCAN),))
SEAT, UPLINK = Seat("127.70.3", 20001), Uplink(hub=31, enrol=32, images=33)

CLOUD = (
    programs.etcd(PLACE),
    programs.apiserver(PLACE),
    programs.controller_manager(PLACE),
    programs.scheduler(PLACE),
    programs.cloudcore(PLACE),
    programs.kubeedge_controllers(PLACE),
    programs.link(PLACE),
)


@pytest.mark.parametrize("program", CLOUD, ids=lambda program: program.name)
def test_no_secret_is_in_a_command_line_that_anyone_on_the_machine_can_read(program: Program) -> None:
    assert not [word for word in program.argv if PLACE.token in word]


@pytest.mark.parametrize("program", CLOUD, ids=lambda program: program.name)
def test_every_program_stays_on_loopback_and_in_the_clusters_folder(program: Program) -> None:
    assert not [word for word in program.argv if "0.0.0.0" in word]  # noqa: S104 - that is what is looked for
    assert program.folder.is_relative_to(PLACE.folder)


def test_the_api_server_checks_rights() -> None:
    assert "--authorization-mode=RBAC" in programs.apiserver(PLACE).argv


def test_the_grace_time_is_what_was_asked_for() -> None:
    assert "--node-monitor-grace-period=33s" in programs.controller_manager(PLACE).argv
    quick = replace(PLACE, timing=Timing(grace=10))
    assert "--node-monitor-grace-period=10s" in programs.controller_manager(quick).argv


def test_cloudcore_writes_nothing_outside_the_clusters_folder() -> None:
    hub = programs.cloudcore_config(PLACE)["modules"]["cloudHub"]
    files = [hub[key] for key in ("tlsCAFile", "tlsCAKeyFile", "tlsCertFile", "tlsPrivateKeyFile")]
    assert all(Path(path).is_relative_to(PLACE.folder) for path in files)
    assert hub["unixsocket"]["address"] == "unix:///state dir/cloudcore/kubeedge.sock"


def test_a_box_reaches_the_cloud_only_over_its_sites_uplink() -> None:
    hub = programs.edgecore_config(PLACE, SITE, SITE.boxes[0], SEAT, UPLINK)["modules"]["edgeHub"]
    assert hub["websocket"]["server"] == "127.0.0.1:31"
    assert hub["httpServer"] == "https://127.0.0.1:32"
    assert hub["heartbeat"] == 7
    argv = programs.hollow_node(PLACE, "tc-001-scan-1", SEAT, UPLINK).argv
    assert argv[argv.index("--images") + 1] == "127.0.0.1:33"


def test_a_box_leaves_the_machines_packet_filter_and_folders_alone() -> None:
    edged = programs.edgecore_config(PLACE, SITE, SITE.boxes[0], SEAT, UPLINK)["modules"]["edged"]
    kubelet = edged["tailoredKubeletConfig"]
    assert kubelet["makeIPTablesUtilChains"] is False
    folders = [edged["rootDirectory"], *(kubelet[k] for k in ("staticPodPath", "podLogsDir", "volumePluginDir"))]
    assert all(Path(path).is_relative_to(PLACE.box("tc-001-scan-1")) for path in folders)
