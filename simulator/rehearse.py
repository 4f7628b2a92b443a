"""Plays a user's release on a simulated fleet under a scenario: composition of theatre, timeline, judges, narrator."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from simulator.adjust import Adjusted, Manifest, adjusted, before, image_of, share_of, targeted
from simulator.course import Sign, count, course
from simulator.evidence import Evidence, Release
from simulator.expectations import Case
from simulator.files import Files, Wish
from simulator.fleet import Fleet, node_labels
from simulator.narrate import Narrator
from simulator.patience import STALL_SECONDS
from simulator.progress import ClusterError
from simulator.rehearsal import Asked, Report, outstanding, report
from simulator.scenario import Deed, Moment, Scenario
from simulator.standins import devices, stand_ins
from simulator.tables import FileError
from simulator.theatre import Theatre
from simulator.timeline import Act, Ground, due, resolve, some, stands_still, still_to_come

BASELINE_SECONDS: Final = 180.0
SETTLE_SECONDS: Final = 40.0 + STALL_SECONDS  # for boxes still under way when the release has come to its end
COLLECTIONS: Final = {
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "PriorityClass": "/apis/scheduling.k8s.io/v1/priorityclasses",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be played."""

    release: Adjusted
    baseline: Manifest
    ground: Ground
    acts: tuple[Act, ...]

    @property
    def name(self) -> str:
        """The release's."""
        return str(self.release.manifest["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """The release's."""
        return str(self.release.manifest["metadata"]["namespace"])

    @property
    def image(self) -> str:
        """The release's."""
        return image_of(self.release.manifest)


@dataclass(slots=True)
class Played:
    """What has been done so far, and when, in the recorder's seconds."""

    created: float = 0.0
    done: dict[Act, float] = field(default_factory=dict)
    approvals: dict[str, float] = field(default_factory=dict)
    told: int = 0  # lines of the release's course that were told


def rehearse(stage: Theatre, wish: Wish, files: Files, narrator: Narrator) -> Report:
    """Play everything, and judge it. Raises FileError when an input is wrong, ClusterError when it cannot be played."""
    plan = prepare(stage, wish, files)
    narrator.say(stage.recorder.now(), Sign.STEP, f"{plan.baseline['metadata']['name']} goes to every box first")
    install_before(stage, plan, narrator)
    played = Played()
    for act in plan.acts:
        if act.when.moment is Moment.BEFORE:
            perform(stage, act, plan, played, narrator)
    if stage.dark:
        narrator.progress("waiting until Kubernetes has noticed")
        at = stage.wait_dark(sorted(stage.dark))
        narrator.say(
            at, Sign.DARK, f"{count(len(stage.dark), 'site is', 'sites are')} dark: {some(sorted(stage.dark))}"
        )
    played.created = stage.release(plan.release.manifest)
    narrator.say(played.created, Sign.STEP, f"{plan.name} is created: {plan.image}")
    play(stage, wish, plan, played, narrator)
    settle(stage, plan, files.scenario, case_of(stage, plan, played))
    narrator.quiet()
    return judge(stage, wish, files, plan, played)


def prepare(stage: Theatre, wish: Wish, files: Files) -> Plan:
    """Check the files against each other and against the API server. Raises FileError."""
    namespace = files.release["metadata"]["namespace"]
    stage.cluster.kube.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    complete = stage.completed(files.release)
    release = adjusted(complete, fast=wish.fast, real_time=wish.real_time)
    ground = ground_of(complete, files.fleet)
    acts = resolve(files.scenario, ground, len(complete["spec"]["stages"]))
    baseline = before(complete, files.previous)
    made = stood_in(stage, namespace, complete, baseline)
    stage.completed(baseline)
    return Plan(replace(release, changes=(*release.changes, *made)), baseline, ground, acts)


def ground_of(release: Manifest, fleet: Fleet) -> Ground:
    """The boxes that a release targets. Raises FileError when there are none."""
    boxes: dict[str, list[str]] = {}
    for site, box in fleet.boxes():
        labels = {**node_labels(site, box), "kubernetes.io/hostname": box.name}
        if targeted(release, labels):
            boxes.setdefault(site.name, []).append(box.name)
    if not boxes:
        raise FileError(
            ["spec.targets: matches none of the fleet's boxes: describe your boxes with their labels in --fleet"]
        )
    return Ground(boxes)


def stood_in(stage: Theatre, namespace: str, *releases: Manifest) -> list[str]:
    """Put stand-ins in place for what the templates refer to; returns them in sentences. Raises FileError."""
    told: dict[str, None] = {}
    for release in releases:
        template = release["spec"]["workload"].get("template") or {}
        for one in stand_ins(namespace, template):
            stage.cluster.kube.create(COLLECTIONS[one["kind"]].format(namespace), one)
            told[f"{one['kind']} {one['metadata']['name']}: an empty stand-in"] = None
        for name, amount in devices(template).items():
            for _, box in stage.cluster.fleet.boxes():
                stage.cluster.kube.merge(f"/api/v1/nodes/{box.name}/status", {"status": {"capacity": {name: amount}}})
            told[f"{name}: every box pretends to have {amount}"] = None
    return list(told)


def install_before(stage: Theatre, plan: Plan, narrator: Narrator) -> None:
    """Bring every box to what it runs before. Raises ClusterError when that cannot be done."""
    name = plan.baseline["metadata"]["name"]
    stage.release(plan.baseline)
    last: Release | None = None
    for evidence in stage.looks(BASELINE_SECONDS):
        last = evidence.last(name)
        if last and last.phase == "Succeeded":
            narrator.say(stage.recorder.now(), Sign.GOOD, f"{image_of(plan.baseline)} is on every box")
            return
        if stands_still(last):
            break
        done, all_boxes = (last.counts.get(key, 0) for key in ("succeeded", "targeted")) if last else (0, 0)
        narrator.progress("the version before goes to every box", done, all_boxes)
    said = "; ".join((last.message, *last.failures)) if last else "the operator said nothing of it"
    raise ClusterError(f"what runs before the release could not be installed: {said}")


def play(stage: Theatre, wish: Wish, plan: Plan, played: Played, narrator: Narrator) -> None:
    """Let the scenario happen and give approvals until the release stands still, or its time is up."""
    for evidence in stage.looks(wish.limit):
        seen = evidence.releases.get(plan.name, ())
        left = [act for act in plan.acts if act not in played.done]
        for act in due(left, played.created, seen, stage.recorder.now()):
            perform(stage, act, plan, played, narrator)
        tell(seen, played, narrator)
        last = seen[-1] if seen else None
        if last and last.phase == "AwaitingApproval":
            approve(stage, plan, played, last, narrator)
        left = [act for act in plan.acts if act not in played.done]
        if stands_still(last) and not still_to_come(left, played.created, seen):
            break


def perform(stage: Theatre, act: Act, plan: Plan, played: Played, narrator: Narrator) -> None:
    """Do one thing of the scenario."""
    at = stage.recorder.now()
    stage.do(act, plan.image)
    played.done[act] = at
    narrator.say(at, Sign.DARK if act.deed is Deed.CUT else Sign.NOTE, str(act))


def tell(seen: Sequence[Release], played: Played, narrator: Narrator) -> None:
    """Tell what is new in the release's course, and show where it stands."""
    lines = course(seen)
    narrator.tell(lines[played.told :])
    played.told = len(lines)
    if seen:
        counts, stage = seen[-1].counts, seen[-1].stage
        where = f"stage {stage}" if stage else seen[-1].phase
        narrator.progress(where, counts.get("succeeded", 0), counts.get("targeted", 0))


def approve(stage: Theatre, plan: Plan, played: Played, last: Release, narrator: Narrator) -> None:
    """Give the approval that the release waits for, unless it was given and only not seen yet."""
    name = next((one.name for one in last.stages if one.phase == "Pending"), "")
    if not name or name in played.approvals:
        return
    given = [{"stage": one, "by": "rehearsal"} for one in (*played.approvals, name)]
    played.approvals[name] = stage.approve(plan.namespace, plan.name, given)
    narrator.say(played.approvals[name], Sign.GOOD, f"the rehearsal approves stage {name}")


def settle(stage: Theatre, plan: Plan, scenario: Scenario, case: Case) -> None:
    """Wait until no box within reach is under way any more, or for as long as one may be.

    The release is told to stand still before its boxes are seen to: what they still have to bring is waited for too.
    """
    for evidence in stage.looks(SETTLE_SECONDS):
        resting = all(at_rest(evidence, box, plan) for box in plan.ground.boxes_in_order())
        if resting and not outstanding(evidence, scenario, case):
            return


def at_rest(evidence: Evidence, box: str, plan: Plan) -> bool:
    """Whether a box runs exactly what its labels ask for, or is dark."""
    workload = plan.release.manifest["spec"]["workload"]["name"]
    node = evidence.nodes[box][-1]
    return not node.ready or node.wants(workload) == evidence.running_on(box, workload)


def case_of(stage: Theatre, plan: Plan, played: Played) -> Case:
    """What is known of the release beforehand, and what the rehearsal did to it."""
    spec = plan.release.manifest["spec"]
    return Case(
        release=plan.name,
        workload=spec["workload"]["name"],
        before=plan.baseline["metadata"]["name"],
        ground=plan.ground,
        created=played.created,
        parallel_sites=share_of(spec["budget"]["maxParallelSites"], len(plan.ground.sites)),
        boxes_per_site=boxes_at_once(plan, spec["budget"]["maxUnavailablePerSite"]),
        reverts=spec["onFailure"]["revertBox"],
        cut=frozenset(stage.ever_dark),
        approvals=played.approvals,
    )


def judge(stage: Theatre, wish: Wish, files: Files, plan: Plan, played: Played) -> Report:
    """Judge what was seen."""
    case = case_of(stage, plan, played)
    sites, boxes = list(plan.ground.sites), plan.ground.boxes_in_order()
    fleet = files.fleet
    told = f"{count(len(fleet.sites), 'site', 'sites')}, {count(len(list(fleet.boxes())), 'box', 'boxes')}; "
    told += f"the release targets {count(len(boxes), 'box', 'boxes')} at {count(len(sites), 'site', 'sites')}"
    asked = Asked(
        case, files.scenario, plan.image, image_of(plan.baseline), told, plan.release.changes, limit=wish.limit
    )
    acts = {act: played.done.get(act) for act in plan.acts}
    return report(stage.recorder.evidence(), asked, acts, stage.recorder.now())


def boxes_at_once(plan: Plan, share: int | str) -> int:
    """How many boxes of one role at one site may change at one time; a site of one box may always proceed."""
    largest = max(len(boxes) for boxes in plan.ground.boxes.values())
    return max(1, share_of(share, largest))
