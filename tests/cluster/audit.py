"""What the operator asked of the API server, by the server's own audit log."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

Json = dict[str, Any]

TAKEN: Final = {HTTPStatus.OK, HTTPStatus.GATEWAY_TIMEOUT}  # the latter: its sender was gone when it was answered
REFUSALS: Final = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the operator, as the API server's audit log has it."""

    verb: str
    resource: str  # with its subresource
    namespace: str
    name: str
    code: int
    body: Json
    credential: str  # id of the token it was made with
    at: str  # when it was answered, by the server's clock; comparable as a text


class Audit:
    """The API server's audit log of what the operator asked for."""

    POLICY: Final = {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived", "ResponseStarted"],
        "rules": [
            {"level": "Request", "userGroups": ["system:serviceaccounts:edgefleet"], "verbs": ["patch"]},
            {"level": "Metadata", "userGroups": ["system:serviceaccounts:edgefleet"]},
            {"level": "None"},
        ],
    }

    def __init__(self, folder: Path) -> None:
        self.policy = folder / "audit-policy.json"
        self.log = folder / "audit.log"
        self.policy.write_text(json.dumps(self.POLICY))

    @property
    def flags(self) -> tuple[str, ...]:
        """What the API server is started with besides."""
        return (f"--audit-policy-file={self.policy}", f"--audit-log-path={self.log}")

    def requests(self) -> list[Request]:
        """Everything that the operator asked for up to now; a line that is still being written is left out."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [request_of(json.loads(line)) for line in lines if line.endswith("}")]

    def moves(self, hashes: Iterable[str]) -> Counter[str]:
        """How many patches that were taken asked for other versions of these hashes than before, by node."""
        wanted = set(hashes)
        patches: dict[str, list[Request]] = {}
        for one in self.requests():
            labels = one.body.get("metadata", {}).get("labels", {}) if one.resource == "nodes" else {}
            if one.verb == "patch" and one.code in TAKEN and any(key.rpartition(".")[2] in wanted for key in labels):
                patches.setdefault(one.name, []).append(one)
        return Counter({box: sum(map(was_made, asked, [*asked[1:], None])) for box, asked in patches.items()})

    def never_granted(self) -> set[tuple[str, str]]:
        """Verbs and resources that the operator asked for and was never granted.

        An API server that has just started refuses what it grants a moment later, for it does not know the roles yet.
        """
        requests = self.requests()
        refused = {(one.verb, one.resource) for one in requests if one.code in REFUSALS}
        return refused - {(one.verb, one.resource) for one in requests if one.code < HTTPStatus.BAD_REQUEST}


def was_made(patch: Request, following: Request | None) -> bool:
    """Whether a patch was carried out, given the next one of the same node.

    Of one whose sender was killed the log says that it ended in vain, though it may be in etcd already. If it is not,
    the next operator sends the same again.
    """
    return patch.code == HTTPStatus.OK or following is None or following.body != patch.body


def request_of(line: Json) -> Request:
    """One line of the audit log."""
    about = line.get("objectRef", {})
    return Request(
        verb=line["verb"],
        resource="/".join(filter(None, (about.get("resource"), about.get("subresource")))),
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        code=line.get("responseStatus", {}).get("code", 0),
        body=line.get("requestObject") or {},
        credential=line["user"].get("extra", {}).get("authentication.kubernetes.io/credential-id", [""])[0],
        at=line["stageTimestamp"],
    )
