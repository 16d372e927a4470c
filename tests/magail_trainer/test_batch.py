"""Batches: selecting samples and weighting them."""

import torch

from magail_trainer.batch import Batch, equal_weights

torch.set_num_threads(1)


def test_equal_weights_share_one_among_the_samples_that_are_present() -> None:
    present = torch.tensor([[True, True, False, True, True], [False, True, False, False, False]])
    expected = torch.tensor([[0.25, 0.25, 0, 0.25, 0.25], [0, 1, 0, 0, 0]])
    torch.testing.assert_close(equal_weights(present), expected)


def test_select_takes_each_runs_own_samples_with_the_weights_it_is_given() -> None:
    batch = Batch(
        observations={"a": torch.tensor([[10, 11, 12], [13, 14, 15]])},
        actions={"a": torch.tensor([[20, 21, 22], [23, 24, 25]])},
        weight=torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.9, 0.0]]),
    )
    weight = torch.tensor([[0.4, 0.6], [1.0, 0.0]])
    chosen = batch.select(torch.tensor([[2, 0], [1, 2]]), weight)
    assert chosen.observations["a"].tolist() == [[12, 10], [14, 15]]
    assert chosen.actions["a"].tolist() == [[22, 20], [24, 25]]
    assert torch.equal(chosen.weight, weight)
