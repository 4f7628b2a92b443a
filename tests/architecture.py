"""What the tree promises of itself, as functions over paths and sources: who is pure, what lies where, what is unsaid.

``python -m tests.architecture coverage`` asks full branch coverage of the pure files, after a test run with ``--cov``.
"""

import ast
import fnmatch
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent

PURE_ROOMS = (  # every file in them decides, but for those named after a technology
    "cloud/alerts",
    "cloud/doctor",
    "cloud/fleet",
    "cloud/identity",
    "cloud/ingest",
    "cloud/rollout",
    "edgeagent",
)
TECHNOLOGY = {
    "kube": "talks to the Kubernetes API",
    "registry": "talks to a container registry",
    "pinning": "asks registries in threads of its own",
    "metrics": "counts into the Prometheus client",
    "journal": "writes the operator's log",
    "handlers": "composition: kopf calls it",
    "leadership": "composition: asks the cluster who leads, by the clock",
    "listener": "composition: asks who lives, by the clock",
    "worker": "composition: a thread that gathers, plans and applies",
    "mqtt": "talks to the broker",
    "desk": "composition: all channels of a plan",
    "courier": "composition: a thread that sends, and sends again",
    "authority": "signs with the fleet's key",
    "db": "asks the database",
    "folder": "keeps keys and certificates in files",
    "app": "composition: answers over HTTPS",
    "openssl": "has the program make keys",
    "identity": "keeps the box's key and certificate, and asks for them",
    "http": "posts to a chat service",
    "smtp": "hands mail to a mail server",
    "procfs": "reads the machine",
    "nvml": "asks the GPU driver, as a program of its own that may hang",
    "gpureader": "has the GPU driver asked by a child",
    "child": "starts, watches and kills a process",
    "kmsg": "reads the kernel's log",
    "pods": "reads the pod directory and waits for processes to end",
    "scrape": "asks workloads for their counters",
    "spool": "keeps on disk what could not be sent",
    "lan": "probes other boxes of the site",
    "senses": "composition: all that sees the box",
    "service": "composition: a process's loop, by the clock",
    "__main__": "composition: the command line",
    "terminal": "writes to the terminal",
}
PURE_ALONE = (
    "cloud/crds.py",
    "simulator/adjust.py",
    "simulator/course.py",
    "simulator/device.py",
    "simulator/evidence.py",
    "simulator/expectations.py",
    "simulator/fleet.py",
    "simulator/fleetfile.py",
    "simulator/mishaps.py",
    "simulator/news.py",
    "simulator/patience.py",
    "simulator/play.py",
    "simulator/rehearsal.py",
    "simulator/rendering.py",
    "simulator/scenario.py",
    "simulator/seeing.py",
    "simulator/standins.py",
    "simulator/tables.py",
    "simulator/timeline.py",
    "simulator/world.py",
)
PURE_LIBRARIES = frozenset(
    "abc base64 bisect collections copy csv dataclasses datetime decimal difflib email enum fnmatch fractions "
    "functools hashlib heapq hmac ipaddress itertools json math operator re statistics string textwrap tomllib types "
    "typing zlib zoneinfo "
    "msgspec pydantic pydantic_core".split()
)
PURE_NAMES = frozenset({"sys.intern"})  # out of modules that are not pure as a whole
IMPURE_BUILTINS = frozenset({"open", "print", "input", "exec", "eval", "breakpoint", "__import__"})
CLOCKS = frozenset({"now", "utcnow", "today"})

TOP_LEVEL = frozenset(
    ".ci .editorconfig .git .gitignore .pre-commit-config.yaml LICENSE Makefile README.md cloud crds edgeagent "
    "manifests pyproject.toml requirements simulator tests".split()
)
UNSAID = {  # pieced together, for this file is searched as well
    "a package registry's address": tuple(
        ".".join(parts)
        for parts in (
            ("pypi", "org"),
            ("python" + "hosted", "org"),
            ("proxy", "golang", "org"),
            ("sum", "golang", "org"),
            ("goproxy", "cn"),
            ("goproxy", "io"),
            ("npmjs", "org"),
            ("npmmirror", "com"),
        )
    ),
    "a path of one machine": tuple(f"/{folder}/" for folder in ("work", "root", "home", "bash_jobs")),
}
LONG = 300  # lines; a sign, not a law: a longer file of the product stands here with its reason
LONG_FOR_A_REASON = {
    "cloud/rollout/release.py": "the types of one resource, one class a field of its spec",
}


def pure_files(tree: Path = TREE) -> list[Path]:
    """Every file that decides and does no I/O: a new one in a pure room is held to it without being listed."""
    rooms = [path for room in PURE_ROOMS for path in sorted((tree / room).rglob("*.py"))]
    alone = [tree / name for name in PURE_ALONE if (tree / name).exists()]
    return [path for path in rooms if path.stem not in TECHNOLOGY and path.name != "__init__.py"] + alone


def impurities(source: str, pure_modules: Iterable[str] = ()) -> list[str]:
    """What a pure file may not do, as ``line: objection``: foreign imports, I/O, a clock."""
    tree = ast.parse(source)
    found = [*foreign_imports(tree, frozenset(pure_modules)), *outside_calls(tree), *clock_reads(tree)]
    return [f"{line}: {objection}" for line, objection in sorted(found)]


def foreign_imports(tree: ast.AST, pure_modules: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Imports of anything but pure libraries and our own pure modules."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                modules = [alias.name for alias in names]
            case ast.ImportFrom(level=0, module=str(module), names=names):
                inside = [f"{module}.{alias.name}" for alias in names]
                modules = inside if (pure_modules | PURE_NAMES).issuperset(inside) else [module]
            case ast.ImportFrom():
                modules = ["a relative name"]
            case _:
                continue
        for name in modules:
            if name.partition(".")[0] not in PURE_LIBRARIES and name not in pure_modules | PURE_NAMES:
                yield node.lineno, f"imports {name}"


def outside_calls(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Uses of a builtin that reaches outside."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in IMPURE_BUILTINS:
            yield node.lineno, f"uses {node.id}"


def clock_reads(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """``datetime.now`` and its kin, under whatever name datetime was imported."""
    names = {alias.asname or alias.name for alias in imported_from("datetime", tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in CLOCKS and root_name(node) in names:
            yield node.lineno, f"reads a clock: {ast.unparse(node)}"


def imported_from(module: str, tree: ast.AST) -> Iterator[ast.alias]:
    """The names that a file takes from a module, or as which it takes the module itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == module:
            yield from node.names
        elif isinstance(node, ast.Import):
            yield from (alias for alias in node.names if alias.name == module)


def root_name(node: ast.expr) -> str:
    """The first name of ``a.b.c``; empty where there is none."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def module_name(path: Path, tree: Path = TREE) -> str:
    """The name under which a file is imported."""
    return ".".join(path.relative_to(tree).with_suffix("").parts)


def strangers(names: Iterable[str], ignored: Iterable[str]) -> list[str]:
    """Entries of the top level that belong neither there nor to what git ignores."""
    patterns = [line.strip().strip("/") for line in ignored if line.strip() and not line.startswith("#")]
    return sorted(
        name for name in names if name not in TOP_LEVEL and not any(fnmatch.fnmatch(name, p) for p in patterns)
    )


def unsaid_words(text: str) -> list[str]:
    """Which of the things that no file says are said, each with the word that says it."""
    return [f"{what}: {word}" for what, words in UNSAID.items() for word in words if word in text]


def own_files(tree: Path = TREE) -> Iterator[Path]:
    """Every file that is ours: not what git, the environment, or a cache keeps beside it."""
    for name in sorted(TOP_LEVEL - {".git"}):
        entry = tree / name
        inside = entry.rglob("*") if entry.is_dir() else [entry]
        yield from (path for path in inside if path.is_file() and "__pycache__" not in path.parts)


def too_long(lines_of: dict[str, int], reasons: dict[str, str]) -> list[str]:
    """Files above the sign without a reason, and reasons whose file is short again or gone."""
    long = {name for name, lines in lines_of.items() if lines > LONG}
    return sorted(
        [f"{name}: {lines_of[name]} lines; split it by idea, or say why not" for name in long - reasons.keys()]
        + [f"{name}: no longer long, so needs no reason" for name in reasons.keys() - long]
    )


def main() -> int:
    """Report the branch coverage of the pure files; 0 only at 100 %."""
    if sys.argv[1:] != ["coverage"]:
        sys.exit(__doc__)
    files = ",".join(str(path.relative_to(TREE)) for path in pure_files())
    asked = ["--fail-under=100", "--show-missing", "--skip-covered", f"--include={files}"]
    return subprocess.run([sys.executable, "-m", "coverage", "report", *asked], cwd=TREE, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
