"""Flatten Dict and Tuple observations to plain arrays, and move action masks to the infos."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.spaces import Dict, Discrete, Space, Tuple
from gymnasium.spaces.utils import flatten, flatten_space
from pettingzoo import ParallelEnv
from pettingzoo.utils import BaseParallelWrapper

from magail_trainer.envs.observations import PLAIN, Unfit, fitted
from magail_trainer.envs.spaces import find_image
from magail_trainer.errors import EnvError

MASK = "action_mask"


class PlainEnv(BaseParallelWrapper):
    """A `ParallelEnv` with plain observations, and with action masks in `infos[agent]["action_mask"]`.

    - Dict and Tuple observations, nested in any way, of Box, Discrete, MultiDiscrete and MultiBinary become one flat
      Box: the parts in Gymnasium's order, a Discrete as one-hot (`gymnasium.spaces.utils.flatten`).
    - PettingZoo's convention for action masks, `Dict(observation=..., action_mask=...)`, becomes the observation alone.
      The mask, int8 `[n]`, moves to the infos.
    - Other observations, and all actions, stay as they are.
    """

    def __init__(self, env: ParallelEnv) -> None:
        super().__init__(env)
        self._plain = {
            agent: _PlainSpace(env.observation_space(agent), env.action_space(agent)) for agent in env.possible_agents
        }
        # PettingZoo wants the same objects at every call.
        self._action_spaces = {agent: env.action_space(agent) for agent in env.possible_agents}

    def observation_space(self, agent: str) -> Space:
        """The space of the plain observations."""
        return self._plain[agent].space

    def action_space(self, agent: str) -> Space:
        """The action space of the env itself."""
        return self._action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict | None = None) -> tuple[dict[str, Any], dict[str, dict]]:
        """Start an episode: plain observations and infos, by agent."""
        options_given = {} if options is None else {"options": options}  # many envs take none
        return self._convert(self.env.reset(seed=seed, **options_given))

    def step(self, actions: dict[str, Any]) -> tuple[dict[str, Any], dict, dict, dict, dict[str, dict]]:
        """Step the env: plain observations, rewards, terminations, truncations and infos, by agent."""
        return self._convert(self.env.step(actions))

    def _convert(self, returned: Any) -> Any:
        """What a call returned, with its first and last part made plain. Whatever is not as it should be, is left."""
        if not isinstance(returned, tuple) or len(returned) < 2:
            return returned
        observations, *rest, infos = returned
        if not isinstance(observations, Mapping) or not isinstance(infos, Mapping | None):
            return returned
        plain, more = dict(observations), dict(infos or {})
        for agent, observation in observations.items():
            if agent in self._plain:
                plain[agent], mask = self._plain[agent].convert(observation)
                if mask is not None and isinstance(info := more.get(agent, {}), Mapping | None):
                    more[agent] = {**(info or {}), MASK: mask}
        return plain, *rest, more


def plain(env: ParallelEnv) -> ParallelEnv:
    """The env itself if its observations are plain, else a `PlainEnv` around it.

    Raises:
        EnvError: an agent observes a mask of actions that are not Discrete.
    """
    for agent in env.possible_agents:
        space, actions = env.observation_space(agent), env.action_space(agent)
        if isinstance(space, Dict) and MASK in space.spaces and not isinstance(actions, Discrete):
            raise refused_mask(agent, actions)
    changes = any(
        _PlainSpace(env.observation_space(agent), env.action_space(agent)).changes for agent in env.possible_agents
    )
    return PlainEnv(env) if changes else env


class _PlainSpace:
    """The conversion of one agent's observations."""

    def __init__(self, space: Space, action_space: Space) -> None:
        self._whole = space
        self._masked = _is_masked(space, action_space)
        self._seen: Space = space
        self._alone = False
        if self._masked:
            assert isinstance(space, Dict)
            rest = {key: part for key, part in space.spaces.items() if key != MASK}
            self._alone = set(rest) == {"observation"}
            self._seen = rest["observation"] if self._alone else Dict(rest)
        self._flattened = isinstance(self._seen, Dict | Tuple) and _is_flat_able(self._seen)
        self.space = flatten_space(self._seen) if self._flattened else self._seen
        self.changes = self._masked or self._flattened

    def convert(self, observation: Any) -> tuple[Any, np.ndarray | None]:
        """The plain observation, or an `Unfit`, and the mask, if there is one."""
        mask = None
        if self.changes:
            observation = fitted(observation, self._whole)
            if isinstance(observation, Unfit):
                return observation, None
        if self._masked:
            mask = observation[MASK].astype(np.int8)
            rest = {key: part for key, part in observation.items() if key != MASK}
            observation = rest["observation"] if self._alone else rest
        return flatten(self._seen, observation) if self._flattened else observation, mask


def refused_mask(agent: str, actions: Space) -> EnvError:
    """The error for a mask of actions that are not Discrete."""
    return EnvError(f"{agent} has an action mask for {actions}; masks are supported for Discrete actions alone.")


def _is_masked(space: Space, action_space: Space) -> bool:
    if not isinstance(space, Dict) or not isinstance(action_space, Discrete) or MASK not in space.spaces:
        return False
    return len(space.spaces) > 1 and space.spaces[MASK].shape == (int(action_space.n),)


def _is_flat_able(space: Space) -> bool:
    if isinstance(space, Dict):
        return all(_is_flat_able(part) for part in space.spaces.values())
    if isinstance(space, Tuple):
        return all(_is_flat_able(part) for part in space.spaces)
    return isinstance(space, PLAIN) and find_image(space) is None  # images are refused wherever they are
