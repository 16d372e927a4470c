"""mpe2's simple_tag: slow adversaries chase fast agents among obstacles."""

from functools import partial

import numpy as np

from experiments.mpe_envs import find_parallel_env
from experiments.mpe_envs.particles import Body, FloatArray, ParticleVectorEnv, many_copies
from experiments.particles.experts import NoOp, TagExpert
from magail_trainer.envs.vector_env import VectorEnv
from magail_trainer.errors import InputError

parallel_env = find_parallel_env("simple_tag_v3")

PRIZE = 10.0
"""What a touch is worth, to every adversary, and costs the agent that is touched."""


class SimpleTagVectorEnv(ParticleVectorEnv):
    """Copies of simple_tag.

    Everybody sees their velocity and position, the obstacles and all others from where they are, and the velocities of
    the other good agents: `[E, 4 + 2·obstacles + 2·others + 2·other good agents]`.
    """

    def __init__(
        self,
        num_envs: int,
        *,
        num_good: int = 1,
        num_adversaries: int = 3,
        num_obstacles: int = 2,
        max_cycles: int = 25,
    ) -> None:
        if min(num_good, num_adversaries) < 1 or num_obstacles < 0:
            raise InputError(
                f"num_good is {num_good}, num_adversaries {num_adversaries} and num_obstacles {num_obstacles}; "
                "expected at least one good agent and one adversary."
            )
        adversaries = [
            Body(f"adversary_{index}", size=0.075, acceleration=3.0, max_speed=1.0) for index in range(num_adversaries)
        ]
        agents = [Body(f"agent_{index}", size=0.05, acceleration=4.0, max_speed=1.3) for index in range(num_good)]
        obstacles = [Body(f"landmark {index}", size=0.2, movable=False) for index in range(num_obstacles)]
        super().__init__([*adversaries, *agents], obstacles, num_envs, max_cycles=max_cycles)
        self._adversaries = range(num_adversaries)
        self._good = range(num_adversaries, num_adversaries + num_good)

    def _draw(self, copy: int, rng: np.random.Generator) -> None:
        num_agents = len(self._agents)
        self._positions[copy, :num_agents] = rng.uniform(-1, 1, (num_agents, 2))
        self._positions[copy, num_agents:] = rng.uniform(-0.9, 0.9, (len(self._landmarks), 2))

    def _observe(self, agent: int) -> FloatArray:
        num_agents, others = len(self._agents), self._others(agent)
        velocities = self._velocities[:, [other for other in others if other in self._good]]
        return np.concatenate(
            [
                self._velocities[:, agent],
                self._positions[:, agent],
                self._offsets(agent, range(num_agents, num_agents + len(self._landmarks))),
                self._offsets(agent, others),
                velocities.reshape(self.num_envs, 2 * velocities.shape[1]),
            ],
            axis=1,
        )

    def _rewards(self) -> list[FloatArray]:
        touches = np.array([[self._touch(good, adversary) for adversary in self._adversaries] for good in self._good])
        prize = PRIZE * touches.sum(axis=(0, 1))
        rewards = [prize.copy() for _ in self._adversaries]
        for good, touched in zip(self._good, touches, strict=True):
            reward = -PRIZE * touched.sum(axis=0)
            for axis in range(2):
                reward -= _price_of_leaving(np.abs(self._positions[:, good, axis]))
            rewards.append(reward)
        return rewards


def _price_of_leaving(distance: FloatArray) -> FloatArray:
    """What a good agent pays, `[E]`, for a coordinate `[E]` near or beyond the edge of the screen."""
    beyond = np.minimum(np.exp(2 * np.minimum(distance, 3.0) - 2), 10)  # the limit of 10 is reached before 3
    return np.where(distance < 0.9, 0.0, np.where(distance < 1.0, (distance - 0.9) * 10, beyond))


def vector_env(
    num_envs: int,
    *,
    num_good: int = 1,
    num_adversaries: int = 3,
    num_obstacles: int = 2,
    max_cycles: int = 25,
    continuous_actions: bool = False,
    **others: object,
) -> VectorEnv:
    """`num_envs` copies, in one numpy call per step unless an argument asks for what only mpe2's own env can do."""
    counts = {"num_good": num_good, "num_adversaries": num_adversaries, "num_obstacles": num_obstacles}
    if continuous_actions or others:
        return many_copies(
            parallel_env, num_envs, max_cycles=max_cycles, continuous_actions=continuous_actions, **counts, **others
        )
    return SimpleTagVectorEnv(num_envs, max_cycles=max_cycles, **counts)


EXPERTS = {"scripted": partial(TagExpert, "scripted"), "noop": partial(NoOp, "noop")}
