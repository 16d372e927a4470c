"""The trainer: runs that do not notice each other, settings that all do something, refusals."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from pettingzoo import ParallelEnv

from magail_trainer.data.recording import record
from magail_trainer.data.trajectories import Trajectories
from magail_trainer.envs.registry import EnvEntry, resolve
from magail_trainer.errors import InputError
from magail_trainer.learn.config import MagailConfig
from magail_trainer.learn.discriminators import make_discriminator
from magail_trainer.learn.encoders import Codes
from magail_trainer.learn.policies import make_policies
from magail_trainer.learn.runs import Runs
from magail_trainer.learn.trainer import Trainer, check_same_env, find_device
from magail_trainer.learn.training import train_with_history
from magail_trainer.play.players import make_joint_policy
from tests.magail_trainer.clock_env import tabular

torch.set_num_threads(1)

MATCHING = "coordination_env:coordination/matching-v0"
PAIRS = [(beta, seed) for beta in (0.0, 0.1, 0.5, 1.0, 2.0, 5.0) for seed in (42, 123, 456, 789, 999)]
Outcome = dict[str, np.ndarray]
UNEVEN = tabular(allow_variable_horizon=True)


class Uneven(ParallelEnv):
    """Up to 5 steps: an episode goes on while both agents choose 1 and `left` sees what chance has in store."""

    metadata = {"name": "uneven_v0"}  # noqa: RUF012

    def __init__(self) -> None:
        self.possible_agents = ["left", "right"]
        self.agents: list[str] = []
        self._rng = np.random.default_rng()

    def observation_space(self, agent: str) -> Discrete:
        return Discrete(3)

    def action_space(self, agent: str) -> Discrete:
        return Discrete(2)

    def reset(self, seed: int | None = None, options: dict | None = None) -> tuple[dict[str, int], dict[str, dict]]:
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self.agents, self._steps = ["left", "right"], 0
        return self._observe(), {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, Any]) -> tuple[dict, dict, dict, dict, dict]:
        self._steps += 1
        ended = self._steps == 5 or min(actions.values()) == 0
        rewards = {"left": 0.1 * self._steps, "right": float(self._rng.integers(3))}
        if ended:
            self.agents = []
        agents = self.possible_agents
        no_truncation = dict.fromkeys(agents, False)
        return self._observe(), rewards, dict.fromkeys(agents, ended), no_truncation, {agent: {} for agent in agents}

    def _observe(self) -> dict[str, int]:
        return {"left": int(self._rng.integers(3)), "right": min(self._steps, 2)}


def make_dataset(entry: EnvEntry, expert: str = "bimodal", episodes: int = 100, **arguments: Any) -> Trajectories:
    return record(entry, make_joint_policy(expert, entry, arguments), episodes=episodes, seed=0)


def runs_of(pairs: Sequence[tuple[float, int]]) -> Runs:
    return Runs(seed=np.array([seed for _, seed in pairs]), beta=np.array([beta for beta, _ in pairs]))


def outcome(entry: EnvEntry, dataset: Trajectories, runs: Runs, config: MagailConfig) -> Outcome:
    """All parameters and the history, runs first."""
    trainer = Trainer(entry, dataset, runs, config)
    history = train_with_history(trainer, log_every=1)
    assert history.pop("epoch").tolist() == list(range(1, config.epochs + 1))
    state = {**trainer.policies.state_dict(), **trainer.modules["discriminator"].state_dict()}
    return {name: value.numpy() for name, value in state.items()} | {name: row.T for name, row in history.items()}


SETTINGS = {
    "sampled": ({}, tabular(epochs=8)),
    "a batch of 7": ({}, tabular(epochs=8, batch_size=7, rollout_episodes=50)),
    "a batch of 33": ({}, tabular(epochs=8, batch_size=33, reward_style="gail")),
    "exact": ({}, tabular(epochs=8, exact=True)),
    "three steps": ({"horizon": 3}, tabular(epochs=4, rollout_episodes=40)),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_run_alone_equals_the_same_run_among_30_bit_for_bit(name: str) -> None:
    kwargs, config = SETTINGS[name]
    entry = resolve(MATCHING, kwargs)
    dataset = make_dataset(entry)
    together = outcome(entry, dataset, runs_of(PAIRS), config)
    for place in (0, 7, 29):
        alone = outcome(entry, dataset, runs_of(PAIRS[place : place + 1]), config)
        for metric, values in together.items():
            np.testing.assert_array_equal(alone[metric][0], values[place], err_msg=f"{metric} of {PAIRS[place]}")
    # In another order, and in other company.
    shuffled = [PAIRS[place] for place in np.random.default_rng(0).permutation(len(PAIRS))[:11]]
    other = outcome(entry, dataset, runs_of(shuffled), config)
    for metric, values in together.items():
        np.testing.assert_array_equal(other[metric], values[[PAIRS.index(pair) for pair in shuffled]], err_msg=metric)


@pytest.mark.parametrize("exact", [False, True])
def test_a_run_with_its_own_learning_rates_equals_the_run_of_a_config_with_them(exact: bool) -> None:  # noqa: FBT001
    entry, rates = resolve(MATCHING), [(0.01, 0.01), (0.003, 0.1), (0.1, 0.001), (0.003, 0.001)]
    dataset, config = make_dataset(entry), tabular(epochs=8, exact=exact, reward_style="gail")
    lr_policy, lr_disc = np.array(rates).T
    many = Runs(np.array([3, 3, 3, 5]), np.array([0.0, 0.0, 0.0, 0.5]), lr_policy=lr_policy, lr_disc=lr_disc)
    together = outcome(entry, dataset, many, config)
    for row, (policy, disc) in enumerate(rates):
        runs = runs_of([(float(many.beta[row]), int(many.seed[row]))])
        alone = outcome(entry, dataset, runs, replace(config, lr_policy=policy, lr_disc=disc))
        for metric, values in together.items():
            np.testing.assert_array_equal(alone[metric][0], values[row], err_msg=metric)


def test_a_learning_rate_of_0_holds_a_run() -> None:
    entry = resolve(MATCHING)
    rates = {"lr_policy": np.array([0.0, 0.1]), "lr_disc": np.array([0.1, 0.0])}
    runs = Runs(np.array([3, 3]), np.zeros(2), **rates)
    trainer = Trainer(entry, make_dataset(entry), runs, tabular(epochs=3))
    modules = (trainer.policies, trainer.modules["discriminator"])
    before = [{name: values.clone() for name, values in module.state_dict().items()} for module in modules]
    train_with_history(trainer, log_every=3)
    for held, module, old in zip((0, 1), modules, before, strict=True):
        for name, values in module.state_dict().items():
            assert [torch.equal(values[run], old[name][run]) for run in (0, 1)] == [held == 0, held == 1]


def test_a_run_does_not_notice_that_others_play_longer_episodes() -> None:
    entry, config = EnvEntry("uneven", Uneven), replace(UNEVEN, epochs=6, rollout_episodes=10, batch_size=8)
    dataset = make_dataset(entry, "random", 50)
    pairs = [(beta, seed) for beta in (0.0, 1.0) for seed in range(6)]
    together = outcome(entry, dataset, runs_of(pairs), config)
    history = {name for name in together if name.endswith("_loss") or "/" in name}
    assert set(together) > history
    lengths = set()
    for place in (0, 4, 7):
        runs = runs_of(pairs[place : place + 1])
        lengths |= {record.rollout.batch.num_steps for record in Trainer(entry, dataset, runs, config).train()}
        alone = outcome(entry, dataset, runs, config)
        for metric, values in together.items():
            if metric in history:  # sums over more or less padding, each in an order of its own
                np.testing.assert_allclose(alone[metric][0], values[place], rtol=1e-5, err_msg=metric)
            else:  # what is learned
                np.testing.assert_array_equal(alone[metric][0], values[place], err_msg=metric)
    assert len(lengths) > 1


def test_runs_of_one_seed_start_alike_and_runs_of_others_do_not() -> None:
    codes, runs = Codes.of(resolve(MATCHING)), runs_of([(0.0, 1), (5.0, 1), (0.0, 2)])
    logits = [policy.logits for policy in make_policies(codes, runs, tabular()).policies.values()]  # type: ignore[union-attr]
    for values in logits:
        assert torch.equal(values[0], values[1])  # type: ignore[index]
        assert not torch.equal(values[0], values[2])  # type: ignore[index]
    assert not torch.equal(logits[0], logits[1])  # type: ignore[arg-type]


def test_policies_start_at_a_tenth_of_a_standard_normal_or_at_equal_probabilities() -> None:
    codes, runs = Codes.of(resolve(MATCHING)), Runs.grid(betas=(0.0,), seeds=range(2000))
    parameters = list(make_policies(codes, runs, tabular()).parameters())
    values = torch.cat([parameter.flatten() for parameter in parameters])
    assert values.numel() == 2000 * 4
    assert values.mean().item() == pytest.approx(0, abs=4 * 0.1 / 8000**0.5)
    assert values.std().item() == pytest.approx(0.1, abs=4 * 0.1 / 16000**0.5)
    uniform = make_policies(codes, runs, tabular(policy_init_uniform=True))
    assert not any(parameter.any() for parameter in uniform.parameters())


def test_twice_the_same_is_the_same() -> None:
    entry = resolve(MATCHING)
    dataset, runs = make_dataset(entry), runs_of(PAIRS[:4])
    first, second = (outcome(entry, dataset, runs, tabular(epochs=10)) for _ in range(2))
    for metric, values in first.items():
        np.testing.assert_array_equal(values, second[metric])


def test_beta_and_the_seed_have_an_effect() -> None:
    entry = resolve(MATCHING)
    logits = outcome(entry, make_dataset(entry), runs_of([(0.0, 1), (2.0, 1), (0.0, 2)]), tabular(epochs=5))
    values = logits["policies.agent_0.logits"]
    assert not np.array_equal(values[0], values[1])
    assert not np.array_equal(values[0], values[2])


@pytest.mark.parametrize("exact", [False, True])
def test_learns_what_the_expert_does(exact: bool) -> None:  # noqa: FBT001
    entry = resolve(MATCHING)
    dataset = make_dataset(entry, "joint", joint=[[0.0, 1.0], [0.0, 0.0]])  # agent_0 plays A, agent_1 plays B
    trainer = Trainer(
        entry,
        dataset,
        runs_of(PAIRS[:3]),
        tabular(epochs=60, lr_policy=0.1, lr_disc=0.1, rollout_episodes=50, exact=exact),
    )
    train_with_history(trainer, log_every=100)
    start = dict.fromkeys(("agent_0", "agent_1"), torch.zeros(3, 1, dtype=torch.int64))
    probs = {agent: policy.probs[:, 0] for agent, policy in trainer.policies(start).items()}
    assert (probs["agent_0"][:, 0] > 0.9).all()
    assert (probs["agent_1"][:, 1] > 0.9).all()


def test_the_history_has_the_first_the_last_and_every_nth_epoch() -> None:
    entry = resolve(MATCHING)
    trainer = Trainer(entry, make_dataset(entry), runs_of(PAIRS[:3]), tabular(epochs=25, exact=True))
    calls: list[int] = []

    def measure(_: object) -> dict[str, torch.Tensor]:
        calls.append(len(calls))
        return {"mine": torch.full((3,), float(len(calls)))}

    history = train_with_history(trainer, log_every=10, measure=measure)
    assert history["epoch"].tolist() == [1, 10, 20, 25]
    assert history["mine"].tolist() == [[k] * 3 for k in (1, 2, 3, 4)]
    assert all(values.shape == (4, 3) for name, values in history.items() if name != "epoch")


def test_refuses_to_log_never() -> None:
    entry = resolve(MATCHING)
    trainer = Trainer(entry, make_dataset(entry), runs_of(PAIRS[:1]), tabular(epochs=1))
    with pytest.raises(InputError, match=r"^--log_every must be at least 1, not 0\.$"):
        train_with_history(trainer, log_every=0)


def test_the_description_is_plain_json_with_every_setting() -> None:
    entry = resolve(MATCHING, {"num_agents": 3})
    config = tabular(epochs=1, discount=0.25)
    described = Trainer(entry, make_dataset(entry), runs_of(PAIRS[:1]), config).describe()
    assert json.loads(json.dumps(described)) == described
    assert described["env"] == {"id": MATCHING, "kwargs": {"num_agents": 3}}
    assert described["training"]["discount"] == 0.25
    assert described["dataset"]["policy"]["name"] == "bimodal"
    assert described["dataset"]["episodes"] == 100


def test_the_discriminator_starts_without_an_opinion_and_refuses_to_grow_too_large() -> None:
    codes = Codes.of(resolve(MATCHING, {"horizon": 2}))
    discriminator = make_discriminator(codes, runs_of([(0.0, seed) for seed in range(3)]), tabular())
    (table,) = discriminator.parameters()
    assert table.shape == (3, 5 * 5 * 2 * 2)
    assert not table.any()
    with pytest.raises(
        InputError, match=r"needs 100 numbers in each run, 10,000,100 in all; expected at most 10,000,000"
    ):
        make_discriminator(codes, Runs(np.arange(100_001), np.zeros(100_001)), tabular())


class Other(Uneven):
    """The same with another action space."""

    def action_space(self, agent: str) -> Discrete:
        return Discrete(3 if agent == "right" else 2)


class Renamed(Uneven):
    """The same with other agents."""

    def __init__(self) -> None:
        super().__init__()
        self.possible_agents = ["left", "centre"]


class Continuous(Uneven):
    """The same with something that no table holds."""

    def observation_space(self, agent: str) -> Any:
        return Box(0, 1, (2,)) if agent == "right" else Discrete(3)


def test_takes_a_dataset_of_the_same_env_made_with_the_same_arguments() -> None:
    entry = resolve(MATCHING, {"horizon": 2})
    check_same_env(resolve(MATCHING, {"horizon": 2}), make_dataset(entry))


@pytest.mark.parametrize(
    ("present", "message"),
    [
        (
            resolve(MATCHING, {"horizon": 2}),
            f"The dataset was recorded in {MATCHING}, not in {MATCHING} {{'horizon': 2}}",
        ),
        (resolve("coordination_env:coordination/stag_hunt-v0"), "not in coordination_env:coordination/stag_hunt-v0"),
    ],
)
def test_refuses_a_dataset_of_another_env(present: EnvEntry, message: str) -> None:
    dataset = make_dataset(resolve(MATCHING))
    with pytest.raises(InputError) as refusal:
        Trainer(present, dataset, runs_of(PAIRS[:1]), tabular())
    assert message in str(refusal.value)
    assert str(refusal.value).endswith("record one in the env to train in.")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (Renamed, "The dataset has the agents ['left', 'right']; the env has ['left', 'centre']."),
        (Other, "for right; the env has {'observation': {'type': 'Discrete', 'n': 3, 'start': 0}, 'action': "),
    ],
)
def test_refuses_a_dataset_of_other_agents_or_spaces(changed: type[ParallelEnv], message: str) -> None:
    dataset = make_dataset(EnvEntry("uneven", Uneven), "random", 5)
    with pytest.raises(InputError) as refusal:
        check_same_env(EnvEntry("uneven", changed), dataset)
    assert message in str(refusal.value)


def test_refuses_a_space_that_a_table_cannot_hold_by_name() -> None:
    with pytest.raises(InputError, match=r"^The observation space of right is Box"):
        Codes.of(EnvEntry("continuous", Continuous))


@pytest.mark.parametrize("name", ["cuda:99", "tpu-of-mine", "", "meta"])
def test_refuses_a_device_that_is_not_there_in_one_sentence(name: str) -> None:
    with pytest.raises(InputError) as refusal:
        find_device(name)
    assert str(refusal.value).startswith(f"--device {name} cannot be used (")
    assert "\n" not in str(refusal.value)
    assert str(refusal.value).endswith("expected cpu, or cuda where there is one.")


def test_finds_the_cpu() -> None:
    assert find_device("cpu") == torch.device("cpu")
