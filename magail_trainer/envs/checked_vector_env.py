"""A vector env whose numbers are checked: all that is recorded and learnt from comes through here."""

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Space

from magail_trainer.envs.env_calls import EnvCall, say_on_stderr
from magail_trainer.envs.observations import PLAIN, finite_bounds, short
from magail_trainer.envs.spaces import LARGEST_REWARD, margin, rounding
from magail_trainer.envs.vector_env import Seeds, StepResult, VectorEnv, episode_over
from magail_trainer.errors import EnvError


class CheckedVectorEnv:
    """Passes on what a vector env returns if its observations are in their spaces and its rewards are finite.

    A number that is not finite is refused, and one that is not of a finite space. So is one that is further outside a
    Box than the Box is wide; of one that is closer, which many published envs have, a sentence is said for each agent.

    Args:
        vector_env: E copies.
        name: of the env, for error messages.
        said: the agents of whom the sentence was said before.
        say: takes the sentence.

    Raises:
        EnvError: here and in all methods: the env raises an error, or a number is refused; the message names the agent,
            the step and the value.
    """

    def __init__(
        self,
        vector_env: VectorEnv,
        name: str = "The env",
        *,
        said: set[str] | None = None,
        say: Callable[[str], None] = say_on_stderr,
    ) -> None:
        self.vector_env = vector_env
        self.num_envs, self.possible_agents = vector_env.num_envs, vector_env.possible_agents
        self._name, self._say = name, say
        self._said = set[str]() if said is None else said
        self._bounds = {agent: _bounds(vector_env.observation_space(agent)) for agent in self.possible_agents}
        self._lengths = np.zeros(self.num_envs, dtype=np.int64)

    def observation_space(self, agent: str) -> Space:
        """The space of one copy."""
        return self.vector_env.observation_space(agent)

    def action_space(self, agent: str) -> Space:
        """The space of one copy."""
        return self.vector_env.action_space(agent)

    def reset(self, seed: Seeds = None) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """See `VectorEnv.reset`."""
        with EnvCall(self._name, "in reset"):
            observations, infos = self.vector_env.reset(seed=seed)
        self._lengths[:] = 0
        self._check_observations(observations, self._lengths)
        return observations, infos

    def step(self, actions: dict[str, Any]) -> StepResult:
        """See `VectorEnv.step`."""
        self._lengths += 1
        with EnvCall(self._name, lambda: f"in step {self._lengths.min()}"):
            result = self.vector_env.step(actions)
        observations, rewards, terminations, truncations, infos = result
        self._check_rewards(rewards)
        over = episode_over(terminations, truncations)
        if over.any():
            final = {agent: infos[agent]["final_obs"] for agent in self.possible_agents}
            self._check_observations(final, self._lengths)
            self._lengths[over] = 0
        self._check_observations(observations, self._lengths)
        return result

    def close(self) -> None:
        """See `VectorEnv.close`."""
        with EnvCall(self._name, "in close"):
            self.vector_env.close()

    def _check_rewards(self, rewards: dict[str, np.ndarray]) -> None:
        for agent in self.possible_agents:
            usable = np.abs(rewards[agent]) < LARGEST_REWARD
            if not usable.all():
                copy = int(np.argmin(usable))
                raise EnvError(
                    f"{self._name} gives {agent} the reward {rewards[agent][copy]} in step {self._lengths[copy]}; "
                    f"expected a finite number of size below {LARGEST_REWARD:g}."
                )

    def _check_observations(self, observations: dict[str, Any], lengths: np.ndarray) -> None:
        """Look at `[E, ...]` of each agent, after so many steps, `[E]`."""
        for agent, bounds in self._bounds.items():
            if bounds is None:
                continue
            values, shape = observations[agent], (self.num_envs, *bounds.shape)
            if not (isinstance(values, np.ndarray) and values.shape == shape and values.dtype.kind in "biuf"):
                raise EnvError(f"{self._name} gives {agent} {short(values)}; expected numbers of shape {shape}.")
            if not bounds.hold(values):
                self._refuse(agent, values, bounds, lengths)

    def _refuse(self, agent: str, values: np.ndarray, bounds: "_Bounds", lengths: np.ndarray) -> None:
        """Refuse values that are far outside; say once that others are outside."""
        if not _inside(values, bounds.wide).all():
            raise EnvError(f"{self._fault(agent, values, bounds.wide, lengths)}.")
        if agent not in self._said:
            self._said.add(agent)
            fault = self._fault(agent, values, bounds.exact, lengths)
            self._say(f"{fault}; it is taken as it is, but better declare a space that holds all observations.")
        bounds.exact = bounds.wide

    def _fault(self, agent: str, values: np.ndarray, limits: tuple[Any, Any], lengths: np.ndarray) -> str:
        copy, *index = np.argwhere(~_inside(values, limits))[0].tolist()
        value, where = values[copy][tuple(index)], "in reset" if lengths[copy] == 0 else f"in step {lengths[copy]}"
        what = f"an observation with {value} at {index}" if index else f"the observation {short(value.item())}"
        return f"{self._name} gives {agent} {what} {where}, which is outside {self.observation_space(agent)}"


class _Bounds:
    """The least and greatest numbers of an agent's observations: those of its space, and those that are not refused.

    They are numbers, or arrays of the observation's `shape`.
    """

    def __init__(self, space: Space, exact: tuple[Any, Any], wide: tuple[Any, Any]) -> None:
        self.shape, self.exact, self.wide = space.shape or (), exact, wide

    def hold(self, values: np.ndarray) -> bool:
        """Whether all values `[E, ...]` are within, NaN not."""
        low, high = self.exact
        if not values.size:
            return True
        if np.ndim(low) or np.ndim(high):
            return bool(_inside(values, self.exact).all())
        return bool(values.min() >= low and values.max() <= high)


def _inside(values: np.ndarray, limits: tuple[Any, Any]) -> np.ndarray:
    return (values >= limits[0]) & (values <= limits[1])


def _bounds(space: Space) -> _Bounds | None:
    """Those of a plain space; None if there is nothing to look at."""
    if not isinstance(space, PLAIN):
        return None
    if not isinstance(space, Box):
        limits = finite_bounds(space)
        return _Bounds(space, limits, limits)
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    most = float(np.finfo(space.dtype).max) if space.dtype.kind == "f" else np.inf
    exact, wide = (
        (_uniform((low - more).clip(-most)), _uniform((high + more).clip(None, most)))
        for more in (rounding(low, high), margin(low, high))
    )
    return _Bounds(space, exact, wide)


def _uniform(values: np.ndarray | np.floating) -> Any:
    """One number if all are equal, else the array."""
    numbers = np.unique(values)
    return numbers[0] if len(numbers) == 1 else values
