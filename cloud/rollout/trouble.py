"""Why a version is not healthy on a box: a stable word, and the end of a sentence for people."""

from dataclasses import dataclass

from cloud.rollout.snapshot import Box, Pod


@dataclass(frozen=True, slots=True)
class Trouble:
    """What keeps a version from being healthy."""

    cause: str  # CamelCase
    words: str


def trouble(box: Box, version: str) -> Trouble:
    """Return what the pods on the box say of a version that is not healthy there."""
    pods = [pod for pod in box.pods if pod.version == version and not pod.ending]
    if not pods:
        return Trouble("NoPod", "no pod of it was started on the box")
    if (unbound := next((pod for pod in pods if not pod.bound), None)) is not None:
        return _held_back(box, unbound)
    told = next((pod for pod in pods if pod.trouble), None)
    if told is None:
        return Trouble("NotReady", "the pod runs but is not ready")
    return Trouble(told.trouble, f"{told.trouble}: {told.detail}" if told.detail else told.trouble)


def _held_back(box: Box, unbound: Pod) -> Trouble:
    """Return why the scheduler has not given the pod to the box. Its own words speak of all nodes of the cluster."""
    leaving = next((pod for pod in box.pods if pod.bound and (pod.ending or pod.version not in box.versions)), None)
    if leaving is not None:
        return Trouble("OldPodEnding", f"its pod waits for the old pod {leaving.name} to end")
    if unbound.trouble:
        return Trouble(unbound.trouble, f"its pod finds no place on the box: {unbound.detail}")
    return Trouble("NotScheduled", "its pod has not been given to the box yet")
