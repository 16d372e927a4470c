"""Random streams: what a run draws depends on its seed, the purpose, and the draws made so far, on nothing else."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from magail_trainer.seeding import RunNoise, StepNoise, stream

shapes = st.lists(st.lists(st.integers(1, 7), min_size=1, max_size=3), min_size=1, max_size=12)
seed_lists = st.lists(st.integers(0, 5), min_size=1, max_size=6)


@given(seed_lists, shapes, st.integers(1, 5), st.sampled_from([1, 10, 2**22]))
@settings(deadline=None, max_examples=60)
def test_is_the_plain_stream_of_the_seed_in_any_company_shape_and_block_size(
    seeds: list[int], draws: list[list[int]], block_draws: int, max_numbers: int
) -> None:
    noise = RunNoise(seeds, "rollouts", "actions")
    vars(noise).update(_BLOCK_DRAWS=block_draws, _MAX_BLOCK_NUMBERS=max_numbers)
    drawn = [noise.uniform(*shape) for shape in draws]
    assert [values.shape for values in drawn] == [(len(seeds), *shape) for shape in draws]
    flat = np.concatenate([values.reshape(len(seeds), -1) for values in drawn], axis=1)
    total = sum(math.prod(shape) for shape in draws)
    for row, seed in zip(flat, seeds, strict=True):
        np.testing.assert_array_equal(row, stream(seed, "rollouts", "actions").random(total, dtype=np.float32))


def test_the_blocks_that_training_uses_change_nothing_either() -> None:
    noise = RunNoise([3, 9, 3], "x")
    drawn = np.concatenate([noise.uniform(2, 200).reshape(3, -1) for _ in range(150)], axis=1)
    for row, seed in zip(drawn, (3, 9, 3), strict=True):
        np.testing.assert_array_equal(row, stream(seed, "x").random(150 * 400, dtype=np.float32))


def test_what_was_drawn_before_is_not_changed_by_later_draws() -> None:
    noise = RunNoise([1, 2], "x")
    first = noise.uniform(5)
    kept = first.copy()
    first_again = [noise.uniform(5) for _ in range(200)]
    np.testing.assert_array_equal(first, kept)
    assert not any(np.array_equal(first, later) for later in first_again)


def test_streams_of_other_seeds_and_purposes_differ() -> None:
    keys = [(0, "a"), (1, "a"), (0, "b"), (0, "a", "b"), (0, "b", "a"), (97, ""), (0, "aa"), (2**63 - 1, "a")]
    first = {key: tuple(stream(key[0], *map(str, key[1:])).random(4)) for key in keys}
    assert len(set(first.values())) == len(keys)
    assert tuple(stream(0, "a").random(4)) == first[0, "a"]


def test_streams_of_neighbouring_seeds_are_not_correlated() -> None:
    numbers = RunNoise(range(20), "x").uniform(5000)
    correlations = np.corrcoef(numbers)[np.triu_indices(20, k=1)]
    assert np.abs(correlations).max() < 5 / math.sqrt(5000)


def test_the_numbers_are_uniform_in_0_to_1() -> None:
    numbers = RunNoise([0], "x").uniform(100_000)
    assert numbers.dtype == np.float32
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert kstest(numbers.ravel(), "uniform").pvalue > 0.001


def test_the_numbers_of_a_step_do_not_depend_on_how_many_steps_earlier_rollouts_had() -> None:
    short, long, company = StepNoise([4], "x"), StepNoise([4], "x"), StepNoise([9, 4], "x")
    seen = set()
    for lengths in ((1, 3), (2, 5), (1, 1), (4, 4)):
        drawn = [
            [noise.uniform(step, 2, 3) for step in range(length)]
            for noise, length in ((short, lengths[0]), (long, lengths[1]), (company, lengths[1]))
        ]
        for ours, theirs in zip(drawn[0], drawn[1], strict=False):
            np.testing.assert_array_equal(ours, theirs)
        for ours, theirs in zip(drawn[1], drawn[2], strict=True):
            np.testing.assert_array_equal(ours[0], theirs[1])
        seen |= {values.tobytes() for values in drawn[1]}
    assert len(seen) == 3 + 5 + 1 + 4  # and no two steps have the same


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        stream(-1, "x")
