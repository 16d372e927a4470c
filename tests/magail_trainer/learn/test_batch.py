"""Batches: selecting samples and weighting them."""

import torch

from magail_trainer.learn.batch import Batch, equal_weights, gather_samples

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


def with_everything() -> Batch:
    """The same episodes, in which `a` observes features, `b` plays numbers and leaves after the first step."""
    plain = two_runs()
    numbers = plain.observations["a"]
    features = torch.stack([numbers.float(), -numbers.float()], dim=-1)
    there = torch.tensor([[1, 0, 1, 0, 1, 0]] * 2) > 0
    return Batch(
        {"a": features, "b": numbers},
        {"a": 20 + numbers, "b": features.unsqueeze(-1)[..., 0]},
        plain.weight,
        num_steps=2,
        active={"a": torch.ones_like(there), "b": there},
        masks={"a": torch.stack([there, ~there, there], dim=-1)},
    )


def check_rows(batch: Batch, numbers: list[list[int]]) -> None:
    """Everything of a sample still stands beside it."""
    rows = torch.tensor(numbers)
    assert torch.equal(batch.observations["b"], rows)
    assert torch.equal(batch.observations["a"], torch.stack([rows.float(), -rows.float()], dim=-1))
    assert torch.equal(batch.actions["b"], batch.observations["a"])
    assert torch.equal(batch.actions["a"], 20 + rows)
    there = rows % 2 == 0
    assert torch.equal(batch.active["b"], there)
    assert batch.active["a"].all()
    assert torch.equal(batch.masks["a"], torch.stack([there, ~there, there], dim=-1))


def test_part_and_select_keep_features_masks_and_who_was_there_beside_each_other() -> None:
    batch = with_everything()
    check_rows(batch, [list(range(6)), list(range(6, 12))])
    check_rows(batch.part(slice(1, 2)), [[2, 3], [8, 9]])
    check_rows(batch.select(torch.tensor([[2, 1], [0, 2]])), [[4, 5, 2, 3], [6, 7, 10, 11]])


def test_by_episode_takes_the_steps_of_an_episode_apart() -> None:
    by_episode = with_everything().by_episode(torch.arange(1.0, 13).reshape(2, 6))
    assert by_episode.tolist() == [[[1, 2], [3, 0], [5, 6]], [[7, 0], [9, 10], [11, 0]]]


def test_the_weight_of_an_agent_counts_the_steps_at_which_it_was_there() -> None:
    batch = with_everything()
    assert torch.equal(batch.weight_of("a"), batch.weight)
    third = 1 / 3
    torch.testing.assert_close(batch.weight_of("b"), torch.tensor([[third, 0, third, 0, third, 0]] * 2))
    assert torch.equal(batch.weight_of("a", "b"), batch.weight)
    assert torch.equal(two_runs().weight_of("a"), two_runs().weight)


def test_the_weight_of_an_agent_that_was_never_there_is_0_and_no_nan() -> None:
    active = {"a": torch.zeros(1, 2, dtype=torch.bool), "b": torch.ones(1, 2, dtype=torch.bool)}
    batch = Batch({}, {}, torch.tensor([[0.5, 0.5]]), active=active)
    assert batch.weight_of("a").tolist() == [[0, 0]]


def test_gather_samples_by_hand() -> None:
    values = torch.arange(12).reshape(2, 3, 2)
    assert gather_samples(values, torch.tensor([[2, 0], [1, 1]])).tolist() == [[[4, 5], [0, 1]], [[8, 9], [8, 9]]]
    assert gather_samples(values[..., 0], torch.tensor([[2, 0], [1, 1]])).tolist() == [[4, 0], [8, 8]]
