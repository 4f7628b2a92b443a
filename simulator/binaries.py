"""Which programs a cluster is made of: the user's own where they are given, else those of the build."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from simulator.build import build
from simulator.programs import CONTROL_PLANE, KUBEEDGE
from simulator.progress import ClusterError, Report, Step

WHOLE = "EDGEFLEET_CLUSTER_BIN"
ASSETS = "KUBEBUILDER_ASSETS"


@dataclass(frozen=True, slots=True)
class Binaries:
    """A path for each program, and the folder with KubeEdge's custom resources."""

    programs: Mapping[str, Path]
    crds: Path


def find_binaries(report: Report) -> Binaries:
    """Everything a cluster needs; tells what is used, and builds what is missing."""
    if given := os.environ.get(WHOLE):
        report(Step(f"programs: all from {given} ({WHOLE})"))
        return whole(Path(given).absolute())
    folder = build(report)
    ready = whole(folder)
    assets = os.environ.get(ASSETS)
    theirs = {} if not assets else found_in(Path(assets).absolute(), CONTROL_PLANE)
    if assets and not theirs:
        raise ClusterError(f"{ASSETS}={assets} holds none of {', '.join(CONTROL_PLANE)}: unset it, or correct it")
    told = f"; {', '.join(sorted(theirs))} from {assets} ({ASSETS})" if theirs else ""
    report(Step(f"programs: built from source, in {folder}{told}"))
    return Binaries({**ready.programs, **theirs}, ready.crds)


def whole(folder: Path) -> Binaries:
    """A folder that has to hold everything; raises ClusterError naming what it lacks."""
    wanted = (*CONTROL_PLANE, *KUBEEDGE)
    programs = found_in(folder, wanted)
    lacking = [name for name in wanted if name not in programs]
    if not any((folder / "crds").glob("*.yaml")):
        lacking.append("crds/*.yaml")
    if lacking:
        raise ClusterError(f"{folder} lacks {', '.join(lacking)}: complete it, or unset {WHOLE} to build from source")
    return Binaries(programs, folder / "crds")


def found_in(folder: Path, names: tuple[str, ...]) -> dict[str, Path]:
    """Those programs that lie in the folder and can be run."""
    return {name: folder / name for name in names if os.access(folder / name, os.X_OK)}
