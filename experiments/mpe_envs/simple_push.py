"""mpe2's simple_push: one agent wants to be at the goal, the adversary wants to be there in its place."""

from functools import partial

import numpy as np

from experiments.mpe_envs import find_parallel_env
from experiments.mpe_envs.particles import Body, FloatArray, ParticleVectorEnv, many_copies, norm
from experiments.particles.experts import NoOp, PushExpert
from magail_trainer.envs.vector_env import VectorEnv

parallel_env = find_parallel_env("simple_push_v3")

ADVERSARY, AGENT = 0, 1
NUM_LANDMARKS = 2
LANDMARK_COLORS = np.full((NUM_LANDMARKS, 3), 0.1) + 0.8 * np.eye(3)[1:]
AGENT_COLORS = np.full((NUM_LANDMARKS, 3), 0.25) + 0.5 * np.eye(3)[1:]
"""`[2, 3]`: the colour of the good agent, by goal."""


class SimplePushVectorEnv(ParticleVectorEnv):
    """Copies of simple_push.

    The adversary sees its velocity, the landmarks and the agent from where it is, `[E, 8]`, and not which landmark is
    the goal. The agent also sees the goal, its own colour and the landmarks' colours, `[E, 19]`.
    """

    def __init__(self, num_envs: int, *, max_cycles: int = 25) -> None:
        agents = [Body("adversary_0", size=0.05), Body("agent_0", size=0.05)]
        landmarks = [
            Body(f"landmark {index}", size=0.05, movable=False, collides=False) for index in range(NUM_LANDMARKS)
        ]
        super().__init__(agents, landmarks, num_envs, max_cycles=max_cycles)
        self._goals = np.zeros(num_envs, dtype=np.int64)

    def _draw(self, copy: int, rng: np.random.Generator) -> None:
        self._goals[copy] = rng.integers(NUM_LANDMARKS)
        self._positions[copy] = rng.uniform(-1, 1, self._positions.shape[1:])

    def _observe(self, agent: int) -> FloatArray:
        velocity, landmarks = self._velocities[:, agent], self._offsets(agent, range(2, 2 + NUM_LANDMARKS))
        other = self._offsets(agent, self._others(agent))
        if agent == ADVERSARY:
            return np.concatenate([velocity, landmarks, other], axis=1)
        goal = self._goal_positions() - self._positions[:, agent]
        colors = np.tile(LANDMARK_COLORS.ravel(), (self.num_envs, 1))
        return np.concatenate([velocity, goal, AGENT_COLORS[self._goals], landmarks, colors, other], axis=1)

    def _rewards(self) -> list[FloatArray]:
        goal = self._goal_positions()
        theirs, ours = (norm(self._positions[:, index] - goal) for index in (ADVERSARY, AGENT))
        return [ours - theirs, -ours]

    def _goal_positions(self) -> FloatArray:
        return self._positions[np.arange(self.num_envs), 2 + self._goals]


def vector_env(num_envs: int, *, max_cycles: int = 25, continuous_actions: bool = False, **others: object) -> VectorEnv:
    """`num_envs` copies, in one numpy call per step unless an argument asks for what only mpe2's own env can do."""
    if continuous_actions or others:
        return many_copies(
            parallel_env, num_envs, max_cycles=max_cycles, continuous_actions=continuous_actions, **others
        )
    return SimplePushVectorEnv(num_envs, max_cycles=max_cycles)


EXPERTS = {"scripted": partial(PushExpert, "scripted"), "noop": partial(NoOp, "noop")}
