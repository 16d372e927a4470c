"""Run folders without training: three runs of seeds 3, 5, 5 and of β 0, 0, 1."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from magail_trainer.data.run_folder import write_checkpoint, write_config, write_table
from magail_trainer.envs.registry import EnvEntry
from magail_trainer.learn.agent_policies import TabularPolicy
from magail_trainer.learn.config import MagailConfig
from magail_trainer.learn.runs import Runs
from magail_trainer.learn.trainer import Trainer


def saved(folder: Path, entry: EnvEntry, config: MagailConfig, change: Callable[[Trainer], None] | None = None) -> Path:
    """A run folder of three runs that have not been trained, but perhaps changed."""
    runs = Runs(seed=np.array([3, 5, 5]), beta=np.array([0.0, 0.0, 1.0]))
    trainer = Trainer(entry, None, runs, config)
    if change is not None:
        change(trainer)
    write_table(folder / "runs.csv", {"beta": runs.beta, "seed": runs.seed})
    write_checkpoint(folder, {"policies": trainer.policies})
    write_config(folder, trainer.describe())
    return folder


def play_a(trainer: Trainer) -> None:
    """Run 0 plays A nine times of ten, run 1 never, run 2 always; all agents alike."""
    logits = torch.tensor([[0.9, 0.1], [1e-9, 1], [1, 1e-9]]).log().unsqueeze(1)
    for policy in trainer.policies.policies.values():
        assert isinstance(policy, TabularPolicy)
        policy.logits.data = logits.clone()
