"""The cells of the phase diagram: how runs of the matching game end at one β and one pair of learning rates.

A part trains all seeds of some cells of one reward along the run axis, each run with its own β and learning rates. Its
folder has two files:

    settings.json   the settings that decide its content
    runs.csv        a row for each run: beta, seed, lr_policy, lr_disc, then the measures of its policies

A rollout has as many episodes as the discriminator's and the policies' batches together. The original single-script
program draws both batches of 32 from 200 episodes and discards 136; the distribution of the results is the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from coordination_env.games import matching
from experiments.matching.coordination import ENV_ID
from experiments.matching.exact_play import exact_joint
from experiments.matching.games import ExpertType
from experiments.matching.results import Columns, exact_columns, joint_frequencies
from experiments.studies.jobs import finished, open_cell
from experiments.studies.statistics import mean_interval, mean_of
from experiments.theory.settings import Start
from magail_trainer.data.recording import record
from magail_trainer.data.run_folder import healthy, read_healthy_runs, write_table
from magail_trainer.data.trajectories import Trajectories
from magail_trainer.envs.registry import resolve
from magail_trainer.errors import InputError
from magail_trainer.files import plain_json
from magail_trainer.learn.checkpoints import Checkpoints
from magail_trainer.learn.config import MagailConfig, RewardStyle
from magail_trainer.learn.runs import Runs
from magail_trainer.learn.trainer import Trainer
from magail_trainer.learn.training import train_with_history
from magail_trainer.play.players import make_joint_policy
from magail_trainer.sealed import as_written
from magail_trainer.text import counted

RUNS = "runs.csv"
RUNS_PER_PART = 1000
"""In a program with 1000 runs each takes a third less time than with 300; 2000 runs hardly gain more."""
EXPERT_EPISODES, EXPERT_SEED = 1000, 0
COLUMNS = (
    "reward", "lr_policy", "lr_disc", "beta", "seeds", "coordination_mean", "coordination_low", "coordination_high",
    "share_aa", "share_bb", "share_mixed",
)  # fmt: skip

Speed = tuple[float, float]
"""lr_policy, lr_disc"""


@dataclass(frozen=True)
class Effort:
    """The settings that all cells share.

    Raises:
        InputError: a number is out of range.
    """

    betas: tuple[float, ...]
    seeds: int
    """The runs of each cell have the seeds 1 to this number."""
    epochs: int = 4000
    start: Start = "uniform"
    """Policies start at 0.5/0.5, or at logits of 0.1 times a standard normal."""
    expert_type: ExpertType = "bimodal"
    exact: bool = False

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise InputError(f"--seeds must be at least 1, not {self.seeds}.")
        if self.exact and self.start == "uniform":
            raise InputError("--exact needs --start normal: without noise, policies at 0.5/0.5 stay there.")
        Runs.grid(betas=self.betas, seeds=(1,))  # checks the βs
        self.training("gail")  # checks the rest

    def training(self, reward: RewardStyle) -> MagailConfig:
        """The settings of the trainer; the learning rates are in the run table."""
        return MagailConfig(
            network="tabular",
            epochs=self.epochs,
            rollout_episodes=2 * MagailConfig.batch_size,
            reward_style=reward,
            policy_init_uniform=self.start == "uniform",
            exact=self.exact,
        )

    def demonstrations(self) -> Trajectories:
        """The expert's episodes, as in `python -m experiments.coordination`."""
        entry = resolve(ENV_ID)
        policy = make_joint_policy(self.expert_type, entry, {})
        return record(entry, policy, episodes=EXPERT_EPISODES, seed=EXPERT_SEED)


@dataclass(frozen=True)
class Part:
    """All seeds of some cells of one reward."""

    kind: str
    """Their purpose, `map` or `table`, and the start of the folder's name."""
    reward: RewardStyle
    speeds: tuple[Speed, ...]
    effort: Effort

    @property
    def name(self) -> str:
        """The folder's name."""
        first, last = ("_".join(f"{rate:g}" for rate in speed) for speed in (self.speeds[0], self.speeds[-1]))
        return f"{self.kind}-{self.reward}-{first}-{last}"

    def settings(self) -> dict[str, Any]:
        """The settings that decide the content of the folder."""
        described = {name: getattr(self, name) for name in ("kind", "name", "reward", "speeds")}
        return plain_json({**described, **asdict(self.effort)})

    @property
    def runs(self) -> Runs:
        """Every pair of learning rates with every β and every seed."""
        effort, number = self.effort, len(self.speeds)
        grid = Runs.grid(betas=effort.betas, seeds=range(1, effort.seeds + 1))
        lr_policy, lr_disc = np.repeat(np.array(self.speeds, dtype=np.float64), len(grid), axis=0).T
        return Runs(np.tile(grid.seed, number), np.tile(grid.beta, number), lr_policy, lr_disc)

    def fill(self, folder: Path) -> str:
        """Train all runs, and write the measures of each."""
        demonstrations, runs = self.effort.demonstrations(), self.runs
        trainer = Trainer(resolve(ENV_ID), demonstrations, runs, self.effort.training(self.reward))
        checkpoints = Checkpoints(folder, log=False, discard=True)
        train_with_history(trainer, log_every=self.effort.epochs, checkpoints=checkpoints)
        table = trainer.divergence.mark({**runs.columns, **measure(trainer, demonstrations)})
        write_table(folder / RUNS, table)
        mean = mean_of(table["coordination_rate"][healthy(table)])
        return f"{counted(len(runs), 'run')}, mean coordination {mean:.2f}"


def measure(trainer: Trainer, demonstrations: Trajectories) -> Columns:
    """The measures of each run's present policies, `[R]` under each name; see `exact_columns`."""
    game = matching()
    return exact_columns(exact_joint(trainer), joint_frequencies(demonstrations, game), game)


def parts_of(kind: str, reward: RewardStyle, speeds: Sequence[Speed], effort: Effort) -> list[Part]:
    """Parts of about `RUNS_PER_PART` runs that together have all speeds."""
    size = max(1, RUNS_PER_PART // (len(effort.betas) * effort.seeds))
    number = -(-len(speeds) // size)
    chunks = np.array_split(np.arange(len(speeds)), number)
    return [Part(kind, reward, tuple(speeds[index] for index in chunk), effort) for chunk in chunks]


def read_cells(root: Path, kind: str) -> dict[str, list[Any]]:
    """`COLUMNS` of all finished cells of a kind, a row for each that has runs which did not diverge, sorted.

    Raises:
        InputError: a folder below `root` is not as it was written.
    """
    rows: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for folder in finished(root):
        cell = open_cell(folder)
        if cell.content.get("kind") == kind:
            with as_written(folder):
                for row in cell_rows(cell.content["reward"], read_healthy_runs(cell / RUNS)):
                    rows[row[:4]] = row  # a cell of two parts has the same runs in both
    return {name: [rows[key][column] for key in sorted(rows)] for column, name in enumerate(COLUMNS)}


def cell_rows(reward: str, runs: Mapping[str, np.ndarray]) -> Iterator[tuple[Any, ...]]:
    """`COLUMNS` of each cell of a table of runs.

    The interval is a percentile bootstrap over seeds; the shares are those of the seeds that ended in AA, in BB (both
    agents at 0.9 or more) and in neither.
    """
    keys = np.stack([runs[name].astype(np.float64) for name in ("lr_policy", "lr_disc", "beta")], axis=-1)
    for key in np.unique(keys, axis=0):
        of_cell = (keys == key).all(-1)
        rate, convention = mean_interval(runs["coordination_rate"][of_cell]), runs["convention"][of_cell]
        shares = (float((convention == name).mean()) for name in ("AA", "BB", "neither"))
        yield (reward, *key.tolist(), len(convention), *rate, *shares)
