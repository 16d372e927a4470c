"""The main experiment in games other than the 2×2 matching game: columns, experts, refusals, summaries, panels."""

import csv
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from matplotlib.collections import PathCollection

from coordination_env.games import GAMES, MatrixGame, matching, named_game
from experiments.matching import games
from experiments.matching.coordination import CoordinationConfig, run_experiment
from experiments.matching.figures import coordination_figure
from experiments.matching.games import ExpertType, GameName
from experiments.matching.metrics import product_joint
from experiments.matching.results import Columns, exact_columns, prob_columns, summary
from magail_trainer.envs.registry import resolve
from magail_trainer.errors import InputError
from magail_trainer.play.players import make_joint_policy
from tests.experiments.matching.sweeps import SMALL, changed

torch.set_num_threads(1)

DIVERGENCES = ("total_variation", "mutual_information", "kl_irreducible", "kl_marginals", "kl_recovered")


def small(game: GameName, **settings: Any) -> CoordinationConfig:
    settings = {"expert_type": None, "seeds": (1, 2), "epochs": 12, "eval_episodes": 40, **settings}
    return changed(SMALL, game=game, **settings)


def test_every_named_game_can_be_chosen_and_has_a_usual_expert() -> None:
    assert set(get_args(GameName)) == set(GAMES) == set(games.USUAL_EXPERT)
    assert CoordinationConfig(game="chicken").expert_type == "correlated_equilibrium"


@pytest.mark.parametrize("name", get_args(GameName))
def test_the_experts_of_a_game_are_those_that_can_be_made(name: GameName) -> None:
    game = games.make_game(name)
    entry = resolve(*games.env_arguments(game))
    for expert in get_args(ExpertType):
        if expert in games.experts_of(game):
            make_joint_policy(expert, entry, {})
        else:
            with pytest.raises(InputError):
                make_joint_policy(expert, entry, {})


@pytest.mark.parametrize(
    ("game", "settings", "expert"),
    [
        ("stag_hunt", {}, [0.5, 0, 0, 0.5]),
        ("battle_of_the_sexes", {}, [0.5, 0, 0, 0.5]),
        ("battle_of_the_sexes", {"expert_type": "correlated_equilibrium"}, [0.5, 0, 0, 0.5]),
        ("chicken", {"expert_episodes": 999}, [1 / 3, 1 / 3, 1 / 3, 0]),
        ("chicken", {"expert_type": "pure_equilibria", "expert_ratio": 0.7}, [0, 0.7, 0.3, 0]),
        ("prisoners_dilemma", {}, [0, 0, 0, 1]),
        ("rock_paper_scissors", {"expert_type": "correlated_equilibrium", "expert_episodes": 900}, [1 / 9] * 9),
        ("matching", {"num_agents": 3}, [0.5, 0, 0, 0, 0, 0, 0, 0.5]),
    ],
)
def test_every_game_trains_and_leaves_a_full_table(
    game: GameName, settings: dict[str, Any], expert: list[float], tmp_path: Path
) -> None:
    results = run_experiment(small(game, output=tmp_path / "run", **settings))
    np.testing.assert_allclose(results.expert_joint.ravel(), expert, atol=1e-12)
    with (tmp_path / "run" / "runs.csv").open(newline="") as stream:
        header, *rows = list(csv.reader(stream))
    joint = [f"joint_{name.lower()}" for name in games.joint_action_names(results.game)]
    sampled = [f"sampled_{name}" for name in (*joint, "coordination_rate", "js_distance")]
    measures = ["coordination_rate", "js_distance", *DIVERGENCES, "convention", "nash_conv", "ce_conv"]
    assert [name for name in header if "prob" not in name and "entropy" not in name] == [
        *("beta", "seed", *joint, *measures, *sampled)
    ]
    assert len(rows) == 4
    assert all(len(row) == len(header) for row in rows)
    np.testing.assert_allclose(sum(results.runs[name] for name in joint), 1, atol=1e-12)
    for name in prob_columns(np.full((1, *results.game.num_actions), 0.1), results.game):
        np.testing.assert_array_equal(results.history[name][-1], results.runs[name])


def test_columns_of_rock_paper_scissors_by_hand() -> None:
    game = named_game("rock_paper_scissors")
    joint = product_joint([np.array([[0.5, 0.25, 0.25]]), np.array([[1.0, 0.0, 0.0]])])
    columns = exact_columns(joint, np.full((3, 3), 1 / 9), game)
    probs = [f"prob_{letter}_agent_{i}" for letter in "abc" for i in range(2)]
    assert list(columns)[:6] == probs
    assert [float(columns[name][0]) for name in probs] == [0.5, 1, 0.25, 0, 0.25, 0]
    # The first earns 0.25 - 0.25 and could earn 1 by paper; the second 0, and by paper 0.5 - 0.25.
    np.testing.assert_allclose(columns["nash_conv"], 1 + 0.25, atol=1e-12)
    assert (columns["convention"][0], columns["coordination_rate"][0]) == ("neither", 0)  # it has no conventions


def test_columns_of_a_correlated_pair_in_chicken_by_hand() -> None:
    joint = np.array([[[0, 0.5], [0.5, 0]], [[0, 1], [0, 0]]])
    columns = exact_columns(joint, joint[0], named_game("chicken"))
    assert columns["convention"].tolist() == ["neither", "AB"]
    np.testing.assert_allclose(columns["coordination_rate"], [1, 1])
    np.testing.assert_allclose(columns["mutual_information"], [1, 0], atol=1e-12)
    np.testing.assert_allclose(columns["ce_conv"], [0, 0], atol=1e-12)
    # Alone, against a coin: swerving earns -0.5, going straight -4.5, the coin -2.5. Two agents.
    np.testing.assert_allclose(columns["nash_conv"], [4, 0], atol=1e-12)
    np.testing.assert_allclose(columns["js_distance"][0], 0, atol=1e-12)


@pytest.mark.parametrize(
    ("game", "settings", "message"),
    [
        ("chicken", {"num_agents": 3}, "--num_agents 3 is for --game matching; chicken has 2 agents."),
        ("matching", {"num_agents": 1}, "--num_agents must be from 2 to 5, not 1."),
        ("matching", {"num_agents": 6}, "--num_agents must be from 2 to 5, not 6."),
        (
            "chicken",
            {"expert_type": "bimodal"},
            "one of mixed, correlated_equilibrium, pure_equilibria for --game chicken, not 'bimodal'.",
        ),
        (
            "matching_pennies",
            {"expert_type": "pure_equilibria"},
            "must be one of mixed, correlated_equilibrium for",
        ),
        ("rock_paper_scissors", {"expert_ratio": 0.7}, "--expert_ratio does not apply to --expert_type mixed"),
        ("prisoners_dilemma", {"expert_type": "pure_equilibria", "expert_ratio": 0.7}, "prisoners_dilemma has one."),
        ("chicken", {"expert_type": "mixed", "dataset": Path("x")}, "--expert_type changes what is recorded"),
    ],
)
def test_combinations_without_sense_are_refused(
    game: GameName, settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as refusal:
        run_experiment(small(game, output=tmp_path / "run", **settings))
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_a_dataset_must_be_of_the_same_game(tmp_path: Path) -> None:
    run_experiment(small("chicken", output=tmp_path / "chicken"))
    dataset = tmp_path / "chicken" / "dataset"
    again = run_experiment(small("chicken", dataset=dataset, output=tmp_path / "again"))
    assert (again.folder / "runs.csv").read_bytes() == (tmp_path / "chicken" / "runs.csv").read_bytes()
    with pytest.raises(InputError, match="record one in the env to train in"):
        run_experiment(small("stag_hunt", dataset=dataset, output=tmp_path / "stag"))


def test_the_payoffs_are_unseen_in_training(tmp_path: Path) -> None:
    """Games whose experts play alike train alike: what the env pays is nothing that MAGAIL looks at."""
    stag, ballet = (
        run_experiment(small(game, output=tmp_path / game)) for game in ("stag_hunt", "battle_of_the_sexes")
    )
    np.testing.assert_array_equal(stag.runs["joint_aa"], ballet.runs["joint_aa"])
    assert not np.allclose(stag.runs["nash_conv"], ballet.runs["nash_conv"])


def test_the_summary_speaks_of_what_the_game_has(tmp_path: Path) -> None:
    text = "\n".join(summary(run_experiment(small("chicken", output=tmp_path / "chicken"))))
    assert "chicken: A = swerve, B = straight" in text
    assert "conventions of 2 seeds: AB 0, BA 0, neither 2" in text
    text = "\n".join(summary(run_experiment(small("matching_pennies", output=tmp_path / "pennies"))))
    assert "mean NashConv = " in text
    assert "coordination" not in text
    assert "conventions" not in text


def figure_of(game: MatrixGame, joint: np.ndarray, expert: np.ndarray) -> Any:
    """The figure of one β with these joint distributions, `[R, A_1..A_N]`, reached at once."""
    runs: Columns = {"beta": np.zeros(len(joint)), "seed": np.arange(len(joint)), **exact_columns(joint, expert, game)}
    history = {"epoch": np.array([1, 10]), **{name: np.stack([c, c]) for name, c in prob_columns(joint, game).items()}}
    return coordination_figure(runs, history, expert, title="title", game=game)


def test_panels_of_rock_paper_scissors() -> None:
    corners = np.eye(3)
    joint = np.stack([product_joint([corner, np.full(3, 1 / 3)]) for corner in corners])
    figure = figure_of(named_game("rock_paper_scissors"), joint, np.full((3, 3), 1 / 9))
    assert figure.get_suptitle() == "title\nA = rock, B = paper, C = scissors"
    simplex, gains = figure.axes[2], figure.axes[3]
    assert [text.get_text() for text in simplex.texts] == ["A = rock", "B = paper", "C = scissors"]
    _, first, second = [np.asarray(c.get_offsets()) for c in simplex.collections if isinstance(c, PathCollection)]
    np.testing.assert_allclose(first, [[0, 0], [1, 0], [0.5, np.sqrt(0.75)]], atol=1e-12)
    np.testing.assert_allclose(second, np.tile([0.5, np.sqrt(1 / 12)], (3, 1)), atol=1e-12)
    assert gains.get_ylabel() == "NashConv (payoff)"
    assert "neither" not in str([text.get_text() for text in figure.legends[0].get_texts()])


def test_panels_of_three_agents() -> None:
    joint = np.zeros((2, 2, 2, 2))
    joint[0, 0, 0, 0] = joint[1, 1, 1, 1] = 1
    figure = figure_of(matching(3), joint, joint.mean(axis=0))
    assert [text.get_text() for text in figure.axes[3].texts] == ["1", "1"]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["agent_0", "agent_1", "agent_2", "seeds in AAA", "seeds in neither", "seeds in BBB", "β = 0"]
    (note,) = figure.axes[4].texts
    assert note.get_text() == "β = 0: pooled over seeds, the joint is near\nthe expert's, and that of no single run is"
    dots = [c for c in figure.axes[4].collections if isinstance(c, PathCollection)]
    heights = np.concatenate([np.asarray(c.get_offsets())[:, 1] for c in dots])
    assert sorted(heights.tolist()) == [0.0] * 14 + [1.0] * 2  # the single runs, beside the bars of what they pool to


def test_panels_of_one_convention() -> None:
    joint = np.array([[[0, 0], [0, 1.0]], [[1.0, 0], [0, 0]]])
    figure = figure_of(named_game("prisoners_dilemma"), joint, joint[0])
    assert [text.get_text() for text in figure.axes[3].texts] == ["1", "1"]
    assert "seeds in BB" in [text.get_text() for text in figure.legends[0].get_texts()]
