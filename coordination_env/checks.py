"""The two argument checks that several modules share; each failure is one sentence."""

from __future__ import annotations

from typing import Any

import numpy as np


def check_count(name: str, value: Any, *, least: int) -> int:
    """Return `value` as an int. Raises ValueError unless it is an integer of at least `least`."""
    is_integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_integer or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}.")
    return int(value)


def check_share(name: str, value: Any) -> float:
    """Return `value` as a float. Raises ValueError unless it is a number from 0 to 1."""
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= 1:  # written so that NaN fails too
        raise ValueError(f"{name} must be a number from 0 to 1, got {value!r}.")
    return float(value)
