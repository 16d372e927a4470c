"""Every way to name an environment, and what is said about names of nothing."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pettingzoo
import pytest
from gymnasium.spaces import Box, Discrete
from pettingzoo import AECEnv, ParallelEnv
from pettingzoo.utils import AgentSelector

from coordination_env import matching_v0
from coordination_env.matrix_game import MatrixGameEnv
from coordination_env.vector_env import MatrixGameVectorEnv
from magail_trainer.envs.checked_vector_env import CheckedVectorEnv
from magail_trainer.envs.flatten_observations import PlainEnv
from magail_trainer.envs.registry import EnvEntry, resolve
from magail_trainer.envs.vector_env import ParallelEnvCopies
from magail_trainer.errors import InputError
from magail_trainer.learn.encoders import Codes
from tests.magail_trainer import toy_envs

TOY = "tests.magail_trainer.toy_envs"
MATCHING = "coordination_env:coordination/matching-v0"


def made_by(env_id: str, **kwargs: Any) -> ParallelEnv:
    return resolve(env_id, kwargs).make()


def test_a_registered_id_with_its_module_in_front() -> None:
    entry = resolve(MATCHING)
    assert entry.id == MATCHING
    assert isinstance(entry.make(), MatrixGameEnv)
    assert entry.module is matching_v0


def test_a_registered_id_alone_once_its_module_is_imported() -> None:
    env = made_by("coordination/stag_hunt-v0")
    assert isinstance(env, MatrixGameEnv)
    assert env.game.name == "stag_hunt"


def test_an_id_without_a_version_is_remembered_with_it() -> None:
    assert resolve("coordination_env:coordination/matching").id == MATCHING
    assert resolve("coordination/matching").id == "coordination/matching-v0"


def test_what_the_id_was_registered_with_goes_along_and_can_be_overridden() -> None:
    assert resolve("coordination/chicken-v0", {"horizon": 2}).kwargs == {"game": "chicken", "horizon": 2}
    assert resolve("coordination/chicken-v0", {"game": "stag_hunt"}).kwargs == {"game": "stag_hunt"}


def test_a_module_with_parallel_env() -> None:
    entry = resolve(TOY)
    assert entry.id == TOY
    assert isinstance(entry.make(), toy_envs.SignallingEnv)
    assert isinstance(made_by("coordination_env.matching_v0"), MatrixGameEnv)


@pytest.mark.parametrize("name", ["signalling", "SignallingEnv", "parallel_env"])
def test_a_callable_of_a_module(name: str) -> None:
    entry = resolve(f"{TOY}:{name}")
    assert entry.id == f"{TOY}:{name}"
    assert isinstance(entry.make(), toy_envs.SignallingEnv)


def test_a_module_written_a_moment_ago(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "brand_new.py").write_text(f"from {TOY} import SignallingEnv as parallel_env\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert isinstance(made_by("brand_new"), toy_envs.SignallingEnv)
    del sys.modules["brand_new"]


def test_arguments_reach_the_env_in_every_form() -> None:
    for env_id in (MATCHING, "coordination/matching-v0", "coordination_env.matching_v0"):
        assert len(made_by(env_id, num_agents=3).possible_agents) == 3
    assert isinstance(made_by(f"{TOY}:RandomLengthEnv", nested=True).unwrapped, toy_envs.RandomLengthEnv)


def test_a_native_vector_env_is_used_for_its_own_parallel_env_only() -> None:
    native = resolve(MATCHING, {"horizon": 2, "num_actions": 3}).make_vector(4)
    assert isinstance(native, CheckedVectorEnv)
    assert isinstance(native.vector_env, MatrixGameVectorEnv)
    assert native.num_envs == 4
    assert native.action_space("agent_0") == Discrete(3)
    assert native.observation_space("agent_0") == Discrete(1 + 3 * 3)
    assert not resolve("coordination_env.matching_v0:MatrixGameEnv").has_native_vector_env
    copies = resolve(TOY).make_vector(4)
    assert isinstance(copies, CheckedVectorEnv)
    assert isinstance(copies.vector_env, ParallelEnvCopies)
    assert copies.num_envs == 4


def test_the_experts_are_those_of_the_module() -> None:
    assert resolve(MATCHING).experts == matching_v0.EXPERTS
    assert resolve(f"{TOY}:signalling").experts == {"signallers": toy_envs.Signallers}
    assert resolve("json:dumps").experts == {}


def one_sentence(error: pytest.ExceptionInfo[InputError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    assert len(message) < 500
    return message


@pytest.mark.parametrize(
    ("env_id", "reason"),
    [
        ("", "names no environment"),
        (":", "names no environment"),
        ("nowhere", "No module named 'nowhere'"),
        ("nowhere:some/id-v0", "No module named 'nowhere'"),
        (".relative:env", "names no environment"),
        ("coordination/nothing-v0", "not found in registry"),
        ("nothing/matching-v0", "'nothing' not found in registry"),
        ("coordination_env:coordination/matching-v7", "Available version: v0"),
        ("coordination_env:nothing", "'nothing' not found in registry"),
        (f"{TOY}:nothing", "'nothing' not found in registry"),
        (f"{TOY}:not_an_env", "'not_an_env' not found in registry"),
        ("json", "has no parallel_env or env"),
    ],
)
def test_a_name_of_nothing_is_refused_in_one_sentence(env_id: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as error:
        resolve(env_id)
    assert env_id in one_sentence(error)
    assert "expected an id registered with PettingZoo" in str(error.value)


def test_what_makes_no_parallel_env_is_refused() -> None:
    with pytest.raises(InputError, match="makes a str; expected a PettingZoo ParallelEnv") as error:
        resolve(f"{TOY}:no_env").make()
    one_sentence(error)


class Wave(AECEnv):
    """Two agents that act in cycles; for one cycle. The second sees what the first did."""

    def __init__(self, *, parallelizable: bool = True) -> None:
        self.metadata = {"name": "wave_v0", "is_parallelizable": parallelizable}
        self.possible_agents, self.agents, self.render_mode = ["agent_0", "agent_1"], [], None

    def observation_space(self, agent: str) -> Discrete:
        return Discrete(3)

    def action_space(self, agent: str) -> Discrete:
        return Discrete(2)

    def observe(self, agent: str) -> int:
        return self._played

    def reset(self, seed: int | None = None, options: dict | None = None) -> None:
        self.agents, self._played = self.possible_agents[:], 2
        self.rewards, self._cumulative_rewards = (dict.fromkeys(self.agents, 0.0) for _ in range(2))
        self.terminations, self.truncations = (dict.fromkeys(self.agents, False) for _ in range(2))
        self.infos: dict[str, dict] = {agent: {} for agent in self.agents}
        self._order = AgentSelector(self.agents)
        self.agent_selection = self._order.next()

    def step(self, action: Any) -> None:
        if self.terminations[self.agent_selection]:
            self._was_dead_step(action)
            return
        self._played = int(action)
        self.rewards = {agent: float(action) for agent in self.agents}
        last = self._order.is_last()
        self.agent_selection = self._order.next()
        if last:
            self.terminations = dict.fromkeys(self.agents, True)


def turn_based() -> AECEnv:
    return Wave(parallelizable=False)


def test_aec_envs_whose_agents_act_at_the_same_time_are_made_parallel() -> None:
    assert isinstance(made_by("coordination_env.matching_v0:raw_env"), MatrixGameEnv)
    env = EnvEntry("wave", Wave).make()
    assert isinstance(env, ParallelEnv)
    copies = EnvEntry("wave", Wave).make_vector(2)
    assert copies.reset(seed=0)[0]["agent_1"].tolist() == [2, 2]
    _, rewards, terminations, _, infos = copies.step({"agent_0": np.array([1, 0]), "agent_1": np.array([1, 1])})
    assert rewards["agent_0"].tolist() == [2, 1]
    assert terminations["agent_1"].tolist() == [True, True]
    assert infos["agent_0"]["final_obs"].tolist() == [1, 1]


def test_turn_based_envs_are_refused() -> None:
    with pytest.raises(InputError, match=r"chess is turn-based .*expected an env whose agents") as error:
        EnvEntry("chess", turn_based).make()
    one_sentence(error)


def test_a_module_with_env_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "only_aec.py").write_text("from coordination_env.matching_v0 import env\n")
    monkeypatch.syspath_prepend(tmp_path)
    entry = resolve("only_aec")
    assert entry.id == "only_aec"
    assert isinstance(entry.make().unwrapped, MatrixGameEnv)
    del sys.modules["only_aec"]


def test_an_id_that_is_registered_for_aec_alone() -> None:
    pettingzoo.register("aec", "toy/turns-v0", turn_based)
    with pytest.raises(InputError, match="toy/turns-v0 is turn-based"):
        resolve("toy/turns-v0").make()


def test_structured_observations_are_made_plain() -> None:
    env = made_by(f"{TOY}:RandomLengthEnv", nested=True)
    assert isinstance(env, PlainEnv)
    assert env.observation_space("left") == Box(0, 10, (2,), np.float32)
    assert isinstance(made_by(f"{TOY}:RandomLengthEnv"), toy_envs.RandomLengthEnv)


@pytest.mark.parametrize("processes", [0, -1])
def test_copies_need_a_process(processes: int) -> None:
    with pytest.raises(InputError, match=f"at least 1, not {processes}"):
        resolve(TOY).make_vector(2, processes=processes)


def test_a_native_vector_env_needs_no_processes() -> None:
    assert isinstance(resolve(MATCHING).make_vector(4, processes=2).vector_env, MatrixGameVectorEnv)


@pytest.mark.parametrize(
    ("kwargs", "reason"),
    [({"players": 2}, "players"), ({"num_agents": 1}, "num_agents"), ({"horizon": "x"}, "horizon")],
)
def test_arguments_that_the_env_refuses_are_named(kwargs: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=f"cannot be made with .*{reason}") as error:
        resolve(MATCHING, kwargs).make()
    one_sentence(error)


def test_arguments_that_only_the_vector_env_refuses_are_named_too() -> None:
    entry = resolve(MATCHING, {"render_mode": "ansi"})
    entry.make()
    with pytest.raises(InputError, match=r"cannot be made with .*render_mode"):
        entry.make_vector(2)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"num_agents": 3}, r"has the agents \['agent_0', 'agent_1', 'agent_2'\], its parallel_env \['agent_0', 'ag"),
        ({"num_actions": 3}, r"has the action space Discrete\(3\) for agent_0, its parallel_env Discrete\(2\)\.$"),
        ({"horizon": 2}, r"has the observation space Discrete\(5\) for agent_0, its parallel_env Discrete\(1\)\.$"),
    ],
)
def test_a_native_vector_env_of_another_env_is_refused(other: dict[str, Any], reason: str) -> None:
    def native(num_envs: int) -> Any:
        return matching_v0.vector_env(num_envs, **other)

    entry = EnvEntry("mine", matching_v0.parallel_env, make_native=native)
    with pytest.raises(InputError, match=f"^The vector_env of mine {reason}") as error:
        entry.make_vector(2)
    one_sentence(error)


class Named(toy_envs.RandomLengthEnv):
    """Its agents have other names."""

    def __init__(self, *names: Any) -> None:
        super().__init__()
        self.possible_agents = list(names)


@pytest.mark.parametrize("name", ["left.wing", "keys", ""])
def test_names_that_torch_cannot_keep_are_refused(name: str) -> None:
    entry = EnvEntry("named", lambda: Named(name))
    with pytest.raises(InputError, match=f"torch keeps no network under the name '{name}'") as error:
        Codes.of(entry, network="mlp")
    one_sentence(error)


def test_names_that_are_no_text_are_refused() -> None:
    with pytest.raises(InputError, match="named calls an agent 1; expected text for a name"):
        EnvEntry("named", lambda: Named("left", 1)).make()


def test_a_module_that_lacks_another_is_not_said_to_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "needy_env.py").write_text("import no_such_physics\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match="'needy_env' needs no_such_physics, which is not installed"):
        resolve("needy_env")
