"""Scores: 0 is random, 1 is the expert, and nothing is scored where these are the same."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from magail_trainer.data.recording import record
from magail_trainer.data.trajectories import Trajectories, read_manifest
from magail_trainer.envs.registry import resolve
from magail_trainer.errors import InputError
from magail_trainer.learn.config import MagailConfig
from magail_trainer.learn.runs import Runs
from magail_trainer.learn.trainer import Trainer
from magail_trainer.play.evaluation import evaluate, evaluation_rollouts, play_alike
from magail_trainer.play.load_runs import TrainedRuns
from magail_trainer.play.players import make_joint_policy
from magail_trainer.play.results import TEAM, Column, Evaluation
from magail_trainer.play.scores import (
    Reference,
    add_scores,
    find_expert,
    find_player,
    make_reference,
    mean_returns,
    summarise,
)
from magail_trainer.play.statistics import Mean, bootstrap_interval, interquartile_mean, score_interval
from tests.magail_trainer.clock_env import SMALL, clock, clock_dataset, seeded

torch.set_num_threads(1)

ENTRY = resolve("coordination_env:coordination/matching-v0")
REFERENCE = Reference(
    random={"a": -10.0, "b": 0.0, TEAM: -10.0}, expert={"a": -2.0, "b": 0.0, TEAM: -2.0}
)  # fmt: skip


def demonstrations(expert: str = "all_AA") -> Trajectories:
    return record(ENTRY, make_joint_policy(expert, ENTRY, {}), episodes=10, seed=0)


def make_runs(*, prob_a: tuple[float, ...], path: Path, config: Mapping | None = None) -> TrainedRuns:
    """Runs that both play A with a probability of their own."""
    runs = Runs(seed=np.arange(len(prob_a)), beta=np.zeros(len(prob_a)))
    trainer = Trainer(ENTRY, demonstrations(), runs, MagailConfig(network="tabular", epochs=1))
    with torch.no_grad():
        for policy in trainer.policies.policies.values():
            p = torch.tensor(prob_a).view(-1, 1, 1)
            policy.logits.copy_(torch.cat([p, 1 - p], dim=-1).clamp(min=1e-9).log())  # type: ignore[operator, union-attr]
    return TrainedRuns(path, ENTRY, runs, trainer.codes, trainer.policies, trainer.config, dict(config or {}))


def test_scores_by_hand() -> None:
    scores = REFERENCE.score(np.array([-10.0, -6.0, -2.0, 0.0, -18.0]), "a")
    np.testing.assert_allclose(scores, [0, 0.5, 1, 1.25, -1])
    assert math.isnan(REFERENCE.score(1.0, "b"))


def test_who_plays_like_the_expert_scores_1_and_who_plays_like_random_0(tmp_path: Path) -> None:
    trained, episodes = make_runs(prob_a=(1.0, 0.5), path=tmp_path), 2000
    reference = make_reference(trained, demonstrations(), episodes=episodes, seed=0)
    assert reference.expert == {"agent_0": 1, "agent_1": 1, TEAM: 2}
    assert reference.random[TEAM] == 2 * reference.random["agent_0"] == pytest.approx(1, abs=0.1)
    columns = add_scores(evaluate(trained, episodes=episodes, seed=0), reference).table()
    tolerance = 4 * math.sqrt(2 * 0.25 / episodes) / 0.5  # of the difference of two means, by the width of the scale
    for name in ("agent_0", "agent_1", "team"):
        assert columns[f"score_{name}"] == [pytest.approx(1), pytest.approx(0, abs=tolerance)]
        assert columns[f"greedy_score_{name}"] == [pytest.approx(1), pytest.approx(1)]  # of A and B, as likely, A


def test_there_is_no_score_where_random_and_expert_are_about_the_same(tmp_path: Path) -> None:
    # Of 10 episodes that pay 0 or 1 the mean has a standard error near 0.16: too much for the span from 0.5 to 0.7.
    trained, expert = make_runs(prob_a=(1.0,), path=tmp_path), demonstrations("mixed")
    reference = make_reference(trained, expert, episodes=200, seed=0)
    returns, random = expert.returns["agent_0"], 0.5
    by_hand = math.sqrt(returns.var(ddof=1) / 10 + random * (1 - random) / 200)
    assert reference.span_error["agent_0"] == pytest.approx(by_hand, rel=0.02)
    assert reference.span_error[TEAM] == pytest.approx(2 * by_hand, rel=0.02)  # they are paid the same
    assert not any(reference.has_span(name) for name in reference.random)
    evaluation = evaluate(trained, episodes=5, seed=0)
    assert add_scores(evaluation, reference) is evaluation
    far = replace(REFERENCE, span_error={"a": 2.6, "b": 0.0, TEAM: 2.7})
    assert [far.has_span(name) for name in ("a", "b", TEAM)] == [True, False, False]


def test_the_same_seed_makes_the_same_reference(tmp_path: Path) -> None:
    trained = make_runs(prob_a=(1.0,), path=tmp_path)
    first, again, other = (make_reference(trained, demonstrations(), episodes=50, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first.random != other.random


def test_mean_returns_add_up() -> None:
    assert mean_returns(demonstrations("bimodal")) == {"agent_0": 1, "agent_1": 1, TEAM: 2}


def test_an_expert_of_another_env_is_refused(tmp_path: Path) -> None:
    entry = replace(ENTRY, kwargs={"horizon": 2})
    other = record(entry, make_joint_policy("all_AA", entry, {}), episodes=2, seed=0)
    with pytest.raises(InputError, match=r"The dataset was recorded in .*horizon"):
        make_reference(make_runs(prob_a=(1.0,), path=tmp_path), other, episodes=5, seed=0)


def test_the_dataset_of_the_training_is_found_by_its_path_or_in_the_run_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demonstrations().save(tmp_path / "run" / "dataset")
    sha256 = read_manifest(tmp_path / "run" / "dataset")["sha256"]
    monkeypatch.chdir(tmp_path)
    for path in (str(tmp_path / "run" / "dataset"), "dataset", "run/dataset"):
        config = {"dataset": {"path": path, "sha256": sha256}}
        found, source = find_expert(make_runs(prob_a=(1.0,), path=tmp_path / "run", config=config))
        assert found is not None
        assert len(found) == 10
        assert Path(source).resolve() == tmp_path / "run" / "dataset"


def test_a_dataset_that_is_no_longer_the_one_is_not_used(tmp_path: Path) -> None:
    def reason(config: Mapping) -> str:
        found, why = find_expert(make_runs(prob_a=(1.0,), path=tmp_path, config=config))
        assert found is None
        return why

    demonstrations().save(tmp_path / "data")
    described = {"path": str(tmp_path / "data"), "sha256": "0"}
    assert reason({}) == reason({"dataset": {}}) == "the run was not trained on a dataset"
    assert reason({"dataset": {"path": "/gone"}}) == "the dataset '/gone' is no longer there"
    assert "data' is not the one that the run was trained on" in reason({"dataset": described})
    described["sha256"] = read_manifest(tmp_path / "data")["sha256"]
    (tmp_path / "data" / "shard-00000.npz").unlink()
    assert "cannot be read" in reason({"dataset": described})


def test_the_summary_is_over_the_seeds_of_each_beta() -> None:
    returns: dict[Column, list[float]] = {
        ("sampled", "a"): [-100.0, -6.0, -4.0, 0.0, -2.0],
        ("sampled", "b"): [0.0, 0.0, 0.0, 0.0, 0.0],
        ("sampled", TEAM): [1.0, 1.0, 1.0, 1.0, 1.0],
        **{("greedy", earner): [-10.0] * 5 for earner in ("a", "b", TEAM)},
    }
    evaluation = Evaluation({"beta": [0.0, 0.0, 0.0, 0.0, 1.0], "seed": [1, 2, 3, 4, 1]}, returns)
    table = summarise(add_scores(evaluation, REFERENCE))
    assert table["beta"] == [0.0] * 6 + [1.0] * 6
    assert table["actions"] == (["sampled"] * 3 + ["greedy"] * 3) * 2
    assert table["agent"] == ["a", "b", "team"] * 4
    assert table["return"][0] == -5  # of -6 and -4
    assert table["score"][0] == pytest.approx(5 / 8)
    expected = bootstrap_interval(np.array(returns["sampled", "a"][:4]), interquartile_mean)
    assert (table["return_low"][0], table["return_high"][0]) == expected[1:]
    assert np.isnan([table[name][1] for name in ("score", "score_low", "score_high")]).all()
    assert (table["return"][6], table["score"][6]) == (-2, 1)
    assert np.isnan([table[name][6] for name in ("return_low", "return_high", "score_low", "score_high")]).all()
    assert table["score"][3] == 0
    assert "score" not in summarise(evaluation)


@pytest.mark.parametrize("episodes", [5, 40])
def test_intervals_of_scores_cover_what_few_episodes_leave_open(episodes: int) -> None:
    rng, low, high, true = np.random.default_rng(0), -10.0, -3.0, 0.6
    within, without, trials = 0, 0, 60
    for _ in range(trials):
        random, expert = rng.normal(low, 4.0, 100), rng.normal(high, 2.0, episodes)
        seeds = rng.normal(low + true * (high - low), 0.01, 10)
        interval = score_interval(seeds, Mean.of(random), Mean.of(expert), interquartile_mean)
        within += interval.low <= true <= interval.high
        exact = Mean(random.mean(), 0.0, 100), Mean(expert.mean(), 0.0, episodes)
        blind = score_interval(seeds, *exact, interquartile_mean)
        without += blind.low <= true <= blind.high
    assert within / trials >= 0.88
    assert without / trials < 0.25


def test_an_end_of_the_scale_by_hand() -> None:
    assert Mean.of(np.array([1.0, 3.0])) == Mean(2.0, 1.0, 2)  # √2 / √2
    assert Mean.of(np.array([2.0, 2.0, 2.0])) == Mean(2.0, 0.0, 3)
    exact = score_interval(np.array([3.0, 4.0, 5.0, 6.0]), Mean(2.0, 0.0, 9), Mean(7.0, 0.0, 9), interquartile_mean)
    returns = bootstrap_interval(np.array([3.0, 4.0, 5.0, 6.0]), interquartile_mean)
    assert exact == pytest.approx([(value - 2) / 5 for value in returns])
    for values, low in ((np.array([3.0]), Mean(2.0, 0.0, 9)), (np.array([3.0, 4.0]), Mean.of(np.array([2.0])))):
        estimate, *ends = score_interval(values, low, Mean(7.0, 0.0, 9), interquartile_mean)
        assert estimate == pytest.approx((values.mean() - 2) / 5)
        assert np.isnan(ends).all()


def test_the_expert_is_played_where_the_runs_are_evaluated(tmp_path: Path) -> None:
    noisy = {"name": "noisy", "parameters": {"ratio": 0.5, "noise": 0.1, "joint": [[0.45, 0.05], [0.05, 0.45]]}}
    player, why = find_player(ENTRY, noisy)
    assert player is not None
    assert why == ""
    reference = make_reference(make_runs(prob_a=(1.0, 0.5), path=tmp_path), player, episodes=300, seed=0)
    random, expert = reference.ends(TEAM)
    assert (random.episodes, expert.episodes) == (300, 600)  # for each of the two seeds
    assert expert.value == pytest.approx(1.8, abs=4 * 2 * math.sqrt(0.09 / 600))
    assert expert.error == pytest.approx(2 * math.sqrt(0.09 / 600), rel=0.2)


def test_who_is_not_one_of_the_envs_own_experts_is_not_played() -> None:
    for policy, why in (
        (None, "it is not known who the expert is"),
        ({"name": "os:system", "parameters": {}}, "does not offer the expert 'os:system'"),
        ({"name": ["bimodal"], "parameters": {}}, "does not offer the expert ['bimodal']"),
        ({"name": "random", "parameters": {}}, "does not offer the expert 'random'"),
        ({"name": "bimodal", "parameters": {"ratio": 3}}, "The expert 'bimodal' cannot be made"),
        ({"name": "bimodal", "parameters": {"ratio": 0.5}}, "offers another expert 'bimodal' now"),
    ):
        player, reason = find_player(ENTRY, policy)
        assert player is None
        assert why in reason


class Starts:
    """Notes the first observations of each episode."""

    name, parameters = "starts", {}

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def begin(self, num_episodes: int, rng: np.random.Generator) -> None: ...

    def act(self, observations: dict, *, episode: np.ndarray, step: np.ndarray) -> dict:
        if not step.any():
            self.seen.append(observations["a"][:, 1].copy())
        return dict.fromkeys(observations, np.zeros(len(episode), dtype=np.int64))


def test_the_expert_starts_where_each_run_does() -> None:
    runs, starts = seeded(4, 7), Starts()
    trainer = Trainer(clock(), clock_dataset(clock()), runs, SMALL)
    played = play_alike(clock(), starts, [4, 7], episodes=40, seed=3)
    rollouts = list(evaluation_rollouts(clock(), trainer.codes, trainer.policies, runs, episodes=40, seed=3))
    for seen, rollout in zip(starts.seen, rollouts, strict=True):
        first = rollout.batch.observations["a"][:, :: rollout.batch.num_steps, 1]
        np.testing.assert_array_equal(seen, first.numpy().ravel())
    assert {agent: returns.shape for agent, returns in played.items()} == {"a": (80,), "b": (80,)}
    right = {"a": [0, 3], "b": [2]}  # steps at which action 0 is right
    assert {agent: set(returns.tolist()) for agent, returns in played.items()} == {
        agent: {float(len(steps))} for agent, steps in right.items()
    }
