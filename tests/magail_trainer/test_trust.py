"""What a folder may have imported: nothing that its reader did not choose."""

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import magail_trainer as mt
from magail_trainer import trust
from magail_trainer.data.run_folder import read_config, write_config
from magail_trainer.data.trajectories import Trajectories, read_manifest
from magail_trainer.envs.processes import ProcessVectorEnv
from magail_trainer.envs.registry import resolve
from magail_trainer.envs.vector_env import ParallelEnvCopies
from magail_trainer.errors import InputError
from tests.magail_trainer.commands import MATCHING, magail, refused

EVIL = """
from pathlib import Path

from coordination_env import matching_v0
from torch import nn

Path("imported").touch()


def parallel_env(*args, **kwargs):
    Path("called").touch()
    return matching_v0.parallel_env()


def network(inputs, outputs):
    Path("called").touch()
    return nn.Linear(inputs, outputs)
"""
STOPPING = """

calls = []


def reward(logit):
    calls.append(logit)
    if len(calls) == 5:
        raise KeyboardInterrupt
    return logit
"""
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with a module that leaves a file when it is imported, and another when it is called."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    (tmp_path / "evil.py").write_text(EVIL)
    yield tmp_path
    sys.modules.pop("evil", None)


@contextmanager
def as_a_stranger(state: Path) -> Iterator[None]:
    """What is made in here is not noted as this user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(state))
        yield


def strange_run(made: Path, folder: Path, **changes: Any) -> Path:
    """The run of `made` with changes in its `config.json`, as a stranger would make it."""
    shutil.copytree(made / "run", folder)
    with as_a_stranger(folder / "state"):
        write_config(folder, {**read_config(folder), **changes})
    return folder


def strange_dataset(made: Path, folder: Path, env: str, **kwargs: Any) -> Path:
    """The dataset of `made` with another env, as a stranger would make it."""
    recorded = Trajectories.load(made / "data")
    with as_a_stranger(folder.parent / "state"):
        replace(recorded, origin=replace(recorded.origin, env_id=env, env_kwargs=kwargs)).save(folder)
    return folder


ENVS = [
    ("os:system", {"command": "touch called"}, "os:system with {'command': 'touch called'}"),
    ("subprocess:run", {"args": ["touch", "called"]}, "subprocess:run with"),
    ("evil", {}, "evil:parallel_env"),
    ("evil:parallel_env", {}, "evil:parallel_env"),
    ("evil:coordination/matching-v0", {}, "evil:coordination/matching-v0"),
    ("magail_trainer.importing:import_callable", {"name": "evil:f", "what": ""}, "import_callable with"),
    ("magail_trainer.cli.magail:main", {"args": ["check-env", "evil"]}, "magail:main with"),
]  # fmt: skip


@pytest.mark.parametrize(("env", "kwargs", "said"), ENVS, ids=[env for env, *_ in ENVS])
def test_the_env_of_a_strangers_folder_is_neither_imported_nor_called(
    made: Path, here: Path, capsys: Capture, env: str, kwargs: dict[str, Any], said: str
) -> None:
    run = strange_run(made, here / "run", env={"id": env, "kwargs": kwargs})
    assert said in refused(capsys, "evaluate", run, "--episodes", 2)
    with pytest.raises(InputError, match="trust=True"):
        mt.load_runs(run)
    data = strange_dataset(made, here / "data", env, **kwargs)
    symmetries = "tests.magail_trainer.data.test_augmentation:matching_swaps"
    assert said in refused(capsys, "augment", data, "--symmetries", symmetries, "--output", here / "more")
    assert magail("inspect", data) == 0
    assert {path.name for path in here.iterdir()} == {"evil.py", "run", "data", "state"}


@pytest.mark.parametrize("part", ["network", "own_network", "discriminator", "reward_style"])
def test_the_parts_that_a_strangers_folder_names_are_not_imported(
    made: Path, here: Path, capsys: Capture, part: str
) -> None:
    training = {**read_config(made / "run")["training"], part: "evil:network"}
    run = strange_run(made, here / "run", training=training)
    for command in (
        ("evaluate", run),
        ("evaluate", made / "run", "--opponents", run),
        ("record", "--env", MATCHING, "--expert", run, "--episodes", 2, "--output", here / "out"),
    ):
        assert "evil:network" in refused(capsys, *command)
    assert {path.name for path in here.iterdir()} == {"evil.py", "run"}


def test_with_trust_the_code_of_a_folder_runs(made: Path, here: Path) -> None:
    run = strange_run(made, here / "run", dataset={}, env={"id": "evil", "kwargs": {}})
    assert magail("evaluate", run, "--episodes", 2, "--trust") == 0
    assert (here / "called").exists()


def test_a_folder_of_ones_own_is_trusted_as_long_as_it_says_the_same(made: Path, here: Path, capsys: Capture) -> None:
    assert magail("record", "--env", "evil", "--episodes", 4, "--output", "data") == 0
    assert magail("train", "--env", "evil", "--dataset", "data", "--epochs", 1, "--output", "run") == 0
    shutil.copytree("run", "copied")
    for run in ("run", "copied"):
        assert magail("evaluate", run, "--episodes", 2) == 0
    config = read_config("copied")
    with as_a_stranger(here / "state"):
        write_config(Path("copied"), {**config, "env": {"id": "evil", "kwargs": {"command": "x"}}})
    assert "evil:parallel_env with {'command': 'x'}" in refused(capsys, "evaluate", "copied")


def test_a_strangers_dataset_stays_one_when_it_is_saved_anew(made: Path, here: Path) -> None:
    Trajectories.load(strange_dataset(made, here / "data", "evil"))[:2].save("again")
    own = replace(Trajectories.load("again").origin, own=True)
    assert not Trajectories.load("again").origin.own
    assert own == Trajectories.load("again").origin  # no part of what is said


@pytest.mark.parametrize("name", ["pettingzoo", "mpe2", "coordination_env", "vmas"])
def test_a_known_package_is_not_taken_from_the_working_directory(
    made: Path, here: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    (here / f"{name}.py").write_text(EVIL)
    with pytest.raises(InputError):
        mt.load_runs(strange_run(made, here / "run", env={"id": f"{name}:parallel_env", "kwargs": {}}))
    assert not (here / "imported").exists()


@pytest.mark.parametrize(
    "env",
    [
        "coordination_env.experts:bimodal",  # of the project, but no env
        "pettingzoo.utils.wrappers:RecordVideoParallel",  # a class that is an env
        "pettingzoo.utils.env_logger:logging",
        "mpe2.simple_spread_v3:os",
        "pettingzoo.atari.pong_v3",
        "magail_trainer.cli.__main__",
        "experiments.__main__:main",
        "magail_trainer.envs.registry:resolve",
        "vmas:../../evil",
        "vmas:evil.py",
        "mpe2..evil",
        ".evil:parallel_env",
        "mpe2.simple_spread_v3.evil:parallel_env",
        "mpe2\u200b:parallel_env",
        "mpe2:evil:parallel_env",
        "",
        ":",
    ],
)
def test_of_a_known_package_a_folder_gets_envs_alone(made: Path, here: Path, capsys: Capture, env: str) -> None:
    run = strange_run(made, here / "run", env={"id": env, "kwargs": {"name": "evil:parallel_env", "env_id": "evil"}})
    refused(capsys, "evaluate", run)
    assert {path.name for path in here.iterdir()} == {"evil.py", "run"}


def test_the_arguments_that_are_too_many_to_show_are_not_agreed_to(
    made: Path, here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "_agreed", lambda _: True)
    run = strange_run(made, here / "run", dataset={}, env={"id": "evil", "kwargs": {"a": 1}})
    assert magail("evaluate", run, "--episodes", 2) == 0
    run = strange_run(made, here / "other", env={"id": "evil", "kwargs": {"a": "x" * 10_000}})
    assert len(refused(capsys, "evaluate", run)) < 1000


@pytest.mark.parametrize("answer", ["y", "Yes", "", "no"])
def test_at_a_terminal_the_user_is_asked(answer: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = trust.Recorded("run", {"env": answer})
    terminal = io.StringIO(f"{answer}\n" * 2)
    monkeypatch.setattr(sys, "stdin", terminal)
    with pytest.raises(InputError):
        stranger.ask("evil")  # no terminal, no question
    for stream in (terminal, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    trust._agreed.cache_clear()
    with nullcontext() if answer in ("y", "Yes") else pytest.raises(InputError):
        stranger.ask("evil\x1b[2K:f", {"a": "\u202eä"})
    trust._agreed.cache_clear()
    err = capsys.readouterr().err
    assert "evil\\x1b[2K:f with {'a': '\\u202e\\xe4'}" in err
    assert err.endswith("[y/N] ")


def test_notes_are_few_bytes_private_and_of_two_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(trust, "_MAX_NOTES", 65 * 3)
    for number in range(10):
        for _ in range(2):
            trust.note({"number": number})
    notes = tmp_path / "magail"
    assert [trust.is_noted({"number": number}) for number in range(10)] == [False] * 4 + [True] * 6
    assert {file.name for file in notes.iterdir()} == {"made", "made.old"}
    assert all(file.stat().st_size <= 65 * 4 for file in notes.iterdir())
    assert (notes.stat().st_mode & 0o777, (notes / "made").stat().st_mode & 0o777) == (0o700, 0o600)


def test_the_checkpoints_of_a_training_are_one_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    checkpoint = {"env": {"id": "a:b"}, "progress": {"epoch": 1}, "files": {"runs.csv": "0"}, "sha256": "1"}
    for epoch in range(3):
        trust.note(
            {**checkpoint, "progress": {"epoch": epoch}, "files": {"runs.csv": str(epoch)}, "sha256": str(epoch)}
        )
    assert (tmp_path / "magail" / "made").stat().st_size == 65
    assert trust.is_noted(checkpoint)
    assert not trust.is_noted({**checkpoint, "env": {"id": "os:system"}})
    assert not trust.is_noted({name: value for name, value in checkpoint.items() if name != "progress"})


@pytest.mark.parametrize("state", ["relative", "/dev/null/state"])
def test_without_a_place_for_notes_nothing_is_noted_and_nothing_fails(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", state)
    monkeypatch.setenv("HOME", "/dev/null")
    trust.note({"number": 1})
    assert not trust.is_noted({"number": 1})
    assert not list(tmp_path.iterdir())  # a stranger's working directory says nothing about what is one's own


def test_files_that_lie_about_are_not_imported_in_place_of_what_is_installed(made: Path, here: Path) -> None:
    installed = ("torch", "scipy", "opt_einsum", "pygame", "mpe2", "vmas", "coordination_env", "json", "pickle")
    for name in installed:
        (here / f"{name}.py").write_text(f"open('imported', 'w'); raise SystemExit('{name}')")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "magail_trainer.cli", "evaluate", made / "run", "--episodes", "2"],
        env={**os.environ, "PYTHONPATH": str(Path(mt.__file__).parents[1])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not (here / "imported").exists()


def test_workers_look_for_nothing_of_their_own_in_the_working_directory(here: Path) -> None:
    for name in ("pickle", "signal"):  # of the worker, and of the resource tracker
        (here / f"{name}.py").write_text("open('imported', 'w')")
    with closing(ProcessVectorEnv(partial(ParallelEnvCopies, resolve(MATCHING).make), 1, 1)) as copies:
        copies.reset()
    assert not (here / "imported").exists()


def test_who_played_a_strangers_dataset_is_not_asked_to_play_again(made: Path, here: Path) -> None:
    policy = {"name": "evil:parallel_env", "parameters": {}}
    recorded = Trajectories.load(made / "data")
    with as_a_stranger(here / "state"):
        replace(recorded, origin=replace(recorded.origin, policy=policy)).save(here / "data")
    described = {"path": str(here / "data"), "policy": policy, "sha256": read_manifest(here / "data")["sha256"]}
    run = strange_run(made, here / "run", dataset=described)
    assert magail("evaluate", run, "--episodes", 2) == 0
    assert magail("evaluate", made / "run", "--dataset", here / "data", "--episodes", 2) == 0
    assert magail("train", "--env", MATCHING, "--dataset", "data", "--epochs", 1, "--output", "mine") == 0
    assert magail("evaluate", "mine", "--episodes", 2) == 0
    assert not (here / "imported").exists()


def test_training_imports_nothing_that_a_dataset_names(made: Path, here: Path, capsys: Capture) -> None:
    data = strange_dataset(made, here / "data", "evil")
    assert "was recorded in evil" in refused(capsys, "train", "--env", MATCHING, "--dataset", data, "--output", "run")
    assert not (here / "imported").exists()


def test_a_folder_says_nothing_to_the_terminal(made: Path, here: Path, capsys: Capture) -> None:
    data = strange_dataset(made, here / "data", "\x1b[2Jevil\u202e")
    for command in (("inspect", data), ("train", "--env", MATCHING, "--dataset", data, "--output", "run")):
        assert refused(capsys, *command).rstrip("\n").isprintable()


def test_code_that_the_reader_names_himself_needs_no_trust(made: Path, here: Path) -> None:
    run = strange_run(made, here / "run", env={"id": "evil", "kwargs": {}})
    played = ("--expert", run, "--episodes", 2, "--output", "data")
    assert magail("record", "--env", "evil", *played) == 0


def test_a_strangers_training_is_not_resumed_with_his_code(made: Path, here: Path, capsys: Capture) -> None:
    (here / "evil.py").write_text(EVIL + STOPPING)
    train = ("train", "--env", MATCHING, "--dataset", made / "data", "--epochs", 8, "--checkpoint-every", 1)
    with as_a_stranger(here / "state"):
        assert magail(*train, "--reward-style", "evil:reward", "--output", "run") == 130
    del sys.modules["evil"]
    (here / "imported").unlink()
    assert "evil:reward" in refused(capsys, "train", "--resume", "run")
    assert not (here / "imported").exists()
    assert magail("train", "--resume", "run", "--trust") == 130
    assert (here / "imported").exists()
