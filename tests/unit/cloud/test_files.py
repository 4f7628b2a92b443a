"""What a file of releases may hold, and in which words the rest is refused."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import reload
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
import yaml

from cloud.cli import files
from cloud.fleet.errors import SpecError

WIDE = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
BOMB = WIDE + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
CHAIN = "a0: &a0 x\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 3000))


@pytest.fixture(params=[True, False], ids=["libyaml", "python alone"])
def parser(request: pytest.FixtureRequest) -> Iterator[None]:
    """Both ways in which the library may be built."""
    built = yaml.__with_libyaml__
    with installed(with_libyaml=request.param and built):
        yield
    with installed(with_libyaml=built):
        pass


@contextmanager
def installed(*, with_libyaml: bool) -> Iterator[None]:
    vars(yaml)["__with_libyaml__"] = with_libyaml
    reload(files)
    yield


def read(folder: Path, text: str | bytes) -> list[Any]:
    file = folder / "release.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return files.documents(str(file))


@pytest.mark.usefixtures("parser")
def test_documents_are_read_as_they_are_written_and_empty_ones_left_out(tmp_path: Path) -> None:
    given = "a: {b: [1, 2.5, true, null, 2026-03-02]}\n---\n---\nx: &x {a: 1}\ny: {<<: *x, a: 2}\nz: {<<: *x}\n"
    first, second = read(tmp_path, given)
    assert first["a"]["b"][:4] == [1, 2.5, True, None]
    assert second == {"x": {"a": 1}, "y": {"a": 2}, "z": {"a": 1}}


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: key 'a' stands in line 1 already; keep one of the two"),
        ("{a: 1, a: 2}", "line 1: key 'a' stands in line 1 already"),
        ("a:\n  - b: 1\n    b: 2\n", "line 3: key 'b' stands in line 2 already"),
        ("[" * 3000 + "]" * 3000, "line 1: nested deeper than 100; write a shallower object"),
        ("[" * 300_000, "line 1: nested deeper than 100"),
        (BOMB, "a document is larger than 3 MiB with its aliases written out; write less"),
        (CHAIN, "nested deeper than 100 with its aliases written out"),
        ("&a [*a]", "nested deeper than 100 with its aliases written out"),
        ("x" * (5 * 2**20), "larger than 4 MiB; give one file a release"),
        ("a: .nan", "holds nan, for which JSON has no word; the API server takes JSON only"),
        ("a: !!set {b}", "holds a set, for which JSON has no word"),
        ("2026-03-02: a", "holds the key 2026-03-02, which is no text; put it in quotation marks"),
        ("a: 2026-13-45", "not YAML: a value is not what its tag or its form says (month must be in 1..12)"),
        ("!!timestamp x", "not YAML: a value is not what its tag or its form says"),
        ("? [a]\n: b", "not YAML: while constructing a mapping"),
        ("a: [", "not YAML: while parsing a flow"),
        (b"\xff\xfe\x00", "not YAML: "),
    ],
    ids=range(17),
)
def test_what_cannot_be_a_release_is_refused_in_a_sentence(tmp_path: Path, text: str | bytes, told: str) -> None:
    with pytest.raises(SpecError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'release.yaml'}: {told}")


def test_no_more_is_read_than_a_file_may_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    endless = BytesIO(b"x" * (files.LARGEST * 2))
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(endless))
    with pytest.raises(SpecError, match=r"^-: larger than 4 MiB"):
        files.documents("-")
    assert endless.tell() == files.LARGEST + 1
    with pytest.raises(SpecError, match=r"^/dev/zero: larger than 4 MiB"):
        files.documents("/dev/zero")


@pytest.mark.parametrize(("file", "told"), [("/nowhere", "No such file"), ("/", "Is a directory")])
def test_a_file_that_cannot_be_read_is_named(file: str, told: str) -> None:
    with pytest.raises(SpecError, match=rf"^{file}: {told}"):
        files.documents(file)
