"""Writes requirements/*.txt: for each role every package with its version and hashes, and no address of any index.

A lock opens with the digest of the dependency tables that it was made from, so a stale one is found without a network.
"""

import hashlib
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

TREE = Path(__file__).resolve().parent.parent
HEADER = "# Made by `make lock`; do not edit. sha256 of pyproject.toml's dependency tables: "
ROLES: dict[str, tuple[str, ...]] = {  # the widest first: the others take its versions
    "dev": ("pyproject.toml", "--extra=cloud", "--extra=gpu", "--group=dev"),
    "cloud": ("pyproject.toml", "--extra=cloud", "--constraints=requirements/dev.txt"),
    "agent": ("pyproject.toml", "--constraints=requirements/dev.txt"),
    "gpu": ("pyproject.toml", "--extra=gpu", "--constraints=requirements/dev.txt"),
    "uv": ("--group=uv", "--constraints=requirements/dev.txt"),
}


def main() -> None:
    """Bring every lock to pyproject.toml; versions stay as they are unless UPGRADE is set."""
    digest = dependency_digest(tomllib.loads((TREE / "pyproject.toml").read_text()))
    for role, of in ROLES.items():
        lock = TREE / "requirements" / f"{role}.txt"
        compile_lock(lock, of)
        lock.write_text(f"{HEADER}{digest}\n{lock.read_text()}")
        packages = sum(line[0].isalnum() for line in lock.read_text().splitlines())
        print(f"{lock.relative_to(TREE)}: {packages} packages", flush=True)


def compile_lock(lock: Path, of: tuple[str, ...]) -> None:
    """Let uv resolve one role for every platform and the oldest Python we support."""
    uv = [str(Path(sys.executable).with_name("uv")), "pip", "compile", "--quiet", *of, f"--output-file={lock}"]
    form = ["--universal", "--python-version=3.11", "--generate-hashes", "--no-emit-index-url", "--no-header"]
    upgrade = ["--upgrade"] if os.environ.get("UPGRADE") else []
    subprocess.run([*uv, *form, *upgrade], cwd=TREE, check=True, timeout=600)


def dependency_digest(pyproject: dict[str, Any]) -> str:
    """The digest of all that a resolution follows from."""
    project = pyproject["project"]
    tables = (
        project["requires-python"],
        project["dependencies"],
        project["optional-dependencies"],
        pyproject["dependency-groups"],
    )
    return hashlib.sha256(json.dumps(tables, sort_keys=True).encode()).hexdigest()


if __name__ == "__main__":
    main()
