"""Copies of any ParallelEnv as a vector env."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Discrete
from pettingzoo import ParallelEnv

from magail_trainer.envs.flatten_observations import PlainEnv
from magail_trainer.envs.vector_env import ParallelEnvCopies, draw_allowed, episode_over
from magail_trainer.errors import InputError
from tests.magail_trainer.toy_envs import DyingEnv, MaskedEnv, RandomLengthEnv, StillListedEnv


def actions_of(num_envs: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    right = rng.uniform(-1, 1, (num_envs, 3)).astype(np.float32)
    return {"left": rng.integers(2, size=num_envs), "right": right}


# Copies


@pytest.mark.parametrize("nested", [False, True], ids=["Box", "Dict"])
def test_every_copy_does_what_a_lone_env_does(nested: bool) -> None:  # noqa: FBT001
    copies = ParallelEnvCopies(lambda: RandomLengthEnv(nested=nested), 4)
    lone = [RandomLengthEnv(nested=nested) for _ in range(4)]

    def bare(observation: Any) -> np.ndarray:
        return np.array(observation["seen"] if nested else observation)

    observations, _ = copies.reset(seed=[5, 6, 5, 9])
    expected = [bare(env.reset(seed=seed)[0]["left"]) for env, seed in zip(lone, [5, 6, 5, 9], strict=True)]
    np.testing.assert_array_equal(bare(observations["left"]), expected)
    endings = 0
    for step in range(30):
        actions = actions_of(4, step)
        observations, rewards, terminations, truncations, infos = copies.step(actions)
        for copy, env in enumerate(lone):
            seen, paid, terminated, truncated, _ = env.step({agent: array[copy] for agent, array in actions.items()})
            final = {agent: bare(value) for agent, value in seen.items()}
            endings += not env.agents
            following = seen if env.agents else env.reset()[0]
            for agent in copies.possible_agents:
                assert rewards[agent][copy] == paid[agent]
                assert terminations[agent][copy] == terminated[agent]
                assert truncations[agent][copy] == truncated[agent]
                np.testing.assert_array_equal(bare(infos[agent]["final_obs"])[copy], final[agent])
                np.testing.assert_array_equal(bare(observations[agent])[copy], bare(following[agent]))
    assert endings > 20


def test_results_are_arrays_with_the_copies_in_front() -> None:
    copies = ParallelEnvCopies(RandomLengthEnv, 3)
    assert copies.possible_agents == ["left", "right"]
    observations, infos = copies.reset(seed=0)
    assert {agent: array.shape for agent, array in observations.items()} == {"left": (3, 2), "right": (3, 2)}
    assert infos == {"left": {}, "right": {}}
    observations, rewards, terminations, truncations, infos = copies.step(actions_of(3))
    assert observations["left"].dtype == np.float32
    assert (rewards["left"].shape, rewards["left"].dtype) == ((3,), np.float64)
    assert terminations["left"].dtype == truncations["left"].dtype == np.bool_
    assert infos["right"]["final_obs"].shape == (3, 2)


def test_one_seed_stands_for_consecutive_ones() -> None:
    first, second = (ParallelEnvCopies(RandomLengthEnv, 3) for _ in range(2))
    np.testing.assert_array_equal(first.reset(seed=7)[0]["left"], second.reset(seed=[7, 8, 9])[0]["left"])
    np.testing.assert_array_equal(first.reset()[0]["left"], second.reset()[0]["left"])


def test_what_was_returned_does_not_change_with_the_next_step() -> None:
    copies = ParallelEnvCopies(RandomLengthEnv, 2)
    kept = [copies.reset(seed=0)[0]["left"]]
    before = [kept[0].copy()]
    for step in range(5):
        observations, *_, infos = copies.step(actions_of(2, step))
        kept += [observations["left"], infos["left"]["final_obs"]]
        before += [array.copy() for array in kept[-2:]]
    for ours, theirs in zip(kept, before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_one_seed_for_each_copy_or_none() -> None:
    with pytest.raises(ValueError, match="There are 2 seeds for 3 copies"):
        ParallelEnvCopies(RandomLengthEnv, 3).reset(seed=[1, 2])


# Agents that leave early


def test_what_a_lone_agent_that_leaves_gets() -> None:
    """DyingEnv, one copy, every number by hand: agent_0 leaves at step 2, agent_2 at step 3, agent_1 at step 4."""
    copies = ParallelEnvCopies(DyingEnv, 1)
    observations, _ = copies.reset(seed=3)
    number = float(np.float32(1 + np.random.default_rng(3).random()))
    actions = {agent: np.array([1]) for agent in copies.possible_agents}
    expected = [  # by agent: observed, earned, terminated, truncated
        [([1, 1, number], 2, 0, 0), ([2, 1, number], 12, 0, 0), ([3, 1, number], 22, 0, 0)],
        [([1, 2, number], 3, 1, 0), ([2, 2, number], 13, 0, 0), ([3, 2, number], 23, 0, 0)],
        [([0, 0, 0], 0, 1, 0), ([2, 3, number], 14, 0, 0), ([3, 3, number], 24, 0, 1)],
        [([0, 0, 0], 0, 1, 0), ([2, 4, number], 15, 0, 1), ([0, 0, 0], 0, 0, 1)],
    ]
    for step, row in enumerate(expected):
        observations, rewards, terminations, truncations, infos = copies.step(actions)
        for agent, (seen, earned, terminated, truncated) in zip(copies.possible_agents, row, strict=True):
            np.testing.assert_array_equal(infos[agent]["final_obs"][0], np.float32(seen))
            assert rewards[agent].tolist() == [earned]
            assert (terminations[agent].tolist(), truncations[agent].tolist()) == ([terminated], [truncated])
            if step < 3:
                np.testing.assert_array_equal(observations[agent][0], np.float32(seen))
        assert episode_over(terminations, truncations).tolist() == [step == 3]
    # The next episode has begun, with all agents.
    assert [observations[agent][0, :2].tolist() for agent in copies.possible_agents] == [[1, 0], [2, 0], [3, 0]]
    _, rewards, terminations, truncations, _ = copies.step(actions)
    assert [rewards[agent][0] for agent in copies.possible_agents] == [2, 12, 22]
    assert not any(flags[agent][0] for flags in (terminations, truncations) for agent in copies.possible_agents)


def test_copies_of_different_lengths_do_not_disturb_each_other() -> None:
    lengths = iter([(1, 3), (2, 1)])
    copies = ParallelEnvCopies(lambda: DyingEnv(next(lengths)), 2)
    copies.reset(seed=0)
    over, left = [], []
    for _ in range(6):
        _, _, terminations, truncations, _ = copies.step({agent: np.array([0, 0]) for agent in copies.possible_agents})
        over.append(episode_over(terminations, truncations).tolist())
        left.append((terminations["agent_0"].tolist(), truncations["agent_1"].tolist()))
    assert over == [[False, False], [False, True], [True, False], [False, True], [False, False], [True, True]]
    assert left == [
        ([True, False], [False, True]),
        ([True, True], [False, True]),
        ([True, False], [True, True]),
        ([True, True], [False, True]),
        ([True, False], [False, True]),
        ([True, True], [True, True]),
    ]


def test_a_reset_in_the_middle_brings_back_who_has_left() -> None:
    copies = ParallelEnvCopies(DyingEnv, 1)
    copies.reset(seed=0)
    actions = {agent: np.array([0]) for agent in copies.possible_agents}
    for _ in range(3):
        copies.step(actions)
    copies.reset(seed=0)
    _, rewards, terminations, *_ = copies.step(actions)
    assert (rewards["agent_0"][0], terminations["agent_0"][0]) == (1, False)


class Lying(DyingEnv):
    """Its agents leave at steps 1 and 3, but it lists others, or flags others."""

    listed: Any = None
    flags: Any = None

    def __init__(self) -> None:
        super().__init__((1, 3))

    def step(self, actions: dict[str, Any]) -> Any:
        results = super().step(actions)
        self.agents = self.agents if self.listed is None else list(self.listed)
        return results if self.flags is None else (*results[:2], self.flags, self.flags, results[4])


class Late(DyingEnv):
    def reset(self, seed: int | None = None, options: dict | None = None) -> Any:
        results = super().reset(seed, options)
        self.agents = self.agents[:1]
        return results


def lying(**what: Any) -> type[ParallelEnv]:
    return type("Liar", (Lying,), what)


NONE, BOTH = {"agent_0": False, "agent_1": False}, {"agent_0": True, "agent_1": True}


@pytest.mark.parametrize(
    ("make_env", "reason"),
    [
        (StillListedEnv, r"leaves \['left', 'right'\] in its agents at the end"),
        (
            lying(listed=[], flags=NONE),
            "ends an episode in step 1 without a termination or truncation of agent_0",
        ),
        (lying(listed=["agent_1"], flags=NONE), "does not list agent_0 among its agents in step 1, which was neither"),
        (lying(listed=["agent_0", "agent_1"]), "lists agent_0 among its agents in step 1, after it has left"),
        (lying(listed=["agent_1"], flags=BOTH), r"leaves \['agent_1'\] in its agents at the end"),
        (lying(flags={"agent_0": True}), "gives agent_1 no reward, termination or truncation in step 1"),
        (Late, "does not list agent_1 among its agents when an episode starts"),
    ],
)
def test_an_env_that_contradicts_itself_is_refused(make_env: Callable[[], ParallelEnv], reason: str) -> None:
    def play() -> None:
        copies = ParallelEnvCopies(make_env, 2)
        copies.reset(seed=0)
        for step in range(10):
            zeros = {agent: np.zeros(2, dtype=int) for agent in copies.possible_agents}
            copies.step(actions_of(2, step) if "left" in zeros else zeros)

    with pytest.raises(InputError, match=reason):
        play()


# Action masks


@pytest.mark.parametrize("make_env", [lambda: MaskedEnv(in_infos=True), lambda: PlainEnv(MaskedEnv())])
def test_masks_belong_to_the_observations_returned(make_env: Callable[[], ParallelEnv]) -> None:
    copies = ParallelEnvCopies(make_env, 2)
    _, infos = copies.reset()
    np.testing.assert_array_equal(infos["agent_0"]["action_mask"], [[0, 1, 1, 1]] * 2)
    assert infos["agent_0"]["action_mask"].dtype == np.int8
    assert infos["agent_1"] == {}
    # The step after which the episode is over gives the mask of the next episode's first observation.
    for mask in ([1, 0, 1, 1], [1, 1, 0, 1], [0, 1, 1, 1], [1, 0, 1, 1]):
        before = infos["agent_0"]["action_mask"].copy()
        *_, following = copies.step({"agent_0": np.array([3, 3]), "agent_1": np.array([0, 1])})
        np.testing.assert_array_equal(following["agent_0"]["action_mask"], [mask] * 2)
        np.testing.assert_array_equal(infos["agent_0"]["action_mask"], before)  # was not changed behind our back
        infos = following


class SometimesMasked(DyingEnv):
    """Gives a mask at the first step only, to who is told; and ill-shaped ones if told so."""

    size = 2

    def step(self, actions: dict[str, Any]) -> Any:
        *results, infos = super().step(actions)
        infos = {agent: {"action_mask": np.arange(self.size)} if self._step < 3 else {} for agent in infos}
        return *results, infos


def test_rows_without_a_mask_are_ones() -> None:
    copies = ParallelEnvCopies(SometimesMasked, 1)
    assert copies.reset(seed=0)[1]["agent_0"] == {}
    actions = {agent: np.array([0]) for agent in copies.possible_agents}
    rows = [[info["action_mask"][0].tolist() for info in copies.step(actions)[4].values()] for _ in range(4)]
    assert rows[0] == [[0, 1], [0, 1], [0, 1]]
    assert rows[1] == [[1, 1], [0, 1], [0, 1]]  # agent_0 has left
    assert rows[2] == rows[3] == [[1, 1], [1, 1], [1, 1]]


def test_a_mask_of_another_size_is_refused() -> None:
    copies = ParallelEnvCopies(type("WrongSize", (SometimesMasked,), {"size": 3}), 1)
    copies.reset(seed=0)
    with pytest.raises(InputError, match=r"gives agent_0 an action mask of shape \(3,\) in step 1; expected \(2,\)"):
        copies.step({agent: np.array([0]) for agent in copies.possible_agents})


def test_allowed_actions_are_drawn_evenly() -> None:
    mask = np.tile(np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0]], dtype=np.int8), (1000, 1))
    drawn = draw_allowed(mask, Discrete(3, start=5), np.random.default_rng(0)).reshape(1000, 3)
    assert set(drawn[:, 0]) == {5, 7}
    assert 450 < (drawn[:, 0] == 5).sum() < 550
    assert (drawn[:, 1] == 6).all()
    assert (drawn[:, 2] == 5).all()
