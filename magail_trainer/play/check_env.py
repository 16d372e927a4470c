"""What an environment is like, and whether policies can be trained in it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from gymnasium.spaces import Space

from magail_trainer.data.joint_policies import RandomJointPolicy
from magail_trainer.envs.env_calls import closed_after
from magail_trainer.envs.registry import EnvEntry, make_env
from magail_trainer.envs.same_seed import plays_alike
from magail_trainer.envs.steps import Step, play_steps
from magail_trainer.errors import EnvError, InputError
from magail_trainer.learn.encoders import Codes, FeatureSpace, FiniteSpace, action_code, check_name
from magail_trainer.learn.trainer import choose_network
from magail_trainer.text import counted

_ENOUGH_EPISODES = 20
_TO_THE_FIRST_END = 50  # times as many steps are played if no episode has ended before
_LEAVERS = " (training takes that without --allow_variable_horizon only if it is always at the same step)"


@dataclass(frozen=True)
class EnvReport:
    """What `check_env` found."""

    facts: list[str]
    """What the env is like, a line for each fact."""
    refusals: list[str]
    """Why it cannot be trained in, a sentence for each reason; none if it can."""
    warning: str = ""
    """What to know before training in it, if there is anything."""

    def __str__(self) -> str:
        return "\n".join(self.facts + self.refusals)


def check_env(env: EnvEntry | str, *, steps: int = 200, max_episode_steps: int | None = None) -> EnvReport:
    """Look at an env's spaces and play random joint actions in one copy of it.

    Observations may be Box (other than images), Discrete, MultiDiscrete or MultiBinary, and Dicts and Tuples of these;
    actions Discrete, MultiDiscrete, MultiBinary, or Box with finite bounds.

    Args:
        env: the env, or its name.
        steps: how many to play at most, if an episode has ended by then; 20 whole episodes are enough. An episode that
            goes on is played for 50 times as many steps, and the env refused if it does not end.
        max_episode_steps: cut episodes off after so many steps.

    Raises:
        EnvError: the env cannot be made, or closed, or its spaces are not known.
        InputError: it refuses its arguments, or `steps` is below 1.
    """
    if steps < 1:
        raise InputError(f"The number of steps must be at least 1, not {steps}.")
    entry = make_env(env).limited(max_episode_steps=max_episode_steps)
    agents = entry.possible_agents
    facts, refusals = [f"{entry.id}: {counted(len(agents), 'agent')}, {', '.join(agents)}"], []
    for agent in agents:
        observation, action = entry.observation_space(agent), entry.action_space(agent)
        refused = _refusals(agent, observation, action)
        facts += [
            f"{agent} observes {observation}",
            f"{agent} acts in {action}",
            f"{agent} can be trained with {_networks(observation, action, refused)}",
        ]
        refusals += refused
    native = "the env's own" if entry.has_native_vector_env else "copies stepped one by one"
    facts.append(f"vector env: {native}")
    remarks: list[str] = []
    try:
        played = _play(entry, steps, say=remarks.append)
        alike = plays_alike(entry)
    except NotImplementedError as error:  # a space that Gymnasium cannot put many values of in one array
        return EnvReport([*facts, f"not played: {error or 'its values cannot be put in arrays'}"], refusals)
    except EnvError as error:
        return EnvReport(facts + remarks, [*refusals, str(error)])
    if not any(step.over[0] for step in played):
        refusals.append(f"No episode ended within {len(played):,} steps; --max_episode_steps N cuts episodes off.")
    facts += [*_episodes(agents, played), f"agents that leave early: {_leavers(agents, played)}"]
    warning = "" if alike else "ignores its seed: the same seed gave other episodes"
    facts.append(f"seeds: {warning or 'the same seed gives the same episodes'}")
    facts.append(f"action masks: {', '.join(played[-1].masks) or 'none'}")
    return EnvReport(facts + remarks, refusals or _together(entry), warning)


def _play(entry: EnvEntry, steps: int, *, say: Callable[[str], None]) -> list[Step]:
    """Steps of one copy, to the end of the twentieth episode or of `steps`, and in any case of an episode."""
    policy, played, episodes = RandomJointPolicy(entry), [], 0
    policy.begin(1, np.random.default_rng(0))
    copy = entry.make_copies(1, say=say)

    def act(observations: dict[str, Any], masks: dict[str, np.ndarray], step: np.ndarray) -> dict[str, Any]:
        return policy.act(observations, episode=np.zeros(1, dtype=np.int64), step=step, action_masks=masks)

    with closed_after(copy, say=say):
        for step in islice(play_steps(copy, act, seed=0), _TO_THE_FIRST_END * steps):
            played.append(step)
            episodes += bool(step.over[0])
            if episodes == _ENOUGH_EPISODES or (episodes and len(played) >= steps):
                break
    return played


def _episodes(agents: Sequence[str], played: Sequence[Step]) -> list[str]:
    """How long the episodes are, and how they end for each agent."""
    last = [index for index, step in enumerate(played) if step.over[0]]
    if not last:
        return [f"episodes: none ended within {counted(len(played), 'step')}"]
    lengths = np.diff(last, prepend=-1)
    shortest, longest = int(lengths.min()), int(lengths.max())
    if shortest < longest:
        length = f"{shortest} to {longest} steps long, which training takes with --allow_variable_horizon alone"
    elif len(lengths) == 1:
        length = f"{counted(shortest, 'step')} long"
    else:
        length = f"each {counted(shortest, 'step')} long (a fixed length)"
    ways = {
        agent: f"termination in {sum(int(played[index].terminations[agent][0]) for index in last)} "
        f"and truncation in {sum(int(played[index].truncations[agent][0]) for index in last)}"
        for agent in agents
    }
    number = counted(len(last), "episode")
    if len(set(ways.values())) == 1:
        ends = f"endings: {ways[agents[0]]} of {number}"
    else:
        ends = f"endings of {number}: {'; '.join(f'{agent} {way}' for agent, way in ways.items())}"
    return [f"episodes: {len(last)} played, {length}", ends]


def _leavers(agents: Sequence[str], played: Sequence[Step]) -> str:
    going_on = [step for step in played if not step.over[0]]
    leavers = [
        agent for agent in agents if any(step.terminations[agent][0] | step.truncations[agent][0] for step in going_on)
    ]
    return ", ".join(leavers) + _LEAVERS if leavers else "none"


def _refusals(agent: str, observation: Space, action: Space) -> list[str]:
    """Why no network can be trained in an agent's spaces, or under its name."""
    return [
        *_complaints(lambda: check_name(agent)),
        *_complaints(lambda: FeatureSpace(observation, f"observation space of {agent}")),
        *_complaints(lambda: action_code(action, f"action space of {agent}")),
    ]


def _together(entry: EnvEntry) -> list[str]:
    """Why there is no network for an env whose spaces are of the right kinds, one by one."""
    return _complaints(lambda: Codes.of(entry, network=choose_network(entry)))


def _complaints(make: Callable[[], object]) -> list[str]:
    try:
        make()
    except InputError as error:
        return [str(error)]
    return []


def _networks(observation: Space, action: Space, refused: Sequence[str]) -> str:
    if refused:
        return "neither tables nor MLPs (see below)"
    for what, space in (("observations", observation), ("actions", action)):
        if _complaints(lambda space=space: FiniteSpace(space, "")):
            return f"MLPs (no tables: its {what} are not from a finite space)"
    return "tables or MLPs"
