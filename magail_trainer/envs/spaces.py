"""A Gymnasium space as plain JSON, so that a dataset can say which spaces it was recorded in."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from gymnasium import spaces

from magail_trainer.errors import InputError


def describe_space(space: spaces.Space) -> dict[str, Any]:
    """Describe one space; two spaces are the same exactly if their descriptions are equal.

    Raises:
        InputError: the values of such a space are not plain arrays.
    """
    match space:
        case spaces.Discrete():
            return {"type": "Discrete", "n": int(space.n), "start": int(space.start)}
        case spaces.MultiDiscrete():
            return {"type": "MultiDiscrete", "nvec": space.nvec.tolist(), "start": space.start.tolist()}
        case spaces.MultiBinary():
            return {"type": "MultiBinary", "shape": list(space.shape)}
        case spaces.Box():
            bounds = {"low": _bound(space.low), "high": _bound(space.high)}
            return {"type": "Box", **bounds, "shape": list(space.shape), "dtype": str(space.dtype)}
    raise InputError(
        f"A {type(space).__name__} space cannot be recorded; expected Discrete, MultiDiscrete, MultiBinary or Box."
    )


@dataclass(frozen=True)
class Bounds:
    """The values of a space that was described."""

    shape: tuple[int, ...]
    low: np.ndarray
    high: np.ndarray
    whole: bool
    """Whether they are integers."""

    def holds(self, values: np.ndarray) -> np.ndarray:
        """`[N]` bool: which of `[N, *shape]` values are finite and in the space."""
        inside = np.isfinite(values) & (values >= self.low) & (values <= self.high)
        return np.asarray(inside.reshape(len(values), -1).all(axis=1))

    def with_margin(self) -> "Bounds":
        """The bounds of observations in a Box: what is further outside than `margin` is refused."""
        more = margin(self.low, self.high)
        return replace(self, low=self.low - more, high=self.high + more)


def rounding(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """How far outside a Box its numbers may lie by rounding."""
    sizes = [np.where(np.isfinite(bound), np.abs(bound), 0) for bound in (low, high)]
    return np.asarray(1e-5 * (1 + np.maximum(*sizes)))


LARGEST_REWARD = 1e30
"""Sums of such rewards, and their squares in double precision, stay finite."""


def margin(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """How far outside a Box observations may lie, since those of many published envs do: by its width."""
    return np.asarray(rounding(low, high) + high - low)


def described_bounds(description: Any) -> Bounds:
    """The bounds of the space that `describe_space` has described. Allocates no more than the description holds.

    Raises:
        InputError: it is no such description.
    """
    try:
        match description:
            case {"type": "Discrete", "n": int(n), "start": int(start)} if n > 0:
                return _whole((), start, n)
            case {"type": "MultiDiscrete", "nvec": list(nvec), "start": list(start)}:
                return _whole(np.shape(nvec), start, nvec)
            case {"type": "MultiBinary", "shape": list(shape)}:
                return _whole(_sizes(shape), 0, 2)
            case {"type": "Box", "low": low, "high": high, "shape": list(shape), "dtype": str(dtype)}:
                sizes, kind = _sizes(shape), np.dtype(dtype).kind
                if kind in "iuf":
                    return Bounds(sizes, _of_texts(low, sizes), _of_texts(high, sizes), whole=kind != "f")
    except (TypeError, ValueError, OverflowError):
        pass
    raise InputError(f"No space is described by {repr(description)[:200]}.")


def finite_space(description: Mapping[str, Any]) -> spaces.Space | None:
    """The space that `describe_space` has described, if it is a finite one."""
    match description:
        case {"type": "Discrete", "n": n, "start": start}:
            return spaces.Discrete(n, start=start)
        case {"type": "MultiDiscrete", "nvec": nvec, "start": start}:
            return spaces.MultiDiscrete(np.array(nvec), start=np.array(start))
        case {"type": "MultiBinary", "shape": shape}:
            return spaces.MultiBinary(shape)
    return None


def find_image(space: spaces.Space) -> spaces.Box | None:
    """The first part of a space that is an image: bytes in three dimensions or more, or in two that are not small."""
    match space:
        case spaces.Box() if space.dtype == np.uint8 and (len(space.shape) > 2 or _is_large_grid(space.shape)):
            return space
        case spaces.Dict():
            parts = [find_image(part) for part in space.spaces.values()]
        case spaces.Tuple():
            parts = [find_image(part) for part in space.spaces]
        case _:
            parts = []
    return next((part for part in parts if part is not None), None)


def check_values(values: Any, space: spaces.Space, count: int, what: str) -> None:
    """Check `[count, *space.shape]` values of a space that `describe_space` knows.

    Raises:
        InputError: their shape is another, or one of them is outside the space.
    """
    array, shape = np.asarray(values), (count, *(space.shape or ()))
    if array.shape != shape:
        raise InputError(f"The {what} have shape {array.shape}; expected {shape}.")
    match space:
        case spaces.Discrete() | spaces.MultiDiscrete():
            size = space.n if isinstance(space, spaces.Discrete) else space.nvec
            inside = (array >= space.start) & (array < space.start + size) & (array == np.floor(array))
        case spaces.MultiBinary():
            inside = (array == 0) | (array == 1)
        case spaces.Box():
            inside = (array >= space.low) & (array <= space.high)
        case _:
            inside = np.ones(shape, dtype=bool)
    if not inside.all():
        raise InputError(f"The {what} hold {array[~inside][0]}, which is not in {space}.")


def _is_large_grid(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and min(shape) >= 8  # a table or a board of bytes has fewer rows or columns


def _whole(shape: tuple[int, ...], start: Any, size: Any) -> Bounds:
    low, number = np.asarray(start, dtype=np.int64), np.asarray(size, dtype=np.int64)
    return Bounds(shape, low, np.asarray(low + (number - 1)), whole=True)


def _sizes(shape: list[Any]) -> tuple[int, ...]:
    if not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError
    return tuple(shape)


def _of_texts(texts: Any, shape: tuple[int, ...]) -> np.ndarray:
    """What `_bound` has made of some bounds."""
    if isinstance(texts, str):
        return np.asarray(float(texts))
    return np.array([float(text) for text in texts]).reshape(shape)


def _bound(values: np.ndarray) -> Any:
    """One text where all bounds are equal, as they mostly are; text, since JSON has no infinity."""
    texts = [repr(value) for value in values.ravel().tolist()]
    return texts[0] if len(set(texts)) == 1 else texts
