"""mpe2's particle world, many copies at once in numpy.

E is the number of copies, A of agents, L of landmarks. Entities are the agents followed by the landmarks. Every sum is
in mpe2's order, so that the two agree to the last bit.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Box, Discrete
from gymnasium.utils import seeding
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from magail_trainer.envs.vector_env import ParallelEnvCopies, Seeds, StepResult, VectorEnv, seeds_of
from magail_trainer.errors import InputError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

TIME_STEP = 0.1
DAMPING = 0.25
CONTACT_FORCE = 100.0
CONTACT_MARGIN = 0.001
DIRECTIONS = np.array([[0.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [0.0, -1.0], [0.0, 1.0]])
"""`[5, 2]`: the direction of each discrete action."""
ACCELERATION = 5.0
"""The default force of an action."""


@dataclass(frozen=True)
class Body:
    """The constants of an agent or a landmark."""

    name: str
    size: float
    movable: bool = True
    collides: bool = True
    acceleration: float = ACCELERATION
    max_speed: float | None = None
    num_messages: int = 0
    """The size of an agent's vocabulary; 0 for a silent agent."""


class ParticleVectorEnv(ABC):
    """`num_envs` copies of a particle environment with discrete actions. Subclasses define observations and rewards.

    Copies start and end together, since every episode is truncated after `max_cycles` steps; that step also starts the
    next episode. Returned arrays are new and belong to the caller.

    Raises:
        InputError: `num_envs` is not positive, or an action does not fit the action space.
    """

    def __init__(self, agents: Sequence[Body], landmarks: Sequence[Body], num_envs: int, *, max_cycles: int) -> None:
        if num_envs < 1:
            raise InputError(f"num_envs is {num_envs}; expected a positive number of copies.")
        self.num_envs = num_envs
        self.possible_agents = [body.name for body in agents]
        self._agents, self._landmarks = list(agents), list(landmarks)
        self._max_cycles = max_cycles
        self._steps: int | None = None
        self._rngs: list[np.random.Generator] = []
        self._positions = np.zeros((num_envs, len(agents) + len(landmarks), 2))
        self._velocities = np.zeros((num_envs, len(agents), 2))
        self._messages = [np.zeros((num_envs, body.num_messages)) for body in agents]
        self._contacts = _contacts([*agents, *landmarks])
        self._action_spaces = {
            body.name: Discrete((len(DIRECTIONS) if body.movable else 1) * max(body.num_messages, 1)) for body in agents
        }
        self._observation_spaces: dict[str, Box] = {}

    def observation_space(self, agent: str) -> Box:
        """The space of one copy."""
        if not self._observation_spaces:  # subclasses cannot observe before their own __init__ is through
            for name, observation in self._observe_all().items():
                self._observation_spaces[name] = Box(-np.inf, np.inf, observation.shape[1:], np.float32)
        return self._observation_spaces[agent]

    def action_space(self, agent: str) -> Discrete:
        """The space of one copy."""
        return self._action_spaces[agent]

    def reset(self, seed: Seeds = None) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Start a new episode in every copy: observations `[E, D]`, float32, and empty infos, by agent.

        Args:
            seed: E seeds; or one number s, for the seeds s, s+1, …; or None, to go on with the present random state.
        """
        if seed is not None or not self._rngs:
            self._rngs = [seeding.np_random(number)[0] for number in seeds_of(seed, self.num_envs)]
        self._begin()
        return self._observe_all(), {agent: {} for agent in self.possible_agents}

    def step(self, actions: Mapping[str, IntArray]) -> StepResult:
        """Step every copy with actions `[E]` by agent; see `magail_trainer.envs.vector_env.VectorEnv.step`.

        Raises:
            ResetNeeded: `reset` has not been called.
        """
        if self._steps is None:
            raise ResetNeeded("Call reset() before step().")
        self._move(self._decode(actions))
        rewards = dict(zip(self.possible_agents, self._rewards(), strict=True))
        observations = self._observe_all()
        infos: dict[str, dict[str, Any]] = {agent: {"final_obs": seen} for agent, seen in observations.items()}
        self._steps += 1
        finished = self._steps >= self._max_cycles
        if finished:
            self._begin()
            observations = self._observe_all()
        else:
            observations = {agent: seen.copy() for agent, seen in observations.items()}
        terminations = {agent: np.zeros(self.num_envs, dtype=np.bool_) for agent in self.possible_agents}
        truncations = {agent: np.full(self.num_envs, finished) for agent in self.possible_agents}
        return observations, rewards, terminations, truncations, infos

    def close(self) -> None:  # noqa: B027  # subclasses have nothing to free either
        """Nothing to free."""

    @abstractmethod
    def _draw(self, copy: int, rng: np.random.Generator) -> None:
        """Draw the positions and goals of one copy, in mpe2's order, from its own generator."""

    @abstractmethod
    def _observe(self, agent: int) -> FloatArray:
        """What an agent sees, `[E, D]`."""

    @abstractmethod
    def _rewards(self) -> list[FloatArray]:
        """The reward of each agent, `[E]`; a new array for each."""

    def _offsets(self, agent: int, entities: Sequence[int] | range) -> FloatArray:
        """Positions of entities relative to an agent, `[E, 2·len(entities)]`."""
        offsets = self._positions[:, list(entities)] - self._positions[:, agent, np.newaxis]
        return offsets.reshape(self.num_envs, 2 * len(entities))

    def _others(self, agent: int) -> list[int]:
        return [other for other in range(len(self._agents)) if other != agent]

    def _distance(self, entity: int, other: int) -> FloatArray:
        """The distance of two entities, `[E]`."""
        return norm(self._positions[:, entity] - self._positions[:, other])

    def _touch(self, entity: int, other: int) -> NDArray[np.bool_]:
        """Whether two entities overlap, `[E]`."""
        bodies = [*self._agents, *self._landmarks]
        return self._distance(entity, other) < bodies[entity].size + bodies[other].size

    def _begin(self) -> None:
        self._steps = 0
        self._velocities = np.zeros_like(self._velocities)
        self._messages = [np.zeros_like(message) for message in self._messages]
        for copy, rng in enumerate(self._rngs):
            self._draw(copy, rng)

    def _observe_all(self) -> dict[str, NDArray[np.float32]]:
        return {agent: self._observe(index).astype(np.float32) for index, agent in enumerate(self.possible_agents)}

    def _decode(self, actions: Mapping[str, IntArray]) -> FloatArray:
        """Set the agents' messages; return their forces, `[E, A, 2]`."""
        forces = np.zeros_like(self._velocities)
        for index, body in enumerate(self._agents):
            number = int(self._action_spaces[body.name].n)
            chosen = np.asarray(actions[body.name])
            if chosen.shape != (self.num_envs,) or chosen.dtype.kind not in "iu":
                raise InputError(
                    f"The actions of {body.name} are {chosen.dtype}{list(chosen.shape)}; "
                    f"expected integers [{self.num_envs}]."
                )
            if chosen.min() < 0 or chosen.max() >= number:
                raise InputError(f"An action of {body.name} lies outside 0..{number - 1}.")
            if body.movable:
                forces[:, index] = DIRECTIONS[chosen % len(DIRECTIONS)] * body.acceleration
                chosen = chosen // len(DIRECTIONS)
            if body.num_messages:
                self._messages[index] = np.eye(body.num_messages)[chosen]
        return forces

    def _move(self, forces: FloatArray) -> None:
        """One step of the physics: contacts add to `forces`, `[E, A, 2]`; positions use the velocities from before."""
        bodies = [*self._agents, *self._landmarks]
        for first, second in self._contacts:
            push = self._contact_force(first, second, bodies[first].size + bodies[second].size)
            if bodies[first].movable:
                forces[:, first] += push
            if bodies[second].movable:
                forces[:, second] -= push
        for index, body in enumerate(self._agents):
            if body.movable:
                self._positions[:, index] += self._velocities[:, index] * TIME_STEP
                velocity = self._velocities[:, index] * (1 - DAMPING) + forces[:, index] * TIME_STEP
                self._velocities[:, index] = limit_speed(velocity, body.max_speed)

    def _contact_force(self, first: int, second: int, reach: float) -> FloatArray:
        """The repulsive force on the first entity, `[E, 2]`: a spring with a soft edge."""
        offset = self._positions[:, first] - self._positions[:, second]
        distance = norm(offset)
        penetration = np.logaddexp(0, -(distance - reach) / CONTACT_MARGIN) * CONTACT_MARGIN
        return CONTACT_FORCE * offset / distance[:, np.newaxis] * penetration[:, np.newaxis]


def norm(vectors: FloatArray) -> FloatArray:
    """The lengths `[...]` of vectors `[..., 2]`, with mpe2's rounding."""
    return np.sqrt(np.square(vectors[..., 0]) + np.square(vectors[..., 1]))


def many_copies(parallel_env: Callable[..., ParallelEnv], num_envs: int, **arguments: Any) -> VectorEnv:
    """Copies of mpe2's own environment, one by one: for arguments that the batched env does not support."""
    return ParallelEnvCopies(lambda: parallel_env(**arguments), num_envs)


def _contacts(bodies: Sequence[Body]) -> list[tuple[int, int]]:
    """The pairs of entities between which there can be forces, in mpe2's order."""
    return [
        (first, second)
        for first in range(len(bodies))
        for second in range(first + 1, len(bodies))
        if bodies[first].collides and bodies[second].collides and (bodies[first].movable or bodies[second].movable)
    ]


def limit_speed(velocity: FloatArray, max_speed: float | None) -> FloatArray:
    """Velocities `[..., 2]` that keep the speed limit, if there is one."""
    if max_speed is None:
        return velocity
    speed = norm(velocity)[..., np.newaxis]
    too_fast = speed > max_speed
    return np.where(too_fast, velocity / np.where(too_fast, speed, 1.0) * max_speed, velocity)
