"""Tables of what was earned: no agent's name is taken for one of our own."""

from functools import partial
from pathlib import Path

import pytest
import torch

from magail_trainer.data.joint_policies import RandomJointPolicy
from magail_trainer.data.recording import record
from magail_trainer.data.run_folder import read_table, write_config
from magail_trainer.envs.registry import EnvEntry
from magail_trainer.learn.config import MagailConfig
from magail_trainer.learn.runs import Runs
from magail_trainer.learn.trainer import Trainer
from magail_trainer.play.cross_play import cross_play
from magail_trainer.play.evaluation import evaluate
from magail_trainer.play.load_runs import TrainedRuns
from magail_trainer.play.results import LEARNER, TEAM, apart
from magail_trainer.play.scores import add_scores, make_reference, summarise
from tests.magail_trainer.commands import magail
from tests.magail_trainer.toy_envs import DyingEnv

torch.set_num_threads(1)


class Named(DyingEnv):
    """Two steps for agents of any names; the first earns less than the second by 10 a step."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__((2,) * len(names))
        self.possible_agents = list(names)
        self._lengths = dict.fromkeys(names, 2)
        self._index = {name: index for index, name in enumerate(names)}


def team_env() -> Named:
    return Named(("team", "learner", "seed"))


def untrained(names: tuple[str, ...]) -> TrainedRuns:
    entry, config = EnvEntry("named", partial(Named, names)), MagailConfig(network="mlp", hidden=(4,))
    runs = Runs.grid(betas=(0.0,), seeds=(1, 2))
    trainer = Trainer(entry, None, runs, config)
    return TrainedRuns(Path(), entry, runs, trainer.codes, trainer.policies, trainer.config, {})


def test_an_agent_called_team_keeps_its_column_and_so_does_the_team() -> None:
    named, other = (untrained(names) for names in (("team", "z"), ("y", "z")))
    table, expected = (evaluate(trained, episodes=4, seed=0).table() for trained in (named, other))
    assert list(table)[2:5] == ["return_team", "return_z", "return_(team)"]
    assert list(table)[2:5] != list(expected)[2:5] == ["return_y", "return_z", "return_team"]
    totals = [first + second for first, second in zip(table["return_team"], table["return_z"], strict=True)]
    assert table["return_(team)"] == pytest.approx(totals)
    demonstrations = record(named.entry, RandomJointPolicy(named.entry.make()), episodes=2, seed=0)
    reference = make_reference(named, demonstrations, episodes=2, seed=0)
    assert list(reference.random) == ["team", "z", TEAM]
    assert summarise(add_scores(evaluate(named, episodes=2, seed=0), reference))["agent"][:3] == ["team", "z", "(team)"]


def test_an_agent_called_learner_is_not_taken_for_the_learner(tmp_path: Path) -> None:
    trained = untrained(("learner", "z"))
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "policies.npz").write_bytes(b"")  # its hash is in the parameters of the players
    write_config(tmp_path, {})
    trained = TrainedRuns(tmp_path, trained.entry, trained.runs, trained.codes, trained.policies, trained.training, {})
    opponents = RandomJointPolicy(trained.entry.make())
    played = cross_play(trained, opponents, sides=[("z",)], episodes=2, seed=0)
    assert played.returns["sampled", LEARNER] == played.returns["sampled", "z"]
    table = played.table()
    assert list(table)[3:6] == ["return_learner", "return_z", "return_(learner)"]
    assert summarise(played)["agent"] == ["(learner)"] * 2


def test_what_is_printed_shows_each_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    env = ("--env", f"{__name__}:team_env")
    assert magail("record", *env, "--episodes", 3, "--output", tmp_path / "data") == 0
    small = ("--network", "mlp", "--hidden", 4, "--epochs", 2, "--warm_start", 0, "--rollout_episodes", 2)
    train = (*env, "--dataset", tmp_path / "data", "--output", tmp_path / "run", "--seeds", 7)
    assert magail("train", *train, *small) == 0
    capsys.readouterr()
    assert magail("evaluate", tmp_path / "run", "--episodes", 2, "--output", tmp_path / "table.csv") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:6] == ["beta", "seed", "team", "learner", "(seed)", "(team)"]
    assert read_table(tmp_path / "table.csv")["seed"].tolist() == [7]


def test_apart_adds_parentheses_until_a_name_is_free() -> None:
    assert apart("team", ["a"]) == "team"
    assert apart("team", ["team", "(team)"]) == "((team))"
