"""Values of finite spaces as row numbers of a table."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Int
from torch import Tensor

from magail_trainer.env_ids import EnvEntry
from magail_trainer.errors import InputError


class FiniteSpace:
    """Numbers the values of a finite space from 0 to size - 1.

    Args:
        space: Discrete, MultiDiscrete, MultiBinary, or a Box whose bounds leave one value (a constant).
        where: what to call the space in messages, `observation space of agent_0` for example.

    Raises:
        InputError: the space is not finite.
    """

    def __init__(self, space: spaces.Space, where: str) -> None:
        match space:
            case spaces.Discrete():
                self._sizes, self._start = np.array([space.n]), np.array([space.start])
            case spaces.MultiDiscrete():
                self._sizes, self._start = space.nvec.ravel(), space.start.ravel()
            case spaces.MultiBinary():
                self._sizes = np.full(space.shape, 2).ravel()
                self._start = np.zeros_like(self._sizes)
            case spaces.Box() if np.array_equal(space.low, space.high):
                self._sizes, self._start = np.ones(space.low.size, dtype=np.int64), space.low.ravel()
            case _:
                raise InputError(f"The {where} is {space}; a table needs a finite one, such as Discrete.")
        self._shape = space.shape or ()
        self._constant = bool((self._sizes == 1).all())
        self.size = math.prod(int(size) for size in self._sizes)

    def encode(self, values: np.ndarray) -> Int[np.ndarray, "*batch"]:
        """Number the values `[*batch, *space.shape]`."""
        values = np.asarray(values)
        batch = values.shape[: values.ndim - len(self._shape)]
        if self._constant:
            return np.zeros(batch, dtype=np.int64)
        if self._shape == ():
            return np.asarray(values - self._start.item(), dtype=np.int64)
        digits = values.reshape(*batch, -1) - self._start
        return np.asarray(np.ravel_multi_index(tuple(np.moveaxis(digits, -1, 0)), tuple(self._sizes)), dtype=np.int64)

    def decode(self, rows: Int[np.ndarray, "*batch"]) -> np.ndarray:
        """The values `[*batch, *space.shape]` behind the numbers; the inverse of `encode`."""
        if self._shape == ():
            return np.asarray(rows + self._start.item())
        digits = np.stack(np.unravel_index(rows, tuple(self._sizes)), axis=-1)
        return (digits + self._start).reshape(*rows.shape, *self._shape)


@dataclass(frozen=True)
class Codes:
    """How the values of an env's spaces are numbered, by agent."""

    observations: dict[str, FiniteSpace]
    actions: dict[str, FiniteSpace]

    @classmethod
    def of(cls, entry: EnvEntry) -> "Codes":
        """Number the spaces of every agent.

        Raises:
            InputError: a space is not finite; the message names the agent and the space.
        """
        env = entry.make()
        agents = env.possible_agents
        codes = cls(
            {agent: FiniteSpace(env.observation_space(agent), f"observation space of {agent}") for agent in agents},
            {agent: FiniteSpace(env.action_space(agent), f"action space of {agent}") for agent in agents},
        )
        env.close()
        return codes


def joint_row(rows: Sequence[Int[Tensor, "*batch"]], sizes: Sequence[int]) -> Int[Tensor, "*batch"]:
    """The row-major number of a tuple of numbers: one row for each joint value, as in `np.ravel_multi_index`.

    A linear map of concatenated one-hots would be additive in its parts and could not see a correlation between them.
    """
    joint = None
    for row, size in zip(rows, sizes, strict=True):
        if size > 1:  # a constant adds nothing
            joint = row if joint is None else torch.add(row, joint, alpha=size)
    return torch.zeros_like(rows[0]) if joint is None else joint
