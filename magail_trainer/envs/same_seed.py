"""Whether an env's episodes follow from the seed that its reset is given."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import numpy as np
from gymnasium.vector.utils import concatenate, create_empty_array

from magail_trainer.envs.env_calls import closed_after
from magail_trainer.envs.registry import EnvEntry
from magail_trainer.envs.vector_env import VectorEnv, episode_over
from magail_trainer.errors import EnvError


def plays_alike(entry: EnvEntry, *, seed: int = 0, steps: int = 100) -> bool:
    """Whether the same seed gives the same episode, in a fresh copy and in the same copy once more.

    Two copies are played side by side with the same seed and the same random actions, and then both again. So an env
    whose copies share a random state is found as well.

    Args:
        entry: the env; its native vector env, if there is one, is not looked at.
        seed: of the episode.
        steps: how many to play at most.

    Raises:
        EnvError: the env cannot be made, raises an error, or does not keep to PettingZoo's rules.
    """
    try:
        copies = _make(entry, 2)
    except EnvError:  # an env that can exist only once, or not at all
        copies = _make(entry, 1)
    with closed_after(copies):
        shown = [list(_episode(copies, seed, steps)) for _ in range(2)]
    return _same(*shown) and all(_copies_agree(moment) for moment in shown[0])


def _make(entry: EnvEntry, number: int) -> VectorEnv:
    return entry.make_copies(number, say=lambda _: None)  # it is said to whoever plays the env for its own sake


def _episode(copies: VectorEnv, seed: int, steps: int) -> Iterator[Any]:
    """What E copies show in their first episode, arrays `[E, ...]`, from the same seed and actions."""
    number = copies.num_envs
    spaces = {agent: deepcopy(copies.action_space(agent)) for agent in copies.possible_agents}
    for index, space in enumerate(spaces.values()):
        space.seed(seed + index)
    observations, infos = copies.reset(seed=[seed] * number)
    yield observations
    for _ in range(steps):
        masks = {agent: info["action_mask"] for agent, info in infos.items() if "action_mask" in info}
        yield masks
        actions = {}
        for agent, space in spaces.items():
            action = space.sample(masks[agent][0]) if agent in masks else space.sample()
            actions[agent] = concatenate(space, [action] * number, create_empty_array(space, number))
        _, rewards, terminations, truncations, infos = copies.step(actions)
        yield {agent: info["final_obs"] for agent, info in infos.items()}, rewards, terminations, truncations
        if episode_over(terminations, truncations).any():
            return  # the next one has begun, from no seed


def _copies_agree(shown: Any) -> bool:
    """Whether the first and the last row of all arrays are the same."""
    parts = shown.values() if isinstance(shown, dict) else shown
    if isinstance(shown, dict | tuple):
        return all(_copies_agree(part) for part in parts)
    return _same(shown[0], shown[-1])


def _same(one: Any, other: Any) -> bool:
    """Whether two arrays, or dicts, tuples or lists of them, are equal."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(_same(part, others) for part, others in zip(one, other, strict=True))
    return np.array_equal(one, other, equal_nan=np.asarray(one).dtype.kind == "f")
