"""Every env of mpe2, and some of VMAS, trains for a few updates from what a random joint policy did in it."""

import pkgutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from magail_trainer.data.recording import record
from magail_trainer.envs.registry import resolve
from magail_trainer.learn.config import DiscriminatorStyle, MagailConfig
from magail_trainer.learn.runs import Runs
from magail_trainer.learn.trainer import Trainer
from magail_trainer.play.check_env import check_env
from magail_trainer.play.players import make_joint_policy

mpe2 = pytest.importorskip("mpe2")
ENVS = sorted(module.name for module in pkgutil.iter_modules(mpe2.__path__) if module.name.startswith("simple"))
FEW = replace(
    MagailConfig(network="mlp"),
    epochs=2,
    rollout_episodes=4,
    batch_size=2,
    policy_minibatches=2,
    hidden=(16,),
    warm_start=3,
    warm_critic=0,
    disc_updates=2,
)


def learns(env_id: str, kwargs: dict[str, object], style: DiscriminatorStyle = "joint") -> bool:
    """Record, train a little, and see whether everything is finite and every run of every policy has moved."""
    entry = resolve(env_id, kwargs)
    assert not check_env(entry, steps=1).refusals
    dataset = record(entry, make_joint_policy("random", entry, {}), episodes=3, seed=0)
    trainer = Trainer(entry, dataset, Runs.grid(betas=(0.01,), seeds=(0, 1)), replace(FEW, discriminator=style))
    start = {name: value.clone() for name, value in trainer.policies.named_parameters()}
    *_, last = trainer.train()
    after = dict(trainer.policies.named_parameters())
    moved = all((after[name] != before).flatten(1).any(1).all() for name, before in start.items())
    return moved and all(torch.isfinite(value).all() for value in (*last.metrics.values(), *after.values()))


def test_there_are_a_dozen_envs() -> None:
    assert len(ENVS) >= 10


@pytest.mark.slow
@pytest.mark.parametrize("continuous", [False, True])
@pytest.mark.parametrize("name", ENVS)
def test_an_mpe_env_trains(name: str, continuous: bool) -> None:  # noqa: FBT001
    assert learns(f"mpe2.{name}", {"continuous_actions": continuous, "max_cycles": 8})


@pytest.mark.slow
@pytest.mark.parametrize("style", ["per_agent", "own_view_joint_action"])
def test_unlike_agents_train_with_judges_of_their_own(style: DiscriminatorStyle) -> None:
    assert learns("mpe2.simple_speaker_listener_v4", {"max_cycles": 8}, style)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["simple_push_v3", "simple_tag_v3"])
def test_two_sides_train_with_a_zero_sum_judge(name: str) -> None:
    assert learns(f"mpe2.{name}", {"max_cycles": 8}, "zero_sum")


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["simple_spread", "balance"])
def test_a_vmas_scenario_trains(scenario: str) -> None:
    pytest.importorskip("vmas")
    assert learns(f"vmas:{scenario}", {"max_steps": 8})


def test_the_twin_of_an_mpe_env_trains_as_the_env_itself() -> None:
    """The same dataset, copies and seeds: what is learnt does not depend on how the copies are stepped."""
    learnt = []
    for env_id in ("mpe2.simple_spread_v3", "experiments.mpe_envs.simple_spread"):
        entry = resolve(env_id, {"max_cycles": 6})
        dataset = record(entry, make_joint_policy("random", entry, {}), episodes=3, seed=0, num_envs=1)
        trainer = Trainer(entry, dataset, Runs.grid(betas=(0.01,), seeds=(0, 1)), FEW)
        for _ in trainer.train():
            pass
        learnt.append(torch.cat([value.flatten() for value in trainer.policies.parameters()]).detach().numpy())
    np.testing.assert_array_equal(*learnt)
