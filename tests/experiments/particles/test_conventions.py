"""Which convention is played: the measures by hand, and what the command writes."""

import csv
import math
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("mpe2")

from experiments.particles import convention_study as command
from experiments.particles.convention_figure import MOST_COLUMNS, PARTS, conventions_figure, parts
from experiments.particles.convention_measures import (
    NO_CONVENTION,
    convention_columns,
    final_landmarks,
    nearest_landmarks,
    played_convention,
    recorded_landmarks,
    share_landmark,
    signal_information,
)
from experiments.particles.convention_study import ConventionsConfig, jobs_of, largest_share, summary
from experiments.particles.methods import METHODS
from experiments.particles.tasks import TASKS
from magail_trainer.cli.command_line import run_command
from magail_trainer.data.recording import record
from magail_trainer.errors import InputError
from magail_trainer.play.load_runs import load_runs

torch.set_num_threads(1)

CHECKOUT = Path(command.__file__).parents[2]
TINY = ["--demonstrations", "2", "--seeds", "0", "3", "--epochs", "2", "--cloning-updates", "3", "--eval-episodes", "6"]
COLUMNS = [
    *("demonstrations", "method", "seed", "env_steps", "cpu_seconds"),
    *("return_stochastic", "return_argmax", "normalized_stochastic", "normalized_argmax"),
    *("same_landmark", "share_0", "share_1", "share_2", "other", "entropy", "signal_bits"),
]
LANDMARKS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])


def observe(positions: list[list[float]]) -> dict[str, np.ndarray]:
    """What simple_spread shows agents at given positions, `[18]` by agent."""
    observations = {}
    for index, position in enumerate(np.array(positions)):
        offsets = (LANDMARKS - position).ravel()
        observations[f"agent_{index}"] = np.concatenate([[9.0, 9.0], position, offsets, np.zeros(8)])
    return observations


@pytest.mark.parametrize(
    ("positions", "nearest", "convention", "shared"),
    [
        ([[0.1, 0.0], [0.9, 0.2], [0.1, 0.8]], [0, 1, 2], 0, False),
        ([[0.8, 0.0], [-0.3, 1.4], [0.3, 0.1]], [1, 2, 0], 1, False),
        ([[0.0, 0.7], [0.1, 0.1], [5.0, 0.0]], [2, 0, 1], 2, False),
        ([[0.0, 0.7], [0.9, 0.1], [0.1, 0.0]], [2, 1, 0], NO_CONVENTION, False),
        ([[0.1, 0.0], [0.0, 0.1], [0.1, 0.8]], [0, 0, 2], NO_CONVENTION, True),
        ([[1.0, 0.0], [1.0, 0.1], [0.9, 0.0]], [1, 1, 1], NO_CONVENTION, True),
    ],
)
def test_landmarks_and_convention_of_positions_by_hand(
    positions: list[list[float]],
    nearest: list[int],
    convention: int,
    shared: bool,  # noqa: FBT001
) -> None:
    landmarks = nearest_landmarks(observe(positions))
    assert landmarks.tolist() == nearest
    assert played_convention(landmarks) == convention
    assert share_landmark(landmarks) == shared


def test_shares_and_entropy_by_hand() -> None:
    episodes = np.array(
        [
            [[0, 1, 2], [0, 1, 2], [0, 1, 2], [2, 1, 0]],
            [[0, 1, 2], [1, 2, 0], [0, 0, 2], [1, 1, 1]],
            [[0, 2, 1], [0, 0, 1], [1, 1, 0], [2, 2, 2]],
        ]
    )
    columns = convention_columns(episodes)
    assert list(columns) == COLUMNS[-7:]
    assert columns["share_0"].tolist() == [0.75, 0.25, 0]
    assert columns["share_1"].tolist() == [0, 0.25, 0]
    assert columns["share_2"].tolist() == [0, 0, 0]
    assert columns["other"].tolist() == [0.25, 0.5, 1]
    assert columns["same_landmark"].tolist() == [0, 0.5, 0.75]
    np.testing.assert_allclose(columns["entropy"], [0, math.log(2), np.nan])
    pieces = parts(columns)
    assert list(pieces) == list(PARTS)
    np.testing.assert_allclose(sum(pieces.values()), 1)


def test_the_expert_plays_all_three_conventions_about_as_often() -> None:
    task = TASKS["spread_coin"]
    expert = task.player("expert")
    recorded = record(task.entry, expert, episodes=300, seed=0)
    columns = convention_columns(recorded_landmarks(recorded))
    shares = np.array([columns[f"share_{shift}"][0] for shift in range(3)])
    assert abs(shares - 1 / 3).max() < 0.1
    assert columns["other"][0] < 0.1
    assert columns["entropy"][0] == pytest.approx(math.log(3), abs=0.02)
    found = played_convention(recorded_landmarks(recorded))[0]
    shifts = expert.shifts  # type: ignore[attr-defined]
    assert (found == shifts).mean() > 0.9


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run of two methods."""
    output = tmp_path_factory.mktemp("conventions") / "results"
    arguments = ["--methods", "cloning", "magail_per_agent", *TINY, "--output", str(output)]
    done = subprocess.run(
        [sys.executable, "-m", "experiments.conventions", *arguments],
        cwd=CHECKOUT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return output


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.slow
def test_there_is_a_row_for_every_seed_and_method(small: Path) -> None:
    rows = rows_of(small / "conventions.csv")
    assert list(rows[0]) == COLUMNS
    assert [(row["method"], row["seed"]) for row in rows] == [
        (method, seed) for method in ("cloning", "magail_per_agent") for seed in ("0", "3")
    ]
    for row in rows + rows_of(small / "expert.csv"):
        assert sum(float(row[name]) for name in ("share_0", "share_1", "share_2", "other")) == pytest.approx(1)
    assert (small / "conventions.png").stat().st_size > 10_000


def again(output: Path, *flags: str) -> object:
    """Run the same command in this process; its exit status."""
    args = ["--methods", "cloning", "magail_per_agent", *TINY, *flags, "--output", str(output)]
    with pytest.raises(SystemExit) as stop:
        run_command(ConventionsConfig, command.main, prog="conventions", args=args)
    return stop.value.code


@pytest.mark.slow
def test_what_is_finished_is_not_done_again(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in (small / "cells").rglob("*")}
    tables = [(small / name).read_bytes() for name in ("conventions.csv", "expert.csv", "conventions.png")]
    assert again(small) == 0
    assert "3 of 3 cells were finished before." in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in (small / "cells").rglob("*")}
    assert tables == [(small / name).read_bytes() for name in ("conventions.csv", "expert.csv", "conventions.png")]
    assert again(small, "--epochs", "3") == 2
    err = capsys.readouterr().err
    assert "was made with training.epochs=2, not 3" in err
    assert err.count("\n") == 1


@pytest.mark.slow
def test_the_table_says_where_the_episodes_end(small: Path) -> None:
    trained = load_runs(small / "cells" / "spread_coin-cloning-2")
    landmarks, signal = final_landmarks(trained, episodes=6, seed=1)
    assert landmarks.shape == (2, 6, 3)
    assert signal is None
    np.testing.assert_array_equal(landmarks, final_landmarks(trained, episodes=6, seed=1)[0])
    columns = convention_columns(landmarks)
    for row, values in zip(rows_of(small / "conventions.csv"), columns["same_landmark"], strict=False):
        assert float(row["same_landmark"]) == values


def test_the_summary_counts_seeds_with_one_convention() -> None:
    shares = {"share_0": [0.9, 0.1, 0.3], "share_1": [0.0, 0.7, 0.3], "share_2": [0.0, 0.1, 0.3]}
    rest = {"other": [0.1, 0.1, 0.1], "same_landmark": [0.1, 0.0, 0.1], "entropy": [0.0, 0.7, math.nan]}
    rest |= {"signal_bits": [0.0] * 3}
    table = {"method": ["cloning"] * 3, "demonstrations": [50] * 3, "seed": [0, 1, 2], **shares, **rest}
    table["normalized_stochastic"] = [0.5] * 3
    assert largest_share(table).tolist() == [0.9, 0.7, 0.3]
    expert = {name: [values[0]] for name, values in (shares | rest).items()}
    lines = summary(table, expert)
    assert "k=0 0.43, k=1 0.33, k=2 0.13, other 0.03, two at one landmark 0.07" in lines[1]
    assert "in 2 of 3 seeds; largest share by seed 0.90 0.70 0.30" in lines[2]
    assert "0.35 nats (three alike: 1.10); score 0.50 [0.50, 0.50]" in lines[3]
    (axes,) = conventions_figure(table, expert).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["expert", "0", "1", "2", "all"]
    assert axes.get_xlabel() == "seed\nno signal"


def test_cells_of_other_numbers_of_demonstrations_are_told_apart_and_an_ignored_signal_from_none() -> None:
    method, number = ["cloning_signal", "cloning", "cloning", "cloning"], [200, 50, 200, 50]
    share = [0.9, 0.3, 0.6, 0.4]
    zeros = {name: [0.0] * 4 for name in ("share_1", "share_2", "same_landmark", "entropy", "signal_bits")}
    table: dict[str, list] = {"method": method, "demonstrations": number, "seed": [0, 0, 0, 1], "share_0": share}
    table |= zeros | {"other": [1 - value for value in share], "normalized_stochastic": share}
    expert = {name: [values[0]] for name, values in table.items()}
    _, first, _, _, second, _, _, third, _, _, signal = summary(table, expert)
    assert first.split(",")[0].split() == ["cloning", "50", "k=0", "0.35"]
    assert second.split(",")[0].split() == ["cloning", "200", "k=0", "0.60"]
    assert third.split(",")[0].split() == ["cloning_signal", "200", "k=0", "0.90"]
    assert len({line.index("k=0") for line in (first, second, third)}) == 1
    assert "the signal tells 0.00 bits" in signal
    figure = conventions_figure(table, expert)
    assert [axes.get_title(loc="left").split("\n")[-1] for axes in figure.axes] == [
        "50 demonstrations", "200 demonstrations", "200 demonstrations",
    ]  # fmt: skip
    assert [len(axes.get_xticklabels()) for axes in figure.axes] == [4, 3, 3]
    assert [axes.get_xlabel().split("\n")[1][:16] for axes in figure.axes] == ["no signal"] * 2 + ["the signal tells"]


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_the_words_of_neighbouring_panels_do_not_touch(seeds: int) -> None:
    methods = [method for method in METHODS for _ in range(seeds)]
    columns = {"share_0": 0.4, "share_1": 0.3, "share_2": 0.1, "other": 0.2, "same_landmark": 0.1, "signal_bits": 1.23}
    table = {name: [value] * len(methods) for name, value in columns.items()}
    table |= {"method": methods, "demonstrations": [200] * len(methods), "seed": [*range(seeds)] * len(METHODS)}
    figure = conventions_figure(table, {name: [value] for name, value in columns.items()})
    figure.draw_without_rendering()
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert len(panels) == len(METHODS)
    for words in ([axes._left_title for axes in panels], [axes.xaxis.label for axes in panels]):  # type: ignore[attr-defined]
        boxes = [text.get_window_extent() for text in words]
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
        assert max(box.x1 for box in boxes) < figure.bbox.x1
    under, above = panels[MOST_COLUMNS]._left_title, panels[0].xaxis.label  # type: ignore[attr-defined]
    assert under.get_window_extent().y1 < above.get_window_extent().y0


def test_bad_settings_are_refused() -> None:
    with pytest.raises(InputError, match="--methods must name each method once"):
        jobs_of(ConventionsConfig(methods=("cloning", "cloning")))
    with pytest.raises(InputError, match="--demonstrations must be at least 1, not 0"):
        jobs_of(ConventionsConfig(demonstrations=0))
    with pytest.raises(InputError, match="--seeds names 2 twice"):
        jobs_of(ConventionsConfig(seeds=(2, 2)))


def test_the_information_of_a_signal_by_hand() -> None:
    found = np.array([[0, 0, 1, 1], [0, 1, 0, 1], [NO_CONVENTION] * 4])
    signal = np.array([[2, 2, 0, 0], [1, 1, 0, 0], [0, 1, 0, 1]])
    np.testing.assert_allclose(signal_information(found, signal), [1, 0, 0], atol=1e-12)
