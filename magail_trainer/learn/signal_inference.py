"""Infers the shared signal of each demonstration before cloning.

A perceptron trained by expectation maximisation (EM) does not find the signal: it fits the mixture of all values long
before any episode's value is clear, and then any split of the episodes fits as well as the expert's. So we infer the
signal with the simplest policies: linear in the agent's observation, one for each value and agent. With so few
parameters, the likelihood of whole episodes distinguishes the true split from an arbitrary one.

This is EM in a mixture of products of policies (Dempster, Laird and Rubin 1977, "Maximum likelihood from incomplete
data via the EM algorithm") with deterministic annealing (Ueda and Nakano 1998, "Deterministic annealing EM algorithm"):
early log-likelihoods are scaled down, since those of long episodes would lock in the random initial split. Each M-step
is one Adam update. We keep the likeliest of several random starts, and each episode's likeliest value (Celeux and
Govaert 1992).

Nothing is specific to an env. It needs linear policies that fit reasonably given the signal, too many demonstrations
for these to memorise, and at least as many signal values as the expert has.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot
from tqdm import tqdm

from magail_trainer.learn.batch import Batch
from magail_trainer.learn.behavioural_cloning import losses_of_episodes
from magail_trainer.learn.config import MagailConfig
from magail_trainer.learn.encoders import Codes
from magail_trainer.learn.optimizers import RunAdam
from magail_trainer.learn.policies import make_policies
from magail_trainer.learn.runs import Runs
from magail_trainer.seeding import stream

UPDATES = 300
"""Updates of the linear policies."""
HELD = 10
"""Updates on the initial random split, before the first E-step."""
FIRST_SCALE = 0.05
"""Initial scale of the log-likelihoods; grows geometrically to 1 over the fraction `ANNEALED` of all updates."""
ANNEALED = 0.8
LR = 0.05
_LEAST_WEIGHT = 1e-3  # so that a value without episodes can recover


@dataclass(frozen=True)
class InferredSignal:
    """The demonstrations' inferred signal, up to a permutation of its values."""

    signal: Int[Tensor, "R E"]
    """The value of each episode."""
    log_likelihood: Float[Tensor, "R S"]
    """Mean log-likelihood per episode at the end of each of S starts, in nats."""


def infer_signal(expert: Batch, codes: Codes, config: MagailConfig, *, seeds: Sequence[int]) -> InferredSignal:
    """Infer the signal of each demonstration, for each run with its own random starts.

    Args:
        expert: all demonstrations, E episodes for each of R runs.
        codes: encodings of the env's spaces.
        config: `signals`, `signal_starts`, and `policy_init_uniform`.
        seeds: `[R]`, the runs' seeds.
    """
    found = [
        _infer_one(expert.of_run(run), codes, config, seed=seed)
        for run, seed in enumerate(tqdm(seeds, desc="signal", unit="run", delay=1, disable=None, leave=False))
    ]
    return InferredSignal(torch.stack([one for one, _ in found]), torch.stack([ended for _, ended in found]))


def _infer_one(
    expert: Batch, codes: Codes, config: MagailConfig, *, seed: int
) -> tuple[Int[Tensor, " E"], Float[Tensor, " S"]]:
    """The likeliest split of one run's episodes, and the log-likelihood of each start."""
    starts, values, episodes = config.signal_starts, config.signals, expert.num_episodes
    stacked, device = starts * values, expert.weight.device
    linear = replace(
        config, policy="independent", signals=MagailConfig.signals, hidden=(), network="mlp", share_parameters="none"
    )
    policies = make_policies(codes, Runs.grid(betas=(0.0,), seeds=range(stacked)), linear).to(device)
    of_episode, expert = expert.episode_weight, expert.repeated(stacked)
    policies.fit_normalizers(expert)
    optimizer = RunAdam(policies.parameters(), lr=torch.full((stacked,), LR, device=device))

    split = torch.from_numpy(stream(seed, "signal inference").integers(values, size=(starts, episodes))).to(device)
    responsibility = one_hot(split, values).movedim(-1, 1).float()  # [S, K, E]
    log_joint = torch.zeros_like(responsibility)
    for update in range(UPDATES + 1):
        losses, log_prob = losses_of_episodes(policies, expert)
        weight = (responsibility * of_episode).sum(-1, keepdim=True).clamp(min=_LEAST_WEIGHT)
        log_joint = log_prob.detach().unflatten(0, (starts, values)) + weight.log()
        if update >= HELD:
            scale = FIRST_SCALE ** max(0.0, 1 - update / (ANNEALED * UPDATES))
            responsibility = (scale * log_joint).softmax(1)
        if update < UPDATES:
            optimizer.descend((responsibility.flatten(0, 1) * losses).sum(-1))
    log_likelihood = (log_joint.logsumexp(1) * of_episode).sum(-1)
    return log_joint[log_likelihood.argmax()].argmax(0), log_likelihood
