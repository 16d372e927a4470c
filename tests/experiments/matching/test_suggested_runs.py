"""Runs A to D: each judge says no to a wrong result, and the real ones come out as the seed says."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from coordination_env.games import matching
from experiments.matching import coordination, suggested_runs
from experiments.matching.coordination import CoordinationConfig
from experiments.matching.metrics import product_joint
from experiments.matching.results import Columns, exact_columns
from experiments.matching.suggested_runs import (
    SUGGESTED_RUNS,
    Name,
    SuggestedRunsConfig,
    criteria_of,
    expected_criteria,
    is_sound,
    of_beta,
    run_suggested,
)
from experiments.studies.criteria import Criterion, all_hold
from magail_trainer.cli.command_line import run_command
from magail_trainer.data.run_folder import read_table
from magail_trainer.errors import InputError
from magail_trainer.learn.config import MagailConfig
from tests.damage import seal_anew
from tests.experiments.matching.sweeps import changed

torch.set_num_threads(1)

BIMODAL, MIXED = np.array([[0.5, 0.0], [0.0, 0.5]]), np.full((2, 2), 0.25)
Probs = Sequence[tuple[float, float]]
AA, BB, HALF = (0.995, 0.995), (0.005, 0.005), (0.5, 0.5)
ALTERNATING = [AA, BB] * 5
FIVE = [AA, BB, BB, AA, AA]

# shared/reference/suggested_runs.json: coordination of the single-script program, mean and standard deviation across
# seeds, by run and β.
REFERENCE = {
    ("A", 0.0): (0.990, 0.001),
    ("B", 5.0): (0.500, 0.000),
    ("C", 0.0): (0.991, 0.001),
    ("C", 5.0): (0.500, 0.000),
    ("D", 0.0): (0.509, 0.018),
    ("D", 5.0): (0.500, 0.000),
}


def fabricated(by_beta: dict[float, Probs], expert: np.ndarray = BIMODAL) -> Columns:
    """Runs with these (P(A) of agent_0, P(A) of agent_1)."""
    probs = np.array([pair for pairs in by_beta.values() for pair in pairs])
    joint = product_joint([np.stack([probs[:, i], 1 - probs[:, i]], axis=-1) for i in range(2)])
    beta = np.array([beta for beta, pairs in by_beta.items() for _ in pairs])
    seed = np.array([seed for pairs in by_beta.values() for seed in range(len(pairs))])
    runs = {"beta": beta, "seed": seed, **exact_columns(joint, expert, matching())}
    return {**runs, "sampled_coordination_rate": runs["coordination_rate"].copy()}


def reproduced(name: Name, by_beta: dict[float, Probs]) -> bool:
    expert = MIXED if name == "D" else BIMODAL
    return all_hold(expected_criteria(name, fabricated(by_beta, expert), expert))


@pytest.mark.parametrize(("name", "by_beta"), [
    ("A", {0.0: ALTERNATING}),
    ("A", {0.0: [AA] * 2 + [BB] * 8}),
    ("B", {5.0: [(0.51, 0.49), HALF, (0.5, 0.52), (0.49, 0.49), HALF]}),
    ("C", {0.0: FIVE, 5.0: [HALF] * 5}),
    ("D", {0.0: [(0.55, 0.45), (0.5, 0.56), HALF, (0.47, 0.53), HALF], 5.0: [HALF] * 5}),
])  # fmt: skip
def test_a_run_is_reproduced_by(name: Name, by_beta: dict[float, Probs]) -> None:
    assert reproduced(name, by_beta)


WRONG: dict[str, tuple[Name, dict[float, Probs]]] = {
    "every seed in AA": ("A", {0.0: [AA] * 10}),
    "every one of five seeds in BB, which a coin might do": ("A", {0.0: [BB] * 5}),
    "every seed in BB": ("A", {0.0: [BB] * 10}),
    "no collapse": ("A", {0.0: [HALF] * 10}),
    "one seed undecided": ("A", {0.0: [*ALTERNATING[:9], (0.6, 0.6)]}),
    "in the conventions but not near 1": ("A", {0.0: [(0.95, 0.95), (0.05, 0.05)] * 5}),
    "the agents miss each other": ("A", {0.0: [(0.995, 0.005)] * 10}),
    "an unfair coin": ("A", {0.0: [AA] * 19 + [BB]}),
    "collapsed": ("B", {5.0: FIVE}),
    "coordination is a half, but one agent always plays A": ("B", {5.0: [(1.0, 0.5)] * 5}),
    "one agent away from a half": ("B", {5.0: [HALF] * 4 + [(0.6, 0.5)]}),
    "all a little away": ("B", {5.0: [(0.45, 0.55), (0.55, 0.45)] * 3}),
    "halfway to a convention": ("B", {5.0: [(0.62, 0.62)] * 5}),
    "no collapse at β=0": ("C", {0.0: [HALF] * 5, 5.0: [HALF] * 5}),
    "not mixed at β=5": ("C", {0.0: FIVE, 5.0: FIVE}),
    "the wrong way round": ("C", {0.0: [HALF] * 5, 5.0: FIVE}),
    "the agents miss each other at β=0": ("C", {0.0: [(0.9, 0.1)] * 5, 5.0: [HALF] * 5}),
    "collapsed at β=0": ("D", {0.0: FIVE, 5.0: [HALF] * 5}),
    "collapsed at β=5": ("D", {0.0: [HALF] * 5, 5.0: FIVE}),
    "coordination is a half, but the expert is not matched": ("D", {0.0: [(1.0, 0.5)] * 5, 5.0: [HALF] * 5}),
    "the same at β=5": ("D", {0.0: [HALF] * 5, 5.0: [(0.9, 0.5)] * 5}),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_run_is_not_reproduced_by(what: str) -> None:
    assert not reproduced(*WRONG[what])


@pytest.mark.parametrize("beta", [0.0, 5.0])
def test_c_is_not_reproduced_by_policies_that_match_the_correlated_expert(beta: float) -> None:
    runs = fabricated({0.0: FIVE, 5.0: [HALF] * 5})
    runs["js_distance"][runs["beta"] == beta] = 0.01
    assert [criterion.holds for criterion in expected_criteria("C", runs, BIMODAL)].count(False) == 1


def sound(runs: Columns, **history: np.ndarray) -> bool:
    moving = {f"prob_a_agent_{i}": np.linspace(0.52, runs[f"prob_a_agent_{i}"], 3) for i in range(2)}
    return all_hold(is_sound(runs, {**moving, **history}, eval_episodes=5000))


def test_a_sound_run_moves_in_training_and_plays_as_its_policies_say() -> None:
    assert sound(fabricated({5.0: [(0.5, 0.501), HALF]}))
    runs, still = fabricated({5.0: [HALF, HALF]}), np.array([[0.52, 0.5], [0.51, 0.5], [0.5, 0.5]])  # [K, R]
    assert sound(runs)
    assert not sound(runs, prob_a_agent_0=still, prob_a_agent_1=still)  # the second run never moves
    for played in (0.46, 0.54, 1.0):
        runs["sampled_coordination_rate"][1] = played
        assert not sound(runs)


def test_the_four_runs_have_the_settings_of_the_seed() -> None:
    expected = {
        "A": (10, (0.0,), True),
        "B": (5, (5.0,), True),
        "C": (5, (0.0, 5.0), False),
        "D": (5, (0.0, 5.0), False),
    }
    for name, run in SUGGESTED_RUNS.items():
        config = run.config
        uniform = name in "AB"
        assert (len(config.seeds), config.betas, uniform) == expected[name]
        assert config.training == MagailConfig(
            network="tabular", epochs=2000, reward_style="gail", lr_disc=0.005, policy_init_uniform=uniform
        )
        assert config.expert_type == ("mixed" if name == "D" else "bimodal")


def test_the_report_shows_every_criterion_and_the_verdict() -> None:
    criteria = [Criterion("this", "that", holds=True), Criterion("more", "less", holds=False)]
    text = suggested_runs.report_of({"A": criteria}, drawn=["A"], num_seeds=None, command="a command")
    assert "| A: this | that | yes |\n| A: more | less | NO |\n| **A: Without" in text
    assert "**NOT reproduced** |" in text
    assert "10 seeds" in text
    assert "![run A](A/figure.png)" in text
    assert "figure.png" not in suggested_runs.report_of({"A": criteria}, drawn=[], num_seeds=None, command="a command")


def exit_code(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as stop:
        run_command(SuggestedRunsConfig, suggested_runs.main, prog="suggested_runs", args=arguments)
    assert isinstance(stop.value.code, int)
    return stop.value.code


@pytest.fixture
def shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    """The four runs, but nearly without training."""
    short = {
        name: replace(run, config=changed(run.config, epochs=2, eval_episodes=10, no_plots=True))
        for name, run in SUGGESTED_RUNS.items()
    }
    monkeypatch.setattr(suggested_runs, "SUGGESTED_RUNS", short)


@pytest.mark.usefixtures("shortened")
def test_the_exit_code_is_0_only_if_every_run_is_reproduced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Without training the policies stay at a half: fine for B and D, a failure for A.
    assert exit_code(["B", "D", "--output", str(tmp_path / "good")]) == 0
    assert exit_code(["A", "B", "--output", str(tmp_path / "bad")]) == 1
    out, _ = capsys.readouterr()
    assert "Run A: NOT reproduced\nRun B: reproduced\n" in out
    report = (tmp_path / "bad" / "report.md").read_text()
    assert "## Run A: NOT reproduced" in report
    assert "## Run B: reproduced" in report
    assert sorted(path.name for path in (tmp_path / "bad").iterdir()) == ["A", "B", "report.md"]
    assert (tmp_path / "bad" / "A" / "runs.csv").exists()
    assert exit_code(["A", "--output", str(tmp_path / "bad")]) == 2  # there are results
    assert (tmp_path / "bad" / "report.md").read_text() == report
    assert exit_code(["B", "--output", str(tmp_path / "bad"), "--overwrite"]) == 0


@pytest.mark.usefixtures("shortened")
def test_a_figure_that_fails_is_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no ink")

    run = suggested_runs.SUGGESTED_RUNS["B"]
    plotted: dict[Name, suggested_runs.SuggestedRun] = {"B": replace(run, config=replace(run.config, no_plots=False))}
    monkeypatch.setattr(suggested_runs, "SUGGESTED_RUNS", plotted)
    monkeypatch.setattr(coordination, "_figure", fail)
    assert exit_code(["B", "--output", str(tmp_path / "run")]) == 1
    failure, missing = capsys.readouterr().err.splitlines()
    assert failure.startswith("The figure figure.png failed (RuntimeError: no ink)")
    assert missing.endswith("these figures are missing: B/figure.png.")
    assert "figure.png" not in (tmp_path / "run" / "report.md").read_text()


@pytest.mark.usefixtures("shortened")
@pytest.mark.parametrize(("arguments", "part"), [
    (["E"], "E"), (["A", "A"], "names a run twice"), (["A", "--num_seeds", "1"], "must be at least 2, not 1."),
])  # fmt: skip
def test_a_bad_value_is_one_sentence_and_exit_code_2(
    arguments: list[str], part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code([*arguments, "--output", str(tmp_path / "run")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert part in err
    assert len(err.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("shortened")
def test_the_verdict_is_that_of_the_saved_runs(tmp_path: Path) -> None:
    criteria = run_suggested("B", tmp_path / "B", num_seeds=7)
    runs = read_table(tmp_path / "B" / "runs.csv")
    assert runs["seed"].tolist() == list(range(1, 8))
    assert criteria == criteria_of("B", tmp_path / "B")
    table = (tmp_path / "B" / "runs.csv").read_text()
    (tmp_path / "B" / "runs.csv").write_text(table.replace(str(runs["entropy_agent_0"][3]), "0.1"))
    with pytest.raises(InputError, match="was altered"):
        criteria_of("B", tmp_path / "B")
    seal_anew(tmp_path / "B" / "config.json")
    changed = [new for old, new in zip(criteria, criteria_of("B", tmp_path / "B"), strict=True) if new != old]
    assert [(item.observed, item.holds) for item in changed] == [("least 0.1000", False)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["A", "B", "C", "D"])
def test_each_run_is_reproduced_and_agrees_with_the_reference(name: Name, tmp_path: Path) -> None:
    criteria = run_suggested(name, tmp_path / name)
    assert all_hold(criteria), criteria
    assert (tmp_path / name / "figure.png").exists()
    for beta in SUGGESTED_RUNS[name].config.betas:
        mean, std = REFERENCE[name, beta]
        rate = of_beta(read_table(tmp_path / name / "runs.csv"), beta)["coordination_rate"]
        # Two means of independent seeds differ by √2 standard errors; the numbers themselves are rounded to 0.001.
        tolerance = 4 * std * (2 / len(rate)) ** 0.5 + 0.001
        assert rate.mean() == pytest.approx(mean, abs=tolerance)
        assert rate.std() < 3 * std + 0.001


@pytest.mark.slow
@pytest.mark.parametrize("name", ["A", "B", "C", "D"])
def test_perceptrons_have_the_outcome_of_tables(name: Name, tmp_path: Path) -> None:
    criteria = run_suggested(name, tmp_path / name, network="mlp")
    assert all_hold(criteria), criteria


@pytest.mark.slow
def test_a_hundred_seeds_of_a_choose_as_a_fair_coin_would(tmp_path: Path) -> None:
    criteria = run_suggested("A", tmp_path / "A", num_seeds=100)
    runs = read_table(tmp_path / "A" / "runs.csv")
    in_aa, in_bb = (int((runs["convention"] == name).sum()) for name in ("AA", "BB"))
    assert in_aa + in_bb == 100
    assert binomtest(in_aa, 100).pvalue > 0.01
    assert runs["coordination_rate"].mean() == pytest.approx(0.990, abs=0.002)
    assert all_hold(criteria)


def test_the_defaults_of_the_main_job_are_the_seeds() -> None:
    config = CoordinationConfig()
    assert (config.expert_type, config.betas) == ("bimodal", (0.0, 0.1, 0.5, 1.0, 2.0, 5.0))
    assert (config.seeds, config.eval_episodes, config.no_plots) == ((42, 123, 456, 789, 999), 5000, False)
    training = config.training
    assert (training.epochs, training.rollout_episodes, training.batch_size) == (4000, 200, 32)
    assert (training.lr_policy, training.lr_disc) == (0.01, 0.01)
    assert (training.reward_style, training.policy_init_uniform) == ("non_saturating", False)
