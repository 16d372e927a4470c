"""Claims on report folders: a verdict follows the saved runs, and nothing else in the folder."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coordination_env.games import matching
from experiments.claims.collapse import COLLAPSE, MIXING
from experiments.claims.games import PAYOFFS_UNSEEN, SAME_DEMONSTRATIONS
from experiments.matching.metrics import product_joint
from experiments.matching.results import exact_columns
from experiments.matching.suggested_runs import criteria_of
from experiments.studies.criteria import all_hold
from experiments.studies.jobs import FORMAT, VERSION
from magail_trainer.data.run_folder import read_table, write_config, write_table
from magail_trainer.errors import InputError
from magail_trainer.files import write_arrays, write_json

BIMODAL = np.array([[0.5, 0.0], [0.0, 0.5]])


def write_run(part: Path, prob_a: np.ndarray, beta: float, expert: np.ndarray = BIMODAL) -> Path:
    """A part with a run folder in which both agents of each run play A with the same probability."""
    folder = part / "run"
    folder.mkdir(parents=True)
    policy = np.stack([prob_a, 1 - prob_a], axis=-1)
    runs = {"beta": np.full(len(prob_a), beta), "seed": np.arange(len(prob_a))}
    runs |= exact_columns(product_joint([policy, policy]), expert, matching())
    write_table(folder / "runs.csv", {**runs, "sampled_coordination_rate": runs["coordination_rate"]})
    history = {f"prob_a_agent_{i}": np.linspace(0.52, prob_a, 3) for i in range(2)}
    write_arrays(folder / "history.npz", {"epoch": np.arange(3), **history})
    write_config(folder, {"experiment": {"eval_episodes": 5000}, "dataset": {"joint": expert.tolist()}})
    return folder


def write_cells(report: Path, kind: str, lr_disc: float, rate: float) -> Path:
    """A part of the phase diagram with one cell at β = 0."""
    folder = report / "phase_diagram" / "parts" / f"{kind}-gail-{lr_disc:g}"
    folder.mkdir(parents=True)
    about = {"format": FORMAT, "version": VERSION, "kind": kind, "reward": "gail"}
    write_json(folder / "settings.json", about)
    runs: dict[str, Any] = {"beta": np.zeros(5), "seed": np.arange(5), "lr_policy": np.full(5, 0.01)}
    runs |= {"lr_disc": np.full(5, lr_disc), "coordination_rate": np.full(5, rate), "convention": ["AA"] * 5}
    write_table(folder / "runs.csv", runs)
    return folder


def edit(folder: Path, column: str, rows: range, value: object) -> None:
    """Change some rows of a column of a saved table of runs."""
    table = {name: values.tolist() for name, values in read_table(folder / "runs.csv").items()}
    for row in rows:
        table[column][row] = value
    write_table(folder / "runs.csv", table)


@pytest.fixture
def run_a(tmp_path: Path) -> Path:
    """Run A of a report, which collapsed as it should, beside a cell that did, too."""
    write_cells(tmp_path, "table", 0.005, 0.99)
    return write_run(tmp_path / "suggested_runs" / "A", np.array([0.995, 0.005] * 10), 0.0)


def test_the_verdict_on_run_a_follows_its_runs_and_no_stored_verdict(tmp_path: Path, run_a: Path) -> None:
    before = COLLAPSE.examine(tmp_path)
    assert before.verdict == "qualified"  # pooled runs look like the expert
    stored = {"expected": ["a collapse"], "observed": ["none"], "holds": [0]}
    write_table(run_a.parent / "criteria.csv", stored)  # as parts had it before
    assert COLLAPSE.examine(tmp_path) == before

    write_table(run_a.parent / "criteria.csv", {**stored, "holds": [1]})
    edit(run_a, "convention", range(1), "neither")
    assert COLLAPSE.examine(tmp_path).verdict == "not reproduced"


@pytest.mark.parametrize("column", ["coordination_rate", "sampled_coordination_rate", "prob_a_agent_1"])
def test_one_changed_column_of_run_a_is_enough(tmp_path: Path, run_a: Path, column: str) -> None:
    edit(run_a, column, range(20), 0.9)
    assert COLLAPSE.examine(tmp_path).verdict == "not reproduced"


def test_a_cell_without_collapse_limits_the_claim(tmp_path: Path, run_a: Path) -> None:
    assert run_a.is_dir()
    few = len(COLLAPSE.examine(tmp_path).limits)
    write_cells(tmp_path, "table", 0.1, 0.51)
    limits = COLLAPSE.examine(tmp_path).limits
    assert len(limits) == few + 1
    assert "lr_disc 0.1 " in limits[-1].expected


def test_the_verdict_on_mixing_follows_one_run_of_b(tmp_path: Path) -> None:
    write_cells(tmp_path, "map", 0.1, 0.51)
    run_b, _ = (write_run(tmp_path / "suggested_runs" / name, np.full(5, 0.5), 5.0) for name in "BC")
    assert MIXING.examine(tmp_path).verdict == "reproduced"
    edit(run_b, "entropy_agent_0", range(1), 0.6)
    assert MIXING.examine(tmp_path).verdict == "not reproduced"


def test_the_verdict_on_payoffs_follows_one_probability(tmp_path: Path) -> None:
    _, battle = (write_run(tmp_path / name, np.array([0.2, 0.6]), 0.0) for name in SAME_DEMONSTRATIONS)
    assert PAYOFFS_UNSEEN.examine(tmp_path).verdict == "reproduced"
    edit(battle, "prob_a_agent_0", range(1, 2), 0.6001)
    assert PAYOFFS_UNSEEN.examine(tmp_path).verdict == "not reproduced"


def test_run_d_is_judged_by_the_runs_that_are_there(tmp_path: Path) -> None:
    uniform, part = np.full((2, 2), 0.25), tmp_path / "D"
    folder = write_run(part, np.full(10, 0.5), 0.0, uniform)
    edit(folder, "beta", range(5, 10), 5.0)
    assert all_hold(criteria_of("D", folder))
    edit(folder, "js_distance", range(5), 0.5)
    assert [item.expected for item in criteria_of("D", folder) if not item.holds] == [
        "β=0: JS distance drops (interval below 0.15; bimodal: 0.558)"
    ]


def test_a_claim_without_its_parts_says_which_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"suggested_runs/A/run"):
        COLLAPSE.examine(tmp_path)
