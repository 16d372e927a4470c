"""Train the learners of the particle benchmark, and play them.

R is the number of runs, one for each seed; K the number of logged epochs.
"""

from pathlib import Path
from typing import Any

import numpy as np

from experiments.particles.tasks import Task
from magail_trainer.learn.checkpoints import Checkpoints
from magail_trainer.learn.trainer import Trainer
from magail_trainer.learn.training import train_with_history
from magail_trainer.play.cross_play import cross_play
from magail_trainer.play.evaluation import evaluate
from magail_trainer.play.load_runs import TrainedRuns
from magail_trainer.play.results import LEARNER, TEAM

CURVE_POINTS = 100


def train(trainer: Trainer, folder: Path) -> dict[str, np.ndarray]:
    """Train to the end, with checkpoints in `folder`.

    Returns:
        `epoch [K]`, in cloning the number of the update, and `[K, R]` under the name of each metric.
    """
    checkpoints = Checkpoints(folder, discard=True)
    return train_with_history(trainer, log_every=max(1, trainer.num_records // CURVE_POINTS), checkpoints=checkpoints)


def side_returns(task: Task, trained: TrainedRuns, *, episodes: int, seed: int) -> dict[str, list[Any]]:
    """The returns of each run, in competitive tasks on each side against the scripted expert.

    Args:
        task: what is played.
        trained: the runs.
        episodes: of each run and side, twice: with sampled and with greedy actions.
        seed: decides all chance.

    Returns:
        a table with a row for each side and each run that did not diverge: env, seed, return_stochastic,
        return_argmax.

    Raises:
        InputError: a number is out of range.
    """
    who = LEARNER if task.is_competitive else TEAM
    if trained.diverged.all():
        return {"env": [], "seed": [], "return_stochastic": [], "return_argmax": []}
    trained = trained.healthy
    if task.is_competitive:
        agents = [side.agents for side in task.sides]
        played = cross_play(trained, task.player("expert"), sides=agents, episodes=episodes, seed=seed)
        labels = [side for side in task.sides for _ in range(len(trained.runs))]
    else:
        played = evaluate(trained, episodes=episodes, seed=seed)
        labels = [task.sides[0]] * len(trained.runs)
    earned = {"return_stochastic": played.returns["sampled", who], "return_argmax": played.returns["greedy", who]}
    return {"env": [side.label for side in labels], "seed": list(played.rows["seed"]), **earned}
