"""The definitions of our kinds: what they promise without an API server."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from cloud.cli.crds import crds
from cloud.crds import KINDS, Kind, definition
from cloud.fleet.errors import SpecError
from cloud.fleet.resource import Part, Rule
from tests.resources import BAD, GOOD, Bad, Json, box, release, site

FOLDER = Path(__file__).parents[3] / "crds"
SPECS = {kind.kind: kind.spec for kind in KINDS}


def schema(kind: Kind) -> Json:
    root: Json = definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return root


def nodes(at: Json, path: str) -> Iterator[tuple[str, Json]]:
    """Every part of a schema with the path of its field."""
    yield path, at
    for name, below in at.get("properties", {}).items():
        yield from nodes(below, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in at:
            yield from nodes(at[key], f"{path}[]")


def fields(kind: Kind) -> list[tuple[str, Json]]:
    """Our own fields: those of spec and status, themselves apart."""
    properties = schema(kind)["properties"]
    return [node for part in ("spec", "status") if part in properties for node in nodes(properties[part], part)]


def opaque(at: Json) -> bool:
    """Whether it is taken as it stands: part of a pod template, which is Kubernetes' own."""
    return "x-kubernetes-preserve-unknown-fields" in at and "type" not in at


every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)


@every_kind
def test_the_file_of_a_kind_is_what_the_types_say(kind: Kind) -> None:
    assert yaml.safe_load((FOLDER / kind.file).read_text(encoding="utf-8")) == definition(kind)


def test_the_folder_holds_one_file_a_kind_and_installs_them_all() -> None:
    files = sorted(kind.file for kind in KINDS)
    assert sorted(path.name for path in FOLDER.iterdir() if path.name != "kustomization.yaml") == files
    assert yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"] == files


@every_kind
def test_every_field_says_what_it_is(kind: Kind) -> None:
    assert [path for path, at in fields(kind) if not at.get("description") and not path.endswith("[]")] == []


@every_kind
def test_nothing_is_without_a_limit(kind: Kind) -> None:
    def unlimited(at: Json) -> bool:
        match at.get("type"):
            case "string":
                return not at.keys() & {"maxLength", "enum", "format"}
            case "array":
                return "maxItems" not in at
            case "object":
                return "additionalProperties" in at and "maxProperties" not in at
            case "integer":
                return "minimum" not in at
            case None:
                return "maxLength" not in at and not opaque(at)
            case _:
                return False

    assert [path for path, at in fields(kind) if unlimited(at)] == []


@every_kind
def test_the_schema_is_structural(kind: Kind) -> None:
    for path, at in fields(kind):
        assert not at.keys() & {"$ref", "$defs", "title", "propertyNames", "pattern"}, path
        assert ("anyOf" in at) == ("x-kubernetes-int-or-string" in at), path
        assert ("type" in at) != ("x-kubernetes-int-or-string" in at or opaque(at)), path


@every_kind
def test_nothing_unknown_is_kept_but_in_pod_templates(kind: Kind) -> None:
    keepers = {path for path, at in fields(kind) if "x-kubernetes-preserve-unknown-fields" in at}
    assert all(path.startswith(("spec.workload.template.", "status.template")) for path in keepers)


def test_a_template_has_no_part_whose_unknown_fields_would_be_compared() -> None:
    template = next(at for kind in KINDS for path, at in fields(kind) if path == "spec.workload.template")
    assert "x-kubernetes-preserve-unknown-fields" not in template
    assert all(opaque(part) for part in template["properties"].values())


@every_kind
def test_a_status_has_neither_defaults_nor_rules(kind: Kind) -> None:
    for path, at in fields(kind):
        if path.startswith("status"):
            assert not at.keys() & {"default", "x-kubernetes-validations"}, path


@every_kind
def test_every_rule_tells_what_to_do(kind: Kind) -> None:
    for path, at in nodes(schema(kind), ""):
        for rule in at.get("x-kubernetes-validations", ()):
            assert re.search(r"set|write|give|must|create|add|rename|raise|correct|shorten|delete", rule["message"]), (
                path
            )


def parts(part: type[Part] = Part) -> Iterator[type[Part]]:
    yield part
    for below in part.__subclasses__():
        yield from parts(below)


def rules() -> list[Rule]:
    return [rule for part in parts() for rule in part.__dict__.get("rules", ())]


def test_a_rule_that_needs_no_old_object_is_kept_by_the_types_as_well() -> None:
    assert rules()
    for rule in rules():
        assert (rule.holds is None) == ("oldSelf" in rule.cel), rule.message


@pytest.mark.parametrize("bad", [bad for bad in BAD if bad.offline], ids=lambda bad: bad.title)
def test_the_types_refuse_what_the_api_server_refuses(bad: Bad) -> None:
    with pytest.raises(ValidationError) as refusal:
        SPECS[bad.resource["kind"]].model_validate(bad.resource["spec"])
    if any(bad.words in rule.message for rule in rules()):
        assert bad.words in str(refusal.value)


@pytest.mark.parametrize("good", GOOD.values(), ids=GOOD)
def test_a_good_resource_is_read_written_and_read_again(good: Json) -> None:
    part = SPECS[good["kind"]]
    read = part.model_validate(good["spec"])
    assert part.model_validate(read.dump()) == read


def with_defaults(given: Any, at: Json) -> Any:  # noqa: ANN401 - JSON
    """What the API server makes of a value: the schema's defaults put in, from the outside inwards."""
    if isinstance(given, dict) and "properties" in at:
        missing = {name: below["default"] for name, below in at["properties"].items() if "default" in below}
        filled = missing | given
        return {name: with_defaults(value, at["properties"].get(name, {})) for name, value in filled.items()}
    if isinstance(given, list) and "items" in at:
        return [with_defaults(value, at["items"]) for value in given]
    return given


@pytest.mark.parametrize("good", [*GOOD.values(), release(), site(), box()], ids=lambda good: good["kind"])
def test_the_schemas_defaults_are_those_of_the_types(good: Json) -> None:
    kind = next(kind for kind in KINDS if kind.kind == good["kind"])
    filled = with_defaults(good["spec"], schema(kind)["properties"]["spec"])
    written = kind.spec.model_validate(good["spec"])
    assert kind.spec.model_validate(filled) == written
    assert {name for name, value in written.dump().items() if value or value is False or value == 0} == set(filled)


def test_the_shortest_release_gets_every_default_that_is_not_empty() -> None:
    kind = next(kind for kind in KINDS if kind.kind == "EdgeRelease")
    filled = with_defaults(release()["spec"], schema(kind)["properties"]["spec"])
    assert filled["budget"] == {"maxParallelSites": "10%", "maxUnavailablePerSite": 1}
    assert [stage["upTo"] for stage in filled["stages"]] == [1, "10%", "100%"]
    assert filled["health"] == {"readyFor": "1m", "timeout": "10m", "maxRestarts": 2}
    assert filled["control"] == {"paused": False}


def test_the_command_writes_what_it_then_finds_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crds(output_dir=tmp_path / "crds")
    crds(output_dir=tmp_path / "crds")
    crds(output_dir=tmp_path / "crds", check=True)
    said = capsys.readouterr().out
    assert (said.count(": written"), said.count(": as it was"), said.count("all as the types say")) == (3, 3, 1)


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_text("kind: Other\n")], ids=["gone", "other"])
def test_the_command_names_a_file_that_is_not_as_the_types_say(tmp_path: Path, spoil: Any) -> None:  # noqa: ANN401 - a function
    crds(output_dir=tmp_path)
    spoil(tmp_path / KINDS[0].file)
    with pytest.raises(SpecError, match=rf"{KINDS[0].file}; run `edgefleet crds --output-dir"):
        crds(output_dir=tmp_path, check=True)


def test_the_command_prints_all_kinds_as_one_stream(capsys: pytest.CaptureFixture[str]) -> None:
    crds()
    assert list(yaml.safe_load_all(capsys.readouterr().out)) == [definition(kind) for kind in KINDS]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "crds").write_text("a file")
    with pytest.raises(SpecError, match="choose another --output-dir"):
        crds(output_dir=tmp_path / "crds")
