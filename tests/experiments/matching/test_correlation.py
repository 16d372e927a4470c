"""Every expert against every class of policies: cells, table, summary, figure, refusals; the claim itself is slow."""

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.matching import correlation
from experiments.matching.correlation import (
    COLUMNS,
    CorrelationConfig,
    job_of,
    jobs_of,
    read_cells,
    summary,
    write_report,
)
from experiments.matching.correlation_figure import correlation_figure
from experiments.studies.jobs import check_finished, run_jobs
from magail_trainer.cli.command_line import run_command
from magail_trainer.data.run_folder import read_config
from magail_trainer.errors import InputError

torch.set_num_threads(1)

TINY = CorrelationConfig(
    expert_types=("bimodal", "mixed"), policies=("independent", "shared_signal"), discriminators=("joint",), seeds=3,
    epochs=50,
)  # fmt: skip


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("correlation")
    run_jobs(jobs_of(TINY), folder / "cells", processes=1)
    return folder


def test_the_table_has_a_row_for_each_run_and_just_the_columns_that_were_promised(output: Path) -> None:
    lines = write_report(output)
    with (output / "correlation.csv").open(newline="") as stream:
        header, *rows = list(csv.reader(stream))
    assert header == [
        *("expert", "policy", "discriminator", "beta", "seed", "js_distance", "kl_irreducible", "kl_marginals"),
        *("mutual_information", "coordination_rate"),
    ]
    assert len(rows) == 2 * 2 * 3
    assert {tuple(row[:3]) for row in rows} == {
        (expert, policy, "joint") for expert in TINY.expert_types for policy in TINY.policies
    }
    assert (output / "correlation.png").stat().st_size > 10_000
    assert lines[0].startswith("mixed: 0.0")
    command = read_config(output / "cells" / "mixed-shared_signal-joint" / "run")["command"]
    assert command.startswith("python -m experiments.coordination --expert_type mixed --betas 0.0 --seeds 0 1 2 ")


def test_what_is_finished_is_not_done_again_and_other_settings_are_refused(
    output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_jobs(jobs_of(TINY), output / "cells", processes=1)
    assert "4 of 4 cells were finished before" in capsys.readouterr().out
    other = replace(TINY, epochs=200)
    with pytest.raises(InputError, match=r"was made with epochs=50, not 200"):
        check_finished(output / "cells", lambda made: job_of(made, other))
    with pytest.raises(InputError, match="no cell of this table"):
        job_of({"kind": "map"}, TINY)


def test_all_cells_differ_in_nothing_but_expert_policies_and_discriminator() -> None:
    jobs = jobs_of(CorrelationConfig().settle())
    assert len(jobs) == 5 * 3 * 2
    settings = [job.settings() for job in jobs]
    for one in settings:
        for name in ("expert_type", "policy", "discriminator", "signals"):
            one.pop(name)
    assert all(one == settings[0] for one in settings)
    assert settings[0]["betas"] == [0.0]
    assert len(settings[0]["seeds"]) == 100


def test_the_experts_of_another_game() -> None:
    config = CorrelationConfig(game="chicken").settle()
    assert config.expert_types == ("mixed", "correlated_equilibrium", "pure_equilibria")
    assert CorrelationConfig(expert_types=("noisy",)).settle().expert_types == ("noisy",)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seeds": 0}, "--seeds must be at least 1, not 0"),
        ({"epochs": 0}, "--epochs must be at least 1, not 0"),
        ({"policies": ("independent", "independent")}, "--policies must name each value once"),
        ({"discriminators": ()}, "--discriminators must name each value once, and one at least"),
        ({"betas": (math.nan,)}, "--betas must be numbers from 0"),
        ({"betas": (0.5, 0.5)}, "--betas names 0.5 twice"),
        ({"signals": 0}, "--signals must be at least"),
        ({"game": "chicken"}, "--expert_types must be of mixed, .* for --game chicken, not 'bimodal'"),
        (
            {"game": "matching_pennies", "expert_types": ("pure_equilibria",)},
            "--expert_types must be of mixed, correlated_equilibrium for --game matching_pennies",
        ),
        ({"num_agents": 6}, "--num_agents must be from 2 to 5, not 6"),
    ],
)
def test_mistakes_are_refused_in_one_sentence(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        jobs_of(replace(TINY, **settings))


def test_a_refused_command_leaves_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run_command(
            CorrelationConfig,
            correlation.main,
            prog="correlation",
            args=["--betas", "nan", "--output", str(tmp_path / "new" / "output")],
        )
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("correlation: --betas must be numbers from 0")
    assert list(tmp_path.iterdir()) == []


def test_the_summary_and_the_figure_say_what_the_table_says() -> None:
    joint = {"bimodal": np.array([[0.5, 0.0], [0.0, 0.5]])}
    table = {
        "expert": np.array(["bimodal"] * 4), "policy": np.array(["independent"] * 2 + ["shared_signal"] * 2),
        "discriminator": np.array(["joint"] * 4), "beta": np.zeros(4), "seed": np.array([0, 1, 0, 1]),
        "js_distance": np.array([0.558, 0.558, 0.02, 0.06]), "kl_irreducible": np.ones(4),
        "kl_marginals": np.array([5.0, np.inf, 0.0, 0.0]), "mutual_information": np.array([0.0, 0.0, 1.0, 0.9]),
        "coordination_rate": np.ones(4),
    }  # fmt: skip
    assert tuple(table) == COLUMNS
    first, independent, shared = summary(table, joint)
    assert "1.000 bits" in first
    assert "0.558" in first
    assert "match   0%" in independent
    assert "off by inf bits" in independent
    assert "JS 0.040" in shared
    assert "match  50%" in shared
    cells = {"bimodal": correlation.cells_of(table, "bimodal")}
    figure = correlation_figure(cells, joint, match=0.05, game="a game")
    text = "\n".join(item.get_text() for item in figure.axes[0].texts)
    assert "1 of 2 seeds below 0.05" in text
    assert "0.95 of 1.00 bits shared" in text
    assert "marginals off ∞ bits" in text
    labels = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert labels == ["bimodal\nbest product 0.558"]


@pytest.mark.slow
def test_a_shared_signal_matches_every_expert_and_independent_policies_match_two(tmp_path: Path) -> None:
    config = replace(CorrelationConfig(), policies=("independent", "shared_signal"), discriminators=("joint",)).settle()
    run_jobs(jobs_of(replace(config, seeds=20, epochs=1000)), tmp_path, processes=1)
    table, _ = read_cells(tmp_path)
    limits = {"bimodal": 0.557923, "asymmetric": 0.411333, "noisy": 0.383136}
    for expert in config.expert_types:
        for (policy, _, _), runs in correlation.cells_of(table, expert).items():
            if policy == "shared_signal":
                assert (runs["js_distance"] < 0.05).mean() >= 0.95
            elif expert in limits:
                assert runs["js_distance"].min() > limits[expert] - 1e-6
                assert runs["js_distance"].mean() == pytest.approx(limits[expert], abs=0.01)
