"""The phase portrait: what the folder holds, and what the panels show."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection

from experiments.theory.fixed_points import fixed_points
from experiments.theory.gradient_flow import GradientFlow, frozen_at_uniform
from experiments.theory.phase_portrait import PhasePortraitConfig, draw_phase_portrait
from experiments.theory.phase_portrait_figure import Panel, Row, basins, phase_portrait_figure, visited_both
from experiments.theory.settings import PORTRAIT_QUICK as QUICK
from magail_trainer.cli.command_line import run_command
from magail_trainer.data.run_folder import read_config, read_table
from magail_trainer.errors import InputError

torch.set_num_threads(1)

BIMODAL = np.array([[0.5, 0.0], [0.0, 0.5]])
SMALL = PhasePortraitConfig(betas=(0.0, 1.0), seeds=2, epochs=20, discriminator=("frozen", "optimal"), quick=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short portrait, whose folder the tests read."""
    return draw_phase_portrait(replace(SMALL, output=tmp_path_factory.mktemp("small") / "portrait"), command="again")


def test_the_folder_has_figure_points_settings_and_the_runs(folder: Path) -> None:
    names = {"config.json", "figure.png", "fixed_points.csv", "frozen", "optimal"}
    assert {path.name for path in folder.iterdir()} == names
    config = json.loads((folder / "config.json").read_text())
    assert config["command"] == "again"
    assert config["expert_joint"] == BIMODAL.tolist()
    assert str(folder) not in json.dumps(config)
    assert config["settings"]["epochs"] == 20
    assert "quick" not in config["settings"]  # says nothing that the rest does not say


def test_the_points_of_each_beta_and_discriminator_are_listed(folder: Path) -> None:
    table = read_table(folder / "fixed_points.csv")
    for discriminator, flow in (
        ("frozen", frozen_at_uniform(BIMODAL, "gail")),
        ("optimal", GradientFlow(BIMODAL, "gail")),
    ):
        rows = (table["discriminator"] == discriminator) & (table["beta"] == 0)
        expected = fixed_points(flow)
        assert table["stability"][rows].tolist() == [point.stability for point in expected]
        np.testing.assert_allclose(table["prob_a_agent_1"][rows], [point.prob_a[1] for point in expected])
        np.testing.assert_allclose(table["eigenvalue_1"][rows], [point.eigenvalues[0] for point in expected])


def test_the_runs_beside_a_frozen_discriminator_have_a_slow_one(folder: Path) -> None:
    for kind, lr_disc in (("frozen", 0.001), ("optimal", 0.1)):
        training, command = (read_config(folder / kind)[name] for name in ("training", "command"))
        assert command.endswith(f" --epochs 20 --lr_disc {lr_disc} --reward_style gail")
        assert (training["lr_policy"], training["lr_disc"]) == pytest.approx((0.01, lr_disc))
        assert read_table(folder / kind / "runs.csv")["seed"].tolist() == [0, 1, 0, 1]


def test_quick_gives_way_to_the_flags_that_were_given() -> None:
    quick = PhasePortraitConfig(quick=True, seeds=3).settle()
    assert (quick.seeds, quick.epochs) == (3, QUICK["epochs"])
    assert PhasePortraitConfig().settle() == PhasePortraitConfig()


def test_a_folder_is_not_replaced_unasked(folder: Path) -> None:
    with pytest.raises(InputError, match="add --overwrite"):
        draw_phase_portrait(replace(SMALL, output=folder))


def test_a_reward_without_a_closed_form_is_refused_before_training(tmp_path: Path) -> None:
    config: Any = replace(SMALL, reward_style="own:reward", output=tmp_path / "portrait")
    with pytest.raises(InputError, match="closed forms for the rewards"):
        draw_phase_portrait(config)
    assert not (tmp_path / "portrait").exists()


def test_a_panel_shows_the_runs_their_ends_and_the_points() -> None:
    flow = GradientFlow(BIMODAL, "gail")
    trajectories = np.stack([np.linspace(0.5, [0.99, 0.98], 7), np.linspace(0.5, [0.4, 0.5], 7)], axis=1)
    panel = Panel(flow, fixed_points(flow), trajectories, np.array(["AA", "neither"]))
    figure = phase_portrait_figure([Row("row", [panel])], title="title", note="note")
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == "β = 0\nruns end: 1 AA, 1 neither, 0 BB"
    (runs,) = [
        lines.get_segments()
        for lines in axes.collections
        if isinstance(lines, LineCollection) and lines.get_zorder() == 3
    ]
    np.testing.assert_allclose(runs, np.moveaxis(trajectories, 1, 0))
    marks = [tuple(np.ravel(line.get_xydata())) for line in axes.get_lines()]
    np.testing.assert_allclose(marks, [point.prob_a for point in panel.points])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("P(A) of agent_0", "row\n\nP(A) of agent_1")


def test_the_entropys_repelling_corners_are_not_drawn() -> None:
    flow = GradientFlow(BIMODAL, "gail", 0.25)
    panel = Panel(flow, fixed_points(flow), np.full((1, 1, 2), 0.5), np.array(["neither"]))
    figure = phase_portrait_figure([Row("row", [panel])], title="title", note="note")
    assert len(figure.axes[0].get_lines()) == 1


def test_runs_that_circle_are_counted() -> None:
    circling = np.array([[0.9, 0.8], [0.1, 0.2]])
    one_agent_only = np.array([[0.9, 0.8], [0.1, 0.5]])
    assert visited_both(np.stack([circling, circling[::-1], one_agent_only], axis=1)) == 2


def test_basins_of_a_frozen_discriminator_meet_at_the_falling_diagonal() -> None:
    flow = frozen_at_uniform(BIMODAL, "gail")
    ends = basins(flow, np.array([[0.9, 0.2], [0.8, 0.1], [0.3, 0.3]]))
    np.testing.assert_allclose(ends, [[1, 1], [0, 0], [0, 0]], atol=1e-3)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--seeds", "0"], "--seeds must be at least 1, not 0."),
        (["--logit_bound", "-1"], "--logit_bound must be a positive number, not -1.0."),
        (["--logit_bound", "inf", "--reward_style", "airl"], "--logit_bound must be finite, not inf"),
        (["--discriminator", "frozen", "frozen"], "--discriminator must name frozen, optimal, or each once"),
        (["--betas", "-1"], "--betas must be numbers from 0"),
        (["--epochs", "0"], "--epochs must be at least 1, not 0."),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def draw(config: PhasePortraitConfig) -> None:
        draw_phase_portrait(config)

    (tmp_path / "taken" / "file").mkdir(parents=True)
    for output in ("new", "taken"):
        with pytest.raises(SystemExit) as stop:
            run_command(PhasePortraitConfig, draw, prog="portrait", args=[*flags, "--output", str(tmp_path / output)])
        assert stop.value.code == 2
        assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
