"""Writes say where they go."""

from cloud.rollout.cluster import RESOURCES, Verb, Write, manifest
from cloud.rollout.views import Kind


def test_a_write_names_its_object() -> None:
    write = Write(Verb.MERGE, Kind.RELEASE, manifest(Kind.RELEASE, "one", "default", spec={}))
    assert (write.namespace, write.name) == ("default", "one")
    assert Write(Verb.MERGE, Kind.NODE, manifest(Kind.NODE, "box-1")).namespace == ""


def test_only_the_core_group_has_no_name() -> None:
    assert {kind for kind, resource in RESOURCES.items() if not resource.group} == {Kind.NODE, Kind.POD}
