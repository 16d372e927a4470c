"""The main experiment: every setting has an effect, bad ones are refused, and what the terminal shows."""

import json
import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from coordination_env import matching_v0
from coordination_env.games import matching
from experiments.matching import coordination
from experiments.matching.coordination import CoordinationConfig, run_experiment
from experiments.matching.metrics import product_joint
from experiments.matching.results import Results, exact_columns, summary
from experiments.matching.settings import FLAGS
from magail_trainer.cli.command_line import parse, run_command
from magail_trainer.data.recording import record
from magail_trainer.data.run_folder import read_table
from magail_trainer.envs.registry import resolve
from magail_trainer.errors import InputError
from magail_trainer.learn.config import MagailConfig
from magail_trainer.play.players import make_joint_policy
from tests.experiments.matching.sweeps import SMALL, changed

torch.set_num_threads(1)

CHECKOUT = Path(coordination.__file__).parents[2]

CHANGES: dict[str, Any] = {
    "expert_type": "mixed",
    "betas": (0.0, 3.0),
    "seeds": (7, 3, 4),
    "epochs": 6,
    "rollout_episodes": 60,
    "eval_episodes": 451,
    "lr_policy": 0.02,
    "lr_disc": 0.02,
    "reward_style": "gail",
    "network": "mlp",
    "policy_init_uniform": True,
    "batch_size": 31,
    "exact": True,
    "expert_ratio": 0.9,
    "expert_noise": 0.5,
    "expert_episodes": 300,
    "expert_seed": 1,
    "num_agents": 3,
    "policy": "autoregressive",
    "discriminator": "per_agent",
    "baseline": "batch",
    "lr_schedule": "linear",
}
TESTED_BY_THEMSELVES = {"game", "signals", "no_plots", "dataset", "device", "output", "overwrite"}


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Results:
    output = tmp_path_factory.mktemp("unchanged") / "run"
    return run_experiment(changed(SMALL, expert_type="noisy", epochs=5, output=output))


def test_every_setting_has_a_change_to_test() -> None:
    own = {field.name for field in fields(CoordinationConfig)} - {"training"}
    assert set(CHANGES) | TESTED_BY_THEMSELVES == own | set(FLAGS)


def test_the_flag_for_perceptrons_trains_them_as_tables_are_trained() -> None:
    flags = parse(CoordinationConfig, prog="coordination", args=["--network", "mlp", "--lr_disc", "1", "--exact"])
    tables = MagailConfig(network="tabular", lr_disc=1.0, exact=True)
    assert flags.training == replace(tables, network="mlp", hidden=(128,), lr_policy=0.001, lr_disc=0.03)


@pytest.mark.parametrize("name", CHANGES)
def test_every_setting_has_an_effect(name: str, unchanged: Results, tmp_path: Path) -> None:
    config = changed(SMALL, expert_type="noisy", epochs=5, output=tmp_path / "run")
    results = run_experiment(changed(config, **{name: CHANGES[name]}))
    column = "sampled_joint_aa" if name == "eval_episodes" else "prob_a_agent_0"
    assert not np.array_equal(results.runs[column], unchanged.runs[column])


def test_the_number_of_signals_has_an_effect(tmp_path: Path) -> None:
    shared = changed(SMALL, policy="shared_signal", epochs=5)
    two, three = (
        run_experiment(changed(shared, signals=signals, output=tmp_path / str(signals))).runs for signals in (2, 3)
    )
    assert not np.array_equal(two["prob_a_agent_0"], three["prob_a_agent_0"])
    assert (two["mutual_information"] > 0).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "--epochs must be at least 1, not 0."),
        ({"betas": ()}, "--betas is empty; expected at least one value."),
        ({"betas": (-1.0,)}, "--betas must be numbers from 0 to below 1e+30, not -1."),
        ({"seeds": (1, 1)}, "--seeds names 1 twice; expected each value once."),
        ({"eval_episodes": 0}, "--eval_episodes must be at least 1, not 0."),
        ({"expert_noise": 0.2}, "--expert_noise does not apply to --expert_type bimodal; leave it out."),
        (
            {"expert_type": "mixed", "expert_ratio": 0.2},
            "--expert_ratio does not apply to --expert_type mixed; leave it out.",
        ),
        ({"dataset": Path("nowhere")}, "'nowhere' is no dataset: its manifest.json cannot be read"),
        ({"expert_ratio": 0.2, "dataset": Path("nowhere")}, "--expert_ratio changes what is recorded;"),
        ({"expert_type": "mixed", "dataset": Path("nowhere")}, "--expert_type changes what is recorded;"),
        ({"expert_seed": 1, "dataset": Path("nowhere")}, "--expert_seed changes what is recorded;"),
        ({"device": "cuda:99"}, "--device cuda:99 cannot be used"),
        ({"expert_ratio": 1.5}, "ratio"),
        ({"expert_episodes": 0}, "must be at least 1, not 0."),
        ({"expert_seed": -1}, "must be at least 0, not -1."),
    ],
)
def test_bad_settings_are_refused_and_leave_nothing_behind(
    settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as refusal:
        run_experiment(changed(SMALL, **settings, output=tmp_path / "run"))
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("settings", [{"betas": (-1.0,)}, {"expert_noise": 0.2}, {"expert_seed": -1}, {"device": "?"}])
def test_a_bad_setting_is_named_before_a_folder_that_is_taken(settings: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError) as refusal:
        run_experiment(changed(SMALL, **settings, output=tmp_path))
    assert "already holds files" not in str(refusal.value)


def test_a_dataset_of_another_game_is_refused(tmp_path: Path) -> None:
    entry = resolve(coordination.ENV_ID, {"num_actions": 3})
    record(entry, make_joint_policy("mixed", entry, {}), episodes=5, seed=0).save(tmp_path / "dataset")
    with pytest.raises(InputError, match="record one in the env to train in"):
        run_experiment(changed(SMALL, dataset=tmp_path / "dataset", output=tmp_path / "run"))


def test_results_are_not_replaced_unless_asked_for(tmp_path: Path) -> None:
    config = changed(SMALL, epochs=2, output=tmp_path / "run")
    first = run_experiment(config)
    before = {path: path.read_bytes() for path in first.folder.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match="already holds files; choose another folder or add --overwrite"):
        run_experiment(changed(config, epochs=3))
    assert {path: path.read_bytes() for path in first.folder.rglob("*") if path.is_file()} == before
    run_experiment(changed(config, epochs=3, overwrite=True))
    assert json.loads((first.folder / "config.json").read_text())["training"]["epochs"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_the_default_folder_is_a_new_one_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folders = [run_experiment(changed(SMALL, epochs=1)).folder for _ in range(3)]
    assert len(set(folders)) == 3
    assert all((tmp_path / folder / "runs.csv").exists() for folder in folders)
    assert {folder.parent for folder in folders} == {Path("results/coordination")}


def fabricated(probs: list[tuple[float, float, float, float]]) -> Results:
    """Runs of (β, seed, P(A) of agent_0, P(A) of agent_1)."""
    beta, seed, first, second = map(np.array, zip(*probs, strict=True))
    expert = np.array([[0.5, 0.0], [0.0, 0.5]])
    joint = product_joint([np.stack([p, 1 - p], axis=-1) for p in (first, second)])
    runs = {"beta": beta, "seed": seed, **exact_columns(joint, expert, matching())}
    return Results(Path(), runs, {"epoch": np.array([1, 10])}, expert, eval_episodes=5000, training_cpu_seconds=1.52)


def test_the_summary_has_the_numbers_of_each_beta() -> None:
    lines = summary(fabricated([(0.0, 1, 1.0, 1.0), (0.0, 2, 0.0, 0.0), (0.0, 3, 1.0, 1.0), (5.0, 1, 0.5, 0.5)]))
    text = "\n".join(lines)
    assert "β=0.0: mean coordination = 1.000, std = 0.000" in text
    assert "agent_0: entropy = 0.000 nats, P(A) = 0.667, variance across seeds 0.3333" in text
    assert "conventions of 3 seeds: AA 2, BB 1, neither 0" in text
    assert "β=5.0: mean coordination = 0.500, std = 0.000" in text
    assert "entropy = 0.693 nats" in text
    assert lines[0] == "Trained 4 runs for 10 epochs in 1.5 CPU-seconds."
    assert lines[1] == "expert: AA 0.500, AB 0.000, BA 0.000, BB 0.500"
    assert lines[-1] == "Independent policies cannot come closer to this expert than a JS distance of 0.558."
    others = summary(replace(fabricated([(0.0, 1, 1.0, 1.0)]), policy="autoregressive"))
    assert others[-1].startswith("For comparison: independent policies cannot")


def test_the_summary_of_one_run_is_in_the_singular() -> None:
    text = "\n".join(summary(replace(fabricated([(0.0, 1, 1.0, 1.0)]), history={"epoch": np.array([1])})))
    assert text.startswith("Trained 1 run for 1 epoch in 1.5 CPU-seconds.")
    assert "conventions of 1 seed: AA 1, BB 0, neither 0" in text


TINY = ["--betas", "0", "0.5", "--seeds", "1", "2", "--epochs", "3", "--eval_episodes", "10", "--no_plots"]


def run_script(program: list[str], arguments: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", *program, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env={**os.environ, "COLUMNS": "80"})


@pytest.mark.slow
def test_runs_as_a_module_and_as_a_script_with_the_same_result(tmp_path: Path) -> None:
    tables = []
    for name, program in (("module", ["-m", "experiments.coordination"]), ("script", ["experiments/coordination.py"])):
        done = run_script(program, [*TINY, "--output", str(tmp_path / name)], CHECKOUT)
        assert done.returncode == 0, done.stderr
        assert "β=0.5: mean coordination = " in done.stdout
        assert done.stdout.endswith("with runs.csv.\n")
        tables.append((tmp_path / name / "runs.csv").read_bytes())
        command = json.loads((tmp_path / name / "config.json").read_text())["command"]
        assert command.startswith("python -m experiments.coordination --betas 0 0.5 ")
    assert tables[0] == tables[1]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--epochs", "0"], ["--epochs", "0"]),
        (["--expert_type", "trimodal"], ["trimodal"]),
        (["--reward_style", "wgan"], ["wgan"]),
        (["--betas", "-1"], ["-1"]),
        (["--seeds", "one"], ["one"]),
        (["--lr_policy", "-0.1"], ["--lr_policy", "-0.1"]),
    ],
)
def test_a_bad_value_is_one_sentence_and_exit_code_2(
    arguments: list[str], parts: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [*TINY, "--output", str(tmp_path / "run"), *arguments]
    with pytest.raises(SystemExit) as stop:
        run_command(CoordinationConfig, coordination.main, prog="experiment", args=given)
    out, err = capsys.readouterr()
    assert stop.value.code == 2
    assert out == ""
    assert err.startswith("experiment: ")
    assert len(err.strip().splitlines()) == 1
    assert all(part in err for part in parts)
    assert not (tmp_path / "run").exists()


def test_a_mistake_ends_the_process_without_a_traceback(tmp_path: Path) -> None:
    arguments = ["--epochs", "0", "--output", str(tmp_path / "run")]
    done = run_script(["experiments/coordination.py"], arguments, CHECKOUT)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("python -m experiments.coordination: --epochs must be at least 1, not 0;")
    assert done.stderr.count("\n") == 1


def test_every_expert_of_the_seed_is_one_of_the_env() -> None:
    assert {"mixed", "bimodal", "asymmetric", "noisy", "all_AA"} <= set(matching_v0.EXPERTS)


def test_a_figure_that_fails_takes_nothing_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("no font")

    monkeypatch.setattr("experiments.matching.coordination.coordination_figure", broken)
    status = coordination.main(changed(SMALL, no_plots=False, output=tmp_path / "run"))
    out, err = capsys.readouterr()
    assert (status, err.count("\n"), out.endswith("run, with runs.csv.\n")) == (1, 1, True)
    assert "figure.png failed (ValueError: no font)" in err
    assert len(read_table(tmp_path / "run" / "runs.csv")["seed"]) == len(SMALL.betas) * len(SMALL.seeds)
    assert not list((tmp_path / "run").glob("*.png"))


def test_a_reward_of_ones_own_trains_and_is_drawn(tmp_path: Path) -> None:
    config = changed(SMALL, epochs=5, no_plots=False, reward_style=f"{__name__}:half_logit", output=tmp_path / "run")
    assert (run_experiment(config).folder / "figure.png").exists()


def half_logit(logit: torch.Tensor) -> torch.Tensor:
    """A reward that the trainer does not know."""
    return logit / 2


def test_runs_that_diverge_are_named_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = changed(SMALL, epochs=5, reward_style=f"{__name__}:nan_at_once", no_plots=False, output=tmp_path / "run")
    assert coordination.main(config) == 3
    out, err = capsys.readouterr()
    runs = len(SMALL.betas) * len(SMALL.seeds)
    assert f"{runs} of {runs} runs diverged" in err
    assert out.endswith("run, with runs.csv.\n")
    assert len(read_table(tmp_path / "run" / "runs.csv")["seed"]) == runs


def nan_at_once(logit: torch.Tensor) -> torch.Tensor:
    """A reward that spoils every run."""
    return logit * torch.nan
