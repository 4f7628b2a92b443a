"""What a bare machine lacks, before there is any environment: the locked Python environment and Debian packages.

python3 -I simulator/bootstrap.py env            make .venv equal to requirements/dev.txt; silent and offline when it is
python3 -I simulator/bootstrap.py debian build   Debian packages that one step wants (build, test, make): asks first

Standard library only, and loaded even by a Python 3.6 that is too old, so that it can say so: what an older one cannot
evaluate stands in quotes. Nothing of Debian is installed
without a yes on a terminal, `YES=1` or `CI`.
"""

import argparse
import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

OLDEST_PYTHON = (3, 11)
NEWER_PYTHONS = ("python3.14", "python3.13", "python3.12", "python3.11")
TREE = Path(__file__).resolve().parent.parent
VENV = TREE / ".venv"
PIP_SETTINGS = {  # what pip was told about indexes, under the names uv reads
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
}


class CannotGoOnError(Exception):
    """The machine lacks something we may not or cannot put there; the text says what and the next step."""


class Package(NamedTuple):
    """A Debian package and the program (or file) that shows that it is not needed any more."""

    name: str
    sign: str
    step: str
    why: str


PACKAGES = (
    Package("make", "make", "make", "runs the commands of the Makefile"),
    Package("gcc", "gcc", "build", "compiles the SQLite inside KubeEdge's edge node"),
    Package("libc6-dev", "/usr/include/stdio.h", "build", "the C headers for the same"),
    Package("containerd", "containerd", "test", "the container runtime of the real edge box (starts as a service)"),
    Package("runc", "runc", "test", "starts the containers of the real edge box"),
    Package("containernetworking-plugins", "/usr/lib/cni/ptp", "test", "the pod network of the real edge box"),
    Package("iptables", "iptables", "test", "the host ports of the real edge box"),
    Package("mosquitto", "/usr/sbin/mosquitto", "demo", "the broker between boxes and monitor (starts as a service)"),
    Package("openssl", "openssl", "demo", "makes a box's key when it joins a fleet"),
    Package("postgresql", "pg_ctlcluster", "test", "the database of larger fleets (starts as a service)"),
    Package("prometheus", "promtool", "test", "promtool checks the alert rules (Prometheus starts as a service)"),
    Package("busybox-static", "busybox", "test", "the program inside the images of the real edge box"),
)


def main() -> int:
    """Run one step; returns the exit status."""
    use_new_enough_python()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("env")
    steps = sorted({package.step for package in PACKAGES})
    commands.add_parser("debian").add_argument("steps", nargs="+", choices=steps)
    chosen = parser.parse_args()
    try:
        if chosen.command == "env":
            make_environment()
        else:
            offer_debian([package for package in missing_packages() if package.step in chosen.steps])
    except CannotGoOnError as problem:
        say(str(problem))
        return 1
    except subprocess.CalledProcessError as problem:
        say(f"{Path(problem.cmd[0]).name} ended with status {problem.returncode}; its own words are above.")
        return 1
    return 0


def use_new_enough_python() -> None:
    """Go on under a newer Python where this one is too old; exits where there is none."""
    if sys.version_info[:2] >= OLDEST_PYTHON:
        return
    for name in NEWER_PYTHONS:
        found = shutil.which(name)
        if found and not subprocess.call([found, "-c", ""], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            os.execv(found, [found, "-I", *sys.argv])  # noqa: S606 - an interpreter, not a shell
    version = ".".join(map(str, sys.version_info[:3]))
    say(f"Python {version} is too old: edgefleet needs 3.11 or newer. Install one, e.g. apt-get install python3.11.")
    sys.exit(1)


def make_environment() -> None:
    """Bring .venv to the lock and to this tree. Only what changed since the stamp was written is done again."""
    if (VENV.exists() or VENV.is_symlink()) and not VENV.is_dir():
        raise CannotGoOnError(f"{VENV} is no folder, or a link to nowhere: remove it (rm '{VENV}') and run again.")
    stamp, wanted = VENV / "edgefleet-stamp.json", environment_key()
    with alone(TREE / "build" / "environment.lock"):
        found = read_stamp(stamp)
        if found == wanted and (VENV / "bin" / "python").exists():
            return
        uv, settings = find_uv()
        if found.get("tree", wanted["tree"]) != wanted["tree"] or not works(VENV / "bin" / "python"):
            say("Python environment: creating .venv")
            call([uv, "venv", "--clear", "--quiet", "--no-project", "--python", sys.executable, str(VENV)], settings)
            found = {}
        stamp.unlink(missing_ok=True)  # killed from here on: the next run does both steps again
        options = ["--python", str(VENV / "bin" / "python"), *([] if sys.stderr.isatty() else ["--quiet"])]
        lock = TREE / "requirements" / "dev.txt"
        if found.get("lock") != wanted["lock"]:
            say(f"Python environment: bringing .venv to {lock.relative_to(TREE)}")
            sync = [uv, "pip", "sync", *options, "--require-hashes", str(lock)]
            cached = subprocess.run([*sync, "--offline"], env=settings, capture_output=True, check=False)
            if cached.returncode:  # some package is not in uv's cache yet
                call(sync, settings)
        own = ["--offline", "--no-deps", "--no-build-isolation", "--editable", str(TREE)]
        call([uv, "pip", "install", *options, *own], settings)
        fresh = stamp.with_suffix(".new")
        fresh.write_text(json.dumps(wanted, indent=1) + "\n")
        fresh.replace(stamp)


def read_stamp(stamp: Path) -> "dict[str, str]":
    """What the environment was made from; empty where that cannot be read, so it is brought to the lock again."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(stamp.read_text())
        return found if isinstance(found, dict) else {}
    return {}


def environment_key() -> "dict[str, str]":
    """All that the environment follows from: digests of the lock and of what an installation reads, place, Python."""
    import tomllib  # noqa: PLC0415 - came with 3.11; this file must load in an older one to say so

    project = tomllib.loads((TREE / "pyproject.toml").read_text())
    installed = json.dumps([project["build-system"], project["project"], project["tool"]["hatch"]], sort_keys=True)
    return {
        "tree": str(TREE),
        "python": ".".join(map(str, sys.version_info[:2])),
        "lock": hashlib.sha256((TREE / "requirements" / "dev.txt").read_bytes()).hexdigest(),
        "project": hashlib.sha256(installed.encode()).hexdigest(),
    }


def find_uv() -> "tuple[str, dict[str, str]]":
    """The uv to use and its settings: the user's own as it is, else one of ours that follows pip's settings."""
    found = shutil.which("uv")
    if found:
        return found, dict(os.environ, UV_PYTHON_DOWNLOADS="never")
    lock = TREE / "requirements" / "uv.txt"
    home = cache_folder() / f"uv-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    python, ready = home / "bin" / "python", home / "ready"
    if not ready.exists():
        say("uv is not on PATH: installing it from the Python package index into " + str(home))
        need_ensurepip()
        call([sys.executable, "-m", "venv", "--clear", str(home)])
        call([str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "--requirement", str(lock)])
        ready.touch()
    settings = {"UV_CACHE_DIR": str(cache_folder().parent / "uv"), **pip_settings(python), **os.environ}
    return str(home / "bin" / "uv"), dict(settings, UV_PYTHON_DOWNLOADS="never")


def need_ensurepip() -> None:
    """Debian keeps the parts of `python3 -m venv` in a package of its own."""
    if importlib.util.find_spec("ensurepip"):
        return
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    offer_debian([Package(name, "", "", "makes the Python environment")])
    importlib.invalidate_caches()
    if not importlib.util.find_spec("ensurepip"):
        raise CannotGoOnError(f"No Python environment without it. Install {name}, or put uv on PATH, and run again.")


def pip_settings(python: Path) -> "dict[str, str]":
    """What pip is told about indexes by its files and variables, in uv's names."""
    listed = subprocess.run([str(python), "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    pairs = re.findall(r"^(?:global|:env:)\.([\w-]+)='(.*)'$", listed.stdout, re.MULTILINE)
    return {PIP_SETTINGS[key]: value.replace("\\n", " ").strip() for key, value in pairs if key in PIP_SETTINGS}


def cache_folder() -> Path:
    """The user's cache, or one in the tree where that cannot be written."""
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "edgefleet"
    for folder in (user, TREE / "build" / "cache"):
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
    raise CannotGoOnError(
        f"Neither {user} nor {TREE / 'build'} can be written: set XDG_CACHE_HOME to a folder of yours."
    )


def missing_packages() -> "list[Package]":
    """Those whose program or file is not here."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"  # Debian leaves these out for normal users
    return [one for one in PACKAGES if not (shutil.which(one.sign, path=path) or Path(one.sign).is_file())]


def offer_debian(missing: "list[Package]") -> None:
    """Install what is missing if we are allowed to; otherwise say which, why, and the command. Never fails for a no."""
    if not missing:
        return
    for package in missing:
        say(f"missing: {package.name} - {package.why}")
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *(package.name for package in missing)]
    if not shutil.which("apt-get"):
        say("This is not Debian: install what is listed above with the tools of your system.")
    elif os.geteuid() != 0:
        say(f"To have it, run: sudo {' '.join(command)}")
    elif agreed():
        install(command)
    else:
        say(f"Going on without. To have it, run: {' '.join(command)}   (or set YES=1)")


def agreed() -> bool:
    """Whether installing was allowed, beforehand or now on the terminal."""
    if any(os.environ.get(name, "").lower() not in {"", "0", "false", "no"} for name in ("YES", "CI")):
        return True
    return sys.stdin.isatty() and input("Install this with apt-get now? [y/N] ").strip().lower() in {"y", "yes"}


def install(command: "list[str]") -> None:
    """Install with the lists at hand; fetch them where there are none, or where they have grown too old."""
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    patient = [*command, "--quiet", "--option=DPkg::Lock::Timeout=300"]  # seconds: someone else may be installing
    lists = any(Path("/var/lib/apt/lists").glob("*_Packages*"))
    if not lists or subprocess.run(patient, env=environment, stdin=subprocess.DEVNULL, check=False).returncode:
        call(["apt-get", "update", "--quiet"], environment)
        call(patient, environment)


def works(python: Path) -> bool:
    """Whether an environment's interpreter starts and has this interpreter's version."""
    ask = "import sys; print(sys.version_info[:2])"
    with contextlib.suppress(OSError):
        answer = subprocess.run([str(python), "-c", ask], capture_output=True, text=True, check=False).stdout
        return answer.strip() == str(sys.version_info[:2])
    return False


@contextlib.contextmanager
def alone(path: Path) -> "Iterator[None]":
    """One at a time: a second run waits for the first, and the kernel frees the lock of a killed one."""
    try:
        path.parent.mkdir(exist_ok=True)
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except PermissionError as problem:
        raise CannotGoOnError(not_yours(Path(problem.filename))) from None


def not_yours(path: Path) -> str:
    """Say whose a file is that we may not write, and what to do."""
    owner, whose = path, TREE.stat().st_uid
    while not owner.exists():
        owner = owner.parent
    said = f"{path} is not yours to write: {owner} belongs to {name_of(owner.stat().st_uid)}"
    if whose == os.geteuid():  # as after `sudo make`
        return f"{said}. Remove what was made as that user, with `sudo rm -rf build .venv` in {TREE}, and run again."
    return f"{said}. Run as {name_of(whose)}, or in your own clone."


def name_of(user: int) -> str:
    """A user as people call it."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"


def call(command: "list[str]", environment: "dict[str, str] | None" = None) -> None:
    """Run a program with our terminal, without our input."""
    subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=True)


def say(text: str) -> None:
    """Tell the person."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
