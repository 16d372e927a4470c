"""Claims on correlated demonstrations: independent policies cannot imitate them, and what repairs that."""

from pathlib import Path
from typing import get_args

import numpy as np

from experiments.claims.claim import (
    RUN,
    WANTED,
    Claim,
    Figure,
    Finding,
    Limit,
    chosen,
    matching_share,
    part_runs,
    read_runs,
    seeds_text,
)
from experiments.matching.best_product import best_product_js
from experiments.matching.correlation import read_cells
from experiments.matching.metrics import MATCH
from experiments.matching.results import Columns
from experiments.matching.suggested_runs import criteria_of
from experiments.studies.criteria import Criterion, interval_text, labelled
from experiments.studies.statistics import mean_interval
from magail_trainer.learn.config import PolicyStyle
from magail_trainer.play.statistics import Interval
from magail_trainer.text import counted

CELLS = "correlation/cells"
MAP = "phase_diagram/parts/map-*"
RUN_C, RUN_D = "suggested_runs/C", "suggested_runs/D"
WITH_BONUS = "games/matching_shared_signal"
FIGURE = Figure(
    "correlation",
    "correlation/correlation.png",
    "JS distance of every class of policies, under either discriminator, from every expert.",
)
KNOWN_LIMITS = {"bimodal": 0.558, "asymmetric": 0.411, "noisy": 0.383}
"""The least JS distance of independent policies from each correlated expert, as it was known before."""
CORRELATED = tuple(policy for policy in get_args(PolicyStyle) if policy != "independent")
"""The classes of policies whose joint distribution need not be a product."""
_SAME = 0.01
"""Two JS distances that differ by less count as one number."""


def mismatch(folder: Path) -> Finding:
    """Independent policies cannot match correlated demonstrations, whatever β is."""
    table, experts = read_cells(folder / CELLS)
    run_c, of_map = read_runs(folder / RUN_C), part_runs(folder, MAP)
    map_beta, map_distance = (np.concatenate([runs[name] for runs in of_map]) for name in ("beta", "js_distance"))
    independent = chosen(table, policy="independent")
    limits = {name: best_product_js(experts[name]).distance for name in KNOWN_LIMITS if name in experts}
    criteria = []
    for expert, limit in limits.items():
        expected = f"{expert}: the least JS distance of independent policies is {KNOWN_LIMITS[expert]:.3f}"
        found = abs(limit - KNOWN_LIMITS[expert]) < 5e-3
        criteria.append(Criterion(expected, f"{limit:.4f}, by optimisation", found))
        distance = chosen(independent, expert=expert)["js_distance"]
        criteria.append(stays_above(f"{expert}, β = 0, either discriminator", distance, limit))
    for beta in np.unique(run_c["beta"]).tolist():
        distance = chosen(run_c, beta=beta)["js_distance"]
        criteria.append(stays_above(f"bimodal, run C, β = {beta:g}", distance, limits["bimodal"]))
    name = f"bimodal, all rewards, speeds and {len(np.unique(map_beta))} β of the phase diagram"
    criteria.append(stays_above(name, map_distance, limits["bimodal"]))
    criteria += labelled("mixed, run D, ", criteria_of("D", folder / RUN_D / RUN))
    seeds = (
        f"{seeds_text(independent)} per expert and discriminator, {seeds_text(run_c)} of run C, "
        f"{counted(len(map_beta), 'run')} of the phase diagram"
    )
    return Finding(criteria, [_one_distance_two_failures(run_c)], seeds)


def repair(folder: Path) -> Finding:
    """Correlated policies match correlated experts, unless each discriminator sees one agent alone."""
    table, _ = read_cells(folder / CELLS)
    with_bonus = read_runs(folder / WITH_BONUS)
    experts = list(dict.fromkeys(table["expert"].tolist()))
    criteria = [_matches(table, policy, expert) for policy in CORRELATED for expert in experts]
    criteria += [
        _misses(table, policy, expert) for policy in CORRELATED for expert in experts if expert in KNOWN_LIMITS
    ]
    limits = []
    for beta in np.unique(with_bonus["beta"][with_bonus["beta"] > 0]).tolist():
        distance = chosen(with_bonus, beta=beta)["js_distance"]
        limits.append(
            Limit(
                f"shared signal, bimodal, β = {beta:g}: the match is lost again in most seeds",
                _share_text(distance),
                matching_share(distance).high < 0.5,
                "The entropy bonus that repairs the collapse destroys this repair.",
            )
        )
    return Finding(criteria, limits, f"{seeds_text(table)} per cell")


def stays_above(name: str, distance: np.ndarray, limit: float) -> Criterion:
    """No run comes nearer to its expert than independent policies can: JS distances `[R]`."""
    return Criterion(
        f"{name}: no run comes below {limit:.4f}",
        f"least {distance.min():.4f}, mean {interval_text(mean_interval(distance))}, {counted(len(distance), 'run')}",
        bool(distance.min() > limit - 1e-6),
    )


def _matches(table: Columns, policy: str, expert: str) -> Criterion:
    distance = chosen(table, expert=expert, policy=policy, discriminator="joint")["js_distance"]
    expected = f"{policy}, {expert}: JS distance below {MATCH:g} in at least {WANTED:.0%} of the seeds"
    return Criterion(expected, _share_text(distance), matching_share(distance).estimate >= WANTED)


def _misses(table: Columns, policy: str, expert: str) -> Criterion:
    runs = chosen(table, expert=expert, policy=policy, discriminator="per_agent")
    information = interval_text(mean_interval(runs["mutual_information"]))
    return Criterion(
        f"{policy}, {expert}, per-agent discriminators: fewer than half of the seeds match, for no discriminator sees "
        "correlation",
        f"{_share_text(runs['js_distance'])}; mutual information {information} bits of {runs['kl_irreducible'][0]:.3f}",
        matching_share(runs["js_distance"]).high < 0.5,
    )


def _share_text(distance: np.ndarray) -> str:
    share = interval_text(matching_share(distance))
    return f"{share} of {counted(len(distance), 'seed')}; mean JS {interval_text(mean_interval(distance))}"


def _one_distance_two_failures(run_c: Columns) -> Limit:
    """Collapse and mix have one JS distance, and another KL split."""
    collapsed, mixed = (chosen(run_c, beta=beta) for beta in (run_c["beta"].min(), run_c["beta"].max()))
    distances: list[Interval] = [mean_interval(runs["js_distance"]) for runs in (collapsed, mixed)]
    marginals = [float(np.median(runs["kl_marginals"])) for runs in (collapsed, mixed)]
    return Limit(
        "the JS distance is the same for collapse and mix, and the KL split is not",
        f"JS distance {interval_text(distances[0])} collapsed and {interval_text(distances[1])} mixed; KL: "
        f"{float(run_c['kl_irreducible'][0]):.3f} bits irreducible in both, of the marginals {marginals[0]:.3f} bits "
        f"collapsed and {marginals[1]:.3f} mixed (medians)",
        abs(distances[0].estimate - distances[1].estimate) < _SAME and marginals[0] > marginals[1] + 1,
        "The JS distance gives the collapse and the mix the same number, so it cannot tell the two failures apart. "
        "The split KL(expert ‖ learner) = I(expert) + Σ KL(marginals) can: independent policies never remove the "
        "first term; the second is large after a collapse and small after mixing.",
    )


MISMATCH = Claim(
    "Correlated demonstrations cannot be matched by independent policies, at any β",
    "The expert's joint distribution is not a product, and that of independent policies is. The nearest product, "
    "found by optimisation, bounds every run.",
    (f"{CELLS}/*", RUN_C, RUN_D, MAP),
    mismatch,
    (
        FIGURE,
        Figure("suggested_run_C", f"{RUN_C}/run/figure.png", "Run C, a correlated expert, β = 0 and β = 5."),
        Figure("suggested_run_D", f"{RUN_D}/run/figure.png", "Run D, an expert without correlation, β = 0 and β = 5."),
    ),
)
REPAIR = Claim(
    "A shared signal, or policies that see the actions before theirs, removes the mismatch",
    "β = 0, reward −log(1 − D), one recipe for all experts: a batch of 200 with its mean as baseline, a discriminator "
    "five times as fast as the policies, learning rates of the policies that fall to 0. The discriminator sees the "
    "joint action. Neither class of policies is decentralised execution without communication.",
    (f"{CELLS}/*", WITH_BONUS),
    repair,
    (FIGURE,),
)
