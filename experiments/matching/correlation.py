"""Which policies can imitate which expert: every expert with every class of policies and discriminator.

    python -m experiments.correlation --help
    python -m experiments.correlation --quick

Each cell, an expert with a class of policies and a discriminator, is a folder below OUTPUT/cells that appears when it
is finished, with the run folder of `python -m experiments.coordination` inside; the command goes on where an earlier
one was stopped. One configuration serves all cells: expectations over a batch of 200 episodes with the batch's mean as
baseline, a discriminator five times as fast as the policies, and learning rates of the policies that fall to 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from experiments.matching.best_product import best_product_js
from experiments.matching.coordination import run_experiment, set_up
from experiments.matching.correlation_figure import correlation_figure
from experiments.matching.games import ExpertType, experts_of, make_game, title
from experiments.matching.metrics import MATCH
from experiments.matching.settings import CoordinationConfig, CorrelationConfig
from experiments.studies.commands import command_of, settings_of
from experiments.studies.criteria import interval_text
from experiments.studies.diverged import count_diverged, exit_status
from experiments.studies.jobs import check_finished, finished, open_cell, run_jobs
from experiments.studies.plotting import save_figures, wrote
from experiments.studies.statistics import mean_interval, mean_of, share_interval
from magail_trainer.data.run_folder import open_run, read_healthy_runs, write_table
from magail_trainer.errors import InputError
from magail_trainer.folders import new_files
from magail_trainer.learn.config import MagailConfig, PolicyStyle
from magail_trainer.sealed import as_written
from magail_trainer.text import counted

Table = dict[str, np.ndarray]

COLUMNS = (
    "expert", "policy", "discriminator", "beta", "seed", "js_distance", "kl_irreducible", "kl_marginals",
    "mutual_information", "coordination_rate",
)  # fmt: skip


FIGURE = "correlation.png"


@dataclass(frozen=True)
class Cell:
    """All runs of one expert, class of policies and discriminator."""

    sweep: CoordinationConfig

    @property
    def name(self) -> str:
        """The folder's name."""
        return f"{self.sweep.expert_type}-{self.sweep.training.policy}-{self.sweep.training.discriminator}"

    def settings(self) -> dict[str, Any]:
        """The settings that decide the content of the folder."""
        return settings_of(self.sweep)

    def fill(self, folder: Path) -> str:
        """Train, measure, and write the run folder."""
        command = command_of("coordination", self.sweep)
        results = run_experiment(replace(self.sweep, output=folder / "run", no_plots=True), command=command)
        distance = results.healthy.runs["js_distance"]
        matching = f"{int((distance < MATCH).sum())} of {counted(len(distance), 'run')}"
        return f"JS distance {mean_of(distance):.3f}, a match in {matching}"


def cell_of(config: CorrelationConfig, expert: ExpertType, policy: PolicyStyle, discriminator: str) -> Cell:
    """One cell, with the settings that all cells share."""
    assert discriminator in ("joint", "per_agent")
    training = MagailConfig(
        network="tabular",
        epochs=config.epochs,
        batch_size=200,
        lr_policy=40 / config.epochs,
        lr_disc=200 / config.epochs,
        lr_schedule="linear",
        reward_style="gail",
        baseline="batch",
        policy=policy,
        signals=config.signals if policy == "shared_signal" else MagailConfig.signals,
        discriminator=discriminator,
    )
    sweep = CoordinationConfig(
        game=config.game,
        num_agents=config.num_agents,
        expert_type=expert,
        betas=config.betas,
        seeds=tuple(range(config.seeds)),
        training=training,
        no_plots=True,
    )
    return Cell(sweep)


def jobs_of(config: CorrelationConfig) -> list[Cell]:
    """All cells.

    Raises:
        InputError: a value is out of range, or given twice, or the game has no such expert.
    """
    for name in ("expert_types", "policies", "discriminators"):
        values = getattr(config, name)
        if not values or len(set(values)) < len(values):
            raise InputError(f"--{name} must name each value once, and one at least, not {' '.join(values)!r}.")
    if config.seeds < 1:
        raise InputError(f"--seeds must be at least 1, not {config.seeds}.")
    if config.epochs < 1:
        raise InputError(f"--epochs must be at least 1, not {config.epochs}.")
    offered = experts_of(make_game(config.game, num_agents=config.num_agents))
    for expert in config.expert_types:
        if expert not in offered:
            raise InputError(
                f"--expert_types must be of {', '.join(offered)} for --game {config.game}, not {expert!r}."
            )
    cells = [
        cell_of(config, expert, policy, discriminator)
        for expert in config.expert_types
        for policy in config.policies
        for discriminator in config.discriminators
    ]
    for cell in cells:
        set_up(cell.sweep)  # checks the rest
    return cells


def job_of(settings: Mapping[str, Any], config: CorrelationConfig) -> Cell:
    """The cell that would make a folder with these settings now.

    Raises:
        InputError: they are not those of a cell.
    """
    if not {"expert_type", "policy", "discriminator"} <= settings.keys():
        raise InputError("There is a folder that is no cell of this table; choose another --output.")
    return cell_of(config, settings["expert_type"], settings["policy"], settings["discriminator"])


def read_cells(cells: Path) -> tuple[Table, dict[str, np.ndarray]]:
    """The results of the finished cells.

    Returns:
        a table with a row for each run that did not diverge and the columns `COLUMNS`; and each expert's recorded
        joint distribution, `[A_1..A_N]` by name.

    Raises:
        InputError: a folder below `cells` is not as it was written.
    """
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    experts: dict[str, np.ndarray] = {}
    for folder in finished(cells):
        cell = open_cell(folder)
        with as_written(folder):
            settings, runs = cell.content, read_healthy_runs(cell / "run/runs.csv")
            labels = {"expert": settings["expert_type"], **{key: settings[key] for key in ("policy", "discriminator")}}
            experts[settings["expert_type"]] = np.asarray(open_run(folder / "run").content["dataset"]["joint"])
            for name in COLUMNS:
                columns[name] += [labels[name]] * len(runs["seed"]) if name in labels else runs[name].tolist()
    return {name: np.asarray(values) for name, values in columns.items()}, experts


def summary(table: Mapping[str, np.ndarray], experts: Mapping[str, np.ndarray]) -> list[str]:
    """The lines for the terminal: the distance, the share of matches and the divergence's parts of each cell and β."""
    lines = []
    for expert in sorted(set(table["expert"]), key=_expert_place):
        limit = best_product_js(experts[expert]).distance
        information = table["kl_irreducible"][table["expert"] == expert][0]
        lines.append(
            f"{expert}: {information:.3f} bits of mutual information; independent policies cannot come closer than a "
            f"JS distance of {limit:.3f}"
        )
        for key, runs in cells_of(table, expert).items():
            distance = mean_interval(runs["js_distance"])
            matching = share_interval(int((runs["js_distance"] < MATCH).sum()), len(runs["seed"]))
            lines.append(
                f"    {key[0]:15}{key[1]:11}β={key[2]:<5g}JS {interval_text(distance)}   "
                f"match {matching.estimate:4.0%} [{matching.low:.0%}, {matching.high:.0%}]   "
                f"mutual information {runs['mutual_information'].mean():.3f}   "
                f"marginals off by {np.median(runs['kl_marginals']):.3f} bits"
            )
    return lines


def cells_of(table: Mapping[str, np.ndarray], expert: str) -> dict[tuple[str, str, float], Table]:
    """The runs of each (policy, discriminator, β) with an expert, in the order of the table."""
    cells: dict[tuple[str, str, float], Table] = {}
    keys = list(zip(table["expert"], table["policy"], table["discriminator"], table["beta"].tolist(), strict=True))
    for key in sorted(dict.fromkeys(keys), key=_place):
        if key[0] == expert:
            rows = [row for row, other in enumerate(keys) if other == key]
            cells[key[1:]] = {name: values[rows] for name, values in table.items()}
    return cells


def write_report(output: Path) -> list[str]:
    """Write `correlation.csv` and `correlation.png` from the finished cells.

    Returns:
        the lines of `summary`.

    Raises:
        InputError: a cell is not as it was written.
    """
    table, experts = read_cells(output / "cells")
    with new_files(output) as folder:
        write_table(folder / "correlation.csv", table)
    cells = {expert: cells_of(table, expert) for expert in sorted(experts, key=_expert_place)}
    game = _game_of(output / "cells")
    save_figures(output, {FIGURE: lambda: correlation_figure(cells, experts, match=MATCH, game=game)})
    return summary(table, experts)


def _game_of(cells: Path) -> str:
    """The game of all cells, and their number of epochs, for the title."""
    settings = open_cell(finished(cells)[0]).content
    game = make_game(settings["game"], num_agents=settings["num_agents"])
    diverged = count_diverged(cells)
    left_out = f", {diverged} and left out" if diverged else ""
    return f"{title(game)}, {counted(settings['epochs'], 'epoch')}{left_out}"


def _expert_place(expert: str) -> int:
    return get_args(ExpertType).index(expert)


def _place(key: tuple[str, str, str, float]) -> tuple[int, int, str, float]:
    return _expert_place(key[0]), get_args(PolicyStyle).index(key[1]), key[2], key[3]


def main(config: CorrelationConfig) -> int:
    """Fill the cells that are missing, and make table and figure of all; the exit status."""
    config = config.settle()
    jobs, cells = jobs_of(config), config.output / "cells"
    check_finished(cells, lambda made: job_of(made, config))
    run_jobs(jobs, cells, processes=config.jobs)
    print("\n".join(["", *write_report(config.output), ""]))
    return exit_status(count_diverged(cells), wrote(config.output, ["correlation.csv", FIGURE]))
