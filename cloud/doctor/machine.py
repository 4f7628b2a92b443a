"""Judges a machine on which ``make demo`` and ``make test`` are to run: a simulated fleet with a real control plane."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cloud.doctor.findings import Finding, Level
from cloud.fleet.wording import some

GIB: Final = 1 << 30
OLDEST_PYTHON: Final = (3, 11)
MEMORY_OF_A_SMALL_FLEET: Final = 3 * GIB  # control plane, cloudcore and 100 hollow boxes were measured at 2.4 GB
MEMORY_OF_THE_DEMO: Final = 6 * GIB  # 130 boxes, operator and the tests' own programs
DISK_OF_A_BUILD: Final = 8 * GIB  # Go modules 1.9 GB, compiled packages 4.8 GB, programs 0.5 GB
INOTIFY_INSTANCES: Final = 1024  # about one a hollow box, and 90 boxes use up the kernel's usual 128


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """What a machine is and has."""

    python: tuple[int, int, int]
    cores: int
    memory: int  # bytes that programs can still have
    disk: int  # free bytes where the build keeps its cache
    cache: str  # that folder
    inotify_instances: int | None  # None: not Linux
    uv: str | None  # path; None: not on PATH
    go: str | None
    gcc: str | None
    debian: bool  # has apt-get
    root: bool
    routed: bool  # has a default route
    missing: tuple[str, ...]  # Debian packages of the real edge box that are not here


def judge_machine(facts: MachineFacts) -> tuple[Finding, ...]:
    """Return one finding for each thing looked at, in the order in which one would put things right."""
    return tuple(check(facts) for check in CHECKS)


def python(facts: MachineFacts) -> Finding:
    """Whether the interpreter is new enough."""
    version = ".".join(map(str, facts.python))
    if facts.python[:2] >= OLDEST_PYTHON:
        return Finding("Python", Level.OK, f"Python {version}")
    return Finding(
        "Python",
        Level.BLOCKED,
        f"Python {version} is too old",
        "edgefleet is written for Python 3.11 and newer",
        "install python3.11 or newer and run make again; it finds it on PATH",
    )


def uv(facts: MachineFacts) -> Finding:
    """Whether uv is here; its absence only costs a download."""
    return Finding("Uv", Level.OK, f"uv at {facts.uv}" if facts.uv else "no uv on PATH; make fetches its own (40 MB)")


def go(facts: MachineFacts) -> Finding:
    """Whether Go is here; its absence only costs a download."""
    return Finding("Go", Level.OK, f"Go at {facts.go}" if facts.go else "no Go on PATH; the build fetches its own")


def gcc(facts: MachineFacts) -> Finding:
    """Whether there is a C compiler."""
    if facts.gcc:
        return Finding("CCompiler", Level.OK, f"C compiler at {facts.gcc}")
    return Finding(
        "CCompiler",
        Level.WARNING,
        "no gcc on PATH",
        "KubeEdge's edge node keeps its state in SQLite, which is C; only the first build needs it",
        "sudo apt-get install gcc libc6-dev" if facts.debian else "install gcc and the C library's headers",
    )


def memory(facts: MachineFacts) -> Finding:
    """Whether the simulated fleet fits."""
    free = f"{facts.memory / GIB:.1f} GiB of memory to be had"
    if facts.memory >= MEMORY_OF_THE_DEMO:
        return Finding("Memory", Level.OK, free)
    why = (
        "a control plane, cloudcore and 100 boxes take about 2.4 GB, the demo's 130 boxes with the operator up to 6 GB"
    )
    step = "close other programs, or run a smaller fleet: fleetsim cluster up --sites 10 --boxes 20"
    level = Level.WARNING if facts.memory >= MEMORY_OF_A_SMALL_FLEET else Level.BLOCKED
    return Finding("Memory", level, f"only {free}", why, step)


def cores(facts: MachineFacts) -> Finding:
    """Whether there is more than one core."""
    if facts.cores > 1:
        return Finding("Cores", Level.OK, f"{facts.cores} cores")
    why = "all times were measured on two cores; on one, boxes may miss their deadlines"
    return Finding("Cores", Level.WARNING, "1 core", why, "give the machine a second core, or expect half the speed")


def disk(facts: MachineFacts) -> Finding:
    """Whether a build fits."""
    free = f"{facts.disk / GIB:.0f} GiB free at {facts.cache}"
    if facts.disk >= DISK_OF_A_BUILD:
        return Finding("Disk", Level.OK, free)
    why = "building the control plane and KubeEdge takes 8 GiB once; when it is built, nothing more is needed"
    return Finding(
        "Disk", Level.WARNING, f"only {free}", why, "free space there, or set XDG_CACHE_HOME to a larger disk"
    )


def inotify(facts: MachineFacts) -> Finding:
    """Whether the kernel lets as many programs watch files as there are boxes."""
    found = facts.inotify_instances
    if found is None:
        step = "run it on Linux, for example in a virtual machine"
        return Finding("Inotify", Level.BLOCKED, "this is not Linux", "KubeEdge's edge node runs on Linux only", step)
    if found >= INOTIFY_INSTANCES:
        return Finding("Inotify", Level.OK, f"fs.inotify.max_user_instances is {found}")
    return Finding(
        "Inotify",
        Level.WARNING,
        f"fs.inotify.max_user_instances is {found}",
        "every box watches files; with 128 about 90 boxes start, and then neither boxes nor containerd do",
        f"{'' if facts.root else 'sudo '}sysctl -w fs.inotify.max_user_instances=8192",
    )


def route(facts: MachineFacts) -> Finding:
    """Whether KubeEdge will find an address for itself."""
    if facts.routed:
        return Finding("DefaultRoute", Level.OK, "a default route")
    return Finding(
        "DefaultRoute",
        Level.WARNING,
        "no default route",
        "KubeEdge takes its own address from it, and else from the host name; nothing goes over it",
        "for example, as root: ip link add dummy0 type dummy; ip addr add 198.51.100.1/24 dev dummy0; "
        "ip link set dummy0 up; ip route add default dev dummy0 metric 9999",
    )


def edge_box(facts: MachineFacts) -> Finding:
    """Whether the tests with a real edge box can run."""
    why = "a few tests run a real edge box with containerd and runc; without it they skip, and say so"
    lacks_root = () if facts.root else ("not root",)
    lacks_programs = (f"not installed: {some(facts.missing)}",) if facts.missing else ()
    if not lacks_root + lacks_programs:
        return Finding("RealEdgeBox", Level.OK, "root, containerd and runc for a real edge box")
    with_apt = f"{'' if facts.root else 'sudo '}apt-get install {' '.join(facts.missing)}"
    install = with_apt if facts.debian else f"install {some(facts.missing)}"
    steps = ((install,) if facts.missing else ()) + (() if facts.root else ("sudo make test",))
    return Finding("RealEdgeBox", Level.WARNING, ", and ".join(lacks_root + lacks_programs), why, "; then ".join(steps))


CHECKS: tuple[Callable[[MachineFacts], Finding], ...] = (
    python,
    uv,
    go,
    gcc,
    memory,
    cores,
    disk,
    inotify,
    route,
    edge_box,
)
