"""Whether an observation is one of its space, whatever an env returns for it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Tuple

PLAIN = (Box, Discrete, MultiDiscrete, MultiBinary)
_LONG = 100


class Unfit:
    """In the place of an observation that is none of its space.

    Args:
        value: what the env returned.
        space: where it should have been from.
    """

    def __init__(self, value: Any, space: Space) -> None:
        self._value, self._space = value, space

    def in_words(self, where: str) -> str:
        """The observation, where it was given, and what was expected."""
        return f"{_described(self._value, self._space)} {where}; expected one of {self._space}"


def fitted(value: Any, space: Space) -> Any:
    """An observation in the dtype of its space, or an `Unfit` if its shape is another or its numbers would change.

    Floats are rounded to the precision of the space. In a space of whole numbers 2.0 is 2, and 2.5 is unfit. Whether
    the numbers of a plain space are within its bounds is not looked at; the finite parts of a Dict or Tuple are.

    Args:
        value: what the env returned.
        space: Box, Discrete, MultiDiscrete, MultiBinary, or a Dict or Tuple of these; others decide for themselves.
    """
    if isinstance(space, PLAIN):
        array = _as_array(value, space)
        return Unfit(value, space) if array is None else array
    if isinstance(space, Dict):
        if not isinstance(value, Mapping) or set(value) != set(space.spaces):
            return Unfit(value, space)
        parts = {key: _part(value[key], part) for key, part in space.spaces.items()}
        return Unfit(value, space) if any(isinstance(part, Unfit) for part in parts.values()) else parts
    if isinstance(space, Tuple):
        if not isinstance(value, tuple | list) or len(value) != len(space.spaces):
            return Unfit(value, space)
        items = tuple(_part(item, part) for item, part in zip(value, space.spaces, strict=True))
        return Unfit(value, space) if any(isinstance(item, Unfit) for item in items) else items
    return value if space.contains(value) else Unfit(value, space)


def _as_array(value: Any, space: Space) -> np.ndarray | None:
    try:
        array = np.asarray(value)
    except Exception:  # lists of several lengths, tensors that are not on the CPU
        return None
    if array.dtype == space.dtype:
        return array if array.shape == space.shape else None
    if array.dtype.kind not in "biuf" or array.shape != space.shape:
        return None
    with np.errstate(all="ignore"):
        cast = array.astype(space.dtype)
    return cast if cast.dtype.kind == "f" or np.array_equal(cast, array) else None


def _part(value: Any, space: Space) -> Any:
    fits = fitted(value, space)
    if isinstance(space, PLAIN) and not isinstance(space, Box) and not isinstance(fits, Unfit):
        low, high = finite_bounds(space)
        if not ((fits >= low) & (fits <= high)).all():
            return Unfit(value, space)
    return fits


def finite_bounds(space: Space) -> tuple[Any, Any]:
    """The least and the greatest value, or values, of a Discrete, MultiDiscrete or MultiBinary."""
    match space:
        case Discrete():
            return int(space.start), int(space.start + space.n - 1)
        case MultiDiscrete():
            return space.start, space.start + space.nvec - 1
    return 0, 1


def short(value: Any) -> str:
    """A value in one line of a message."""
    try:
        text = " ".join((str(value) if isinstance(value, np.ndarray) else repr(value)).split())
    except Exception:  # its class is at fault too
        text = f"a {type(value).__name__}"
    return text if len(text) <= _LONG else f"{text[:_LONG]} …"


def _described(value: Any, space: Space) -> str:
    text = f"the observation {short(value)}"
    if isinstance(value, np.ndarray) and isinstance(space, PLAIN):
        what = f"shape {value.shape}" if value.shape != space.shape else f"dtype {value.dtype}"
        return f"{text} of {what}"
    return text
