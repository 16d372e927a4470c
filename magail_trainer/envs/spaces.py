"""A Gymnasium space as plain JSON, so that a dataset can say which spaces it was recorded in."""

from collections.abc import Mapping
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


def _bound(values: np.ndarray) -> Any:
    """One text where all bounds are equal, as they mostly are; text, since JSON has no infinity."""
    texts = [repr(value) for value in values.ravel().tolist()]
    return texts[0] if len(set(texts)) == 1 else texts
