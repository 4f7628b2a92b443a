"""A real Kubernetes and KubeEdge cluster on this machine, with boxes whose uplinks can be cut.

    with Cluster.up(usual_fleet(sites=2, boxes=4), folder) as cluster:
        cluster.cut("tc-002")
        ...kubectl --kubeconfig cluster.kubeconfig...

Processes and state are all inside the folder, and nothing outlives the process that called up(), unless it was
asked to: Cluster.up(..., detached=True) and, from any process, Cluster.attach(folder).
"""

import contextlib
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from simulator import faults, record
from simulator.binaries import find_binaries
from simulator.existing import move_in, move_out
from simulator.faults import Fault
from simulator.fleet import Box, Fleet, Site
from simulator.folder import claimed, clear
from simulator.keeper import Keeper, end, spawn
from simulator.kube import Kube
from simulator.link import Links, Shape
from simulator.machine import free_ports, make_room_for_watches, need_address, network_of
from simulator.programs import Place, Ports, Seat, Timing
from simulator.progress import ClusterError, Report, Step, silent
from simulator.record import NoRecordError, Record
from simulator.starting import (
    boot_box,
    boot_gently,
    need_token,
    new_token,
    open_api,
    open_uplink,
    start_api,
    start_cloud,
    wait_for_boxes,
    write_kubeconfig,
)

CLOUD_PORTS = 7
TOKEN_SECONDS = 24 * 3600  # of a service account's kubeconfig


class NotUpError(ClusterError):
    """No cluster is up in the folder."""


@dataclass(slots=True)
class Cluster:
    """One running cluster. Calls are for one thread at a time; ClusterError and FleetError say what is wrong."""

    record: Record
    keeper: Keeper
    kube: Kube
    _supervisor: subprocess.Popen[bytes] | None = None  # None: attached or detached, it is not our child to wait for

    @classmethod
    def up(  # noqa: PLR0913 - what, where, and five choices that all have a usual answer
        cls,
        fleet: Fleet,
        folder: Path,
        *,
        report: Report = silent,
        timing: Timing | None = None,
        detached: bool = False,
        existing: Path | None = None,
        passing: bool = False,
    ) -> Self:
        """Start everything and return when every box is Ready; `folder` is emptied first, unless a cluster is up.

        `existing` is the kubeconfig of an API server to use in place of a control plane of our own. A `passing`
        cluster's folder goes as well when this process is killed.
        """
        folder = folder.absolute()
        with claimed(folder), contextlib.ExitStack() as undo:
            if Keeper(folder).is_alive():
                raise ClusterError(f"a cluster is up in {folder}: `fleetsim cluster down --dir '{folder}'` first")
            need_address()
            make_room(fleet.sites, report)
            binaries = find_binaries(report)
            clear(folder)
            ports = Ports(*free_ports(CLOUD_PORTS))
            place = Place(binaries.programs, binaries.crds, folder, ports, new_token(), timing or Timing())
            keeper, supervisor = spawn(folder, passing=passing)
            undo.callback(end, keeper, supervisor)
            if existing is None:
                start_api(place, keeper, report)
            else:
                place = move_in(place, existing)
                report(Step(f"API server: {place.server}, which is there already ({existing})"))
            kube = open_api(place)
            undo.callback(kube.close)
            if existing is not None:
                undo.callback(move_out, kube, [box.name for _, box in fleet.boxes()])
            start_cloud(place, keeper, kube, report)
            cluster = cls(Record(place, Fleet(()), {}, {}), keeper, kube, supervisor)
            cluster.add_sites(fleet.sites, report=report)
            if detached:
                keeper.let_go()
            undo.pop_all()
        return cluster

    @classmethod
    def attach(cls, folder: Path) -> Self:
        """The cluster that is up in a folder, whoever started it.

        Raises NotUpError when there is none, NoRecordError when it is not all up yet.
        """
        folder = folder.absolute()
        must_be_alive(folder)
        stored = record.read(folder)
        kube = Kube(stored.place.server, stored.place.pki / "apiserver.crt", stored.place.token)
        return cls(stored, Keeper(folder), kube)

    @property
    def kubeconfig(self) -> Path:
        """The admin's, ready for kubectl."""
        return self.record.place.kubeconfig

    @property
    def kubectl(self) -> Path:
        """The kubectl of the cluster's own version."""
        return self.record.place.programs["kubectl"]

    @property
    def fleet(self) -> Fleet:
        """All sites with their boxes as they stand now."""
        return self.record.fleet

    def cut(self, *sites: str) -> None:
        """Hold all bytes between these sites and the cloud, both ways."""
        for site in self._known(sites):
            self._links.cut(site)

    def heal(self, *sites: str) -> None:
        """Let the bytes flow again."""
        for site in self._known(sites):
            self._links.heal(site)

    def degrade(self, *sites: str, delay_ms: float = 0, loss: float = 0) -> None:
        """Make uplinks slow (milliseconds one way) and lossy (share of segments, up to 0.9)."""
        for site in self._known(sites):
            self._links.degrade(site, delay_ms, loss)

    def links(self) -> dict[str, Shape]:
        """Every site's uplink as it is now."""
        return self._links.state()

    def open_target(self, site: str, name: str, address: str) -> int:
        """Lead one more port of the cloud (host:port) to a site, over its uplink; returns the near port."""
        self._known([site])
        return self._links.open(site, {name: address})[name]

    def add_sites(self, sites: Iterable[Site], *, report: Report = silent) -> None:
        """Build new sites with their boxes, and return when all of these are Ready."""
        sites = tuple(sites)
        make_room((*self.fleet.sites, *sites), report)
        place = self.record.place
        boxes = [box.name for site in sites for box in site.boxes]
        uplinks = {site.name: open_uplink(place, site.name) for site in sites}
        self.record = replace(
            self.record,
            fleet=Fleet((*self.record.fleet.sites, *sites)),
            seats=self.record.seats | dict(zip(boxes, self._seats(len(boxes)), strict=True)),
            uplinks=self.record.uplinks | uplinks,
        )
        self.record.write()
        boot_gently(self.record, boxes, self.keeper, self.kube, report)

    def add_box(self, site: str, box: Box) -> None:
        """One box more at a site there is; returns when it is Ready."""
        self._known([site])
        self.record = self.record.with_box(site, box, next(self._seats(1)))
        self.record.write()
        boot_box(self.record, box.name, self.keeper, need_token(self.kube))
        self.wait_ready(box.name)

    def remove_box(self, name: str) -> None:
        """Take a box away for good: its processes, its disk and its node."""
        self.fleet.site_of(name)
        self.keeper.signal(f"box/{name}", signal.SIGKILL)
        self.kube.delete(f"/api/v1/nodes/{name}")
        shutil.rmtree(self.record.place.box(name))
        self.record = self.record.without_box(name)
        self.record.write()

    def stop_box(self, name: str, *, freeze: bool = False) -> None:
        """Cut a box's power; with `freeze` its processes only stop, as on a machine that hangs."""
        self.fleet.site_of(name)
        self.keeper.signal(f"box/{name}", signal.SIGSTOP if freeze else signal.SIGKILL)

    def start_box(self, name: str) -> None:
        """Boot a box again, or let a frozen one go on; what was on its disk is there."""
        self.fleet.site_of(name)
        if f"box/{name}" in self.keeper.pids():
            self.keeper.signal(f"box/{name}", signal.SIGCONT)
        else:
            boot_box(self.record, name, self.keeper, need_token(self.kube))

    def reimage_box(self, name: str) -> None:
        """Replace a box's disk: no database, no images, a new certificate; it enrols again under its name.

        This is quicker than a technician. KubeEdge sends a box only what has changed since it last took it, so pods
        come back only once Kubernetes has given the box up; for that, stop it and wait_not_ready() before.
        """
        self.fleet.site_of(name)
        self.keeper.signal(f"box/{name}", signal.SIGKILL)
        shutil.rmtree(self.record.place.box(name))
        boot_box(self.record, name, self.keeper, need_token(self.kube))

    def fault(self, name: str, *wrong: Fault) -> None:
        """Make these the faults of a box, in place of those before; none makes it well."""
        self.fleet.site_of(name)
        faults.write(self.record.place.box(name), wrong)

    def wait_ready(self, *names: str, report: Report = silent) -> None:
        """Return when these boxes (all, if none is named) are Ready."""
        wait_for_boxes(self.kube, names or self._box_names(), self.keeper, report)

    def wait_not_ready(self, *names: str) -> None:
        """Return when Kubernetes has given these boxes up."""
        wait_for_boxes(self.kube, names, self.keeper, silent, ready=False)

    def kubeconfig_for(self, namespace: str, service_account: str, path: Path) -> Path:
        """Write a kubeconfig that acts as a service account, by a token that is good for a day."""
        asked = {"spec": {"expirationSeconds": TOKEN_SECONDS}}
        answer = self.kube.create(f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token", asked)
        if answer is None:
            raise ClusterError(
                f"no token for service account {namespace}/{service_account}: the API server refused one"
            )
        write_kubeconfig(path, self.record.place, answer["status"]["token"], namespace)
        return path

    def down(self) -> None:
        """Stop everything; the folder with state and logs stays, and of an existing cluster what was there before."""
        end(self.keeper, self._supervisor)
        if self.record.place.existing:
            move_out(self.kube, self._box_names())
        self.kube.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    @property
    def _links(self) -> Links:
        return Links(self.record.place.folder / "link")

    def _known(self, sites: Iterable[str]) -> list[str]:
        wanted = list(sites)
        if strange := sorted(set(wanted) - self.record.uplinks.keys()):
            raise ClusterError(f"site {strange[0]!r} is not in the fleet: `fleetsim cluster status` lists the sites")
        return wanted

    def _box_names(self) -> list[str]:
        return [box.name for _, box in self.fleet.boxes()]

    def _seats(self, count: int) -> Iterator[Seat]:
        taken = {seat.kubelet_port for seat in self.record.seats.values()}
        return (Seat(network_of(port), port) for port in free_ports(count, but=taken))


def stop(folder: Path) -> bool:
    """Stop whatever runs in a folder, even a cluster that is only half up; returns whether anything did."""
    try:
        Cluster.attach(folder).down()
    except NotUpError:
        return False
    except NoRecordError:
        end(Keeper(folder.absolute()), None)
    return True


def must_be_alive(folder: Path) -> None:
    """Raise NotUpError when no cluster is up in the folder."""
    if not Keeper(folder).is_alive():
        raise NotUpError(f"no cluster is up in {folder}: start one with `fleetsim cluster up --dir '{folder}'`")


def make_room(sites: Iterable[Site], report: Report) -> None:
    """See that this machine has room for the boxes of a cluster. Raises NotEnoughError."""
    if raised := make_room_for_watches(sum(len(site.boxes) for site in sites)):
        report(Step(raised))
