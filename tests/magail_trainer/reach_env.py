"""An env for perceptrons, copied by tests to a module that the package has never heard of; and its expert."""

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete, Space
from pettingzoo import ParallelEnv

Step = tuple[dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict]]


class ReachEnv(ParallelEnv):
    """Two agents step towards a goal on a line, four times; each is paid minus its distance.

    They observe (the way to the goal, the step). `left` goes half a unit down, nowhere or up; `right` as far as it
    likes, up to half a unit.
    """

    metadata = {"name": "reach_v0"}  # noqa: RUF012

    def __init__(self, *, steps: int = 4) -> None:
        self.possible_agents = ["left", "right"]
        self.agents: list[str] = []
        self._rng, self._steps = np.random.default_rng(), steps
        self._box, self._actions = Box(-5, 5, (2,), np.float32), {"left": Discrete(3), "right": Box(-1, 1, (1,))}

    def observation_space(self, agent: str) -> Space:
        return self._box

    def action_space(self, agent: str) -> Space:
        return self._actions[agent]

    def reset(self, seed: int | None = None, options: dict | None = None) -> tuple[dict[str, Any], dict[str, dict]]:
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self.agents, self._step, goal = self.possible_agents[:], 0, float(self._rng.uniform(-1, 1))
        self._way = dict.fromkeys(self.agents, goal)
        return self._observe(), {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, Any]) -> Step:
        agents, self._step = self.agents, self._step + 1
        self._way["left"] -= 0.5 * (int(actions["left"]) - 1)
        self._way["right"] -= 0.5 * float(actions["right"][0])
        ended = self._step == self._steps
        self.agents = [] if ended else agents
        rewards = {agent: -abs(way) for agent, way in self._way.items()}
        alive, flags = dict.fromkeys(agents, False), dict.fromkeys(agents, ended)
        return self._observe(), rewards, alive, flags, {agent: {} for agent in agents}

    def _observe(self) -> dict[str, Any]:
        return {agent: np.array([way, self._step], np.float32) for agent, way in self._way.items()}


class Reachers:
    """Both go to the goal and stay."""

    name = "reachers"

    def __init__(self, env: ParallelEnv) -> None:
        self.parameters: dict[str, Any] = {}

    def begin(self, num_episodes: int, rng: np.random.Generator) -> None:
        """Nothing is left to chance."""

    def act(self, observations: dict[str, Any], *, episode: np.ndarray, step: np.ndarray) -> dict[str, Any]:
        way = observations["left"][:, 0]
        right = np.clip(2 * observations["right"][:, :1], -1, 1).astype(np.float32)
        return {"left": 1 + (way > 0.25).astype(int) - (way < -0.25), "right": right}
