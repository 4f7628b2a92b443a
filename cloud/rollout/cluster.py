"""The port to the Kubernetes API: what the operator reads from it and writes to it, as values.

Two things implement it, the real API server in ``kube.py`` and a fake in memory in the tests; one contract suite
holds both to what is written here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

from cloud.fleet.resource import API_VERSION, SITE_LABEL
from cloud.rollout.template import WORKLOAD_LABEL
from cloud.rollout.views import Kind, Mark, Raw


class Conflict(Exception):  # noqa: N818 - it states what happened, as the API server does
    """Somebody changed the object since it was read: gather anew."""


class Missing(Exception):  # noqa: N818 - the same
    """The object does not exist any more."""


class Refused(Exception):  # noqa: N818 - the same
    """The API server does not want this as it is written: bad fields, or too large."""


class Forbidden(Refused):
    """It is not for what is written, but for who writes, where or when: missing rights, a quota, an admission rule."""


@dataclass(frozen=True, slots=True)
class Resource:
    """Where a kind lives in the API, and which of its objects concern us."""

    api_version: str
    plural: str
    namespaced: bool
    selector: str = ""  # label selector; empty: all of them

    @property
    def group(self) -> str:
        """The API group; empty: the core group."""
        return self.api_version.rpartition("/")[0]


RESOURCES: Final[Mapping[Kind, Resource]] = {
    Kind.NODE: Resource("v1", "nodes", namespaced=False, selector=SITE_LABEL),
    Kind.POD: Resource("v1", "pods", namespaced=True, selector=WORKLOAD_LABEL),
    Kind.DAEMON_SET: Resource("apps/v1", "daemonsets", namespaced=True, selector=WORKLOAD_LABEL),
    Kind.SITE: Resource(API_VERSION, "edgesites", namespaced=False),
    Kind.BOX: Resource(API_VERSION, "edgeboxes", namespaced=False),
    Kind.RELEASE: Resource(API_VERSION, "edgereleases", namespaced=True),
}


class Verb(StrEnum):
    """How a write changes an object."""

    MERGE = "merge"  # JSON merge patch: None removes
    APPLY = "apply"  # server-side apply: creates what is absent, takes over its fields
    REPLACE = "replace"  # only if it still is in the revision that the manifest names, else Conflict
    DELETE = "delete"  # only if it still is the object of that uid, else Conflict


@dataclass(frozen=True, slots=True)
class Write:
    """One request. The manifest names kind, namespace and name; for DELETE the uid as well and nothing else."""

    verb: Verb
    kind: Kind
    manifest: Raw
    subresource: str = ""  # "status" or nothing

    @property
    def name(self) -> str:
        """Name of the object."""
        return str(self.manifest["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Namespace of the object; empty: none."""
        return str(self.manifest["metadata"].get("namespace", ""))


Answer = Raw | Exception
"""The object as it is after the write, or why it was not: Conflict, Missing, Refused, Forbidden, Unavailable."""

NOT_LEADING: Final = "not written: it is not certain any more that this operator leads"


def always() -> bool:
    """Let everything be written: nobody else does."""
    return True


class Cluster(Protocol):
    """What the operator needs of a Kubernetes API."""

    def read(self, kind: Kind) -> Sequence[Raw]:
        """Return all objects of a kind that concern us. Raises Missing if there is none, Refused, Unavailable."""
        ...

    def marks(self, kind: Kind) -> Sequence[Mark]:
        """Return which objects ``read`` would return, and their revisions. Raises as ``read``."""
        ...

    def write(self, writes: Sequence[Write], may: Callable[[], bool] = always) -> Sequence[Answer]:
        """Carry out independent writes, several at a time; return an answer for each, in order.

        ``may`` is asked right before each is sent, from any thread; the answer to one that may not is Unavailable.
        """
        ...

    def renewals(self) -> Mapping[str, str]:
        """Return when each monitor renewed its lease last, as it wrote that. Raises Refused, Unavailable."""
        ...

    def tell(self, event: Raw) -> None:
        """Record a Kubernetes Event, or count it up if one of that name exists. Raises Refused, Unavailable."""
        ...


def manifest(kind: Kind, name: str, namespace: str = "", **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return the beginning of a manifest; ``metadata`` among the fields adds to the names."""
    names = {"name": name, "namespace": namespace} if namespace else {"name": name}
    extra = fields.pop("metadata", {})
    return {"apiVersion": RESOURCES[kind].api_version, "kind": kind.value, "metadata": {**names, **extra}, **fields}
