"""What importing the package does: ids in both registries, once, and nothing heavy."""

import importlib
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import gymnasium
import pettingzoo
import pytest

import coordination_env
from coordination_env import GAMES, MatrixGameEnv

NAMES = ["matching", "stag_hunt", "battle_of_the_sexes", "chicken", "prisoners_dilemma", "matching_pennies"]
NAMES += ["rock_paper_scissors"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", ["coordination/{}-v0", "coordination/{}_v0", "coordination/{}"])
def test_every_id_resolves_in_every_form(name: str, form: str) -> None:
    parallel = pettingzoo.make("parallel", form.format(name), horizon=2)
    assert isinstance(parallel, MatrixGameEnv)
    assert parallel.game == GAMES[name]()
    aec = pettingzoo.make("aec", form.format(name), horizon=2)
    assert str(aec) == str(parallel) == parallel.metadata["name"] == f"{name}_v0"
    aec.reset()
    parallel.reset()
    assert aec.agents == parallel.agents == ["agent_0", "agent_1"]


def test_all_games_are_registered_by_string_entry_points() -> None:
    registries: list[dict[str, Any]] = [pettingzoo.parallel_registry, pettingzoo.aec_registry]
    for registry in registries:
        ours = {env_id: spec for env_id, spec in registry.items() if env_id.startswith("coordination/")}
        assert sorted(ours) == sorted(f"coordination/{name}-v0" for name in NAMES)
        assert all(isinstance(spec.entry_point, str) for spec in ours.values())
    assert isinstance(gymnasium.spec("coordination/Matching-v0").entry_point, str)


def test_reloading_registers_nothing_twice() -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        importlib.reload(coordination_env)
    assert not said


def test_arguments_reach_the_registered_env() -> None:
    env = pettingzoo.make("parallel", "coordination/matching-v0", num_agents=3, num_actions=4)
    assert env.possible_agents == ["agent_0", "agent_1", "agent_2"]
    assert env.action_space("agent_0").n == 4  # pyright: ignore[reportAttributeAccessIssue]


def test_a_fresh_process_can_use_both_registries_and_loads_nothing_heavy() -> None:
    program = """
import sys, gymnasium
env = gymnasium.make("coordination_env:coordination/Matching-v0", render_mode="ansi")
env.reset(); env.step([0, 0]); env.render()
import pettingzoo
aec = pettingzoo.make("aec", "coordination/chicken-v0"); aec.reset(); aec.step(0)
heavy = {"torch", "scipy", "matplotlib", "pygame", "magail_trainer", "experiments"} & set(sys.modules)
assert not heavy, heavy
"""
    checkout = Path(coordination_env.__file__).parents[1]
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, check=False, timeout=60, cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_public_names_exist() -> None:
    assert all(hasattr(coordination_env, name) for name in coordination_env.__all__)
