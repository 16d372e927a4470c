"""The run table: what tells the R runs of a sweep apart."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from magail_trainer.errors import InputError

_MAX_BETA = 1e30  # its products stay finite in single precision


@dataclass(frozen=True, eq=False)
class Runs:
    """One row per run. All runs train together, along the leading axis R of every tensor."""

    seed: Int[np.ndarray, " R"]
    beta: Float[np.ndarray, " R"]
    """Weight of the policy-entropy bonus."""

    def __post_init__(self) -> None:
        pairs = list(zip(self.beta.tolist(), self.seed.tolist(), strict=True))
        if not pairs:
            raise InputError("There is nothing to train: expected at least one β and one seed.")
        if len(set(pairs)) < len(pairs):
            twice = next(pair for pair in pairs if pairs.count(pair) > 1)
            raise InputError(f"β={twice[0]:g} with seed {twice[1]} is given twice; expected each run once.")
        for beta, seed in pairs:
            if not 0 <= beta < _MAX_BETA:
                raise InputError(f"--betas must be numbers from 0 to below {_MAX_BETA:g}, not {beta:g}.")
            if seed < 0:
                raise InputError(f"A seed must be at least 0, not {seed}.")

    def __len__(self) -> int:
        return len(self.seed)

    @classmethod
    def grid(cls, *, betas: Sequence[float], seeds: Sequence[int]) -> "Runs":
        """Every β with every seed, in that order: all seeds of the first β come first.

        Raises:
            InputError: an empty list, a value given twice, a negative β or seed.
        """
        for flag, values in (("--betas", betas), ("--seeds", seeds)):
            if len(values) == 0:
                raise InputError(f"{flag} is empty; expected at least one value.")
            for value in values:
                if list(values).count(value) > 1:
                    raise InputError(f"{flag} names {value:g} twice; expected each value once.")
        if min(seeds) < 0:
            raise InputError(f"A seed must be at least 0, not {min(seeds)}.")
        if max(seeds) > np.iinfo(np.int64).max:
            raise InputError(f"A seed must fit in 64 bits, and {max(seeds)} does not.")
        return cls(
            seed=np.tile(np.asarray(seeds, dtype=np.int64), len(betas)),
            beta=np.repeat(np.asarray(betas, dtype=np.float64), len(seeds)),
        )
