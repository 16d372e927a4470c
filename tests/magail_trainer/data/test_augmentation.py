"""Symmetries: what becomes of episodes, which images are drawn, and the command `magail augment`."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pettingzoo import ParallelEnv

from magail_trainer.data.augmentation import Symmetry, augment, find_symmetries, take
from magail_trainer.data.provenance import Origin
from magail_trainer.data.run_folder import read_config
from magail_trainer.data.trajectories import FIELDS, Trajectories
from magail_trainer.envs.registry import resolve
from magail_trainer.errors import InputError
from magail_trainer.learn.demonstrations import Demonstrations
from magail_trainer.learn.encoders import Codes, FiniteSpace
from tests.magail_trainer.commands import magail, refused

MATCHING = "coordination_env:coordination/matching-v0"
HERE = "tests.magail_trainer.data.test_augmentation"
ANY = {"type": "Box", "low": "-inf", "high": "inf", "shape": [], "dtype": "int64"}
ORIGIN = Origin("toy", {}, {agent: {"observation": ANY, "action": ANY} for agent in "ab"}, {"name": "hand"}, seed=4)
EXCHANGE = Symmetry("exchange", {"a": "b", "b": "a"}, {"a": lambda seen: -seen}, {"b": lambda action: action + 100})
PLUS = [Symmetry(f"plus {n}", actions={"a": lambda action, n=n: action + 1000 * n}) for n in range(1, 7)]


def made_up(lengths: list[int]) -> Trajectories:
    """Episodes of agents a and b whose every number says where it comes from."""
    steps = sum(lengths)
    flags = np.zeros(steps, dtype=bool)
    return Trajectories(
        ORIGIN,
        observations={"a": np.arange(steps + len(lengths)), "b": 500 + np.arange(steps + len(lengths))},
        actions={"a": np.arange(steps), "b": 50 + np.arange(steps)},
        rewards={"a": np.arange(steps) + 0.25, "b": -np.arange(float(steps))},
        terminations={"a": flags, "b": ~flags},
        truncations={"a": flags, "b": flags},
        episode_starts=np.cumsum([0, *lengths[:-1]]),
    )


def matching_swaps(env: ParallelEnv) -> list[Symmetry]:
    """The matching game with its agents, its actions, or both exchanged."""
    parts = dict(zip(env.possible_agents, reversed(env.possible_agents), strict=True))
    other = dict.fromkeys(env.possible_agents, lambda action: 1 - action)
    return [Symmetry("agents", parts), Symmetry("actions", actions=other), Symmetry("both", parts, actions=other)]


def nothing(env: ParallelEnv) -> list[Symmetry]:
    return []


def numbers(env: ParallelEnv) -> list[int]:
    return [1]


def choosy(env: ParallelEnv) -> list[Symmetry]:
    raise ValueError("only round envs will do.")


def clumsy(env: ParallelEnv) -> list[Symmetry]:
    return [Symmetry("clumsy", {"agent": env.possible_agents[9]})]


def thoughtless(env: ParallelEnv) -> list[Symmetry]:
    """Agents of different spaces in each other's place, as they are."""
    return [Symmetry("thoughtless", dict(zip(env.possible_agents, reversed(env.possible_agents), strict=True)))]


def test_an_agent_gets_what_the_other_had_and_its_rewards_by_hand() -> None:
    image = EXCHANGE(made_up([2, 1]))
    assert image.observations["a"].tolist() == [-500, -501, -502, -503, -504]
    assert image.observations["b"].tolist() == [0, 1, 2, 3, 4]
    assert image.actions["a"].tolist() == [50, 51, 52]
    assert image.actions["b"].tolist() == [100, 101, 102]
    assert image.rewards["a"].tolist() == [0, -1, -2]
    assert image.rewards["b"].tolist() == [0.25, 1.25, 2.25]
    assert image.terminations["a"].all()
    assert not image.terminations["b"].any()
    assert image.origin == ORIGIN


@given(data=st.data(), lengths=st.lists(st.integers(1, 4), min_size=1, max_size=6))
def test_taken_episodes_are_those_that_an_index_gives(data: st.DataObject, lengths: list[int]) -> None:
    trajectories = made_up(lengths)
    episodes = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=8))
    taken = take(trajectories, np.array(episodes))
    assert len(taken) == len(episodes)
    for episode, number in zip(taken, episodes, strict=True):
        for name in FIELDS:
            for agent, array in getattr(trajectories[number], name).items():
                np.testing.assert_array_equal(getattr(episode, name)[agent], array)


@pytest.mark.parametrize("copies", [1, 4, None])
def test_each_episode_is_followed_by_different_images_of_itself(copies: int | None) -> None:
    trajectories, number = made_up([2, 1, 3] * 20), 6 if copies is None else copies
    augmented = augment(trajectories, PLUS, copies=copies, seed=1, name="plus")
    assert len(augmented) == 60 * (1 + number)
    drawn = []
    for episode in range(60):
        group = [augmented[episode * (1 + number) + turn].actions["a"] for turn in range(1 + number)]
        np.testing.assert_array_equal(group[0], trajectories[episode].actions["a"])
        shifts = [set((image - group[0]).tolist()) for image in group[1:]]
        assert all(len(shift) == 1 for shift in shifts)
        drawn.append([shift.pop() // 1000 for shift in shifts])
        assert len(set(drawn[-1])) == number
        assert set(drawn[-1]) <= set(range(1, 7))
    assert {one for group in drawn for one in group} == set(range(1, 7))
    assert len({tuple(group) for group in drawn}) > 4  # each episode has symmetries of its own


def test_the_origin_says_how_many_demonstrations_there_are_whatever_is_cut_off(tmp_path: Path) -> None:
    trajectories = made_up([2, 1, 3])
    augmented = augment(trajectories, PLUS, copies=4, seed=9, name="some:where")
    assert augmented.origin == replace(
        ORIGIN, augmentation={"symmetries": "some:where", "of": 6, "copies": 4, "seed": 9}
    )
    assert trajectories.num_demonstrations == augmented.num_demonstrations == 3
    assert augmented[:5].num_demonstrations == augmented[:1].num_demonstrations == 1
    augmented.save(tmp_path / "data", shard_episodes=4)
    loaded = Trajectories.load(tmp_path / "data")
    assert loaded.origin == augmented.origin
    assert (loaded + loaded).num_demonstrations == 6
    with pytest.raises(InputError, match="go together with none"):
        _ = loaded + trajectories


def test_cloning_weighs_as_much_as_there_are_demonstrations() -> None:
    augmented = augment(made_up([1] * 3), PLUS, copies=4, name="plus")
    spaces = {agent: resolve(MATCHING).make().action_space("agent_0") for agent in "ab"}
    codes = Codes(*({agent: FiniteSpace(space, "x") for agent, space in spaces.items()} for _ in range(2)))
    for agent in "ab":
        for columns in (augmented.observations, augmented.actions):
            columns[agent] = columns[agent] % 2
    demonstrations = Demonstrations(augmented, codes, seeds=[0], batch_size=100, device=torch.device("cpu"))
    assert demonstrations.num_demonstrations == 3
    assert demonstrations.all.num_episodes == 15


@pytest.mark.parametrize(
    ("symmetry", "complaint"),
    [
        (Symmetry("x", {"a": "b"}), "to have one part"),
        (Symmetry("x", {"a": "c", "c": "a"}), "to have one part"),
        (Symmetry("x", observations={"c": np.negative}), "to have one part"),
        (Symmetry("x", observations={"a": lambda seen: seen[1:]}), r"observations int64\[2\] of a"),
        (Symmetry("x", observations={"a": lambda seen: seen[:, 4]}), "cannot change the observations of a: IndexError"),
        (
            Symmetry("x", actions={"a": lambda action: np.stack([action, action[1:]])}),
            "cannot change the actions of a: ValueError",
        ),
        (Symmetry("x", actions={"b": lambda action: action * 0.5}), r"actions float64\[2\] of b; expected int64\[2\]"),
    ],
)
def test_a_symmetry_that_does_not_fit_is_refused(symmetry: Symmetry, complaint: str) -> None:
    with pytest.raises(InputError, match=f"The symmetry 'x' .*{complaint}"):
        symmetry(made_up([2]))


def test_the_command_makes_a_dataset_that_trains_as_any(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, more, again = tmp_path / "data", tmp_path / "more", tmp_path / "again"
    assert magail("record", "--env", MATCHING, "--expert", "bimodal", "--episodes", 40, "--output", data) == 0
    flags = ("augment", data, "--symmetries", f"{HERE}:matching_swaps", "--copies", 2)
    capsys.readouterr()
    assert magail(*flags, "--output", more) == 0
    said = capsys.readouterr().out
    assert said.endswith("of 40 demonstrations: each as it is, and under 2 of 3 symmetries.\n")
    assert magail(*flags, "--output", again) == 0
    assert {file.name: file.read_bytes() for file in more.iterdir()} == {
        file.name: file.read_bytes() for file in again.iterdir()
    }
    done = {"symmetries": f"{HERE}:matching_swaps", "of": 3, "copies": 2, "seed": 0}
    assert json.loads((more / "manifest.json").read_text())["augmentation"] == done
    assert "augmentation" not in json.loads((data / "manifest.json").read_text())
    capsys.readouterr()
    assert magail("inspect", more) == 0
    assert "of 40 demonstrations, each as it is and under 2 of 3 symmetries" in capsys.readouterr().out
    out = tmp_path / "run"
    assert magail("train", "--env", MATCHING, "--dataset", more, "--output", out, "--epochs", 2, "--seeds", 0) == 0
    assert read_config(out)["dataset"]["augmentation"] == done


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("--symmetries", "nothing"), "--symmetries must be module:callable, not 'nothing'."),
        (("--symmetries", "no_such_module:any"), "cannot be imported"),
        (("--symmetries", f"{HERE}:no_such_name"), "cannot be imported"),
        (("--symmetries", f"{HERE}:MATCHING"), "is a str; expected something to call"),
        (("--symmetries", f"{HERE}:choosy"), f"refuse {MATCHING}: only round envs will do."),
        (("--symmetries", f"{HERE}:clumsy"), f"fail for {MATCHING}: IndexError: list index out of range."),
        (("--symmetries", f"{HERE}:numbers"), "makes a list; expected a list of Symmetry"),
        (("--symmetries", f"{HERE}:nothing"), "makes no symmetries"),
        (("--symmetries", f"{HERE}:matching_swaps", "--copies", 4), "must be from 1 to 3, all that there are, not 4"),
        (("--symmetries", f"{HERE}:matching_swaps", "--copies", 0), "not 0"),
        (("--symmetries", f"{HERE}:matching_swaps", "--seed", -1), "at least 0, not -1"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: tuple[object, ...], complaint: str
) -> None:
    data = tmp_path / "data"
    assert magail("record", "--env", MATCHING, "--episodes", 3, "--output", data) == 0
    assert complaint in refused(capsys, "augment", data, *flags, "--output", tmp_path / "more")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_agents_of_different_spaces_are_not_put_in_each_others_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env, data, more = "tests.magail_trainer.toy_envs:RandomLengthEnv", tmp_path / "data", tmp_path / "more"
    assert magail("record", "--env", env, "--episodes", 3, "--output", data) == 0
    said = refused(capsys, "augment", data, "--symmetries", f"{HERE}:thoughtless", "--output", more)
    assert "gives left the actions of right as they are, of {'type': 'Box'" in said
    assert "expected a change that makes them of {'type': 'Discrete', 'n': 2" in said


def test_actions_that_an_agent_does_not_have_are_refused() -> None:
    three = {
        agent: {"observation": {}, "action": {"type": "Discrete", "n": 3, "start": start}}
        for agent, start in (("a", 0), ("b", 50))
    }
    trajectories = replace(made_up([2, 1]), origin=replace(ORIGIN, spaces=three))
    parts = {"a": "b", "b": "a"}
    swap = Symmetry("swap", parts, actions={"a": lambda action: action - 50, "b": lambda action: action + 50})
    assert swap(trajectories).actions["b"].tolist() == [50, 51, 52]
    short = replace(swap, actions={**swap.actions, "a": lambda action: action - 49})
    with pytest.raises(InputError, match=r"actions that the symmetry 'swap' makes of a hold 3, .* Discrete\(3\)"):
        short(trajectories)


def test_what_was_augmented_is_not_augmented_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, more = tmp_path / "data", tmp_path / "more"
    flags = ("--symmetries", f"{HERE}:matching_swaps")
    assert magail("record", "--env", MATCHING, "--episodes", 3, "--output", data) == 0
    assert magail("augment", data, *flags, "--output", more) == 0
    assert "has been augmented before" in refused(capsys, "augment", more, *flags, "--output", tmp_path / "again")
    assert "is read" in refused(capsys, "augment", more, *flags, "--output", more, "--overwrite")


def test_symmetries_are_called_with_the_env() -> None:
    assert [symmetry.name for symmetry in find_symmetries(f"{HERE}:matching_swaps", resolve(MATCHING))] == [
        *("agents", "actions", "both")
    ]
