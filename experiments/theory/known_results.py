"""Known results: the table of collapse by learning rates, and the critical β of a frozen discriminator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.studies.criteria import HEADER, Criterion, all_hold, interval_text, markdown_table, verdict_rows
from experiments.studies.diverged import none_diverged
from experiments.studies.jobs import finished, open_cell
from experiments.theory.frozen_discriminator import (
    BOUNDED,
    BRANCH,
    SWEEP,
    Frozen,
    branch_interval,
    frozen_critical_beta,
    sweep_bracket,
)
from experiments.theory.phase_cells import RUNS, Effort, Part, Speed, read_cells
from magail_trainer.data.run_folder import read_healthy_runs
from magail_trainer.learn.config import RewardStyle
from magail_trainer.play.statistics import Interval
from magail_trainer.text import counted

KNOWN: Mapping[tuple[RewardStyle, Speed], tuple[float, float]] = {
    ("gail", (0.01, 0.001)): (0.99, 0.99),
    ("gail", (0.01, 0.01)): (1.00, 1.00),
    ("gail", (0.01, 0.1)): (0.51, 0.51),
    ("gail", (0.001, 0.01)): (0.50, 0.50),
    ("non_saturating", (0.01, 0.001)): (0.99, 1.00),
    ("non_saturating", (0.01, 0.01)): (0.99, 1.00),
    ("non_saturating", (0.01, 0.1)): (0.99, 1.00),
    ("non_saturating", (0.001, 0.01)): (0.99, 0.99),
    ("non_saturating", (0.001, 0.1)): (0.99, 0.99),
}
"""Coordination at β = 0 after 4000 epochs from the uniform start, bimodal expert: the range of earlier means over 50
seeds, by reward and (lr_policy, lr_disc).

The last two are 0.96 here, as in an independent implementation: at epoch 4000 the collapse is still under way; it
reaches 0.99 between epochs 6000 and 7000."""
TOLERANCE = 0.01
"""Largest distance of a mean's interval from the known number, which has two digits and noise of its own."""
COLLAPSED, MIXED = 0.95, 0.55
"""Coordination above the first is a collapse to a convention, below the second none."""
TABLE_SEEDS, SAMPLED_SEEDS, EXACT_SEEDS = 50, 30, 10
QUICK_DIVIDES_SEEDS_BY = 5


@dataclass(frozen=True)
class KnownNumber(Criterion):
    """An entry of `KNOWN` beside what was observed."""

    cell: str
    """Reward, learning rates and β."""
    another: bool
    """Whether the mean's interval is further than `TOLERANCE` from the known number; `observed` then says so."""


def verdict_jobs(*, quick: bool = False) -> list[Part | Frozen]:
    """The runs behind the verdicts; with `quick` a fifth of the seeds and one reward with a frozen discriminator."""
    table, sampled, exact = (
        number // (QUICK_DIVIDES_SEEDS_BY if quick else 1) for number in (TABLE_SEEDS, SAMPLED_SEEDS, EXACT_SEEDS)
    )
    jobs: list[Part | Frozen] = []
    rewards: tuple[RewardStyle, ...] = ("gail", "non_saturating")
    for reward in rewards:
        speeds = tuple(speed for of, speed in KNOWN if of == reward)
        jobs.append(Part("table", reward, speeds, Effort((0.0,), table)))
    for reward in BOUNDED[:1] if quick else BOUNDED:
        jobs.append(Frozen(reward, Effort(BRANCH, sampled, start="normal")))
        jobs.append(Frozen(reward, Effort(SWEEP, exact, start="normal", exact=True)))
    return jobs


def table_criteria(cells: Mapping[str, Sequence[Any]]) -> list[KnownNumber]:
    """For each entry of `KNOWN`, whether agents collapse as expected in its cell of kind `table`."""
    numbers = ("seeds", "coordination_mean", "coordination_low", "coordination_high")
    rows = zip(*(cells[name] for name in ("reward", "lr_policy", "lr_disc", *numbers)), strict=True)
    found = {(reward, (lr_policy, lr_disc)): numbers for reward, lr_policy, lr_disc, *numbers in rows}
    criteria = []
    for (reward, speed), (least, most) in KNOWN.items():
        collapse = least > COLLAPSED
        known = f"{least:.2f}" if least == most else f"{least:.2f}–{most:.2f}"
        which = f"{reward}, lr_policy {speed[0]:g}, lr_disc {speed[1]:g}, β=0"
        expected = f"{which}: {'collapse' if collapse else 'no collapse'}, coordination {known}"
        if (reward, speed) not in found:
            criteria.append(KnownNumber(expected, "no runs", holds=False, cell=which, another=False))
            continue
        seeds, mean, low, high = found[reward, speed]
        another = low - TOLERANCE > most or high + TOLERANCE < least
        observed = f"{interval_text(Interval(mean, low, high))}, {counted(seeds, 'seed')}"
        observed += f"; another number than {known}" if another else ""
        holds = low > COLLAPSED if collapse else high < MIXED
        criteria.append(KnownNumber(expected, observed, holds, which, another))
    return criteria


def frozen_criteria(parts: Path) -> list[Criterion]:
    """The critical β of a frozen discriminator, for each reward that has one, measured in two ways."""
    criteria = []
    for reward in BOUNDED:
        if not (parts / f"frozen-{reward}-exact").is_dir():
            continue  # the quick look has one reward
        theory = frozen_critical_beta(reward)
        name = f"{reward}, D frozen at the mixed point: critical β {theory:.4f}"
        exact, sampled = (
            read_healthy_runs(open_cell(parts / f"frozen-{reward}-{kind}") / RUNS) for kind in ("exact", "sampled")
        )
        observed, holds = "no runs", False
        if len(exact["beta"]):
            low, high = sweep_bracket(exact)
            observed, holds = f"between {low:g} and {high:g}", low <= theory <= high
        criteria.append(Criterion(f"{name}, without noise", observed, holds))
        observed, holds = "no runs", False
        if len(sampled["beta"]):
            of = branch_interval(sampled)
            observed, holds = interval_text(of, ".4f"), of.low <= theory <= of.high
        criteria.append(Criterion(f"{name}, sampled", observed, holds))
    return criteria


def _diverged(parts: Path, kind: str) -> list[Criterion]:
    return [
        item for part in finished(parts) if part.name.startswith(kind) for item in none_diverged(part, f"{part.name}: ")
    ]


def verdict_lines(parts: Path) -> tuple[list[str], bool]:
    """All criteria as a Markdown table, and whether everything holds.

    Raises:
        InputError: a part is missing or not as it was written.
    """
    table = [*_diverged(parts, "table"), *table_criteria(read_cells(parts, "table"))]
    frozen = [*_diverged(parts, "frozen"), *frozen_criteria(parts)]
    others = sum(isinstance(item, KnownNumber) and item.another for item in table)
    rows = [
        *verdict_rows(
            "collapse by reward and learning rates",
            table,
            f"{others} of {len(table)} with another number" if others else "",
        ),
        *verdict_rows("critical β of a frozen discriminator", frozen),
    ]
    return markdown_table(HEADER, rows), all_hold(table) and all_hold(frozen)
