"""Claims on collapse and mixing in the matching game: what a seed, a bonus and a discriminator's speed decide.

Cells are those of the phase diagram, `experiments.theory.phase_cells.COLUMNS`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.claims.claim import Claim, Table, chosen, joint_of, rows_of, seed_counts, shown
from experiments.claims.known_results import COLLAPSED, MIXED, KnownNumber
from experiments.matching.metrics import js_distance, pooled_joint
from experiments.matching.results import AGENTS
from experiments.studies.criteria import Criterion
from experiments.studies.statistics import variance_interval
from experiments.theory.discriminator_speed import critical_speed_ratio
from experiments.theory.frozen_discriminator import frozen_critical_beta
from magail_trainer.cli.command_line import counted


def collapse(
    run_a: Table, judged: Sequence[Criterion], expert_joint: np.ndarray, cells: Table, commands: Sequence[str]
) -> Claim:
    """Without an entropy bonus, each run ends in a convention that its seed decides.

    Args:
        run_a: the runs of the seed's run A.
        judged: the criteria of the seed's run A.
        expert_joint: `[2, 2]`
        cells: the phase diagram's cells, `experiments.theory.phase_cells.COLUMNS`, at β = 0 those of the known table.
        commands: that repeat both.
    """
    seeds = len(run_a["seed"])
    joint = joint_of(run_a)
    pooled = float(js_distance(pooled_joint(joint), expert_joint))
    least = float(js_distance(joint, expert_joint).min())
    spread = {agent: variance_interval(run_a[f"prob_a_{agent}"]) for agent in AGENTS}
    criteria = [
        *judged,
        *(
            Criterion(
                f"P(A) of {agent} differs from seed to seed (variance above 0.05; a fair coin's is 0.25)",
                shown(of),
                of.low > 0.05,
            )
            for agent, of in spread.items()
        ),
    ]
    limits = [
        Criterion(
            "the joint pooled over seeds is nearer to the expert than any single run",
            f"JS distance {pooled:.3f} pooled, {least:.3f} the nearest run",
            pooled < least,
        ),
        *(
            Criterion(
                f"no collapse at β = 0 with {_speeds(cell)} (coordination below {MIXED:g})",
                _coordination(cell),
                cell["coordination_high"] < MIXED,
            )
            for cell in rows_of(cells)
            if cell["beta"] == 0 and cell["coordination_high"] < MIXED
        ),
    ]
    return Claim(
        "Without an entropy bonus, the agents collapse to AA or BB by chance",
        "Bimodal expert, reward −log(1 − D), lr_policy 0.01, lr_disc 0.005, β = 0: coordination goes to 1, and the "
        "seed decides which convention it is.",
        criteria,
        limits,
        "β = 0 alone does not make a collapse. It also takes a reward and a discriminator slow enough: at the learning "
        "rates listed here agents stay mixed without any bonus. And runs that are pooled before they are measured look "
        "like the expert, although no single run does.",
        f"{counted(seeds, 'seed')}; intervals are bootstraps over seeds, of shares exact (Clopper–Pearson)",
        commands,
        ("suggested_run_A", "phase_portrait_gail"),
    )


def collapse_table(criteria: Sequence[KnownNumber], cells: Table, commands: Sequence[str]) -> Claim:
    """Whether agents collapse at β = 0 hangs on reward and learning rates, as the known table says.

    Args:
        criteria: `experiments.claims.known_results.table_criteria`.
        cells: what they were made of.
        commands: that repeat it.
    """
    limits = [
        Criterion("the same verdict, but another number", f"{item.cell}: {item.observed}", True)
        for item in criteria
        if item.holds and item.another
    ]
    return Claim(
        "Whether they collapse depends on the reward and on the discriminator's speed",
        "Bimodal expert, start at 0.5/0.5, 4000 epochs, β = 0. gail is the reward −log(1 − D), non_saturating is "
        f"log D. Collapse is an interval of coordination above {COLLAPSED:g}, none is one below {MIXED:g}.",
        criteria,
        limits,
        "Where a number differs from the one that was known, the verdict on collapse is the same: at lr_policy "
        "0.001 the collapse is still under way after 4000 epochs.",
        f"{seed_counts(cells['seeds'])} per cell",
        commands,
        ("phase_diagram",),
    )


def mixing(judged: Mapping[str, Sequence[Criterion]], cells: Table, seeds: str, commands: Sequence[str]) -> Claim:
    """A large entropy bonus mixes; how large it must be depends.

    Args:
        judged: by where they come from, the criteria of runs at β = 5.
        cells: the phase diagram's cells, over β and speeds.
        seeds: of the judged runs.
        commands: that repeat it.
    """
    criteria = [
        Criterion(f"{of}: {item.expected}", item.observed, item.holds) for of, all_ in judged.items() for item in all_
    ]
    speeds = _groups(cells, "reward", "lr_policy", "lr_disc")
    enough = {key: enough_to_mix(of) for key, of in speeds.items()}
    least = {reward: [enough[key] for key in enough if key[0] == reward] for reward, *_ in enough}
    limits = []
    for reward, betas in least.items():
        fastest, slowest = min(betas), max(betas)
        limits.append(
            Criterion(
                f"{reward}: the bonus that is enough depends on the discriminator's speed",
                f"from {_beta(fastest)} to {_beta(slowest)} over lr_disc / lr_policy",
                fastest < slowest,
            )
        )
    return Claim(
        "An entropy bonus mixes",
        "Bimodal expert, reward −log(1 − D), β = 5: both agents go to 50/50, and coordination to a half.",
        criteria,
        limits,
        "How large β must be is not one number. The least β of the phase diagram from which on no cell collapses "
        f"(coordination below {MIXED:g}) differs with the reward and the speed of the discriminator; the claim on "
        "correlated demonstrations says why a mix is no nearer to a correlated expert than a collapse is.",
        seeds,
        commands,
        ("suggested_run_B", "phase_diagram"),
    )


def theory(frozen: Sequence[Criterion], cells: Table, seeds: str, commands: Sequence[str]) -> Claim:
    """The critical β of a frozen discriminator, and the speed that keeps agents mixed without a bonus.

    Args:
        frozen: `experiments.claims.known_results.frozen_criteria`.
        cells: the phase diagram's cells over β and speeds.
        seeds: of the runs behind `frozen`.
        commands: that repeat it.
    """
    at_zero = _groups(chosen(cells, beta=0.0), "reward", "lr_policy")
    criteria = [*frozen, *(_boundary(reward, of) for (reward, _), of in at_zero.items())]
    critical = frozen_critical_beta("gail")
    gail = chosen(cells, reward="gail")
    below = np.asarray(gail["coordination_high"])[np.asarray(gail["beta"]) < critical] < MIXED
    limits = [
        Criterion(
            f"gail: a discriminator that learns lets agents mix below β = {critical:.3f} as well",
            f"{int(below.sum())} of {counted(len(below), 'cell')} of the phase diagram below that β are mixed",
            bool(below.any()),
        )
    ]
    return Claim(
        "Theory and experiment agree on where collapse ends",
        "With the discriminator frozen at its optimum for the mixed point, mixing is stable above β = log(3)/2 = 0.549 "
        "for −log(1 − D). With one that learns, mixing is stable at β = 0 where it is fast enough.",
        criteria,
        limits,
        "The critical β belongs to a frozen discriminator. One that learns has another boundary, which depends on "
        "its speed. Both are linear stability near the mixed point: they leave out momentum, the noise over "
        "thousands of epochs and what attracts far from it.",
        seeds,
        commands,
        ("phase_portrait_gail", "phase_portrait_non_saturating", "phase_diagram"),
    )


def enough_to_mix(cells: Table) -> float:
    """The least β from which on no cell is above `MIXED`; infinity if there is none.

    Args:
        cells: of one reward and one pair of learning rates.
    """
    above = np.asarray(cells["beta"])[np.asarray(cells["coordination_high"]) >= MIXED]
    betas = np.asarray(cells["beta"])
    later = betas[betas > above.max()] if above.size else betas
    return float(later.min()) if later.size else math.inf


def speed_boundary(cells: Table) -> tuple[float, float]:
    """The fastest discriminator, as lr_disc / lr_policy, with which agents collapse, and the slowest with which not.

    0 if they never collapse, infinity if they always do; where it is neither, between the two.

    Args:
        cells: of one reward and one β.
    """
    ratio = np.round(np.asarray(cells["lr_disc"]) / np.asarray(cells["lr_policy"]), 9)
    collapsed = ratio[np.asarray(cells["coordination_low"]) > COLLAPSED]
    mixed = ratio[np.asarray(cells["coordination_high"]) < MIXED]
    return float(collapsed.max(initial=0.0)), float(mixed.min(initial=math.inf))


def _boundary(reward: str, cells: Table) -> Criterion:
    """Theory's critical speed lies between the speeds that collapse and those that do not."""
    critical = critical_speed_ratio(reward, 0.0, optimizer="adam")  # type: ignore[arg-type]
    low, high = speed_boundary(cells)
    expected = (
        "no speed keeps agents mixed" if math.isinf(critical) else f"mixed above lr_disc / lr_policy = {critical:.3f}"
    )
    observed = f"collapse up to {low:g}, " + ("mixed at no speed" if math.isinf(high) else f"mixed from {high:g}")
    seen = low > 0 and (math.isinf(critical) or math.isfinite(high))  # without evidence, everything lies in between
    return Criterion(f"{reward}, β = 0: {expected}", observed, seen and low <= critical <= high)


def _groups(cells: Table, *names: str) -> dict[tuple[Any, ...], Table]:
    """The cells of each combination of values of some columns."""
    keys = list(dict.fromkeys(zip(*(np.asarray(cells[name]).tolist() for name in names), strict=True)))
    return {key: chosen(cells, **dict(zip(names, key, strict=True))) for key in keys}


def _speeds(cell: Mapping[str, Any]) -> str:
    return f"{cell['reward']}, lr_policy {cell['lr_policy']:g}, lr_disc {cell['lr_disc']:g}"


def _coordination(cell: Mapping[str, Any]) -> str:
    low, high = cell["coordination_low"], cell["coordination_high"]
    return f"{cell['coordination_mean']:.3f} [{low:.3f}, {high:.3f}], {counted(cell['seeds'], 'seed')}"


def _beta(beta: float) -> str:
    return "none of those tried" if math.isinf(beta) else f"β = {beta:g}"
