"""Building the cluster's programs from pinned Go modules into a cache outside the tree.

An entry of the cache is named after everything it follows from (sources, go.mod, go.sum, flags, Go version, platform)
and appears in one step when all of it is there: a build that was killed leaves nothing that could be taken for one.
"""

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from simulator.gobuild import Module, compile_module, module_folder
from simulator.programs import CONTROL_PLANE, KUBEEDGE
from simulator.progress import ClusterError, Report, Step
from simulator.toolchain import Go, find_go, install_go

SOURCES = Path(__file__).parent / "cluster"
FORGET_SECONDS = 14 * 24 * 3600
KUBERNETES_VERSION = "1.35.4"
KUBEEDGE_VERSION = "1.23.1"
KUBEEDGE_PACKAGE = "github.com/kubeedge/kubeedge"

MODULES = (
    Module(
        folder="controlplane",
        packages=(".",),
        settings={
            "k8s.io/component-base/version.gitVersion": f"v{KUBERNETES_VERSION}",
            "k8s.io/component-base/version.gitMajor": "1",
            "k8s.io/component-base/version.gitMinor": KUBERNETES_VERSION.split(".")[1],
            "k8s.io/client-go/pkg/version.gitVersion": f"v{KUBERNETES_VERSION}",
        },
    ),
    Module(
        folder="kubeedge",
        packages=(
            f"{KUBEEDGE_PACKAGE}/cloud/cmd/cloudcore",
            f"{KUBEEDGE_PACKAGE}/cloud/cmd/controllermanager",
            f"{KUBEEDGE_PACKAGE}/edge/cmd/edgecore",
            "./hollownode",
            "./link",
        ),
        settings={
            f"{KUBEEDGE_PACKAGE}/pkg/version.gitVersion": f"v{KUBEEDGE_VERSION}",
            # KubeEdge's controllers would serve metrics on every address of the machine, and two clusters collide.
            "sigs.k8s.io/controller-runtime/pkg/metrics/server.DefaultBindAddress": "0",
        },
    ),
)


def cache_folder() -> Path:
    """Where entries lie, whether or not it is there or can be written."""
    user = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(user) / "edgefleet" / "cluster"


def source_key() -> str:
    """What an entry follows from beside the toolchain: all sources and all flags."""
    digest = hashlib.sha256(repr(MODULES).encode())
    for path in sorted(path for path in SOURCES.rglob("*") if path.suffix in {".go", ".mod", ".sum"}):
        digest.update(f"\n{path.relative_to(SOURCES)}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:20]


def entry_name(go_version: str) -> str:
    """The name of the entry that this toolchain would build on this machine."""
    return f"{source_key()}-{go_version}-{platform.machine()}"


def built(cache: Path, go: Go | None) -> Path | None:
    """The entry that is ready; without a toolchain, one that any has built. None: nothing is built."""
    for entry in sorted(cache.glob(entry_name(go.version if go else "*"))):
        if is_whole(entry):
            with contextlib.suppress(OSError):  # a cache that cannot be written
                os.utime(entry)  # used today: see forget_old
            return entry
    return None


def is_whole(entry: Path) -> bool:
    """Whether everything is there; a damaged entry is built anew."""
    return all((entry / name).is_file() for name in (*CONTROL_PLANE, *KUBEEDGE)) and any((entry / "crds").glob("*"))


def build(report: Report) -> Path:
    """The folder with all programs, built if it is not yet; raises ClusterError with the reason and the next step."""
    usual = cache_folder()
    go = find_go(usual)
    if ready := built(usual, go):
        return ready
    cache = writable(usual, report)
    if cache != usual and (ready := built(cache, go)):
        return ready
    need_compiler()
    with alone(cache / "build.lock", report):
        go = go or find_go(cache) or install_go(cache, report)
        if ready := built(cache, go):  # another build has just made it
            return ready
        for left in cache.glob("*.half"):  # of builds that were killed: we hold the lock, so none goes on
            shutil.rmtree(left)
        return make_entry(cache, go, report)


def make_entry(cache: Path, go: Go, report: Report) -> Path:
    """Build into a folder beside the entry, then put it in place in one step."""
    entry = cache / entry_name(go.version)
    half = entry.with_name(f"{entry.name}.half")
    half.mkdir()
    try:
        for module in MODULES:
            compile_module(go, SOURCES / module.folder, module, half, report)
        for name in CONTROL_PLANE:
            (half / name).symlink_to("controlplane")
        copy_crds(module_folder(go, SOURCES / "kubeedge", KUBEEDGE_PACKAGE), half / "crds")
        shutil.rmtree(entry, ignore_errors=True)
        half.rename(entry)
    finally:
        shutil.rmtree(half, ignore_errors=True)
    forget_old(cache, time.time())
    report(Step(f"built into {entry}"))
    return entry


def forget_old(cache: Path, now: float) -> None:
    """Remove entries that nobody has used for long; each takes half a gigabyte."""
    for entry in cache.glob(entry_name("*").replace(source_key(), "*")):
        if now - entry.stat().st_mtime > FORGET_SECONDS:
            shutil.rmtree(entry, ignore_errors=True)


def copy_crds(kubeedge: Path, folder: Path) -> None:
    """Keep KubeEdge's custom resources beside its programs, so that a start needs no module cache."""
    folder.mkdir()
    for path in kubeedge.glob("build/crds/*/*.yaml"):
        shutil.copyfile(path, folder / path.name)


def need_compiler() -> None:
    """KubeEdge keeps the box's database in SQLite, which is C."""
    wanted = (os.environ.get("CC") or "gcc").split()[0]
    if not shutil.which(wanted):
        raise ClusterError(
            f"{wanted} is missing, and KubeEdge's edge node contains SQLite, which is C: "
            "install a C compiler (Debian: apt-get install gcc libc6-dev), "
            "or say by EDGEFLEET_CLUSTER_BIN where ready programs lie"
        )


def writable(usual: Path, report: Report) -> Path:
    """The cache, or one for this user in the folder for temporary files where the cache cannot be written."""
    if can_write(usual):
        return usual
    spare = Path(tempfile.gettempdir()) / f"edgefleet-cluster-{os.getuid()}"
    report(Step(f"{usual} cannot be written: building into {spare} (set XDG_CACHE_HOME to choose another)"))
    if not can_write(spare) or spare.stat().st_uid != os.getuid():
        raise ClusterError(f"neither {usual} nor {spare} can be written: set XDG_CACHE_HOME to a folder of yours")
    spare.chmod(0o700)
    return spare


def can_write(folder: Path) -> bool:
    """Whether files can be made in the folder, which is made if it is not there."""
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    return False


@contextlib.contextmanager
def alone(lock: Path, report: Report) -> Iterator[None]:
    """One build at a time; the kernel frees the lock of one that was killed."""
    with lock.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(Step("another build is going on: waiting for it"))
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
