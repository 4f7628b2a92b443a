"""Good and bad custom resources, for the types and for the real API server alike."""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from cloud.fleet.resource import API_VERSION

Json = dict[str, Any]
GONE = object()  # in place of a value: the field is taken away

SCAN = {"matchLabels": {"edgefleet.io/role": "scan"}}
CONTAINER = {"name": "scan", "image": "registry.example/scan:1.0"}
TEMPLATE = {
    "metadata": {"annotations": {"team": "sorting"}},
    "spec": {"containers": [CONTAINER | {"ports": [{"containerPort": 80}]}], "priorityClassName": "edge"},
}
LONG_WORD = "x" * 5000


def release(changes: Json | None = None, name: str = "scan-2") -> Json:
    """Return the shortest EdgeRelease there is, with fields set by their path."""
    spec = {"workload": {"name": "scan", "image": "registry.example/scan:2.0"}, "targets": {"selector": SCAN}}
    return _changed({"kind": "EdgeRelease", "metadata": {"name": name}, "spec": spec}, changes)


def site(changes: Json | None = None, name: str = "hangzhou-2") -> Json:
    """Return the shortest EdgeSite there is, with fields set by their path."""
    spec = {"timeZone": "Asia/Shanghai"}
    return _changed({"kind": "EdgeSite", "metadata": {"name": name}, "spec": spec}, changes)


def box(changes: Json | None = None, name: str = "hangzhou-2-a") -> Json:
    """Return the shortest EdgeBox there is, with fields set by their path."""
    spec = {"node": name, "site": "hangzhou-2"}
    return _changed({"kind": "EdgeBox", "metadata": {"name": name}, "spec": spec}, changes)


def _changed(resource: Json, changes: Json | None) -> Json:
    made = {"apiVersion": API_VERSION, **deepcopy(resource)}
    for path, value in (changes or {}).items():
        *above, last = path.split(".")
        at: Any = made["spec"]
        for step in above:
            at = at.setdefault(step, {})
        if value is GONE:
            del at[last]
        else:
            at[last] = deepcopy(value)
    return made


@dataclass(frozen=True, slots=True)
class Bad:
    """A resource that must be refused, and what its author must read."""

    title: str
    resource: Json = field(repr=False)
    path: str  # of the field, as the API server writes it
    words: str  # the next step
    offline: bool = True  # the types refuse it as well


def stages(*given: Json) -> Json:
    """Return the changes that set these stages, named by number where they have no name."""
    return {"stages": [{"name": f"stage-{number}", **stage} for number, stage in enumerate(given)]}


def window(**changes: Any) -> Json:  # noqa: ANN401 - JSON
    """Return the changes that set one window."""
    return {"windows": [{"from": "22:00", "to": "05:00"} | changes]}


REST = {"upTo": "100%"}

BAD = (
    # what is released
    Bad("no workload", release({"workload": GONE}), "spec.workload", "Required value"),
    Bad("no targets", release({"targets": GONE}), "spec.targets", "Required value"),
    Bad("no workload name", release({"workload.name": GONE}), "spec.workload.name", "Required value"),
    Bad(
        "neither image nor template",
        release({"workload.image": GONE}),
        "spec.workload.image",
        "set image, template or both",
    ),
    Bad("a workload in capitals", release({"workload.name": "Scan"}), "spec.workload.name", "write lower-case letters"),
    Bad("a long workload name", release({"workload.name": "s" * 41}), "spec.workload.name", "may not be more than 40"),
    Bad("an image with a blank", release({"workload.image": "a b"}), "spec.workload.image", "without blanks"),
    Bad("an empty image", release({"workload.image": ""}), "spec.workload.image", "should be at least 1 char"),
    Bad("a huge image", release({"workload.image": LONG_WORD}), "spec.workload.image", "may not be more than 512"),
    Bad("an unknown cutover", release({"workload.cutover": "Blue"}), "spec.workload.cutover", '"Recreate"'),
    Bad(
        "a template without spec",
        release({"workload.template": {"metadata": {}}}),
        "spec.workload.template.spec",
        "Required value",
        offline=False,
    ),
    Bad(
        "a template with a field that is none",
        release({"workload.template": TEMPLATE | {"status": {}}}),
        "spec.workload.template.status",
        "unknown field",
        offline=False,
    ),
    Bad(
        "a template without containers",
        release({"workload.template": {"spec": {"containers": []}}}),
        "spec.workload.template.spec.containers",
        "should have at least 1 items",
        offline=False,
    ),
    Bad(
        "a container without a name",
        release({"workload.template": {"spec": {"containers": [{"image": "a"}]}}}),
        "spec.workload.template.spec.containers[0].name",
        "Required value",
        offline=False,
    ),
    Bad(
        "ports that are numbers",
        release({"workload.template": {"spec": {"containers": [CONTAINER | {"ports": [80]}]}}}),
        "spec.workload.template.spec.containers[0].ports[0]",
        "must be of type object",
        offline=False,
    ),
    Bad(
        "a template that chooses nodes",
        release({"workload.template": {"spec": {"containers": [CONTAINER], "nodeSelector": {"a": "b"}}}}),
        "spec.workload.template.spec.nodeSelector",
        "must have at most 0",
        offline=False,
    ),
    Bad(
        "a template that names a node",
        release({"workload.template": {"spec": {"containers": [CONTAINER], "nodeName": "a"}}}),
        "spec.workload.template.spec.nodeName",
        'supported values: ""',
        offline=False,
    ),
    Bad(
        "a template with affinity",
        release({"workload.template": {"spec": {"containers": [CONTAINER], "affinity": {"podAffinity": {}}}}}),
        "spec.workload.template.spec.affinity",
        "must have at most 0",
        offline=False,
    ),
    Bad(
        "a template that ends",
        release({"workload.template": {"spec": {"containers": [CONTAINER], "restartPolicy": "Never"}}}),
        "spec.workload.template.spec.restartPolicy",
        'supported values: "Always"',
        offline=False,
    ),
    Bad(
        "a template that says its version",
        release({"workload.template": TEMPLATE | {"metadata": {"labels": {"edgefleet.io/version": "2"}}}}),
        "spec.workload.template.metadata.labels.edgefleet.io/version",
        'supported values: ""',
        offline=False,
    ),
    Bad(
        "a template that says its workload",
        release({"workload.template": TEMPLATE | {"metadata": {"labels": {"edgefleet.io/workload": "b"}}}}),
        "spec.workload.template.metadata.labels.edgefleet.io/workload",
        'supported values: ""',
        offline=False,
    ),
    Bad(
        "a resource that is none",
        release({"workload.overrides": [{"selector": SCAN, "resources": {"limits": {"a b": "1"}}}]}),
        "spec.workload.overrides[0].resources.limits",
        "before a slash a domain",
    ),
    Bad(
        "an override for every box",
        release({"workload.overrides": [{"selector": {}}]}),
        "spec.workload.overrides[0].selector",
        "must name at least one label",
    ),
    Bad(
        "a variable that is none",
        release({"workload.overrides": [{"selector": SCAN, "env": [{"name": "1A"}]}]}),
        "spec.workload.overrides[0].env[0].name",
        "not beginning with a digit",
    ),
    Bad(
        "a variable given twice",
        release({"workload.overrides": [{"selector": SCAN, "env": [{"name": "A"}, {"name": "A"}]}]}),
        "spec.workload.overrides[0].env[1]",
        "Duplicate value",
        offline=False,
    ),
    Bad(
        "too many overrides",
        release({"workload.overrides": [{"selector": SCAN}] * 17}),
        "spec.workload.overrides",
        "must have at most 16 items",
    ),
    # where
    Bad("an empty selector", release({"targets.selector": {}}), "spec.targets.selector", "at least one label"),
    Bad(
        "an empty exclusion",
        release({"targets.exclude": {"matchLabels": {}}}),
        "spec.targets.exclude",
        "must name at least one label",
    ),
    Bad(
        "In without values",
        release({"targets.selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}),
        "spec.targets.selector.matchExpressions[0].values",
        "give values for In and NotIn",
    ),
    Bad(
        "Exists with values",
        release({"targets.selector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}}),
        "spec.targets.selector.matchExpressions[0].values",
        "none for Exists and DoesNotExist",
    ),
    Bad(
        "an unknown operator",
        release({"targets.selector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}),
        "spec.targets.selector.matchExpressions[0].operator",
        '"DoesNotExist"',
    ),
    Bad(
        "a label value that is too long",
        release({"targets.selector.matchLabels": {"a": "b" * 64}}),
        "spec.targets.selector.matchLabels.a",
        "may not be more than 63",
    ),
    Bad(
        "a label key that is too long",
        release({"targets.selector.matchLabels": {"a" * 318: "b"}}),
        "spec.targets.selector.matchLabels",
        "at most 317 characters: shorten it",
    ),
    Bad(
        "a label key with a blank",
        release({"targets.selector.matchLabels": {"edgefleet.io/role ": "scan"}}),
        "spec.targets.selector.matchLabels",
        "before a slash a domain",
    ),
    Bad(
        "a label value that none can have",
        release({"targets.selector.matchLabels": {"edgefleet.io/role": "scan box!"}}),
        "spec.targets.selector.matchLabels",
        "for example scan-1",
    ),
    Bad(
        "a required key that is none",
        release({"targets.selector": {"matchExpressions": [{"key": "!!!", "operator": "Exists"}]}}),
        "spec.targets.selector.matchExpressions[0].key",
        "before a slash a domain",
    ),
    # in what order
    Bad("no stage at all", release({"stages": []}), "spec.stages", "should have at least 1 items"),
    Bad("a stage without a name", release({"stages": [{"upTo": "100%"}]}), "spec.stages[0].name", "Required value"),
    Bad(
        "two stages of one name",
        release(stages({"name": "a", "upTo": 1}, {"name": "a", **REST})),
        "spec.stages",
        "rename the second",
    ),
    Bad("stages that fall", release(stages({"upTo": 5}, {"upTo": 2}, REST)), "spec.stages", "raise the later one"),
    Bad(
        "shares that fall",
        release(stages({"upTo": "10%"}, {"upTo": 3}, {"upTo": "9%"}, REST)),
        "spec.stages",
        "raise the later one",
    ),
    Bad(
        "a stage that adds nothing",
        release(stages({"upTo": "10%"}, {"upTo": "10%"}, REST)),
        "spec.stages",
        "raise the later one",
    ),
    Bad("a last stage that leaves some", release(stages({"upTo": "50%"})), "spec.stages", "give it upTo 100%"),
    Bad("a last stage with a selector", release(stages({"selector": SCAN})), "spec.stages", "no selector"),
    Bad("a stage of no site", release(stages({"upTo": 0}, REST)), "spec.stages[0].upTo", "leave it out"),
    Bad("a share above all", release(stages({"upTo": "101%"}, REST)), "spec.stages[0].upTo", "for example 3 or 10%"),
    Bad("a share without unit", release(stages({"upTo": "10"}, REST)), "spec.stages[0].upTo", "for example 3 or 10%"),
    Bad("a negative number", release(stages({"upTo": -1}, REST)), "spec.stages[0].upTo", "for example 3 or 10%"),
    Bad("half a site", release(stages({"upTo": 1.5}, REST)), "spec.stages[0].upTo", "integer"),
    Bad("a soak without unit", release(stages({"soak": "10"})), "spec.stages[0].soak", "for example 10m"),
    Bad("a soak in Go's spelling", release(stages({"soak": "1h30m"})), "spec.stages[0].soak", "for example 10m"),
    Bad("a soak as a number", release(stages({"soak": 10})), "spec.stages[0].soak", "must be of type string"),
    Bad(
        "an approval by word",
        release(stages({"approval": "yes"})),
        "spec.stages[0].approval",
        "of type boolean",
        offline=False,
    ),
    # how gently
    Bad(
        "no site at a time",
        release({"budget.maxParallelSites": 0}),
        "spec.budget.maxParallelSites",
        "to stop a release set control.paused",
    ),
    Bad(
        "a budget in words",
        release({"budget.maxUnavailablePerSite": "few"}),
        "spec.budget.maxUnavailablePerSite",
        "for example 3 or 10%",
    ),
    Bad("a window of no length", release(window(to="22:00")), "spec.windows[0].to", "leave windows out"),
    Bad("a window at 24:00", release(window(to="24:00")), "spec.windows[0].to", "for example 22:00"),
    Bad("a window without end", release({"windows": [{"from": "22:00"}]}), "spec.windows[0].to", "Required value"),
    Bad("an unknown day", release(window(days=["Monday"])), "spec.windows[0].days[0]", '"Mon"'),
    Bad(
        "a day given twice",
        release(window(days=["Mon", "Mon"])),
        "spec.windows[0].days[1]",
        "Duplicate value",
        offline=False,
    ),
    Bad("a time zone in words", release(window(tz="Beijing time")), "spec.windows[0].tz", "for example Asia/Shanghai"),
    # what is good
    Bad(
        "readiness longer than the timeout",
        release({"health": {"readyFor": "1h", "timeout": "3600s"}}),
        "spec.health.readyFor",
        "lengthen timeout",
    ),
    Bad(
        "readiness in days",
        release({"health": {"readyFor": "1d", "timeout": "23h"}}),
        "spec.health.readyFor",
        "lengthen timeout",
    ),
    Bad("an unreadable timeout", release({"health.timeout": "soon"}), "spec.health.timeout", "for example 10m"),
    Bad("negative restarts", release({"health.maxRestarts": -1}), "spec.health.maxRestarts", "greater than or equal"),
    # what if not
    Bad("an unknown policy", release({"offline.policy": "Wait"}), "spec.offline.policy", '"CatchUp"'),
    Bad("waiting for ever", release({"offline.catchUpFor": "9999999d"}), "spec.offline.catchUpFor", "for example 10m"),
    Bad("too many retries", release({"onFailure.retries": 11}), "spec.onFailure.retries", "less than or equal to 10"),
    Bad("nobody attempted", release({"onFailure.minAttempted": 0}), "spec.onFailure.minAttempted", "or equal to 1"),
    Bad("an unknown action", release({"onFailure.action": "Rollback"}), "spec.onFailure.action", '"RollbackStage"'),
    # the hand on the brake
    Bad("an unknown abort", release({"control.abort": "Stop"}), "spec.control.abort", '"Halt"'),
    Bad(
        "an emergency by nobody",
        release({"control.emergency": {"reason": "fire"}}),
        "spec.control.emergency.by",
        "Required value",
    ),
    Bad(
        "an emergency for no reason",
        release({"control.emergency": {"by": "wang", "reason": ""}}),
        "spec.control.emergency.reason",
        "should be at least 1 char",
    ),
    Bad(
        "an emergency by blanks",
        release({"control.emergency": {"by": " ", "reason": "fire"}}),
        "spec.control.emergency.by",
        "write more than blanks",
    ),
    Bad(
        "an approval by blanks",
        release({"control.approvals": [{"stage": "rest", "by": " \t"}]}),
        "spec.control.approvals[0].by",
        "write more than blanks",
    ),
    Bad(
        "an approval of no stage",
        release({"control.approvals": [{"stage": "final", "by": "wang"}]}),
        "spec.control.approvals",
        "correct the stage",
    ),
    Bad(
        "a stage approved twice",
        release({"control.approvals": [{"stage": "rest", "by": "wang"}, {"stage": "rest", "by": "li"}]}),
        "spec.control.approvals[1]",
        "Duplicate value",
        offline=False,
    ),
    Bad(
        "paused by a word", release({"control.paused": "true"}), "spec.control.paused", "of type boolean", offline=False
    ),
    Bad("an unknown field", release({"budget.maxSites": 3}), "spec.budget.maxSites", "unknown field", offline=False),
    # sites and boxes
    Bad("a site without a time zone", site({"timeZone": GONE}), "spec.timeZone", "Required value"),
    Bad("a site in no zone", site({"timeZone": "UTC+8 (CN)"}), "spec.timeZone", "for example Asia/Shanghai"),
    Bad("a site of unknown kind", site({"kind": "Hub"}), "spec.kind", '"TransferCentre"'),
    Bad("an uplink of nothing", site({"uplinkMbps": 0}), "spec.uplinkMbps", "greater than or equal to 1"),
    Bad("a contact without a name", site({"contacts": [{"phone": "1"}]}), "spec.contacts[0].name", "Required value"),
    Bad(
        "a telephone number in words",
        site({"contacts": [{"name": "Li", "phone": "ask Wang"}]}),
        "spec.contacts[0].phone",
        "write digits",
    ),
    Bad("a name that clears screens", site({"displayName": "a\x1b[2J"}), "spec.displayName", "control characters"),
    Bad("a region of two lines", site({"region": "a\nb"}), "spec.region", "write one line"),
    Bad(
        "a contact with a tab",
        site({"contacts": [{"name": "Li\tWei"}]}),
        "spec.contacts[0].name",
        "write one line",
    ),
    Bad(
        "a role with a C1 control",
        site({"contacts": [{"name": "Li", "role": "a\x9b31m"}]}),
        "spec.contacts[0].role",
        "control characters",
    ),
    Bad(
        "an e-mail address with a deletion",
        site({"contacts": [{"name": "Li", "email": "a\x7f@b"}]}),
        "spec.contacts[0].email",
        "control characters",
    ),
    Bad("too many contacts", site({"contacts": [{"name": "Li"}] * 21}), "spec.contacts", "must have at most 20 items"),
    Bad("a site that no label can name", site(name="a.b"), "metadata.name", "write lower-case letters", offline=False),
    Bad("a site of a long name", site(name="s" * 64), "metadata.name", "63 characters at most", offline=False),
    Bad("a box without a node", box({"node": GONE}), "spec.node", "Required value"),
    Bad("a box at no site", box({"site": "Hang Zhou"}), "spec.site", "write lower-case letters"),
    Bad("a box with a role twice", box({"roles": ["scan", "scan"]}), "spec.roles[1]", "Duplicate value", offline=False),
    Bad("a box with a role in capitals", box({"roles": ["Scan"]}), "spec.roles[0]", "write lower-case letters"),
    Bad("a box with too many GPUs", box({"expectedGpus": 65}), "spec.expectedGpus", "less than or equal to 64"),
)

FULL = release(
    {
        "workload": {
            "name": "vision",
            "image": "registry.example/vision:2.4.0",
            "template": TEMPLATE,
            "cutover": "Surge",
            "overrides": [
                {
                    "selector": {"matchExpressions": [{"key": "gpu", "operator": "In", "values": ["l4", "a2"]}]},
                    "env": [{"name": "BATCH", "value": "8"}],
                    "args": ["--fast"],
                    "resources": {"limits": {"nvidia.com/gpu": "1"}, "requests": {"cpu": "500m"}},
                }
            ],
        },
        "targets.exclude": {"matchExpressions": [{"key": "frozen", "operator": "Exists"}]},
        "stages": [
            {"name": "pilot", "selector": SCAN},
            {"name": "canary", "upTo": 1, "soak": "30m"},
            {"name": "early", "upTo": "10%", "soak": "6h"},
            {"name": "some", "upTo": 40},
            {"name": "rest", "upTo": "100%", "approval": True},
        ],
        "budget": {"maxParallelSites": 5, "maxUnavailablePerSite": "50%"},
        "windows": [{"days": ["Sat", "Sun"], "from": "22:00", "to": "05:00", "tz": "Asia/Shanghai"}],
        "health": {"readyFor": "90s", "timeout": "1d", "maxRestarts": 0},
        "offline": {"policy": "Block", "minOnline": "0%", "catchUpFor": "7d"},
        "onFailure": {
            "retries": 0,
            "revertBox": False,
            "maxFailed": "5%",
            "minAttempted": 10,
            "action": "RollbackAll",
        },
        "control": {
            "paused": True,
            "approvals": [{"stage": "rest", "by": "wang", "reason": "canary was quiet"}],
            "emergency": {"by": "li", "reason": "scanner fire"},
        },
        "watchAfter": "0s",
    },
    name="vision-2-4-0",
)

GOOD = {
    "ten lines": release(),
    "everything": FULL,
    "a template without an image": release({"workload.image": GONE, "workload.template": TEMPLATE}),
    "one stage": release(stages(REST)),
    "numbers and shares rise apart": release(stages({"upTo": 20}, {"upTo": "5%"}, {"upTo": 30}, REST)),
    "a stage with a selector stands apart": release(stages({"upTo": 5}, {"upTo": 2, "selector": SCAN}, REST)),
    "days against hours": release({"health": {"readyFor": "23h", "timeout": "1d"}}),
    "a window over midnight": release(window(days=["Fri"])),
    "no box may be down": release({"budget.maxUnavailablePerSite": 0}),
    "a site": site(
        {
            "displayName": "杭州转运中心",
            "kind": "Depot",
            "region": "east",
            "uplinkMbps": 200,
            "contacts": [
                {"name": "李雷", "role": "technician", "phone": "+86 (571) 5550-1234", "email": "li@example.com"}
            ],
        }
    ),
    "a box": box({"roles": ["scan", "vision"], "expectedGpus": 2}),
}
