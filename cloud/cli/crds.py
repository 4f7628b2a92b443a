"""The command `crds`: writes the custom resource definitions of this version, or holds files against them."""

from pathlib import Path
from typing import Annotated, Final

import typer
import yaml

from cloud.cli import output
from cloud.crds import KINDS, definition
from cloud.fleet.errors import SpecError

_HEAD: Final = "# Made from the Python types: change those, then run `edgefleet crds --output-dir {folder}`.\n"
_FOLDER: Final = Path("crds")


def crds(
    *,
    output_dir: Annotated[
        Path | None, typer.Option("--output-dir", metavar="DIR", help="Write one file a kind there instead.")
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Write nothing; fail if a file in DIR (default: crds) is not as it would be."),
    ] = False,
) -> None:
    """Print the custom resource definitions that this version works with.

    Examples:
      edgefleet crds | kubectl apply --server-side -f -
      edgefleet crds --output-dir crds
    """
    written = {kind.file: _yaml(kind_definition) for kind, kind_definition in ((one, definition(one)) for one in KINDS)}
    if check:
        _compare(output_dir or _FOLDER, written)
    elif output_dir is None:
        typer.echo("---\n".join(written.values()), nl=False)
    else:
        _write(output_dir, written)


def _yaml(made: dict[str, object]) -> str:
    return _HEAD.format(folder=_FOLDER) + yaml.dump(made, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)


class _Plain(yaml.SafeDumper):
    """Writes shared parts out each time: an alias would surprise whoever reads the file."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the library's signature
        return True


def _compare(folder: Path, written: dict[str, str]) -> None:
    """Raise SpecError that names every file that differs from what would be written."""
    stale = [name for name, text in written.items() if _read(folder / name) != text]
    if stale:
        names = ", ".join(str(folder / name) for name in stale)
        raise SpecError(f"not as the types say: {names}; run `edgefleet crds --output-dir {folder}`")
    output.show(f"{folder}: {len(written)} definitions, all as the types say")


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _write(folder: Path, written: dict[str, str]) -> None:
    """Write the files that differ; raise SpecError if the folder cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in written.items():
            same = _read(folder / name) == text
            if not same:
                (folder / name).write_text(text, encoding="utf-8")
            output.show(f"{folder / name}: {'as it was' if same else 'written'}")
    except OSError as refused:
        raise SpecError(f"{folder}: cannot write: {refused.strerror}; choose another --output-dir") from refused
