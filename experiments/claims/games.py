"""Claims on other matrix games: MAGAIL never sees a payoff, and what fails in the matching game fails there too."""

from collections.abc import Mapping, Sequence

import numpy as np

from experiments.claims.claim import WANTED, Claim, Table, chosen, matching_share, seed_counts, shown
from experiments.claims.correlation import stays_above
from experiments.matching.best_product import best_product_js
from experiments.matching.games import NEITHER
from experiments.matching.metrics import MATCH
from experiments.studies.criteria import Criterion
from experiments.studies.statistics import mean_interval
from magail_trainer.cli.command_line import counted

SAME_DEMONSTRATIONS = ("stag_hunt", "battle_of_the_sexes")
_CLOSE = 0.15
"""A JS distance below this is near, where an expert without correlation is imitated from samples."""


def payoffs_unseen(games: Mapping[str, Table], experts: Mapping[str, np.ndarray], commands: Sequence[str]) -> Claim:
    """The same demonstrations train the same policies, whatever the payoffs.

    Args:
        games: the runs of both `SAME_DEMONSTRATIONS`, of the same seeds.
        experts: the joint distribution of each as it was recorded.
        commands: that repeat it.
    """
    first, second = (games[name] for name in SAME_DEMONSTRATIONS)
    paired = all(np.array_equal(first[name], second[name]) for name in ("seed", "beta"))
    names = [name for name in first if name.startswith("prob_")]
    difference = max(float(np.abs(first[name] - second[name]).max()) for name in names) if paired else np.inf
    apart = float(np.abs(experts[SAME_DEMONSTRATIONS[0]] - experts[SAME_DEMONSTRATIONS[1]]).max())
    beta = float(first["beta"].max())  # where neither is at an equilibrium
    nash = [mean_interval(chosen(of, beta=beta)["nash_conv"]) for of in (first, second)]
    criteria = [
        Criterion("both experts play the same joint actions equally often", f"differ by {apart:.3g}", apart == 0),
        Criterion(
            "every run learns the same policies in both games",
            f"P(A) differs by {difference:.3g} at most, in {counted(len(first['seed']), 'run')}"
            if paired
            else "the runs are not of the same seeds and β, row by row",
            difference < 1e-9,
        ),
    ]
    limits = [
        Criterion(
            "the same policies are of different worth: the games judge a mistake differently",
            f"NashConv at β = {beta:g}: {shown(nash[0])} in the stag hunt, {shown(nash[1])} in the battle of the sexes",
            abs(nash[0].estimate - nash[1].estimate) > 1e-3,
        )
    ]
    return Claim(
        "MAGAIL never sees payoffs: stag hunt and battle of the sexes train alike",
        "Both experts play either pure equilibrium in half of the episodes; reward −log(1 − D), β = 0 and 1.",
        criteria,
        limits,
        "Training is alike; what the policies earn and lose is not. Which convention is worth more to whom has no part "
        "in which one is chosen.",
        f"{counted(len(np.unique(first['seed'])), 'seed')} for each β",
        commands,
    )


def other_games(games: Mapping[str, Table], experts: Mapping[str, np.ndarray], commands: Sequence[str]) -> Claim:
    """The two failures and the repair in chicken, three-agent matching and rock-paper-scissors.

    Args:
        games: runs of `chicken`, `chicken_shared_signal`, `matching_3` and `rock_paper_scissors`.
        experts: the joint distribution of each as it was recorded.
        commands: that repeat it.
    """
    limit = best_product_js(experts["chicken"]).distance
    share = matching_share(games["chicken_shared_signal"]["js_distance"])
    conflict = mean_interval(games["chicken_shared_signal"]["ce_conv"])
    three = games["matching_3"]
    in_one, names = three["convention"] != NEITHER, sorted(set(three["convention"].tolist()) - {NEITHER})
    scissors = mean_interval(games["rock_paper_scissors"]["js_distance"])
    criteria = [
        stays_above("chicken, correlated equilibrium, independent policies", games["chicken"]["js_distance"], limit),
        Criterion(
            f"chicken, correlated equilibrium, shared signal: JS distance below {MATCH:g} in {WANTED:.0%} of the seeds",
            f"{shown(share)}; what an agent could gain by disobeying {shown(conflict)}",
            share.estimate >= WANTED,
        ),
        Criterion(
            "matching of three agents, β = 0: every seed in one convention, and not all in the same",
            f"{int(in_one.sum())} of {len(in_one)} in {' or '.join(names) or 'none'}",
            bool(in_one.all()) and len(names) > 1,
        ),
        Criterion(
            f"rock-paper-scissors, mixed expert: independent policies are near (JS distance below {_CLOSE:g})",
            f"{shown(scissors)}; NashConv {shown(mean_interval(games['rock_paper_scissors']['nash_conv']))}",
            scissors.high < _CLOSE,
        ),
    ]
    return Claim(
        "The same failures and the same repair in other games",
        "Chicken with its best correlated equilibrium as the expert, matching of three agents, rock-paper-scissors "
        "with a uniform expert; reward −log(1 − D).",
        criteria,
        seeds=f"{seed_counts(len(np.unique(runs['seed'])) for runs in games.values())} for each run",
        commands=commands,
    )
