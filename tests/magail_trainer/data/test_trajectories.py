"""The trajectory format: what is read back is what was written, and nothing else is ever read."""

import hashlib
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magail_trainer.data.provenance import Origin
from magail_trainer.data.trajectories import FIELDS, Trajectories, read_manifest
from magail_trainer.errors import InputError

BOX = {"type": "Box", "low": "0.0", "high": "inf", "shape": [2], "dtype": "float32"}
SPACES = {
    "b": {"observation": BOX, "action": {"type": "Discrete", "n": 99, "start": 0}},
    "a": {"observation": {"type": "Discrete", "n": 99, "start": 0}, "action": BOX},
}
ORIGIN = Origin("toy:env", {"size": 3}, SPACES, {"name": "made up", "parameters": {}}, seed=7, versions={"numpy": "2"})

lengths_of_episodes = st.lists(st.integers(1, 4), min_size=1, max_size=6)


def made_up(lengths: list[int], origin: Origin = ORIGIN) -> Trajectories:
    """Episodes whose every number differs from every other of its array; agents `b` and `a`, in this order."""
    steps, episodes = sum(lengths), len(lengths)
    seen = np.arange(steps + episodes)
    last = np.zeros(steps, dtype=bool)
    last[np.cumsum(lengths) - 1] = True
    return Trajectories(
        origin,
        observations={"b": np.stack([seen, seen + 0.5], axis=1).astype(np.float32), "a": seen},
        actions={"b": np.arange(steps), "a": np.arange(2.0 * steps, dtype=np.float32).reshape(steps, 2)},
        rewards={"b": np.arange(steps) + 0.25, "a": -np.arange(float(steps))},
        terminations={"b": last, "a": last},
        truncations={"b": ~last, "a": ~last},
        episode_starts=np.cumsum([0, *lengths[:-1]]),
    )


def assert_same(first: Trajectories, second: Trajectories) -> None:
    assert first.origin == second.origin
    assert first.agents == second.agents
    np.testing.assert_array_equal(first.episode_starts, second.episode_starts)
    for name in FIELDS:
        for agent, array in getattr(first, name).items():
            other = getattr(second, name)[agent]
            assert array.dtype == other.dtype
            np.testing.assert_array_equal(array, other)


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


# In memory


def test_an_episode_has_its_own_steps_and_one_observation_more() -> None:
    episode = made_up([2, 3, 1])[1]
    assert len(episode) == 3
    np.testing.assert_array_equal(episode.observations["a"], [3, 4, 5, 6])
    np.testing.assert_array_equal(episode.actions["b"], [2, 3, 4])
    np.testing.assert_array_equal(episode.rewards["b"], [2.25, 3.25, 4.25])
    np.testing.assert_array_equal(episode.terminations["a"], [False, False, True])
    np.testing.assert_array_equal(episode.truncations["a"], [True, True, False])


def test_negative_indices_count_from_the_end() -> None:
    trajectories = made_up([2, 3, 1])
    np.testing.assert_array_equal(trajectories[-1].observations["a"], [7, 8])
    np.testing.assert_array_equal(trajectories[-3].observations["a"], [0, 1, 2])


@pytest.mark.parametrize("index", [3, -4])
def test_an_episode_out_of_range_is_an_index_error(index: int) -> None:
    with pytest.raises(IndexError, match=str(index)):
        made_up([2, 3, 1])[index]


@given(lengths_of_episodes)
def test_iteration_visits_every_episode_once_in_order(lengths: list[int]) -> None:
    trajectories = made_up(lengths)
    episodes = list(trajectories)
    assert [len(episode) for episode in episodes] == lengths == trajectories.lengths.tolist()
    for name in FIELDS:
        for agent, array in getattr(trajectories, name).items():
            np.testing.assert_array_equal(np.concatenate([getattr(one, name)[agent] for one in episodes]), array)


@given(lengths_of_episodes, st.data())
def test_a_slice_holds_the_episodes_that_a_list_would(lengths: list[int], data: st.DataObject) -> None:
    trajectories = made_up(lengths)
    chosen = data.draw(st.slices(len(lengths)).filter(lambda s: s.step in (None, 1) and lengths[s]))
    expected = list(trajectories)[chosen]
    assert [len(episode) for episode in trajectories[chosen]] == lengths[chosen]
    for ours, theirs in zip(trajectories[chosen], expected, strict=True):
        np.testing.assert_array_equal(ours.observations["b"], theirs.observations["b"])
        np.testing.assert_array_equal(ours.actions["a"], theirs.actions["a"])


def test_a_slice_with_a_stride_is_refused() -> None:
    with pytest.raises(IndexError, match="stride"):
        made_up([1, 1, 1])[::2]


def test_acted_on_leaves_out_the_last_observation_of_each_episode() -> None:
    np.testing.assert_array_equal(made_up([2, 3, 1]).acted_on["a"], [0, 1, 3, 4, 5, 7])


def test_returns_add_up_the_rewards_of_each_episode() -> None:
    returns = made_up([2, 3, 1]).returns
    np.testing.assert_array_equal(returns["b"], [0.25 + 1.25, 2.25 + 3.25 + 4.25, 5.25])
    np.testing.assert_array_equal(returns["a"], [-1, -9, -5])


@given(lengths_of_episodes, st.data())
def test_cutting_and_adding_gives_the_whole_back(lengths: list[int], data: st.DataObject) -> None:
    whole = made_up([*lengths, 2])
    cut = data.draw(st.integers(1, len(lengths)))
    assert_same(whole[:cut] + whole[cut:], whole)


def test_adding_keeps_both_policies_on_record() -> None:
    other = Origin(**{**vars(ORIGIN), "policy": {"name": "other", "parameters": {"x": 1}}, "seed": 8})
    both = (made_up([1]) + made_up([2], other)).origin
    assert both.policy["parameters"]["parts"] == [ORIGIN.policy, other.policy]
    assert (both.env_id, both.env_kwargs, both.spaces, both.seed) == ("toy:env", {"size": 3}, SPACES, None)


@pytest.mark.parametrize(
    "difference",
    [{"env_id": "toy:other"}, {"env_kwargs": {"size": 4}}, {"spaces": {**SPACES, "a": SPACES["b"]}}],
)
def test_trajectories_of_different_envs_do_not_add(difference: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="do not go together"):
        Trajectories.concatenate([made_up([1]), made_up([1], Origin(**{**vars(ORIGIN), **difference}))])


def test_nothing_cannot_be_concatenated() -> None:
    with pytest.raises(InputError, match="no trajectories"):
        Trajectories.concatenate([])


@pytest.mark.parametrize("starts", [[], [1, 2], [0, 0, 1], [0, 3], [0, 2, 1]])
def test_episode_starts_must_rise_from_zero_within_the_transitions(starts: list[int]) -> None:
    parts = vars(made_up([1, 1, 1]))
    with pytest.raises(InputError, match="episode starts"):
        Trajectories(**{**parts, "episode_starts": np.array(starts, dtype=np.int64)})


@pytest.mark.parametrize("name", FIELDS)
def test_an_array_that_is_too_short_is_refused(name: str) -> None:
    parts = vars(made_up([2, 3]))
    shorter = {**parts[name], "a": parts[name]["a"][:-1]}
    with pytest.raises(InputError, match=f"a has . {name}; expected"):
        Trajectories(**{**parts, name: shorter})


# On disk


@settings(max_examples=30)
@given(lengths_of_episodes, st.integers(1, 7))
def test_what_is_loaded_is_what_was_saved(lengths: list[int], shard_episodes: int) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "data"
        saved = made_up(lengths)
        saved.save(path, shard_episodes=shard_episodes)
        shards = -(-len(lengths) // shard_episodes)
        assert sorted(files(path)) == ["manifest.json", *(f"shard-{i:05d}.npz" for i in range(shards))]
        assert_same(Trajectories.load(path), saved)


def test_the_same_episodes_make_the_same_bytes_however_they_came_about(tmp_path: Path) -> None:
    whole = made_up([2, 1, 3, 1])
    whole.save(tmp_path / "whole")
    expected = files(tmp_path / "whole")

    (whole[:1] + whole[1:]).save(tmp_path / "added")
    Trajectories.load(tmp_path / "whole").save(tmp_path / "loaded")
    by_columns = {agent: np.asfortranarray(array) for agent, array in whole.observations.items()}
    Trajectories(**{**vars(whole), "observations": by_columns}).save(tmp_path / "by columns")
    for name in ("added", "loaded", "by columns"):
        assert files(tmp_path / name) == expected, name


def test_no_clock_gets_into_the_bytes(tmp_path: Path) -> None:
    made_up([1]).save(tmp_path / "data")
    with zipfile.ZipFile(tmp_path / "data" / "shard-00000.npz") as shard:
        assert {entry.date_time for entry in shard.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_the_manifest_says_what_the_dataset_is(tmp_path: Path) -> None:
    made_up([2, 1, 3]).save(tmp_path / "data", shard_episodes=2)
    manifest = read_manifest(tmp_path / "data")
    shard = (tmp_path / "data" / "shard-00001.npz").read_bytes()
    assert (manifest["episodes"], manifest["transitions"], manifest["seed"]) == (3, 6, 7)
    assert manifest["env"] == {"id": "toy:env", "kwargs": {"size": 3}}
    assert (manifest["agents"], manifest["spaces"]) == (["b", "a"], SPACES)
    expected = {"file": "shard-00001.npz", "episodes": 1, "sha256": hashlib.sha256(shard).hexdigest()}
    assert manifest["shards"][1] == expected


def test_saving_replaces_a_dataset_only_when_told_to(tmp_path: Path) -> None:
    first, second = made_up([1, 2]), made_up([3])
    first.save(tmp_path / "data")
    with pytest.raises(InputError, match="already holds files"):
        second.save(tmp_path / "data")
    assert_same(Trajectories.load(tmp_path / "data"), first)
    second.save(tmp_path / "data", overwrite=True)
    assert_same(Trajectories.load(tmp_path / "data"), second)


def flip_a_byte(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def edit_manifest(folder: Path, *, sign: bool, **changes: Any) -> None:
    """Change the manifest; with `sign`, also the hash that guards it, as a forger would."""
    manifest = {**json.loads((folder / "manifest.json").read_text()), **changes}
    if sign:
        content = {key: value for key, value in manifest.items() if key != "sha256"}
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
        manifest["sha256"] = hashlib.sha256(canonical).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def forge_shard(folder: Path, **changes: Any) -> None:
    """Replace arrays of the first shard (None: leave out), and make every hash fit."""
    file = folder / "shard-00000.npz"
    with np.load(file) as stored:
        arrays = {**stored, **changes}
    np.savez(file, **{name: array for name, array in arrays.items() if array is not None})
    shard = {"file": file.name, "episodes": 2, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    edit_manifest(folder, sign=True, shards=[shard])


def forge_bytes(folder: Path, data: bytes) -> None:
    file = folder / "shard-00000.npz"
    file.write_bytes(data)
    edit_manifest(
        folder, sign=True, shards=[{"file": file.name, "episodes": 2, "sha256": hashlib.sha256(data).hexdigest()}]
    )


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no manifest": (lambda f: (f / "manifest.json").unlink(), "no dataset"),
    "no JSON": (lambda f: (f / "manifest.json").write_text("{"), "not the JSON"),
    "no text": (lambda f: (f / "manifest.json").write_bytes(b"\xff\xfe\x00"), "not the JSON"),
    "a list": (lambda f: (f / "manifest.json").write_text("[1]"), "no dataset of this version"),
    "foreign JSON": (lambda f: (f / "manifest.json").write_text('{"format": "d4rl"}'), "no dataset of this version"),
    "other version": (lambda f: edit_manifest(f, sign=True, version=2), "reads them up to version 1"),
    "altered manifest": (lambda f: edit_manifest(f, sign=False, seed=8), "altered"),
    "manifest without hash": (lambda f: edit_manifest(f, sign=False, sha256=None), "altered"),
    "no shard": (lambda f: (f / "shard-00000.npz").unlink(), "cannot be read"),
    "flipped byte": (lambda f: flip_a_byte(f / "shard-00000.npz"), "altered"),
    "cut short": (lambda f: cut_short(f / "shard-00000.npz"), "cut short"),
    "no shards at all": (lambda f: edit_manifest(f, sign=True, shards=[]), "no trajectories"),
    "object array": (lambda f: forge_shard(f, **{"rewards/a": np.array([1, "x", None], dtype=object)}), "npz"),
    "empty shard": (lambda f: forge_bytes(f, b""), "npz"),
    "shard is text": (lambda f: forge_bytes(f, b"episode,reward\n1,2\n"), "npz"),
    "array too short": (lambda f: forge_shard(f, **{"rewards/a": np.zeros(2)}), "a has 2 rewards; expected 3"),
    "array missing": (lambda f: forge_shard(f, **{"actions/b": None}), "lacks the array 'actions/b'"),
    "starts beyond": (lambda f: forge_shard(f, episode_starts=np.array([0, 3])), "episode starts"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_dataset_that_is_not_as_it_was_written_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "data"
    made_up([1, 2]).save(path)
    harm, reason = DAMAGE[damage]
    harm(path)
    with pytest.raises(InputError, match=re.escape(reason)) as error:
        Trajectories.load(path)
    message = str(error.value)
    assert "\n" not in message
    if damage != "no shards at all":
        assert str(path) in message


def test_any_flipped_bit_of_a_shard_is_noticed(tmp_path: Path) -> None:
    made_up([1]).save(tmp_path / "data")
    file = tmp_path / "data" / "shard-00000.npz"
    whole = file.read_bytes()
    for place in range(0, len(whole), 37):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 64]) + whole[place + 1 :])
        with pytest.raises(InputError, match="altered"):
            Trajectories.load(tmp_path / "data")


def test_what_is_not_there_is_no_dataset(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(InputError, match="is no dataset"):
            Trajectories.load(path)
