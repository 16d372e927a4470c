"""Copies of any ParallelEnv as a vector env, and the check that a native one does the same."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Space
from pettingzoo import ParallelEnv

from coordination_env import matching_v0, matrix_game
from coordination_env.games import GAMES
from magail_trainer.errors import InputError
from magail_trainer.vector_env import ParallelEnvCopies, check_vector_env
from tests.magail_trainer.toy_envs import EarlyExitEnv, RandomLengthEnv, SignallingEnv, StillListedEnv


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
    with pytest.raises(ValueError, match=r"zip\(\) argument 2 is shorter"):
        ParallelEnvCopies(RandomLengthEnv, 3).reset(seed=[1, 2])


@pytest.mark.parametrize(
    ("make_env", "reason"),
    [
        (EarlyExitEnv, "right is absent while left plays on; expected agents that start and end together"),
        (StillListedEnv, r"leaves \['left', 'right'\] in its agents at the end"),
    ],
)
def test_agents_that_do_not_end_together_are_refused(make_env: Callable[[], ParallelEnv], reason: str) -> None:
    def play() -> None:
        copies = ParallelEnvCopies(make_env, 2)
        copies.reset(seed=0)
        for step in range(10):
            copies.step(actions_of(2, step))

    with pytest.raises(InputError, match=reason):
        play()


# The check


@pytest.mark.parametrize("horizon", [1, 2, 3])
@pytest.mark.parametrize("game", sorted(GAMES))
def test_native_vector_envs_of_matrix_games_equal_their_copies(game: str, horizon: int) -> None:
    vector_env: Any = matrix_game.vector_env(3, game=game, horizon=horizon)
    check_vector_env(vector_env, lambda: matrix_game.parallel_env(game, horizon=horizon), steps=10)


@pytest.mark.parametrize("horizon", [1, 2, 3])
def test_the_native_vector_env_of_matching_equals_its_copies(horizon: int) -> None:
    kwargs: dict[str, Any] = {"num_agents": 3, "num_actions": 4, "horizon": horizon}
    vector_env: Any = matching_v0.vector_env(5, **kwargs)
    check_vector_env(vector_env, lambda: matching_v0.parallel_env(**kwargs))


@pytest.mark.parametrize("make_env", [RandomLengthEnv, SignallingEnv, lambda: RandomLengthEnv(nested=True)])
def test_copies_pass_their_own_check(make_env: Callable[[], ParallelEnv]) -> None:
    check_vector_env(ParallelEnvCopies(make_env, 3), make_env)


class WrongSpace(ParallelEnvCopies):
    def action_space(self, agent: str) -> Space:
        return Box(-1, 2, (3,), np.float32) if agent == "right" else super().action_space(agent)


class WrongAgents(ParallelEnvCopies):
    def __init__(self, make_env: Callable[[], ParallelEnv], num_envs: int) -> None:
        super().__init__(make_env, num_envs)
        self.possible_agents = self.possible_agents[::-1]


class WrongReset(ParallelEnvCopies):
    def reset(self, seed: Any = None) -> Any:
        return super().reset(None if seed is None else seed + 1)


class WrongStep(ParallelEnvCopies):
    """Breaks the part of `step`'s answer that `part` numbers, for `right` alone and its last copy alone."""

    part = 0

    def step(self, actions: dict[str, Any]) -> Any:
        result = super().step(actions)
        broken: Any = result[self.part]["right"]
        broken = broken["final_obs"] if self.part == 4 else broken
        broken[-1] = 1 - broken[-1]
        return result


class NoFinalObservation(ParallelEnvCopies):
    def step(self, actions: dict[str, Any]) -> Any:
        return *super().step(actions)[:4], {"left": {}, "right": {}}


@pytest.mark.parametrize(
    ("broken", "where"),
    [
        (WrongAgents, "agents"),
        (WrongSpace, "action space of right"),
        (WrongReset, "observations after reset"),
        (NoFinalObservation, "final_obs is missing"),
        *[
            (type("WrongPart", (WrongStep,), {"part": part}), f"{name} after step 0, right")
            for part, name in enumerate(["observations", "rewards", "terminations", "truncations", "infos"])
        ],
    ],
)
def test_the_check_finds_what_is_broken(broken: type[ParallelEnvCopies], where: str) -> None:
    with pytest.raises(AssertionError, match=where):
        check_vector_env(broken(RandomLengthEnv, 3), RandomLengthEnv)


def test_the_check_finds_a_game_with_other_payoffs() -> None:
    vector_env: Any = matrix_game.vector_env(3, game="chicken")
    with pytest.raises(AssertionError, match="rewards after step"):
        check_vector_env(vector_env, lambda: matrix_game.parallel_env("stag_hunt"))
