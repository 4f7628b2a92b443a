"""One Go module of ours: its packages counted, compiled with progress, and a failure explained."""

import re
import shlex
import subprocess
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from simulator.progress import ClusterError, Report, Step
from simulator.toolchain import Go

KEPT_LINES = 25  # of the compiler's words in an error


@dataclass(frozen=True, slots=True)
class Module:
    """What to build of a module; `settings` are string variables of packages, set while linking."""

    folder: str
    packages: tuple[str, ...]
    settings: Mapping[str, str]

    @property
    def flags(self) -> list[str]:
        """Small (no symbol tables), the same in every folder, and with the versions inside."""
        linking = ["-s", "-w", *(f"-X {shlex.quote(f'{name}={value}')}" for name, value in self.settings.items())]
        return ["-trimpath", "-ldflags", " ".join(linking)]


NEXT_STEPS = (  # what the toolchain says when it fails, and what to do; the first that fits
    (r"no space left on device", "free some disk space: the first build needs about 8 GB, most of it in Go's caches"),
    (r"(?i)dial tcp|no such host|i/o timeout|connection re(fused|set)|TLS handshake|proxyconnect|EOF$",
     "the Go modules cannot be fetched: check the network, HTTPS_PROXY and `go env GOPROXY`; later builds need none"),
    (r"checksum mismatch", "a module is not what go.sum says: `go clean -modcache`, and check who answers for GOPROXY"),
    (r"missing go\.sum entry|updates to go\.(mod|sum) needed", "go.mod and go.sum differ: take both from git"),
    (r"stdio\.h|stdlib\.h|cgo: C compiler|exec: \"(gcc|cc)\"|C compiler .* not found",
     "the C compiler does not work: install it whole (Debian: apt-get install gcc libc6-dev)"),
    (r"signal: killed|cannot allocate memory", "memory ran out while compiling: 4 GB free are enough"),
    (r"read-only file system|permission denied", "a cache of Go cannot be written: set GOCACHE and GOMODCACHE"),
)  # fmt: skip


def compile_module(go: Go, folder: Path, module: Module, output: Path, report: Report) -> None:
    """Put the module's programs into `output`; the progress counts packages."""
    what = f"building {module.folder} with {go.version}"
    report(Step(f"{what}: looking at its modules"))
    total = count_packages(go, folder, module, report)
    report(Step(what, 0, total))
    target = output if len(module.packages) > 1 else output / module.folder
    command = ["build", "-v", *module.flags, "-o", f"{target}/" if target == output else target, *module.packages]
    done = 0
    for line in lines_of(go, folder, [str(word) for word in command], what):
        if line.startswith("go: downloading"):
            continue
        done += 1
        report(Step(what, min(done, total - 1), total))
    report(Step(what, total, total))  # packages that Go has in its own cache are not named


def count_packages(go: Go, folder: Path, module: Module, report: Report) -> int:
    """All packages the programs consist of; fetches the modules they lie in."""
    packages = fetched = 0
    for line in lines_of(go, folder, ["list", "-deps", *module.packages], f"fetching the modules of {module.folder}"):
        if line.startswith("go: downloading"):
            fetched += 1
            report(Step(f"modules of {module.folder} fetched", fetched))
        else:
            packages += 1
    return packages


def module_folder(go: Go, folder: Path, module: str) -> Path:
    """Where the sources of a required module lie."""
    (path,) = lines_of(go, folder, ["list", "-m", "-f", "{{.Dir}}", module], f"finding {module}")
    return Path(path)


def lines_of(go: Go, folder: Path, arguments: list[str], what: str) -> Iterator[str]:
    """What the toolchain says, line by line as it says it; raises ClusterError at the end when it failed."""
    kept: deque[str] = deque(maxlen=KEPT_LINES)
    with subprocess.Popen(
        [go.program, *arguments],
        cwd=folder,
        env=go.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None  # noqa: S101 - for the type checker: it was asked for above
        try:
            for line in process.stdout:
                kept.append(line.rstrip())
                yield line.rstrip()
        except GeneratorExit:
            process.kill()
            raise
    if process.returncode:
        words = "\n".join(f"  {line}" for line in kept)
        raise ClusterError(f"{what} failed; the toolchain's last words:\n{words}\nNext step: {next_step(kept)}")


def next_step(words: deque[str]) -> str:
    """What to do about a failure."""
    for pattern, step in NEXT_STEPS:
        if any(re.search(pattern, line) for line in words):
            return step
    return "read the lines above; `go version` and the network are the usual suspects"
