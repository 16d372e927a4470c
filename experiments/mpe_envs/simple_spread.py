"""mpe2's simple_spread: N agents are to cover N landmarks without bumping into each other."""

from functools import partial
from itertools import combinations

import numpy as np

from experiments.mpe_envs import find_parallel_env
from experiments.mpe_envs.particles import Body, FloatArray, ParticleVectorEnv, many_copies
from experiments.particles.experts import ASSIGNMENTS, NoOp, SpreadExpert
from magail_trainer.envs.vector_env import VectorEnv
from magail_trainer.errors import InputError

parallel_env = find_parallel_env("simple_spread_v3")


class SimpleSpreadVectorEnv(ParticleVectorEnv):
    """Copies of simple_spread.

    An agent sees its velocity, its position, the landmarks and the other agents from where it is, and two zeros for
    each other agent, which mpe2 keeps for messages that nobody can send: `[E, 4 + 2N + 4(N - 1)]`.
    """

    def __init__(self, num_envs: int, *, N: int = 3, local_ratio: float = 0.5, max_cycles: int = 25) -> None:
        if N < 1 or not 0 <= local_ratio <= 1:
            raise InputError(f"N is {N} and local_ratio {local_ratio}; expected N >= 1 and 0 <= local_ratio <= 1.")
        agents = [Body(f"agent_{index}", size=0.15) for index in range(N)]
        landmarks = [Body(f"landmark {index}", size=0.05, movable=False, collides=False) for index in range(N)]
        super().__init__(agents, landmarks, num_envs, max_cycles=max_cycles)
        self._local_ratio = local_ratio

    def _draw(self, copy: int, rng: np.random.Generator) -> None:
        self._positions[copy] = rng.uniform(-1, 1, self._positions.shape[1:])

    def _observe(self, agent: int) -> FloatArray:
        num_agents, others = len(self._agents), self._others(agent)
        return np.concatenate(
            [
                self._velocities[:, agent],
                self._positions[:, agent],
                self._offsets(agent, range(num_agents, 2 * num_agents)),
                self._offsets(agent, others),
                np.zeros((self.num_envs, 2 * len(others))),
            ],
            axis=1,
        )

    def _rewards(self) -> list[FloatArray]:
        num_agents = len(self._agents)
        uncovered = np.zeros(self.num_envs)
        for landmark in range(num_agents, 2 * num_agents):
            uncovered -= np.min([self._distance(agent, landmark) for agent in range(num_agents)], axis=0)
        bumps = np.zeros((num_agents, self.num_envs))
        for first, second in combinations(range(num_agents), 2):
            bumps[[first, second]] -= self._touch(first, second)
        return [uncovered * (1 - self._local_ratio) + bump * self._local_ratio for bump in bumps]


def vector_env(
    num_envs: int,
    *,
    N: int = 3,
    local_ratio: float = 0.5,
    max_cycles: int = 25,
    continuous_actions: bool = False,
    **others: object,
) -> VectorEnv:
    """`num_envs` copies, in one numpy call per step unless an argument asks for what only mpe2's own env can do."""
    arguments = {"N": N, "local_ratio": local_ratio, "max_cycles": max_cycles}
    if continuous_actions or others:
        arguments["continuous_actions"] = continuous_actions
        return many_copies(parallel_env, num_envs, **arguments, **others)
    return SimpleSpreadVectorEnv(num_envs, N=N, local_ratio=local_ratio, max_cycles=max_cycles)


EXPERTS = {
    **{assignment: partial(SpreadExpert, assignment=assignment) for assignment in ASSIGNMENTS},
    "noop": partial(NoOp, "noop"),
}
