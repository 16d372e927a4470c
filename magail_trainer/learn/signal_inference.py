"""Which value of a shared signal each demonstration was played under, worked out before any cloning.

A perceptron that is to find the signal by itself, by expectation maximisation while it learns, does not find it: it
learns the mixture of all values long before any episode's value is clear, and then any split of the episodes is as good
to it as the expert's own. So the signal is inferred by the simplest policies that there are: for each value of the
signal and each agent, one that is linear in the agent's observation. A value must then explain all actions of an
episode by few numbers, and the likelihood of whole episodes tells a true split from an arbitrary one.

This is expectation maximisation in a mixture of products of policies (Dempster, Laird and Rubin 1977, "Maximum
likelihood from incomplete data via the EM algorithm") with deterministic annealing (Ueda and Nakano 1998,
"Deterministic annealing EM algorithm"): log-likelihoods are scaled down at first, for an episode has so many actions
that they would otherwise settle on the arbitrary split of the start. Each M-step is one update of Adam. Of several
random starts, the likeliest end is taken, and the likeliest value of each episode in it (Celeux and Govaert 1992).

Nothing here knows what the env is about. What it needs is that linear policies which know the signal are not too bad;
so many demonstrations that they cannot learn them by heart; and no fewer values than the expert has.
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
"""Of the linear policies."""
HELD = 10
"""Updates on the random split of the start, before the first E-step."""
FIRST_SCALE = 0.05
"""What log-likelihoods are multiplied by at first. It grows to 1 by a constant factor, in `ANNEALED` of all updates."""
ANNEALED = 0.8
LR = 0.05
_LEAST_WEIGHT = 1e-3  # of a value: one that no episode has may come back


@dataclass(frozen=True)
class InferredSignal:
    """What the demonstrations were played under, up to the names of the values."""

    signal: Int[Tensor, "R E"]
    """The value of each episode."""
    log_likelihood: Float[Tensor, "R S"]
    """Of an episode, the mean over all of them, at the end of each start, in nats."""


def infer_signal(expert: Batch, codes: Codes, config: MagailConfig, *, seeds: Sequence[int]) -> InferredSignal:
    """Split the demonstrations by the value of the signal, for each run by its own random starts.

    Args:
        expert: all demonstrations, E episodes for each of R runs.
        codes: of the env's spaces.
        config: `signals`, `signal_starts`, and `policy_init_uniform`.
        seeds: of the runs, `[R]`.
    """
    found = [
        _infer_one(expert.of_run(run), codes, config, seed=seed)
        for run, seed in enumerate(tqdm(seeds, desc="signal", unit="run", delay=1, disable=None, leave=False))
    ]
    return InferredSignal(torch.stack([one for one, _ in found]), torch.stack([ended for _, ended in found]))


def _infer_one(
    expert: Batch, codes: Codes, config: MagailConfig, *, seed: int
) -> tuple[Int[Tensor, " E"], Float[Tensor, " S"]]:
    """The likeliest split of one run's episodes, and how likely each start's is."""
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
