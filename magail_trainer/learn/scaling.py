"""Offsets and units, in double precision, of features that single precision would not tell apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from magail_trainer.errors import InputError

_SMALL, _LARGE = 1e-3, 1e12
"""Deviations out of these bounds: a smaller one is none to `Normalizer`, and the square of a larger one overflows."""
_FAR = 1e4
"""Deviations from 0 to the mean beyond which too few of single precision's seven digits are left for what varies."""
_NOTHING = 1e-12
"""Deviations that are rounding errors around 0 in any unit that somebody may have chosen."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """Features x as (x − offset) / unit. For ordinary features that is x itself: offset 0 and unit 1.

    An observation is cast to single precision, and later standardised in it by `Normalizer`. That loses a feature whose
    deviation is tiny, or far smaller than its mean: a time stamp, a position in metres from the equator. Such a feature
    is standardised before the cast. All others keep every bit.
    """

    offset: Float[np.ndarray, " O"]
    unit: Float[np.ndarray, " O"]

    def __call__(self, features: np.ndarray) -> Float[np.ndarray, "*batch O"]:
        """Scale features `[*batch, O]`."""
        return (features.astype(np.float64) - self.offset) / self.unit

    def describe(self) -> dict[str, list[float]]:
        """As plain JSON; see `read`."""
        return {"offset": self.offset.tolist(), "unit": self.unit.tolist()}

    @classmethod
    def read(cls, described: Any, size: int) -> "Scaling":
        """From what `describe` returned, for `size` features.

        Raises:
            InputError: it is something else.
        """
        refusal = InputError(f"The scaling of features is not as it was written; expected {size} offsets and units.")
        try:
            offset, unit = numbers = [np.array(described[name], dtype=np.float64) for name in ("offset", "unit")]
        except (KeyError, TypeError, ValueError) as error:
            raise refusal from error
        if not all(part.shape == (size,) and np.isfinite(part).all() for part in numbers) or (unit <= 0).any():
            raise refusal
        return cls(offset, unit)


def fit_scaling(features: np.ndarray) -> Scaling | None:
    """Find the features `[S, O]` that single precision would lose; None if there are none.

    A feature that is constant up to rounding keeps its unit, and its offset too unless it is large.
    """
    if features.size == 0:
        return None
    precision = np.finfo(features.dtype).eps if features.dtype.kind == "f" else 0.0
    values = features.astype(np.float64)
    largest, mean, deviation = np.abs(values).max(0), values.mean(0), values.std(0)
    constant = (np.ptp(values, axis=0) == 0) | (deviation <= np.maximum(2 * precision * largest, _NOTHING))
    far = np.abs(mean) > _FAR * np.where(constant, 1.0, deviation)
    lost = ~constant & (far | (deviation < _SMALL) | (deviation > _LARGE))
    if not (far | lost).any():
        return None
    return Scaling(np.where(far | lost, mean, 0.0), np.where(lost, deviation, 1.0))


def read_scalings(described: Any, sizes: Mapping[str, int]) -> dict[str, Scaling]:
    """The scalings by agent in a run folder's `config.json`; `sizes` are the numbers of features.

    Raises:
        InputError: they are of something else.
    """
    if not isinstance(described, dict) or not set(described) <= set(sizes):
        agents = ", ".join(sizes) or "nobody"
        raise InputError(f"The scaling of features is not as it was written; expected it for some of {agents}.")
    return {agent: Scaling.read(one, sizes[agent]) for agent, one in described.items()}
