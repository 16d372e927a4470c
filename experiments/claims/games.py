"""Claims on other matrix games: MAGAIL never sees a payoff, and the failures of the matching game occur there too."""

from pathlib import Path

import numpy as np

from experiments.claims.claim import (
    WANTED,
    Claim,
    Finding,
    Limit,
    chosen,
    expert_joint,
    matching_share,
    read_runs,
    seeds_text,
)
from experiments.claims.correlation import stays_above
from experiments.matching.best_product import best_product_js
from experiments.matching.games import NEITHER
from experiments.matching.metrics import MATCH
from experiments.studies.criteria import Criterion, interval_text
from experiments.studies.statistics import mean_interval
from magail_trainer.text import counted

SAME_DEMONSTRATIONS = ("games/stag_hunt", "games/battle_of_the_sexes")
CHICKEN, SIGNAL, THREE, SCISSORS = (
    f"games/{name}" for name in ("chicken", "chicken_shared_signal", "matching_3", "rock_paper_scissors")
)
_CLOSE = 0.15
"""A JS distance below this is close, for an uncorrelated expert imitated from samples."""


def payoffs_unseen(folder: Path) -> Finding:
    """The same demonstrations train the same policies, whatever the payoffs."""
    stag, battle = (read_runs(folder / name) for name in SAME_DEMONSTRATIONS)
    apart = float(np.abs(np.subtract(*(expert_joint(folder / name) for name in SAME_DEMONSTRATIONS))).max())
    paired = all(np.array_equal(stag[name], battle[name]) for name in ("seed", "beta"))
    names = [name for name in stag if name.startswith("prob_")]
    difference = max(float(np.abs(stag[name] - battle[name]).max()) for name in names) if paired else np.inf
    observed = f"P(A) differs by {difference:.3g} at most, in {counted(len(stag['seed']), 'run')}"
    criteria = [
        Criterion("both experts play each joint action equally often", f"differ by {apart:.3g}", apart == 0),
        Criterion(
            "every run learns the same policies in both games",
            observed if paired else "the runs are not of the same seeds and β, row by row",
            difference < 1e-9,
        ),
    ]
    beta = float(stag["beta"].max())  # where neither is at an equilibrium
    nash = [mean_interval(chosen(runs, beta=beta)["nash_conv"]) for runs in (stag, battle)]
    limit = Limit(
        "the same policies have another NashConv: the games value a mistake differently",
        f"NashConv at β = {beta:g}: {interval_text(nash[0])} in the stag hunt, {interval_text(nash[1])} in the battle "
        "of the sexes",
        abs(nash[0].estimate - nash[1].estimate) > 1e-3,
        "Training is alike. What the agents could gain by deviating is not.",
    )
    return Finding(criteria, [limit], f"{seeds_text(stag)} for each β")


def other_games(folder: Path) -> Finding:
    """The two failures and the repair in chicken, three-agent matching and rock-paper-scissors."""
    games = {name: read_runs(folder / name) for name in (CHICKEN, SIGNAL, THREE, SCISSORS)}
    share = matching_share(games[SIGNAL]["js_distance"])
    conflict = mean_interval(games[SIGNAL]["ce_conv"])
    convention = games[THREE]["convention"]
    in_one, names = convention != NEITHER, sorted(set(convention.tolist()) - {NEITHER})
    scissors, gain = (mean_interval(games[SCISSORS][name]) for name in ("js_distance", "nash_conv"))
    criteria = [
        stays_above(
            "chicken, correlated equilibrium, independent policies",
            games[CHICKEN]["js_distance"],
            best_product_js(expert_joint(folder / CHICKEN)).distance,
        ),
        Criterion(
            f"chicken, correlated equilibrium, shared signal: JS distance below {MATCH:g} in {WANTED:.0%} of the seeds",
            f"{interval_text(share)}; what an agent could gain by disobeying {interval_text(conflict)}",
            share.estimate >= WANTED,
        ),
        Criterion(
            "matching of three agents, β = 0: every seed in one convention, and not all in the same",
            f"{int(in_one.sum())} of {len(in_one)} in {' or '.join(names) or 'none'}",
            bool(in_one.all()) and len(names) > 1,
        ),
        Criterion(
            f"rock-paper-scissors, mixed expert: independent policies are near (JS distance below {_CLOSE:g})",
            f"{interval_text(scissors)}; NashConv {interval_text(gain)}",
            scissors.high < _CLOSE,
        ),
    ]
    return Finding(criteria, seeds=f"{seeds_text(*games.values())} for each run")


PAYOFFS_UNSEEN = Claim(
    "MAGAIL never sees payoffs: stag hunt and battle of the sexes train alike",
    "Both experts play either pure equilibrium in half of the episodes; reward −log(1 − D), β = 0 and 1.",
    SAME_DEMONSTRATIONS,
    payoffs_unseen,
)
OTHER_GAMES = Claim(
    "The same failures and the same repair in other games",
    "Chicken with its best correlated equilibrium as the expert, matching of three agents, rock-paper-scissors with a "
    "uniform expert; reward −log(1 − D).",
    (CHICKEN, SIGNAL, THREE, SCISSORS),
    other_games,
)
