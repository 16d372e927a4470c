"""A figure that fails costs nothing else."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from experiments.studies.plotting import save_figures


def fail() -> Figure:
    raise ValueError("no\nsuch axis")


def test_a_failing_figure_is_one_sentence_and_the_others_are_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.png").write_text("an older figure")
    (tmp_path / "runs.csv").write_text("results")
    assert save_figures(tmp_path, {"bad.png": fail, "good.png": Figure}) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good.png", "runs.csv"]
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("The figure bad.png failed (ValueError: no such axis); all other results are in ")
    assert err.count("\n") == 1
    assert save_figures(tmp_path, {"good.png": Figure}) == 0
