"""The command `magail`, as its user meets it."""

import json
import os
import re
import select
import signal
import subprocess
import sys
import termios
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from magail_trainer.data.run_folder import read_config, read_table
from magail_trainer.data.trajectories import Trajectories
from magail_trainer.files import read_arrays
from tests.magail_trainer.commands import MATCHING, contents, magail

TOY = "tests.magail_trainer.toy_envs"
Capture = pytest.CaptureFixture[str]


def test_the_same_recording_gives_the_same_bytes_and_another_seed_others(made: Path, tmp_path: Path) -> None:
    command = ("record", "--env", MATCHING, "--expert", "bimodal", "--episodes", 40)
    magail(*command, "--output", tmp_path / "again")
    magail(*command, "--output", tmp_path / "other", "--seed", 1)
    assert contents(tmp_path / "again") == contents(made / "data")
    assert contents(tmp_path / "other") != contents(made / "data")


def test_record_says_what_it_saved(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    args = ("--env-args", "horizon=3", "num_actions=3", "--expert", "asymmetric", "--expert-args", "ratio=1.0")
    assert magail("record", "--env", MATCHING, *args, "--episodes", 7, "--output", "data") == 0
    out, err = capsys.readouterr()
    assert out == f"Recorded 7 episodes of {MATCHING} in data.\nMean return: agent_0 3.000, agent_1 3.000.\n"
    assert err == ""
    origin = Trajectories.load("data").origin
    assert origin.env_kwargs == {"horizon": 3, "num_actions": 3}
    assert origin.policy["name"] == "asymmetric"
    assert origin.policy["parameters"]["ratio"] == 1.0


def test_of_one_thing_the_commands_speak_in_the_singular(tmp_path: Path, capsys: Capture) -> None:
    data = ("--dataset", tmp_path / "data", "--env", MATCHING)
    assert magail("record", "--env", MATCHING, "--episodes", 1, "--output", tmp_path / "data") == 0
    assert magail("train", *data, "--seeds", 0, "--epochs", 1, "--output", tmp_path / "run") == 0
    assert magail("clone", *data, "--seeds", 0, "--updates", 1, "--output", tmp_path / "clone") == 0
    assert magail("evaluate", tmp_path / "run", "--episodes", 1) == 0
    out = capsys.readouterr().out
    for said in ("Recorded 1 episode of", "Trained 1 run (tabular) for 1 epoch in", "Mean return of 1 episode:"):
        assert said in out
    assert "Cloned 1 run (tabular) for 1 update in" in out


def test_inspect_says_what_a_dataset_is(made: Path, capsys: Capture) -> None:
    assert magail("inspect", made / "data") == 0
    out, err = capsys.readouterr()
    manifest = json.loads((made / "data" / "manifest.json").read_text())
    facts = (
        f"env {MATCHING}\n",
        "policy bimodal {'ratio': 0.5",
        "seed 0\n",
        "episodes 40, of 1 step each\n",
        "agent_1 observes {'type': 'Discrete', 'n': 1",
        "return: mean 1.0000, std 0.0000",
        "(0, 0): 0.5000",
        "(1, 1): 0.5000",
        f"sha256 {manifest['shards'][0]['sha256']} ok",
    )
    for fact in facts:
        assert fact in re.sub(" +", " ", out), fact
    assert err == ""


def test_inspect_leaves_out_the_actions_where_they_are_many(tmp_path: Path, capsys: Capture) -> None:
    magail("record", "--env", f"{TOY}:RandomLengthEnv", "--episodes", 40, "--output", tmp_path / "data")
    capsys.readouterr()
    assert magail("inspect", tmp_path / "data") == 0
    out = capsys.readouterr().out
    assert "of 1 to 5 steps" in out
    assert "actions" not in out


def test_inspect_counts_no_actions_of_agents_that_have_left(tmp_path: Path, capsys: Capture) -> None:
    magail("record", "--env", f"{TOY}:DyingEnv", "--episodes", 40, "--output", tmp_path / "data")
    recorded = Trajectories.load(tmp_path / "data")
    first = {agent: actions.reshape(40, 4)[:, :2] for agent, actions in recorded.actions.items()}
    ones = np.mean(np.logical_and.reduce([actions == 1 for actions in first.values()]))
    capsys.readouterr()
    assert magail("inspect", tmp_path / "data") == 0
    out = re.sub(" +", " ", capsys.readouterr().out)
    assert (
        "actions of (agent_0, agent_1, agent_2), in the 80 steps before anybody left\n" in out
    )  # agent_0, after 2 of 4
    assert f"(1, 1, 1): {ones:.4f}\n" in out


def test_a_run_folder_holds_the_settings_a_row_for_each_run_and_the_history(made: Path) -> None:
    config, table = read_config(made / "run"), read_table(made / "run" / "runs.csv")
    assert config["env"] == {"id": MATCHING, "kwargs": {}}
    assert config["dataset"]["episodes"] == 40
    assert config["training"]["epochs"] == 12
    assert (table["beta"].tolist(), table["seed"].tolist()) == ([0, 0, 0.5, 0.5], [3, 1, 3, 1])
    history = read_arrays(made / "run" / "history.npz")
    assert history.pop("epoch").tolist() == [1, 5, 10, 12]
    assert {array.shape for array in history.values()} == {(4, 4)}
    np.testing.assert_array_equal(table["entropy_agent_0"].astype(np.float32), history["entropy/agent_0"][-1])


def test_the_same_training_gives_the_same_table_and_parameters(made: Path, tmp_path: Path) -> None:
    settings = ("--betas", 0, 0.5, "--seeds", 3, 1, "--epochs", 12, "--log-every", 5)
    magail("train", "--env", MATCHING, *settings, "--dataset", made / "data", "--output", tmp_path / "run")
    for name in ("runs.csv", "history.npz", "checkpoint/policies.npz", "checkpoint/discriminator.npz"):
        assert (tmp_path / "run" / name).read_bytes() == (made / "run" / name).read_bytes(), name


def test_evaluate_counts_what_the_policies_play(made: Path, tmp_path: Path) -> None:
    before = contents(made)
    assert magail("evaluate", made / "run", "--episodes", 450, "--output", tmp_path / "table.csv") == 0
    table = read_table(tmp_path / "table.csv")
    assert table["beta"].tolist() == [0, 0, 0.5, 0.5]
    # Matching pays when both play the same.
    np.testing.assert_allclose(table["return_agent_0"], table["P(0, 0)"] + table["P(1, 1)"], atol=1e-6)
    np.testing.assert_array_equal(table["return_agent_0"], table["return_agent_1"])
    logits = read_arrays(made / "run" / "checkpoint" / "policies.npz")
    probs = [np.exp(array[:, 0]) / np.exp(array[:, 0]).sum(-1, keepdims=True) for array in logits.values()]
    exact = np.einsum("ri,rj->rij", *probs).reshape(4, 4)
    shares = np.stack([table[f"P{cell}"] for cell in np.ndindex(2, 2)], axis=1)
    np.testing.assert_allclose(shares, exact, atol=4 * np.sqrt(0.25 / 450))
    assert contents(made) == before


def test_evaluate_is_decided_by_its_seed(made: Path, capsys: Capture) -> None:
    def play(seed: int) -> str:
        magail("evaluate", made / "run", "--episodes", 50, "--seed", seed)
        return capsys.readouterr().out

    assert play(0) == play(0) != play(1)


def test_record_and_inspect_do_without_torch(tmp_path: Path) -> None:
    program = f"""
import sys
from magail_trainer.cli import main
for args in (["record", "--env", {MATCHING!r}, "--episodes", "5", "--output", "data"], ["inspect", "data"]):
    try:
        main(args)
    except SystemExit as stop:
        assert stop.code == 0
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_overwrite_replaces_a_dataset_and_nothing_else(tmp_path: Path, capsys: Capture) -> None:
    command = ("record", "--env", MATCHING, "--output", tmp_path / "data", "--overwrite", "--episodes")
    assert magail(*command, 5) == magail(*command, 6) == 0
    assert len(Trajectories.load(tmp_path / "data")) == 6
    (tmp_path / "data" / "manifest.json").unlink()
    before = contents(tmp_path)
    assert magail(*command, 7) == 2
    assert "so it is not replaced" in capsys.readouterr().err
    assert contents(tmp_path) == before


def read_until(terminal: int, text: bytes, *, seconds: float) -> bytes:
    """What a terminal shows, until `text` is among it, the time is up or the program has ended."""
    shown, deadline = b"", time.monotonic() + seconds
    while text not in shown and select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0]:
        try:
            shown += os.read(terminal, 10_000)
        except OSError:  # Linux's way to say that the other end is closed
            break
    return shown


def test_ctrl_c_in_mid_training_ends_the_progress_bar_and_leaves_a_checkpoint(made: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "magail_trainer.cli", "train", "--env", MATCHING]
    command += ["--dataset", str(made / "data"), "--output", str(tmp_path / "run"), "--epochs", "100000000"]
    terminal, its_end = os.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    heed_ctrl_c = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # background jobs may ignore it
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=its_end, preexec_fn=heed_ctrl_c) as process:
        os.close(its_end)
        try:
            shown = read_until(terminal, b"training:", seconds=30)
            shown += read_until(terminal, b"training:", seconds=10)  # tqdm has noticed that its bar is to be seen
            assert list(tmp_path.glob(".run.magail-partial"))
            process.send_signal(signal.SIGINT)
            shown += read_until(terminal, b"nothing like this", seconds=10)
            process.wait(timeout=5)
        finally:
            process.kill()
            os.close(terminal)
        assert process.stdout is not None
        assert process.stdout.read() == b""
    assert process.returncode == 130
    *bars, stopped, _, sentence, rest = shown.decode().split("\r\n")
    assert "training:" in "".join(bars) + stopped
    assert f"Go on with magail train --resume {tmp_path / 'run'}." in stopped
    assert (sentence, rest) == ("magail: interrupted.", "")
    assert [path.name for path in tmp_path.iterdir()] == [".run.magail-partial"]


def test_a_module_in_the_working_directory_is_found_by_the_installed_command(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("from coordination_env.matching_v0 import parallel_env as my_env\n")
    magail_script = Path(sys.executable).with_name("magail")
    command = [magail_script, "record", "--env", "mine:my_env", "--episodes", "3", "--output", "data"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_letters_that_the_output_lacks_end_no_command(made: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "magail_trainer.cli", "record", "--env", "π", "--output", str(made / "pi")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("magail: '?' names no environment")
