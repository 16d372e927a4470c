"""Recording against a slow twin: plain loops over single environments."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Text
from hypothesis import given, settings
from hypothesis import strategies as st

from magail_trainer.data.joint_policies import JointPolicy, RandomJointPolicy
from magail_trainer.data.recording import record
from magail_trainer.data.trajectories import FIELDS, Trajectories
from magail_trainer.envs.registry import EnvEntry, resolve
from magail_trainer.errors import InputError
from magail_trainer.play.players import make_joint_policy
from magail_trainer.seeding import stream
from tests.magail_trainer.reach_env import ReachEnv
from tests.magail_trainer.toy_envs import DyingEnv, MaskedEnv, RandomLengthEnv, Signallers, SignallingEnv

MATCHING = "coordination_env:coordination/matching-v0"
RANDOM_LENGTH = EnvEntry("toy:RandomLengthEnv", RandomLengthEnv)


class Counting:
    """Actions that say which step of which episode they were meant for."""

    name = "counting"
    parameters: dict[str, Any] = {}  # noqa: RUF012

    def begin(self, num_episodes: int, rng: np.random.Generator) -> None:
        self.num_episodes = num_episodes

    def act(self, observations: dict[str, Any], *, episode: np.ndarray, step: np.ndarray) -> dict[str, Any]:
        assert (episode < self.num_episodes).all()
        right = np.stack([episode / 100, step / 100, 0 * step], axis=1).astype(np.float32)
        return {"left": episode % 2, "right": right}


def slow_record(entry: EnvEntry, policy: JointPolicy, *, episodes: int, seed: int, num_envs: int) -> list[dict]:
    """Play copy after copy, episode after episode: the arrays of `FIELDS` for each episode, in order."""
    policy.begin(episodes, stream(seed, "joint policy"))
    seeds = stream(seed, "env").integers(2**31, size=episodes)
    played: dict[int, dict] = {}
    for copy in range(num_envs):
        env = entry.make()
        for episode in range(copy, episodes, num_envs):
            observations, _ = env.reset(seed=int(seeds[episode]))
            kept: dict[str, dict[str, list]] = {name: {agent: [] for agent in env.possible_agents} for name in FIELDS}
            for step in range(1000):
                batched = {agent: np.asarray(value)[None] for agent, value in observations.items()}
                chosen = policy.act(batched, episode=np.array([episode]), step=np.array([step]))
                actions = {agent: array[0] for agent, array in chosen.items()}
                for agent, value in observations.items():
                    kept["observations"][agent].append(np.array(value))
                observations, rewards, terminations, truncations, _ = env.step(actions)
                for name, values in zip(FIELDS[1:], (actions, rewards, terminations, truncations), strict=True):
                    for agent, value in values.items():
                        kept[name][agent].append(value)
                if not env.agents:
                    break
            for agent, value in observations.items():
                kept["observations"][agent].append(np.array(value))
            played[episode] = kept
    return [played[episode] for episode in range(episodes)]


def assert_same_as_slow(fast: Trajectories, slow: list[dict]) -> None:
    assert len(fast) == len(slow)
    for ours, theirs in zip(fast, slow, strict=True):
        for name in FIELDS:
            for agent, values in theirs[name].items():
                np.testing.assert_array_equal(getattr(ours, name)[agent], values, err_msg=f"{name} of {agent}")


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 5))
def test_episodes_of_any_length_are_whole_and_in_order(episodes: int, num_envs: int, seed: int) -> None:
    settings = {"episodes": episodes, "seed": seed}
    fast = record(RANDOM_LENGTH, Counting(), num_envs=num_envs, **settings)
    slow = slow_record(RANDOM_LENGTH, Counting(), num_envs=min(num_envs, episodes), **settings)
    assert_same_as_slow(fast, slow)
    # Each episode has one number for all its steps, the one after the last action too.
    for number, episode in enumerate(fast):
        np.testing.assert_array_equal(episode.observations["left"][:, 0], episode.observations["right"][0, 0])
        np.testing.assert_array_equal(episode.observations["left"][:, 1], np.arange(len(episode) + 1))
        np.testing.assert_allclose(episode.actions["right"][:, 0], number / 100)
        np.testing.assert_allclose(episode.actions["right"][:, 1], np.arange(len(episode)) / 100)
        ended = episode.terminations["left"] | episode.truncations["left"]
        assert ended.tolist() == [False] * (len(episode) - 1) + [True]


def test_unequal_episodes_come_with_both_kinds_of_ending() -> None:
    trajectories = record(RANDOM_LENGTH, Counting(), episodes=100, seed=0, num_envs=7)
    assert set(trajectories.lengths) == {1, 2, 3, 4, 5}
    assert 20 < trajectories.terminations["left"].sum() < 80
    assert trajectories.terminations["left"].sum() + trajectories.truncations["left"].sum() == 100


@pytest.mark.parametrize("expert", ["mixed", "bimodal", "asymmetric", "noisy", "all_AA"])
@pytest.mark.parametrize("horizon", [1, 3])
def test_scripted_experts_play_the_same_in_any_number_of_copies(expert: str, horizon: int) -> None:
    entry = resolve(MATCHING, {"horizon": horizon})
    settings = {"episodes": 25, "seed": 3}
    slow = slow_record(entry, make_joint_policy(expert, entry, {}), num_envs=1, **settings)
    for num_envs in (1, 4, 25, None):
        fast = record(entry, make_joint_policy(expert, entry, {}), num_envs=num_envs, **settings)
        assert_same_as_slow(fast, slow)
        assert fast.lengths.tolist() == [horizon] * 25


def test_a_repeated_game_records_what_each_step_led_to() -> None:
    entry = resolve(MATCHING, {"horizon": 3})
    trajectories = record(entry, make_joint_policy("mixed", entry, {}), episodes=40, seed=0)
    for episode in trajectories:
        joint = 2 * episode.actions["agent_0"] + episode.actions["agent_1"]
        for agent in trajectories.agents:
            np.testing.assert_array_equal(episode.observations[agent], [0, *(1 + joint)])
            np.testing.assert_array_equal(episode.rewards[agent], (joint == 0) | (joint == 3))


def test_a_thousand_bimodal_episodes_are_500_and_500() -> None:
    entry = resolve(MATCHING)
    actions = record(entry, make_joint_policy("bimodal", entry, {}), episodes=1000, seed=0).actions
    np.testing.assert_array_equal(actions["agent_0"], actions["agent_1"])
    assert actions["agent_0"].sum() == 500
    assert 0 < actions["agent_0"][:50].sum() < 50  # shuffled


@pytest.mark.parametrize("entry", [RANDOM_LENGTH, resolve(MATCHING)], ids=["toy", "matching"])
def test_the_seed_decides_everything(entry: EnvEntry) -> None:
    def play(seed: int) -> Trajectories:
        return record(entry, make_joint_policy("random", entry, {}), episodes=30, seed=seed)

    first, again, other = play(1), play(1), play(2)
    agent = first.agents[0]
    np.testing.assert_array_equal(first.rewards[agent], again.rewards[agent])
    assert first.rewards[agent].tolist() != other.rewards[agent].tolist()


def test_a_joint_policy_can_be_used_for_several_recordings() -> None:
    policy = RandomJointPolicy(RandomLengthEnv())
    played = [record(RANDOM_LENGTH, policy, episodes=9, seed=1, num_envs=copies) for copies in (3, 2, 3)]
    np.testing.assert_array_equal(played[0].actions["right"], played[2].actions["right"])


def test_the_origin_says_how_to_record_it_again() -> None:
    entry = EnvEntry("toy:signalling", SignallingEnv)
    origin = record(entry, Signallers(SignallingEnv(), shift=2), episodes=3, seed=5).origin
    assert (origin.env_id, origin.env_kwargs, origin.seed) == ("toy:signalling", {}, 5)
    assert origin.policy == {"name": "signallers", "parameters": {"shift": 2}}
    assert origin.spaces["listener"]["action"]["n"] == 4
    assert set(origin.versions) == {"gymnasium", "numpy", "pettingzoo"}


def test_the_env_may_be_given_by_name() -> None:
    entry = resolve(MATCHING)
    assert record(MATCHING, make_joint_policy("all_AA", entry, {}), episodes=2, seed=0).origin.env_id == MATCHING


@pytest.mark.parametrize(("episodes", "seed", "reason"), [(0, 0, "episodes"), (-1, 0, "episodes"), (1, -1, "seed")])
def test_numbers_out_of_range_are_refused(episodes: int, seed: int, reason: str) -> None:
    with pytest.raises(InputError, match=f"{reason} must be at least"):
        record(RANDOM_LENGTH, Counting(), episodes=episodes, seed=seed)


class Typing(RandomLengthEnv):
    """Observes texts."""

    def observation_space(self, agent: str) -> Any:
        return Text(3)


def test_what_cannot_be_recorded_is_refused() -> None:
    with pytest.raises(InputError, match="Text space cannot be recorded"):
        record(EnvEntry("toy", Typing), Counting(), episodes=1, seed=0)


def test_nested_observations_are_recorded_flat() -> None:
    nested, flat = (
        record(EnvEntry("toy", RandomLengthEnv, {"nested": nested}), Counting(), episodes=9, seed=0, num_envs=2)
        for nested in (True, False)
    )
    assert nested.origin.spaces == flat.origin.spaces
    np.testing.assert_array_equal(nested.observations["left"], flat.observations["left"])


# Agents that leave early, and action masks


def test_agents_that_leave_early_stay_in_the_arrays() -> None:
    """DyingEnv: agent_0 leaves at step 2, agent_2 at step 3, agent_1 at step 4."""
    entry = EnvEntry("toy:dying", DyingEnv)
    recorded = record(entry, RandomJointPolicy(entry.make()), episodes=5, seed=0, num_envs=2)
    assert recorded.lengths.tolist() == [4] * 5
    for episode in recorded:
        number = episode.observations["agent_1"][0, 2]
        assert 1 < number < 2
        assert episode.observations["agent_0"].tolist() == [
            [1, 0, number],
            [1, 1, number],
            [1, 2, number],
            *[[0] * 3] * 2,
        ]
        assert episode.observations["agent_1"].tolist() == [[2, step, number] for step in range(5)]
        assert episode.observations["agent_2"].tolist() == [*([3, step, number] for step in range(4)), [0] * 3]
        assert (episode.rewards["agent_0"] - episode.actions["agent_0"])[:2].tolist() == [1, 2]
        assert episode.rewards["agent_0"][2:].tolist() == [0, 0]
        assert (episode.rewards["agent_1"] - episode.actions["agent_1"]).tolist() == [11, 12, 13, 14]
        assert episode.terminations["agent_0"].tolist() == [False, True, True, True]
        assert episode.truncations["agent_1"].tolist() == [False, False, False, True]
        assert episode.truncations["agent_2"].tolist() == [False, False, True, True]
        assert not episode.terminations["agent_1"].any()
        assert not episode.truncations["agent_0"].any()
        assert {agent: active.tolist() for agent, active in episode.active.items()} == {
            "agent_0": [True, True, False, False],
            "agent_1": [True, True, True, True],
            "agent_2": [True, True, True, False],
        }
    assert recorded.active["agent_0"].tolist() == [True, True, False, False] * 5
    assert recorded[3:].active["agent_2"].tolist() == [True, True, True, False] * 2


def test_who_is_active_is_read_back(tmp_path: Path) -> None:
    entry = EnvEntry("toy:dying", DyingEnv, {"lengths": (1, 2)})
    record(entry, RandomJointPolicy(entry.make()), episodes=2, seed=0).save(tmp_path / "data")
    assert Trajectories.load(tmp_path / "data").active["agent_0"].tolist() == [True, False, True, False]


def test_where_all_end_together_all_are_active() -> None:
    recorded = record(RANDOM_LENGTH, Counting(), episodes=20, seed=0)
    for active in recorded.active.values():
        assert (active.dtype, active.all(), len(active)) == (np.bool_, True, recorded.num_transitions)


@pytest.mark.parametrize("in_infos", [True, False])
def test_a_random_policy_keeps_to_the_masks(in_infos: bool) -> None:  # noqa: FBT001
    entry = EnvEntry("toy:masked", MaskedEnv, {"in_infos": in_infos})
    recorded = record(entry, RandomJointPolicy(entry.make()), episodes=60, seed=0, num_envs=7)
    steps = np.arange(recorded.num_transitions) % 3
    played = recorded.actions["agent_0"]
    assert {(int(step), int(action)) for step, action in zip(steps, played, strict=True)} == {
        (step, action) for step in range(3) for action in range(4) if action != step
    }
    assert recorded.origin.spaces["agent_0"]["observation"]["shape"] == [2]
    np.testing.assert_array_equal(recorded.acted_on["agent_0"][:, 0], steps)


class Obedient:
    """Plays the first action that is allowed, and knows no masks where it was given none."""

    name = "obedient"
    takes_action_masks = True

    def __init__(self) -> None:
        self.parameters: dict[str, Any] = {}

    def begin(self, num_episodes: int, rng: np.random.Generator) -> None:
        pass

    def act(self, observations: Any, *, episode: Any, step: Any, action_masks: Any = None) -> dict[str, Any]:
        assert list(action_masks) == ["agent_0"]
        return {"agent_0": np.argmax(action_masks["agent_0"], axis=1), "agent_1": step % 2}


def test_policies_are_shown_masks_only_if_they_take_them() -> None:
    entry, obedient = EnvEntry("toy:masked", MaskedEnv), Obedient()
    assert record(entry, obedient, episodes=2, seed=0, num_envs=2).actions["agent_0"].tolist() == [1, 0, 0] * 2
    ignorant = Wrong(MaskedEnv())
    ignorant.takes_action_masks = False
    ignorant.played = {"agent_0": np.array([3]), "agent_1": np.array([1])}
    assert (
        record(EnvEntry("toy:masked", MaskedEnv), ignorant, episodes=1, seed=0).actions["agent_0"].tolist() == [3] * 3
    )


class Settings:
    """An env's factory that takes anything."""

    @staticmethod
    def make(**_: Any) -> RandomLengthEnv:
        return RandomLengthEnv()


def test_arguments_are_remembered_as_json_has_them() -> None:
    entry = EnvEntry("settings", Settings.make, {"shape": (2, 3)})
    recorded = record(entry, RandomJointPolicy(entry.make()), episodes=2, seed=0)
    assert recorded.origin.env_kwargs == {"shape": [2, 3]}


def test_what_is_not_json_is_refused_before_anything_is_played() -> None:
    entry = EnvEntry("settings", Settings.make, {"callback": print})
    with pytest.raises(InputError, match="cannot be written as JSON"):
        record(entry, RandomJointPolicy(entry.make()), episodes=10**9, seed=0)


class Wrong(RandomJointPolicy):
    """Plays what it is given, whatever the spaces are."""

    played: Any = None

    def act(self, observations: Any, **_: Any) -> dict[str, Any]:
        return self.played


@pytest.mark.parametrize(
    ("played", "message"),
    [
        ({"agent_0": np.zeros(2, int)}, "acts for ['agent_0']; expected the agents ['agent_0', 'agent_1']"),
        ({"agent_0": np.zeros(2, int), "agent_1": 0}, "The actions of agent_1 have shape ()"),
        ({"agent_0": np.zeros(2, int), "agent_1": np.array([0, 2])}, "The actions of agent_1 hold 2, which is not in"),
        ({"agent_0": np.array([0.5, 0]), "agent_1": np.zeros(2, int)}, "The actions of agent_0 hold 0.5, which is not"),
    ],
)
def test_actions_that_the_env_does_not_have_are_refused(played: Any, message: str) -> None:
    entry = resolve("coordination_env:coordination/matching-v0")
    policy = Wrong(entry.make())
    policy.played = played
    with pytest.raises(InputError, match=re.escape(message)):
        record(entry, policy, episodes=2, seed=0)


class InPlaceEnv(ReachEnv):
    """Scales an action where it lies, as to motor units."""

    def step(self, actions: Any) -> Any:
        actions["right"] *= 0.5
        return super().step(actions)


@pytest.mark.parametrize("processes", [1, 2])
def test_an_env_that_writes_into_its_actions_changes_no_recording(processes: int) -> None:
    as_chosen = record(EnvEntry("reach", ReachEnv), RandomJointPolicy(ReachEnv()), episodes=3, seed=0, num_envs=3)
    policy, entry = RandomJointPolicy(ReachEnv()), EnvEntry("in place", InPlaceEnv)
    recorded = record(entry, policy, episodes=3, seed=0, num_envs=3, processes=processes)
    for agent, actions in as_chosen.actions.items():
        np.testing.assert_array_equal(recorded.actions[agent], actions)
