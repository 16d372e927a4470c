"""The phase diagram of the matching game: coordination over β and the discriminator's speed, for each reward.

    python -m experiments.phase_diagram --help
    python -m experiments.phase_diagram --quick

Each part, some cells of one reward for all seeds, is a folder below OUTPUT/parts that appears when it is finished; the
command continues where an earlier one stopped. cells.csv and the figure show all finished cells. The command also
repeats two known results, each with a verdict: the learning rates at which agents collapse without an entropy bonus,
and the critical β of a frozen discriminator. The exit status is 0 only if both are reproduced, and 3 if a run diverged.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.studies.diverged import count_diverged, exit_status
from experiments.studies.jobs import check_finished, run_jobs
from experiments.studies.plotting import save_figures, wrote
from experiments.theory.discriminator_speed import critical_beta_at_speed
from experiments.theory.frozen_discriminator import Frozen, frozen_critical_beta
from experiments.theory.gradient_flow import check_closed_form
from experiments.theory.known_results import verdict_jobs, verdict_lines
from experiments.theory.phase_cells import Part, parts_of, read_cells
from experiments.theory.phase_figure import Boundary, phase_figure
from experiments.theory.settings import PhaseConfig
from magail_trainer.data.run_folder import write_table
from magail_trainer.errors import InputError
from magail_trainer.folders import new_files
from magail_trainer.learn.config import RewardStyle
from magail_trainer.text import counted

FIGURE = "phase_diagram.png"


def jobs_of(config: PhaseConfig) -> list[Part | Frozen]:
    """The parts of the map, then the runs behind the verdicts.

    Raises:
        InputError: a value is out of range, or given twice.
    """
    for name in ("rewards", "lr_policies", "speed_ratios"):
        values = getattr(config, name)
        if not values or len(set(values)) < len(values):
            given = " ".join(map(str, values))
            raise InputError(f"--{name} must name each value once, and one at least, not {given!r}.")
    for name in ("lr_policies", "speed_ratios"):
        for value in getattr(config, name):
            if not 0 < value < math.inf:
                raise InputError(f"--{name} must be positive numbers, not {value:g}.")
    for reward in config.rewards:
        check_closed_form(reward)
    jobs: list[Part | Frozen] = []
    for reward in config.rewards:
        for lr_policy in config.lr_policies:
            # Ten digits, so that 0.01 times 3 is the 0.03 that one would write.
            speeds = [(lr_policy, float(f"{lr_policy * ratio:.10g}")) for ratio in config.speed_ratios]
            jobs += parts_of("map", reward, speeds, config.effort)
    return jobs + verdict_jobs(quick=config.quick)


def job_of(settings: Mapping[str, Any], config: PhaseConfig) -> Part | Frozen:
    """The job that would make a folder of such settings now.

    Raises:
        InputError: there is none.
    """
    jobs = {job.name: job for job in jobs_of(config)}
    made = str(settings.get("name"))
    if made in jobs:
        return jobs[made]
    if settings.get("kind") != "map":
        raise InputError(f"There is a part {made!r}, which is not this program's; choose another --output.")
    # A part of other rewards or learning rates stays in the map, if everything else is the same.
    speeds = tuple((policy, disc) for policy, disc in settings["speeds"])
    return Part("map", settings["reward"], speeds, config.effort)


def write_report(output: Path, *, title: str, boundary: Boundary, boundary_label: str) -> tuple[list[str], bool]:
    """Write `cells.csv`, `table.csv`, `verdicts.md` and `phase_diagram.png` from the finished parts.

    Args:
        output: the folder that holds `parts`.
        title: of the figure.
        boundary: drawn over the map.
        boundary_label: what it is.

    Returns:
        the verdicts as lines, and whether everything is reproduced.

    Raises:
        InputError: a part is missing or not as it was written.
    """
    parts = output / "parts"
    cells, (lines, reproduced) = read_cells(parts, "map"), verdict_lines(parts)
    with new_files(output) as folder:
        write_table(folder / "cells.csv", cells)
        write_table(folder / "table.csv", read_cells(parts, "table"))
        (folder / "verdicts.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    drawn = {"title": title, "boundary": boundary, "boundary_label": boundary_label}
    save_figures(output, {FIGURE: lambda: phase_figure(cells, **drawn)})
    return lines, reproduced


def stability_boundary(reward: RewardStyle, ratio: float) -> float:
    """The β above which 50/50 is stable, by the linear theory of `discriminator_speed`.

    Infinite for rewards without a lower bound, NaN where 50/50 is stable without any entropy bonus.
    """
    if math.isinf(frozen_critical_beta(reward)):
        return math.inf
    beta = critical_beta_at_speed(reward, ratio, logit_bound=math.inf)
    return beta if beta > 0 else math.nan


def run_phase_diagram(config: PhaseConfig) -> tuple[list[str], bool]:
    """Do what is not done yet, then `write_report`."""
    jobs, parts = jobs_of(config), config.output / "parts"
    check_finished(parts, lambda settings: job_of(settings, config))
    run_jobs(jobs, parts, processes=config.jobs, unit="part")
    diverged = count_diverged(parts)
    start = "0.5/0.5" if config.start == "uniform" else "random logits"
    title = (
        f"Coordination after {counted(config.epochs, 'epoch')}: {config.expert_type} expert, start at {start}, "
        f"{counted(config.seeds, 'seed')} per cell{', without sampling noise' if config.exact else ''}"
        f"{f'; {diverged} and left out' if diverged else ''}"
    )
    # The boundary is that of the bimodal expert.
    boundary = stability_boundary if config.expert_type == "bimodal" else (lambda reward, ratio: np.nan)
    label = "theory: above it 50/50 is stable (D near its optimum, gradient flow; here D starts at no opinion)"
    return write_report(config.output, title=title, boundary=boundary, boundary_label=label)


def main(config: PhaseConfig) -> int:
    """Fill the missing parts, then write tables, verdicts and the figure; the exit status."""
    config = config.settle()
    lines, reproduced = run_phase_diagram(config)
    print("\n".join(["", *lines, ""]))
    status = wrote(config.output, ["cells.csv", "table.csv", "verdicts.md", FIGURE])
    return exit_status(count_diverged(config.output / "parts"), status if reproduced else 1)
