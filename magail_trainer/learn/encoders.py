"""Encodings of observations and actions: table rows, perceptron features, scaled continuous actions."""

import math
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from magail_trainer.envs.registry import EnvEntry
from magail_trainer.envs.spaces import find_image
from magail_trainer.errors import InputError
from magail_trainer.learn.scaling import Scaling, read_scalings

MAX_FEATURES = 100_000
"""Most numbers that a perceptron sees of one agent's observation."""
MAX_ACTIONS = 4096
"""Most joint actions of one agent with one perceptron output each; larger MultiDiscrete and MultiBinary spaces are
factored."""


def _digits(space: spaces.Space) -> tuple[np.ndarray, np.ndarray] | None:
    """How many values each number of a finite space has, and the first of them; None for other spaces."""
    match space:
        case spaces.Discrete():
            return np.array([space.n]), np.array([space.start])
        case spaces.MultiDiscrete():
            return space.nvec.ravel(), space.start.ravel()
        case spaces.MultiBinary():
            sizes = np.full(space.shape, 2).ravel()
            return sizes, np.zeros_like(sizes)
    return None


class FiniteSpace:
    """Numbers the values of a finite space from 0 to size - 1.

    Args:
        space: Discrete, MultiDiscrete, MultiBinary, or a Box whose bounds leave one value (a constant).
        where: name of the space in error messages, such as `observation space of agent_0`.

    Raises:
        InputError: the space is not finite.
    """

    def __init__(self, space: spaces.Space, where: str) -> None:
        digits = _digits(space)
        if isinstance(space, spaces.Box) and np.array_equal(space.low, space.high):
            digits = np.ones(space.low.size, dtype=np.int64), space.low.ravel()
        if digits is None or not digits[0].size:
            raise InputError(f"The {where} is {space}; a table needs a finite one, such as Discrete.")
        self._sizes, self._start = digits
        self._shape = space.shape or ()
        self.size = math.prod(int(size) for size in self._sizes)
        self.is_constant = self.size == 1
        """Whether the space has one value."""

    def encode(self, values: np.ndarray) -> Int[np.ndarray, "*batch"]:
        """Number the values `[*batch, *space.shape]`."""
        values = np.asarray(values)
        batch = values.shape[: values.ndim - len(self._shape)]
        if self.is_constant:
            return np.zeros(batch, dtype=np.int64)
        if self._shape == ():
            return np.asarray(values - self._start.item(), dtype=np.int64)
        digits = values.reshape(*batch, -1) - self._start
        return np.asarray(np.ravel_multi_index(tuple(np.moveaxis(digits, -1, 0)), tuple(self._sizes)), dtype=np.int64)

    def decode(self, rows: Int[np.ndarray, "*batch"]) -> np.ndarray:
        """The inverse of `encode`: values `[*batch, *space.shape]`."""
        if self._shape == ():
            return np.asarray(rows + self._start.item())
        digits = np.stack(np.unravel_index(rows, tuple(self._sizes)), axis=-1)
        return (digits + self._start).reshape(*rows.shape, *self._shape)

    def features(self, rows: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch size"]:
        """One-hot features."""
        return torch.nn.functional.one_hot(rows, self.size).float()


class FeatureSpace:
    """Observations as `size` numbers: a Box flattened, a Discrete one-hot, and so on (Gymnasium's `flatten`).

    Args:
        space: Box, Discrete, MultiDiscrete or MultiBinary.
        where: name of the space in error messages.

    Raises:
        InputError: the space is of another kind, or holds images, or is too large.
    """

    def __init__(self, space: spaces.Space, where: str) -> None:
        if (image := find_image(space)) is not None:
            what = "an image" if image is space else "with an image"
            raise InputError(
                f"The {where} is {space}, {what}; expected numbers: wrap the env so that it observes them."
            )
        as_they_are = isinstance(space, spaces.Box | spaces.MultiBinary)
        digits = None if as_they_are else _digits(space)
        if digits is None and not as_they_are:
            expected = "expected Box, Discrete, MultiDiscrete, MultiBinary, or a Dict or Tuple of these"
            raise InputError(f"The {where} is {space}; {expected}.")
        self._sizes, self._start = digits or (None, None)
        self.is_box = isinstance(space, spaces.Box)
        self._dims = len(space.shape or ())
        self.size = math.prod(space.shape or ()) if self._sizes is None else int(self._sizes.sum())
        if self.size > MAX_FEATURES:
            raise InputError(f"The {where} has {self.size:,} numbers or values; expected at most {MAX_FEATURES:,}.")
        fixed = np.array_equal(space.low, space.high) if isinstance(space, spaces.Box) else self.size == 0
        self.is_constant = fixed if self._sizes is None else bool((self._sizes == 1).all())
        """Whether the space has one value."""
        self.scaling: Scaling | None = None
        """Of the numbers of a Box, if they need one."""

    def encode(self, values: np.ndarray) -> Float[np.ndarray, "*batch size"]:
        """The features of the values `[*batch, *space.shape]`.

        Raises:
            ValueError: one of several numbers lies outside the space.
        """
        values = np.asarray(values)
        batch = values.shape[: values.ndim - self._dims]
        flat = values.reshape(*batch, -1)
        if self._sizes is None or self._start is None:
            with np.errstate(over="ignore"):  # whoever reads a dataset refuses what is not finite then
                return (flat if self.scaling is None else self.scaling(flat)).astype(np.float32)
        digits = (flat - self._start).astype(np.int64)
        if (digits < 0).any() or (digits >= self._sizes).any():
            raise ValueError("A value lies outside the space.")
        first = np.concatenate([[0], np.cumsum(self._sizes)[:-1]])
        features = np.zeros((*batch, self.size), dtype=np.float32)
        np.put_along_axis(features, digits + first, 1, axis=-1)
        return features

    def flat(self, values: Shaped[np.ndarray, "S ..."]) -> Shaped[np.ndarray, "S size"]:
        """The numbers in values of a Box, as they are."""
        return values.reshape(len(values), self.size)

    def scaled(self, scaling: Scaling | None) -> "FeatureSpace":
        """This space with a scaling of its numbers, or without."""
        code = copy(self)
        code.scaling = scaling
        return code


class ContinuousSpace:
    """Actions in a Box, scaled so that its bounds are −1 and 1; `decode` clips to the bounds.

    Args:
        space: a Box with finite bounds.
        where: name of the space in error messages.

    Raises:
        InputError: a bound is infinite, or there are no numbers.
    """

    def __init__(self, space: spaces.Box, where: str) -> None:
        if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
            raise InputError(f"The {where} is {space}; expected finite bounds.")
        if not space.low.size:
            raise InputError(f"The {where} is {space}; expected at least one number.")
        # In double precision: high - low may overflow in the space's own dtype.
        self._low, self._high = space.low.astype(np.float64), space.high.astype(np.float64)
        self._dims, self._dtype = len(space.shape), space.dtype
        self.size = int(np.prod(space.shape))

    def encode(self, values: np.ndarray) -> Float[np.ndarray, "*batch size"]:
        """Scale and flatten the values `[*batch, *space.shape]`."""
        values = np.asarray(values, dtype=np.float64)
        spread = np.where(self._high > self._low, self._high - self._low, 1)
        scaled = 2 * (values - self._low) / spread - 1
        return scaled.reshape(*values.shape[: values.ndim - self._dims], -1).astype(np.float32)

    def decode(self, scaled: Float[np.ndarray, "*batch size"]) -> np.ndarray:
        """The actions `[*batch, *space.shape]`; the inverse of `encode` within the bounds."""
        share = (np.clip(np.nan_to_num(scaled, nan=0.0), -1, 1) + 1) / 2  # no NaN of a run that diverges enters an env
        values = self._low + share.reshape(*scaled.shape[:-1], *self._low.shape) * (self._high - self._low)
        if np.issubdtype(self._dtype, np.integer):
            values = np.rint(values)
        return np.clip(values, self._low, self._high).astype(self._dtype)

    def features(self, scaled: Float[Tensor, "*batch size"]) -> Float[Tensor, "*batch size"]:
        """The action as played: clipped, and rounded in a Box of integers.

        Components with equal bounds are −1, as `encode` makes them.
        """
        clipped = scaled.clamp(-1, 1)
        if (self._high == self._low).any():
            fixed = torch.from_numpy(self._high == self._low).flatten().to(scaled.device)
            clipped = clipped.masked_fill(fixed, -1)
        if not np.issubdtype(self._dtype, np.integer):
            return clipped
        steps = torch.from_numpy(self._high - self._low).float().flatten().clamp(min=1).to(scaled.device) / 2
        return ((clipped + 1) * steps).round() / steps - 1


class FactoredSpace:
    """MultiDiscrete or MultiBinary actions, component by component, if there are too many joint values.

    Args:
        space: MultiDiscrete or MultiBinary.
    """

    def __init__(self, space: spaces.MultiDiscrete | spaces.MultiBinary) -> None:
        digits = _digits(space)
        assert digits is not None
        sizes, self._start = digits
        self._shape = space.shape
        self.sizes = tuple(int(size) for size in sizes)
        """Number of values of each of the K components."""
        self.size = sum(self.sizes)

    def encode(self, values: np.ndarray) -> Int[np.ndarray, "*batch K"]:
        """Flatten the values `[*batch, *space.shape]` and count them from 0.

        Raises:
            ValueError: one lies outside the space.
        """
        values = np.asarray(values)
        digits = values.reshape(*values.shape[: values.ndim - len(self._shape)], -1) - self._start
        if (digits < 0).any() or (digits >= self.sizes).any():
            raise ValueError("A value lies outside the space.")
        return digits.astype(np.int64)

    def decode(self, digits: Int[np.ndarray, "*batch K"]) -> np.ndarray:
        """The values `[*batch, *space.shape]`; the inverse of `encode`."""
        return (digits + self._start).reshape(*digits.shape[:-1], *self._shape)

    def features(self, digits: Int[Tensor, "*batch K"]) -> Float[Tensor, "*batch size"]:
        """Concatenated one-hots of the components."""
        parts = zip(digits.unbind(-1), self.sizes, strict=True)
        return torch.cat([torch.nn.functional.one_hot(digit, size) for digit, size in parts], dim=-1).float()


ObservationCode = FiniteSpace | FeatureSpace
ActionCode = FiniteSpace | FactoredSpace | ContinuousSpace


@dataclass(frozen=True)
class Codes:
    """How the values of an env's spaces are encoded, by agent."""

    observations: Mapping[str, ObservationCode]
    actions: Mapping[str, ActionCode]

    @classmethod
    def of(cls, entry: EnvEntry, *, network: str = "tabular") -> "Codes":
        """Encode the spaces of every agent for tables, or for an `mlp`.

        Raises:
            InputError: a space does not suit the network, or an agent's name cannot name a torch module.
        """
        agents = entry.possible_agents
        for agent in agents:
            check_name(agent)
        observe, act = (FiniteSpace, FiniteSpace) if network == "tabular" else (FeatureSpace, action_code)
        return cls(
            {agent: observe(entry.observation_space(agent), f"observation space of {agent}") for agent in agents},
            {agent: act(entry.action_space(agent), f"action space of {agent}") for agent in agents},
        )

    def scaled(self, scalings: Mapping[str, Scaling | None]) -> "Codes":
        """With scalings of some agents' features."""
        observations = dict(self.observations)
        for agent, scaling in scalings.items():
            code = observations[agent]
            assert isinstance(code, FeatureSpace)
            observations[agent] = code.scaled(scaling)
        return replace(self, observations=observations)

    def scaled_as(self, described: Any) -> "Codes":
        """With the scalings that a run folder's `config.json` describes, and no others.

        Raises:
            InputError: they are of something else.
        """
        sizes = {agent: code.size for agent, code in self.features.items() if code.is_box}
        return self.scaled({**dict.fromkeys(sizes), **read_scalings(described, sizes)})

    @property
    def features(self) -> dict[str, FeatureSpace]:
        """The agents' observations that are features, for perceptrons."""
        return {agent: code for agent, code in self.observations.items() if isinstance(code, FeatureSpace)}

    @property
    def scalings(self) -> dict[str, Scaling]:
        """Of the features of those agents that need one."""
        return {agent: code.scaling for agent, code in self.features.items() if code.scaling is not None}

    @property
    def finite_actions(self) -> dict[str, FiniteSpace]:
        """The agents' actions if all are finite; else empty."""
        finite = {agent: code for agent, code in self.actions.items() if isinstance(code, FiniteSpace)}
        return finite if len(finite) == len(self.actions) else {}


def check_name(agent: str) -> None:
    """Refuse a name that cannot be a key of a `torch.nn.ModuleDict`.

    Raises:
        InputError: the name is empty, has a dot, or is an attribute of ModuleDict.
    """
    if not agent or "." in agent or hasattr(torch.nn.ModuleDict(), agent):
        expected = "expected one without dots, which torch.nn.ModuleDict does not use itself"
        raise InputError(f"torch keeps no network under the name {agent!r}; {expected}.")


def suits_tables(entry: EnvEntry, *, max_rows: int = 10_000) -> bool:
    """Whether all spaces are finite and have at most `max_rows` joint values."""
    try:
        codes = Codes.of(entry)
    except InputError:
        return False
    rows = (code.size for code in (*codes.observations.values(), *codes.actions.values()))
    return math.prod(rows) <= max_rows


def joint_row(rows: Sequence[Int[Tensor, "*batch"]], sizes: Sequence[int]) -> Int[Tensor, "*batch"]:
    """The row-major index of each joint value, as in `np.ravel_multi_index`.

    A linear map of concatenated one-hots would be additive in its parts and could not see correlation.
    """
    joint = None
    for row, size in zip(rows, sizes, strict=True):
        if size > 1:  # a constant adds nothing
            joint = row if joint is None else torch.add(row, joint, alpha=size)
    return torch.zeros_like(rows[0]) if joint is None else joint


def action_code(space: spaces.Space, where: str) -> ActionCode:
    """The encoding of a perceptron's actions: joint values, components, or scaled numbers.

    Raises:
        InputError: the space is of another kind or too large.
    """
    if isinstance(space, spaces.Box):
        return ContinuousSpace(space, where)
    try:
        code = FiniteSpace(space, where)
    except InputError as error:
        raise InputError(f"The {where} is {space}; expected Discrete, MultiDiscrete, MultiBinary or Box.") from error
    if code.size > MAX_ACTIONS and isinstance(space, spaces.MultiDiscrete | spaces.MultiBinary):
        return FactoredSpace(space)
    if code.size > MAX_ACTIONS:
        raise InputError(f"The {where} has {code.size:,} values; expected at most {MAX_ACTIONS:,}.")
    return code
