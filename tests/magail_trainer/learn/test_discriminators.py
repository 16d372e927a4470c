"""What each style of discriminator sees, and what it does not."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from magail_trainer.data.joint_policies import RandomJointPolicy
from magail_trainer.data.recording import record
from magail_trainer.envs.registry import EnvEntry
from magail_trainer.learn.batch import Batch, equal_weights
from magail_trainer.learn.config import DiscriminatorStyle, MagailConfig
from magail_trainer.learn.discriminators import (
    Discriminator,
    Discriminators,
    NeuralDiscriminator,
    TableDiscriminator,
    View,
    make_discriminator,
    view_size,
    views,
)
from magail_trainer.learn.encoders import Codes
from magail_trainer.learn.losses import REWARDS, discriminator_loss
from magail_trainer.learn.magail import discriminator_rewards
from magail_trainer.learn.networks import Normalizer, Perceptron, Table, fit_normalizers
from magail_trainer.learn.optimizers import RunAdam
from magail_trainer.learn.trainer import Trainer
from magail_trainer.seeding import stream
from tests.magail_trainer.clock_env import AGENTS, SMALL, clock, generator, seeded
from tests.magail_trainer.toy_envs import DyingEnv

torch.set_num_threads(1)

STYLES: Sequence[DiscriminatorStyle] = ("joint", "per_agent", "own_view_joint_action")


def some_batch(*, continuous: bool, samples: int = 6, seed: int = 0) -> Batch:
    noise = generator(seed)
    observations = {agent: torch.randn(2, samples, 3, generator=noise) for agent in AGENTS}
    actions = {
        agent: torch.randn(2, samples, 1, generator=noise)
        if continuous
        else torch.randint(3, (2, samples), generator=noise)
        for agent in AGENTS
    }
    return Batch(observations, actions, torch.full((2, samples), 1 / samples))


def make(style: DiscriminatorStyle, *, continuous: bool = False) -> Discriminators:
    codes = Codes.of(clock(continuous=continuous), network="mlp")
    return make_discriminator(codes, seeded(0, 1), replace(SMALL, discriminator=style))


def changed(batch: Batch, part: str, agent: str) -> Batch:
    """The batch with other observations or actions of one agent in its first sample."""
    columns = dict(getattr(batch, part))
    values = columns[agent].clone()
    values[:, 0] = (values[:, 0] + 1) % 3 if values.ndim == 2 else 0.1 - values[:, 0] / 2
    return replace(batch, **{part: columns | {agent: values}})


SEES = {
    "joint": {"joint": {("observations", "a"), ("observations", "b"), ("actions", "a"), ("actions", "b")}},
    "per_agent": {agent: {("observations", agent), ("actions", agent)} for agent in AGENTS},
    "own_view_joint_action": {agent: {("observations", agent), ("actions", "a"), ("actions", "b")} for agent in AGENTS},
}


@pytest.mark.parametrize("continuous", [False, True])
@pytest.mark.parametrize("style", STYLES)
def test_a_judge_sees_what_its_style_shows_it_and_nothing_else(
    style: DiscriminatorStyle,
    continuous: bool,  # noqa: FBT001
) -> None:
    discriminator, batch = make(style, continuous=continuous), some_batch(continuous=continuous)
    before = discriminator(batch)
    assert set(before) == set(SEES[style])
    for part in ("observations", "actions"):
        for agent in AGENTS:
            after = discriminator(changed(batch, part, agent))
            for judge, logit in before.items():
                noticed = (after[judge] != logit).any(0)
                assert not noticed[1:].any()
                assert bool(noticed[0]) == ((part, agent) in SEES[style][judge]), (judge, part, agent)


@pytest.mark.parametrize("style", STYLES)
def test_tables_see_the_same(style: DiscriminatorStyle) -> None:
    codes = Codes.of(clock(), network="mlp")
    finite = Codes(codes.finite_actions, codes.finite_actions)  # three observations
    discriminator = make_discriminator(finite, seeded(0, 1), MagailConfig(network="tabular", discriminator=style))
    assert isinstance(discriminator, Discriminator)
    noise = generator()
    for parameter in discriminator.parameters():
        parameter.data = torch.randn(parameter.shape, generator=noise)
    rows = torch.randint(3, (2, 2, 2, 6), generator=noise)
    observations, actions = (dict(zip(AGENTS, part, strict=True)) for part in rows)
    batch = Batch(observations, actions, torch.full((2, 6), 1 / 6))
    before = discriminator(batch)
    for part in ("observations", "actions"):
        for agent in AGENTS:
            after = discriminator(changed(batch, part, agent))
            for judge, logit in before.items():
                noticed = (after[judge] != logit).any(0)
                assert bool(noticed[0]) == ((part, agent) in SEES[style][judge])
                assert not noticed[1:].any()


@pytest.mark.parametrize("style", STYLES)
def test_every_agent_is_rewarded_by_its_judge(style: DiscriminatorStyle) -> None:
    discriminator, batch = make(style), some_batch(continuous=False)
    assert discriminator.rewarded_by == ({"a": "joint", "b": "joint"} if style == "joint" else {"a": "a", "b": "b"})
    logits = discriminator(batch)
    rewards = discriminator_rewards(discriminator, batch, REWARDS["gail"])
    for agent in AGENTS:
        assert torch.equal(rewards[agent], REWARDS["gail"](logits[discriminator.rewarded_by[agent]]))
        assert not rewards[agent].requires_grad


def test_views_and_their_sizes() -> None:
    seen, rewarded_by = views("own_view_joint_action", AGENTS)
    assert list(rewarded_by) == list(AGENTS)
    assert (list(seen["b"].observations_of), list(seen["b"].actions_of)) == (["b"], ["a", "b"])
    codes = Codes.of(clock(), network="mlp")
    assert [view_size(view, codes) for view in seen.values()] == [9, 9]
    assert view_size(views("joint", AGENTS)[0]["joint"], codes) == 12


def linear(weight: Tensor, *, continuous: bool = False) -> Discriminators:
    """One judge of `a` alone whose logit is a linear function of its features: three observed, then the action."""
    codes = Codes.of(clock(continuous=continuous), network="mlp")
    network = Perceptron((len(weight), 1), [stream(0, "x")], last_scale=1.0)
    network.weights[0].data = weight.view(1, -1, 1)
    normalizers = {agent: Normalizer(1, 3) for agent in AGENTS}
    judge = NeuralDiscriminator(network, View(("a",), ("a",)), codes, normalizers)
    return Discriminators({"a": judge}, dict.fromkeys(AGENTS, "a"))


def test_a_linear_judge_by_hand() -> None:
    discriminator = linear(torch.tensor([1.0, 2.0, 3.0, 10.0, 20.0, 30.0]))
    features = torch.tensor([[[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]])
    batch = Batch({"a": features}, {"a": torch.tensor([[2, 0]])}, torch.tensor([[0.5, 0.5]]))
    assert discriminator(batch)["a"].tolist() == [[31, 16]]
    gone = replace(batch, active={"a": torch.tensor([[True, False]])})
    assert discriminator(gone)["a"].tolist() == [[31, 6]]  # who has left does nothing


def test_the_gradient_penalty_of_a_linear_judge_by_hand() -> None:
    discriminator = linear(torch.tensor([1.0, 2.0, 2.0, 4.0]), continuous=True)  # of norm 5
    batch = Batch({"a": torch.zeros(1, 3, 3)}, {"a": torch.zeros(1, 3, 1)}, torch.full((1, 3), 1 / 3))
    penalty = discriminator.gradient_penalty(batch, batch)
    assert penalty.item() == pytest.approx(16)
    (weights,) = discriminator.judges["a"].network.weights  # type: ignore[union-attr, misc]
    (gradient,) = torch.autograd.grad(penalty.sum(), weights)
    # d(‖w‖ - 1)²/dw = 2 (‖w‖ - 1) w / ‖w‖
    torch.testing.assert_close(gradient.flatten(), 8 / 5 * torch.tensor([1.0, 2.0, 2.0, 4.0]))


def test_the_gradient_penalty_is_of_places_between_expert_and_learner_without_what_pads() -> None:
    discriminator = make("joint")
    (network,) = (judge.network for judge in discriminator.judges.values())
    seen: list[Tensor] = []
    network.register_forward_hook(lambda _module, inputs, _out: seen.append(inputs[0].detach()))  # type: ignore[operator]
    expert, learner = some_batch(continuous=False, seed=1), some_batch(continuous=False, samples=9, seed=2)
    whole = discriminator.gradient_penalty(expert, learner)
    judge = discriminator.judges["joint"]
    ends = [judge.inputs(batch)[:, :6] for batch in (expert, learner)]  # type: ignore[operator]
    share = ((seen[0] - ends[0]) / (ends[1] - ends[0])).nanmedian(-1).values
    torch.testing.assert_close(seen[0], torch.lerp(ends[0], ends[1], share.unsqueeze(-1)), atol=1e-5, rtol=1e-4)
    assert (share >= -1e-5).all()
    assert (share < 1).all()
    assert share[0].std() > 0.2
    padded = replace(expert, weight=equal_weights(torch.tensor([[1, 1, 1, 1, 1, 0]] * 2) > 0))
    spoilt = {agent: values.clone() for agent, values in expert.observations.items()}
    for values in spoilt.values():
        values[:, 5] = 1e3
    assert torch.equal(
        discriminator.gradient_penalty(padded, learner),
        discriminator.gradient_penalty(replace(padded, observations=spoilt), learner),
    )
    assert not torch.equal(whole, discriminator.gradient_penalty(padded, learner))


def test_what_has_left_drew_does_not_matter_to_any_judge() -> None:
    batch = replace(some_batch(continuous=False), active={"a": torch.ones(2, 6).bool(), "b": torch.zeros(2, 6).bool()})
    for style in STYLES:
        discriminator = make(style)
        before, after = discriminator(batch), discriminator(changed(batch, "actions", "b"))
        assert all(torch.equal(before[judge], after[judge]) for judge in before)


def test_normalisers_are_fitted_to_what_each_agent_observes() -> None:
    discriminator, batch = make("joint"), some_batch(continuous=False)
    fit_normalizers(discriminator, batch)
    judge = discriminator.judges["joint"]
    for index, agent in enumerate(AGENTS):
        seen = judge.inputs(batch)[..., 3 * index : 3 * index + 3]  # type: ignore[operator]
        torch.testing.assert_close(seen.mean(1), torch.zeros(2, 3), atol=1e-6, rtol=0)
        torch.testing.assert_close(seen.std(1, correction=0), torch.ones(2, 3))
        torch.testing.assert_close(judge.normalizers[agent].mean, batch.observations[agent].mean(1, keepdim=True))  # type: ignore[index, union-attr]


def test_a_joint_judge_can_tell_what_per_agent_judges_cannot() -> None:
    # The expert's actions always match, the learner's never do; each agent by itself plays both alike.
    first = torch.tensor([[0, 1, 0, 1]])
    zeros = dict.fromkeys(AGENTS, torch.zeros(1, 4, 3))
    weight = torch.full((1, 4), 0.25)
    expert, learner = Batch(zeros, {"a": first, "b": first}, weight), Batch(zeros, {"a": first, "b": 1 - first}, weight)
    losses = {}
    for style in STYLES:
        codes = Codes.of(clock(), network="mlp")
        discriminator = make_discriminator(codes, seeded(0), replace(SMALL, discriminator=style, hidden=(16,)))
        optimizer = RunAdam(discriminator.parameters(), torch.tensor([0.1]))
        loss = torch.zeros(1)
        for _ in range(40):
            logits = zip(discriminator(expert).values(), discriminator(learner).values(), strict=True)
            parts = [discriminator_loss(mine, weight, theirs, weight) for mine, theirs in logits]
            loss = torch.stack(parts).mean(0)
            optimizer.descend(loss)
        losses[style] = loss.item()
    assert losses["joint"] < 0.1
    assert losses["own_view_joint_action"] < 0.1
    assert losses["per_agent"] == pytest.approx(1.3863, abs=0.02)  # 2 log 2: no better than a guess


def test_discriminators_are_a_module_of_their_judges() -> None:
    assert isinstance(make("joint"), nn.Module)
    assert len(list(make("per_agent").parameters())) == 2 * 4


class Renamed(DyingEnv):
    """The first agent, which leaves first, has a name of our choice."""

    def __init__(self, name: str) -> None:
        super().__init__((2, 4))
        self.possible_agents = [name, "z"]
        self._lengths = {name: 2, "z": 4}
        self._index = {name: 0, "z": 1}


def test_the_joint_discriminator_takes_no_heed_of_an_agent_called_joint() -> None:
    config = replace(SMALL, discriminator="joint", policy_init_uniform=True, epochs=1, warm_start=0, cloning=0.0)
    trained = []
    for name in ("joint", "other"):
        entry = EnvEntry("renamed", partial(Renamed, name))
        dataset = record(entry, RandomJointPolicy(entry.make()), episodes=8, seed=0)
        trainer = Trainer(entry, dataset, seeded(0, 1), config)
        for _ in trainer.train():
            pass
        trained.append(list(trainer.discriminator.parameters()))
    assert all(torch.equal(one, other) for one, other in zip(*trained, strict=True))


def joint_batch(weight: torch.Tensor) -> Batch:
    """AA, AB, BA and BB of the matching game with these weights, `[R, 4]`."""
    runs = len(weight)
    columns = torch.tensor([[0, 0, 1, 1], [0, 1, 0, 1]])
    actions = {agent: column.expand(runs, -1) for agent, column in zip(AGENTS, columns, strict=True)}
    return Batch({agent: torch.zeros_like(values) for agent, values in actions.items()}, actions, weight)


def tables(runs: int) -> Discriminators:
    table, view = Table(torch.zeros(runs, 4)), View(AGENTS, AGENTS)
    judge = TableDiscriminator(table, view, dict.fromkeys(AGENTS, 1), dict.fromkeys(AGENTS, 2))
    return Discriminators({"joint": judge}, dict.fromkeys(AGENTS, "joint"))


def test_has_a_row_of_its_own_for_each_joint_observation_and_action() -> None:
    sizes = {"a": 2, "b": 3}, {"a": 2, "b": 2}
    table = torch.arange(2 * 3 * 2 * 2, dtype=torch.float32).view(1, -1)
    judge = TableDiscriminator(Table(table), View(("a", "b"), ("a", "b")), *sizes)
    discriminator = Discriminators({"joint": judge}, {"a": "joint", "b": "joint"})
    grid = torch.cartesian_prod(torch.arange(2), torch.arange(3), torch.arange(2), torch.arange(2)).T.unsqueeze(1)
    # The order of the dicts that come in does not matter; the order of the agents does.
    batch = Batch({"b": grid[1], "a": grid[0]}, {"b": grid[3], "a": grid[2]}, torch.full((1, 24), 1 / 24))
    assert discriminator(batch)["joint"].tolist() == [list(range(24))]


def test_one_judge_rewards_every_agent() -> None:
    assert tables(1).rewarded_by == {"a": "joint", "b": "joint"}


def test_trained_on_exact_batches_it_becomes_the_log_ratio() -> None:
    p_expert = torch.tensor([[0.45, 0.05, 0.05, 0.45], [0.7, 0.1, 0.1, 0.1]])
    p_learner = torch.tensor([[0.06, 0.24, 0.14, 0.56], [0.25, 0.25, 0.25, 0.25]])
    discriminator = tables(2)
    expert, learner = joint_batch(p_expert), joint_batch(p_learner)
    optimizer = RunAdam(discriminator.parameters(), lr=torch.tensor([0.05, 0.1]))
    for _ in range(700):
        logits = discriminator(expert)["joint"], discriminator(learner)["joint"]
        optimizer.descend(discriminator_loss(logits[0], expert.weight, logits[1], learner.weight))
    torch.testing.assert_close(discriminator(expert)["joint"].detach(), (p_expert / p_learner).log(), atol=1e-3, rtol=0)
