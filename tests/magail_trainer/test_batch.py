"""Batches: selecting samples and weighting them."""

import torch

from magail_trainer.batch import Batch, equal_weights

torch.set_num_threads(1)


def test_equal_weights_share_one_among_the_samples_that_are_present() -> None:
    present = torch.tensor([[True, True, False, True, True], [False, True, False, False, False]])
    expected = torch.tensor([[0.25, 0.25, 0, 0.25, 0.25], [0, 1, 0, 0, 0]])
    torch.testing.assert_close(equal_weights(present), expected)


def two_runs() -> Batch:
    """Three episodes of up to two steps; in run 0 the second episode has one, in run 1 the first and the last."""
    present = torch.tensor([[1, 1, 1, 0, 1, 1], [1, 0, 1, 1, 1, 0]]) > 0
    numbers = torch.arange(12).reshape(2, 6)
    return Batch({"a": numbers}, {"a": 20 + numbers}, equal_weights(present), num_steps=2)


def test_part_takes_whole_consecutive_episodes_and_shares_the_weight_among_their_steps() -> None:
    part = two_runs().part(slice(-2, None))
    assert part.observations["a"].tolist() == [[2, 3, 4, 5], [8, 9, 10, 11]]
    assert part.actions["a"].tolist() == [[22, 23, 24, 25], [28, 29, 30, 31]]
    assert part.num_steps == part.num_episodes == 2
    third = 1 / 3
    torch.testing.assert_close(part.weight, torch.tensor([[third, 0, third, third], [third, third, third, 0]]))


def test_a_part_of_more_episodes_than_there_are_is_the_batch_with_its_own_weights() -> None:
    batch = Batch({"a": torch.zeros(1, 2).long()}, {"a": torch.tensor([[0, 1]])}, torch.tensor([[0.9, 0.1]]))
    for everything in (slice(None), slice(5), slice(-5, None)):
        assert torch.equal(batch.part(everything).weight, batch.weight)
        assert batch.part(everything).actions["a"].tolist() == [[0, 1]]


def test_select_takes_each_runs_own_episodes() -> None:
    chosen = two_runs().select(torch.tensor([[2, 1], [0, 2]]))
    assert chosen.observations["a"].tolist() == [[4, 5, 2, 3], [6, 7, 10, 11]]
    assert chosen.actions["a"].tolist() == [[24, 25, 22, 23], [26, 27, 30, 31]]
    torch.testing.assert_close(chosen.weight, torch.tensor([[1 / 3, 1 / 3, 1 / 3, 0], [0.5, 0, 0.5, 0]]))


def test_by_episode_silences_what_pads_an_episode() -> None:
    values = two_runs().by_episode(torch.ones(2, 6))
    assert values.tolist() == [[[1, 1], [1, 0], [1, 1]], [[1, 0], [1, 1], [1, 0]]]
