"""The four reference runs, each with a verdict.

    python -m experiments.suggested_runs        all four
    python -m experiments.suggested_runs A C    two of them

A run is reproduced only if each of its criteria holds; the criteria are computed from the saved run folder. The exit
status is 0 only if every run is reproduced, and drawn, and 3 if a seed diverged.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from experiments.matching.best_product import best_product_js
from experiments.matching.coordination import FIGURE, run_experiment
from experiments.matching.results import AGENTS, Columns
from experiments.matching.settings import CoordinationConfig, Name, Network, SuggestedRunsConfig, for_perceptrons
from experiments.studies.criteria import (
    HEADER,
    Criterion,
    all_hold,
    interval_text,
    labelled,
    markdown_table,
    verdict,
    verdict_rows,
)
from experiments.studies.diverged import count_diverged, exit_status, none_diverged
from experiments.studies.plotting import report_missing
from experiments.studies.statistics import fair_coin_p_value, mean_interval, share_interval
from magail_trainer.cli.command_line import this_command
from magail_trainer.data.run_folder import healthy, open_run, read_table
from magail_trainer.errors import InputError
from magail_trainer.files import read_arrays
from magail_trainer.folders import new_folder
from magail_trainer.learn.config import MagailConfig
from magail_trainer.sealed import as_written
from magail_trainer.text import counted, display_path

REPORT = "report.md"
Check = Callable[[Columns], list[Criterion]]
"""From runs of one β, `[R]` under each name."""


@dataclass(frozen=True)
class SuggestedRun:
    """One of the reference runs: its expected outcome, its settings, and the checks for each β."""

    statement: str
    config: CoordinationConfig
    checks: Mapping[float, Sequence[Check]]
    out_of_reach: bool = False
    """Whether independent policies cannot match the expert: then `stays_away` is checked for each β, too."""


def of_beta(runs: Columns, beta: float) -> Columns:
    """The rows of one β."""
    return {name: column[runs["beta"] == beta] for name, column in runs.items()}


def collapses(runs: Columns) -> list[Criterion]:
    """Coordination close to 1, and every seed in one of the two conventions."""
    rate, decided = mean_interval(runs["coordination_rate"]), runs["convention"] != "neither"
    return [
        Criterion("coordination ≈ 1 (interval above 0.97)", interval_text(rate), rate.low > 0.97),
        Criterion("every seed in AA or in BB", f"{decided.sum()} of {len(decided)}", bool(decided.all())),
    ]


def splits(runs: Columns) -> list[Criterion]:
    """Some seeds choose AA and others BB, consistent with a fair coin."""
    in_aa, seeds = int((runs["convention"] == "AA").sum()), len(runs["seed"])
    share, p_value = share_interval(in_aa, seeds), fair_coin_p_value(in_aa, seeds)
    in_bb = int((runs["convention"] == "BB").sum())
    return [
        Criterion("AA in some seeds, BB in others", f"AA in {in_aa}, BB in {in_bb}", in_aa > 0 and in_bb > 0),
        Criterion("a fair coin (p > 0.01)", f"share of AA {interval_text(share)}, p = {p_value:.2f}", p_value > 0.01),
    ]


def mixes(runs: Columns) -> list[Criterion]:
    """Both agents at 0.5, with maximal entropy."""
    entropy = float(np.min([runs[f"entropy_{agent}"] for agent in AGENTS]))
    prob_a = np.stack([runs[f"prob_a_{agent}"] for agent in AGENTS])
    ends, uniform = f"{prob_a.min():.3f} to {prob_a.max():.3f}", bool(abs(prob_a - 0.5).max() < 0.05)
    return [
        _near_half(runs, within=0.02),
        Criterion("entropies ≈ log 2 = 0.693 (every one above 0.68)", f"least {entropy:.4f}", entropy > 0.68),
        Criterion("P(A) ≈ 0.5 in every seed (within 0.05)", ends, uniform),
    ]


def stays_away(runs: Columns, expert_joint: np.ndarray) -> list[Criterion]:
    """The JS distance stays at or above the least of independent policies."""
    limit, least = best_product_js(expert_joint).distance, float(runs["js_distance"].min())
    expected = f"JS distance stays high (no seed below {limit:.3f}, the least of independent policies, which is > 0.5)"
    observed = f"{interval_text(mean_interval(runs['js_distance']))}, least {least:.4f}"
    return [Criterion(expected, observed, limit > 0.5 and least > limit - 1e-6)]


def matches_uniform(runs: Columns) -> list[Criterion]:
    """Coordination near a half and a small JS distance to the uniform joint."""
    js = mean_interval(runs["js_distance"])
    return [
        _near_half(runs, within=0.05),
        Criterion("JS distance drops (interval below 0.15; bimodal: 0.558)", interval_text(js), js.high < 0.15),
    ]


def is_sound(runs: Columns, history: Columns, *, eval_episodes: int) -> list[Criterion]:
    """Checks for every run: training moved the policies, and the agents play what their policies say.

    Without the first, a program that never learns would pass as one that mixes.

    Args:
        runs: `[R]` under each name.
        history: `[K, R]` under each name.
        eval_episodes: behind each row of the `sampled_` columns.
    """
    paths = np.stack([history[f"prob_a_{agent}"] for agent in AGENTS])  # [2, K, R]
    moved = np.abs(paths - paths[:, :1]).max(axis=(0, 1))
    rate = runs["coordination_rate"]
    difference, error = np.abs(runs["sampled_coordination_rate"] - rate), np.sqrt(rate * (1 - rate) / eval_episodes)
    return [
        Criterion("P(A) moves in training, in every run", f"by {moved.min():.3f} at least", bool(moved.min() > 0.001)),
        Criterion(
            "agents match as often in play as their policies say (every run within 4 standard errors)",
            f"largest difference {difference.max():.4f}",
            bool((difference < 4 * error + 0.002).all()),
        ),
    ]


def _near_half(runs: Columns, *, within: float) -> Criterion:
    rate = mean_interval(runs["coordination_rate"])
    holds = rate.low > 0.5 - within and rate.high < 0.5 + within
    return Criterion(f"coordination ≈ 0.5 (interval within {within:g})", interval_text(rate), holds)


_NORMAL = MagailConfig(network="tabular", reward_style="gail", lr_disc=0.005, epochs=2000)
_UNIFORM = replace(_NORMAL, policy_init_uniform=True)
_FIVE_SEEDS = (42, 123, 456, 789, 999)

SUGGESTED_RUNS: Mapping[Name, SuggestedRun] = {
    "A": SuggestedRun(
        "Without an entropy bonus, learning collapses to one of the two conventions, which one depends on the seed.",
        CoordinationConfig(betas=(0.0,), seeds=tuple(range(1, 11)), training=_UNIFORM),
        {0.0: (collapses, splits)},
    ),
    "B": SuggestedRun(
        "A large entropy bonus drives both agents to the independent 50/50 mix.",
        CoordinationConfig(betas=(5.0,), seeds=tuple(range(1, 6)), training=_UNIFORM),
        {5.0: (mixes,)},
    ),
    "C": SuggestedRun(
        "Independent policies cannot match correlated demonstrations, with or without the bonus.",
        CoordinationConfig(betas=(0.0, 5.0), seeds=_FIVE_SEEDS, training=_NORMAL),
        {0.0: (collapses,), 5.0: (mixes,)},
        out_of_reach=True,
    ),
    "D": SuggestedRun(
        "Independent policies do match an expert without correlation.",
        CoordinationConfig(expert_type="mixed", betas=(0.0, 5.0), seeds=_FIVE_SEEDS, training=_NORMAL),
        {0.0: (matches_uniform,), 5.0: (matches_uniform, mixes)},
    ),
}


def command_of_run(name: Name, *, num_seeds: int | None = None, network: Network = "tabular") -> str:
    """The command that repeats a run."""
    others = "" if network == "tabular" else f" --network {network}"
    others += "" if num_seeds is None else f" --num-seeds {num_seeds}"
    return f"python -m experiments.suggested_runs {name}{others}"


def criteria_of(name: Name, folder: Path) -> list[Criterion]:
    """Compute the criteria of a run from its run folder, and from those of its seeds that did not diverge.

    Raises:
        InputError: `folder` does not hold a finished run.
    """
    run = open_run(folder)
    config, table, history = run.content, read_table(run / "runs.csv"), read_arrays(run / "history.npz")
    with as_written(folder):
        kept = healthy(table)
        runs = {name: column[kept] for name, column in table.items()}
        history = {name: values[:, kept] for name, values in history.items() if name != "epoch"}
        criteria = expected_criteria(name, runs, np.asarray(config["dataset"]["joint"]))
        if not kept.any():
            return criteria
        return criteria + is_sound(runs, history, eval_episodes=config["experiment"]["eval_episodes"])


def expected_criteria(name: Name, runs: Columns, expert_joint: np.ndarray) -> list[Criterion]:
    """The criteria of each β of a run: runs `[R]` under each name, the expert's joint distribution `[2, 2]`."""
    suggested, criteria = SUGGESTED_RUNS[name], []
    for beta, checks in suggested.checks.items():
        rows = of_beta(runs, beta)
        if not len(rows["beta"]):
            criteria.append(Criterion(f"β={beta:g}: some runs", "none, or all of them diverged", False))
            continue
        found = stays_away(rows, expert_joint) if suggested.out_of_reach else []
        found += [criterion for check in checks for criterion in check(rows)]
        criteria += labelled(f"β={beta:g}: ", found) if len(suggested.checks) > 1 else found
    return criteria


def run_suggested(
    name: Name, folder: Path, *, num_seeds: int | None = None, network: Network = "tabular"
) -> list[Criterion]:
    """Train and evaluate a run, write its run folder `folder`, and compute its criteria from the folder."""
    config = replace(SUGGESTED_RUNS[name].config, output=folder)
    config = config if network == "tabular" else replace(config, training=for_perceptrons(config.training))
    config = replace(config, seeds=tuple(range(1, num_seeds + 1))) if num_seeds else config
    run_experiment(config, command=command_of_run(name, num_seeds=num_seeds, network=network))
    return [*none_diverged(folder), *criteria_of(name, folder)]


def verdict_lines(outcomes: Mapping[Name, Sequence[Criterion]]) -> list[str]:
    """The criteria and verdict of each run, as a Markdown table."""
    titles = {name: f"{name}: {SUGGESTED_RUNS[name].statement}" for name in outcomes}
    groups = [verdict_rows(titles[name], labelled(f"{name}: ", outcomes[name])) for name in outcomes]
    return markdown_table(HEADER, [row for group in groups for row in group])


def report_of(
    outcomes: Mapping[Name, Sequence[Criterion]], *, drawn: Collection[Name], num_seeds: int | None, command: str
) -> str:
    """The text of `report.md`, with the figures of the runs that are `drawn`."""
    lines = ["# The four reference runs", "", f"Made by `{command}`.", "", *verdict_lines(outcomes), ""]
    lines += ["Intervals of means are percentile bootstraps over seeds, those of shares exact.", ""]
    for name, criteria in outcomes.items():
        seeds = counted(num_seeds or len(SUGGESTED_RUNS[name].config.seeds), "seed")
        text = f"{SUGGESTED_RUNS[name].statement} {seeds} for each β."
        lines += [f"## Run {name}: {verdict(criteria)}", "", text, ""]
        lines += [f"![run {name}]({name}/{FIGURE})", ""] if name in drawn else []
    return "\n".join(lines)


def main(config: SuggestedRunsConfig) -> int:
    """Run and judge the reference runs; the exit status."""
    if len(set(config.names)) < len(config.names):
        raise InputError(f"{' '.join(config.names)} names a run twice; expected each once.")
    if config.num_seeds is not None and config.num_seeds < 2:
        raise InputError(f"--num_seeds must be at least 2, not {config.num_seeds}.")
    target = config.output or Path("results/suggested_runs") / f"{datetime.now():%Y-%m-%d_%H%M%S_%f}"
    outcomes: dict[Name, list[Criterion]] = {}
    with new_folder(target, marker=REPORT, others=tuple(SUGGESTED_RUNS), overwrite=config.overwrite) as folder:
        for name in config.names:
            outcomes[name] = run_suggested(name, folder / name, num_seeds=config.num_seeds, network=config.network)
            print(f"Run {name}: {verdict(outcomes[name])}", flush=True)
        command = this_command("python -m experiments.suggested_runs")
        drawn: list[Name] = [name for name in outcomes if (folder / name / FIGURE).is_file()]
        text = report_of(outcomes, drawn=drawn, num_seeds=config.num_seeds, command=command)
        (folder / REPORT).write_text(text, encoding="utf-8")
    print("\n".join(["", *verdict_lines(outcomes), ""]))
    print(f"Wrote {display_path(target)}, with {REPORT}.")
    expected = [f"{name}/{FIGURE}" for name in outcomes if not SUGGESTED_RUNS[name].config.no_plots]
    status = report_missing(target, expected)
    status = status if all(all_hold(criteria) for criteria in outcomes.values()) else 1
    return exit_status(count_diverged(target), status)
