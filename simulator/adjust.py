"""What a rehearsal changes about a release file, by stated rules, and what it puts in place before it.

Every change is told in a sentence that stands in the report: nothing is shortened or left out in silence.
"""

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

from simulator.patience import STALL_SECONDS
from simulator.tables import FileError

SPAN: Final = re.compile(r"([0-9]+)([smhd])")
UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
FAST_SOAK: Final = 5  # seconds a stage is watched at most; a simulated crash shows within 3
FAST_READY: Final = 3  # seconds
FAST_TIMEOUT: Final = 60 + STALL_SECONDS  # seconds of online time: no good version is stopped for KubeEdge's sake
BEFORE: Final = "before-rehearsal"  # tag of the image that boxes run before, and end of that release's name

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Adjusted:
    """A release as it is rehearsed, and what was changed, in sentences."""

    manifest: Manifest
    changes: tuple[str, ...]


def release_in(documents: list[Any], file: str) -> Manifest:
    """The one EdgeRelease of a file of one or more YAML documents. Raises FileError."""
    found = [one for one in documents if isinstance(one, dict) and one.get("kind") == "EdgeRelease"]
    if len(found) != 1:
        there = ", ".join(str(one.get("kind")) for one in documents if isinstance(one, dict)) or "nothing"
        raise FileError([f"{file}: holds {len(found)} EdgeReleases (there is {there}): give a file with exactly one"])
    release: Manifest = deepcopy(found[0])
    if not isinstance(release.get("metadata"), dict) or not release["metadata"].get("name"):
        raise FileError([f"{file}: metadata.name: is missing: add it, for example scan-2-0"])
    if not isinstance(release.get("spec"), dict):
        raise FileError([f"{file}: spec: is missing: say what is released (workload) and where to (targets)"])
    release["metadata"].setdefault("namespace", "default")
    return release


def adjusted(release: Manifest, *, fast: bool, real_time: bool) -> Adjusted:
    """The release as it is rehearsed. `release` is complete: the API server has filled in all defaults."""
    manifest = {
        "apiVersion": release["apiVersion"],
        "kind": release["kind"],
        "metadata": {key: release["metadata"][key] for key in ("name", "namespace")},
        "spec": deepcopy(release["spec"]),
    }
    changes: list[str] = []
    spec = manifest["spec"]
    if spec.pop("control", None) not in (None, {}, {"approvals": [], "paused": False}, {"paused": False}):
        changes.append("control: left out; the rehearsal gives each approval as soon as it is asked for")
    if spec.get("windows") and not real_time:
        del spec["windows"]
        changes.append("windows: left out, so it begins at once; --real-time keeps them")
    if fast:
        changes += shortened(spec)
    return Adjusted(manifest, tuple(changes))


def shortened(spec: Manifest) -> Iterator[str]:
    """Shorten what takes long, in place; yield what was changed."""
    for stage in spec["stages"]:
        if seconds(stage["soak"]) > FAST_SOAK:
            yield f"stages.{stage['name']}.soak: {stage['soak']} → {FAST_SOAK}s (--fast)"
            stage["soak"] = f"{FAST_SOAK}s"
    health = spec["health"]
    for name, most in (("readyFor", FAST_READY), ("timeout", FAST_TIMEOUT)):
        if seconds(health[name]) > most:
            yield f"health.{name}: {health[name]} → {most}s (--fast)"
            health[name] = f"{most}s"
    if spec["onFailure"]["retries"]:
        yield f"onFailure.retries: {spec['onFailure']['retries']} → 0, each would wait 5 minutes and more (--fast)"
        spec["onFailure"]["retries"] = 0


def seconds(span: str) -> int:
    """A duration of a release in seconds; the API server has seen to its form."""
    found = SPAN.fullmatch(span)
    if found is None:
        raise ValueError(f"the API server let {span!r} pass as a duration")
    return int(found[1]) * UNITS[found[2]]


def before(release: Manifest, previous: Manifest | None) -> Manifest:
    """The release that brings what boxes run before: the previous one, or the same with a stand-in image.

    It goes everywhere at once. Raises FileError when the previous release is of another workload.
    """
    spec = release["spec"]
    workload = deepcopy(spec["workload"])
    if previous is None:
        workload["image"] = stand_in(image_of(release))
        name = f"{release['metadata']['name'][:200]}-{BEFORE}"
    else:
        workload = deepcopy((previous["spec"].get("workload")) or {})
        name = previous["metadata"]["name"]
        if workload.get("name") != spec["workload"]["name"]:
            names = f"{workload.get('name')!r}, not {spec['workload']['name']!r}"
            raise FileError([f"--previous: releases workload {names}: give a release of the same workload"])
        if name == release["metadata"]["name"]:
            raise FileError([f"--previous: is called {name!r} like the release itself: give each its own name"])
    return {
        "apiVersion": release["apiVersion"],
        "kind": release["kind"],
        "metadata": {"name": name, "namespace": release["metadata"]["namespace"]},
        "spec": {
            "workload": workload,
            "targets": deepcopy(spec["targets"]),
            "stages": [{"name": "everywhere", "upTo": "100%", "soak": "0s"}],
            "budget": {"maxParallelSites": "100%", "maxUnavailablePerSite": "100%"},
            "health": {"readyFor": "1s", "timeout": "2m"},
            "onFailure": {"retries": 0},
        },
    }


def image_of(release: Mapping[str, Any]) -> str:
    """The image that a release brings: its own, else that of its template's main container."""
    workload = release["spec"]["workload"]
    if workload.get("image"):
        return str(workload["image"])
    containers = workload["template"]["spec"]["containers"]
    main = next((one for one in containers if one.get("name") == workload["name"]), containers[0])
    return str(main.get("image", ""))


def stand_in(image: str) -> str:
    """An image of the same repository that no release brings."""
    repository = image.partition("@")[0]
    folder, slash, name = repository.rpartition("/")
    return f"{folder}{slash}{name.partition(':')[0]}:{BEFORE}"


def patterns(image: str) -> tuple[str, ...]:
    """Patterns of the references under which a box may know an image: as written, and pinned to a digest."""
    return (image, f"{image}@*")


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether labels meet a Kubernetes label selector."""
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        meets(one, labels) for one in selector.get("matchExpressions", ())
    )


def meets(requirement: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether labels meet one expression; a missing label meets NotIn, as in Kubernetes."""
    key, values = requirement["key"], requirement.get("values", ())
    match requirement["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def targeted(release: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a release goes to a box of these labels."""
    targets = release["spec"]["targets"]
    exclude = targets.get("exclude")
    return matches(targets["selector"], labels) and not (exclude and matches(exclude, labels))


def share_of(share: int | str, total: int) -> int:
    """A number, or a percentage of all rounded up, 1 at least."""
    if isinstance(share, int):
        return share
    percent = int(share.removesuffix("%"))
    return -(-total * percent // 100)
