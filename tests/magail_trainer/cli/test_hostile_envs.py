"""Every command says the same of an env that does what it should not: one sentence, with the agent, step and value."""

from pathlib import Path
from typing import Any

import pytest

from magail_trainer.envs.vector_env import ParallelEnvCopies
from magail_trainer.errors import EnvError
from tests.magail_trainer import hostile_envs
from tests.magail_trainer.commands import contents, magail, refused
from tests.magail_trainer.hostile_envs import FINE, OPEN, REFUSED, Base

Capture = pytest.CaptureFixture[str]
ENVS = "tests.magail_trainer.hostile_envs"
TRAIN = ("--algorithm", "rl", "--epochs", 1, "--rollout_episodes", 2, "--seeds", 0, "--network", "mlp", "--hidden", 4)


@pytest.fixture(autouse=True)
def all_are_closed() -> None:
    OPEN.clear()


def verdict(env: str, capsys: Capture) -> str:
    """What check-env says last."""
    status = magail("check-env", f"{ENVS}:{env}")
    out, err = capsys.readouterr()
    assert err == ""
    assert OPEN == []
    assert status == ("can be trained: yes" not in out)
    return out


@pytest.mark.parametrize("env", REFUSED)
def test_check_env_and_record_refuse(env: str, tmp_path: Path, capsys: Capture) -> None:
    out = verdict(env, capsys)
    assert "can be trained: no (" in out.splitlines()[-1]
    assert REFUSED[env].rstrip(".") in out
    said = refused(capsys, "record", "--env", f"{ENVS}:{env}", "--episodes", 2, "--output", tmp_path / "data")
    assert REFUSED[env] in said
    assert contents(tmp_path) == {}
    assert OPEN == []


@pytest.mark.parametrize("env", FINE)
def test_check_env_and_record_accept(env: str, tmp_path: Path, capsys: Capture) -> None:
    assert verdict(env, capsys).endswith("can be trained: yes\n")
    assert magail("record", "--env", f"{ENVS}:{env}", "--episodes", 2, "--output", tmp_path / "data") == 0
    assert magail("inspect", tmp_path / "data") == 0
    assert OPEN == []


SAMPLE = ("Exits", "RaisesInASecondReset", "NoneObserved", "FarOutside", "PaysNan", "FlaggedNo", "OldStep")


@pytest.mark.parametrize("env", [*SAMPLE, *(pytest.param(env, marks=pytest.mark.slow) for env in REFUSED)])
def test_train_refuses(env: str, tmp_path: Path, capsys: Capture) -> None:
    said = refused(capsys, "train", "--env", f"{ENVS}:{env}", *TRAIN, "--output", tmp_path / "run")
    assert REFUSED[env] in said
    assert contents(tmp_path) == {}
    assert OPEN == []


@pytest.mark.parametrize("env", ["SpacesAfterReset", *(pytest.param(env, marks=pytest.mark.slow) for env in FINE)])
def test_train_accepts(env: str, tmp_path: Path) -> None:
    assert magail("train", "--env", f"{ENVS}:{env}", *TRAIN, "--output", tmp_path / "run") == 0
    assert OPEN == []


def test_there_are_many() -> None:
    assert len(REFUSED) + len(FINE) >= 64
    assert all(hasattr(hostile_envs, env) for env in (*REFUSED, *FINE))


MODULES = {
    "exits": ("import sys; sys.exit(4)", "raised SystemExit when it was imported: 4."),
    "breaks": ("raise RuntimeError('no display')", "raised RuntimeError when it was imported: no display."),
    "mistyped": ("def env(:", "raised SyntaxError when it was imported: invalid syntax"),
    "mistaken": ("int('x')", "raised ValueError when it was imported: invalid literal"),
    "moved": (
        "raise ImportError('It has moved to rooms2.')",
        "raised ImportError when it was imported: It has",
    ),
    "needy": ("import no_such_physics", "needs no_such_physics, which is not installed."),
}


@pytest.mark.parametrize("name", MODULES)
def test_what_a_module_raises(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    code, said = MODULES[name]
    (tmp_path / f"hostile_{name}.py").write_text(f"{code}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for env in (f"hostile_{name}", f"hostile_{name}:env"):
        assert magail("check-env", env) == 1
        assert said.rstrip(".") in capsys.readouterr().out
        assert said in refused(capsys, "record", "--env", env, "--output", "data")


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ("NoneObserved", REFUSED["NoneObserved"]),
        ("Exits", "raised SystemExit when it was made: 0."),
        ("Panics", "raised Panic in step 2: core dumped!"),
    ],
)
def test_workers_say_the_same(env: str, said: str, tmp_path: Path, capsys: Capture) -> None:
    workers = ("--processes", 2, "--rollout_episodes", 2)
    assert said in refused(capsys, "train", "--env", f"{ENVS}:{env}", *TRAIN, *workers, "--output", tmp_path / "run")


def test_an_env_that_is_made_once_has_no_copies() -> None:
    env = Base()
    with pytest.raises(EnvError, match=r"^The env is the same env each time that it is made; expected new ones\.$"):
        ParallelEnvCopies(lambda: env, 2)
    assert OPEN == []


class ClosesOnce(Base):
    """Cannot be closed after a step."""

    stepped = False

    def step(self, actions: dict[str, Any]) -> Any:
        self.stepped = True
        return super().step(actions)

    def close(self) -> None:
        super().close()
        if self.stepped:
            raise OSError("the port is gone")


def test_what_was_played_is_not_lost_in_close(tmp_path: Path, capsys: Capture) -> None:
    env, sentence = f"{__name__}:ClosesOnce", f"{__name__}:ClosesOnce raised OSError in close: the port is gone.\n"
    assert magail("check-env", env) == 0
    assert capsys.readouterr().out.endswith(f"{sentence}can be trained: yes\n")
    for command in (("record", "--episodes", 2), ("train", *TRAIN)):
        assert magail(*command, "--env", env, "--output", tmp_path / command[0]) == 0
        assert set(capsys.readouterr().err.splitlines()) == {sentence.rstrip()}
        assert (tmp_path / command[0]).is_dir()
