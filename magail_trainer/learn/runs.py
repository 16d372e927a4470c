"""The run table: the settings in which the R runs of a sweep differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from magail_trainer.errors import InputError
from magail_trainer.seeding import stream

_MAX_BETA = 1e30  # its products stay finite in single precision


@dataclass(frozen=True, eq=False)
class Runs:
    """One row per run. All runs train together, along the leading axis R of every tensor."""

    seed: Int[np.ndarray, " R"]
    beta: Float[np.ndarray, " R"]
    """Weight of the policy-entropy bonus."""
    lr_policy: Float[np.ndarray, " R"] | None = None
    """Learning rate of the policies for each run; 0 freezes them. None for the config's."""
    lr_disc: Float[np.ndarray, " R"] | None = None
    """Likewise for the discriminator."""

    def __post_init__(self) -> None:
        rows = list(zip(*(column.tolist() for column in self.columns.values()), strict=True))
        if not rows:
            raise InputError("There is nothing to train: expected at least one β and one seed.")
        if len(set(rows)) < len(rows):
            beta, seed, *_ = next(row for row in rows if rows.count(row) > 1)
            raise InputError(f"β={beta:g} with seed {seed} is given twice; expected each run once.")
        for beta, seed, *rates in rows:
            if not 0 <= beta < _MAX_BETA:
                raise InputError(f"--betas must be numbers from 0 to below {_MAX_BETA:g}, not {beta:g}.")
            if seed < 0:
                raise InputError(f"A seed must be at least 0, not {seed}.")
            for rate in rates:
                if not 0 <= rate < np.inf:
                    raise InputError(f"The learning rate of a run must be 0 or a positive number, not {rate:g}.")

    def __len__(self) -> int:
        return len(self.seed)

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """`[R]` each: β, seed and any learning rates, the first columns of `runs.csv`."""
        optional = {"lr_policy": self.lr_policy, "lr_disc": self.lr_disc}
        given = {name: column for name, column in optional.items() if column is not None}
        return {"beta": self.beta, "seed": self.seed, **given}

    def label(self, run: int) -> str:
        """A run in words, such as "β=0.1, seed 3"."""
        others = [f"{name} {column[run]:g}" for name, column in self.columns.items() if name not in ("beta", "seed")]
        return ", ".join([f"β={self.beta[run]:g}", f"seed {self.seed[run]}", *others])

    def streams(self, *purpose: str) -> list[np.random.Generator]:
        """Each run's own random stream for `purpose`."""
        return [stream(seed, *purpose) for seed in self.seed.tolist()]

    def select(self, rows: slice | Int[np.ndarray, " S"]) -> "Runs":
        """Some of the runs."""
        return Runs(**{name: column[rows] for name, column in self.columns.items()})

    @classmethod
    def of_columns(cls, table: Mapping[str, np.ndarray]) -> "Runs":
        """The runs in a table with at least these `columns`.

        Raises:
            InputError: one is not a number, or no setting of a run.
            KeyError: β or seed is missing.
        """
        for name, kinds in (("seed", "iu"), ("beta", "iuf"), ("lr_policy", "iuf"), ("lr_disc", "iuf")):
            if (name in table or name in ("seed", "beta")) and table[name].dtype.kind not in kinds:
                raise InputError(f"The column {name!r} holds {str(table[name][0])!r}; expected numbers.")
        rates = {name: table[name].astype(np.float64) for name in ("lr_policy", "lr_disc") if name in table}
        return cls(seed=table["seed"], beta=table["beta"].astype(np.float64), **rates)

    @classmethod
    def grid(cls, *, betas: Sequence[float], seeds: Sequence[int]) -> "Runs":
        """Every β with every seed; all seeds of the first β come first.

        Raises:
            InputError: an empty list, a value given twice, a negative β or seed.
        """
        for flag, values in (("--betas", betas), ("--seeds", seeds)):
            if isinstance(values, int | float):
                raise InputError(f"{flag} must be a list of numbers, such as [{values}], not {values}.")
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
