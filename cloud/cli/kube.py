"""The Kubernetes API as the command line needs it: JSON in and out, a timeout on each call, errors with a next step."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import yaml
from urllib3 import disable_warnings
from urllib3.exceptions import HTTPError, InsecureRequestWarning

from cloud.fleet.errors import SpecError, Unavailable
from cloud.fleet.resource import API_VERSION, GROUP

Json = dict[str, Any]

CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 30.0  # a list of 10,000 nodes takes about three
_GRACE_SECONDS: Final = 5.0  # beyond the time after which the API server itself ends a watch
PAGE: Final = 500  # objects in one answer of a list
FIELD_MANAGER: Final = "edgefleet-cli"
MERGE_PATCH: Final = "application/merge-patch+json"
BAD: Final = 400  # HTTP's line between done and not done
_MISSHAPEN: Final = (KeyError, TypeError, AttributeError)  # what the library meets in a file of another form
USUAL_LOCATION: Final = "~/.kube/config"  # where kubectl looks if KUBECONFIG is not set, or is set to nothing
APPLY_PATCH: Final = "application/apply-patch+yaml"


class NotFound(SpecError):  # noqa: N818 - the API server's own word
    """The named object does not exist."""


class Forbidden(SpecError):  # noqa: N818 - the same
    """The user lacks a right."""


class Conflict(Exception):  # noqa: N818 - it states what happened, as the API server does
    """Somebody else changed the object since it was read: read it anew and decide again."""


class Gone(Exception):  # noqa: N818 - the API server's own word
    """The watch began too long ago: read anew."""


@dataclass(frozen=True, slots=True)
class Api:
    """One cluster, as one user sees it."""

    client: Any  # kubernetes.client.ApiClient: the library ships no types
    namespace: str  # of the context
    user: str  # name of the user in the kubeconfig; empty: in the cluster
    origin: str  # where the access comes from, for people

    def get(self, path: str, **query: str) -> Json:
        """Return one object. Raises NotFound, SpecError, Unavailable."""
        return self._ask("GET", path, query)

    def every(self, path: str, **query: str) -> list[Json]:
        """Return all objects of a collection, page by page. Raises as ``get``."""
        items: list[Json] = []
        page = {"limit": str(PAGE), **query}
        while True:
            answer = self._ask("GET", path, page)
            items += answer.get("items") or []
            token = (answer.get("metadata") or {}).get("continue")
            if not token:
                return items
            page["continue"] = token

    def create(self, path: str, body: Json, **query: str) -> Json:
        """Create an object, or ask a review resource a question. Raises as ``get``."""
        return self._ask("POST", path, query, body)

    def merge(self, path: str, body: Json, **query: str) -> Json:
        """Merge ``body`` into an object; a resourceVersion in it makes it a lock. Raises Conflict, and as ``get``."""
        return self._ask("PATCH", path, {"fieldManager": FIELD_MANAGER, **query}, body, MERGE_PATCH)

    def apply(self, path: str, body: Json, **query: str) -> Json:
        """Server-side apply ``body``. Raises Conflict when another manager owns a field, and as ``get``."""
        return self._ask("PATCH", path, {"fieldManager": FIELD_MANAGER, **query}, body, APPLY_PATCH)

    def watch(self, path: str, seconds: int, **query: str) -> Iterator[tuple[str, Json]]:
        """Yield ``(type, object)`` for up to ``seconds``. Raises Gone when too old, and as ``get``."""
        asked = {"watch": "1", "timeoutSeconds": str(seconds), "allowWatchBookmarks": "true", **query}
        response = self._send("GET", path, asked, wait=seconds + _GRACE_SECONDS)
        if response.status >= BAD:
            raise self._complaint(response.status, self._read(response), path)
        try:
            for line in _lines(response.response):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    if event["object"].get("code") == 410:  # noqa: PLR2004 - HTTP's number
                        raise Gone
                    raise self._complaint(int(event["object"].get("code", 500)), event["object"], path)
                yield event["type"], event["object"]
        except (HTTPError, OSError, ValueError) as lost:
            raise Unavailable(f"{self.origin}: the watch ended: {_brief(lost)}") from lost
        finally:
            response.response.close()

    def date(self) -> str:
        """Return what time the API server says it is, as HTTP writes it; empty: it does not say. Raises as ``get``."""
        return str(self._send("GET", "/version", {}, wait=CONNECT_SECONDS).headers.get("Date", ""))

    def whoami(self) -> str:
        """Return who the API server says we are; else the kubeconfig's user, else the login name."""
        review: Json = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        try:
            answer = self.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
        except SpecError:
            return self.user or os.environ.get("USER", "unknown")
        name: str = answer["status"]["userInfo"]["username"]
        return name

    def _ask(self, method: str, path: str, query: dict[str, str], body: Json | None = None, kind: str = "") -> Json:
        response = self._send(method, path, query, body=body, kind=kind or "application/json")
        answer = self._read(response)
        if response.status >= BAD:
            raise self._complaint(response.status, answer, path)
        return answer

    def _read(self, response: Any) -> Json:  # noqa: ANN401 - a class of the untyped library
        try:
            text = response.read()
        except (HTTPError, OSError) as lost:
            raise Unavailable(f"{self.origin}: no whole answer: {_brief(lost)}") from lost
        try:
            return dict(json.loads(text))
        except ValueError:
            return {"message": text.decode(errors="replace").strip()}

    def _send(  # noqa: PLR0913 - one HTTP request has this many parts
        self,
        method: str,
        path: str,
        query: dict[str, str],
        *,
        body: Json | None = None,
        kind: str = "application/json",
        wait: float | None = None,  # seconds without a byte; None: as long as an answer may take
    ) -> Any:  # noqa: ANN401 - a class of the untyped library
        from kubernetes.client import ApiException  # noqa: PLC0415 - there by now: ``connect`` has imported it

        headers = {"Accept": "application/json", "Content-Type": kind}
        target = f"{path}?{urlencode(query)}" if query else path
        try:
            verb, url, sent, payload, _ = self.client.param_serialize(
                method, target, query_params=[], header_params=headers, body=body, auth_settings=["BearerToken"]
            )
            patience = (CONNECT_SECONDS, wait or ANSWER_SECONDS)
            return self.client.call_api(verb, url, sent, payload, _request_timeout=patience)
        except (HTTPError, OSError) as lost:
            host = self.client.configuration.host
            raise Unavailable(
                f"cannot reach the Kubernetes API at {host} ({self.origin}): {_brief(lost)}; "
                "is the cluster up, and is this the right --context? `edgefleet doctor` looks closer"
            ) from lost
        except ApiException as refused:  # only TLS failures arrive here
            raise self._insecure(refused) from refused

    def _insecure(self, failure: Exception) -> Exception:
        """Return the error that tells a certificate that is not trusted from a connection that broke."""
        host, told = self.client.configuration.host, _brief(failure)
        if "CERTIFICATE" in str(failure).upper():
            return SpecError(f"{self.origin}: no trust in {host}: {told}; take the kubeconfig anew from the cluster")
        return Unavailable(f"no secure connection to {host} ({self.origin}): {told}; try again in a moment")

    def _complaint(self, code: int, answer: Json, path: str) -> Exception:
        """Return the error that says what the API server objects to and what to do."""
        said = str(answer.get("message") or f"HTTP {code}")
        named = answer.get("reason") == "NotFound" and (answer.get("details") or {}).get("name")
        match code:
            case 401:
                return SpecError(f"{self.origin}: the cluster does not know this user; log in again or use --context")
            case 403:
                return Forbidden(f"{said}; ask the cluster's administrator for this permission")
            case 404 if f"/apis/{GROUP}/" in path and not named:
                return SpecError(
                    f"this cluster does not know {API_VERSION} (custom resources not installed); "
                    "`kubectl apply --server-side -k manifests/crds` installs them, as `edgefleet crds | kubectl apply "
                    "--server-side -f -` does without that folder; `edgefleet doctor` tells what else is missing"
                )
            case 404:
                return NotFound(said if named else f"{path}: {said}")
            case 409:
                return Conflict(said)
            case 400 | 422:
                return SpecError(_causes(answer) or said)
            case 410:
                return Gone(said)
            case 413:
                return SpecError(f"{self.origin}: too large for the API server: {said}; write less into one object")
            case _:
                return Unavailable(f"{self.origin}: the API server answered {code}: {said}; try again in a moment")


def connect(kubeconfig: str | None = None, context: str | None = None) -> Api:
    """Return access to the cluster, found as kubectl finds it. Raises SpecError if there is none."""
    # The library takes half a second to import, which help, version and completion of words need not wait for.
    from kubernetes import client, config  # noqa: PLC0415 - as said

    library: Any = config  # it ships no types
    settings = client.Configuration()
    settings.retries = False  # a call fails at once; whoever wants to retry bounds it
    location = kubeconfig or os.environ.get("KUBECONFIG") or USUAL_LOCATION
    found = any(Path(part).expanduser().exists() for part in location.split(os.pathsep) if part)
    if not found and not kubeconfig and "KUBERNETES_SERVICE_HOST" in os.environ:
        library.load_incluster_config(client_configuration=settings)
        space = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
        return Api(client.ApiClient(settings), space.read_text().strip(), "", "the pod's service account")
    if not found:
        raise SpecError(f"no kubeconfig at {location}: no such file; set KUBECONFIG or give --kubeconfig FILE")
    try:
        contexts, current = library.list_kube_config_contexts(location)
        library.load_kube_config(location, context, client_configuration=settings, persist_config=False)
    except (library.ConfigException, yaml.YAMLError, OSError, UnicodeDecodeError, *_MISSHAPEN) as bad:
        told = "is of another form than a kubeconfig" if isinstance(bad, _MISSHAPEN) else " ".join(str(bad).split())
        raise SpecError(f"kubeconfig {location}: {told}; `kubectl config get-contexts` shows what there is") from bad
    if not settings.verify_ssl:  # the kubeconfig asks for it, so a warning at each call tells nothing new
        disable_warnings(InsecureRequestWarning)
    chosen = next((entry for entry in contexts if entry["name"] == context), current)
    detail = chosen.get("context") or {}
    origin = f"context {chosen['name']!r} of {location}"
    return Api(client.ApiClient(settings), detail.get("namespace") or "default", detail.get("user") or "", origin)


def _lines(response: Any) -> Iterator[bytes]:  # noqa: ANN401 - a class of the untyped library
    """Yield the lines of a stream as they arrive."""
    rest = b""
    for chunk in response.stream(amt=None, decode_content=False):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line for line in whole if line.strip())


def _causes(answer: Json) -> str:
    """Return every field error of a refusal, one a line."""
    causes = (answer.get("details") or {}).get("causes") or []
    return "\n".join(f"{cause.get('field', '')}: {cause.get('message', '')}" for cause in causes)


def _brief(error: Exception) -> str:
    """Return the last words of a chain of library errors."""
    reason = getattr(error, "reason", None) or error
    return str(reason).split("\n")[-1].rsplit(": ", 1)[-1] or type(error).__name__
