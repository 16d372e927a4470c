"""The four runs that the seed suggests, each with a verdict.

    python -m experiments.suggested_runs        all four
    python -m experiments.suggested_runs A C    two of them

A verdict is "reproduced" only if every one of the run's criteria holds. The exit status is 0 only if all are.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import tyro

from experiments.matching.best_product import best_product_js
from experiments.matching.coordination import CoordinationConfig, run_experiment
from experiments.matching.results import AGENTS, Columns, Results
from experiments.studies.criteria import Criterion
from experiments.studies.statistics import Interval, fair_coin_p_value, mean_interval, share_interval
from magail_trainer.cli.command_line import counted, display_path, this_command
from magail_trainer.errors import InputError
from magail_trainer.folders import new_folder

Name = Literal["A", "B", "C", "D"]
REPORT = "report.md"


@dataclass(frozen=True)
class SuggestedRun:
    """One of the seed's runs: its settings, what it is to show, and how that is judged."""

    claim: str
    config: CoordinationConfig
    judge: Callable[[Results], list[Criterion]]


def of_beta(results: Results, beta: float) -> Columns:
    """The rows of one β."""
    return {name: column[results.runs["beta"] == beta] for name, column in results.runs.items()}


def collapses(runs: Columns) -> list[Criterion]:
    """Coordination close to 1, and every seed in one of the two conventions."""
    rate, decided = mean_interval(runs["coordination_rate"]), runs["convention"] != "neither"
    return [
        Criterion("coordination ≈ 1 (interval above 0.97)", _show(rate), rate.low > 0.97),
        Criterion("every seed in AA or in BB", f"{decided.sum()} of {len(decided)}", bool(decided.all())),
    ]


def splits(runs: Columns) -> list[Criterion]:
    """Some seeds choose AA and others BB, as a fair coin would have it."""
    in_aa, seeds = int((runs["convention"] == "AA").sum()), len(runs["seed"])
    share, p_value = share_interval(in_aa, seeds), fair_coin_p_value(in_aa, seeds)
    in_bb = int((runs["convention"] == "BB").sum())
    return [
        Criterion("AA in some seeds, BB in others", f"AA in {in_aa}, BB in {in_bb}", in_aa > 0 and in_bb > 0),
        Criterion("a fair coin (p > 0.01)", f"share of AA {_show(share)}, p = {p_value:.2f}", p_value > 0.01),
    ]


def mixes(runs: Columns) -> list[Criterion]:
    """Both agents at 0.5, as uncertain as can be."""
    rate = mean_interval(runs["coordination_rate"])
    entropies = np.stack([runs[f"entropy_{agent}"] for agent in AGENTS])
    prob_a = np.stack([runs[f"prob_a_{agent}"] for agent in AGENTS])
    return [
        Criterion("coordination ≈ 0.5 (interval within 0.02)", _show(rate), rate.low > 0.48 and rate.high < 0.52),
        Criterion(
            "entropies ≈ log 2 = 0.693 (every one above 0.68)", f"least {entropies.min():.4f}", entropies.min() > 0.68
        ),
        Criterion(
            "P(A) ≈ 0.5 in every seed (within 0.05)",
            f"{prob_a.min():.3f} to {prob_a.max():.3f}",
            bool(abs(prob_a - 0.5).max() < 0.05),
        ),
    ]


def stays_away(runs: Columns, expert_joint: np.ndarray) -> list[Criterion]:
    """The JS distance stays where independent policies must be, or above."""
    limit, js = best_product_js(expert_joint).distance, mean_interval(runs["js_distance"])
    return [
        Criterion(
            f"JS distance stays high (no seed below {limit:.3f}, the least that independent policies can have; it "
            "is > 0.5)",
            f"{_show(js)}, least {runs['js_distance'].min():.4f}",
            limit > 0.5 and bool(runs["js_distance"].min() > limit - 1e-6),
        )
    ]


def matches_uniform(runs: Columns) -> list[Criterion]:
    """Coordination near a half and a small JS distance to the uniform joint."""
    rate, js = mean_interval(runs["coordination_rate"]), mean_interval(runs["js_distance"])
    return [
        Criterion("coordination ≈ 0.5 (interval within 0.05)", _show(rate), rate.low > 0.45 and rate.high < 0.55),
        Criterion("JS distance drops (interval below 0.15; bimodal: 0.558)", _show(js), js.high < 0.15),
    ]


def is_sound(results: Results) -> list[Criterion]:
    """What every run must show: that training moved it, and that it plays as its policies say.

    Without the first, a program that never learns would pass for one that mixes.
    """
    paths = np.stack([results.history[f"prob_a_{agent}"] for agent in AGENTS])  # [2, K, R]
    moved = np.abs(paths - paths[:, :1]).max(axis=(0, 1))
    rate, played = results.runs["coordination_rate"], results.runs["sampled_coordination_rate"]
    error = np.sqrt(rate * (1 - rate) / results.eval_episodes)
    return [
        Criterion("P(A) moves in training, in every run", f"by {moved.min():.3f} at least", bool(moved.min() > 0.001)),
        Criterion(
            "agents match as often in play as their policies say (every run within 4 standard errors)",
            f"largest difference {np.abs(played - rate).max():.4f}",
            bool((np.abs(played - rate) < 4 * error + 0.002).all()),
        ),
    ]


def _judge_a(results: Results) -> list[Criterion]:
    runs = of_beta(results, 0.0)
    return collapses(runs) + splits(runs)


def _judge_b(results: Results) -> list[Criterion]:
    return mixes(of_beta(results, 5.0))


def _judge_c(results: Results) -> list[Criterion]:
    collapsed, mixed = of_beta(results, 0.0), of_beta(results, 5.0)
    return [
        *_labelled("β=0: ", stays_away(collapsed, results.expert_joint) + collapses(collapsed)),
        *_labelled("β=5: ", stays_away(mixed, results.expert_joint) + mixes(mixed)),
    ]


def _judge_d(results: Results) -> list[Criterion]:
    free, mixed = of_beta(results, 0.0), of_beta(results, 5.0)
    return [
        *_labelled("β=0: ", matches_uniform(free)),
        *_labelled("β=5: ", matches_uniform(mixed) + mixes(mixed)),
    ]


_SHARED: dict[str, Any] = {"reward_style": "gail", "lr_disc": 0.005, "epochs": 2000}
_FIVE_SEEDS = (42, 123, 456, 789, 999)

SUGGESTED_RUNS: Mapping[Name, SuggestedRun] = {
    "A": SuggestedRun(
        "Without an entropy bonus, learning collapses to one of the two conventions, which one depends on the seed.",
        CoordinationConfig(betas=(0.0,), seeds=tuple(range(1, 11)), policy_init_uniform=True, **_SHARED),
        _judge_a,
    ),
    "B": SuggestedRun(
        "A large entropy bonus drives both agents to the independent 50/50 mix.",
        CoordinationConfig(betas=(5.0,), seeds=tuple(range(1, 6)), policy_init_uniform=True, **_SHARED),
        _judge_b,
    ),
    "C": SuggestedRun(
        "Independent policies cannot match correlated demonstrations, with or without the bonus.",
        CoordinationConfig(betas=(0.0, 5.0), seeds=_FIVE_SEEDS, **_SHARED),
        _judge_c,
    ),
    "D": SuggestedRun(
        "Independent policies do match an expert without correlation.",
        CoordinationConfig(expert_type="mixed", betas=(0.0, 5.0), seeds=_FIVE_SEEDS, **_SHARED),
        _judge_d,
    ),
}


@dataclass(frozen=True)
class SuggestedRunsConfig:
    """Repeat the seed's runs A, B, C and D and say whether each came out as expected."""

    names: Annotated[tuple[Name, ...], tyro.conf.Positional] = ("A", "B", "C", "D")
    """Which of them."""
    num_seeds: int | None = None
    """Use the seeds 1 to this number in place of the seed's own."""
    network: Literal["tabular", "mlp"] = "tabular"
    """Train tables, or multi-layer perceptrons in their place and nothing else changed."""
    output: Path | None = None
    """The folder to make; by default a new one under results/suggested_runs."""
    overwrite: bool = False
    """Replace the results that --output already holds."""


@dataclass
class Outcome:
    """A run with its results and verdict."""

    name: Name
    results: Results
    criteria: list[Criterion] = field(default_factory=list)

    @property
    def reproduced(self) -> bool:
        """Whether everything that was expected came."""
        return all(criterion.holds for criterion in self.criteria)

    def verdict(self) -> str:
        """In a word or two."""
        return "reproduced" if self.reproduced else "NOT reproduced"


def run_suggested(
    name: Name, folder: Path, *, num_seeds: int | None = None, network: Literal["tabular", "mlp"] = "tabular"
) -> Outcome:
    """Do one of the runs, into the run folder `folder`, and judge it."""
    suggested, command = SUGGESTED_RUNS[name], f"python -m experiments.suggested_runs {name}"
    config = replace(suggested.config, output=folder, network=network)
    if network != "tabular":
        command += f" --network {network}"
    if num_seeds is not None:
        config, command = replace(config, seeds=tuple(range(1, num_seeds + 1))), f"{command} --num-seeds {num_seeds}"
    results = run_experiment(config, command=command)
    return Outcome(name, results, suggested.judge(results) + is_sound(results))


def table(outcomes: list[Outcome]) -> list[str]:
    """Expected, observed and verdict, as a Markdown table."""
    rows = ["| run | expected | observed [95 % interval] | holds |", "| --- | --- | --- | --- |"]
    for outcome in outcomes:
        rows += [
            f"| {outcome.name} | {criterion.expected} | {criterion.observed} | {'yes' if criterion.holds else 'NO'} |"
            for criterion in outcome.criteria
        ]
        rows.append(f"| **{outcome.name}** | {SUGGESTED_RUNS[outcome.name].claim} | | **{outcome.verdict()}** |")
    return rows


def report(outcomes: list[Outcome], command: str) -> str:
    """The text of `report.md`."""
    lines = ["# The seed's suggested runs", "", f"Made by `{command}`.", "", *table(outcomes), ""]
    for outcome in outcomes:
        suggested, runs = SUGGESTED_RUNS[outcome.name], outcome.results.runs
        seeds = counted(len(np.unique(runs["seed"])), "seed")
        lines += [f"## Run {outcome.name}: {outcome.verdict()}", "", suggested.claim, ""]
        lines += [f"{seeds} for each β; intervals are percentile bootstraps over seeds, of shares exact.", ""]
        lines += [f"![run {outcome.name}]({outcome.name}/figure.png)", ""]
    return "\n".join(lines)


def _labelled(label: str, criteria: list[Criterion]) -> list[Criterion]:
    return [replace(criterion, expected=label + criterion.expected) for criterion in criteria]


def _show(interval: Interval) -> str:
    return f"{interval.estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def main(config: SuggestedRunsConfig) -> int:
    torch.set_num_threads(1)  # the fastest for small tensors
    if len(set(config.names)) < len(config.names):
        raise InputError(f"{' '.join(config.names)} names a run twice; expected each once.")
    if config.num_seeds is not None and config.num_seeds < 2:
        raise InputError(f"--num_seeds must be at least 2, not {config.num_seeds}.")
    target = config.output or Path("results/suggested_runs") / f"{datetime.now():%Y-%m-%d_%H%M%S_%f}"
    outcomes = []
    with new_folder(target, marker=REPORT, others=tuple(SUGGESTED_RUNS), overwrite=config.overwrite) as folder:
        for name in config.names:
            outcomes.append(run_suggested(name, folder / name, num_seeds=config.num_seeds, network=config.network))
            print(f"Run {name}: {outcomes[-1].verdict()}", flush=True)
        command = this_command("python -m experiments.suggested_runs")
        (folder / REPORT).write_text(report(outcomes, command) + "\n", encoding="utf-8")
    print("\n".join(["", *table(outcomes), ""]))
    print(f"Wrote {display_path(target)}, with {REPORT}.")
    return 0 if all(outcome.reproduced for outcome in outcomes) else 1
