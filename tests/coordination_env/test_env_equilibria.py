"""Solution concepts: numbers worked out by hand, and properties that hold in every game."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordination_env.equilibria import (
    action_values,
    expected_payoffs,
    nash_conv,
    pure_nash_equilibria,
)
from coordination_env.games import GAMES, matching

UNIFORM = np.array([0.5, 0.5])


def payoffs_of(name: str) -> np.ndarray:
    return GAMES[name]().payoffs


@pytest.mark.parametrize(
    ("name", "equilibria"),
    [
        ("matching", [(0, 0), (1, 1)]),
        ("stag_hunt", [(0, 0), (1, 1)]),
        ("battle_of_the_sexes", [(0, 0), (1, 1)]),
        ("chicken", [(0, 1), (1, 0)]),
        ("prisoners_dilemma", [(1, 1)]),
        ("matching_pennies", []),
        ("rock_paper_scissors", []),
    ],
)
def test_pure_equilibria_of_textbook_games(name: str, equilibria: list[tuple[int, ...]]) -> None:
    assert pure_nash_equilibria(payoffs_of(name)) == equilibria


def test_pure_equilibria_of_matching_with_three_agents() -> None:
    # Nobody alone can repair a three-way mismatch of three actions, so those are (weak) equilibria too.
    agree = {(a, a, a) for a in range(3)}
    assert set(pure_nash_equilibria(matching(3, 3).payoffs)) == agree | set(itertools.permutations(range(3)))


@pytest.mark.parametrize(
    ("name", "first", "second", "value"),
    [
        ("matching", [0.5, 0.5], [0.5, 0.5], [0.5, 0.5]),
        ("stag_hunt", [0.75, 0.25], [0.75, 0.25], [3, 3]),
        ("battle_of_the_sexes", [2 / 3, 1 / 3], [1 / 3, 2 / 3], [2 / 3, 2 / 3]),
        ("chicken", [0.9, 0.1], [0.9, 0.1], [-0.1, -0.1]),
        ("matching_pennies", [0.5, 0.5], [0.5, 0.5], [0, 0]),
        ("rock_paper_scissors", [1 / 3] * 3, [1 / 3] * 3, [0, 0]),
    ],
)
def test_mixed_equilibria_of_textbook_games(
    name: str, first: list[float], second: list[float], value: list[float]
) -> None:
    payoffs = payoffs_of(name)
    np.testing.assert_allclose(expected_payoffs(payoffs, [first, second]), value, atol=1e-12)
    np.testing.assert_allclose(nash_conv(payoffs, [first, second]), 0, atol=1e-12)
    for player in (0, 1):  # every action is a best response
        assert np.ptp(action_values(payoffs, [first, second], player)) < 1e-9


def test_numbers_worked_out_by_hand_away_from_equilibrium() -> None:
    payoffs = payoffs_of("battle_of_the_sexes")
    strategies = [UNIFORM, [0.2, 0.8]]
    # The row player: 0.2 * 2 = 0.4 against 0.8 * 1 = 0.8. The column player: 0.5 * 1 against 0.5 * 2.
    np.testing.assert_allclose(action_values(payoffs, strategies, 0), [0.4, 0.8])
    np.testing.assert_allclose(action_values(payoffs, strategies, 1), [0.5, 1.0])
    np.testing.assert_allclose(expected_payoffs(payoffs, strategies), [0.6, 0.9])
    np.testing.assert_allclose(nash_conv(payoffs, strategies), 0.2 + 0.1)


def test_three_players_by_hand() -> None:
    # All choose alike with probability p q r + (1-p)(1-q)(1-r).
    strategies = [[0.5, 0.5], [0.2, 0.8], [0.1, 0.9]]
    np.testing.assert_allclose(expected_payoffs(matching(3).payoffs, strategies), [0.01 + 0.36] * 3)
    np.testing.assert_allclose(action_values(matching(3).payoffs, strategies, 1), [0.05, 0.45])


def test_players_may_have_different_numbers_of_actions() -> None:
    payoffs = np.arange(12.0).reshape(2, 2, 3)
    strategies = [[1.0, 0.0], [0.0, 0.5, 0.5]]
    assert expected_payoffs(payoffs, strategies).tolist() == [1.5, 7.5]
    assert action_values(payoffs, strategies, 0).tolist() == [1.5, 4.5]
    assert action_values(payoffs, strategies, 1).tolist() == [6.0, 7.0, 8.0]


@st.composite
def games_and_strategies(draw: st.DrawFn) -> tuple[np.ndarray, list[np.ndarray]]:
    """A random game with one to three players, and a batch [4, 3] of strategies for each."""
    num_actions = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    payoffs = rng.integers(-3, 4, (len(num_actions), *num_actions)).astype(float)
    return payoffs, [rng.dirichlet(np.ones(count), size=(4, 3)) for count in num_actions]


@given(games_and_strategies())
def test_expected_payoffs_equal_the_sum_over_joint_actions(case: tuple[np.ndarray, list[np.ndarray]]) -> None:
    payoffs, strategies = case
    slow = np.zeros((4, 3, len(payoffs)))
    for joint in np.ndindex(payoffs.shape[1:]):
        probability = np.prod([s[..., a] for s, a in zip(strategies, joint, strict=True)], axis=0)
        slow += probability[..., None] * payoffs[:, *joint]
    np.testing.assert_allclose(expected_payoffs(payoffs, strategies), slow, atol=1e-12)


@given(games_and_strategies())
def test_action_values_average_to_the_expected_payoff(case: tuple[np.ndarray, list[np.ndarray]]) -> None:
    payoffs, strategies = case
    earned = expected_payoffs(payoffs, strategies)
    for player, strategy in enumerate(strategies):
        values = action_values(payoffs, strategies, player)
        np.testing.assert_allclose((values * strategy).sum(axis=-1), earned[..., player], atol=1e-12)


@given(games_and_strategies())
def test_nash_conv_is_zero_exactly_at_the_pure_equilibria(case: tuple[np.ndarray, list[np.ndarray]]) -> None:
    payoffs, strategies = case
    assert (nash_conv(payoffs, strategies) >= -1e-12).all()
    stable = []
    for joint in np.ndindex(payoffs.shape[1:]):
        pure = [np.eye(count)[a] for count, a in zip(payoffs.shape[1:], joint, strict=True)]
        values = [action_values(payoffs, pure, player) for player in range(len(joint))]
        best = all(value[a] >= value.max() - 1e-9 for value, a in zip(values, joint, strict=True))
        assert best == (nash_conv(payoffs, pure) < 1e-9)
        if best:
            stable.append(joint)
    assert pure_nash_equilibria(payoffs) == stable


def test_leading_axes_broadcast_those_of_the_payoffs_included() -> None:
    first, second = np.full((5, 1, 2), 0.5), np.full((3, 2), 0.5)
    assert expected_payoffs(payoffs_of("chicken"), [first, second]).shape == (5, 3, 2)
    assert nash_conv(payoffs_of("chicken"), [first, second]).shape == (5, 3)
    both = np.stack([payoffs_of("matching"), payoffs_of("stag_hunt")])
    np.testing.assert_allclose(expected_payoffs(both, [UNIFORM, UNIFORM]), [[0.5, 0.5], [2.5, 2.5]])


def test_wrong_shapes_are_refused() -> None:
    payoffs = payoffs_of("matching")
    with pytest.raises(ValueError, match=r"over \(2, 3\) actions.*ends in \[2, 2, 3\], got \[2, 2, 2\]"):
        expected_payoffs(payoffs, [UNIFORM, [0.2, 0.3, 0.5]])
    with pytest.raises(ValueError, match="need payoffs"):
        nash_conv(payoffs, [UNIFORM])
    for player in (2, -1):
        with pytest.raises(ValueError, match=f"player must be an integer from 0 to 1, got {player}"):
            action_values(payoffs, [UNIFORM, UNIFORM], player)
    with pytest.raises(ValueError, match=r"\[N, A_1..A_N\], got \[2, 2\]"):
        pure_nash_equilibria(np.zeros((2, 2)))
