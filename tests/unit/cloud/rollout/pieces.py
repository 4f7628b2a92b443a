"""What stories of the planner share: parts of releases, and what runs where."""

from datetime import timedelta

from tests.unit.cloud.rollout.world import World

HOUR = timedelta(hours=1)
ONE_STAGE = {"stages": [{"name": "rest", "soak": "0s"}], "health": {"readyFor": "5s", "timeout": "1m"}}
NO_SOAK = {
    "stages": [{"name": "canary", "upTo": 1, "soak": "0s"}, {"name": "rest", "soak": "0s"}],
    "health": {"readyFor": "5s", "timeout": "1m"},
}
SHORT = {"readyFor": "5s", "timeout": "1m"}


def everywhere(world: World) -> list[set[str]]:
    return [node.wanted for node in world.nodes.values()]
