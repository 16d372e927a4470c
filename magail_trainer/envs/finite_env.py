"""A vector env that raises at once when an observation or a reward is not finite."""

from typing import Any

import numpy as np
from gymnasium.spaces import Space

from magail_trainer.envs.vector_env import Seeds, StepResult, VectorEnv
from magail_trainer.errors import InputError


class FiniteVectorEnv:
    """Checks a vector env's numbers: a NaN would spread from one observation to every parameter of its run.

    Raises:
        InputError: an observation or a reward is NaN or infinite; the message names the agent.
    """

    def __init__(self, vector_env: VectorEnv) -> None:
        self._env = vector_env
        self.num_envs, self.possible_agents = vector_env.num_envs, vector_env.possible_agents

    def observation_space(self, agent: str) -> Space:
        """The space of one copy."""
        return self._env.observation_space(agent)

    def action_space(self, agent: str) -> Space:
        """The space of one copy."""
        return self._env.action_space(agent)

    def reset(self, seed: Seeds = None) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """See `VectorEnv.reset`."""
        observations, infos = self._env.reset(seed=seed)
        self._check(observations, "an observation")
        return observations, infos

    def step(self, actions: dict[str, Any]) -> StepResult:
        """See `VectorEnv.step`."""
        result = self._env.step(actions)
        self._check(result[0], "an observation")
        self._check(result[1], "a reward")
        final = {agent: result[4][agent]["final_obs"] for agent in self.possible_agents}
        if any(final[agent] is not result[0][agent] for agent in final):
            self._check(final, "an observation")
        return result

    def close(self) -> None:
        """See `VectorEnv.close`."""
        self._env.close()

    def _check(self, values: dict[str, Any], what: str) -> None:
        for agent in self.possible_agents:
            check_finite(values[agent], f"The env gives {agent} {what}")


def check_finite(values: Any, beginning: str) -> None:
    """Refuse numbers that are not finite; anything but an array of floats passes.

    Args:
        values: an array of any shape.
        beginning: of the error message.

    Raises:
        InputError: a value is NaN or infinite.
    """
    if not isinstance(values, np.ndarray) or values.dtype.kind != "f":
        return
    finite = np.isfinite(values)
    if not finite.all():
        raise InputError(f"{beginning} that is not finite ({values[~finite].flat[0]}); expected numbers.")
