"""Perceptrons through the whole trainer: they learn, and their runs do not notice each other."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from magail_trainer.data.recording import record
from magail_trainer.data.trajectories import Trajectories
from magail_trainer.envs.registry import EnvEntry, resolve
from magail_trainer.errors import InputError
from magail_trainer.learn.config import MagailConfig
from magail_trainer.learn.discriminators import Discriminators, NeuralDiscriminator
from magail_trainer.learn.magail import discriminator_rewards
from magail_trainer.learn.runs import Runs
from magail_trainer.learn.trainer import Trainer
from magail_trainer.play.players import make_joint_policy
from magail_trainer.seeding import stream
from tests.magail_trainer.clock_env import AGENTS, SMALL, clock, clock_dataset, seeded
from tests.magail_trainer.toy_envs import DyingEnv, MaskedEnv

torch.set_num_threads(1)

State = dict[str, Tensor]


def trained(entry: EnvEntry, dataset: Trajectories | None, runs: Runs, config: MagailConfig, **spoil: float) -> State:
    """All that was learned. With `spoil`, a part of that name has this number in the first parameter of run 1."""
    trainer = Trainer(entry, dataset, runs, config)
    for name, number in spoil.items():
        next(iter(trainer.modules[name].parameters())).data[1] = number
    for _ in trainer.train():
        pass
    parts = {name: module.state_dict() for name, module in trainer.modules.items()}
    return {f"{part}.{name}": values for part, state in parts.items() for name, values in state.items()}


def assert_equal_runs(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], *places: tuple[int, int]) -> None:
    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        for mine, other in places:
            assert torch.equal(values[mine], theirs[name][other]), name


VARIANTS = {
    "all at once": SMALL,
    "own judges": replace(
        SMALL, discriminator="own_view_joint_action", critic="decentralised", share_parameters="none"
    ),
    "reinforce": replace(SMALL, critic="none", clip=0.0, policy_epochs=1, warm_start=0, cloning=0.0),
}


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("continuous", [False, True])
def test_a_run_does_not_notice_that_its_neighbours_are_others(name: str, continuous: bool) -> None:  # noqa: FBT001
    entry = clock(continuous=continuous)
    dataset, config = clock_dataset(entry), VARIANTS[name]
    first = trained(entry, dataset, seeded(4, 0, 1), config)
    second = trained(entry, dataset, seeded(7, 0, 9), config)
    assert_equal_runs(first, second, (1, 1))
    moved = trained(entry, dataset, seeded(0, 30, 31), config)
    assert_equal_runs(first, moved, (1, 0))
    learnt = next(values for part, values in first.items() if "network" in part)
    assert not torch.equal(learnt[0], learnt[1])


@pytest.mark.parametrize("part", ["policies", "discriminator", "critic"])
def test_a_nan_in_one_run_leaves_the_others_bit_identical(part: str) -> None:
    entry, config = clock(), SMALL
    dataset, runs = clock_dataset(entry), seeded(0, 1, 2)
    healthy, spoilt = trained(entry, dataset, runs, config), trained(entry, dataset, runs, config, **{part: np.nan})
    assert_equal_runs(healthy, spoilt, (0, 0), (2, 2))
    assert all(values[1].isfinite().all() for values in spoilt.values())


def env_seed(seed: int, episode: int, episodes: int) -> int:
    """With which a first collection resets a copy."""
    block = int(stream(seed, "rollouts", "env").random(1, dtype=np.float32)[0] * (2**31 // episodes))
    return block * episodes + episode


def accuracy(trainer: Trainer, dataset: Trajectories) -> np.ndarray:
    """How probable the expert's action is at the least, `[R]`."""
    trainer_batch = trainer.demonstrations().all
    distributions = trainer.policies(trainer_batch.observations)
    log_probs = [distributions[agent].log_prob(trainer_batch.actions[agent]) for agent in AGENTS]
    return torch.stack(log_probs).amin((0, 2)).exp().detach().numpy()


LEARNING = replace(
    SMALL, epochs=80, rollout_episodes=32, batch_size=16, hidden=(32,), lr_policy=0.03, policy_epochs=4, warm_start=0,
    warm_critic=0, cloning=0.0, gradient_penalty=0.02,
)  # fmt: skip


@pytest.mark.slow
def test_learns_what_the_expert_does_without_cloning() -> None:
    dataset = clock_dataset(clock())
    trainer = Trainer(clock(), dataset, seeded(0, 1, beta=0.0), LEARNING)
    returns = [record.metrics["return/a"] for record in trainer.train()]
    assert (returns[0] < 2.5).all()  # of 4; by chance 4/3
    assert (returns[-1] > 3.5).all()


@pytest.mark.slow
def test_learns_numbers_that_the_expert_plays() -> None:
    entry = clock(continuous=True)
    dataset = clock_dataset(entry)
    trainer = Trainer(entry, dataset, seeded(0, 1, beta=0.0), LEARNING)
    returns = [record.metrics["return/a"] for record in trainer.train()]
    assert (returns[0] < -5).all()
    assert (returns[-1] > -2).all()


@pytest.mark.parametrize("critic", ["none", "centralised"])
def test_trains_with_every_joint_action_of_a_one_step_env(critic: Any) -> None:
    entry = resolve("coordination_env:coordination/matching-v0")
    dataset = record(entry, make_joint_policy("joint", entry, {"joint": [[0.0, 1.0], [0.0, 0.0]]}), episodes=20, seed=0)
    config = replace(
        SMALL, critic=critic, exact=True, gradient_penalty=0.0, epochs=20, lr_policy=0.1, lr_disc=0.03, hidden=(16,)
    )
    trainer = Trainer(entry, dataset, seeded(0, 1), config)
    *_, last = trainer.train()
    assert (last.rollout.batch.weight[:, 1] > 0.9).all()  # agent_0 plays A, agent_1 plays B


def test_cloning_trains_policies_alone() -> None:
    dataset = clock_dataset(clock())
    config = replace(SMALL, lr_cloning=0.05)
    trainer = Trainer(clock(), dataset, seeded(0, 1), config, algorithm="cloning", updates=80)
    records = list(trainer.clone())
    assert (accuracy(trainer, dataset) > 0.5).all()
    assert (records[-1].loss < records[0].loss / 4).all()
    assert set(trainer.modules) == {"policies"}


@pytest.mark.slow
def test_learns_from_the_envs_own_rewards_where_there_is_no_expert() -> None:
    trainer = Trainer(clock(), None, seeded(0, 1, beta=0.0), LEARNING)
    records = list(trainer.train())
    assert (records[-1].metrics["return/a"] + records[-1].metrics["return/b"] > 7).all()  # of 8; by chance 8/3
    assert set(trainer.modules) == {"policies", "critic"}
    assert list(records[0].losses) == ["policy_loss"]


def test_what_is_rewarded_is_what_was_judged() -> None:
    # A judge that knows the right action by heart: after training, the (observation, action) pairs of the expert earn
    # more than the same observations with the actions of one step before.
    dataset = clock_dataset(clock())
    trainer = Trainer(clock(), dataset, seeded(0, 1), replace(SMALL, epochs=5, disc_updates=20, hidden=(32,)))
    seen: list[Tensor] = []
    assert isinstance(trainer.discriminator, Discriminators)
    (judge,) = trainer.discriminator.judges.values()
    assert isinstance(judge, NeuralDiscriminator)
    judge.network.register_forward_hook(lambda _module, inputs, _out: seen.append(inputs[0].detach()))
    for record_of_epoch in trainer.train():
        rollout = record_of_epoch.rollout
        played = rollout.part(slice(-SMALL.batch_size * SMALL.policy_minibatches, None)).batch
        assert torch.equal(seen[-1], judge.inputs(played))  # the last that it was asked about in this epoch
    expert = trainer.demonstrations().all
    shifted = replace(expert, actions={agent: values.roll(1, dims=1) for agent, values in expert.actions.items()})
    right, wrong = (
        discriminator_rewards(trainer.discriminator, batch, trainer.reward)["a"] for batch in (expert, shifted)
    )
    assert (right.mean(1) > wrong.mean(1) + 1).all()


VARIABLE = (
    " Adversarial imitation then rewards the length by itself: a reward that is always positive tells the policies to "
    "live long, a negative one to end soon. Make the env's episodes equally long, or add --allow_variable_horizon."
)


def test_episodes_of_unequal_length_are_refused_and_allowed_on_request() -> None:
    entry = clock(spread=3)
    dataset = clock_dataset(entry)
    with pytest.raises(InputError) as refusal:
        Trainer(entry, dataset, seeded(0), SMALL)
    assert str(refusal.value) == "The episodes last from 1 to 4 steps for the expert." + VARIABLE
    lengths = []
    for episode in range(SMALL.rollout_episodes):
        env = entry.make()
        env.reset(seed=env_seed(0, episode, SMALL.rollout_episodes))
        lengths.append(env._length)  # type: ignore[attr-defined]
    longest, equal = max(lengths), dataset[:1]
    with pytest.raises(InputError) as refusal:
        list(Trainer(entry, equal, seeded(0), SMALL).train())
    played = f"from 1 to {longest} steps for the learner and {equal.lengths[0]} for the expert."
    assert str(refusal.value) == f"The episodes last {played}" + VARIABLE
    state = trained(entry, dataset, seeded(0, 1), replace(SMALL, allow_variable_horizon=True))
    assert all(values.isfinite().all() for values in state.values())
    assert list(Trainer(entry, None, seeded(0), SMALL).train())  # own rewards may come in any length


@pytest.mark.parametrize("critic", ["none", "centralised", "decentralised"])
@pytest.mark.parametrize(
    "entry",
    [EnvEntry("dying", DyingEnv), EnvEntry("masked", MaskedEnv, {"in_infos": True})],
    ids=lambda entry: entry.id,
)
def test_trains_with_agents_that_leave_and_with_masks(entry: EnvEntry, critic: Any) -> None:
    expert = make_joint_policy("random", entry, {})
    dataset = record(entry, expert, episodes=10, seed=0)
    config = replace(SMALL, critic=critic)
    state = trained(entry, dataset, seeded(0, 1), config)
    assert all(values.isfinite().all() for values in state.values())


def test_runs_of_one_seed_differ_by_their_entropy_bonus_alone() -> None:
    dataset = clock_dataset(clock())
    # With a weight of 0 for both, nothing would tell runs 0 and 2 apart.
    alike = trained(clock(), dataset, Runs.grid(betas=(0.0, 1e-30), seeds=(3, 4)), SMALL)
    assert_equal_runs(alike, alike, (0, 2), (1, 3))
    state = trained(clock(), dataset, Runs.grid(betas=(0.0, 5.0), seeds=(3, 4)), SMALL)
    name = next(name for name in state if name.startswith("policies") and "weights" in name)
    assert not torch.equal(state[name][0], state[name][2])


def test_a_short_training_still_trains_the_policies() -> None:
    """The policies wait for the critic during half of the epochs at most, and not where nothing was warm-started."""
    entry, dataset = clock(), clock_dataset(clock())
    for trajectories, config in ((dataset, replace(SMALL, epochs=2, warm_critic=10)), (None, SMALL)):
        trainer = Trainer(entry, trajectories, seeded(0, 1), replace(config, warm_critic=10))
        records = trainer.train()
        next(records)
        after_one = [parameter.clone() for parameter in trainer.policies.parameters()]
        next(records)
        assert not any(torch.equal(*pair) for pair in zip(after_one, trainer.policies.parameters(), strict=True))
