"""Many copies of a matrix game at once: PettingZoo's parallel API with one more axis.

E is the number of copies. Every array that goes in or comes out is `[E]`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from coordination_env.checks import check_count
from coordination_env.games import MatrixGame
from coordination_env.repeated_game import NOTHING_PLAYED, RepeatedGame

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


class MatrixGameVectorEnv:
    """`num_envs` copies of a matrix game in one numpy call per step.

    The copies start and end together, since every episode takes `horizon` steps; a step that ends them also starts the
    next episode. Returned arrays are new and belong to the caller.

    Raises ValueError if `num_envs` or `horizon` is not a positive integer.
    """

    def __init__(self, game: MatrixGame, num_envs: int, *, horizon: int = 1) -> None:
        self._rule = RepeatedGame(game, horizon=horizon)
        self.num_envs = check_count("num_envs", num_envs, least=1)
        self.game = game
        self.possible_agents = self._rule.agents
        self._steps: int | None = None

    def observation_space(self, agent: str) -> Discrete:
        """The observation space of one agent in one copy."""
        return self._rule.observation_spaces[agent]

    def action_space(self, agent: str) -> Discrete:
        """The action space of one agent in one copy."""
        return self._rule.action_spaces[agent]

    def reset(
        self, seed: int | Sequence[int] | np.ndarray | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, IntArray], dict[str, dict[str, Any]]]:
        """Start all copies afresh and return `(observations, infos)`: int64 `[E]` and an empty dict for each agent.

        The game has no randomness of its own: `seed` (an int, or E of them) and `options` are accepted and change
        nothing. Raises ValueError for a sequence of seeds of another length.
        """
        if isinstance(seed, Sequence | np.ndarray) and len(seed) != self.num_envs:
            raise ValueError(f"seed must be None, an int or {self.num_envs} ints, got {seed!r}.")
        self._steps = 0
        return self._first_observations(), {agent: {} for agent in self.possible_agents}

    def step(
        self, actions: Mapping[str, IntArray]
    ) -> tuple[
        dict[str, IntArray],
        dict[str, FloatArray],
        dict[str, BoolArray],
        dict[str, BoolArray],
        dict[str, dict[str, Any]],
    ]:
        """Play one joint action `{agent: [E]}` in every copy.

        Returns `(observations, rewards, terminations, truncations, infos)`. The observation of a copy that has just
        ended is the first of its next episode; `infos[agent]["final_obs"]`, always there, is the one that the step led
        to. Raises ValueError for bad actions and ResetNeeded before the first reset.
        """
        if self._steps is None:
            raise ResetNeeded("Call reset() before step().")
        joint = self._rule.joint_index(actions, shape=(self.num_envs,))
        finished = self._steps + 1 == self._rule.horizon
        self._steps = 0 if finished else self._steps + 1
        agents = self.possible_agents
        reached = {agent: self._rule.observation(joint) for agent in agents}
        observations = self._first_observations() if finished else {agent: reached[agent].copy() for agent in agents}
        rewards = dict(zip(agents, self._rule.rewards(joint), strict=True))
        terminations = {agent: np.full(self.num_envs, finished) for agent in agents}
        truncations = {agent: np.zeros(self.num_envs, dtype=np.bool_) for agent in agents}
        infos: dict[str, dict[str, Any]] = {agent: {"final_obs": reached[agent]} for agent in agents}
        return observations, rewards, terminations, truncations, infos

    def close(self) -> None:
        """Nothing to release."""

    def _first_observations(self) -> dict[str, IntArray]:
        return {agent: np.full(self.num_envs, NOTHING_PLAYED, dtype=np.int64) for agent in self.possible_agents}
