"""Claims on hand-made report folders: every verdict follows the saved runs, both ways, and nothing else."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from experiments.claims.claim import Claim, Finding, Limit, Verdict, chosen, matching_share, seeds_text
from experiments.claims.collapse import (
    COLLAPSE,
    COLLAPSE_TABLE,
    MIXING,
    THEORY,
    cells_of,
    enough_to_mix,
    speed_boundary,
)
from experiments.claims.correlation import MISMATCH, REPAIR
from experiments.claims.games import CHICKEN, OTHER_GAMES, PAYOFFS_UNSEEN, SAME_DEMONSTRATIONS, SCISSORS, SIGNAL, THREE
from experiments.claims.report import CLAIMS
from experiments.matching.suggested_runs import criteria_of
from experiments.studies.criteria import Criterion, all_hold
from experiments.theory.known_results import KNOWN
from magail_trainer.data.run_folder import write_table
from magail_trainer.errors import InputError
from tests.experiments.claims.report_folder import (
    AA,
    BB,
    HALF,
    UNIFORM,
    edit,
    runs_of,
    write_cell,
    write_correlation,
    write_frozen,
    write_map,
    write_part,
)


def test_a_verdict_is_what_criteria_and_limits_come_to() -> None:
    yes, no = Criterion("it rains", "it does", True), Criterion("it rains", "it does not", False)
    seen, unseen = (Limit("pooled", "", holds, "Never pool.") for holds in (True, False))

    def verdict(criteria: Sequence[Criterion], limits: Sequence[Limit]) -> Verdict:
        return Finding(criteria, limits).verdict

    assert verdict([yes, yes], []) == verdict([yes], [unseen]) == "reproduced"
    assert verdict([yes], [unseen, seen]) == "qualified"
    assert verdict([yes, no], [seen]) == verdict([no], []) == "not reproduced"
    assert verdict([], [seen]) == "not reproduced"  # nothing was shown
    assert Finding([yes], [unseen]).qualifications == []
    assert Finding([yes], [seen, unseen, seen]).qualifications == ["Never pool."]


def test_rows_are_chosen_by_all_values_and_seeds_are_counted() -> None:
    table = {"a": np.array([1, 1, 2]), "b": np.array(["x", "y", "x"])}
    assert {name: column.tolist() for name, column in chosen(table, a=1, b="x").items()} == {"a": [1], "b": ["x"]}
    one, five = {"seed": np.array([3, 3])}, {"seed": np.arange(5)}
    assert [seeds_text(one), seeds_text(five, five), seeds_text(five, one)] == ["1 seed", "5 seeds", "1 to 5 seeds"]
    share = matching_share(np.array([0.049, 0.05, 0.3, 0.01]))
    assert share.estimate == 0.5
    assert share.low == pytest.approx(0.0676, abs=1e-4)  # Clopper–Pearson of 2 of 4


@pytest.fixture
def run_a(tmp_path: Path) -> Path:
    """Run A, which collapsed as it should, beside a cell that did, too."""
    write_cell(tmp_path, "table", "gail", (0.01, 0.005), 0.0, 0.99)
    return write_part(tmp_path / "suggested_runs" / "A", runs_of([AA, BB] * 10))


def test_the_verdict_on_run_a_follows_its_runs_and_no_stored_verdict(tmp_path: Path, run_a: Path) -> None:
    before = COLLAPSE.examine(tmp_path)
    assert before.verdict == "qualified"
    (pooled,) = before.limits
    assert pooled.holds
    assert pooled.observed.startswith("JS distance 0.071 pooled, 0.56")
    stored = {"expected": ["a collapse"], "observed": ["none"], "holds": [0]}
    write_table(run_a / "criteria.csv", stored)  # a file of earlier reports
    assert COLLAPSE.examine(tmp_path) == before

    write_table(run_a / "criteria.csv", {**stored, "holds": [1]})
    edit(run_a, "convention", [0], "neither")
    assert COLLAPSE.examine(tmp_path).verdict == "not reproduced"


@pytest.mark.parametrize("column", ["coordination_rate", "sampled_coordination_rate", "prob_a_agent_1"])
def test_one_changed_column_of_run_a_is_enough(tmp_path: Path, run_a: Path, column: str) -> None:
    edit(run_a, column, range(20), 0.9)
    assert COLLAPSE.examine(tmp_path).verdict == "not reproduced"


def test_a_cell_without_collapse_limits_the_claim(tmp_path: Path, run_a: Path) -> None:
    assert run_a.is_dir()
    write_cell(tmp_path, "table", "gail", (0.01, 0.1), 0.0, 0.51)
    _, mixed = COLLAPSE.examine(tmp_path).limits
    assert "lr_disc 0.1 " in mixed.expected
    assert mixed.observed == "0.510 [0.510, 0.510], 2 seeds"


@pytest.mark.parametrize(("fast", "slow", "verdict"), [
    (0.51, 0.99, "reproduced"), (0.99, 0.99, "not reproduced"), (0.51, 0.966, "qualified"),
])  # fmt: skip
def test_the_known_table_is_qualified_where_a_number_is_another(
    tmp_path: Path, fast: float, slow: float, verdict: Verdict
) -> None:
    rates = {key: (low + high) / 2 for key, (low, high) in KNOWN.items()}
    rates["gail", (0.01, 0.1)], rates["non_saturating", (0.001, 0.1)] = fast, slow
    for (reward, speed), rate in rates.items():
        write_cell(tmp_path, "table", reward, speed, 0.0, rate)
    finding = COLLAPSE_TABLE.examine(tmp_path)
    assert finding.verdict == verdict
    assert [limit.observed[:58] for limit in finding.limits] == (
        ["non_saturating, lr_policy 0.001, lr_disc 0.1, β=0: 0.966 ["] if verdict == "qualified" else []
    )


def test_the_bonus_that_is_enough_is_the_last_beta_above_which_nothing_collapses() -> None:
    def enough(*rates: float) -> float:
        return enough_to_mix({"beta": np.array([0.0, 0.1, 0.2, 0.3, 0.5]), "coordination_high": np.array(rates)})

    assert enough(0.9, 0.5, 0.9, 0.51, 0.5) == 0.3  # mixing at 0.1 is not enough: 0.2 collapses again
    assert enough(0.5, 0.5, 0.5, 0.5, 0.5) == 0.0
    assert enough(0.9, 0.9, 0.9, 0.9, 0.9) == math.inf


def test_mixing_is_qualified_where_the_speed_decides_how_much(tmp_path: Path) -> None:
    run_b, _ = (write_part(tmp_path / "suggested_runs" / name, runs_of([HALF] * 5, 5.0)) for name in "BC")
    write_map(tmp_path, ("gail", 1, 0.0, 0.9), ("gail", 1, 0.5, 0.5))
    assert MIXING.examine(tmp_path).verdict == "reproduced"
    write_map(tmp_path, ("gail", 10, 0.0, 0.5), ("gail", 10, 0.5, 0.5))
    finding = MIXING.examine(tmp_path)
    assert finding.verdict == "qualified"
    assert finding.limits[0].observed == "from β = 0 to β = 0.5 over lr_disc / lr_policy"
    edit(run_b, "entropy_agent_0", [0], 0.6)
    assert MIXING.examine(tmp_path).verdict == "not reproduced"


def test_the_speed_boundary_is_between_collapse_and_mix(tmp_path: Path) -> None:
    write_map(tmp_path, ("gail", 0.3, 0.0, 0.99), ("gail", 1, 0.0, 0.99), ("gail", 2, 0.0, 0.7), ("gail", 3, 0.0, 0.51))
    cells = cells_of(tmp_path, "map")
    assert speed_boundary(cells) == (1.0, 3.0)
    assert speed_boundary(chosen(cells, coordination_mean=0.99)) == (1.0, math.inf)
    assert speed_boundary(chosen(cells, coordination_mean=0.51)) == (0.0, 3.0)


GOOD = [("gail", 1.0, 0.0, 0.99), ("gail", 3.0, 0.0, 0.51)]  # √2 lies between


@pytest.mark.parametrize(("cells", "critical", "verdict"), [
    (GOOD, 0.5493, "qualified"),  # mixed at β = 0, below log(3)/2
    (GOOD, 0.56, "not reproduced"),
    ([("gail", 3.0, 0.0, 0.99), ("gail", 10.0, 0.0, 0.51)], 0.5493, "not reproduced"),
    ([("gail", 0.3, 0.0, 0.99), ("gail", 1.0, 0.0, 0.51)], 0.5493, "not reproduced"),
    ([*GOOD, ("non_saturating", 30.0, 0.0, 0.99)], 0.5493, "qualified"),
    ([*GOOD, ("non_saturating", 30.0, 0.0, 0.51)], 0.5493, "not reproduced"),
])  # fmt: skip
def test_theory_fails_where_a_boundary_is_elsewhere(
    tmp_path: Path, cells: list[tuple[str, float, float, float]], critical: float, verdict: Verdict
) -> None:
    write_map(tmp_path, *cells)
    write_frozen(tmp_path, critical)
    assert THEORY.examine(tmp_path).verdict == verdict


@pytest.fixture
def correlated(tmp_path: Path) -> Path:
    """A report in which independent policies miss the correlated expert, and match the uniform one."""
    write_correlation(tmp_path, {("independent", "joint"): [0.56] * 3})
    write_map(tmp_path, ("gail", 1, 0.0, 0.99))
    write_part(tmp_path / "suggested_runs" / "C", runs_of([AA, BB, HALF, HALF], [0, 0, 5, 5]))
    write_part(tmp_path / "suggested_runs" / "D", runs_of([HALF] * 4, [0, 0, 5, 5], UNIFORM), UNIFORM)
    return tmp_path


def test_the_mismatch_is_qualified_for_the_distance_does_not_tell_the_failures_apart(correlated: Path) -> None:
    finding = MISMATCH.examine(correlated)
    assert finding.verdict == "qualified"
    assert "1.000 bits irreducible in both" in finding.limits[0].observed
    edit(correlated / "suggested_runs" / "C", "js_distance", [0, 1], 0.6)  # now it would
    assert MISMATCH.examine(correlated).verdict == "reproduced"


@pytest.mark.parametrize("part", [
    "correlation/cells/bimodal-independent-joint", "suggested_runs/C", "suggested_runs/D",
])  # fmt: skip
def test_the_mismatch_is_refuted_by_one_changed_run(correlated: Path, part: str) -> None:
    edit(correlated / part, "js_distance", [0], 0.9 if part.endswith("D") else 0.5)
    assert MISMATCH.examine(correlated).verdict == "not reproduced"


@pytest.fixture
def repaired(tmp_path: Path) -> Path:
    """A report in which correlated policies match where the discriminator sees the joint action."""
    policies, distance = ("shared_signal", "autoregressive"), {"joint": 0.02, "per_agent": 0.55}
    write_correlation(tmp_path, {(policy, d): [js] * 20 for policy in policies for d, js in distance.items()})
    runs = {"beta": np.repeat([0.0, 0.5], 20), "js_distance": np.full(40, 0.02)}
    write_part(tmp_path / "games" / "matching_shared_signal", runs)
    return tmp_path


@pytest.mark.parametrize("policy", ["shared_signal", "autoregressive"])
@pytest.mark.parametrize(("discriminator", "distance", "runs"), [("joint", 0.3, 2), ("per_agent", 0.02, 20)])
def test_the_repair_needs_every_cell_and_a_blind_discriminator(
    repaired: Path, policy: str, discriminator: str, distance: float, runs: int
) -> None:
    assert REPAIR.examine(repaired).verdict == "reproduced"
    edit(repaired / f"correlation/cells/bimodal-{policy}-{discriminator}", "js_distance", range(runs), distance)
    assert REPAIR.examine(repaired).verdict == "not reproduced"  # 18 of 20 match, which is 90 %


def test_the_repair_is_qualified_where_the_bonus_destroys_it(repaired: Path) -> None:
    edit(repaired / "games" / "matching_shared_signal", "js_distance", range(20, 40), 0.52)
    assert REPAIR.examine(repaired).verdict == "qualified"


@pytest.mark.parametrize(("column", "value", "verdict"), [
    ("prob_a_agent_0", HALF, "reproduced"), ("prob_a_agent_0", 0.5001, "not reproduced"),
    ("nash_conv", 3.0, "qualified"), ("seed", 7, "not reproduced"), ("beta", 1.0, "not reproduced"),
])  # fmt: skip
def test_payoffs_matter_if_a_single_run_differs(tmp_path: Path, column: str, value: float, verdict: Verdict) -> None:
    _, battle = (write_part(tmp_path / name, runs_of([AA, BB, HALF])) for name in SAME_DEMONSTRATIONS)
    edit(battle, column, [2], value)
    finding = PAYOFFS_UNSEEN.examine(tmp_path)
    assert finding.verdict == verdict
    assert ("not of the same seeds and β" in finding.criteria[1].observed) == (column in ("seed", "beta"))


def test_payoffs_are_unseen_only_if_the_experts_play_alike(tmp_path: Path) -> None:
    for name, expert in zip(SAME_DEMONSTRATIONS, (UNIFORM, np.array([[0.26, 0.24], [0.25, 0.25]])), strict=True):
        write_part(tmp_path / name, runs_of([AA, BB]), expert)
    assert PAYOFFS_UNSEEN.examine(tmp_path).verdict == "not reproduced"


@pytest.mark.parametrize(("part", "column", "rows", "value"), [
    (CHICKEN, "js_distance", 1, 0.01), (SIGNAL, "js_distance", 20, 0.1), (SCISSORS, "js_distance", 20, 0.3),
    (THREE, "convention", 1, "neither"), (THREE, "convention", 20, "AAA"),
])  # fmt: skip
def test_other_games_are_examined_one_by_one(tmp_path: Path, part: str, column: str, rows: int, value: object) -> None:
    distance, seed = {CHICKEN: 0.3, SIGNAL: 0.02, SCISSORS: 0.03, THREE: 0.5}, np.arange(20)
    others = {"ce_conv": np.zeros(20), "nash_conv": np.zeros(20), "convention": ["AAA", "BBB"] * 10}
    for name, js in distance.items():
        expert = np.array([[1 / 3, 1 / 3], [1 / 3, 0.0]])
        write_part(tmp_path / name, {"seed": seed, "js_distance": np.full(20, js), **others}, expert)
    assert OTHER_GAMES.examine(tmp_path).verdict == "reproduced"
    edit(tmp_path / part, column, range(rows), value)
    assert OTHER_GAMES.examine(tmp_path).verdict == "not reproduced"


def test_run_d_is_checked_at_each_beta(correlated: Path) -> None:
    part = correlated / "suggested_runs" / "D"
    assert all_hold(criteria_of("D", part / "run"))
    edit(part, "js_distance", [0, 1], 0.5)
    assert [item.expected for item in criteria_of("D", part / "run") if not item.holds] == [
        "β=0: JS distance drops (interval below 0.15; bimodal: 0.558)"
    ]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.title)
def test_a_claim_without_its_parts_says_which_is_missing(tmp_path: Path, claim: Claim) -> None:
    with pytest.raises(InputError, match=r"suggested_runs/|games/|phase_diagram/"):
        claim.examine(tmp_path)
