"""mpe2's simple_speaker_listener: one agent knows which landmark is meant, the other one can walk there."""

from functools import partial

import numpy as np

from experiments.mpe_envs import find_parallel_env
from experiments.mpe_envs.particles import Body, FloatArray, ParticleVectorEnv, many_copies
from experiments.particles.experts import NoOp, SpeakerListenerExpert
from magail_trainer.envs.vector_env import VectorEnv

parallel_env = find_parallel_env("simple_speaker_listener_v4")

SPEAKER, LISTENER = 0, 1
NUM_LANDMARKS = 3
GOAL_COLORS = np.full((NUM_LANDMARKS, 3), 0.15) + 0.5 * np.eye(NUM_LANDMARKS)
"""`[3, 3]`: what the speaker sees, by goal."""


class SimpleSpeakerListenerVectorEnv(ParticleVectorEnv):
    """Copies of simple_speaker_listener.

    The speaker sees the goal's colour, `[E, 3]`; the listener its velocity, the landmarks from where it is, and what
    the speaker has just said, `[E, 11]`. What is said in a step is thus heard in the next one.
    """

    def __init__(self, num_envs: int, *, max_cycles: int = 25) -> None:
        agents = [
            Body("speaker_0", size=0.075, movable=False, collides=False, num_messages=NUM_LANDMARKS),
            Body("listener_0", size=0.075, collides=False),
        ]
        landmarks = [
            Body(f"landmark {index}", size=0.04, movable=False, collides=False) for index in range(NUM_LANDMARKS)
        ]
        super().__init__(agents, landmarks, num_envs, max_cycles=max_cycles)
        self._goals = np.zeros(num_envs, dtype=np.int64)

    def _draw(self, copy: int, rng: np.random.Generator) -> None:
        self._goals[copy] = rng.integers(NUM_LANDMARKS)
        self._positions[copy] = rng.uniform(-1, 1, self._positions.shape[1:])

    def _observe(self, agent: int) -> FloatArray:
        if agent == SPEAKER:
            return GOAL_COLORS[self._goals]
        landmarks = self._offsets(LISTENER, range(2, 2 + NUM_LANDMARKS))
        return np.concatenate([self._velocities[:, LISTENER], landmarks, self._messages[SPEAKER]], axis=1)

    def _rewards(self) -> list[FloatArray]:
        goal = self._positions[np.arange(self.num_envs), 2 + self._goals]
        squares = np.square(self._positions[:, LISTENER] - goal)
        reward = -(squares[:, 0] + squares[:, 1])
        return [reward, reward.copy()]


def vector_env(num_envs: int, *, max_cycles: int = 25, continuous_actions: bool = False, **others: object) -> VectorEnv:
    """`num_envs` copies, in one numpy call per step unless an argument asks for what only mpe2's own env can do."""
    if continuous_actions or others:
        return many_copies(
            parallel_env, num_envs, max_cycles=max_cycles, continuous_actions=continuous_actions, **others
        )
    return SimpleSpeakerListenerVectorEnv(num_envs, max_cycles=max_cycles)


EXPERTS = {
    "scripted": partial(SpeakerListenerExpert, "scripted", informed=True),
    "centroid": partial(SpeakerListenerExpert, "centroid", informed=False),
    "noop": partial(NoOp, "noop"),
}
