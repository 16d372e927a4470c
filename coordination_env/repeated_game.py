"""The rule of the game, written once: `MatrixGameEnv` plays one copy by it, `MatrixGameVectorEnv` many."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from gymnasium.spaces import Discrete

from coordination_env.checks import check_count
from coordination_env.games import MatrixGame

NOTHING_PLAYED = 0
"""The observation at the start of an episode."""


class RepeatedGame:
    """A matrix game played `horizon` times in a row by `agent_0`, `agent_1`, ...

    A joint action is handled as its row-major index into the payoff table: a scalar for one copy of the game, an array
    `[E]` for E copies. Every method takes either, which is why their joint actions are typed `Any`.

    Observations are `Discrete`, so that a table of the policy needs no guess. A one-step game has a single state; in a
    longer one, 0 says that nothing has been played yet and 1 + j that the last joint action was j. (A `Box` of k
    constants would silence a cosmetic PettingZoo warning, but multiply the learning rate of a linear layer by k.)

    Raises ValueError if `horizon` is not a positive integer.
    """

    def __init__(self, game: MatrixGame, *, horizon: int = 1) -> None:
        self.game = game
        self.horizon = check_count("horizon", horizon, least=1)
        self.num_joint_actions = prod(game.num_actions)
        self.agents = [f"agent_{i}" for i in range(game.num_agents)]
        num_observations = 1 if self.horizon == 1 else 1 + self.num_joint_actions
        self.observation_spaces = {agent: Discrete(num_observations) for agent in self.agents}
        self.action_spaces = {
            agent: Discrete(count) for agent, count in zip(self.agents, game.num_actions, strict=True)
        }
        self._payoffs = game.payoffs.reshape(game.num_agents, -1)

    def joint_index(self, actions: Mapping[str, Any], *, shape: tuple[int, ...]) -> Any:
        """The joint action of each copy, int64 of `shape`: `()` for one copy, `(E,)` for E.

        Raises ValueError unless `actions` has exactly the game's agents, each with integers of that shape in range.
        """
        try:
            columns = tuple([actions[agent] for agent in self.agents])
            joint = np.ravel_multi_index(columns, self.game.num_actions)  # checks the ranges as it goes
        except (KeyError, TypeError, ValueError):
            raise ValueError(self._what_is_wrong(actions, shape)) from None
        # numpy would broadcast one agent's lone action over all copies, and nobody would notice.
        broadcast = joint.shape != shape or (shape and any(np.shape(column) != shape for column in columns))
        if broadcast or len(actions) != len(self.agents):
            raise ValueError(self._what_is_wrong(actions, shape))
        return joint

    def rewards(self, joint: Any) -> np.ndarray:
        """What each agent earns: `[N]` for one copy, `[N, E]` for E."""
        return self._payoffs.take(joint, axis=1)

    def observation(self, joint: Any) -> Any:
        """What every agent sees after `joint`, in a new array of the same shape."""
        return 1 + joint if self.horizon > 1 else NOTHING_PLAYED * joint

    def _what_is_wrong(self, actions: Mapping[str, Any], shape: tuple[int, ...]) -> str:
        """The sentence for refused actions. Slow and thorough, for it runs once."""
        if set(actions) != set(self.agents):
            return f"step needs one action for each of {self.agents}, got actions for {list(actions)}."
        wanted = f"an integer array of shape {list(shape)}" if shape else "one integer"
        for agent, count in zip(self.agents, self.game.num_actions, strict=True):
            action = np.asarray(actions[agent])
            if action.shape != shape or action.dtype.kind not in "iu":
                got = f"{action.dtype} of shape {list(action.shape)}" if shape else repr(actions[agent])
                return f"The action of {agent} must be {wanted} from 0 to {count - 1}, got {got}."
            outside = np.flatnonzero((action < 0) | (action >= count))
            if outside.size:
                where = f" in copy {outside[0]}" if shape else ""
                got = action.flat[outside[0]]
                return f"The action of {agent} must be {wanted} from 0 to {count - 1}, got {got}{where}."
        return f"The actions {dict(actions)} could not be read as integers."
