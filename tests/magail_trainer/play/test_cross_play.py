"""Trained policies against others: the sides, what each earns, and its score."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from magail_trainer.data.run_folder import read_table
from magail_trainer.envs.registry import EnvEntry, resolve
from magail_trainer.errors import InputError
from magail_trainer.learn.config import MagailConfig
from magail_trainer.play.cross_play import choose_sides, cross_play, make_side_reference, side_mean
from magail_trainer.play.load_runs import load_runs
from magail_trainer.play.players import make_joint_policy
from magail_trainer.play.results import LEARNER, Column, Evaluation
from magail_trainer.play.scores import Reference, add_scores, summarise
from tests.magail_trainer.commands import magail
from tests.magail_trainer.saved_runs import play_a, saved

torch.set_num_threads(1)

MATCHING = resolve("coordination_env:coordination/matching-v0")
PENNIES = resolve("coordination_env:coordination/matching_pennies-v0")
HEADS = [[1, 0], [0, 0]]
SIDES = [("agent_0",), ("agent_1",)]


@pytest.fixture(scope="module")
def matching(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("matching"), MATCHING, MagailConfig(network="tabular"), play_a)


@pytest.fixture(scope="module")
def pennies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("pennies"), PENNIES, MagailConfig(network="tabular"), play_a)


def reference_of(
    entry: EnvEntry, policy: str, sides: list[tuple[str, ...]], *, episodes: int, **arguments: list
) -> Reference:
    expert, opponents = (make_joint_policy(policy, entry, arguments) for _ in range(2))
    return make_side_reference(entry, expert, opponents, sides=sides, episodes=episodes, seed=0)


def test_the_sides_are_those_asked_for_or_each_agent_in_turn() -> None:
    agents = ["a", "b", "c"]
    assert choose_sides(agents, ()) == [("a",), ("b",), ("c",)]
    assert choose_sides(agents, ("c", "a")) == [("c", "a")]
    for side, reason in (
        (("d",), "--side names 'd'; expected some of a, b, c, each at most once"),
        (("a", "a"), "--side names 'a'; expected"),
        (("a", "b", "c"), "leaves none for the opponents"),
    ):
        with pytest.raises(InputError, match=reason):
            choose_sides(agents, side)


def test_cross_play_pays_who_matches_the_opponents(matching: Path) -> None:
    opponents = make_joint_policy("all_AA", MATCHING, {})
    sides = [("agent_0",), ("agent_1",)]
    evaluation = cross_play(load_runs(matching), opponents, sides=sides, episodes=1000, seed=0)
    table = evaluation.table()
    assert list(table) == [
        *("side", "beta", "seed", "return_agent_0", "return_agent_1", "return_learner"),
        *("greedy_return_agent_0", "greedy_return_agent_1", "greedy_return_learner"),
    ]
    assert table["side"] == ["agent_0"] * 3 + ["agent_1"] * 3
    assert (table["beta"], table["seed"]) == ([0, 0, 1] * 2, [3, 5, 5] * 2)
    expected = [pytest.approx(0.9, abs=0.04), 0, 1] * 2  # the probability of A
    assert table["return_agent_0"] == table["return_agent_1"] == expected
    assert table["greedy_return_agent_0"] == [1, 0, 1] * 2
    assert evaluation == cross_play(load_runs(matching), opponents, sides=sides, episodes=1000, seed=0)


def test_a_side_earns_the_mean_over_its_agents() -> None:
    assert side_mean({"a": 1.0, "b": 3.0, "c": 100.0}, ("a", "b")) == 2
    returns = {"a": np.array([1.0, 5.0]), "b": np.array([9.0, 9.0]), "c": np.array([3.0, 5.0])}
    assert side_mean(returns, ("c", "a")).tolist() == [2, 5]


def test_scores_on_either_side_of_matching_pennies_by_hand(pennies: Path) -> None:
    # Against heads, heads wins a penny as agent_0, who wants a match, and loses one as agent_1; a coin wins nothing.
    episodes = 2000
    reference = reference_of(PENNIES, "joint", SIDES, episodes=episodes, joint=HEADS)
    assert reference.expert == {"agent_0": 1, "agent_1": -1}
    assert reference.random == dict.fromkeys(("agent_0", "agent_1"), pytest.approx(0, abs=4 / math.sqrt(episodes)))
    assert reference.span_error["agent_1"] == pytest.approx(1 / math.sqrt(episodes), rel=0.02)
    opponents = make_joint_policy("joint", PENNIES, {"joint": HEADS})
    evaluation = cross_play(load_runs(pennies), opponents, sides=SIDES, episodes=episodes, seed=0)
    table = evaluation.table()
    assert table["return_learner"] == table["return_agent_0"][:3] + table["return_agent_1"][3:]
    assert table["greedy_return_learner"] == [1, -1, 1, -1, 1, -1]
    scored = add_scores(evaluation, reference).table()
    assert list(scored) == [*table, "score_learner", "greedy_score_learner"]
    # Heads with probability 0.9, 0 and 1, on either side: 2 · 0.9 - 1 of what heads alone would have won or lost.
    assert scored["score_learner"] == [pytest.approx(value, abs=0.1) for value in [0.8, -1, 1] * 2]
    assert scored["greedy_score_learner"] == [pytest.approx(value, abs=0.2) for value in [1, -1, 1] * 2]
    assert [scored["greedy_score_learner"][row] for row in (0, 2, 3, 5)] == [1] * 4


def test_copies_of_the_opponents_share_no_chance_with_them() -> None:
    # Together they would always match. As strangers they match as often as anybody: there is nothing to be scored.
    reference = reference_of(MATCHING, "bimodal", SIDES, episodes=1000)
    assert reference.expert == dict.fromkeys(("agent_0", "agent_1"), pytest.approx(0.5, abs=0.07))
    evaluation = Evaluation({"side": ["agent_0"]}, {("sampled", LEARNER): [0.5], ("greedy", LEARNER): [0.5]})
    assert add_scores(evaluation, reference) is evaluation


def test_several_agents_are_scored_together(tmp_path: Path) -> None:
    entry, episodes = resolve(MATCHING.id, {"num_agents": 3}), 2000
    side = ("agent_0", "agent_2")
    reference = reference_of(entry, "all_AA", [side], episodes=episodes)
    assert reference.expert == {"agent_0+agent_2": 1}
    assert reference.random["agent_0+agent_2"] == pytest.approx(0.25, abs=0.04)
    assert reference.span_error["agent_0+agent_2"] == pytest.approx(math.sqrt(0.25 * 0.75 / episodes), rel=0.05)
    trained = load_runs(saved(tmp_path, entry, MagailConfig(network="tabular"), play_a))
    evaluation = cross_play(trained, make_joint_policy("all_AA", entry, {}), sides=[side], episodes=episodes, seed=0)
    scored = add_scores(evaluation, reference).table()
    assert scored["side"] == ["agent_0+agent_2"] * 3
    assert scored["score_learner"] == [pytest.approx(value, abs=0.07) for value in ((0.81 - 0.25) / 0.75, -1 / 3, 1)]


def test_a_side_without_a_span_has_no_score_and_the_summary_is_of_the_learner() -> None:
    returns: dict[Column, list[float]] = {
        **{("sampled", "a"): [1.0, 3.0, 8.0, 8.0], ("sampled", "b"): [9.0, 9.0, 5.0, 7.0]},
        **{("sampled", LEARNER): [1.0, 3.0, 5.0, 7.0]},
        **{("greedy", earner): [4.0] * 4 for earner in ("a", "b", LEARNER)},
    }
    evaluation = Evaluation({"side": ["a", "a", "b", "b"], "beta": [0.0] * 4, "seed": [1, 2, 1, 2]}, returns)
    scored = add_scores(evaluation, Reference({"a": 0.0, "b": 5.0}, {"a": 4.0, "b": 5.0}))
    assert list(scored.scores) == [("sampled", LEARNER), ("greedy", LEARNER)]
    assert scored.scores["sampled", LEARNER][:2] == [0.25, 0.75]
    assert np.isnan(scored.scores["sampled", LEARNER][2:] + scored.scores["greedy", LEARNER][2:]).all()
    summary = summarise(scored)
    assert summary["side"] == ["a", "a", "b", "b"]
    assert summary["actions"] == ["sampled", "greedy"] * 2
    assert summary["agent"] == ["learner"] * 4
    assert summary["return"] == [2, 4, 6, 4]
    assert summary["score"][:2] == [0.5, 1]
    assert (summary["score_low"][0], summary["score_high"][0]) == (0.25, 0.75)
    assert np.isnan(summary["score"][2:]).all()


def test_evaluate_scores_the_learner_against_the_opponents(
    pennies: Path, matching: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    play = ("evaluate", pennies, "--episodes", 200, "--overwrite", "--output", tmp_path / "table.csv")
    assert magail(*play, "--opponents", "joint", "--opponent-args", f"joint={HEADS}") == 0
    out, err = capsys.readouterr()
    table = read_table(tmp_path / "table.csv")
    assert err == ""
    assert list(table)[-2:] == ["score_learner", "greedy_score_learner"]
    assert table["greedy_score_learner"][[0, 2, 3, 5]].tolist() == [1] * 4
    order = [
        "Mean return of 200 episodes:",
        "Score:\nside     beta  seed  learner  greedy learner\n",
        "Over seeds, the interquartile mean and its 95 % interval:",
        "Scores: 0 is the random joint policy against joint (agent_0 ",
        "; 1 is joint against joint (agent_0 1.0000, agent_1 -1.0000).\n",
    ]
    places = [out.find(text) for text in order]
    assert -1 not in places
    assert places == sorted(places)
    assert magail(*play, "--opponents", "mixed") == 0
    out = capsys.readouterr().out
    why = "No scores, for random and expert earn the same, or are less than three standard errors apart: "
    assert f"{why}the random joint policy against mixed (agent_0 " in out
    assert "Score:" not in out
    assert not [name for name in read_table(tmp_path / "table.csv") if "score" in name]
    assert magail("evaluate", matching, "--episodes", 200, "--opponents", "bimodal") == 0  # one of two strangers
    assert f"{why}the random joint policy against bimodal (agent_0 0." in capsys.readouterr().out
