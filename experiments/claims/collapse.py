"""Claims on collapse and mixing in the matching game: the roles of the seed, the bonus and the discriminator's speed.

A cell is a row of the phase diagram, `experiments.theory.phase_cells.COLUMNS`. Each claim's function takes the report's
folder and returns what the parts in it show.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np

from experiments.claims.claim import (
    RUN,
    Claim,
    Figure,
    Finding,
    Limit,
    chosen,
    expert_joint,
    part_runs,
    read_runs,
    seeds_text,
)
from experiments.matching.metrics import js_distance, pooled_joint
from experiments.matching.results import AGENTS, Columns
from experiments.matching.suggested_runs import criteria_of, mixes, of_beta
from experiments.studies.criteria import Criterion, interval_text, labelled
from experiments.studies.statistics import variance_interval
from experiments.theory.discriminator_speed import critical_speed_ratio
from experiments.theory.frozen_discriminator import frozen_critical_beta
from experiments.theory.known_results import COLLAPSED, MIXED, frozen_criteria, table_criteria
from experiments.theory.phase_cells import read_cells
from magail_trainer.play.statistics import Interval
from magail_trainer.text import counted

RUN_A, RUN_B, RUN_C = (f"suggested_runs/{name}" for name in "ABC")
PARTS = "phase_diagram/parts"
MAP, TABLE, FROZEN = (f"{PARTS}/{kind}-*" for kind in ("map", "table", "frozen"))
RUN_FIGURE = "P(A), JS distance, conventions and the joint distribution."
PORTRAIT, OTHER_PORTRAIT = (
    Figure(f"phase_portrait_{reward}", f"phase_portrait/{reward}/portrait/figure.png", caption)
    for reward, caption in {
        "gail": "The flow of both agents' P(A) for each β, its fixed points, and sampled runs; reward −log(1 − D).",
        "non_saturating": "The same flow and runs for the reward log D.",
    }.items()
)
PHASE_DIAGRAM = Figure(
    "phase_diagram",
    "phase_diagram/phase_diagram.png",
    "Coordination at the end of training over β and lr_disc / lr_policy, for each reward.",
)


def collapse(folder: Path) -> Finding:
    """Without an entropy bonus, each run ends in a convention, which the seed decides."""
    runs, expert = read_runs(folder / RUN_A), expert_joint(folder / RUN_A)
    criteria = criteria_of("A", folder / RUN_A / RUN)
    for agent in AGENTS:
        spread = variance_interval(runs[f"prob_a_{agent}"])
        expected = f"P(A) of {agent} differs from seed to seed (variance above 0.05; a fair coin's is 0.25)"
        criteria.append(Criterion(expected, interval_text(spread), spread.low > 0.05))
    joint = np.stack([runs[f"joint_{name}"] for name in ("aa", "ab", "ba", "bb")], axis=-1).reshape(-1, 2, 2)
    pooled, nearest = float(js_distance(pooled_joint(joint), expert)), float(js_distance(joint, expert).min())
    limits = [
        Limit(
            "the joint pooled over seeds is nearer to the expert than any single run",
            f"JS distance {pooled:.3f} pooled, {nearest:.3f} the nearest run",
            pooled < nearest,
            "Runs that are pooled before they are measured look like the expert, although no single run does.",
        )
    ]
    for cell in _rows(chosen(cells_of(folder, "table"), beta=0.0)):
        if cell["coordination_high"] < MIXED:
            rate = Interval(*(cell[f"coordination_{name}"] for name in ("mean", "low", "high")))
            limits.append(
                Limit(
                    f"no collapse at β = 0 with {cell['reward']}, lr_policy {cell['lr_policy']:g}, lr_disc "
                    f"{cell['lr_disc']:g} (coordination below {MIXED:g})",
                    f"{interval_text(rate)}, {counted(cell['seeds'], 'seed')}",
                    True,
                    "β = 0 is not enough for a collapse. At the learning rates listed here, agents stay mixed "
                    "without a bonus.",
                )
            )
    return Finding(criteria, limits, seeds_text(runs))


def collapse_table(folder: Path) -> Finding:
    """Collapse at β = 0 depends on reward and learning rates as in the known table."""
    seeds = seeds_text(*part_runs(folder, TABLE))
    criteria = table_criteria(read_cells(folder / PARTS, "table"))
    limits = [
        Limit(
            "the same verdict, but another number",
            f"{item.cell}: {item.observed}",
            True,
            "At the learning rates listed here, the mean differs from the number known before. Whether agents "
            "collapse does not.",
        )
        for item in criteria
        if item.holds and item.another
    ]
    return Finding(criteria, limits, f"{seeds} per cell")


def mixing(folder: Path) -> Finding:
    """A large entropy bonus mixes. How large it must be may depend on the discriminator's speed."""
    of_map = seeds_text(*part_runs(folder, MAP))
    criteria, limits, seeds = [], [], []
    for name in ("B", "C"):
        runs = of_beta(read_runs(folder / "suggested_runs" / name), 5.0)
        criteria += labelled(f"run {name}: ", mixes(runs))
        seeds.append(f"{seeds_text(runs)} of run {name}")
    cells = _groups(cells_of(folder, "map"), "reward", "lr_policy", "lr_disc")
    enough = {key: enough_to_mix(group) for key, group in cells.items()}
    for reward in dict.fromkeys(key[0] for key in enough):
        betas = [beta for key, beta in enough.items() if key[0] == reward]
        ends = ("none of those tried" if math.isinf(beta) else f"β = {beta:g}" for beta in (min(betas), max(betas)))
        limits.append(
            Limit(
                f"{reward}: the bonus that is enough depends on the discriminator's speed",
                f"from {' to '.join(ends)} over lr_disc / lr_policy",
                min(betas) < max(betas),
                "How large β must be is not one number. The least β of the phase diagram from which on every cell is "
                f"mixed (coordination below {MIXED:g}) depends on the speed of the discriminator.",
            )
        )
    return Finding(criteria, limits, ", ".join([*seeds, f"{of_map} per cell of the phase diagram"]))


def theory(folder: Path) -> Finding:
    """The critical β of a frozen discriminator, and the speed that keeps agents mixed without a bonus."""
    frozen, of_map = (seeds_text(*part_runs(folder, pattern)) for pattern in (FROZEN, MAP))
    cells = cells_of(folder, "map")
    at_zero = _groups(chosen(cells, beta=0.0), "reward", "lr_policy")
    boundaries = [_boundary(reward, group) for (reward, _), group in at_zero.items()]
    critical, gail = frozen_critical_beta("gail"), chosen(cells, reward="gail")
    below = gail["coordination_high"][gail["beta"] < critical] < MIXED
    limit = Limit(
        f"gail: a discriminator that learns lets agents mix below β = {critical:.3f} as well",
        f"{int(below.sum())} of {counted(len(below), 'cell')} of the phase diagram below that β are mixed",
        bool(below.any()),
        "The critical β belongs to a frozen discriminator. One that learns has another boundary, which depends on its "
        "speed.",
    )
    seeds = f"{frozen} with a frozen discriminator, {of_map} per cell of the phase diagram"
    return Finding([*frozen_criteria(folder / PARTS), *boundaries], [limit], seeds)


def enough_to_mix(cells: Columns) -> float:
    """The least β from which on no cell is above `MIXED`; infinity if there is none.

    Args:
        cells: of one reward and one pair of learning rates.
    """
    betas = cells["beta"]
    above = betas[cells["coordination_high"] >= MIXED]
    later = betas[betas > above.max()] if above.size else betas
    return float(later.min()) if later.size else math.inf


def speed_boundary(cells: Columns) -> tuple[float, float]:
    """The fastest discriminator with which agents collapse, and the slowest with which they do not.

    Speeds are lr_disc / lr_policy. 0 if agents never collapse, infinity if they always do.

    Args:
        cells: of one reward and one β.
    """
    ratio = np.round(cells["lr_disc"] / cells["lr_policy"], 9)
    collapsed, mixed = ratio[cells["coordination_low"] > COLLAPSED], ratio[cells["coordination_high"] < MIXED]
    return float(collapsed.max(initial=0.0)), float(mixed.min(initial=math.inf))


def cells_of(folder: Path, kind: str) -> Columns:
    """The cells of a kind, `map` or `table`, from the parts below the report's folder."""
    return {name: np.asarray(column) for name, column in read_cells(folder / PARTS, kind).items()}


def _boundary(reward: str, cells: Columns) -> Criterion:
    """Theory's critical speed lies between the speeds that collapse and those that do not."""
    critical = critical_speed_ratio(reward, 0.0, optimizer="adam")  # type: ignore[arg-type]
    low, high = speed_boundary(cells)
    none = math.isinf(critical)
    expected = "no speed keeps agents mixed" if none else f"mixed above lr_disc / lr_policy = {critical:.3f}"
    observed = f"collapse up to {low:g}, " + ("mixed at no speed" if math.isinf(high) else f"mixed from {high:g}")
    seen = low > 0 and (none or math.isfinite(high))  # without evidence, every speed lies in between
    return Criterion(f"{reward}, β = 0: {expected}", observed, seen and low <= critical <= high)


def _rows(cells: Columns) -> list[dict[str, Any]]:
    columns = [column.tolist() for column in cells.values()]
    return [dict(zip(cells, row, strict=True)) for row in zip(*columns, strict=True)]


def _groups(cells: Columns, *names: str) -> dict[tuple[Any, ...], Columns]:
    """The cells of each combination of values of some columns."""
    keys = dict.fromkeys(tuple(cell[name] for name in names) for cell in _rows(cells))
    return {key: chosen(cells, **dict(zip(names, key, strict=True))) for key in keys}


COLLAPSE = Claim(
    "Without an entropy bonus, the agents collapse to AA or BB by chance",
    "Bimodal expert, reward −log(1 − D), lr_policy 0.01, lr_disc 0.005, β = 0. Coordination goes to 1, and the seed "
    "decides between AA and BB.",
    (RUN_A, TABLE, "phase_portrait/gail"),
    collapse,
    (Figure("suggested_run_A", f"{RUN_A}/run/figure.png", f"Run A, β = 0: {RUN_FIGURE}"), PORTRAIT),
)
COLLAPSE_TABLE = Claim(
    "Whether they collapse depends on the reward and on the discriminator's speed",
    "Bimodal expert, start at 0.5/0.5, 4000 epochs, β = 0. The reward gail is −log(1 − D), non_saturating is log D. "
    f"Agents collapse where the interval of coordination lies above {COLLAPSED:g}, and do not where it lies below "
    f"{MIXED:g}.",
    (TABLE, MAP),
    collapse_table,
    (PHASE_DIAGRAM,),
)
MIXING = Claim(
    "An entropy bonus mixes",
    "Bimodal expert, reward −log(1 − D), β = 5. Both agents go to 50/50, and coordination to a half.",
    (RUN_B, RUN_C, MAP),
    mixing,
    (Figure("suggested_run_B", f"{RUN_B}/run/figure.png", f"Run B, β = 5: {RUN_FIGURE}"), PHASE_DIAGRAM),
)
THEORY = Claim(
    "Theory and experiment agree on where collapse ends",
    "With the discriminator frozen at its optimum for the mixed point, mixing is stable above β = "
    f"{frozen_critical_beta('gail'):.3f} for −log(1 − D). With one that learns, mixing is stable at β = 0 above a "
    "critical speed. Both follow from linear stability near the mixed point, without momentum and sampling noise.",
    (FROZEN, MAP, "phase_portrait/*"),
    theory,
    (PORTRAIT, OTHER_PORTRAIT, PHASE_DIAGRAM),
)
