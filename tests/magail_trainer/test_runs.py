"""The run table."""

import numpy as np
import pytest

from magail_trainer.errors import InputError
from magail_trainer.runs import Runs


def test_grid_has_all_seeds_of_the_first_beta_first() -> None:
    runs = Runs.grid(betas=(0.5, 0.0), seeds=(7, 3, 5))
    assert list(zip(runs.beta.tolist(), runs.seed.tolist(), strict=True)) == [
        (0.5, 7),
        (0.5, 3),
        (0.5, 5),
        (0.0, 7),
        (0.0, 3),
        (0.0, 5),
    ]
    assert len(runs) == 6


def test_the_largest_seed_that_fits_is_kept_exactly() -> None:
    assert Runs.grid(betas=(0.0,), seeds=(0, 2**63 - 1)).seed.tolist() == [0, 2**63 - 1]


@pytest.mark.parametrize(
    ("betas", "seeds", "message"),
    [
        ((), (1,), "--betas is empty; expected at least one value."),
        ((0.0,), (), "--seeds is empty; expected at least one value."),
        ((0.5, 0.0, 0.5), (1,), "--betas names 0.5 twice; expected each value once."),
        ((0.0,), (1, 2, 1), "--seeds names 1 twice; expected each value once."),
        ((-0.1,), (1,), "--betas must be numbers from 0 to below 1e+30, not -0.1."),
        ((float("nan"),), (1,), "--betas must be numbers from 0 to below 1e+30, not nan."),
        ((float("inf"),), (1,), "--betas must be numbers from 0 to below 1e+30, not inf."),
        ((0.0,), (-3,), "A seed must be at least 0, not -3."),
        ((0.0,), (2**63,), f"A seed must fit in 64 bits, and {2**63} does not."),
        ((0.0,), (-(2**70),), f"A seed must be at least 0, not {-(2**70)}."),
    ],
)
def test_grid_refuses_with_one_sentence(betas: tuple[float, ...], seeds: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError) as refusal:
        Runs.grid(betas=betas, seeds=seeds)
    assert str(refusal.value) == message


def test_a_table_refuses_the_same_run_twice_and_nothing_at_all() -> None:
    with pytest.raises(InputError, match=r"^β=0\.5 with seed 4 is given twice; expected each run once\.$"):
        Runs(seed=np.array([4, 4]), beta=np.array([0.5, 0.5]))
    with pytest.raises(InputError, match="nothing to train"):
        Runs(seed=np.array([], dtype=np.int64), beta=np.array([]))
