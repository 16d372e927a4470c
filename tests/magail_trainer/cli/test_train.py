"""`magail train`, `clone` and `evaluate` on an env with a perceptron: what they write, say and refuse."""

import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from magail_trainer.data.run_folder import read_config, read_table
from magail_trainer.data.trajectories import Trajectories
from magail_trainer.envs.processes import ProcessVectorEnv
from magail_trainer.files import read_arrays
from magail_trainer.learn.config import DEFAULT_BETA, MagailConfig
from tests.magail_trainer import reach_env
from tests.magail_trainer.commands import magail, refused

MATCHING = "coordination_env:coordination/matching-v0"
REACH = ("--env", "reach_game:ReachEnv")
TINY = ("--hidden", 8, "--epochs", 2, "--rollout-episodes", 4, "--batch-size", 4, "--seeds", 0, 3)
WARM = ("--warm-start", 5)
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a dataset `data`, and run folders `run`, `clone` and `rl`."""
    folder = tmp_path_factory.mktemp("reach")
    shutil.copy(reach_env.__file__, folder / "reach_game.py")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        data = ("--dataset", folder / "data")
        expert = ("--expert", "reach_game:Reachers", "--episodes", 8)
        assert magail("record", *REACH, *expert, "--output", folder / "data") == 0
        assert magail("train", *REACH, *data, *TINY, *WARM, "--output", folder / "run") == 0
        seeds = ("--seeds", 0, 3, "--hidden", 8)
        assert magail("clone", *REACH, *data, *seeds, "--updates", 25, "--output", folder / "clone") == 0
        assert magail("train", *REACH, *TINY, "--algorithm", "rl", "--output", folder / "rl") == 0
        yield folder
    sys.modules.pop("reach_game", None)


def settings(run: Path) -> dict:
    return read_config(run)["training"]


# Defaults


def test_the_network_is_that_of_the_env_and_the_defaults_are_its_own(made: Path) -> None:
    training = settings(made / "run")
    given = {"hidden": [8], "epochs": 2, "rollout_episodes": 4, "batch_size": 4}
    given |= {"warm_start": 64, "warm_critic": 1}  # what ran: 32 passes over 8 episodes; half of the epochs
    expected = {name: getattr(MagailConfig(network="mlp"), name) for name in training} | given
    assert training == expected
    assert read_table(made / "run" / "runs.csv")["beta"].tolist() == [DEFAULT_BETA["mlp"]] * 2


def test_a_given_flag_wins_even_if_it_is_the_default_of_another_network(made: Path, tmp_path: Path) -> None:
    tabular = MagailConfig(network="tabular")
    flags = ("--lr-disc", tabular.lr_disc, "--critic", tabular.critic, "--no-normalize-rewards", "--betas", 0)
    pairs = ("--normalize-advantages", "--gae-lambda", 1, "--network", "auto")
    magail("train", *REACH, "--dataset", made / "data", *TINY, *WARM, *flags, *pairs, "--output", tmp_path / "run")
    training = settings(tmp_path / "run")
    assert training["network"] == "mlp"
    assert (training["lr_disc"], training["critic"], training["gae_lambda"]) == (tabular.lr_disc, "none", 1)
    assert (training["normalize_rewards"], training["normalize_advantages"]) == (False, True)
    assert training["reward_style"] == MagailConfig(network="mlp").reward_style != tabular.reward_style
    assert read_table(tmp_path / "run" / "runs.csv")["beta"].tolist() == [0, 0]


def test_an_env_of_few_values_gets_tables_and_may_have_perceptrons(tmp_path: Path) -> None:
    magail("record", "--env", MATCHING, "--episodes", 4, "--output", tmp_path / "data")
    common = ("train", "--env", MATCHING, "--dataset", tmp_path / "data", "--epochs", 1, "--seeds", 0)
    assert magail(*common, "--output", tmp_path / "tables") == 0
    assert MagailConfig.read(settings(tmp_path / "tables")) == replace(MagailConfig(network="tabular"), epochs=1)
    assert magail(*common, *WARM, "--network", "mlp", "--output", tmp_path / "mlp") == 0
    assert settings(tmp_path / "mlp")["lr_disc"] == MagailConfig(network="mlp").lr_disc
    clone = ("clone", *common[1:5], "--seeds", 0, "--output", tmp_path / "clone", "--updates", 3)
    assert magail(*clone) == 0
    assert settings(tmp_path / "clone")["network"] == "tabular"
    assert settings(tmp_path / "clone")["lr_cloning"] == MagailConfig(network="tabular").lr_cloning
    assert magail("evaluate", tmp_path / "clone", "--episodes", 5) == 0


def test_flags_are_read_over_the_defaults_of_the_network(made: Path, tmp_path: Path) -> None:
    more = ("--network", "mlp", "--policy_epochs", 5, "--output", tmp_path / "run")
    assert magail("train", *REACH, "--dataset", made / "data", *TINY, *WARM, *more) == 0
    assert (settings(tmp_path / "run")["policy_epochs"], settings(tmp_path / "run")["clip"]) == (5, 0.2)


@pytest.mark.parametrize("command", ["train", "clone"])
def test_help_is_complete(command: str, capsys: Capture) -> None:
    assert magail(command, "--help") == 0
    out = capsys.readouterr().out
    assert "Adam's learning rate for cloning. (tables: 0.01; perceptrons: 0.003)" in " ".join(
        out.replace("│", " ").split()
    )
    flags = ("--env", "--network", "--hidden", "--seeds", "--overwrite")
    for flag in (*flags, *(("--gae-lambda", "--algorithm", "--processes") if command == "train" else ("--updates",))):
        assert re.search(rf"^\W+{flag}\b", out, re.MULTILINE), flag


# Run folders


def test_overwrite_replaces_a_run_folder_of_either_kind(made: Path, tmp_path: Path) -> None:
    data = ("--dataset", made / "data", "--seeds", 1, "--output", tmp_path / "run", "--hidden", 4)
    assert magail("clone", *REACH, *data, "--updates", 2) == 0
    assert magail("train", *REACH, *data, "--epochs", 1, "--rollout-episodes", 2, "--warm-start", 0, "--overwrite") == 0
    assert magail("clone", *REACH, *data, "--updates", 2, "--overwrite") == 0
    assert read_config(tmp_path / "run")["algorithm"] == "cloning"


def test_clone_writes_a_run_folder_whose_loss_falls(made: Path) -> None:
    config, table = read_config(made / "clone"), read_table(made / "clone" / "runs.csv")
    assert (config["algorithm"], config["updates"]) == ("cloning", 25)
    assert config["dataset"]["path"] == str(made / "data")
    assert (table["beta"].tolist(), table["seed"].tolist()) == ([0, 0], [0, 3])
    history = read_arrays(made / "clone" / "history.npz")
    assert history["epoch"].tolist() == [1, 10, 20, 25]
    np.testing.assert_array_equal(history["cloning_loss"][-1], table["cloning_loss"].astype(np.float32))
    assert (history["cloning_loss"][-1] < history["cloning_loss"][0]).all()
    assert [file.name for file in (made / "clone" / "checkpoint").iterdir()] == ["policies.npz"]


def test_the_same_cloning_gives_the_same_files(made: Path, tmp_path: Path) -> None:
    command = ("clone", *REACH, "--dataset", made / "data", "--seeds", 0, 3, "--hidden", 8, "--updates", 25)
    magail(*command, "--output", tmp_path / "again")
    for name in ("runs.csv", "history.npz", "checkpoint/policies.npz"):
        assert (tmp_path / "again" / name).read_bytes() == (made / "clone" / name).read_bytes(), name


def test_learning_from_the_envs_rewards_needs_no_dataset(made: Path) -> None:
    config, table = read_config(made / "rl"), read_table(made / "rl" / "runs.csv")
    assert (config["algorithm"], config["dataset"]) == ("rl", {})
    assert {"beta", "seed", "policy_loss", "return_left", "return_right"} <= set(table)
    assert {file.stem for file in (made / "rl" / "checkpoint").iterdir()} == {"policies", "critic"}


def test_an_expert_that_was_trained_can_be_recorded(made: Path, tmp_path: Path, capsys: Capture) -> None:
    command = ("record", *REACH, "--expert", made / "rl", "--episodes", 6)
    for name, arguments in (("a", ()), ("b", ()), ("c", ("--expert-args", "run=1", "greedy=true"))):
        assert magail(*command, *arguments, "--output", tmp_path / name) == 0
    first, again, other = (Trajectories.load(tmp_path / name) for name in "abc")
    assert (tmp_path / "a" / "shard-00000.npz").read_bytes() == (tmp_path / "b" / "shard-00000.npz").read_bytes()
    assert first.origin == again.origin
    assert first.origin.policy["parameters"]["seed"] == 0
    assert (other.origin.policy["parameters"]["seed"], other.origin.policy["parameters"]["greedy"]) == (3, True)
    out = tmp_path / "run"
    assert magail("train", *REACH, *TINY, *WARM, "--dataset", tmp_path / "a", "--output", out) == 0
    capsys.readouterr()


# Evaluation


@pytest.mark.parametrize("name", ["run", "clone"])
def test_evaluate_scores_runs_by_the_dataset_of_their_training(
    name: str, made: Path, tmp_path: Path, capsys: Capture
) -> None:
    def play(seed: int, file: str) -> bytes:
        args = ("--episodes", 40, "--seed", seed, "--output", tmp_path / file)
        assert magail("evaluate", made / name, *args) == 0
        return (tmp_path / file).read_bytes()

    assert play(0, "a.csv") == play(0, "b.csv") != play(1, "c.csv")
    out, err = capsys.readouterr()
    assert err == ""
    assert "Score:" in out
    assert "Scores: 0 is the random joint policy (left -" in out
    assert "Over seeds, the interquartile mean and its 95 % interval:" in out
    table = read_table(tmp_path / "a.csv")
    returns = [table[f"{greedy}return_{agent}"] for greedy in ("", "greedy_") for agent in ("left", "right", "team")]
    np.testing.assert_allclose(returns[0] + returns[1], returns[2])
    np.testing.assert_allclose(returns[3] + returns[4], returns[5])
    expert = Trajectories.load(made / "data").returns["left"].mean()
    # Score and return are on one line, through (expert, 1).
    slope = (1 - table["score_left"]) / (expert - table["return_left"])
    np.testing.assert_allclose(slope, slope[0])
    assert not [column for column in table if column.startswith("P(")]


def test_evaluate_says_why_there_are_no_scores_and_takes_another_dataset(made: Path, capsys: Capture) -> None:
    assert magail("evaluate", made / "rl", "--episodes", 5) == 0
    out = capsys.readouterr().out
    assert "No scores: the run was not trained on a dataset (--dataset names one whose expert is a score of 1)." in out
    assert "Score:" not in out
    assert magail("evaluate", made / "rl", "--episodes", 5, "--dataset", made / "data") == 0
    assert "Score:" in capsys.readouterr().out


def test_overwrite_replaces_the_table(made: Path, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("old")
    command = ("evaluate", made / "rl", "--episodes", 2, "--output", tmp_path / "table.csv")
    assert magail(*command, "--overwrite") == 0
    assert read_table(tmp_path / "table.csv")["seed"].tolist() == [0, 3]


@pytest.mark.parametrize("against", [(), ("--opponents", "reach_game:Reachers", "--side", "left")], ids=str)
def test_processes_change_nothing_but_who_steps(
    against: tuple[str, ...], made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_with = []

    def spread(make: Callable, num_envs: int, processes: int, **how: Any) -> ProcessVectorEnv:
        made_with.append(processes)
        return ProcessVectorEnv(make, num_envs, processes, **how)

    monkeypatch.setattr("magail_trainer.envs.registry.ProcessVectorEnv", spread)
    for processes in (1, 2):
        args = ("--episodes", 3, "--processes", processes, "--output", tmp_path / f"{processes}.csv")
        assert magail("evaluate", made / "run", *against, *args) == 0
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "2.csv").read_bytes()
    # Random; two ways of acting, of both runs at once. Against others: random, expert; two ways of each of two runs.
    assert made_with == [2] * (6 if against else 3)


def test_cross_play_pays_each_agent_what_its_player_earns(made: Path, tmp_path: Path, capsys: Capture) -> None:
    opponents = ("--opponents", "reach_game:Reachers", "--episodes", 10, "--output", tmp_path / "table.csv")
    assert magail("evaluate", made / "run", *opponents) == 0
    out, table = capsys.readouterr().out, read_table(tmp_path / "table.csv")
    assert table["side"].tolist() == ["left", "left", "right", "right"]
    # The rewards of one agent do not depend on the other.
    expert = {"left": table["return_left"][2], "right": table["return_right"][0]}
    among = f"left {expert['left']:.4f}, right {expert['right']:.4f}"
    assert f"; 1 is reach_game:Reachers against reach_game:Reachers ({among})." in out
    assert (table["return_left"][:2] < expert["left"]).all()
    assert (table["return_right"][2:] < expert["right"]).all()
    run = ("--opponents", made / "rl", "--opponent-args", "greedy=true", "--side", "right", "--episodes", 5)
    assert magail("evaluate", made / "run", *run) == 0
    assert "right  0.003" in capsys.readouterr().out


# Mistakes


CLONE_MISTAKES: list[tuple[list[object], str]] = [
    (["--updates", 0], "--updates must be at least 1, not 0"),
    (["--log-every", 0], "--log_every must be at least 1, not 0"),
    (["--lr-cloning", 0], "--lr_cloning must be a positive number, not 0.0"),
    (["--hidden", 0], "--hidden must be widths of at least 1"),
    (["--share-parameters", "up"], "--share_parameters names 'up'"),
    (["--share-parameters", "all"], "left and right cannot share parameters"),
    (["--network", "tabular"], "a table needs a finite one"),
    (["--env", "nowhere"], "'nowhere' names no environment"),
    (["--env-args", "steps=3"], "The dataset was recorded in reach_game:ReachEnv, not in"),
    (["--seeds", -1], "A seed must be at least 0, not -1"),
    (["--dataset", "nowhere"], "'nowhere' is no dataset"),
    (["--betas", 1], "Unrecognized"),
]


@pytest.mark.parametrize(("mistake", "reason"), CLONE_MISTAKES, ids=str)
def test_clone_refuses(mistake: list[object], reason: str, made: Path, tmp_path: Path, capsys: Capture) -> None:
    command = ("clone", *REACH, "--dataset", made / "data", "--output", tmp_path / "run", "--updates", 2)
    assert reason in refused(capsys, *command, *mistake)
    assert list(tmp_path.iterdir()) == []


EVALUATE_MISTAKES: list[tuple[list[object], str]] = [
    (["--side", "left"], "--side left needs --opponents"),
    (["--opponent-args", "run=1"], "--opponent_args run=1 needs --opponents"),
    (["--opponents", "random", "--dataset", "data"], "--dataset names whose score is 1, and so does --opponents"),
    (["--opponents", "random", "--side", "up"], "--side names 'up'; expected some of left, right"),
    (["--opponents", "random", "--side", "left", "right"], "leaves none for the opponents"),
    (["--opponents", "nobody"], "has no expert 'nobody'"),
    (["--opponents", "random", "--episodes", 0], "episodes must be at least 1, not 0"),
    (["--dataset", "nowhere"], "'nowhere' is no dataset"),
    (["--processes", 0], "The number of processes must be at least 1, not 0"),
    (["--opponents", "random", "--processes", 0], "The number of processes must be at least 1, not 0"),
    (["--output", "{made}/run"], "is a folder; expected the name of a CSV file"),
    (["--output", "{made}/reach_game.py/table.csv"], "cannot read or write"),
    (["--output", "{made}/reach_game.py"], "already exists; choose another file or add --overwrite"),
]


@pytest.mark.parametrize(("mistake", "reason"), EVALUATE_MISTAKES, ids=str)
def test_evaluate_refuses(mistake: list[object], reason: str, made: Path, capsys: Capture) -> None:
    args = [str(argument).format(made=made) for argument in mistake]
    assert reason in refused(capsys, "evaluate", made / "rl", "--episodes", 2, *args)


# check-env


def test_check_env_says_what_an_env_is_like_and_exits_with_the_verdict(made: Path, capsys: Capture) -> None:
    assert magail("check-env", REACH[1], "--env-args", "steps=2") == 0
    out = capsys.readouterr().out
    assert "reach_game:ReachEnv: 2 agents, left, right\n" in out
    assert "each 2 steps long" in out
    assert out.endswith("can be trained: yes\n")


@pytest.mark.parametrize(
    ("env", "reason"),
    [
        ("tests.magail_trainer.unfit_envs:images", "can be trained: no (see above)"),
        ("tests.magail_trainer.unfit_envs:many_actions", "can be trained: no (see above)"),
        ("tests.magail_trainer.unfit_envs:turn_based", "is turn-based"),
        ("tests.magail_trainer.toy_envs:StillListedEnv", "StillListedEnv leaves"),
    ],
)
def test_check_env_exits_with_1_where_an_env_cannot_be_trained(env: str, reason: str, capsys: Capture) -> None:
    assert magail("check-env", env) == 1
    out, err = capsys.readouterr()
    assert reason in out.splitlines()[-1]
    assert err == ""


def test_check_env_refuses_what_is_no_env_and_arguments_that_it_does_not_take(made: Path, capsys: Capture) -> None:
    assert "names no environment" in refused(capsys, "check-env", "nowhere")
    assert "cannot be made with {'stepz': 2}" in refused(capsys, "check-env", REACH[1], "--env-args", "stepz=2")
