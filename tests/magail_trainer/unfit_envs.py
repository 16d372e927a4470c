"""Envs that the trainer has no use for."""

import numpy as np
from gymnasium.spaces import Box, Discrete, Space
from pettingzoo import AECEnv

from tests.magail_trainer.reach_env import ReachEnv


class _Spaces(ReachEnv):
    def __init__(self, *, observation: Space | None = None, action: Space | None = None) -> None:
        super().__init__()
        self._observation, self._action = observation, action

    def observation_space(self, agent: str) -> Space:
        return self._observation or super().observation_space(agent)

    def action_space(self, agent: str) -> Space:
        return self._action or super().action_space(agent)

    def step(self, actions: dict) -> tuple:
        return super().step({"left": 1, "right": np.zeros(1)})

    def _observe(self) -> dict:
        observations = super()._observe()
        if self._observation is None:
            return observations
        return {agent: np.zeros(self._observation.shape or (), np.uint8) for agent in observations}


def images() -> _Spaces:
    return _Spaces(observation=Box(0, 255, (4, 4, 3), np.uint8))


def many_actions() -> _Spaces:
    return _Spaces(action=Discrete(1_000_000))


class turn_based(AECEnv):
    """One agent after another."""

    metadata = {"name": "turns_v0"}  # noqa: RUF012

    def __init__(self) -> None:
        self.possible_agents = ["left", "right"]
