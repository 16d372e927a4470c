"""The figure's panels, read back from the artists that matplotlib was given."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

from coordination_env.games import matching
from experiments.matching.figures import coordination_figure
from experiments.matching.metrics import product_joint
from experiments.matching.results import exact_columns
from experiments.studies.plotting import save_figure
from magail_trainer.learn.config import PolicyStyle

BIMODAL = np.array([[0.5, 0.0], [0.0, 0.5]])
MIXED = np.full((2, 2), 0.25)
Columns = Mapping[str, np.ndarray]


def results(
    finals: Mapping[float, list[float]], expert: np.ndarray = BIMODAL, *, records: int = 5
) -> tuple[Columns, Columns]:
    """Columns of runs whose two agents both end at the given P(A), by β, and straight lines there from 0.5."""
    prob_a = np.concatenate([np.asarray(values) for values in finals.values()])
    beta = np.concatenate([np.full(len(values), beta) for beta, values in finals.items()])
    seed = np.concatenate([np.arange(len(values)) for values in finals.values()])
    marginal = np.stack([prob_a, 1 - prob_a], axis=-1)
    runs = {"beta": beta, "seed": seed, **exact_columns(product_joint([marginal] * 2), expert, matching())}
    history: dict[str, Any] = {"epoch": np.linspace(1, 100, records)}
    for agent in ("agent_0", "agent_1"):
        history[f"prob_a_{agent}"] = np.linspace(0.5, prob_a, records)
    return runs, history


def panels(finals: Mapping[float, list[float]], expert: np.ndarray = BIMODAL) -> list[Axes]:
    return coordination_figure(*results(finals, expert), expert, title="title").axes


def heights(axes: Axes) -> list[list[float]]:
    return [[bar.get_height() for bar in bars] for bars in axes.containers if isinstance(bars, BarContainer)]


TWO_BETAS = {0.0: [0.99, 0.99, 0.99, 0.01], 5.0: [0.5, 0.5, 0.5, 0.5]}


def test_every_panel_is_labelled() -> None:
    for axes in panels(TWO_BETAS):
        assert axes.get_title(loc="left")
        assert axes.get_xlabel()
        assert axes.get_ylabel()


def test_betas_are_evenly_spaced_categories() -> None:
    axes = panels({0.0: [0.9], 0.1: [0.8], 5.0: [0.5]})[0]
    assert axes.get_xticks().tolist() == [0, 1, 2]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "0.1", "5"]


def test_the_line_in_the_js_panel_is_the_limit_for_independent_policies() -> None:
    (line,) = [line for line in panels(TWO_BETAS)[1].get_lines() if "independent" in str(line.get_label())]
    assert np.asarray(line.get_ydata()) == pytest.approx(0.557923, abs=1e-6)
    assert "0.558" in str(line.get_label())


def test_policies_that_are_not_independent_are_only_compared_with_what_those_can_reach() -> None:
    runs, history = results(TWO_BETAS)
    cases: list[tuple[PolicyStyle, int, str]] = [
        ("independent", 1, "best that independent policies can reach: 0.558"),
        ("shared_signal", 0, "for comparison: best that independent policies can reach: 0.558"),
    ]
    for policy, shaded, label in cases:
        axes = coordination_figure(runs, history, BIMODAL, title="title", policy=policy).axes[1]
        assert len(axes.patches) == shaded
        assert label in [line.get_label() for line in axes.get_lines()]


def test_runs_that_have_come_near_the_expert_mislead_nobody() -> None:
    runs, history = results({0.0: [0.5, 0.5]})
    near = [np.array([[0.55, 0.0], [0.0, 0.45]]), np.array([[0.45, 0.0], [0.0, 0.55]])]  # their mean is the expert
    runs = {**runs, **exact_columns(np.stack(near), BIMODAL, matching())}
    assert runs["js_distance"].min() > 0.01
    assert not coordination_figure(runs, history, BIMODAL, title="title", policy="shared_signal").axes[4].texts


def test_single_seeds_are_all_drawn() -> None:
    axes = panels(TWO_BETAS)[2]
    points = np.concatenate(
        [np.asarray(c.get_offsets()) for c in axes.collections if not isinstance(c, LineCollection)]
    )
    assert len(points) == 2 * 8
    assert np.unique(points[:, 1].round(6)).tolist() == [0.01, 0.5, 0.99]


def test_bars_of_conventions_are_shares_of_the_seeds() -> None:
    axes = panels(TWO_BETAS)[3]
    assert heights(axes) == [[0.75], [0.0], [0.25], [0.0], [1.0], [0.0]]  # AA, neither, BB of each β
    assert [text.get_text() for text in axes.texts] == ["3", "1", "4"]


def test_bars_of_the_joint_are_the_expert_and_the_means_over_seeds() -> None:
    expert, collapsed, mixed = heights(panels(TWO_BETAS)[4])
    assert expert == [0.5, 0.0, 0.0, 0.5]
    assert collapsed == pytest.approx([(3 * 0.9801 + 0.0001) / 4, 0.0099, 0.0099, (3 * 0.0001 + 0.9801) / 4])
    assert mixed == pytest.approx([0.25] * 4)


def test_a_mean_that_looks_like_the_expert_although_no_run_does_is_named() -> None:
    split, one_sided = {0.0: [0.99, 0.01], 5.0: [0.5, 0.5]}, {0.0: [0.99, 0.98]}
    (note,) = panels(split)[4].texts
    assert note.get_text().startswith("β = 0: pooled over seeds")
    assert not panels(one_sided)[4].texts
    assert not panels({0.0: [0.55, 0.45]}, MIXED)[4].texts  # they scatter around an expert that they can match


def test_training_has_a_line_for_each_run_and_agent_told_apart() -> None:
    axes = panels(TWO_BETAS)[5]
    collections = [c for c in axes.collections if isinstance(c, LineCollection)]
    assert [len(c.get_segments()) for c in collections] == [4, 4, 4, 4]
    styles = {str(c.get_linestyle()) for c in collections}
    colors = {tuple(np.ravel(np.asarray(c.get_color()))[:3]) for c in collections}
    assert len(styles) == len(colors) == 2
    assert np.asarray(collections[0].get_segments()[3])[-1].tolist() == [100.0, 0.01]


def test_the_key_names_agents_conventions_and_betas() -> None:
    figure = coordination_figure(*results(TWO_BETAS), BIMODAL, title="title")
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["agent_0", "agent_1", "seeds in AA", "seeds in neither", "seeds in BB", "β = 0", "β = 5"]


@pytest.mark.parametrize(
    "finals",
    [{0.0: [0.99]}, {float(beta): [0.99, 0.01] * 25 for beta in range(12)}],
    ids=["one run", "fifty seeds of twelve betas"],
)
def test_any_number_of_runs_can_be_saved(finals: Mapping[float, list[float]], tmp_path: Path) -> None:
    figure: Figure = coordination_figure(*results(finals, MIXED), MIXED, title="title")
    save_figure(figure, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_results_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        save_figure(coordination_figure(*results(TWO_BETAS), BIMODAL, title="title"), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_history_of_other_runs_is_refused() -> None:
    runs, history = results(TWO_BETAS)
    with pytest.raises(ValueError, match="agent_1"):
        coordination_figure(runs, {**history, "prob_a_agent_1": np.zeros((5, 3))}, BIMODAL, title="title")
