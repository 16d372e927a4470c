"""The critical β of a discriminator that is frozen at its optimum for the mixed point, in theory and by training.

Where both agents play 50/50 and D is optimal, its logit for a joint action is log p_expert / ¼: log 2 for AA and BB of
the bimodal expert, minus infinity for AB and BA. Frozen there, it pays r(AA) for a match and r(AB) for a miss. With
m = 2 P(A) - 1 of the other agent, an agent's advantage of A over B is K m, K = r(AA) - r(AB), and with its own m the
entropy bonus pulls back by β log P(A) / P(B) = 2 β artanh m. So the mixed point is stable only above β = K / 2. Below
is a pitchfork: two stable points on either side approach the corners as β falls.

    -log(1 - D)             K = log 3      β = log(3) / 2 = 0.549
    2D - 1                  K = 4 / 3      β = 2 / 3
    log D, log D - log(1-D) K = infinity   none: D drives the policies from the mixed point at any β

Training has two phases: in the first the policies are held (learning rate 0) while D learns from exact expectations; in
the second D is held.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.matching.coordination import ENV_ID
from experiments.matching.results import AGENTS
from experiments.studies.statistics import mean_interval
from experiments.theory.phase_cells import RUNS, Effort, measure
from magail_trainer.data.run_folder import write_table
from magail_trainer.envs.registry import resolve
from magail_trainer.files import plain_json
from magail_trainer.learn.checkpoints import Checkpoints
from magail_trainer.learn.config import RewardStyle
from magail_trainer.learn.losses import REWARDS
from magail_trainer.learn.runs import Runs
from magail_trainer.learn.trainer import Trainer
from magail_trainer.learn.training import train_with_history
from magail_trainer.play.statistics import Interval
from magail_trainer.text import counted

BOUNDED: tuple[RewardStyle, ...] = ("gail", "symmetric")
"""The rewards that have a critical β."""
LR_DISC, DISC_EPOCHS, LR_POLICY = 0.5, 1000, 0.01
SWEEP = tuple(round(0.45 + 0.0025 * step, 4) for step in range(121))
"""βs of the runs without sampling noise."""
BRANCH = (0.35, 0.4, 0.45, 0.5)
"""βs of the sampled runs, below the critical ones."""
_LEFT = 5e-4
"""A run with coordination above 0.5 by more than this has left the mixed point: |m| is above 0.03."""


def frozen_critical_beta(reward: RewardStyle) -> float:
    """K / 2 for the bimodal expert; infinity for the rewards without a lower bound."""
    match_logit, miss_logit = torch.tensor([math.log(2), -math.inf], dtype=torch.float64)
    return float(REWARDS[reward](match_logit) - REWARDS[reward](miss_logit)) / 2


@dataclass(frozen=True)
class Frozen:
    """A sweep over β with the frozen discriminator of the bimodal expert."""

    reward: RewardStyle
    effort: Effort

    @property
    def name(self) -> str:
        """The folder's name."""
        return f"frozen-{self.reward}-{'exact' if self.effort.exact else 'sampled'}"

    def settings(self) -> dict[str, Any]:
        """The settings that decide the content of the folder."""
        rates = {"lr_policy": LR_POLICY, "held_lr_disc": LR_DISC, "held_epochs": DISC_EPOCHS}
        return plain_json({"kind": "frozen", "name": self.name, "reward": self.reward, **rates, **asdict(self.effort)})

    def fill(self, folder: Path) -> str:
        """Train D, freeze it, train the policies, and write the measures of each run."""
        trainer, demonstrations = self.trainer(), self.effort.demonstrations()
        checkpoints = Checkpoints(folder, log=False, discard=True)
        train_with_history(trainer, log_every=self.effort.epochs, checkpoints=checkpoints)
        runs = Runs(trainer.runs.seed, trainer.runs.beta)
        table = trainer.divergence.mark({**runs.columns, **measure(trainer, demonstrations)})
        write_table(folder / RUNS, table)
        return counted(len(runs), "run")

    def trainer(self) -> Trainer:
        """A trainer with D held at its optimum for the mixed point."""
        effort, entry, demonstrations = self.effort, resolve(ENV_ID), self.effort.demonstrations()
        training = effort.training(self.reward)
        grid = Runs.grid(betas=effort.betas, seeds=range(1, effort.seeds + 1))
        held, rate = np.zeros(len(grid)), np.ones(len(grid))
        first = replace(training, epochs=DISC_EPOCHS, exact=True, policy_init_uniform=True)
        policies_held = Runs(grid.seed, grid.beta, lr_policy=held, lr_disc=LR_DISC * rate)
        optimal = Trainer(entry, demonstrations, policies_held, first)
        train_with_history(optimal, log_every=DISC_EPOCHS)
        disc_held = Runs(grid.seed, grid.beta, lr_policy=LR_POLICY * rate, lr_disc=held)
        trainer = Trainer(entry, demonstrations, disc_held, training)
        trainer.modules["discriminator"].load_state_dict(optimal.modules["discriminator"].state_dict())
        return trainer


def sweep_bracket(runs: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """The largest β at which a run without sampling noise left the mixed point, and the next larger one.

    The first is minus infinity if none left, the second infinity if one left at the largest β.
    """
    betas = np.unique(runs["beta"])
    left = runs["beta"][runs["coordination_rate"] > 0.5 + _LEFT]
    low = float(left.max()) if left.size else -math.inf
    above = betas[betas > low]
    return low, float(above[0]) if above.size else math.inf


def branch_interval(runs: Mapping[str, np.ndarray]) -> Interval:
    """The critical β estimated from sampled runs below it, with its bootstrap interval over seeds.

    Where policies rest away from the mixed point, K m_1 = 2 β artanh m_0 and K m_0 = 2 β artanh m_1; so
    K / 2 = β √(artanh m_0 artanh m_1 / (m_0 m_1)). A seed's estimate is the mean of that over its βs.
    """
    ratio = np.ones(len(runs["beta"]))
    for agent in AGENTS:
        m = np.clip(2 * runs[f"prob_a_{agent}"] - 1, -1 + 1e-12, 1 - 1e-12)
        ratio *= np.divide(np.arctanh(m), m, out=np.ones_like(m), where=m != 0)
    estimate = runs["beta"] * np.sqrt(ratio)
    return mean_interval(np.array([estimate[runs["seed"] == seed].mean() for seed in np.unique(runs["seed"])]))
