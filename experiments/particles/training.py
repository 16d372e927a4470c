"""Trains the learners of the particle benchmark, and plays them.

R is the number of runs, one for each seed; K that of logged epochs.
"""

from typing import Any

import numpy as np
from torch import Tensor
from tqdm import tqdm

from experiments.particles.tasks import Task
from magail_trainer.data.run_folder import History
from magail_trainer.learn.trainer import Trainer
from magail_trainer.play.cross_play import cross_play
from magail_trainer.play.evaluation import evaluate
from magail_trainer.play.load_runs import TrainedRuns
from magail_trainer.play.results import LEARNER, TEAM

CURVE_POINTS = 100


def clone(trainer: Trainer) -> dict[str, np.ndarray]:
    """Clone to the end.

    Returns:
        `epoch [K]`, here updates, and `cloning_loss [K, R]`.
    """
    history, updates = History(), trainer.updates
    every = max(1, updates // CURVE_POINTS)
    for record in trainer.clone():
        if record.epoch % every == 0 or record.epoch in (1, updates):
            history.append(record.epoch, record.metrics)
    return history.stack()


def train(trainer: Trainer) -> dict[str, np.ndarray]:
    """Train to the end.

    Returns:
        `epoch [K]`; `env_steps [K]` of one run until then; and `[K, R]` under the name of each metric.
    """
    history, last = History(), trainer.config.epochs
    every, steps, steps_then = max(1, last // CURVE_POINTS), 0, []
    with tqdm(trainer.train(), total=last, desc="training", unit="epoch", delay=1, disable=None, leave=False) as epochs:
        for epoch in epochs:
            steps += _steps(epoch.rollout.batch.weight)
            if epoch.epoch % every == 0 or epoch.epoch in (1, last):
                history.append(epoch.epoch, epoch.metrics)
                steps_then.append(steps)
    return {**history.stack(), "env_steps": np.asarray(steps_then, dtype=np.int64)}


def side_returns(task: Task, trained: TrainedRuns, *, episodes: int, seed: int) -> dict[str, list[Any]]:
    """What each run earns; where there are opponents, on each side against the scripted expert.

    Args:
        task: what is played.
        trained: the runs.
        episodes: of each run and side: so many with drawn actions, as many with the likeliest ones.
        seed: decides all chance.

    Returns:
        a table, a row for each side and run: env, seed, return_stochastic, return_argmax.

    Raises:
        InputError: a number is out of range.
    """
    if task.is_competitive:
        agents = [side.agents for side in task.sides]
        played = cross_play(trained, task.player("expert"), sides=agents, episodes=episodes, seed=seed)
        labels = [side for side in task.sides for _ in range(len(trained.runs))]
    else:
        played = evaluate(trained, episodes=episodes, seed=seed)
        labels = [task.sides[0]] * len(trained.runs)
    who = LEARNER if task.is_competitive else TEAM
    earned = {"return_stochastic": played.returns["sampled", who], "return_argmax": played.returns["greedy", who]}
    return {"env": [side.label for side in labels], "seed": list(played.rows["seed"]), **earned}


def _steps(weight: Tensor) -> int:
    """Env steps of one run in a rollout of weights `[R, B]`."""
    return int((weight[0] > 0).sum())
