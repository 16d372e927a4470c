"""What a dataset from a stranger must say and hold before anybody learns from it."""

from typing import TYPE_CHECKING

import numpy as np

from magail_trainer.envs.description import ENTRIES
from magail_trainer.envs.spaces import LARGEST_REWARD, described_bounds
from magail_trainer.errors import InputError
from magail_trainer.sealed import Sealed

if TYPE_CHECKING:
    from magail_trainer.data.trajectories import Trajectories

_ENTRIES = {
    **ENTRIES,
    "agents": list,
    "spaces": dict,
    "policy": dict,
    "policy.name?": str,
    "seed": (int, type(None)),
    "versions": dict,
    "episodes": int,
    "transitions": int,
}
_OF_AUGMENTED = {
    "augmentation.symmetries": str,
    "augmentation.of": int,
    "augmentation.copies": int,
    "augmentation.seed": int,
}


def check_manifest(dataset: Sealed) -> None:
    """Check that the manifest has its entries, and that they go together.

    Raises:
        InputError: one is missing or of another type, or the agents have no spaces.
    """
    manifest, file = dataset.content, str(dataset.marker)
    dataset.expect(_ENTRIES)
    if "augmentation" in manifest:
        dataset.expect(_OF_AUGMENTED)
        if manifest["augmentation"]["copies"] < 0:
            raise InputError(f"{file!r} says that there are {manifest['augmentation']['copies']} copies.")
    if not manifest["shards"]:
        raise InputError(f"{file!r} lists no shards: there are no trajectories.")
    agents = manifest["agents"]
    if not agents or not all(isinstance(agent, str) and agent.isprintable() for agent in agents):
        raise InputError(f"{file!r} names the agents {agents}; expected a list of texts.")
    if len(set(agents)) < len(agents) or set(agents) != set(manifest["spaces"]):
        raise InputError(f"{file!r} has spaces of {list(manifest['spaces'])}; expected those of {agents}.")
    for agent, spaces in manifest["spaces"].items():
        if not isinstance(spaces, dict) or set(spaces) != {"observation", "action"}:
            raise InputError(f"{file!r} does not say what {agent} observes and does.")
    if not all(isinstance(shard.get("episodes"), int) for shard in manifest["shards"]):
        raise InputError(f"{file!r} does not say how many episodes each shard has.")


def check_values(part: "Trajectories", *, episodes: int) -> None:
    """Check that a shard holds numbers that its env can have.

    Agents that have left may observe and do anything.

    Args:
        part: the episodes of the shard.
        episodes: how many the manifest says there are.

    Raises:
        InputError: there are other numbers of episodes, other types or shapes, or values that are not finite or not in
            the spaces.
    """
    if len(part) != episodes:
        raise InputError(f"It has {len(part)} episodes; expected {episodes}.")
    for name in ("terminations", "truncations"):
        for agent, flags in getattr(part, name).items():
            _check_array(f"{name}/{agent}", flags, kinds="b", shape=())
    acting, watching = part.active, _watching(part)
    for agent in part.agents:
        rewards = part.rewards[agent]
        _check_array(f"rewards/{agent}", rewards, kinds="iuf", shape=())
        usable = np.abs(rewards) < LARGEST_REWARD
        if not usable.all():
            raise InputError(f"The array 'rewards/{agent}' holds {rewards[~usable][0]}.")
        for name, rows in (("observations", watching[agent]), ("actions", acting[agent])):
            described = part.origin.spaces[agent][name.removesuffix("s")]
            bounds, values = described_bounds(described), getattr(part, name)[agent]
            if name == "observations" and described["type"] == "Box":
                bounds = bounds.with_margin()
            _check_array(f"{name}/{agent}", values, kinds="biu" if bounds.whole else "iuf", shape=bounds.shape)
            outside = rows & ~bounds.holds(values)
            if outside.any():
                raise InputError(f"The array '{name}/{agent}' holds {values[outside][0]}, which is not in {described}.")


def _check_array(name: str, array: np.ndarray, *, kinds: str, shape: tuple[int, ...]) -> None:
    if array.dtype.kind not in kinds or array.shape[1:] != shape:
        raise InputError(f"The array {name!r} is {array.dtype}{list(array.shape[1:])}, which its space does not have.")


def _watching(part: "Trajectories") -> dict[str, np.ndarray]:
    """`[S + K]` bool by agent: it has not left before this observation."""
    before = np.arange(part.num_transitions) + np.repeat(np.arange(len(part)), part.lengths)
    watching = {}
    for agent, active in part.active.items():
        watching[agent] = np.zeros(part.num_transitions + len(part), dtype=bool)
        watching[agent][before] |= active
        watching[agent][before + 1] |= active
    return watching
