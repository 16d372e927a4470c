"""A conformance test for vector envs: your own against copies of the single env."""

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium.spaces import Space
from gymnasium.vector.utils import batch_space
from pettingzoo import ParallelEnv

from magail_trainer.envs.vector_env import ParallelEnvCopies, VectorEnv, draw_allowed


def check_vector_env(
    vector_env: VectorEnv, make_env: Callable[[], ParallelEnv], *, steps: int = 50, seed: int = 0
) -> None:
    """Check that a vector env does what copies of the single env do, for the same seeds and random actions.

    Raises:
        AssertionError: it does not; the message says where.
    """
    copies = ParallelEnvCopies(make_env, vector_env.num_envs)
    agents = copies.possible_agents
    assert list(vector_env.possible_agents) == agents, f"agents {vector_env.possible_agents}, expected {agents}"
    action_spaces = {}
    for index, agent in enumerate(agents):
        assert vector_env.observation_space(agent) == copies.observation_space(agent), f"observation space of {agent}"
        assert vector_env.action_space(agent) == copies.action_space(agent), f"action space of {agent}"
        action_spaces[agent] = batch_space(copies.action_space(agent), copies.num_envs)
        action_spaces[agent].seed(seed + index)
    observations, infos = copies.reset(seed=seed)
    their_observations, their_infos = vector_env.reset(seed=seed)
    _assert_same(their_observations, observations, "observations after reset")
    _assert_same(their_infos, infos, "infos after reset")
    names = ("observations", "rewards", "terminations", "truncations", "infos")
    rng = np.random.default_rng(seed)
    for step in range(steps):
        actions = _draw(copies, action_spaces, infos, rng)
        results = copies.step(actions)
        infos = results[4]
        for name, ours, theirs in zip(names, vector_env.step(actions), results, strict=True):
            _assert_same(ours, theirs, f"{name} after step {step}")
    copies.close()


def _assert_same(ours: Any, theirs: Any, where: str) -> None:
    if isinstance(theirs, dict):
        for key, value in theirs.items():
            assert key in ours, f"{where}: {key} is missing"
            _assert_same(ours[key], value, f"{where}, {key}")
    elif isinstance(theirs, tuple):
        for index, value in enumerate(theirs):
            _assert_same(ours[index], value, f"{where}, {index}")
    else:
        assert np.shape(ours) == np.shape(theirs), f"{where}: shape {np.shape(ours)}, expected {np.shape(theirs)}"
        assert np.array_equal(ours, theirs), f"{where}: {ours}, expected {theirs}"


def _draw(
    env: VectorEnv, spaces: dict[str, Space], infos: dict[str, dict[str, Any]], rng: np.random.Generator
) -> dict[str, Any]:
    """Random actions `[E, ...]` by agent; allowed ones where there are masks: an env may break down at others."""
    actions = {agent: space.sample() for agent, space in spaces.items()}
    for agent, info in infos.items():
        if "action_mask" in info:
            actions[agent] = draw_allowed(info["action_mask"], env.action_space(agent), rng)
    return actions
