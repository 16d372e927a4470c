"""The phase diagram: cells by hand, the frozen discriminator, parts that are not done again, the known table."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from experiments.studies.jobs import finished
from experiments.theory.frozen_discriminator import (
    Frozen,
    branch_interval,
    frozen_critical_beta,
    sweep_bracket,
)
from experiments.theory.known_results import KNOWN, table_criteria, verdict_jobs, verdict_lines
from experiments.theory.phase_cells import COLUMNS, RUNS, Effort, Part, cell_rows, parts_of
from experiments.theory.phase_diagram import PhaseConfig, jobs_of, run_phase_diagram
from magail_trainer.data.run_folder import read_table
from magail_trainer.errors import InputError

torch.set_num_threads(1)

SPEEDS = ((0.01, 0.001), (0.01, 0.1))


def test_the_frozen_critical_betas_are_the_closed_forms() -> None:
    assert frozen_critical_beta("gail") == pytest.approx(math.log(3) / 2, abs=1e-12)
    assert frozen_critical_beta("symmetric") == pytest.approx(2 / 3, abs=1e-12)
    assert frozen_critical_beta("non_saturating") == frozen_critical_beta("airl") == math.inf


def test_a_frozen_discriminator_stays_at_its_optimum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.theory.frozen_discriminator.DISC_EPOCHS", 150)
    effort = Effort((0.3,), seeds=2, epochs=3, start="normal")
    trainer = Frozen("gail", effort).trainer()
    before = [values.clone() for values in trainer.modules["discriminator"].state_dict().values()]
    (logits,) = before
    assert logits[:, [0, 3]].numpy() == pytest.approx(math.log(2), abs=2e-3)
    assert float(logits[:, [1, 2]].max()) < -6
    policies = [values.clone() for values in trainer.policies.state_dict().values()]
    for _ in trainer.train():
        pass
    assert torch.equal(before[0], next(iter(trainer.modules["discriminator"].state_dict().values())))
    assert not torch.equal(policies[0], next(iter(trainer.policies.state_dict().values())))


def test_a_sweep_is_bracketed_by_the_last_beta_left_and_the_next() -> None:
    beta = np.array([0.4, 0.4, 0.5, 0.5, 0.6, 0.6])
    rate = np.array([0.9, 0.9, 0.5, 0.7, 0.5, 0.5])
    assert sweep_bracket({"beta": beta, "coordination_rate": rate}) == (0.5, 0.6)
    assert sweep_bracket({"beta": beta, "coordination_rate": np.full(6, 0.9)}) == (0.6, math.inf)
    assert sweep_bracket({"beta": beta, "coordination_rate": np.full(6, 0.5)}) == (-math.inf, 0.4)


def test_the_branch_points_to_the_critical_beta_it_was_made_from() -> None:
    m = np.array([0.6, -0.6, 0.3, 0.3])
    beta = 0.549 * m / np.arctanh(m)  # where policies rest if K / 2 is 0.549
    prob_a = {f"prob_a_agent_{i}": (1 + m) / 2 for i in (0, 1)}
    of = branch_interval({"beta": beta, "seed": np.array([1, 2, 1, 2]), **prob_a})
    assert tuple(of) == pytest.approx((0.549, 0.549, 0.549), abs=1e-9)


def test_a_cell_is_a_row_with_its_interval_and_shares() -> None:
    runs = {
        "lr_policy": np.full(5, 0.01),
        "lr_disc": np.full(5, 0.1),
        "beta": np.array([0, 0, 0, 0, 1]),
        "seed": np.array([1, 2, 3, 4, 1]),
        "coordination_rate": np.array([1.0, 1.0, 1.0, 0.5, 0.5]),
        "convention": np.array(["AA", "AA", "BB", "neither", "neither"]),
    }
    first, second = (dict(zip(COLUMNS, row, strict=True)) for row in cell_rows("gail", runs))
    assert list(first.values())[:5] == ["gail", 0.01, 0.1, 0.0, 4]
    assert (first["coordination_mean"], first["share_aa"], first["share_bb"], first["share_mixed"]) == (
        0.875, 0.5, 0.25, 0.25,
    )  # fmt: skip
    assert first["coordination_low"] < 0.875 < first["coordination_high"]
    assert list(second.values())[3:] == [1.0, 1, 0.5, 0.5, 0.5, 0.0, 0.0, 1.0]


def test_parts_have_all_cells_once_and_about_a_thousand_runs() -> None:
    speeds = [(0.01, 0.01 * ratio) for ratio in range(1, 10)]
    parts = parts_of("map", "gail", speeds, Effort(tuple(np.arange(12.0)), seeds=20))
    assert [speed for part in parts for speed in part.speeds] == speeds
    assert [len(part.runs) for part in parts] == [720, 720, 720]
    assert len({part.name for part in parts}) == 3
    assert len(parts_of("map", "gail", speeds[:2], Effort((0.0,), seeds=2000))) == 2


def test_a_cell_does_not_depend_on_the_others_of_its_part(tmp_path: Path) -> None:
    effort = Effort((0.0, 0.5), seeds=2, epochs=20)
    for name, speeds in (("both", SPEEDS), ("one", SPEEDS[1:])):
        (tmp_path / name).mkdir()
        Part("map", "gail", speeds, effort).fill(tmp_path / name)
    both, one = (read_table(tmp_path / name / RUNS) for name in ("both", "one"))
    for column, values in one.items():
        np.testing.assert_array_equal(both[column][4:], values)


@pytest.fixture
def fast_verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the runs behind the verdicts, which take their time."""
    monkeypatch.setattr("experiments.theory.phase_diagram.verdict_jobs", lambda **_: [])
    monkeypatch.setattr("experiments.theory.phase_diagram.verdict_lines", lambda _: (["a verdict"], True))


def small(output: Path) -> PhaseConfig:
    rewards = ("gail", "symmetric")
    return PhaseConfig(
        rewards, betas=(0.0, 1.0), speed_ratios=(0.1, 3.0), seeds=3, epochs=10, output=output, jobs=1
    )  # fmt: skip


@pytest.mark.usefixtures("fast_verdicts")
def test_a_diagram_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small(tmp_path / "diagram")
    assert run_phase_diagram(replace(config, rewards=("gail",))) == (["a verdict"], True)
    assert (config.output / "phase_diagram.png").stat().st_size > 10_000
    monkeypatch.setattr("experiments.theory.phase_diagram.phase_figure", lambda *_, **__: Figure())
    done = finished(config.output / "parts")
    stamps = [(folder / RUNS).stat().st_mtime_ns for folder in done]
    run_phase_diagram(config)
    assert [(folder / RUNS).stat().st_mtime_ns for folder in done] == stamps
    cells = read_table(config.output / "cells.csv")
    assert tuple(cells) == COLUMNS
    assert cells["reward"].tolist() == ["gail"] * 4 + ["symmetric"] * 4
    assert cells["lr_disc"].tolist() == [0.001, 0.001, 0.03, 0.03] * 2
    assert set(cells["seeds"].tolist()) == {3}

    def must_not_train(*_: object) -> str:
        raise AssertionError

    monkeypatch.setattr(Part, "fill", must_not_train)
    run_phase_diagram(replace(config, rewards=("symmetric",)))
    assert len(read_table(config.output / "cells.csv")["reward"]) == 8  # what is there stays in the map
    with pytest.raises(InputError, match="was made with epochs=10, not 11"):
        run_phase_diagram(replace(config, epochs=11))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rewards": ()}, "--rewards must name each value once, and one at least, not ''."),
        ({"speed_ratios": (1.0, 1.0)}, "--speed_ratios must name each value once, and one at least, not '1.0 1.0'."),
        ({"lr_policies": (0.0,)}, "--lr_policies must be positive numbers, not 0."),
        ({"seeds": 0}, "--seeds must be at least 1, not 0."),
        ({"epochs": 0}, "--epochs must be at least 1, not 0."),
        ({"betas": (-1.0,)}, "--betas must be numbers from 0 to below 1e+30, not -1."),
        ({"exact": True}, "--exact needs --start normal: without noise, policies at 0.5/0.5 stay there."),
    ],
)
def test_bad_settings_get_one_sentence(change: dict, message: str) -> None:
    with pytest.raises(InputError) as refusal:
        jobs_of(replace(PhaseConfig(), **change))
    assert str(refusal.value) == message


def test_the_table_tells_a_collapse_from_none_and_another_number() -> None:
    means = {key: (low + high) / 2 for key, (low, high) in KNOWN.items()}
    means["gail", (0.01, 0.1)], means["non_saturating", (0.001, 0.1)] = 0.99, 0.965
    rows = [(reward, *speed, 0.0, 50, mean, mean, mean, 0, 0, 0) for (reward, speed), mean in means.items()]
    criteria = table_criteria(dict(zip(COLUMNS, (list(column) for column in zip(*rows, strict=True)), strict=True)))
    assert [item.holds for item in criteria] == [True, True, False] + [True] * 6
    assert [item.observed.endswith("another number than 0.99") for item in criteria] == [False] * 8 + [True]


def test_what_there_is_no_evidence_of_is_not_reproduced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.theory.known_results.table_criteria", lambda _: [])
    lines, reproduced = verdict_lines(tmp_path)
    assert not reproduced
    assert sum("**NOT reproduced**" in line for line in lines) == 2


@pytest.mark.slow
def test_collapse_hangs_on_reward_and_learning_rates_as_is_known(tmp_path: Path) -> None:
    for job in verdict_jobs(quick=True):
        (tmp_path / job.name).mkdir()
        job.fill(tmp_path / job.name)
    tables = {job.reward: job for job in verdict_jobs(quick=True) if isinstance(job, Part)}
    rows = [row for reward, job in tables.items() for row in cell_rows(reward, read_table(tmp_path / job.name / RUNS))]
    criteria = table_criteria(dict(zip(COLUMNS, (list(column) for column in zip(*rows, strict=True)), strict=True)))
    assert [item.holds for item in criteria] == [True] * len(KNOWN), criteria
    low, high = sweep_bracket(read_table(tmp_path / "frozen-gail-exact" / RUNS))
    assert low <= math.log(3) / 2 <= high <= low + 0.003
    of = branch_interval(read_table(tmp_path / "frozen-gail-sampled" / RUNS))
    assert of.low <= math.log(3) / 2 <= of.high
