"""What a folder may have imported: nothing that its reader did not choose."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import magail_trainer as mt
from magail_trainer.data.run_folder import read_config, write_config
from magail_trainer.data.trajectories import Trajectories
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
