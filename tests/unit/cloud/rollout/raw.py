"""Builders of the API's objects: the smallest that are valid."""

from typing import Any

Json = dict[str, Any]
CREATED = "2026-03-02T11:00:00Z"


def raw_node(name: str = "box-1", *, ready: bool = True, revision: int = 1, **more: Any) -> Json:  # noqa: ANN401 - JSON
    meta = {
        "name": name,
        "uid": more.get("uid", f"uid-{name}"),
        "resourceVersion": str(revision),
        "creationTimestamp": CREATED,
        "labels": {"edgefleet.io/site": "tc-1", "edgefleet.io/role": "scan", **more.get("labels", {})},
        "annotations": more.get("annotations", {}),
    }
    said = {"type": "Ready", "status": "True" if ready else "Unknown", "lastTransitionTime": more.get("since", CREATED)}
    return {"metadata": meta, "status": {"conditions": [{"type": "DiskPressure", "status": "True"}, said]}}


def raw_pod(name: str = "scan-a-1", node: str = "box-1", version: str = "a", **more: Any) -> Json:  # noqa: ANN401 - JSON
    meta = {
        "namespace": "default",
        "name": name,
        "uid": f"uid-{name}",
        "resourceVersion": str(more.get("revision", 1)),
        "labels": {"edgefleet.io/workload": more.get("workload", "scan"), "edgefleet.io/version": version},
        **({"deletionTimestamp": CREATED} if more.get("ending") else {}),
    }
    ready = {"type": "Ready", "status": str(more.get("ready", True))}
    status = {"conditions": [ready], "containerStatuses": more.get("containers", [])}
    return {"metadata": meta, "spec": {"nodeName": node}, "status": status}


def raw_daemon_set(version: str = "a", workload: str = "scan", **more: Any) -> Json:  # noqa: ANN401 - JSON
    chosen = {f"run.edgefleet.io/{workload}.{version}": ""}
    template = {"spec": {"containers": [{"name": "scan", "image": "scan:1"}], "nodeSelector": chosen}}
    return {
        "metadata": {
            "namespace": "default",
            "name": more.get("name", f"{workload}-{version}"),
            "uid": f"uid-{version}",
            "resourceVersion": "1",
            "creationTimestamp": more.get("created", CREATED),
            "labels": {"edgefleet.io/workload": workload, "edgefleet.io/version": version},
            "annotations": {"edgefleet.io/exclusive": "true", "edgefleet.io/release": more.get("release", "one")},
        },
        "spec": {"template": more.get("template", template)},
    }


def raw_release(name: str = "one", *, revision: int = 1, **more: Any) -> Json:  # noqa: ANN401 - JSON
    spec = {
        "workload": {"name": "scan", "image": f"scan:{name}"},
        "targets": {"selector": {"matchLabels": {"edgefleet.io/role": "scan"}}},
        "stages": [{"name": "all", "soak": "0s"}],
        "budget": {"maxParallelSites": "100%", "maxUnavailablePerSite": "100%"},
        "health": {"readyFor": "0s"},
        **more.get("spec", {}),
    }
    meta = {
        "namespace": more.get("namespace", "default"),
        "name": name,
        "uid": f"uid-{name}",
        "resourceVersion": str(revision),
        "generation": more.get("generation", 1),
        "creationTimestamp": more.get("created", CREATED),
    }
    return {"metadata": meta, "spec": spec, "status": more.get("status", {})}


def raw_site(name: str = "tc-1", zone: str = "Asia/Shanghai") -> Json:
    return {"metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": "1"}, "spec": {"timeZone": zone}}
