"""What an environment is like, whether the trainer can use it, and whether a vector env of it is right."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Space
from gymnasium.vector.utils import batch_space
from pettingzoo import ParallelEnv

from magail_trainer.envs.registry import EnvEntry
from magail_trainer.envs.vector_env import ParallelEnvCopies, VectorEnv, draw_allowed, episode_over
from magail_trainer.errors import InputError
from magail_trainer.text import counted

_FINITE = (Discrete, MultiDiscrete, MultiBinary)
_ENOUGH_EPISODES = 20


def unsupported(entry: EnvEntry) -> list[str]:
    """Why the trainer cannot use the env: one sentence for each agent's space that it has no network for.

    Observations may be Box (other than images), Discrete, MultiDiscrete or MultiBinary, and Dicts and Tuples of these;
    actions Discrete, MultiDiscrete, MultiBinary, or Box with finite bounds.

    Raises:
        InputError: the env cannot be made.
    """
    return _refusals(entry)


def describe_env(entry: EnvEntry, *, steps: int = 200) -> list[str]:
    """Lines that say what the env is like; see `examine`."""
    facts, refusals = examine(entry, steps=steps)
    return facts + refusals


def examine(entry: EnvEntry, *, steps: int = 200) -> tuple[list[str], list[str]]:
    """What the env is like, from `steps` steps of random joint actions in one copy, and why it cannot be trained in.

    Args:
        entry: the env.
        steps: how many steps to play at most; 20 whole episodes are enough.

    Returns:
        a line for each fact, and for each reason; no reason if it can be trained in.

    Raises:
        InputError: the env cannot be made, or does not keep to PettingZoo's rules; or `steps` is below 1.
    """
    if steps < 1:
        raise InputError(f"The number of steps must be at least 1, not {steps}.")
    agents = entry.possible_agents
    lines = [f"{entry.id}: {counted(len(agents), 'agent')}, {', '.join(agents)}"]
    for agent in agents:
        observation, action = entry.observation_space(agent), entry.action_space(agent)
        lines += [
            f"{agent} observes {observation}",
            f"{agent} acts in {action}",
            f"{agent} can be trained with {_networks(agent, observation, action)}",
        ]
    refusals = _refusals(entry)
    native = "the env's own" if entry.has_native_vector_env else "copies stepped one by one"
    lines.append(f"vector env: {native}")
    try:
        played = _play(entry, steps)
        lines += played.lines(agents)
        refusals += [
            f"{agent} is given {what}s that are not finite; expected numbers."
            for what, names in played.not_finite.items()
            for agent in names
        ]
    except NotImplementedError as error:  # a space that Gymnasium cannot put many values of in one array
        lines.append(f"not played: {error or 'its values cannot be put in arrays'}")
    return lines, refusals


_UNLESS = " (training takes that without --allow_variable_horizon only if it is always at the same step)"


@dataclass
class _Played:
    """What was seen while the env was played."""

    steps: int = 0
    lengths: list[int] = field(default_factory=list)
    terminated: dict[str, int] = field(default_factory=dict)
    """Agent -> how many of the whole episodes it was terminated in."""
    truncated: dict[str, int] = field(default_factory=dict)
    leavers: list[str] = field(default_factory=list)
    masked: list[str] = field(default_factory=list)
    not_finite: dict[str, list[str]] = field(default_factory=lambda: {"observation": [], "reward": []})
    """Who was given what."""

    def lines(self, agents: list[str]) -> list[str]:
        """Sentences about it."""
        return [
            self._episodes(),
            *([self._endings(agents)] if self.lengths else []),
            f"agents that leave early: {', '.join(self.leavers) + _UNLESS if self.leavers else 'none'}",
            f"action masks: {', '.join(self.masked) or 'none'}",
            *(f"{what}s: {_finite(names)}" for what, names in self.not_finite.items()),
        ]

    def _episodes(self) -> str:
        if not self.lengths:
            return f"episodes: none ended within {counted(self.steps, 'step')}"
        shortest, longest = min(self.lengths), max(self.lengths)
        many = f"episodes: {len(self.lengths)} played, "
        if shortest < longest:
            return f"{many}{shortest} to {longest} steps long, which training takes with --allow_variable_horizon alone"
        if len(self.lengths) == 1:
            return f"{many}{counted(shortest, 'step')} long"
        return f"{many}each {counted(shortest, 'step')} long (a fixed length)"

    def _endings(self, agents: list[str]) -> str:
        """One phrase where it is the same for all agents, else one for each."""
        phrases = {
            agent: f"termination in {self.terminated.get(agent, 0)} and truncation in {self.truncated.get(agent, 0)}"
            for agent in agents
        }
        if len(set(phrases.values())) == 1:
            return f"endings: {phrases[agents[0]]} of {counted(len(self.lengths), 'episode')}"
        each = "; ".join(f"{agent} {phrase}" for agent, phrase in phrases.items())
        return f"endings of {counted(len(self.lengths), 'episode')}: {each}"


def _play(entry: EnvEntry, steps: int) -> _Played:
    env = ParallelEnvCopies(entry.make, 1)
    rng, seen, length = np.random.default_rng(0), _Played(), 0
    spaces = {agent: batch_space(env.action_space(agent), 1) for agent in env.possible_agents}
    for space in spaces.values():
        space.seed(0)
    observations, infos = env.reset(seed=0)
    try:
        while seen.steps < steps and len(seen.lengths) < _ENOUGH_EPISODES:
            acted_on = observations
            observations, rewards, terminations, truncations, infos = env.step(_draw(env, spaces, infos, rng))
            seen.steps, length = seen.steps + 1, length + 1
            over = bool(episode_over(terminations, truncations)[0])
            for agent in env.possible_agents:
                _note(seen.masked, agent, it="action_mask" in infos[agent])
                _note(
                    seen.not_finite["observation"],
                    agent,
                    it=not _are_finite(acted_on[agent], infos[agent]["final_obs"]),
                )
                _note(seen.not_finite["reward"], agent, it=not _are_finite(rewards[agent]))
                _note(seen.leavers, agent, it=not over and bool(terminations[agent][0] | truncations[agent][0]))
                if over:
                    seen.terminated[agent] = seen.terminated.get(agent, 0) + int(terminations[agent][0])
                    seen.truncated[agent] = seen.truncated.get(agent, 0) + int(truncations[agent][0])
            if over:
                seen.lengths.append(length)
                length = 0
    finally:
        env.close()
    return seen


def _are_finite(*arrays: Any) -> bool:
    """Whether they hold finite numbers, or no numbers at all."""
    numbers = [array for array in arrays if isinstance(array, np.ndarray) and array.dtype.kind == "f"]
    return all(bool(np.isfinite(array).all()) for array in numbers)


def _finite(names: list[str]) -> str:
    return f"not finite for {', '.join(names)}" if names else "finite"


def _note(names: list[str], agent: str, *, it: bool) -> None:
    if it and agent not in names:
        names.append(agent)


def _draw(
    env: VectorEnv, spaces: dict[str, Space], infos: dict[str, dict[str, Any]], rng: np.random.Generator
) -> dict[str, Any]:
    """Random actions `[E, ...]` by agent; allowed ones where there are masks: an env may break down at others."""
    actions = {agent: space.sample() for agent, space in spaces.items()}
    for agent, info in infos.items():
        if "action_mask" in info:
            actions[agent] = draw_allowed(info["action_mask"], env.action_space(agent), rng)
    return actions


def _refusals(entry: EnvEntry) -> list[str]:
    return [
        sentence
        for agent in entry.possible_agents
        for sentence in _space_refusals(agent, entry.observation_space(agent), entry.action_space(agent))
    ]


def _space_refusals(agent: str, observation: Space, action: Space) -> list[str]:
    """Why perceptrons cannot be trained in an agent's spaces, or not under its name."""
    # Here, since it needs torch, and recording does not.
    from magail_trainer.learn.encoders import FeatureSpace, action_code, check_name

    checks: list[Callable[[], object]] = [
        lambda: check_name(agent),
        lambda: FeatureSpace(observation, f"observation space of {agent}"),
        lambda: action_code(action, f"action space of {agent}"),
    ]
    sentences = []
    for check in checks:
        try:
            check()
        except InputError as error:
            sentences.append(str(error))
    return sentences


def _networks(agent: str, observation: Space, action: Space) -> str:
    if _space_refusals(agent, observation, action):
        return "neither tables nor MLPs (see below)"
    if _is_finite(observation) and _is_finite(action):
        return "tables or MLPs"
    which = "actions" if _is_finite(observation) else "observations"
    return f"MLPs (no tables: its {which} are not from a finite space)"


def _is_finite(space: Space) -> bool:
    constant = isinstance(space, Box) and np.array_equal(space.low, space.high)
    return constant or isinstance(space, _FINITE)


def check_vector_env(
    vector_env: VectorEnv, make_env: Callable[[], ParallelEnv], *, steps: int = 50, seed: int = 0
) -> None:
    """Check that a vector env does what copies of the single env do, for the same seeds and random actions.

    Raises:
        AssertionError: it does not; the message says where.
    """
    copies = ParallelEnvCopies(make_env, vector_env.num_envs)
    agents = copies.possible_agents
    assert list(vector_env.possible_agents) == agents, f"agents {vector_env.possible_agents}, expected {agents}"
    action_spaces = {}
    for index, agent in enumerate(agents):
        assert vector_env.observation_space(agent) == copies.observation_space(agent), f"observation space of {agent}"
        assert vector_env.action_space(agent) == copies.action_space(agent), f"action space of {agent}"
        action_spaces[agent] = batch_space(copies.action_space(agent), copies.num_envs)
        action_spaces[agent].seed(seed + index)
    observations, infos = copies.reset(seed=seed)
    their_observations, their_infos = vector_env.reset(seed=seed)
    _assert_same(their_observations, observations, "observations after reset")
    _assert_same(their_infos, infos, "infos after reset")
    names = ("observations", "rewards", "terminations", "truncations", "infos")
    rng = np.random.default_rng(seed)
    for step in range(steps):
        actions = _draw(copies, action_spaces, infos, rng)
        results = copies.step(actions)
        infos = results[4]
        for name, ours, theirs in zip(names, vector_env.step(actions), results, strict=True):
            _assert_same(ours, theirs, f"{name} after step {step}")
    copies.close()


def _assert_same(ours: Any, theirs: Any, where: str) -> None:
    if isinstance(theirs, dict):
        for key, value in theirs.items():
            assert key in ours, f"{where}: {key} is missing"
            _assert_same(ours[key], value, f"{where}, {key}")
    elif isinstance(theirs, tuple):
        for index, value in enumerate(theirs):
            _assert_same(ours[index], value, f"{where}, {index}")
    else:
        assert np.shape(ours) == np.shape(theirs), f"{where}: shape {np.shape(ours)}, expected {np.shape(theirs)}"
        assert np.array_equal(ours, theirs), f"{where}: {ours}, expected {theirs}"
