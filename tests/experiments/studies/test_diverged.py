"""Readers of results leave out runs that diverged, say how many there were, and never take one for a success."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.claims.claim import part_runs, read_runs
from experiments.claims.collapse import COLLAPSE_TABLE
from experiments.claims.games import PAYOFFS_UNSEEN, SAME_DEMONSTRATIONS
from experiments.matching.correlation import read_cells
from experiments.matching.suggested_runs import criteria_of
from experiments.studies.criteria import all_hold
from experiments.studies.diverged import Diverged, count_diverged, exit_status, none_diverged
from experiments.theory import phase_cells
from experiments.theory.known_results import frozen_criteria, verdict_lines
from experiments.theory.phase_cells import RUNS
from magail_trainer.data.run_folder import read_healthy_runs, read_table, write_table
from magail_trainer.files import read_arrays, write_arrays
from magail_trainer.sealed import seal
from tests.experiments.claims.report_folder import (
    AA,
    BB,
    UNIFORM,
    runs_of,
    write_correlation,
    write_frozen,
    write_map,
    write_part,
)


def with_lost(runs: dict[str, Any], *lost: int) -> dict[str, Any]:
    """The same runs, some of which diverged at epoch 7."""
    rows = np.isin(np.arange(len(runs["seed"])), lost)
    marked = {
        name: np.where(rows, np.nan, column) if np.asarray(column).dtype.kind == "f" and name != "beta" else column
        for name, column in runs.items()
    }
    return {**marked, "diverged": 7 * rows}


def lose(folder: Path, *lost: int) -> None:
    """Mark runs of a finished run folder or cell."""
    if (folder / RUNS).exists():
        write_table(folder / RUNS, with_lost(read_table(folder / RUNS), *lost))
    history = folder / "history.npz"
    if history.exists():
        arrays = {name: np.array(values) for name, values in read_arrays(history).items()}
        for values in arrays.values():
            values[-1, list(lost)] = np.nan
        write_arrays(history, arrays)
    for marker in (folder / "config.json", folder / "settings.json"):
        if marker.exists():
            seal(marker, json.loads(marker.read_text()))


def test_rows_that_diverged_are_left_out_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part = write_part(tmp_path / "games" / "chicken", with_lost(runs_of([AA, BB, AA]), 1))
    assert read_runs(part)["seed"].tolist() == [0, 2]
    assert read_healthy_runs(part / "run" / RUNS)["coordination_rate"].shape == (2,)
    (tmp_path / ".unfinished").mkdir()
    (tmp_path / ".unfinished" / RUNS).write_text("seed,diverged\n1,1\n")
    assert count_diverged(tmp_path) == Diverged(1, 3)
    (criterion,) = none_diverged(tmp_path, "chicken: ")
    assert criterion.expected == "chicken: no run diverges"
    assert criterion.observed == "1 of 3 runs diverged, and left out below"
    assert not criterion.holds
    assert exit_status(Diverged(1, 3), 1) == 3
    assert capsys.readouterr().err.startswith("1 of 3 runs diverged; ")
    assert exit_status(Diverged(0, 3), 1) == 1
    assert none_diverged(part.parent / "nothing") == []


def test_a_claim_fails_by_name_if_a_run_of_its_parts_diverged(tmp_path: Path) -> None:
    for name in SAME_DEMONSTRATIONS:
        write_part(tmp_path / name, runs_of([AA, BB, AA, BB]))
    assert PAYOFFS_UNSEEN.examined(tmp_path, SAME_DEMONSTRATIONS).verdict != "not reproduced"
    for name in SAME_DEMONSTRATIONS:
        lose(tmp_path / name / "run", 2)
    finding = PAYOFFS_UNSEEN.examined(tmp_path, [*SAME_DEMONSTRATIONS, "games/another"])
    assert finding.verdict == "not reproduced"
    assert [item.expected for item in finding.criteria if not item.holds] == [
        f"{name}: no run diverges" for name in SAME_DEMONSTRATIONS
    ]
    assert "in 3 runs" in finding.criteria[-1].observed
    for name in SAME_DEMONSTRATIONS:
        lose(tmp_path / name / "run", 0, 1, 2, 3)
    assert PAYOFFS_UNSEEN.examined(tmp_path, SAME_DEMONSTRATIONS).verdict == "not reproduced"


def test_reference_runs_are_judged_by_what_is_left(tmp_path: Path) -> None:
    part = write_part(tmp_path / "D", {**runs_of([0.5] * 6, [0.0] * 3 + [5.0] * 3, UNIFORM)}, UNIFORM)
    assert all_hold(criteria_of("D", part / "run"))
    lose(part / "run", 0)
    assert all_hold(criteria_of("D", part / "run"))  # the two others of β = 0
    lose(part / "run", 0, 1, 2)
    gone = [item for item in criteria_of("D", part / "run") if not item.holds]
    assert [item.expected for item in gone] == ["β=0: some runs"]
    lose(part / "run", *range(6))
    assert not all_hold(criteria_of("D", part / "run"))


def test_cells_of_the_phase_diagram_count_the_seeds_that_are_left(tmp_path: Path) -> None:
    write_map(tmp_path, ("gail", 0.1, 0.0, 0.9), ("gail", 0.1, 1.0, 0.5))
    parts = tmp_path / "phase_diagram" / "parts"
    first, second = sorted(parts.iterdir())
    lose(first, 0)
    cells = phase_cells.read_cells(parts, "map")
    assert (cells["seeds"], cells["coordination_mean"]) == ([1, 2], [0.9, 0.5])
    lose(second, 0, 1)
    assert phase_cells.read_cells(parts, "map")["beta"] == [0.0]
    assert [len(runs["seed"]) for runs in part_runs(tmp_path, "phase_diagram/parts/map-*")] == [1, 0]
    assert COLLAPSE_TABLE.rests_on("phase_diagram/parts/map-gail")


def test_no_critical_beta_is_found_where_all_runs_diverged(tmp_path: Path) -> None:
    write_frozen(tmp_path, np.log(3) / 2)
    parts = tmp_path / "phase_diagram" / "parts"
    assert all_hold(frozen_criteria(parts))
    for kind in ("exact", "sampled"):
        lose(parts / f"frozen-gail-{kind}", 0, 1)
    assert [(item.observed, item.holds) for item in frozen_criteria(parts)] == [("no runs", False)] * 2
    lines, reproduced = verdict_lines(parts)
    assert not reproduced
    assert sum("2 of 2 runs diverged" in line for line in lines) == 2


def test_the_correlation_table_has_the_runs_that_are_left(tmp_path: Path) -> None:
    write_correlation(tmp_path, {("shared_signal", "joint"): [0.1, 0.2, 0.3]})
    (cell,) = (tmp_path / "correlation" / "cells").iterdir()
    lose(cell / "run", 1)
    lose(cell)  # seals it anew
    table, _ = read_cells(tmp_path / "correlation" / "cells")
    assert table["js_distance"].tolist() == [0.1, 0.3]
