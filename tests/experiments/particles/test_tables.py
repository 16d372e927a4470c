"""The tables and figures of the particle benchmark, from made-up cells."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("mpe2")

from experiments.particles.cells import RETURNS
from experiments.particles.figures import curves_figure, scores_figure
from experiments.particles.tables import (
    COLUMNS,
    Curve,
    Summary,
    floor_table,
    markdown,
    score_table,
    summarise,
)
from experiments.studies import jobs
from magail_trainer.play.statistics import Interval
from magail_trainer.sealed import seal

torch.set_num_threads(1)


def cell_folder(root: Path, method: str, scores: dict[int, float]) -> None:
    """A finished cell of the scale 0 to 10, with given scores by seed."""
    folder = root / f"speaker_listener-{method}-5"
    folder.mkdir(parents=True)
    settings = {"kind": "cell", "task": "speaker_listener", "method": method, "demonstrations": 5}
    lines = [f"simple_speaker_listener,{seed},8,0.5,{10 * score},0" for seed, score in scores.items()]
    header = "env,seed,env_steps,cpu_seconds,return_stochastic,return_argmax"
    (folder / RETURNS).write_text("\n".join([header, *lines]) + "\n")
    seal(folder / "settings.json", {"format": jobs.FORMAT, "version": jobs.VERSION, **settings})


def test_the_mark_is_for_what_does_not_beat_cloning(tmp_path: Path) -> None:
    folder = tmp_path / "speaker_listener-references"
    folder.mkdir()
    what = {"format": jobs.FORMAT, "version": jobs.VERSION, "kind": "references", "task": "speaker_listener"}
    earned = [("random", 0.0), ("expert", 10.0), ("noop", 2.0)]
    lines = [f"simple_speaker_listener,scripted,{policy},{value},9" for policy, value in earned]
    (folder / RETURNS).write_text("\n".join(["env,expert,policy,return,episodes", *lines]) + "\n")
    seal(folder / "settings.json", what)
    cell_folder(tmp_path, "cloning", {0: 0.2, 1: 0.6, 2: 0.4})
    cell_folder(tmp_path, "magail_joint", {0: 0.3, 1: 0.7, 2: 0.5})  # better in every seed
    cell_folder(tmp_path, "magail_per_agent", {0: 0.9, 1: 0.5, 2: 0.4})  # better on the mean
    cell_folder(tmp_path, "cloning_symmetric", {0: 0.7, 1: 0.7, 2: 0.7})
    cell_folder(tmp_path, "magail_joint_symmetric", {0: 0.6, 1: 0.8, 2: 0.7})  # better than the plain cloning only
    floors = floor_table(tmp_path)
    table = score_table(tmp_path, floors)
    assert list(table) == list(COLUMNS)
    (summary,) = summarise(table, floors)
    assert summary.behind == {"magail_per_agent", "magail_joint_symmetric"}
    assert summary.floors == {"noop": 0.2}
    assert summary.scores["magail_joint"].estimate == pytest.approx(0.5)
    line = markdown([summary])[2]
    assert "cloning_symmetric" in markdown([summary])[-1]
    assert "| 0.50 [0.30, 0.70] |" in line
    assert line.count("†") == 2
    assert "noop 0.20" in line
    assert "fewer than 5 seeds" in "".join(markdown([summary]))
    assert not any(
        line.startswith(("†", "Bootstrap")) for line in markdown([replace(summary, behind=frozenset(), seeds=5)])
    )


def test_figures_take_cells_that_are_missing_and_scores_without_a_scale() -> None:
    score, none = Interval(0.5, 0.4, 0.6), Interval(np.nan, np.nan, np.nan)
    summaries = [
        Summary("simple_spread", "fixed", 5, {"magail_joint": score}, frozenset(), {"noop": 0.1, "nearest": 0.5}, 5),
        Summary("simple_spread", "fixed", 50, {"cloning": score, "magail_joint": none}, frozenset(), {"noop": 0.1}, 5),
        Summary("simple_tag/agent", "scripted", 5, {"cloning": none}, frozenset(), {"noop": np.nan}, 5),
    ]
    steps = np.array([10, 20])
    curve = Curve("simple_spread", "fixed", 5, "magail_joint", steps, steps, np.zeros((2, 3)))
    titles = [axes.get_title(loc="left") for axes in scores_figure(summaries).axes]
    assert titles == ["simple_spread, fixed expert", "simple_tag/agent, scripted expert"]
    shown = [axes.get_visible() for axes in curves_figure([curve], summaries).axes]
    assert shown == [True, True, True, False]  # nothing is known of tag at 50 demonstrations
    assert "nan" in markdown(summaries)[-3]


def test_columns_have_one_order_whatever_is_there_first() -> None:
    score = Interval(0.5, 0.4, 0.6)
    few = Summary("simple_spread", "fixed", 5, {"magail_joint_symmetric": score}, frozenset(), {}, 5)
    many = Summary("simple_spread", "fixed", 50, {"cloning_symmetric": score, "cloning": score}, frozenset(), {}, 5)
    names = [cell.strip() for cell in markdown([few, many])[0].split("|")[4:-2]]
    assert names == ["cloning", "cloning_symmetric", "magail_joint_symmetric"]


def test_curves_on_top_of_each_other_have_marks_in_other_places() -> None:
    score, steps = Interval(0.5, 0.4, 0.6), np.arange(40)
    scores = {"magail_joint": score, "magail_per_agent": score}
    curves = [Curve("simple_spread", "fixed", 5, method, steps, steps, np.zeros((40, 3))) for method in scores]
    (axes,) = curves_figure(curves, [Summary("simple_spread", "fixed", 5, scores, frozenset(), {}, 3)]).axes
    means = [line for line in axes.lines if line.get_marker() not in ("None", "")]
    assert [line.get_marker() for line in means] == ["o", "^"]
    assert means[0].get_markevery() != means[1].get_markevery()
