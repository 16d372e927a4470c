"""Claims on correlated demonstrations: whom independent policies cannot imitate, and what repairs it."""

from collections.abc import Mapping, Sequence
from typing import get_args

import numpy as np

from experiments.claims.claim import WANTED, Claim, Table, chosen, matching_share, shown
from experiments.matching.best_product import best_product_js
from experiments.matching.metrics import MATCH
from experiments.studies.criteria import Criterion
from experiments.studies.statistics import mean_interval
from magail_trainer.cli.command_line import counted
from magail_trainer.learn.config import PolicyStyle
from magail_trainer.play.statistics import Interval

KNOWN_LIMITS = {"bimodal": 0.558, "asymmetric": 0.411, "noisy": 0.383}
"""The least JS distance of independent policies from each correlated expert, as it was known before."""
CORRELATED = tuple(policy for policy in get_args(PolicyStyle) if policy != "independent")
"""The classes of policies whose joint distribution need not be a product."""
_SAME = 0.01
"""Two JS distances that differ by less are one number."""


def mismatch(
    correlation: Table,
    experts: Mapping[str, np.ndarray],
    run_c: Table,
    map_runs: Table,
    control: Sequence[Criterion],
    commands: Sequence[str],
) -> Claim:
    """Independent policies cannot match correlated demonstrations, whatever β is.

    Args:
        correlation: the runs of the correlation table.
        experts: the joint distribution of each, as it was recorded.
        run_c: the runs of the seed's run C, β = 0 and β = 5.
        map_runs: all runs of the phase diagram, with the bimodal expert.
        control: the criteria of the seed's run D, whose expert has no correlation.
        commands: that repeat it.
    """
    independent = chosen(correlation, policy="independent")
    bimodal = best_product_js(experts["bimodal"]).distance if "bimodal" in experts else KNOWN_LIMITS["bimodal"]
    criteria = []
    for expert in (expert for expert in KNOWN_LIMITS if expert in experts):
        limit = best_product_js(experts[expert]).distance
        criteria.append(
            Criterion(
                f"{expert}: the least JS distance of independent policies is {KNOWN_LIMITS[expert]:.3f}",
                f"{limit:.4f}, by optimisation",
                abs(limit - KNOWN_LIMITS[expert]) < 5e-3,
            )
        )
        distance = chosen(independent, expert=expert)["js_distance"]
        criteria.append(stays_above(f"{expert}, β = 0, either discriminator", distance, limit))
    for beta in np.unique(run_c["beta"]).tolist():
        criteria.append(stays_above(f"bimodal, run C, β = {beta:g}", chosen(run_c, beta=beta)["js_distance"], bimodal))
    name = f"bimodal, all rewards, speeds and {len(np.unique(map_runs['beta']))} β of the phase diagram"
    criteria.append(stays_above(name, map_runs["js_distance"], bimodal))
    criteria += [Criterion(f"mixed, run D, {item.expected}", item.observed, item.holds) for item in control]
    return Claim(
        "Correlated demonstrations cannot be matched by independent policies, at any β",
        "The expert's joint distribution is no product, and independent policies have no other. The nearest product, "
        "found by optimisation, bounds every run.",
        criteria,
        _one_distance_two_failures(run_c),
        "The JS distance gives the collapse and the mix the same number, so it cannot tell the two failures apart. "
        "The split KL(expert ‖ learner) = I(expert) + Σ KL(marginals) can: the first term, 1 bit for the bimodal "
        "expert, is what independent policies never remove; the second is what the collapse costs, and it is gone "
        "after mixing.",
        f"{counted(len(np.unique(independent['seed'])), 'seed')} per expert and discriminator, "
        f"{len(np.unique(run_c['seed']))} of run C, {counted(len(map_runs['beta']), 'run')} of the phase diagram",
        commands,
        ("correlation", "suggested_run_C", "suggested_run_D"),
    )


def repair(correlation: Table, with_bonus: Table, commands: Sequence[str]) -> Claim:
    """A shared signal, or seeing the others' actions, removes the mismatch; judges of single agents do not see it.

    Args:
        correlation: the runs of the correlation table.
        with_bonus: runs with a shared signal and the bimodal expert, at β = 0 and others.
        commands: that repeat it.
    """
    criteria, experts = [], list(dict.fromkeys(correlation["expert"].tolist()))
    for policy in CORRELATED:
        for expert in experts:
            runs = chosen(correlation, expert=expert, policy=policy, discriminator="joint")
            share = matching_share(runs["js_distance"])
            criteria.append(
                Criterion(
                    f"{policy}, {expert}: JS distance below {MATCH:g} in at least {WANTED:.0%} of the seeds",
                    f"{_of_seeds(share, runs['seed'])}; mean JS {shown(mean_interval(runs['js_distance']))}",
                    share.estimate >= WANTED,
                )
            )
    for policy in CORRELATED:
        for expert in (expert for expert in experts if expert in KNOWN_LIMITS):
            runs = chosen(correlation, expert=expert, policy=policy, discriminator="per_agent")
            share = matching_share(runs["js_distance"])
            criteria.append(
                Criterion(
                    f"{policy}, {expert}, per-agent discriminators: fewer than half of the seeds match, for no "
                    "discriminator sees correlation",
                    f"{_of_seeds(share, runs['seed'])}; mutual information "
                    f"{shown(mean_interval(runs['mutual_information']))} bits of {runs['kl_irreducible'][0]:.3f}",
                    share.high < 0.5,
                )
            )
    limits = []
    for beta in np.unique(with_bonus["beta"][with_bonus["beta"] > 0]).tolist():
        distance = chosen(with_bonus, beta=beta)["js_distance"]
        share = matching_share(distance)
        limits.append(
            Criterion(
                f"shared signal, bimodal, β = {beta:g}: the match is lost again in most seeds",
                f"{_of_seeds(share, distance)}; mean JS {shown(mean_interval(distance))}",
                share.high < 0.5,
            )
        )
    return Claim(
        "A shared signal, or policies that see the actions before theirs, removes the mismatch",
        "β = 0, reward −log(1 − D), one recipe for all experts: a batch of 200 with its mean as baseline, a "
        "discriminator five times as fast as the policies, learning rates of the policies that fall to 0.",
        criteria,
        limits,
        "It has a price. The signal must be the same for all agents whenever they act, and autoregressive policies "
        "must be told the actions of the agents before them: neither is decentralised execution without "
        "communication. The discriminator must see the joint action. And the entropy bonus that repairs the "
        "collapse destroys this repair.",
        f"{counted(len(np.unique(correlation['seed'])), 'seed')} per cell; shares with exact intervals",
        commands,
        ("correlation",),
    )


def stays_above(name: str, distance: np.ndarray, limit: float) -> Criterion:
    """No run comes nearer to its expert than independent policies can: JS distances `[R]`."""
    return Criterion(
        f"{name}: no run comes below {limit:.4f}",
        f"least {distance.min():.4f}, mean {shown(mean_interval(distance))}, {counted(len(distance), 'run')}",
        bool(distance.min() > limit - 1e-6),
    )


def _of_seeds(share: Interval, values: np.ndarray) -> str:
    return f"{shown(share)} of {counted(len(values), 'seed')}"


def _one_distance_two_failures(run_c: Table) -> list[Criterion]:
    """Collapse and mix have one JS distance, and another KL split."""
    collapsed, mixed = (chosen(run_c, beta=beta) for beta in (run_c["beta"].min(), run_c["beta"].max()))
    distances = [mean_interval(runs["js_distance"]) for runs in (collapsed, mixed)]
    marginals = [float(np.median(runs["kl_marginals"])) for runs in (collapsed, mixed)]
    irreducible = float(run_c["kl_irreducible"][0])
    same = abs(distances[0].estimate - distances[1].estimate) < _SAME and marginals[0] > marginals[1] + 1
    observed = (
        f"JS distance {shown(distances[0])} collapsed and {shown(distances[1])} mixed; KL: {irreducible:.3f} bits "
        f"irreducible in both, of the marginals {marginals[0]:.3f} bits collapsed and {marginals[1]:.3f} mixed "
        "(medians)"
    )
    return [Criterion("the JS distance is the same for collapse and mix, and the KL split is not", observed, same)]
