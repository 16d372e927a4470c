"""The payoff table as text and as a picture."""

import numpy as np
import pytest

from coordination_env import MatrixGame, matching_v0, matrix_game
from coordination_env.matrix_game import MatrixGameEnv
from coordination_env.rendering import MARK, MOST_LINES

MARK_RGB = [int(MARK[i : i + 2], 16) for i in (1, 3, 5)]


def played(env: MatrixGameEnv, *joint: int) -> MatrixGameEnv:
    env.reset()
    env.step(dict(zip(env.possible_agents, joint, strict=True)))
    return env


def text(env: MatrixGameEnv) -> str:
    rendered = env.render()
    assert isinstance(rendered, str)
    return rendered


def picture_of(env: MatrixGameEnv) -> np.ndarray:
    picture = env.render()
    assert isinstance(picture, np.ndarray)
    assert (picture.dtype, picture.ndim, picture.shape[2]) == (np.uint8, 3, 3)
    return picture


def marked_pixels(env: MatrixGameEnv) -> np.ndarray:
    """Rows and columns [P, 2] of the mark's pixels, as shares of the picture's size."""
    picture = picture_of(env)
    return np.argwhere((picture == MARK_RGB).all(axis=2)) / picture.shape[:2]


def test_text_by_hand() -> None:
    env = matrix_game.parallel_env("stag_hunt", render_mode="ansi")
    env.reset()
    assert text(env).splitlines() == [
        "stag_hunt, step 0 of 1",
        "         agent_1",
        "agent_0  stag   hare",
        "stag     4, 4   0, 3",
        "hare     3, 0   3, 3",
        "nothing played yet",
    ]
    assert text(played(env, 0, 1)).splitlines() == [
        "stag_hunt, step 1 of 1",
        "         agent_1",
        "agent_0  stag   hare",
        "stag     4, 4  [0, 3]",
        "hare     3, 0   3, 3",
        "played stag, hare: payoffs 0, 3",
    ]


def test_human_mode_prints_the_text_at_every_step(capsys: pytest.CaptureFixture[str]) -> None:
    expected = text(played(matrix_game.parallel_env("chicken", render_mode="ansi"), 1, 1))
    env = played(matrix_game.parallel_env("chicken", render_mode="human"), 1, 1)
    assert capsys.readouterr().out == expected + "\n"
    assert env.render() is None
    assert capsys.readouterr().out == expected + "\n"


def test_without_a_mode_there_is_a_warning_and_nothing_else() -> None:
    env = played(matching_v0.parallel_env(), 0, 0)
    with pytest.warns(UserWarning, match="matching_v0 was made without a render_mode"):
        assert env.render() is None


def test_three_agents_have_joint_rows() -> None:
    lines = text(played(matching_v0.parallel_env(num_agents=3, render_mode="ansi"), 1, 0, 1)).splitlines()
    assert lines[2].split() == ["agent_0,", "agent_1", "A", "B"]
    assert [line[:4] for line in lines[3:7]] == ["A, A", "A, B", "B, A", "B, B"]
    assert [line for line in lines if "[" in line] == [lines[5]]
    assert lines[5].endswith("[0, 0, 0]")


def test_one_agent_has_one_row() -> None:
    env = MatrixGameEnv(MatrixGame("bandit", np.array([[1, 2, 3]]), (("x", "y", "z"),)), render_mode="ansi")
    assert "1   2  [3]" in text(played(env, 2))


@pytest.mark.parametrize("action", [0, 17, 39])
def test_of_a_big_table_the_surroundings_of_the_choice_are_shown(action: int) -> None:
    rendered = text(played(matching_v0.parallel_env(num_actions=40, render_mode="ansi"), action, action))
    assert rendered.count("[1, 1]") == 1
    assert len(rendered.splitlines()) == MOST_LINES + 4
    assert f"({MOST_LINES**2} of 1600 cells shown)" in rendered


@pytest.mark.parametrize("joint", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_the_picture_frames_the_chosen_cell(joint: tuple[int, int]) -> None:
    env = matrix_game.parallel_env("battle_of_the_sexes", render_mode="rgb_array")
    env.reset()
    assert len(marked_pixels(env)) == 0
    seen = [marked_pixels(played(env, *other)).mean(axis=0) for other in [(0, 0), (1, 1)]]
    (top, left), (bottom, right) = seen
    assert top < bottom
    assert left < right
    np.testing.assert_allclose(
        marked_pixels(played(env, *joint)).mean(axis=0), [(top, bottom)[joint[0]], (left, right)[joint[1]]], atol=0.01
    )


@pytest.mark.parametrize(("num_agents", "num_actions"), [(2, 2), (2, 40), (5, 2)])
def test_all_frames_of_an_episode_have_one_size(num_agents: int, num_actions: int) -> None:
    env = matching_v0.parallel_env(num_agents=num_agents, num_actions=num_actions, horizon=10, render_mode="rgb_array")
    env.reset()
    sizes = {picture_of(env).shape}
    for step in range(1, 11):
        env.step(dict.fromkeys(env.possible_agents, num_actions - 1 if step % 2 else 0))
        if step in (1, 2, 10):
            sizes.add(picture_of(env).shape)
    assert len(sizes) == 1


def test_pictures_belong_to_the_caller() -> None:
    env = played(matching_v0.parallel_env(render_mode="rgb_array"), 0, 0)
    first, second = picture_of(env), picture_of(env)
    assert first.flags.writeable
    assert not np.shares_memory(first, second)
