"""A Kubernetes API in memory: as much of its behaviour as the operator leans on, held to the real one by a suite."""

import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from pydantic import ValidationError

from cloud.fleet.box import BoxSpec, BoxStatus
from cloud.fleet.errors import Unavailable
from cloud.fleet.resource import Part
from cloud.fleet.site import SiteSpec
from cloud.rollout.cluster import NOT_LEADING, RESOURCES, Answer, Conflict, Missing, Refused, Verb, Write, always
from cloud.rollout.parsing import mark
from cloud.rollout.release import ReleaseSpec
from cloud.rollout.status import ReleaseStatus
from cloud.rollout.views import Key, Kind, Mark, Raw

Json = dict[str, Any]
SCHEMAS: dict[Kind, tuple[type[Part], type[Part]]] = {
    Kind.BOX: (BoxSpec, BoxStatus),
    Kind.SITE: (SiteSpec, BoxStatus),
    Kind.RELEASE: (ReleaseSpec, ReleaseStatus),
}


class FakeCluster:
    """Implements the port; ``create`` and ``remove`` stand for everybody else who writes to the cluster."""

    def __init__(self, now: str = "2026-03-02T12:00:00Z") -> None:
        self.now = now  # creation time of new objects
        self.objects: dict[tuple[Kind, Key], Json] = {}
        self.events: dict[Key, Json] = {}
        self.writes: list[Write] = []  # every one that was asked for
        self.leases: dict[str, str] = {}  # of monitors: when each was renewed
        self.down = False  # True: nothing answers
        self._revision = 0
        self._applied: dict[tuple[Kind, Key, str], Json] = {}  # what was applied last, of each subresource

    def read(self, kind: Kind) -> Sequence[Raw]:
        if self.down:
            raise Unavailable("the fake is down")
        selector = RESOURCES[kind].selector
        return [
            deepcopy(one)
            for (its_kind, _), one in sorted(self.objects.items())
            if its_kind is kind and (not selector or selector in one["metadata"].get("labels", {}))
        ]

    def marks(self, kind: Kind) -> Sequence[Mark]:
        return [mark(one) for one in self.read(kind)]

    def write(self, writes: Sequence[Write], may: Callable[[], bool] = always) -> Sequence[Answer]:
        return [self._write(one) if may() else Unavailable(NOT_LEADING) for one in writes]

    def renewals(self) -> Mapping[str, str]:
        if self.down:
            raise Unavailable("the fake is down")
        return dict(self.leases)

    def tell(self, event: Raw) -> None:
        if self.down:
            raise Unavailable("the fake is down")
        key = (event["metadata"]["namespace"], event["metadata"]["name"])
        known = self.events.get(key)
        self.events[key] = {**deepcopy(dict(event)), "count": known["count"] + 1 if known else 1}

    def create(self, kind: Kind, manifest: Raw) -> Json:
        """Create or overwrite an object as some other client does, status included."""
        made = deepcopy(dict(manifest))
        key = _key(made)
        made.setdefault("kind", kind.value)
        self._refuse(kind, made)
        meta = made["metadata"]
        meta.update(uid=meta.get("uid") or f"uid-{self._revision + 1}", generation=meta.get("generation", 1))
        meta.setdefault("creationTimestamp", self.now)
        return deepcopy(self._store(kind, key, made))

    def remove(self, kind: Kind, name: str, namespace: str = "") -> None:
        """Delete an object as some other client does."""
        del self.objects[kind, (namespace, name)]

    def get(self, kind: Kind, name: str, namespace: str = "") -> Json:
        """Return one object."""
        return deepcopy(self.objects[kind, (namespace, name)])

    def _write(self, write: Write) -> Answer:
        self.writes.append(write)
        if self.down:
            return Unavailable("the fake is down")
        try:
            match write.verb:
                case Verb.MERGE:
                    return self._merge(write)
                case Verb.APPLY:
                    return self._apply(write)
                case Verb.REPLACE:
                    return self._replace(write)
                case Verb.DELETE:
                    return self._delete(write)
        except (Conflict, Missing, Refused) as failure:
            return failure

    def _merge(self, write: Write) -> Json:
        known = self._known(write)
        return self._update(write, known, merged(known, _without_names(write.manifest)))

    def _apply(self, write: Write) -> Json:
        kind, key = write.kind, _key(write.manifest)
        wanted = _without_names(write.manifest)
        mine = (kind, key, write.subresource)
        if (kind, key) not in self.objects:
            if write.subresource:
                raise Missing(f"{kind} {key} is gone")
            made = self.create(kind, write.manifest)
            self._applied[mine] = wanted
            return made
        known = self._known(write)
        dropped = gone(self._applied.get(mine, {}), wanted)
        answer = self._update(write, known, merged(merged(known, dropped), wanted))
        self._applied[mine] = wanted
        return answer

    def _replace(self, write: Write) -> Json:
        known = self._known(write)
        lock = write.manifest["metadata"]
        if any(lock[name] != known["metadata"][name] for name in ("uid", "resourceVersion")):
            raise Conflict(f"{write.kind} {write.name} was changed")
        return self._update(write, known, {**known, "status": deepcopy(write.manifest["status"])})

    def _delete(self, write: Write) -> Json:
        known = self._known(write)
        if write.manifest["metadata"]["uid"] != known["metadata"]["uid"]:
            raise Conflict(f"{write.kind} {write.name} is another one")
        return self.objects.pop((write.kind, _key(write.manifest)))

    def _known(self, write: Write) -> Json:
        known = self.objects.get((write.kind, _key(write.manifest)))
        if known is None:
            raise Missing(f"{write.kind} {write.name} is gone")
        return deepcopy(known)

    def _update(self, write: Write, known: Json, new: Json) -> Json:
        """Store what a write made of an object: only its subresource counts, and only a change is one."""
        outside = {"status"} if write.subresource else {"metadata", "spec"}
        new = {**known, **{part: new[part] for part in outside if part in new}}
        self._refuse(write.kind, new)
        if new == known:
            return known
        if new.get("spec") != known.get("spec"):
            new["metadata"] = {**new["metadata"], "generation": known["metadata"]["generation"] + 1}
        return deepcopy(self._store(write.kind, _key(new), new))

    def _store(self, kind: Kind, key: Key, made: Json) -> Json:
        self._revision += 1
        made["metadata"]["resourceVersion"] = str(self._revision)
        self.objects[kind, key] = made
        return made

    @staticmethod
    def _refuse(kind: Kind, made: Json) -> None:
        if kind not in SCHEMAS:
            return
        spec, status = SCHEMAS[kind]
        try:
            spec.model_validate(made.get("spec") or {})
            status.model_validate(made.get("status") or {})
        except ValidationError as wrong:
            raise Refused(str(wrong)) from wrong


def merged(old: Any, patch: Any) -> Any:  # noqa: ANN401 - JSON
    """Apply a JSON merge patch (RFC 7386)."""
    if not isinstance(patch, Mapping):
        return deepcopy(patch)
    result = dict(old) if isinstance(old, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def gone(before: Mapping[str, Any], now: Mapping[str, Any]) -> Json:
    """Return the merge patch that takes away what was applied before and is not any more."""
    patch: Json = {}
    for key, value in before.items():
        if key not in now:
            patch[key] = None
        elif isinstance(value, Mapping) and isinstance(now[key], Mapping) and (inside := gone(value, now[key])):
            patch[key] = inside
    return patch


def _key(manifest: Raw) -> Key:
    return manifest["metadata"].get("namespace", ""), manifest["metadata"]["name"]


def _without_names(manifest: Raw) -> Json:
    """Return a manifest's content as JSON carries it."""
    plain: Json = json.loads(json.dumps(manifest))
    plain["metadata"] = {key: plain["metadata"][key] for key in ("labels", "annotations") if key in plain["metadata"]}
    return {key: value for key, value in plain.items() if key not in {"apiVersion", "kind"}}
