"""The Kubernetes API over HTTP: JSON in and out, a timeout for every call, writes through a small pool of threads."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

from kubernetes import client, config
from urllib3.exceptions import HTTPError

from cloud.fleet.errors import SpecError, Unavailable
from cloud.fleet.report import LEASE_PREFIX
from cloud.rollout.cluster import (
    NOT_LEADING,
    RESOURCES,
    Answer,
    Conflict,
    Forbidden,
    Missing,
    Refused,
    Verb,
    Write,
    always,
)
from cloud.rollout.metrics import WRITE_ERRORS, WRITES
from cloud.rollout.parsing import mark
from cloud.rollout.unchecked import dict_at, dicts_at, text_at
from cloud.rollout.views import Kind, Mark, Raw

NAMESPACE: Final = "edgefleet"
FIELD_MANAGER: Final = "edgefleet-operator"
CONNECT_SECONDS: Final = 3.0
READ_SECONDS: Final = 10.0  # one object
LIST_SECONDS: Final = 60.0  # a page; a server that starts up answers slowly
PAGE: Final = 500  # objects in one answer of a list
WRITERS: Final = 8  # writes at one time: measured, more do not end a hundred node patches sooner

_METHODS: Final = {Verb.MERGE: "PATCH", Verb.APPLY: "PATCH", Verb.REPLACE: "PUT", Verb.DELETE: "DELETE"}
_BODIES: Final = {
    Verb.MERGE: "application/merge-patch+json",
    Verb.APPLY: "application/apply-patch+yaml",
    Verb.REPLACE: "application/json",
    Verb.DELETE: "application/json",
}
_MARKS_ONLY: Final = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"


def access(kubeconfig: str | None = None) -> Any:  # noqa: ANN401 - kubernetes.client.Configuration, untyped
    """Return how to reach the cluster: by that file, else KUBECONFIG, else the pod's service account, else ~/.kube.

    Raises SpecError when there is none of them.
    """
    configuration = client.Configuration()
    file = kubeconfig or os.environ.get("KUBECONFIG")
    try:
        if file is None and "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call] # no types
        else:
            config.load_kube_config(file, client_configuration=configuration)  # type: ignore[no-untyped-call] # no types
    except (config.ConfigException, OSError) as absent:
        raise SpecError(
            f"no access to a cluster: {absent}; set KUBECONFIG to a kubeconfig file, or run in a pod"
        ) from absent
    configuration.retries = 0  # who calls decides about retries
    configuration.connection_pool_maxsize = WRITERS + 4
    return configuration


class KubeCluster:
    """A real cluster; safe to use from several threads."""

    def __init__(self, configuration: Any, namespace: str = NAMESPACE) -> None:  # noqa: ANN401 - a class of the untyped library
        self._namespace = namespace  # in which edgefleet's own programs are
        self._api = client.ApiClient(configuration)
        self._pool = ThreadPoolExecutor(WRITERS, thread_name_prefix="write")

    def close(self) -> None:
        """End the pool after the writes under way."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._api.close()  # type: ignore[no-untyped-call] # no types

    def read(self, kind: Kind) -> Sequence[Raw]:
        """Return all objects of a kind that concern us. Raises Missing, Refused, Unavailable."""
        return self._pages(kind, "application/json")

    def marks(self, kind: Kind) -> Sequence[Mark]:
        """Return which objects there are and their revisions. Raises Missing, Refused, Unavailable."""
        return [mark(item) for item in self._pages(kind, _MARKS_ONLY)]

    def write(self, writes: Sequence[Write], may: Callable[[], bool] = always) -> Sequence[Answer]:
        """Carry out independent writes, ``WRITERS`` at a time, each only if it still ``may`` be."""
        if len(writes) == 1:
            return [self._write(writes[0], may)]
        return list(self._pool.map(partial(self._write, may=may), writes))

    def renewals(self) -> Mapping[str, str]:
        """Return when each monitor renewed its lease last, as it wrote that. Raises Refused, Unavailable."""
        leases = self.ask("GET", f"/apis/coordination.k8s.io/v1/namespaces/{self._namespace}/leases")
        found = ((dict_at(one, "metadata"), dict_at(one, "spec")) for one in dicts_at(leases, "items"))
        named = {text_at(meta, "name"): text_at(spec, "renewTime") for meta, spec in found}
        return {name: renewed for name, renewed in named.items() if name.startswith(LEASE_PREFIX)}

    def tell(self, event: Raw) -> None:
        """Record an Event, or count up the one of that name. Raises Refused, Unavailable."""
        path = f"/api/v1/namespaces/{event['metadata']['namespace']}/events"
        try:
            self.ask("POST", path, body=event)
        except Conflict:
            one = f"{path}/{event['metadata']['name']}"
            count = self.ask("GET", one).get("count") or 1
            again = {"count": count + 1, "lastTimestamp": event["lastTimestamp"], "message": event["message"]}
            self.ask("PATCH", one, body=again, kind=_BODIES[Verb.MERGE])
        WRITES.labels(kind="Event", verb="tell").inc()

    def get(self, path: str) -> Raw:
        """Return one object by its path. Raises Missing, Refused, Unavailable."""
        return self.ask("GET", path)

    def _write(self, write: Write, may: Callable[[], bool]) -> Answer:
        if not may():
            return Unavailable(NOT_LEADING)
        try:
            answer = self.ask(
                _METHODS[write.verb], _path_of(write), _query_of(write), body=_body_of(write), kind=_BODIES[write.verb]
            )
        except (Conflict, Missing, Refused, Unavailable) as failure:
            WRITE_ERRORS.labels(kind=write.kind.value, verb=write.verb.value, error=type(failure).__name__).inc()
            return failure
        WRITES.labels(kind=write.kind.value, verb=write.verb.value).inc()
        return answer

    def _pages(self, kind: Kind, accept: str) -> list[Raw]:
        query = {"limit": str(PAGE)}
        if RESOURCES[kind].selector:
            query["labelSelector"] = RESOURCES[kind].selector
        items: list[Raw] = []
        while True:
            page = self.ask("GET", _collection(kind), query, accept=accept, seconds=LIST_SECONDS)
            items += page.get("items") or []
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return items
            query["continue"] = token

    def ask(  # noqa: PLR0913 - one HTTP request has this many parts
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: Raw | None = None,
        kind: str = "application/json",
        accept: str = "application/json",
        seconds: float = READ_SECONDS,
    ) -> Raw:
        """Send one request; return the answer. Raises Conflict, Missing, Refused, Unavailable."""
        verb, url, headers, payload, _ = self._api.param_serialize(
            method,
            f"{path}?{urlencode(query)}" if query else path,
            query_params=[],
            header_params={"Accept": accept, "Content-Type": kind},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            response: Any = self._api.call_api(verb, url, headers, payload, _request_timeout=(CONNECT_SECONDS, seconds))
            text = response.read()
        except (HTTPError, OSError, client.ApiException) as lost:
            raise Unavailable(f"{method} {path}: no answer from {self._api.configuration.host}: {lost}") from lost
        answer = _object(text)
        if response.status >= 400:  # noqa: PLR2004 - HTTP's line between done and not done
            raise complaint(response.status, f"{method} {path}: {answer.get('message') or response.status}")
        if "kind" not in answer:
            raise Unavailable(f"{method} {path}: not the API server answers, but something on the way: {text[:200]!r}")
        return answer


def complaint(code: int, text: str) -> Exception:
    """Return what an answer of the API server that is no success means to who asked."""
    match code:
        case 404:
            return Missing(text)
        case 409:
            return Conflict(text)
        case 408 | 410 | 429 | 502 | 503 | 504:  # 410: a list so old that it cannot go on; it is begun again
            return Unavailable(text)
        case 400 | 413 | 422:
            return Refused(text)
        case 500 if any(words in text for words in _WRITTEN_WRONG):
            return Refused(text)
        case code if code >= 500:  # noqa: PLR2004 - HTTP's line between our fault and theirs
            return Unavailable(text)
        case _:
            return Forbidden(text)


_WRITTEN_WRONG: Final = (
    "failed to create typed patch object",  # how the API server answers to an unknown field
    "request is too large",  # and how it passes on what etcd answers to an object above its limit, 1.5 MiB
)


def _object(text: bytes) -> dict[str, Any]:
    """Return the object that an answer is; what is none is its message."""
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    return answer if isinstance(answer, dict) else {"message": text[:200].decode(errors="replace")}


def _collection(kind: Kind, namespace: str = "") -> str:
    resource = RESOURCES[kind]
    root = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.api_version}"
    inside = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}{inside}/{resource.plural}"


def _path_of(write: Write) -> str:
    path = f"{_collection(write.kind, write.namespace)}/{write.name}"
    return f"{path}/{write.subresource}" if write.subresource else path


def _query_of(write: Write) -> dict[str, str]:
    match write.verb:
        case Verb.APPLY:
            return {"fieldManager": FIELD_MANAGER, "force": "true", "fieldValidation": "Strict"}
        case Verb.MERGE | Verb.REPLACE:
            return {"fieldManager": FIELD_MANAGER}
        case Verb.DELETE:
            return {}


def _body_of(write: Write) -> Raw:
    if write.verb is not Verb.DELETE:
        return write.manifest
    return {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": "Background",
        "preconditions": {"uid": write.manifest["metadata"]["uid"]},
    }
