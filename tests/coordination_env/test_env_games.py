"""The games themselves: payoffs against the textbooks, and games that must be refused."""

import copy
import pickle

import numpy as np
import pytest

from coordination_env.games import GAMES, MatrixGame, matching, named_game

NAMES = (("u", "d"), ("l", "r"))


def payoff(name: str, *joint: int) -> list[float]:
    return GAMES[name]().payoffs[:, *joint].tolist()


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("matching", {(0, 0): [1, 1], (0, 1): [0, 0], (1, 0): [0, 0], (1, 1): [1, 1]}),
        ("stag_hunt", {(0, 0): [4, 4], (0, 1): [0, 3], (1, 0): [3, 0], (1, 1): [3, 3]}),
        ("battle_of_the_sexes", {(0, 0): [2, 1], (0, 1): [0, 0], (1, 0): [0, 0], (1, 1): [1, 2]}),
        ("chicken", {(0, 0): [0, 0], (0, 1): [-1, 1], (1, 0): [1, -1], (1, 1): [-10, -10]}),
        ("prisoners_dilemma", {(0, 0): [3, 3], (0, 1): [0, 5], (1, 0): [5, 0], (1, 1): [1, 1]}),
        ("matching_pennies", {(0, 0): [1, -1], (0, 1): [-1, 1], (1, 0): [-1, 1], (1, 1): [1, -1]}),
        ("rock_paper_scissors", {(0, 0): [0, 0], (1, 0): [1, -1], (2, 1): [1, -1], (0, 2): [1, -1], (0, 1): [-1, 1]}),
    ],
)
def test_payoffs_are_those_of_the_textbook(name: str, table: dict[tuple[int, ...], list[float]]) -> None:
    assert {joint: payoff(name, *joint) for joint in table} == table
    assert GAMES[name]().name == name


@pytest.mark.parametrize(("num_agents", "num_actions"), [(2, 2), (3, 2), (2, 5), (4, 3)])
def test_matching_pays_everybody_only_where_all_agree(num_agents: int, num_actions: int) -> None:
    game = matching(num_agents, num_actions)
    assert game.num_agents == num_agents
    assert game.num_actions == (num_actions,) * num_agents
    for joint in np.ndindex(game.num_actions):
        assert game.payoffs[:, *joint].tolist() == [float(len(set(joint)) == 1)] * num_agents


def test_matching_names_its_actions_by_letters_and_never_runs_out() -> None:
    assert matching(2, 3).action_names == (("A", "B", "C"),) * 2
    assert matching(2, 30).action_names[0][25:28] == ("Z", "A26", "A27")


def test_a_game_cannot_be_changed_by_anybody() -> None:
    payoffs = np.zeros((2, 2, 2))
    game = MatrixGame("mine", payoffs, NAMES)
    payoffs[:] = 7
    assert not game.payoffs.any()
    for same in (game, copy.deepcopy(game), pickle.loads(pickle.dumps(game))):
        with pytest.raises(ValueError, match="read-only"):
            same.payoffs[0, 0, 0] = 1
    with pytest.raises(AttributeError):
        game.name = "yours"  # pyright: ignore[reportAttributeAccessIssue]


def test_games_are_equal_when_everything_is() -> None:
    game = matching()
    assert game == matching() == pickle.loads(pickle.dumps(game))
    assert hash(game) == hash(matching())
    assert game != matching(2, 3)
    assert game != MatrixGame("other", game.payoffs, game.action_names)
    assert game != MatrixGame("matching", game.payoffs, NAMES)
    assert game != MatrixGame("matching", game.payoffs + 1, game.action_names)
    assert game != "matching"


@pytest.mark.parametrize(
    ("name", "payoffs", "action_names", "message"),
    [
        ("", np.zeros((2, 2, 2)), NAMES, "name of a game must not be empty"),
        ("g", np.zeros((3, 2, 2)), NAMES, r"shape \[N, A_1..A_N\].*got \[3, 2, 2\]"),
        ("g", np.zeros(2), NAMES, r"got \[2\]"),
        ("g", np.zeros((2, 2, 0)), NAMES, r"got \[2, 2, 0\]"),
        ("g", np.full((2, 2, 2), np.nan), NAMES, "finite"),
        ("g", np.zeros((2, 2, 3)), NAMES, r"name \(2, 3\) actions.*got \(2, 2\)"),
        ("g", np.zeros((2, 2, 2)), NAMES[:1], r"got \(2,\)"),
        ("g", np.zeros((2, 2, 2)), (("u", "u"), ("l", "r")), "must differ"),
    ],
)
def test_bad_games_are_refused(
    name: str, payoffs: np.ndarray, action_names: tuple[tuple[str, ...], ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        MatrixGame(name, payoffs, action_names)


@pytest.mark.parametrize("value", [1, 0, -2, 2.0, "2", None, True])
def test_matching_needs_two_agents_and_two_actions(value: object) -> None:
    with pytest.raises(ValueError, match="num_agents must be an integer of at least 2, got"):
        matching(num_agents=value)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="num_actions must be an integer of at least 2, got"):
        matching(num_actions=value)  # pyright: ignore[reportArgumentType]


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    assert named_game("chicken") == GAMES["chicken"]()
    assert named_game(matching(3)) == matching(3)
    with pytest.raises(ValueError, match=r"Unknown game 'chess'.*stag_hunt.*rock_paper_scissors"):
        named_game("chess")
