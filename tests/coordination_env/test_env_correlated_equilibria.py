"""Correlated equilibria: textbook ones, the linear programme's choice, and what holds in every game."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordination_env.correlated_equilibria import ce_conv, correlated_equilibrium, deviation_gains
from coordination_env.equilibria import nash_conv, pure_nash_equilibria
from coordination_env.games import GAMES, matching

AUMANN = np.array([[[6, 2], [7, 0]], [[6, 7], [2, 0]]], dtype=float)
"""The game of Aumann (1974), a chicken: the rows are what the first player may do."""


def payoffs_of(name: str) -> np.ndarray:
    return GAMES[name]().payoffs


@pytest.mark.parametrize(
    ("name", "joint"),
    [
        ("matching", [[0.3, 0], [0, 0.7]]),
        ("battle_of_the_sexes", [[0.5, 0], [0, 0.5]]),
        ("chicken", [[0, 0.5], [0.5, 0]]),
        ("chicken", [[1 / 3, 1 / 3], [1 / 3, 0]]),
        ("chicken", [[9 / 11, 1 / 11], [1 / 11, 0]]),  # 9 p(straight | told to swerve) = p(swerve | …): indifferent
        ("chicken", [[0.81, 0.09], [0.09, 0.01]]),  # its mixed Nash equilibrium
        ("rock_paper_scissors", np.full((3, 3), 1 / 9)),
        ("matching_pennies", np.full((2, 2), 1 / 4)),
        ("prisoners_dilemma", [[0, 0], [0, 1]]),
    ],
)
def test_textbook_correlated_equilibria(name: str, joint: Any) -> None:
    assert ce_conv(payoffs_of(name), joint) == pytest.approx(0, abs=1e-12)


def test_gains_by_hand() -> None:
    # Both swerve for sure: whoever goes straight wins 1 in place of 0.
    np.testing.assert_allclose(deviation_gains(payoffs_of("chicken"), [[1, 0], [0, 0]]), [1, 1])
    # The first agent, told ballet half the time, then meets the other at the fight (1 in place of 0), and is content
    # when it is told fight. The second always plays fight, where the first is half the time: 1 in place of 0.5.
    joint = np.array([[0, 0.5], [0, 0.5]])
    np.testing.assert_allclose(deviation_gains(payoffs_of("battle_of_the_sexes"), joint), [0.5, 0])
    # Rock against rock and paper against paper: each wins 1 by the next one up, whatever it is told.
    joint = np.diag([0.5, 0.5, 0])
    np.testing.assert_allclose(deviation_gains(payoffs_of("rock_paper_scissors"), joint), [1, 1])
    assert ce_conv(payoffs_of("rock_paper_scissors"), joint) == pytest.approx(2)


def test_gains_need_to_know_what_one_was_told() -> None:
    # Opposite sides or equal ones by a fair coin: no fixed side wins more, but the second agent, told, could.
    told = [[0.5, 0], [0, 0.5]]
    np.testing.assert_allclose(deviation_gains(payoffs_of("matching_pennies"), told), [0, 2])
    np.testing.assert_allclose(nash_conv(payoffs_of("matching_pennies"), [[0.5, 0.5]] * 2), 0, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "joint"),
    [
        ("matching", [[0.5, 0], [0, 0.5]]),
        ("stag_hunt", [[1, 0], [0, 0]]),
        ("battle_of_the_sexes", [[0.5, 0], [0, 0.5]]),
        ("chicken", [[1 / 3, 1 / 3], [1 / 3, 0]]),
        ("prisoners_dilemma", [[0, 0], [0, 1]]),
        ("matching_pennies", np.full((2, 2), 1 / 4)),
        ("rock_paper_scissors", np.full((3, 3), 1 / 9)),
    ],
)
def test_the_flattest_of_the_best_equilibria(name: str, joint: Any) -> None:
    np.testing.assert_allclose(correlated_equilibrium(payoffs_of(name)), joint, atol=1e-9)


def test_the_classic_bound_of_aumann() -> None:
    # Half (6, 6), a quarter each of (2, 7) and (7, 2): 5.25 each, more than any Nash equilibrium's convex hull gives.
    joint = correlated_equilibrium(AUMANN)
    np.testing.assert_allclose(joint, [[0.5, 0.25], [0.25, 0]], atol=1e-8)
    assert (joint * AUMANN[0]).sum() == pytest.approx(5.25)


def test_the_objective_chooses() -> None:
    first, swerves = payoffs_of("chicken")[0], np.array([[0, 1], [0, 0]])
    np.testing.assert_allclose(correlated_equilibrium(payoffs_of("chicken"), objective=first), [[0, 0], [1, 0]])
    np.testing.assert_allclose(correlated_equilibrium(payoffs_of("chicken"), objective=swerves), swerves)
    # Crashes as often as can be: who is told straight must meet a swerver nine times in ten, and who is told to swerve
    # may always meet a straight one. So 9 + 9 + 1 parts.
    crash = correlated_equilibrium(payoffs_of("chicken"), objective=[[0, 0], [0, 1]])
    np.testing.assert_allclose(crash, [[0, 9 / 19], [9 / 19, 1 / 19]], atol=1e-8)


def test_a_coarse_equilibrium_need_not_be_one_after_being_told() -> None:
    # Always a draw: who decides beforehand wins and loses equally often, but who is told rock knows to play paper.
    draws = np.eye(3)
    coarse = correlated_equilibrium(payoffs_of("rock_paper_scissors"), objective=draws, coarse=True)
    np.testing.assert_allclose(coarse, np.eye(3) / 3, atol=1e-9)
    assert ce_conv(payoffs_of("rock_paper_scissors"), coarse) == pytest.approx(2)


@pytest.mark.parametrize("num_agents", [2, 3, 4])
def test_any_number_of_agents_and_actions(num_agents: int) -> None:
    joint = correlated_equilibrium(matching(num_agents, 3).payoffs)
    expected = np.zeros((3,) * num_agents)
    for action in range(3):
        expected[(action,) * num_agents] = 1 / 3
    np.testing.assert_allclose(joint, expected, atol=1e-9)


@st.composite
def games(draw: st.DrawFn) -> tuple[np.ndarray, np.random.Generator]:
    """A random game of one to three players with whole payoffs, which tie often, and a generator."""
    num_actions = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return draw(st.sampled_from([1.0, 1000.0])) * rng.integers(-3, 4, (len(num_actions), *num_actions)), rng


@given(games())
def test_what_is_found_is_an_equilibrium_and_no_worse_than_any_pure_one(case: tuple[Any, Any]) -> None:
    payoffs, _ = case
    scale, worth = max(1.0, np.abs(payoffs).max()), payoffs.sum(axis=0)
    for coarse in (False, True):
        joint = correlated_equilibrium(payoffs, coarse=coarse)
        assert joint.sum() == pytest.approx(1)
        assert joint.min() >= 0
        assert all((joint * worth).sum() >= worth[cell] - 1e-6 * scale for cell in pure_nash_equilibria(payoffs))
        if not coarse:
            assert ce_conv(payoffs, joint) <= 1e-6 * scale


@given(games())
def test_of_a_product_the_gap_is_its_nash_conv(case: tuple[Any, Any]) -> None:
    payoffs, rng = case
    strategies = [rng.dirichlet(np.ones(count), size=4) for count in payoffs.shape[1:]]
    letters = "abc"[: len(strategies)]
    joint = np.einsum(",".join("r" + letter for letter in letters) + "->r" + letters, *strategies)
    np.testing.assert_allclose(ce_conv(payoffs, joint), nash_conv(payoffs, strategies), atol=1e-9)


@given(games())
def test_the_gains_are_those_of_the_best_of_all_plans(case: tuple[Any, Any]) -> None:
    """The slow twin: every plan from what one is told to what one plays."""
    payoffs, rng = case
    shape = payoffs.shape[1:]
    joint = rng.dirichlet(np.ones(payoffs[0].size)).reshape(shape)
    for player, gain in enumerate(deviation_gains(payoffs, joint)):
        best = -np.inf
        for plan in itertools.product(range(shape[player]), repeat=shape[player]):
            total = 0.0
            for cell in np.ndindex(*shape):
                played = (*cell[:player], plan[cell[player]], *cell[player + 1 :])
                total += joint[cell] * (payoffs[player][played] - payoffs[player][cell])
            best = max(best, total)
        assert gain == pytest.approx(best, abs=1e-9)


def test_leading_axes() -> None:
    joints = np.random.default_rng(0).dirichlet(np.ones(9), size=(5, 2)).reshape(5, 2, 3, 3)
    gains = deviation_gains(payoffs_of("rock_paper_scissors"), joints)
    assert gains.shape == (5, 2, 2)
    np.testing.assert_allclose(gains[3, 1], deviation_gains(payoffs_of("rock_paper_scissors"), joints[3, 1]))


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"ends in \[2, 2\], got \[3, 3\]"):
        ce_conv(payoffs_of("chicken"), np.full((3, 3), 1 / 9))
    with pytest.raises(ValueError, match=r"\[N, A_1..A_N\], got \[2, 2\]"):
        correlated_equilibrium(np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"objective must have shape \[2, 2\], got \[2\]"):
        correlated_equilibrium(payoffs_of("chicken"), objective=[1, 2])
