"""The particle benchmark: what it writes, that it goes on where it was stopped, and that its scores are right."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

pytest.importorskip("mpe2")

from experiments.particles import benchmark as mpe
from experiments.particles.benchmark import MpeConfig, jobs_of, write_results
from experiments.particles.cells import (
    EVALUATION_SEED,
    RETURNS,
    BenchmarkCell,
    ReferenceReturns,
    SharedSettings,
    job_of,
    settings_now,
)
from experiments.particles.methods import COPIES, METHODS, MethodName
from experiments.particles.settings import MPE_QUICK as QUICK
from experiments.particles.tasks import TASKS, Side, reference_returns
from experiments.particles.training import side_returns
from experiments.studies.jobs import (
    FORMAT,
    SETTINGS,
    check_finished,
    finished,
    read_settings,
    run_job,
    run_jobs,
)
from magail_trainer.cli.command_line import run_command
from magail_trainer.data.recording import record
from magail_trainer.data.run_folder import read_config
from magail_trainer.errors import InputError
from magail_trainer.files import write_json
from magail_trainer.folders import has_checkpoints
from magail_trainer.learn.config import MagailConfig
from magail_trainer.play.cross_play import make_side_reference
from magail_trainer.play.load_runs import load_runs

torch.set_num_threads(1)

CHECKOUT = Path(mpe.__file__).parents[2]
HEADER = "env,expert,demonstrations,method,seed,env_steps,cpu_seconds,return_stochastic,return_argmax,normalized_stochastic,normalized_argmax"  # noqa: E501  # fmt: skip
SHARED = SharedSettings(seeds=(0, 3), eval_episodes=6, epochs=2, cloning_updates=3)
TINY = ["--demonstrations", "2", "--seeds", "0", "3", "--epochs", "2", "--cloning-updates", "3", "--eval-episodes", "6"]
ROWS = {"simple_push/adversary": 2, "simple_push/agent": 2, "simple_speaker_listener": 2}


def benchmark(output: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "experiments.mpe", *TINY, *flags, "--output", str(output)]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny benchmark of a cooperative and a competitive env."""
    output = tmp_path_factory.mktemp("mpe") / "results"
    flags = ["--tasks", "speaker_listener", "push", "--methods", "cloning", "magail_joint", "--output", str(output)]
    with (
        redirect_stdout(io.StringIO()) as out,
        redirect_stderr(io.StringIO()) as err,
        pytest.raises(SystemExit) as stop,
    ):
        run_command(MpeConfig, mpe.main, prog="mpe", args=[*TINY, *flags])
    assert (stop.value.code, err.getvalue()) == (0, "")  # no progress bar where there is no terminal
    assert sum(line.startswith(("speaker_listener-", "push-")) for line in out.getvalue().splitlines()) == 6
    assert (output / "table.md").read_text() in out.getvalue()
    return output


def test_the_tables_have_exactly_their_columns(small: Path) -> None:
    assert (small / "table.csv").read_text().splitlines()[0] == HEADER
    rows = rows_of(small / "table.csv")
    for method in ("cloning", "magail_joint"):
        of = [row for row in rows if row["method"] == method]
        assert {env: [row["env"] for row in of].count(env) for env in ROWS} == ROWS
        assert {row["env_steps"] for row in of} == {"0" if method == "cloning" else str(2 * 128 * 25)}
    assert {(row["expert"], row["demonstrations"]) for row in rows} == {("scripted", "2")}
    assert {row["seed"] for row in rows} == {"0", "3"}
    assert all(float(row["cpu_seconds"]) > 0 for row in rows)


def test_scores_are_returns_between_random_and_the_expert(small: Path) -> None:
    floors = rows_of(small / "floors.csv")
    assert list(floors[0]) == ["env", "expert", "policy", "return", "normalized", "episodes"]
    earned = {(row["env"], row["policy"]): float(row["return"]) for row in floors}
    assert {policy for env, policy in earned if env == "simple_speaker_listener"} == {
        *("random", "expert", "noop", "centroid")
    }
    assert {row["episodes"] for row in floors} == {"120"}
    for row in floors + rows_of(small / "table.csv"):
        random, expert = earned[row["env"], "random"], earned[row["env"], "expert"]
        for kind in [""] if "policy" in row else ["_stochastic", "_argmax"]:
            score = (float(row[f"return{kind}"]) - random) / (expert - random)
            assert float(row[f"normalized{kind}"]) == pytest.approx(score)


def test_the_curves_are_those_of_the_cells_that_were_trained_in_the_env(small: Path) -> None:
    with np.load(small / "curves.npz", allow_pickle=False) as arrays:
        curves = dict(arrays)
    names = {f"{env}/scripted/magail_joint/2" for env in ROWS}
    assert set(curves) == {f"{name}/{part}" for name in names for part in ("epoch", "env_steps", "normalized_return")}
    for name in names:
        assert curves[f"{name}/epoch"].tolist() == [1, 2]
        assert curves[f"{name}/env_steps"].tolist() == [3200, 6400]
        assert curves[f"{name}/normalized_return"].shape == (2, 2)


def test_a_cell_is_a_run_folder_that_says_how_it_was_made(small: Path) -> None:
    folder = small / "cells" / "push-magail_joint-2"
    settings = read_settings(folder)
    assert settings == BenchmarkCell("push", "magail_joint", 2, SHARED).settings()
    assert settings["training"]["discriminator"] == "joint"
    assert settings["training"]["epochs"] == 2
    trained = json.loads((folder / "config.json").read_text())["training"]
    assert trained == settings["training"] | {"warm_critic": 1}  # at most half of the epochs
    trained = load_runs(folder)
    assert trained.runs.seed.tolist() == [0, 3]
    again = side_returns(TASKS["push"], trained, episodes=6, seed=EVALUATION_SEED)
    rows = rows_of(folder / RETURNS)
    assert again["env"] == [row["env"] for row in rows]
    assert again["return_argmax"] == [float(row["return_argmax"]) for row in rows]


def test_a_competitive_task_is_scored_as_magail_evaluate_scores_it() -> None:
    task = TASKS["tag"]
    how, sides = {"episodes": 20, "seed": EVALUATION_SEED}, [side.agents for side in task.sides]
    reference = make_side_reference(task.entry, task.player("expert"), task.player("expert"), sides=sides, **how)
    table = reference_returns(task, **how)
    for policy, ends in (("random", reference.random), ("expert", reference.expert)):
        earned = [value for value, name in zip(table["return"], table["policy"], strict=True) if name == policy]
        assert earned == pytest.approx(list(ends.values()))


def test_what_is_finished_is_not_done_again_and_the_rest_is_the_same(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells, shared = tmp_path / "cells", SHARED
    first = [ReferenceReturns("speaker_listener", shared), BenchmarkCell("speaker_listener", "cloning", 2, shared)]
    run_jobs(first, cells, processes=1)
    made = {folder.name: (folder / RETURNS).stat().st_mtime_ns for folder in finished(cells)}
    assert list(made) == ["speaker_listener-cloning-2", "speaker_listener-references"]
    (cells / ".speaker_listener-magail_joint-2.magail-partial").mkdir()  # what a process leaves that is killed
    flags = [*TINY, "--tasks", "speaker_listener", "--methods", "cloning", "magail_joint", "--output", str(tmp_path)]
    with pytest.raises(SystemExit) as stop:
        run_command(MpeConfig, mpe.main, prog="mpe", args=flags)
    assert stop.value.code == 0
    assert "2 of 3 cells were finished before." in capsys.readouterr().out
    assert made.items() <= {folder.name: (folder / RETURNS).stat().st_mtime_ns for folder in finished(cells)}.items()
    table, uninterrupted = rows_of(tmp_path / "table.csv"), rows_of(small / "table.csv")
    for row in table + uninterrupted:
        del row["cpu_seconds"]
    assert table == [row for row in uninterrupted if row["env"] == "simple_speaker_listener"]


def test_a_failing_figure_loses_neither_cells_nor_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no ink")

    monkeypatch.setattr(mpe, "scores_figure", fail)
    flags = [*TINY, "--tasks", "speaker_listener", "--methods", "cloning", "--output", str(tmp_path)]
    with pytest.raises(SystemExit) as stop:
        run_command(MpeConfig, mpe.main, prog="mpe", args=flags)
    assert stop.value.code == 1
    assert capsys.readouterr().err.startswith("The figure scores.png failed (RuntimeError: no ink)")
    assert {path.name for path in tmp_path.iterdir()} == {
        *("cells", "table.csv", "floors.csv", "curves.npz", "table.md", "learning_curves.png")
    }
    assert len(finished(tmp_path / "cells")) == 2


def test_a_folder_of_an_unknown_method_is_refused_in_one_sentence() -> None:
    settings = BenchmarkCell("push", "cloning", 2, SHARED).settings() | {"method": "cloning_backwards"}
    with pytest.raises(InputError, match=r"method 'cloning_backwards'.*choose another --output or delete"):
        job_of(settings, SHARED)


def test_other_settings_are_refused(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = small / "cells"
    check_finished(cells, lambda settings: job_of(settings, SHARED))
    for change, named in (
        ({"epochs": 3}, r"magail_joint-2' was made with training\.epochs=2, not 3;"),
        ({"seeds": (0, 1)}, r"cloning-2' was made with seeds=\[0, 3\], not \[0, 1\];"),
        ({"eval_episodes": 7}, "was made with eval_episodes=6, not 7;"),
        ({"cloning_updates": 4}, "was made with cloning_updates=3, not 4;"),
    ):
        shared = replace(SHARED, **change)
        with pytest.raises(InputError, match=named):
            check_finished(cells, lambda settings, shared=shared: job_of(settings, shared))
    (small.parent / "strange" / "cells" / "folder").mkdir(parents=True)
    with pytest.raises(InputError, match="is no cell of a benchmark"):
        check_finished(small.parent / "strange" / "cells", lambda settings: job_of(settings, SHARED))
    with pytest.raises(InputError, match="holds no finished cells"):
        write_results(small.parent)
    with pytest.raises(SystemExit) as stop:
        run_command(MpeConfig, mpe.main, prog="mpe", args=[*TINY, "--seeds", "1", "--output", str(small)])
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("method", "more", "fewer", "name"),
    [
        ("cloning", {}, {"network", "exact", "policy", "signals", "signal_starts"}, "lr_cloning"),
        ("magail_joint", {"own_network": ""}, set(), "lr_policy"),
    ],
)
def test_cells_are_known_by_the_settings_that_older_versions_wrote(
    method: MethodName, more: dict[str, Any], fewer: set[str], name: str, tmp_path: Path
) -> None:
    def check() -> None:
        check_finished(tmp_path, lambda settings: job_of(settings, SHARED), read=settings_now)

    job = BenchmarkCell("push", method, 2, SHARED)
    settings = {"format": FORMAT, "version": 1, **job.settings()}
    now = settings["training"]
    settings["training"] = {key: value for key, value in now.items() if key not in fewer} | more
    (tmp_path / job.name).mkdir()
    write_json(tmp_path / job.name / SETTINGS, settings)
    check()
    settings["training"][name] = 0.5
    write_json(tmp_path / job.name / SETTINGS, settings)
    with pytest.raises(InputError, match=rf"was made with training\.{name}=0\.5, not "):
        check()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"tasks": ()}, "--tasks must name each value once"),
        ({"methods": ("cloning", "cloning")}, "--methods must name each value once.*'cloning cloning'"),
        ({"demonstrations": (5, 0)}, "--demonstrations must be at least 1, not 0"),
        ({"seeds": ()}, "--seeds is empty"),
        ({"seeds": (1, 1)}, "--seeds names 1 twice"),
        ({"epochs": 0}, "--epochs must be at least 1, not 0"),
        ({"eval_episodes": 0}, "--eval_episodes must be at least 1"),
        ({"cloning_updates": 0}, "--cloning_updates must be at least 1"),
    ],
)
def test_bad_settings_are_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        jobs_of(replace(MpeConfig(), **change))


@pytest.mark.parametrize("method", ["cloning", "magail_joint", "cloning_signal", "magail_signal"])
def test_the_agents_of_the_coin_alone_have_networks_of_their_own(method: MethodName) -> None:
    shared = {task: BenchmarkCell(task, method, 2, SHARED).settings()["training"]["share_parameters"] for task in TASKS}
    assert shared == dict.fromkeys(TASKS, MagailConfig(network="mlp").share_parameters) | {"spread_coin": "none"}


def test_by_default_magail_is_the_preset_with_another_discriminator() -> None:
    shared, preset = MpeConfig().shared, MagailConfig(network="mlp")
    styles: dict[MethodName, str] = {
        **{"magail_joint": "joint", "magail_per_agent": "per_agent"},
        **{"magail_joint_symmetric": "joint", "magail_per_agent_symmetric": "per_agent"},
    }
    for method, discriminator in styles.items():
        expected = replace(preset, discriminator=discriminator)
        assert BenchmarkCell("tag", method, 5, shared).training() == (expected, preset.warm_start)
    assert len(jobs_of(MpeConfig())) == 5 + 5 * 3 * 4


def test_the_command_line_names_every_method() -> None:
    assert get_args(MethodName) == tuple(METHODS)


def test_from_scratch_there_is_no_cloning_and_more_time() -> None:
    changed = {"warm_start": 0, "warm_passes": 0, "warm_critic": 0, "cloning": 0.0, "discriminator": "per_agent"}
    expected = MagailConfig(network="mlp", **changed, epochs=1200)
    assert BenchmarkCell("tag", "magail_per_agent_scratch", 5, MpeConfig().shared).training() == (expected, 0)
    few = BenchmarkCell("tag", "magail_joint_scratch", 5, SHARED).training()[0]
    assert (few.epochs, few.discriminator, few.warm_passes) == (SHARED.epochs, "joint", 0)


@pytest.mark.parametrize("method", ["cloning_symmetric", "magail_joint_symmetric"])
def test_a_symmetric_cell_is_trained_on_images_as_well(method: MethodName, tmp_path: Path) -> None:
    cell = BenchmarkCell("push", method, 2, SHARED)
    run_job(cell, tmp_path)
    assert read_settings(tmp_path / cell.name)["symmetries"] == {"name": "simple_push", "copies": COPIES}
    check_finished(tmp_path, lambda settings: job_of(settings, SHARED))
    dataset = read_config(tmp_path / cell.name)["dataset"]
    assert dataset["episodes"] == 2 * (8 * 2)  # all symmetries that push has, and none besides
    assert dataset["augmentation"]["symmetries"] == "experiments.particles.symmetries:simple_push"
    assert "symmetries" not in BenchmarkCell("push", "cloning", 2, SHARED).settings()


def test_quick_gives_way_to_the_flags_that_were_given() -> None:
    quick = MpeConfig(quick=True, demonstrations=(7,)).settle()
    assert (quick.demonstrations, quick.epochs, quick.output) == ((7,), QUICK["epochs"], QUICK["output"])
    assert MpeConfig().settle() == MpeConfig()


def test_fewer_demonstrations_are_the_first_ones_of_more() -> None:
    task = TASKS["spread_coin"]
    few, more = (record(task.entry, task.player("expert"), episodes=number, seed=0) for number in (3, 8))
    for agent, actions in few.actions.items():
        np.testing.assert_array_equal(actions, more[:3].actions[agent])
        np.testing.assert_array_equal(few.observations[agent], more[:3].observations[agent])


def test_a_side_earns_the_sum_of_a_team_or_the_mean_of_its_agents() -> None:
    returns = {"a": 3.0, "b": 5.0, "c": -10.0}
    assert Side("env", ()).earned(returns) == -2
    assert Side("env/first", ("a", "b")).earned(returns) == 4


@pytest.mark.slow
def test_other_processes_do_the_same(small: Path, tmp_path: Path) -> None:
    done = benchmark(
        tmp_path, "--tasks", "speaker_listener", "push", "--methods", "cloning", "magail_joint", "--jobs", "2"
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for name in ("table.csv", "floors.csv"):
        tables = [rows_of(folder / name) for folder in (tmp_path, small)]
        for row in tables[0] + tables[1]:
            row.pop("cpu_seconds", None)
        assert tables[0] == tables[1]


def is_anybody_left(session: int) -> bool:
    try:
        os.killpg(session, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("processes", ["1", "2"])
def test_stopped_it_leaves_no_processes_and_no_halves(number: signal.Signals, processes: str, tmp_path: Path) -> None:
    flags = ["--tasks", "push", "--demonstrations", "2", "--seeds", "0", "--eval-episodes", "2", "--jobs", processes]
    command = [sys.executable, "-m", "experiments.mpe", *flags, "--output", str(tmp_path)]
    process = subprocess.Popen(
        command,
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests started with & have it ignored
    )
    cells, deadline = tmp_path / "cells", time.monotonic() + 60
    while not any("magail" in path.name or "cloning" in path.name for path in cells.glob(".*")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(0.5)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == (130 if number == signal.SIGINT else 128 + number), err
    assert "Traceback" not in err
    assert f"Stopped; the same command goes on with what is in {cells}." in err
    assert [path.name for path in cells.iterdir() if not path.name.startswith(".")] == ["push-references"]
    assert all(has_checkpoints(path) for path in cells.glob(".*"))
    while is_anybody_left(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.1)
