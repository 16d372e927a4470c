"""The symmetries of the particle environments, for `magail augment --symmetries experiments.particles.symmetries:NAME`.

The physics is invariant under the eight rotations and reflections of the square, and under permutations of entities of
one kind. Each number of an observation has a label, such as ("landmark 1", "x"): a symmetry maps each label to a number
of the old episode and its sign.

A symmetry of the env need not be one of its expert: an expert that sends agent i to landmark i distinguishes landmarks,
the cheapest assignment does not. Swapping two of three agents reverses the shift of a hidden coin; with more than three
agents not every swap maps shifts to shifts.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice, permutations, product
from math import prod

import numpy as np
from gymnasium.spaces import Discrete
from pettingzoo import ParallelEnv

from experiments.mpe_envs.particles import DIRECTIONS, FloatArray, IntArray
from magail_trainer.data.augmentation import Change, Symmetry

PLANE: tuple[FloatArray, ...] = tuple(
    np.array(signs)[:, np.newaxis] * np.eye(2)[list(axes)]
    for axes in permutations(range(2))
    for signs in product((1.0, -1.0), repeat=2)
)
"""`[2, 2]` each: the rotations by quarters and the reflections, the identity first."""

MOST_SYMMETRIES = 50_000
"""The limit for one env: each takes some kilobytes."""

Label = tuple[str, str, int]
"""What, of which entity, along which axis: -1 for what has no direction."""
Swap = Mapping[str, str]
"""Entity -> the entity whose place it takes; others keep their own."""
Layout = Mapping[str, Sequence[Label]]
"""The labels of each agent's observation, number by number."""


def simple_speaker_listener(env: ParallelEnv) -> list[Symmetry]:
    """47: the plane, and the landmarks, together with the words for them."""
    landmarks = _names("landmark", 3)
    layout = {
        "speaker_0": _scalars("goal", landmarks),
        "listener_0": [
            *_vectors("velocity", ["listener_0"]),
            *_vectors("offset", landmarks),
            *_scalars("word", landmarks),
        ],
    }
    return _symmetries(env, layout, [_swaps(landmarks)], speaks={"speaker_0": landmarks})


def simple_spread(env: ParallelEnv) -> list[Symmetry]:
    """47 with three agents: the plane, and each agent with its landmark, for experts that pair them."""
    agents = list(env.possible_agents)
    landmarks = _names("landmark", len(agents))
    pairs = [{**first, **second} for first, second in zip(_swaps(agents), _swaps(landmarks), strict=True)]
    return _symmetries(env, _spread_layout(agents, landmarks), [pairs])


def simple_spread_any_landmark(env: ParallelEnv) -> list[Symmetry]:
    """287 with three agents: the plane, the agents and the landmarks, for experts that treat all landmarks alike."""
    agents = list(env.possible_agents)
    landmarks = _names("landmark", len(agents))
    return _symmetries(env, _spread_layout(agents, landmarks), [_swaps(agents), _swaps(landmarks)])


def simple_push(env: ParallelEnv) -> list[Symmetry]:
    """15: the plane, and the landmarks, together with the goal's colour; those of the landmarks go by their names."""
    landmarks = _names("landmark", 2)
    adversary, agent = "adversary_0", "agent_0"
    layout = {
        adversary: [*_vectors("velocity", [adversary]), *_vectors("offset", [*landmarks, agent])],
        agent: [
            *_vectors("velocity", [agent]),
            *_vectors("to the goal", [agent]),
            *_scalars("constant", ["red"]),
            *_scalars("goal", landmarks),
            *_vectors("offset", landmarks),
            *_scalars("constant", _names("colour", 6)),
            *_vectors("offset", [adversary]),
        ],
    }
    return _symmetries(env, layout, [_swaps(landmarks)])


def simple_tag(env: ParallelEnv) -> list[Symmetry]:
    """95 with three adversaries and two obstacles: the plane, the agents of a side, and the obstacles."""
    agents = list(env.possible_agents)
    adversaries = [agent for agent in agents if agent.startswith("adversary")]
    good = [agent for agent in agents if agent not in adversaries]
    if not adversaries or not good:
        raise ValueError(f"expected an adversary and a good agent at least, not {', '.join(agents)}")
    seen = {agent: int(np.prod(env.observation_space(agent).shape or ())) for agent in agents}
    num_obstacles = (seen[good[0]] - 4 - 2 * (len(agents) - 1) - 2 * (len(good) - 1)) // 2
    obstacles = _names("landmark", num_obstacles)
    layout = {}
    for agent in agents:
        others = [other for other in agents if other != agent]
        layout[agent] = [
            *_vectors("velocity", [agent]),
            *_vectors("position", [agent]),
            *_vectors("offset", [*obstacles, *others]),
            *_vectors("velocity", [other for other in others if other in good]),
        ]
    return _symmetries(env, layout, [_swaps(adversaries), _swaps(good), _swaps(obstacles)])


def _spread_layout(agents: Sequence[str], landmarks: Sequence[str]) -> Layout:
    layout = {}
    for agent in agents:
        others = [other for other in agents if other != agent]
        layout[agent] = [
            *_vectors("velocity", [agent]),
            *_vectors("position", [agent]),
            *_vectors("offset", [*landmarks, *others]),
            *_scalars("constant", _names("silence", 2 * len(others))),
        ]
    return layout


def _symmetries(
    env: ParallelEnv,
    layout: Layout,
    swaps: Sequence[Sequence[Swap]],
    speaks: Mapping[str, Sequence[str]] | None = None,
) -> list[Symmetry]:
    """Every symmetry of the plane with every combination of swaps, without the identity.

    Args:
        env: whose symmetries they are.
        layout: what its agents see.
        swaps: of entities, a list for each kind, whose first one changes nothing.
        speaks: agents that do not move and name an entity in place, and these entities.

    Raises:
        ValueError: the env's spaces are others than the layout says, its actions are not discrete, or there are more
            than `MOST_SYMMETRIES`.
    """
    speaks = speaks or {}
    for agent, labels in layout.items():
        actions = len(speaks.get(agent, DIRECTIONS))
        if agent not in env.possible_agents:
            raise ValueError(f"expected an agent {agent}, the agents are {', '.join(env.possible_agents)}")
        if env.observation_space(agent).shape != (len(labels),):
            raise ValueError(f"{agent} sees {env.observation_space(agent)}, expected {len(labels)} numbers")
        space = env.action_space(agent)
        if not isinstance(space, Discrete) or space.n != actions:
            raise ValueError(f"{agent} acts in {space}, expected Discrete({actions})")
    number = len(PLANE) * prod(map(len, swaps))
    if number > MOST_SYMMETRIES:
        raise ValueError(f"there are {number:,} of so many agents and landmarks, expected at most {MOST_SYMMETRIES:,}")
    together = [{entity: place for swap in kinds for entity, place in swap.items()} for kinds in product(*swaps)]
    found = []
    for plane, swap in islice(product(PLANE, together), 1, None):
        observations, actions = {}, {}
        for agent, labels in layout.items():
            observations[agent] = _rearrangement(labels, layout[swap.get(agent, agent)], plane, swap)
            said = speaks.get(agent)
            actions[agent] = _lookup(_turned_moves(plane) if said is None else _new_words(said, swap))
        parts = {agent: swap.get(agent, agent) for agent in layout}
        found.append(Symmetry(f"plane {plane.astype(int).tolist()}, {swap}", parts, observations, actions))
    return found


def _rearrangement(new: Sequence[Label], old: Sequence[Label], plane: FloatArray, swap: Swap) -> Change:
    """What is seen under the labels `new`, `[n, len(new)]`, from what was seen under `old`."""
    columns, signs = [], []
    for what, entity, axis in new:
        along = -1 if axis < 0 else int(np.abs(plane[axis]).argmax())
        columns.append(old.index((what, swap.get(entity, entity), along)))
        signs.append(1.0 if axis < 0 else plane[axis, along])

    def rearranged(seen: np.ndarray) -> np.ndarray:
        return seen[:, columns] * np.array(signs, dtype=seen.dtype)

    return rearranged


def _turned_moves(plane: FloatArray) -> IntArray:
    """`[5]`: the discrete action that each one becomes."""
    return np.array([np.flatnonzero((plane @ move == DIRECTIONS).all(axis=1))[0] for move in DIRECTIONS])


def _new_words(entities: Sequence[str], swap: Swap) -> IntArray:
    """The word for each entity's successor: what names `swap[e]` in the old episode names e in the new one."""
    taken = [swap.get(entity, entity) for entity in entities]
    return np.array([taken.index(entity) for entity in entities])


def _lookup(table: IntArray) -> Callable[[np.ndarray], np.ndarray]:
    return lambda actions: table[actions].astype(actions.dtype)


def _swaps(entities: Sequence[str]) -> list[Swap]:
    """All permutations of like entities; the first one changes nothing."""
    return [dict(zip(entities, order, strict=True)) for order in permutations(entities)]


def _names(kind: str, number: int) -> list[str]:
    return [f"{kind} {index}" for index in range(number)]


def _vectors(what: str, entities: Iterable[str]) -> list[Label]:
    return [(what, entity, axis) for entity in entities for axis in range(2)]


def _scalars(what: str, entities: Iterable[str]) -> list[Label]:
    return [(what, entity, -1) for entity in entities]
