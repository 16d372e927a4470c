"""The algorithm against numbers worked out by hand, a slow NumPy twin, and the exact gradient."""

import math
from collections.abc import Iterable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from magail_trainer.data.recording import record
from magail_trainer.envs.registry import EnvEntry, resolve
from magail_trainer.learn.agent_policies import TabularPolicy
from magail_trainer.learn.batch import Batch
from magail_trainer.learn.config import MagailConfig, RewardStyle
from magail_trainer.learn.discriminators import Discriminators, TableDiscriminator, View
from magail_trainer.learn.encoders import Codes
from magail_trainer.learn.losses import reward_function
from magail_trainer.learn.magail import EpochRecord, magail
from magail_trainer.learn.networks import Table
from magail_trainer.learn.policies import IndependentPolicies
from magail_trainer.learn.rollout import EnumeratedRollouts
from magail_trainer.learn.runs import Runs
from magail_trainer.learn.trainer import Trainer
from magail_trainer.play.players import make_joint_policy
from tests.magail_trainer.clock_env import tabular

torch.set_num_threads(1)

AGENTS = ("agent_0", "agent_1")
EXPERT = np.array([0.55, 0.05, 0.15, 0.25])  # AA, AB, BA, BB
BETAS = (0.0, 0.7, 3.0)
START = {
    "agent_0": np.array([[0.3, -0.1], [0.0, 0.2], [0.5, 0.1]]),
    "agent_1": np.array([[-0.2, 0.4], [0.1, -0.3], [0.2, 0.2]]),
}


class Whole:
    """An expert whose minibatch is its whole distribution."""

    num_demonstrations = 100

    def __init__(self, joint: np.ndarray, runs: int) -> None:
        columns = torch.tensor([[0, 0, 1, 1], [0, 1, 0, 1]])
        actions = {agent: column.expand(runs, -1) for agent, column in zip(AGENTS, columns, strict=True)}
        observations = {agent: torch.zeros_like(column) for agent, column in actions.items()}
        self.batch = Batch(observations, actions, torch.tensor(joint, dtype=torch.float32).expand(runs, -1))

    def minibatch(self) -> Batch:
        return self.batch


def matching() -> EnvEntry:
    return resolve("coordination_env:coordination/matching-v0")


def train_exactly(config: MagailConfig) -> tuple[dict[str, np.ndarray], np.ndarray, list[EpochRecord]]:
    """Policy logits by agent `[R, 2]`, discriminator logits `[R, 4]`, and the records."""
    runs, codes = len(BETAS), Codes.of(matching())
    tables: dict[str, nn.Module] = {
        agent: TabularPolicy(torch.tensor(start, dtype=torch.float32).unsqueeze(1)) for agent, start in START.items()
    }
    policies = IndependentPolicies(tables)
    table, view = Table(torch.zeros(runs, 4)), View(AGENTS, AGENTS)
    judge = TableDiscriminator(table, view, dict.fromkeys(AGENTS, 1), dict.fromkeys(AGENTS, 2))
    discriminator = Discriminators({"joint": judge}, dict.fromkeys(AGENTS, "joint"))
    env = matching().make_vector(4)
    rollouts = EnumeratedRollouts(env, codes, num_runs=runs, device=torch.device("cpu"))
    beta = torch.tensor(BETAS)
    parts = (policies, discriminator, None, rollouts, Whole(EXPERT, runs), beta, config)
    records = list(magail(*parts, reward=reward_function(config.reward_style)))
    logits = {agent: table.logits.detach().numpy()[:, 0] for agent, table in tables.items()}  # type: ignore[union-attr]
    return logits, table.values.detach().numpy(), records


class SlowAdam:
    """Algorithm 1 of Kingma and Ba (2015), line by line."""

    def __init__(self, lr: float) -> None:
        self.lr, self.m, self.v, self.t = lr, 0.0, 0.0, 0

    def step(self, gradient: np.ndarray) -> np.ndarray:
        self.t += 1
        self.m = 0.9 * self.m + 0.1 * gradient
        self.v = 0.999 * self.v + 0.001 * gradient**2
        return -self.lr * (self.m / (1 - 0.9**self.t)) / (np.sqrt(self.v / (1 - 0.999**self.t)) + 1e-8)


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum()


def train_slowly(run: int, config: MagailConfig) -> tuple[list[np.ndarray], np.ndarray, list[tuple[float, float]]]:
    """One run in plain NumPy, with the gradients written out: policy logits, discriminator logits, losses."""
    logits = [START[agent][run].copy() for agent in AGENTS]
    judge, losses = np.zeros(4), []
    judge_adam, adams = SlowAdam(config.lr_disc), [SlowAdam(config.lr_policy) for _ in AGENTS]
    for _ in range(config.epochs):
        probs = [softmax(values) for values in logits]
        played = np.outer(*probs).ravel()
        high = 1 / (1 + np.exp(-judge))
        loss_d = -(EXPERT * np.log(high)).sum() - (played * np.log(1 - high)).sum()
        judge = judge + judge_adam.step(played * high - EXPERT * (1 - high))
        high = 1 / (1 + np.exp(-judge))
        reward = np.log(high) if config.reward_style == "non_saturating" else -np.log(1 - high)
        loss_pi = 0.0
        for agent, axis in enumerate(("i,ij->ij", "j,ij->ij")):
            p, value = probs[agent], (played * reward).reshape(2, 2)
            entropy = -(p * np.log(p)).sum()
            log_prob = np.einsum(axis, np.log(p), np.ones((2, 2)))
            loss_pi += -(value * log_prob).sum() - BETAS[run] * entropy
            of_action = value.sum(axis=1 - agent)  # Σ over the other's actions
            reinforce = of_action - p * value.sum()
            entropy_slope = -p * (np.log(p) + entropy)
            logits[agent] = logits[agent] + adams[agent].step(-reinforce - BETAS[run] * entropy_slope)
        losses.append((loss_d, loss_pi))
    return logits, judge, losses


def test_the_first_update_by_hand() -> None:
    logits, judge, (first,) = train_exactly(tabular(epochs=1, lr_policy=0.02, lr_disc=0.03, exact=True))
    # At D = 1/2 everywhere, the expert's cells rise and the learner's sink by Adam's first step, the learning rate.
    # Run 0 plays A with probabilities 0.5987 and 0.3543: AA .212, AB .387, BA .142, BB .259 against the expert's
    # .55, .05, .15, .25.
    np.testing.assert_allclose(judge[0], [0.03, -0.03, 0.03, -0.03], atol=1e-6)
    np.testing.assert_allclose(first.losses["discriminator_loss"], 2 * math.log(2), rtol=1e-6)
    # So AA and BA earn more than AB and BB, whatever agent_0 does: agent_1 turns to A by one learning rate.
    np.testing.assert_allclose(logits["agent_1"][0], [-0.2 + 0.02, 0.4 - 0.02], atol=1e-6)
    # With β = 3 the entropy decides: both agents step towards equal logits.
    np.testing.assert_allclose(logits["agent_0"][2], [0.5 - 0.02, 0.1 + 0.02], atol=1e-6)
    entropy = first.metrics["entropy/agent_1"][2].item()
    assert entropy == pytest.approx(math.log(2), rel=1e-6)  # as it was before the update


@pytest.mark.parametrize("epochs", [1, 2, 40])
@pytest.mark.parametrize("reward_style", ["non_saturating", "gail"])
def test_the_whole_algorithm_equals_its_slow_twin(reward_style: RewardStyle, epochs: int) -> None:
    config = tabular(epochs=epochs, lr_policy=0.02, lr_disc=0.05, reward_style=reward_style, exact=True)
    logits, judge, records = train_exactly(config)
    # agent_0 of run 0 starts with a gradient of 0 but for rounding, and Adam makes a step of that all the same.
    for run in (1, 2):
        slow_logits, slow_judge, slow_losses = train_slowly(run, config)
        for agent, expected in zip(AGENTS, slow_logits, strict=True):
            np.testing.assert_allclose(logits[agent][run], expected, atol=2e-5)
        np.testing.assert_allclose(judge[run], slow_judge, atol=2e-5)
        for epoch, (loss_d, loss_pi) in zip(records, slow_losses, strict=True):
            assert epoch.losses["discriminator_loss"][run].item() == pytest.approx(loss_d, abs=1e-5)
            assert epoch.losses["policy_loss"][run].item() == pytest.approx(loss_pi, abs=1e-5)
    assert [epoch.epoch for epoch in records] == list(range(1, epochs + 1))


def test_a_record_measures_the_policies_that_played() -> None:
    _, _, records = train_exactly(tabular(epochs=2, exact=True))
    probs = [softmax(START[agent][1]) for agent in AGENTS]
    metrics = records[0].metrics
    assert list(metrics) == [
        "discriminator_loss",
        "policy_loss",
        *(f"entropy/{agent}" for agent in AGENTS),
        *(f"return/{agent}" for agent in AGENTS),
    ]
    assert metrics["return/agent_1"][1].item() == pytest.approx(np.trace(np.outer(*probs)), abs=1e-6)
    expected = -(probs[0] * np.log(probs[0])).sum()
    assert metrics["entropy/agent_0"][1].item() == pytest.approx(expected, abs=1e-6)
    assert not any(values.requires_grad for values in metrics.values())


class GradientRecorder:
    """In place of an optimizer: keeps the gradients and leaves the parameters alone."""

    made: list["GradientRecorder"]

    def __init__(self, parameters: Iterable[nn.Parameter], lr: Tensor, **settings: float) -> None:
        assert not any(settings.values())  # no decay, no clipping
        self.parameters, self.gradients = list(parameters), []
        self.made.append(self)

    def descend(self, loss: Tensor, *, lr_scale: float = 1.0) -> None:
        gradients = torch.autograd.grad(loss.sum(), self.parameters)
        self.gradients.append(torch.cat([gradient.flatten(1) for gradient in gradients], dim=1).double())


@pytest.mark.parametrize("reward_style", ["non_saturating", "gail"])
def test_the_mean_sampled_gradient_is_the_exact_one(reward_style: RewardStyle, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = matching()
    expert = make_joint_policy("joint", entry, {"joint": [[0.55, 0.05], [0.15, 0.25]]})
    dataset = record(entry, expert, episodes=1000, seed=0)
    for module in ("magail", "ppo"):
        monkeypatch.setattr(f"magail_trainer.learn.{module}.RunAdam", GradientRecorder)

    def gradients(config: MagailConfig, num_runs: int) -> list[Tensor]:
        """Means over the epochs of the policies' and of the discriminator's gradients, `[R, parameters]`."""
        GradientRecorder.made = []
        trainer = Trainer(entry, dataset, Runs.grid(betas=(0.4,), seeds=range(num_runs)), config)
        with torch.no_grad():
            for agent, policy in trainer.policies.policies.items():
                policy.logits.copy_(torch.tensor(START[agent][:1]))  # type: ignore[operator, union-attr]
            judge = torch.tensor([0.8, -1.1, 0.3, -0.4]).view(1, 4)
            trainer.modules["discriminator"].judges["joint"].network.values.copy_(judge)  # type: ignore[operator, union-attr]
        for _ in trainer.train():
            pass
        return [torch.stack(recorder.gradients).mean(0) for recorder in GradientRecorder.made]

    exact = gradients(tabular(epochs=1, reward_style=reward_style, exact=True), 1)
    for true, sampled in zip(exact, gradients(tabular(epochs=60, reward_style=reward_style), 200), strict=True):
        standard_error = sampled.std(0) / len(sampled) ** 0.5
        assert ((sampled.mean(0) - true[0]).abs() < 4 * standard_error + 1e-7).all()
        assert (standard_error < 0.05 * true.abs().max()).all()  # so that a wrong gradient would be noticed
