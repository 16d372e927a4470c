"""The expert's minibatches: every recorded transition in its turn, or the exact joint distribution."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete

from magail_trainer.data.provenance import Origin
from magail_trainer.data.trajectories import Trajectories
from magail_trainer.errors import InputError
from magail_trainer.learn.demonstrations import Demonstrations, ExactDemonstrations
from magail_trainer.learn.encoders import Codes, FiniteSpace

torch.set_num_threads(1)

AGENTS = ("a", "b")
CPU = torch.device("cpu")


def recorded(actions_a: Sequence[int], actions_b: Sequence[int], lengths: Sequence[int]) -> Trajectories:
    """Episodes of these lengths; a observes 10 times its action, and 99 at the very end; b observes nothing."""
    steps, ends = sum(lengths), np.cumsum(lengths)
    seen = np.insert(10 * np.asarray(actions_a), ends, 99)
    columns = {
        "observations": {"a": seen, "b": np.zeros_like(seen)},
        "actions": {"a": np.asarray(actions_a), "b": np.asarray(actions_b)},
        "rewards": dict.fromkeys(AGENTS, np.zeros(steps)),
        "terminations": dict.fromkeys(AGENTS, np.isin(np.arange(steps) + 1, ends)),
        "truncations": dict.fromkeys(AGENTS, np.zeros(steps, dtype=bool)),
    }
    origin = Origin("toy", {}, {agent: {"observation": {}, "action": {}} for agent in AGENTS}, {"name": "hand"})
    return Trajectories(origin, **columns, episode_starts=ends - np.asarray(lengths))


def codes(num_actions: int) -> Codes:
    observations = {
        "a": FiniteSpace(Discrete(max(100, 10 * num_actions)), "x"),
        "b": FiniteSpace(Discrete(1), "x"),
    }
    return Codes(observations, {agent: FiniteSpace(Discrete(num_actions), "x") for agent in AGENTS})


def distinct(size: int, *, seeds: Sequence[int], batch_size: int) -> Demonstrations:
    """Transitions 0 to size - 1, told apart by their actions."""
    numbers = list(range(size))
    trajectories = recorded(numbers, numbers[::-1], [1] * size)
    return Demonstrations(trajectories, codes(size), seeds=seeds, batch_size=batch_size, device=CPU)


@pytest.mark.parametrize(("size", "batch_size"), [(96, 32), (100, 32), (33, 32), (5, 2), (7, 7)])
def test_every_transition_is_seen_once_before_any_is_seen_again(size: int, batch_size: int) -> None:
    demonstrations = distinct(size, seeds=[0, 1], batch_size=batch_size)
    seen = torch.cat([demonstrations.minibatch().actions["a"] for _ in range(5 * size // batch_size)], dim=1)
    for run in seen.tolist():
        passes = [run[first : first + size] for first in range(0, len(run) - size + 1, size)]
        assert len(passes) >= 4
        assert all(sorted(part) == list(range(size)) for part in passes)
        assert len({tuple(part) for part in passes}) == len(passes)  # in another order every time


def test_a_minibatch_keeps_what_belongs_together_and_weighs_it_equally() -> None:
    batch = distinct(100, seeds=[0, 1, 2], batch_size=32).minibatch()
    assert batch.actions["a"].shape == (3, 32)
    assert torch.equal(batch.actions["b"], 99 - batch.actions["a"])
    assert torch.equal(batch.observations["a"], 10 * batch.actions["a"])
    torch.testing.assert_close(batch.weight, torch.full((3, 32), 1 / 32))


def test_a_dataset_smaller_than_the_minibatch_is_seen_whole() -> None:
    demonstrations = distinct(5, seeds=[0], batch_size=32)
    for _ in range(3):
        batch = demonstrations.minibatch()
        assert sorted(batch.actions["a"][0].tolist()) == [0, 1, 2, 3, 4]
        torch.testing.assert_close(batch.weight, torch.full((1, 5), 0.2))


def test_a_runs_order_depends_on_its_seed_alone() -> None:
    together = distinct(50, seeds=[4, 9, 4], batch_size=8)
    alone = distinct(50, seeds=[9], batch_size=8)
    for _ in range(20):
        ours, theirs = together.minibatch().actions["a"], alone.minibatch().actions["a"]
        assert torch.equal(ours[1], theirs[0])
        assert torch.equal(ours[0], ours[2])
        assert not torch.equal(ours[0], ours[1])


def test_the_last_observation_of_an_episode_is_no_transition() -> None:
    trajectories = recorded([1, 2, 3, 4, 5, 6], [0] * 6, [3, 1, 2])
    batch = Demonstrations(trajectories, codes(7), seeds=[0], batch_size=6, device=CPU).minibatch()
    assert torch.equal(batch.observations["a"], 10 * batch.actions["a"])
    assert sorted(batch.actions["a"][batch.weight > 0].tolist()) == [1, 2, 3, 4, 5, 6]


def test_episodes_stay_whole_and_are_padded_to_the_longest() -> None:
    trajectories = recorded([1, 2, 3, 4, 5, 6], [0] * 6, [3, 1, 2])
    minibatch = Demonstrations(trajectories, codes(7), seeds=[0], batch_size=2, device=CPU).minibatch()
    actions, present = (values.reshape(2, 3) for values in (minibatch.actions["a"], minibatch.weight))
    assert minibatch.num_steps == 3
    episodes = [tuple(row[kept > 0].tolist()) for row, kept in zip(actions, present, strict=True)]
    assert set(episodes) < {(1, 2, 3), (4,), (5, 6)}
    total = sum(len(episode) for episode in episodes)
    torch.testing.assert_close(minibatch.weight[minibatch.weight > 0], torch.full((total,), 1 / total))


def test_exact_demonstrations_weigh_each_joint_transition_with_its_frequency() -> None:
    trajectories = recorded([0, 1, 1, 0, 1, 1, 0, 1], [0, 1, 1, 1, 1, 1, 0, 0], [1, 2, 5])
    batch = ExactDemonstrations(trajectories, codes(2), num_runs=3, device=CPU).minibatch()
    for run in range(3):
        cells = zip(*(batch.actions[agent][run].tolist() for agent in AGENTS), strict=True)
        assert dict(zip(cells, batch.weight[run].tolist(), strict=True)) == {
            (0, 0): 2 / 8,
            (0, 1): 1 / 8,
            (1, 0): 1 / 8,
            (1, 1): 4 / 8,
        }
    assert torch.equal(batch.observations["a"], 10 * batch.actions["a"])
    assert not batch.observations["b"].any()


def test_exact_demonstrations_are_what_the_sampled_ones_are_on_average() -> None:
    rng = np.random.default_rng(0)
    actions = rng.integers(3, size=(2, 60))
    trajectories = recorded(actions[0].tolist(), actions[1].tolist(), [1] * 60)
    exact = ExactDemonstrations(trajectories, codes(3), num_runs=1, device=CPU).minibatch()
    all_of_it = Demonstrations(trajectories, codes(3), seeds=[0], batch_size=60, device=CPU).minibatch()
    frequencies = []
    for batch in (exact, all_of_it):
        table = np.zeros((3, 3))
        np.add.at(table, tuple(batch.actions[agent][0].numpy() for agent in AGENTS), batch.weight[0].numpy())
        frequencies.append(table)
    np.testing.assert_allclose(*frequencies, atol=1e-6)


def test_a_value_outside_its_space_is_refused() -> None:
    with pytest.raises(InputError, match="value of a outside its space"):
        Demonstrations(recorded([0, 2], [0, 0], [1, 1]), codes(2), seeds=[0], batch_size=2, device=CPU)
