"""One copy of an env, with everything checked that it raises and returns."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from gymnasium.spaces import Box, Discrete, Space
from pettingzoo import ParallelEnv

from magail_trainer.envs.env_calls import EnvCall, close_env
from magail_trainer.envs.flatten_observations import refused_mask
from magail_trainer.envs.observations import Unfit, fitted, short
from magail_trainer.errors import EnvError

_RESET = ("observations", "infos")
_STEP = ("observations", "rewards", "terminations", "truncations", "infos")
Spaces = dict[str, tuple[Space, ...]]
"""The observation space and the action space of each agent, in the env's order."""


class Returned(NamedTuple):
    """What a step returned, by agent, for the agents that acted in it."""

    observations: dict[str, Any]
    """In the dtype of their spaces. An agent that is terminated may have none."""
    rewards: dict[str, float]
    terminations: dict[str, bool]
    truncations: dict[str, bool]
    masks: dict[str, np.ndarray]
    """Which actions are allowed, `[n]` bool, of the agents that stay and may not do everything."""


class EnvCopy:
    """One copy of an env that may do anything; its steps are counted from 1 in each episode.

    Args:
        env: the copy.
        name: of the env, for error messages.

    Raises:
        EnvError: here and in all methods: the env raises an error, or does not keep to PettingZoo's parallel API. The
            message names the agent, the step and the value.
    """

    def __init__(self, env: ParallelEnv, name: str) -> None:
        self._env, self._name = env, name
        self._call = EnvCall(name, lambda: self._where)
        self._begun, self._step = False, 0
        self.spaces = ask_spaces(env, name)
        """What each agent observes and plays, in the env's order."""
        self.staying: list[str] = []
        """The agents that have not left the present episode."""

    def reset(self, seed: int | None) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Start an episode: observations and action masks, by agent; see `Returned`."""
        self._begun, self._step = True, 0
        with self._call:
            returned, listed = self._env.reset(seed=seed), list(self._env.agents)
        seen, infos = self._unpacked(returned, _RESET)
        self.staying = list(self.spaces)
        self._check_listed(listed)
        return self._observations(seen), self._masks(infos)

    def step(self, actions: dict[str, Any]) -> Returned:
        """Play the actions of the agents that stay."""
        self._step += 1
        with self._call:
            returned, listed = self._env.step(actions), list(self._env.agents)
        seen, paid, terminated, truncated, infos = self._unpacked(returned, _STEP)
        rewards, terminations, truncations = {}, {}, {}
        for agent in self.staying:
            try:
                reward, termination, truncation = paid[agent], terminated[agent], truncated[agent]
            except KeyError:
                raise self._fault(
                    f"gives {agent} no reward, termination or truncation {self._where}, in which it acts; "
                    "expected all three."
                ) from None
            rewards[agent] = reward if type(reward) is float else self._number(reward, agent)
            terminations[agent] = self._flag(termination, f"termination of {agent}")
            truncations[agent] = self._flag(truncation, f"truncation of {agent}")
        observations = self._observations(seen, may_miss=terminations)
        self.staying = [agent for agent in self.staying if not (terminations[agent] or truncations[agent])]
        self._check_listed(listed)
        return Returned(observations, rewards, terminations, truncations, self._masks(infos))

    def close(self) -> None:
        """Close the env."""
        close_env(self._env, self._name, begun=self._begun)

    @property
    def _where(self) -> str:
        return f"in step {self._step}" if self._step else "in reset"

    def _fault(self, what: str) -> EnvError:
        return EnvError(f"{self._name} {what}")

    def _unpacked(self, returned: Any, names: tuple[str, ...]) -> list[Any]:
        """The dicts that a call returned; infos may be None."""
        if not isinstance(returned, tuple | list) or len(returned) != len(names):
            what = f"{len(returned)} values" if isinstance(returned, tuple | list) else f"a {type(returned).__name__}"
            raise self._fault(
                f"returns {what} {self._where}; expected ({', '.join(names)}), as in PettingZoo's parallel API."
            )
        for name, values in zip(names, returned, strict=True):
            if not (_is_dict(values) or (values is None and name == "infos")):
                raise self._fault(f"returns the {name} {short(values)} {self._where}; expected a dict, by agent.")
        return list(returned)

    def _observations(self, seen: Mapping[str, Any], may_miss: Mapping[str, bool] | None = None) -> dict[str, Any]:
        """Those of the agents that act. Who is terminated needs none: nothing follows from it."""
        observations = {}
        for agent in self.staying:
            observation = seen.get(agent)
            if observation is None and may_miss is not None and may_miss[agent]:
                continue
            if agent not in seen:
                raise self._fault(f"gives {agent} no observation {self._where}; expected one.")
            fits = fitted(observation, self.spaces[agent][0])
            if isinstance(fits, Unfit):
                fits = observation if isinstance(observation, Unfit) else fits  # of what was to become an array
                raise self._fault(f"gives {agent} {fits.in_words(self._where)}.")
            observations[agent] = fits
        return observations

    def _number(self, reward: Any, agent: str) -> float:
        array = _small_array(reward)
        if array is None or array.size != 1:
            raise self._fault(f"gives {agent} the reward {short(reward)} {self._where}; expected a number.")
        return float(array.item())

    def _flag(self, flag: Any, what: str) -> bool:
        if flag is True or flag is False:
            return flag
        array = _small_array(flag)
        if array is None or array.size != 1 or array.item() not in (0, 1):
            raise self._fault(f"gives the {what} as {short(flag)} {self._where}; expected True or False.")
        return bool(array.item())

    def _check_listed(self, listed: list[Any]) -> None:
        """The env's `agents` must be the ones that have not left."""
        staying = self.staying
        if listed == staying or (len(listed) == len(staying) and all(agent in staying for agent in listed)):
            return
        if not staying:
            raise self._fault(
                f"leaves {listed} in its agents at the end of an episode ({self._where}); expected none once every "
                "agent is terminated or truncated."
            )
        if not listed and self._step:
            raise self._fault(
                f"ends an episode {self._where} without a termination or truncation of {staying[0]}; "
                "expected one for every agent."
            )
        for agent in staying:
            if agent not in listed and self._step:
                raise self._fault(
                    f"does not list {agent} among its agents {self._where}, which was neither terminated nor "
                    "truncated; expected agents that leave to be."
                )
            if agent not in listed:
                raise self._fault(
                    f"does not list {agent} among its agents when an episode starts; expected agents that are there "
                    "from the start."
                )
        late = next(agent for agent in listed if agent not in staying)
        if late in self.spaces:
            raise self._fault(
                f"lists {late} among its agents {self._where}, after it has left; expected agents not to come back."
            )
        raise self._fault(f"lists {late!r} among its agents {self._where}; expected {list(self.spaces)}.")

    def _masks(self, infos: Mapping[str, Any] | None) -> dict[str, np.ndarray]:
        masks = {}
        for agent in self.staying:
            info = None if infos is None else infos.get(agent)
            if info is None:
                continue
            if not _is_dict(info):
                raise self._fault(f"gives {agent} the info {short(info)} {self._where}; expected a dict.")
            mask = info.get("action_mask")
            if mask is not None:
                masks[agent] = self._mask(mask, agent)
        return masks

    def _mask(self, mask: Any, agent: str) -> np.ndarray:
        space = self.spaces[agent][1]
        if not isinstance(space, Discrete):
            raise refused_mask(agent, space)
        array, shape = _small_array(mask), (int(space.n),)
        if array is None:
            raise self._fault(f"gives {agent} the action mask {short(mask)} {self._where}; expected zeros and ones.")
        if array.shape != shape:
            raise self._fault(f"gives {agent} an action mask of shape {array.shape} {self._where}; expected {shape}.")
        return array != 0


def ask_spaces(env: Any, name: str) -> Spaces:
    """What each agent observes and plays. An env that knows only when an episode has begun is reset, and asked again.

    Args:
        env: a PettingZoo `ParallelEnv`. If it has no `possible_agents` even then, it is given those of its `agents`.
        name: of the env, for error messages.

    Raises:
        EnvError: it raises an error, has no agents, names them by anything but text, or has no Gymnasium spaces.
    """
    try:
        return _asked(env, name)
    except EnvError as first:
        try:
            with EnvCall(name, "in reset"):
                env.reset()
                if getattr(env, "possible_agents", None) is None:
                    env.possible_agents = list(env.agents)
        except EnvError:
            raise first from first.__cause__
        return _asked(env, name)


def _asked(env: Any, name: str) -> Spaces:
    with EnvCall(name, "asked for its possible_agents"):
        agents = list(env.possible_agents)
    if not agents:
        raise EnvError(f"{name} has no possible_agents; expected at least one.")
    for agent in agents:
        if not isinstance(agent, str):
            raise EnvError(f"{name} calls an agent {short(agent)}; expected text for a name.")
        if not agent.isprintable():
            raise EnvError(f"{name} calls an agent {agent!r}; expected a name that can be printed.")
    if len(set(agents)) < len(agents):
        raise EnvError(f"{name} has the possible_agents {short(agents)}; expected each name once.")
    which = ("observation_space", "action_space")
    return {agent: tuple(_space(env, one, agent, name) for one in which) for agent in agents}


def _space(env: Any, which: str, agent: str, name: str) -> Space:
    with EnvCall(name, f"in {which}"):
        space, again = (getattr(env, which)(agent) for _ in range(2))
    what = which.replace("_", " ")
    if not isinstance(space, Space):
        found = f"{short(space)}, a {type(space).__module__}.{type(space).__name__}"
        raise EnvError(f"{name} has the {what} {found}, for {agent}; expected a space of gymnasium.")
    if not same_space(space, again):
        raise EnvError(f"{name} has the {what} {space} for {agent}, and {again} when asked again; expected the same.")
    return space


def same_space(one: Space, other: Any) -> bool:
    """Whether two spaces are the same, to the last digit; quick, since every copy of an env is asked."""
    if one is other:
        return True
    if isinstance(one, Box) and isinstance(other, Box):
        return (
            (one.shape, one.dtype) == (other.shape, other.dtype)
            and np.array_equal(one.low, other.low)
            and np.array_equal(one.high, other.high)
        )
    return bool(one == other)


def _is_dict(value: Any) -> bool:
    return type(value) is dict or isinstance(value, Mapping)


def _small_array(value: Any) -> np.ndarray | None:
    """The array of numbers that a value is, or None."""
    try:
        array = np.asarray(value)
    except Exception:  # lists of several lengths, tensors that are not on the CPU
        return None
    return array if array.dtype.kind in "biuf" else None
