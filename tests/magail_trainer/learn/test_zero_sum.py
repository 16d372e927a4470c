"""The zero-sum discriminator: who plays against whom, what is mixed with what, and who is paid for it."""

from collections.abc import Mapping
from dataclasses import replace
from math import exp, log

import numpy as np
import pytest
import torch
from torch import Tensor

from magail_trainer.data.recording import record
from magail_trainer.envs.registry import resolve
from magail_trainer.errors import InputError
from magail_trainer.learn.agent_policies import TabularPolicy
from magail_trainer.learn.batch import Batch
from magail_trainer.learn.config import RewardStyle
from magail_trainer.learn.discriminators import Discriminators, TableDiscriminator, View, make_discriminator
from magail_trainer.learn.encoders import Codes
from magail_trainer.learn.losses import REWARDS, discriminator_loss
from magail_trainer.learn.magail import discriminator_rewards
from magail_trainer.learn.networks import Table
from magail_trainer.learn.policies import IndependentPolicies
from magail_trainer.learn.runs import Runs
from magail_trainer.learn.trainer import Trainer
from magail_trainer.learn.zero_sum import MixedPlay, expert_against_learner, two_sides
from magail_trainer.play.players import make_joint_policy
from tests.magail_trainer.clock_env import AGENTS, SMALL, clock, clock_dataset, seeded, tabular

torch.set_num_threads(1)

TAG = ("adversary_0", "adversary_1", "adversary_2", "agent_0")


@pytest.mark.parametrize(
    ("agents", "flag", "sides"),
    [
        (("a", "b"), "", (("a",), ("b",))),
        (("agent_0", "agent_1"), "", (("agent_0",), ("agent_1",))),
        (TAG, "", (TAG[:3], TAG[3:])),
        (TAG, "agent_0:adversary_2,adversary_0,adversary_1", (TAG[3:], ("adversary_2", "adversary_0", "adversary_1"))),
        (("x", "y", "z"), "x,z:y", (("x", "z"), ("y",))),
    ],
)
def test_the_sides_are_named_or_told_by_the_names(agents: tuple[str, ...], flag: str, sides: object) -> None:
    assert two_sides(agents, flag) == sides


@pytest.mark.parametrize(
    ("agents", "flag", "reason"),
    [
        (("p_0", "p_1", "p_2"), "", "name with --sides each of p_0, p_1, p_2 once, such as p_0:p_1,p_2."),
        (("x", "y", "z"), "", "needs two sides, which the names x, y, z do not tell"),
        (("alone",), "", "there is one agent"),
        (("a", "b"), "a", "--sides is 'a'; expected two groups that name each of a, b once, such as a:b."),
        (("a", "b", "c"), "a:b:c", "expected two groups"),
        (("a", "b", "c"), "a:b", "expected two groups"),
        (("a", "b"), "a,a:b", "expected two groups"),
        (("a", "b"), "a:b,d", "expected two groups"),
    ],
)
def test_sides_that_cannot_be_told_are_asked_for(agents: tuple[str, ...], flag: str, reason: str) -> None:
    with pytest.raises(InputError) as refusal:
        two_sides(agents, flag)
    assert reason in str(refusal.value)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({"sides": "a:b"}, "needs --discriminator zero_sum"), ({"discriminator": "zero_sum", "exact": True}, "--exact")],
)
def test_settings_that_do_not_go_together(settings: dict, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        tabular(**settings)


def tables(logits: Mapping[str, Tensor]) -> IndependentPolicies:
    return IndependentPolicies({agent: TabularPolicy(values) for agent, values in logits.items()})


def sure_of(action: int, *, num_actions: int = 2, runs: int = 1) -> Tensor:
    """Logits of a policy that always takes one action."""
    return torch.full((runs, 1, num_actions), -1e9).index_fill(2, torch.tensor([action]), 0.0)


def played(*actions: list[int]) -> Batch:
    """One run in which each of `AGENTS` did this."""
    columns = {agent: torch.tensor([values]) for agent, values in zip(AGENTS, actions, strict=True)}
    samples = len(actions[0])
    weight = torch.full((1, samples), 1 / samples)
    return Batch({agent: torch.zeros_like(values) for agent, values in columns.items()}, columns, weight)


def judge_with(logits: list[float]) -> Discriminators:
    """The joint judge of two agents with two actions, opposed to the second."""
    sizes = dict.fromkeys(AGENTS, 1), dict.fromkeys(AGENTS, 2)
    table = TableDiscriminator(Table(torch.tensor([logits])), View(AGENTS, AGENTS), *sizes)
    return Discriminators({"zero_sum": table}, dict.fromkeys(AGENTS, "zero_sum"), opposed=AGENTS[1:])


def test_the_loss_by_hand() -> None:
    # The expert plays (0, 1) and (1, 1); the learner's a always 1, its b always 0. So E with π is (0, 0) and (1, 0),
    # high, and π with E is (1, 1) twice, low.
    policies = tables({"a": sure_of(1), "b": sure_of(0)})
    expert, learner = played([0, 1], [1, 1]), played([1], [0])
    high, low = MixedPlay((("a",), ("b",)), seeds=[0])(policies, expert, learner)
    assert [high.actions[agent].tolist() for agent in AGENTS] == [[[0, 1]], [[0, 0]]]
    assert [low.actions[agent].tolist() for agent in AGENTS] == [[[1, 1]], [[1, 1]]]
    discriminator = judge_with([0.5, 9.0, -1.0, 2.0])  # of (0, 0), (0, 1), (1, 0) and (1, 1)
    logits = [discriminator(batch)["zero_sum"] for batch in (high, low)]
    loss = discriminator_loss(logits[0], high.weight, logits[1], low.weight)
    by_hand = (log(1 + exp(-0.5)) + log(1 + exp(1.0))) / 2 + log(1 + exp(2.0))
    assert loss.item() == pytest.approx(by_hand)


@pytest.mark.parametrize("style", REWARDS)
def test_what_one_side_is_paid_the_other_pays(style: RewardStyle) -> None:
    rewards = discriminator_rewards(judge_with([0.5, 9.0, -1.0, 2.0]), played([0, 0, 1], [0, 1, 0]), REWARDS[style])
    assert torch.equal(rewards["a"], REWARDS[style](torch.tensor([[0.5, 9.0, -1.0]])))
    assert torch.equal(rewards["a"] + rewards["b"], torch.zeros(1, 3))


def test_several_agents_to_a_side() -> None:
    agents: tuple[str, ...] = ("x", "y", "z")
    policies = tables({agent: sure_of(2, num_actions=3) for agent in agents})
    zeros = {agent: torch.zeros(1, 4, dtype=torch.int64) for agent in agents}
    expert = Batch(zeros, zeros, torch.full((1, 4), 0.25))
    high, low = MixedPlay((("x", "z"), ("y",)), seeds=[0])(policies, expert, expert)
    assert [high.actions[agent][0, 0].item() for agent in agents] == [0, 2, 0]
    assert [low.actions[agent][0, 0].item() for agent in agents] == [2, 0, 2]


def test_the_learner_draws_from_its_policy_and_a_run_in_any_company_alike() -> None:
    logits = torch.tensor([[[0.0, 1.0]], [[2.0, 0.0]]])
    expert = played([0] * 4000, [0] * 4000)
    both = replace(
        expert,
        observations={agent: values.expand(2, -1) for agent, values in expert.observations.items()},
        actions={agent: values.expand(2, -1) for agent, values in expert.actions.items()},
        weight=expert.weight.expand(2, -1),
    )
    mixed, alone = MixedPlay((("a",), ("b",)), seeds=[3, 5]), MixedPlay((("a",), ("b",)), seeds=[5])
    for _ in range(2):
        high, low = mixed(tables(dict.fromkeys(AGENTS, logits)), both, both)
        share = torch.stack([high.actions["b"].float().mean(1), low.actions["a"].float().mean(1)])
        torch.testing.assert_close(share, logits.softmax(-1)[:, 0, 1].expand(2, -1), atol=0.03, rtol=0)
        assert not torch.equal(high.actions["b"], low.actions["a"])
        single = alone(tables(dict.fromkeys(AGENTS, logits[1:])), expert, expert)
        assert torch.equal(single[0].actions["b"][0], high.actions["b"][1])
        assert torch.equal(single[1].actions["a"][0], low.actions["a"][1])


def test_action_masks_are_refused() -> None:
    policies, expert = tables({"a": sure_of(1), "b": sure_of(0)}), played([0], [1])
    masked = replace(expert, masks={"b": torch.ones(1, 1, 2).bool()})
    with pytest.raises(InputError, match=r"which actions b was allowed there is not recorded"):
        MixedPlay((("a",), ("b",)), seeds=[0])(policies, expert, masked)
    assert expert_against_learner(policies, expert, masked) == (expert, masked)


def test_the_discriminator_is_opposed_to_the_second_side() -> None:
    codes = Codes.of(clock(), network="mlp")
    for flag, opposed in (("", ("b",)), ("b:a", ("a",))):
        config = replace(SMALL, discriminator="zero_sum", sides=flag)
        assert make_discriminator(codes, seeded(0), config).opposed == opposed
    assert make_discriminator(codes, seeded(0), SMALL).opposed == ()


@pytest.mark.parametrize("continuous", [False, True])
def test_perceptrons_train_with_it(continuous: bool) -> None:  # noqa: FBT001
    config = replace(SMALL, discriminator="zero_sum", sides="b:a")
    entry = clock(continuous=continuous)
    trainer = Trainer(entry, clock_dataset(entry), seeded(0, 1), config)
    records = list(trainer.train())
    assert all(torch.isfinite(value).all() for record in records for value in record.losses.values())


@pytest.mark.parametrize("game", ["matching_pennies", "rock_paper_scissors"])
def test_tables_learn_how_the_expert_of_a_zero_sum_game_mixes(game: str) -> None:
    entry = resolve(f"coordination_env:coordination/{game}-v0")
    dataset = record(entry, make_joint_policy("mixed", entry, {}), episodes=1000, seed=0)
    config = tabular(epochs=75, discriminator="zero_sum", lr_policy=0.03, lr_disc=0.2, batch_size=200)
    trainer = Trainer(entry, dataset, Runs.grid(betas=(0.0,), seeds=range(3)), config)
    tilt = torch.tensor([1.5, 0.0, 0.0][: 2 if game == "matching_pennies" else 3])
    for policy in trainer.policies.policies.values():
        policy.logits.data += tilt  # type: ignore[operator]

    def nash_conv() -> np.ndarray:
        """What the agents could gain at most by other policies: 0 at the equilibrium alone, `[R]`."""
        first, second = (
            trainer.policies.policies[agent].logits.detach().softmax(-1)[:, 0].double().numpy()  # type: ignore[union-attr, operator]
            for agent in trainer.policies.agents
        )
        size = first.shape[1]
        payoff = 2 * np.eye(2) - 1 if size == 2 else np.roll(np.eye(3), -1, axis=0) - np.roll(np.eye(3), 1, axis=0)
        return (second @ payoff.T).max(-1) - (first @ payoff).min(-1)

    assert nash_conv().min() > 0.9
    for _ in trainer.train():
        pass
    assert nash_conv().max() < 0.2
