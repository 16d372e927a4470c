"""Episodes cut off after a number of steps, for envs that do not end by themselves."""

from collections.abc import Mapping
from typing import Any

from pettingzoo import ParallelEnv
from pettingzoo.utils import BaseParallelWrapper

_VALUES = 5
"""That a step returns."""


class TimeLimit(BaseParallelWrapper):
    """Truncates every agent that is still in the episode at step `max_episode_steps`.

    Args:
        env: the env.
        max_episode_steps: steps of the longest episode, at least 1.
    """

    def __init__(self, env: ParallelEnv, max_episode_steps: int) -> None:
        super().__init__(env)
        self._limit, self._steps, self._cut = max_episode_steps, 0, frozenset[str]()

    @property
    def agents(self) -> list[str]:  # type: ignore[override]  # a list that the wrapped env keeps
        """Those that the env lists, without those cut off here."""
        return [agent for agent in self.env.agents if agent not in self._cut]

    def reset(self, seed: int | None = None, options: dict | None = None) -> tuple[dict[str, Any], dict[str, dict]]:
        """Start an episode."""
        self._steps, self._cut = 0, frozenset()
        return self.env.reset(seed=seed, **({} if options is None else {"options": options}))  # many envs take none

    def step(self, actions: dict[str, Any]) -> tuple[dict[str, Any], dict, dict, dict, dict[str, dict]]:
        """Step the env; the last step of the limit truncates whoever plays on."""
        returned = self.env.step(actions)
        self._steps += 1
        if self._steps < self._limit or len(returned) != _VALUES:
            return returned  # whatever it is; see `EnvCopy`
        observations, rewards, terminations, truncations, infos = returned
        if isinstance(terminations, Mapping) and isinstance(truncations, Mapping):
            self._cut = frozenset(
                agent for agent in self.env.agents if not (terminations.get(agent) or truncations.get(agent))
            )
            truncations = {**truncations, **dict.fromkeys(self._cut, True)}
        return observations, rewards, terminations, truncations, infos
