"""The run table."""

import numpy as np
import pytest

from magail_trainer.errors import InputError
from magail_trainer.learn.runs import Runs


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


def test_the_same_seed_and_beta_may_differ_in_a_learning_rate() -> None:
    runs = Runs(np.array([4, 4]), np.array([0.5, 0.5]), lr_disc=np.array([0.0, 0.1]))
    assert list(runs.columns) == ["beta", "seed", "lr_disc"]
    assert runs.select(slice(1, 2)).columns["lr_disc"].tolist() == [0.1]
    again = Runs.of_columns({**runs.columns, "beta": np.array([1, 2]), "js_distance": np.zeros(2)})
    assert again.lr_policy is None
    assert again.lr_disc is not None
    assert (again.beta.dtype, again.beta.tolist(), again.lr_disc.tolist()) == (np.float64, [1.0, 2.0], [0.0, 0.1])
    with pytest.raises(InputError, match="given twice"):
        Runs(np.array([4, 4]), np.array([0.5, 0.5]), lr_policy=np.array([0.1, 0.1]), lr_disc=np.array([0.1, 0.1]))
    for rate in (-0.1, float("nan"), float("inf")):
        with pytest.raises(InputError, match=rf"^The learning rate of a run must be 0 or .*, not {rate:g}\.$"):
            Runs(np.array([4]), np.array([0.5]), lr_policy=np.array([rate]))


def test_a_table_refuses_the_same_run_twice_and_nothing_at_all() -> None:
    with pytest.raises(InputError, match=r"^β=0\.5 with seed 4 is given twice; expected each run once\.$"):
        Runs(seed=np.array([4, 4]), beta=np.array([0.5, 0.5]))
    with pytest.raises(InputError, match="nothing to train"):
        Runs(seed=np.array([], dtype=np.int64), beta=np.array([]))
