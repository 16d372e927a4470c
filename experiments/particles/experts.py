"""Scripted joint policies for the particle environments, and floors that a learnt policy must clear.

E is the number of copies, A of agents, L of landmarks. The experts see the observations of all agents. They compare the
five discrete actions by the agent's position a few steps later, if it then drifts.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from gymnasium.spaces import Discrete
from pettingzoo import ParallelEnv
from scipy.optimize import linear_sum_assignment

from experiments.mpe_envs.particles import (
    ACCELERATION,
    DAMPING,
    DIRECTIONS,
    TIME_STEP,
    FloatArray,
    IntArray,
    limit_speed,
    norm,
)

LOOKAHEAD = 3
"""Steps; two are the fewest in which an action moves anything."""
ASSIGNMENTS = ("cheapest", "fixed", "coin", "nearest")
PERSONAL_SPACE = 0.35
"""Two agents of simple_spread touch at 0.3."""
DISCOMFORT = 2.0
"""The cost per unit of coming closer in simple_spread, against squared distances from the landmark."""
VERSION = 2
"""Raised whenever an expert or a symmetry changes, so that old results are not reused."""
MOST_AGENTS = 6
"""The experts search all joint actions, here 5^6: a step of 1000 copies then takes a second and 0.4 GB, with three
agents some milliseconds."""
WALL = 0.85
"""The distance from the middle beyond which the prey of simple_tag turns back; it is fined from 0.9 on."""


class ParticleExpert(ABC):
    """A deterministic, memoryless joint policy.

    Raises:
        ValueError: an agent's actions are not discrete.
    """

    def __init__(self, name: str, env: ParallelEnv, **parameters: Any) -> None:
        self.name, self.parameters = name, parameters
        self.agents: list[str] = list(env.possible_agents)
        for agent in self.agents:
            if not isinstance(env.action_space(agent), Discrete):
                raise ValueError(f"{name} needs discrete actions, but {agent} has {env.action_space(agent)}.")

    def begin(self, num_episodes: int, rng: np.random.Generator) -> None:  # noqa: B027  # most have no use for it
        """Nothing to draw."""

    def act(self, observations: dict[str, Any], *, episode: np.ndarray, step: np.ndarray) -> dict[str, IntArray]:
        """The actions `[E]` of every agent, from observations `[E, D]` by agent and the episodes `[E]`."""
        seen = {agent: np.asarray(observations[agent], dtype=np.float64) for agent in self.agents}
        return dict(zip(self.agents, self._choose(seen, episode), strict=True))

    @abstractmethod
    def _choose(self, seen: dict[str, FloatArray], episode: IntArray) -> Sequence[IntArray]:
        """The actions `[E]`, agent by agent."""


class NoOp(ParticleExpert):
    """Every agent takes action 0: it lets itself drift, or says the first thing."""

    def _choose(self, seen: dict[str, FloatArray], episode: IntArray) -> Sequence[IntArray]:
        return [np.zeros(len(episode), dtype=np.int64) for _ in self.agents]


class SpeakerListenerExpert(ParticleExpert):
    """The speaker names the goal, and the listener walks there without waiting for the word.

    As a floor, `informed=False`: the listener walks to the middle of the landmarks, and the speaker repeats one word.
    """

    def __init__(self, name: str, env: ParallelEnv, *, informed: bool) -> None:
        super().__init__(name, env)
        self._informed = informed

    def _choose(self, seen: dict[str, FloatArray], episode: IntArray) -> Sequence[IntArray]:
        goal, listener = seen["speaker_0"].argmax(axis=1), seen["listener_0"]
        landmarks = listener[:, 2:8].reshape(-1, 3, 2)
        if not self._informed:
            return [np.zeros_like(goal), walk(landmarks.mean(axis=1), listener[:, :2])]
        return [goal, walk(landmarks[np.arange(len(goal)), goal], listener[:, :2])]


class SpreadExpert(ParticleExpert):
    """Each agent walks to a landmark of its own, and keeps clear of the others.

    `assignment` says to which: `cheapest`, the one with the least sum of squared distances, found anew at each step;
    `fixed`, agent i to landmark i; `coin`, agent i to landmark i + k mod N, where k is drawn for each episode; and, as
    a floor, `nearest`: each agent to the landmark nearest to it, as if it were alone.
    """

    def __init__(self, env: ParallelEnv, *, assignment: str = "cheapest") -> None:
        if assignment not in ASSIGNMENTS:
            raise ValueError(f"the assignment {assignment!r} is none of {', '.join(ASSIGNMENTS)}.")
        super().__init__(assignment, env, assignment=assignment)
        expected, space = (6 * len(self.agents),), env.observation_space(self.agents[0])
        if space.shape != expected:
            raise ValueError(f"{assignment} expects observations {expected} of all landmarks and agents, got {space}.")
        if assignment != "nearest" and len(self.agents) > MOST_AGENTS:
            raise ValueError(f"{assignment} plans for at most {MOST_AGENTS} agents, not {len(self.agents)}.")
        self.shifts: IntArray = np.zeros(0, dtype=np.int64)
        """`[episodes]`: the k of the coin."""

    def begin(self, num_episodes: int, rng: np.random.Generator) -> None:
        """Toss the coin of every episode."""
        if self.name == "coin":
            self.shifts = rng.integers(len(self.agents), size=num_episodes)

    def _choose(self, seen: dict[str, FloatArray], episode: IntArray) -> Sequence[IntArray]:
        num_agents = len(self.agents)
        stacked = np.stack([seen[agent] for agent in self.agents], axis=1)
        velocities, positions = stacked[..., :2], stacked[..., 2:4]
        landmarks = stacked[..., 4 : 4 + 2 * num_agents].reshape(len(episode), num_agents, num_agents, 2)
        assigned = self._assign(np.square(landmarks).sum(axis=-1), episode)
        targets = np.take_along_axis(landmarks, assigned[:, :, np.newaxis, np.newaxis], axis=2)[:, :, 0]
        if self.name == "nearest":
            return list(walk(targets, velocities).T)
        return list(_walk_apart(targets, velocities, positions).T)

    def _assign(self, costs: FloatArray, episode: IntArray) -> IntArray:
        """The landmark of every agent, `[E, A]`, from the squared distances `[E, A, L]`."""
        num_agents = len(self.agents)
        if self.name == "cheapest":
            return _cheapest(costs)
        if self.name == "nearest":
            return costs.argmin(axis=2)
        shifts = self.shifts[episode] if self.name == "coin" else np.zeros(len(episode), dtype=np.int64)
        return (np.arange(num_agents) + shifts[:, np.newaxis]) % num_agents


class PushExpert(ParticleExpert):
    """Both walk to the goal; so the adversary pushes the agent off it."""

    def _choose(self, seen: dict[str, FloatArray], episode: IntArray) -> Sequence[IntArray]:
        adversary, agent = seen["adversary_0"], seen["agent_0"]
        goal = agent[:, 2:4]
        return [walk(goal + adversary[:, 6:8], adversary[:, :2]), walk(goal, agent[:, :2])]


class TagExpert(ParticleExpert):
    """Adversaries walk to the future position of their nearest prey; prey maximises its distance from adversaries."""

    def __init__(self, name: str, env: ParallelEnv) -> None:
        super().__init__(name, env)
        self._num_adversaries = sum(agent.startswith("adversary") for agent in self.agents)

    def _choose(self, seen: dict[str, FloatArray], episode: IntArray) -> Sequence[IntArray]:
        velocities, positions = (
            np.stack([seen[agent][:, columns] for agent in self.agents], axis=1) for columns in (slice(2), slice(2, 4))
        )
        split = self._num_adversaries
        ahead = positions + drift(velocities)
        offsets = ahead[:, np.newaxis, split:] - positions[:, :split, np.newaxis]  # [E, adversaries, prey, 2]
        nearest = norm(offsets).argmin(axis=2)[:, :, np.newaxis, np.newaxis]
        chase = walk(np.take_along_axis(offsets, nearest, axis=2)[:, :, 0], velocities[:, :split], 3.0, 1.0)
        options = positions[:, split:, np.newaxis] + reachable(velocities[:, split:], 4.0, 1.3)  # [E, prey, 5, 2]
        gaps = norm(options[:, :, :, np.newaxis] - ahead[:, np.newaxis, np.newaxis, :split])
        leaving = np.maximum(np.abs(options) - WALL, 0).sum(axis=-1)
        flee = (np.log(gaps).sum(axis=-1) - 20 * leaving).argmax(axis=-1)
        return [*chase.T, *flee.T]


def reachable(
    velocity: FloatArray, acceleration: float = ACCELERATION, max_speed: float | None = None, steps: int = LOOKAHEAD
) -> FloatArray:
    """The displacement by each action followed by drifting: `[..., 5, 2]`, from the velocity `[..., 2]`."""
    first = velocity[..., np.newaxis, :]
    then = limit_speed(first * (1 - DAMPING) + DIRECTIONS * acceleration * TIME_STEP, max_speed)
    return TIME_STEP * first + drift(then, steps - 1)


def drift(velocity: FloatArray, steps: int = LOOKAHEAD) -> FloatArray:
    """The displacement of an agent that does nothing, `[..., 2]`."""
    return velocity * TIME_STEP * sum((1 - DAMPING) ** step for step in range(steps))


def walk(
    target: FloatArray, velocity: FloatArray, acceleration: float = ACCELERATION, max_speed: float | None = None
) -> IntArray:
    """The actions `[...]` that lead nearest to a target `[..., 2]`, relative to the agent."""
    misses = reachable(velocity, acceleration, max_speed) - target[..., np.newaxis, :]
    return np.square(misses).sum(axis=-1).argmin(axis=-1)


def _walk_apart(targets: FloatArray, velocities: FloatArray, positions: FloatArray) -> IntArray:
    """The actions `[E, A]` of agents that walk to targets `[E, A, 2]`, relative to them, without collisions.

    They take the cheapest of all joint actions; no agent has priority, so agents can change places.
    """
    num_agents, num_actions = targets.shape[1], len(DIRECTIONS)
    steps = reachable(velocities)  # [E, A, 5, 2]
    misses = np.square(steps - targets[:, :, np.newaxis]).sum(axis=-1)
    options = positions[:, :, np.newaxis] + steps
    joint_actions = np.indices((num_actions,) * num_agents).reshape(num_agents, -1)  # [A, 5^A]
    costs = sum(misses[:, agent, actions] for agent, actions in enumerate(joint_actions))
    for first, second in combinations(range(num_agents), 2):
        gaps = norm(options[:, first, :, np.newaxis] - options[:, second, np.newaxis])  # [E, 5, 5]
        discomfort = DISCOMFORT * np.maximum(PERSONAL_SPACE - gaps, 0)
        costs = costs + discomfort[:, joint_actions[first], joint_actions[second]]
    return joint_actions[:, np.argmin(costs, axis=1)].T


def _cheapest(costs: FloatArray) -> IntArray:
    """The landmark of every agent, `[E, A]`, with the least sum of costs `[E, A, L]`."""
    return np.array([linear_sum_assignment(matrix)[1] for matrix in costs])  # scipy takes one matrix at a time
