"""Claims on hand-made tables: every verdict follows the data, both ways."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from coordination_env.games import matching
from experiments.claims.claim import Finding, Limit, chosen, matching_share, seed_counts
from experiments.claims.collapse import collapse, collapse_table, enough_to_mix, mixing, speed_boundary, theory
from experiments.claims.correlation import mismatch, repair
from experiments.claims.games import CHICKEN, SCISSORS, SIGNAL, THREE, other_games, payoffs_unseen
from experiments.claims.known_results import KNOWN
from experiments.matching.metrics import product_joint
from experiments.matching.results import exact_columns
from experiments.studies.criteria import Criterion
from experiments.theory.phase_cells import COLUMNS

BIMODAL = np.array([[0.5, 0.0], [0.0, 0.5]])
YES, NO = Criterion("it rains", "it does", True), Criterion("it rains", "it does not", False)
AA, BB, HALF = 0.99, 0.01, 0.5


def runs_of(prob_a: Sequence[float], beta: Sequence[float] | None = None, expert: np.ndarray = BIMODAL) -> Any:
    """Runs in which both agents play A with the same probability."""
    policy = np.stack([np.asarray(prob_a), 1 - np.asarray(prob_a)], axis=-1)
    columns = {"beta": np.zeros(len(policy)) if beta is None else np.asarray(beta), "seed": np.arange(len(policy))}
    return {**columns, **exact_columns(product_joint([policy, policy]), expert, matching())}


def table_of(cells: Sequence[tuple[str, float, float, float, float]]) -> Any:
    """Cells of (reward, lr_policy, lr_disc, β, coordination) with narrow intervals."""
    rows = [(*key, 5, rate, rate, rate, 0.5, 0.5, 0.0) for *key, rate in cells]
    return {name: np.asarray(column) for name, column in zip(COLUMNS, zip(*rows, strict=True), strict=True)}


def cells_of(*rows: tuple[str, float, float, float]) -> Any:
    """Cells of (reward, lr_disc / lr_policy, β, coordination) with narrow intervals."""
    return table_of([(reward, 0.01, 0.01 * ratio, beta, rate) for reward, ratio, beta, rate in rows])


def test_a_verdict_is_what_criteria_and_limits_come_to() -> None:
    seen, unseen = (Limit("pooled", "", holds, "Never pool.") for holds in (True, False))

    def verdict(criteria: Sequence[Criterion], limits: Sequence[Limit]) -> str:
        return Finding(criteria, limits).verdict

    assert verdict([YES, YES], []) == verdict([YES], [unseen]) == "reproduced"
    assert verdict([YES], [unseen, seen]) == "qualified"
    assert verdict([YES, NO], [seen]) == verdict([NO], []) == "not reproduced"
    assert verdict([], [seen]) == "not reproduced"  # nothing was shown
    assert Finding([YES], [unseen]).qualifications == []
    assert Finding([YES], [seen, unseen, seen]).qualifications == ["Never pool."]


def test_rows_are_chosen_by_all_values() -> None:
    table = {"a": np.array([1, 1, 2]), "b": np.array(["x", "y", "x"])}
    assert {name: column.tolist() for name, column in chosen(table, a=1, b="x").items()} == {"a": [1], "b": ["x"]}
    assert seed_counts([1, 1]) == "1 seed"
    assert seed_counts([5, 5]) == "5 seeds"
    assert seed_counts([5, 20]) == "5 to 20 seeds"
    share = matching_share(np.array([0.049, 0.05, 0.3, 0.01]))
    assert share.estimate == 0.5
    assert share.low == pytest.approx(0.0676, abs=1e-4)  # Clopper–Pearson of 2 of 4


def test_collapse_is_by_chance_only_if_seeds_differ_and_qualified_where_there_is_none() -> None:
    stay, leave = cells_of(("gail", 0.5, 0.0, 0.99)), cells_of(("gail", 0.5, 0.0, 0.99), ("gail", 10, 0.0, 0.51))
    both = collapse([YES], runs_of([AA, BB] * 10), BIMODAL, leave)
    assert both.verdict == "qualified"
    pooled, mixed_cell = both.limits
    assert pooled.holds
    assert pooled.observed.startswith("JS distance 0.100 pooled, 0.563")
    assert "lr_disc 0.1 " in mixed_cell.expected
    assert mixed_cell.observed.startswith("0.510 ")
    assert len(collapse([YES], runs_of([AA, BB] * 10), BIMODAL, stay).limits) == 1
    assert collapse([YES], runs_of([AA] * 20), BIMODAL, stay).verdict == "not reproduced"
    assert collapse([NO], runs_of([AA, BB] * 10), BIMODAL, stay).verdict == "not reproduced"


def test_the_known_table_is_qualified_where_a_number_is_another() -> None:
    def known_table(**others: float) -> Finding:
        rates = {key: (low + high) / 2 for key, (low, high) in KNOWN.items()}
        rates["gail", (0.01, 0.1)] = others.get("fast", 0.51)
        rates["non_saturating", (0.001, 0.1)] = others.get("slow", 0.99)
        return collapse_table(table_of([(reward, *speed, 0.0, rate) for (reward, speed), rate in rates.items()]))

    assert known_table().verdict == "reproduced"
    assert known_table(fast=0.99).verdict == "not reproduced"
    finding = known_table(slow=0.966)
    assert finding.verdict == "qualified"
    (limit,) = finding.limits
    assert limit.observed.startswith("non_saturating, lr_policy 0.001, lr_disc 0.1, β=0: 0.966 ")


def test_the_bonus_that_is_enough_is_the_last_beta_above_which_nothing_collapses() -> None:
    rates = [0.9, 0.5, 0.9, 0.51, 0.5]  # mixing at 0.1 is not enough: 0.2 collapses again
    betas = [0.0, 0.1, 0.2, 0.3, 0.5]
    assert enough_to_mix(cells_of(*(("gail", 1, beta, rate) for beta, rate in zip(betas, rates, strict=True)))) == 0.3
    assert enough_to_mix(cells_of(("gail", 1, 0.0, 0.5), ("gail", 1, 1.0, 0.5))) == 0.0
    assert enough_to_mix(cells_of(("gail", 1, 0.0, 0.9), ("gail", 1, 1.0, 0.9))) == math.inf


def test_mixing_is_qualified_where_the_speed_decides_how_much() -> None:
    slow, fast = [("gail", 1, 0.0, 0.9), ("gail", 1, 0.5, 0.5)], [("gail", 10, 0.0, 0.5), ("gail", 10, 0.5, 0.5)]
    mixed, collapsed = ({"B": runs_of([prob] * 5, [5] * 5)} for prob in (HALF, AA))
    assert mixing(mixed, cells_of(*slow)).verdict == "reproduced"
    finding = mixing(mixed, cells_of(*slow, *fast))
    assert finding.verdict == "qualified"
    assert finding.limits[0].observed == "from β = 0 to β = 0.5 over lr_disc / lr_policy"
    assert mixing(collapsed, cells_of(*slow, *fast)).verdict == "not reproduced"


def test_the_speed_boundary_is_between_collapse_and_mix() -> None:
    cells = cells_of(*(("gail", ratio, 0.0, rate) for ratio, rate in ((0.3, 0.99), (1, 0.99), (2, 0.7), (3, 0.51))))
    assert speed_boundary(cells) == (1.0, 3.0)
    assert speed_boundary(chosen(cells, coordination_mean=0.99)) == (1.0, math.inf)
    assert speed_boundary(chosen(cells, coordination_mean=0.51)) == (0.0, 3.0)


def test_theory_fails_where_the_boundary_is_elsewhere() -> None:
    def claim(*rows: tuple[str, float, float, float]) -> Finding:
        return theory([YES], cells_of(*rows), "")

    good = [("gail", 1, 0.0, 0.99), ("gail", 3, 0.0, 0.51)]  # √2 is between
    assert claim(*good).verdict == "qualified"  # mixed at β = 0, below log(3)/2
    assert claim(("gail", 3, 0.0, 0.99), ("gail", 10, 0.0, 0.51)).verdict == "not reproduced"
    assert claim(("gail", 0.3, 0.0, 0.99), ("gail", 1, 0.0, 0.51)).verdict == "not reproduced"
    assert claim(*good, ("non_saturating", 30, 0.0, 0.99)).verdict == "qualified"
    assert claim(*good, ("non_saturating", 30, 0.0, 0.51)).verdict == "not reproduced"
    assert theory([NO], cells_of(*good), "").verdict == "not reproduced"


def correlation_of(distance: dict[tuple[str, str, str], float], *, seeds: int = 20) -> Any:
    """A correlation table with the same distance for all seeds of a cell."""
    rows = [(*key, 0.0, seed, js, 1.0, 0.0, 0.0, 0.5) for key, js in distance.items() for seed in range(seeds)]
    names = ("expert", "policy", "discriminator", "beta", "seed", "js_distance", "kl_irreducible", "kl_marginals")
    columns = zip((*names, "mutual_information", "coordination_rate"), zip(*rows, strict=True), strict=True)
    return {name: np.asarray(column) for name, column in columns}


@pytest.mark.parametrize(
    ("independent", "on_the_map", "control", "verdict"),
    [(0.56, 0.56, YES, "qualified"), (0.5, 0.56, YES, "not reproduced"), (0.56, 0.5, YES, "not reproduced"),
     (0.56, 0.56, NO, "not reproduced")],
)  # fmt: skip
def test_the_mismatch_is_refuted_by_one_run_that_comes_too_near(
    independent: float, on_the_map: float, control: Criterion, verdict: str
) -> None:
    table = correlation_of({("bimodal", "independent", "joint"): independent})
    run_c = runs_of([AA, BB, HALF, HALF], [0, 0, 5, 5])
    on_map = {"beta": np.zeros(3), "js_distance": np.array([0.56, 0.57, on_the_map])}
    claim = mismatch(table, {"bimodal": BIMODAL}, run_c, on_map, [control])
    assert claim.verdict == verdict
    assert "1.000 bits irreducible in both" in claim.limits[0].observed


def test_one_distance_for_both_failures_is_seen_in_the_data_alone() -> None:
    table = correlation_of({("bimodal", "independent", "joint"): 0.56})
    on_map = {"beta": np.zeros(1), "js_distance": np.array([0.56])}
    between = runs_of([0.8, 0.8, HALF, HALF], [0, 0, 5, 5])  # no collapse: the JS distance differs
    assert mismatch(table, {"bimodal": BIMODAL}, between, on_map, [YES]).verdict == "reproduced"


def test_the_repair_needs_every_cell_and_a_blind_discriminator() -> None:
    good = {
        ("bimodal", policy, discriminator): 0.02 if discriminator == "joint" else 0.55
        for policy in ("shared_signal", "autoregressive")
        for discriminator in ("joint", "per_agent")
    }
    plain = {"beta": np.zeros(20), "js_distance": np.full(20, 0.02)}
    assert repair(correlation_of(good), plain).verdict == "reproduced"
    for key in good:
        other = {**good, key: 0.55 if key[2] == "joint" else 0.02}
        assert repair(correlation_of(other), plain).verdict == "not reproduced", key
    table = correlation_of(good)
    table["js_distance"][:2] = 0.3  # 18 of 20 is 90 %
    assert repair(table, plain).verdict == "not reproduced"
    lost = {"beta": np.repeat([0.0, 0.5], 20), "js_distance": np.repeat([0.02, 0.52], 20)}
    assert repair(correlation_of(good), lost).verdict == "qualified"


def test_payoffs_matter_if_a_single_run_differs() -> None:
    first, other = runs_of([AA, BB, HALF]), runs_of([AA, BB, 0.51])
    worth = {**first, "nash_conv": first["nash_conv"] + 0.1}
    assert payoffs_unseen(first, first, apart=0.0).verdict == "reproduced"
    assert payoffs_unseen(first, worth, apart=0.0).verdict == "qualified"
    assert payoffs_unseen(first, other, apart=0.0).verdict == "not reproduced"
    assert payoffs_unseen(first, first, apart=0.01).verdict == "not reproduced"


@pytest.mark.parametrize("name", ["seed", "beta"])
def test_runs_of_other_seeds_or_betas_are_no_evidence_that_payoffs_do_not_matter(name: str) -> None:
    first = runs_of([AA, AA, AA])
    second, longer = {**first, name: first[name][[1, 0, 2]] + np.arange(3)}, runs_of([AA] * 4)
    for other in (second, longer):
        finding = payoffs_unseen(first, other, apart=0.0)
        assert finding.verdict == "not reproduced"
        assert "not of the same seeds and β" in finding.criteria[1].observed


def test_other_games_are_judged_one_by_one() -> None:
    seed, chicken = np.arange(20), np.array([[1 / 3, 1 / 3], [1 / 3, 0.0]])

    def verdict(*, independent: float = 0.3, shared: float = 0.02, three: str = "BBB", scissors: float = 0.03) -> str:
        games = {
            CHICKEN: {"seed": seed, "js_distance": np.full(20, independent)},
            SIGNAL: {"seed": seed, "js_distance": np.full(20, shared), "ce_conv": np.zeros(20)},
            THREE: {"seed": seed, "convention": np.array(["AAA"] * 10 + [three] * 10)},
            SCISSORS: {"seed": seed, "js_distance": np.full(20, scissors), "nash_conv": np.zeros(20)},
        }
        return other_games(games, chicken).verdict

    assert verdict() == "reproduced"
    assert verdict(independent=0.01) == verdict(shared=0.1) == verdict(scissors=0.3) == "not reproduced"
    assert verdict(three="neither") == verdict(three="AAA") == "not reproduced"
