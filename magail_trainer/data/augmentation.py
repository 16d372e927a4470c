"""Data augmentation by symmetries of an environment.

A symmetry maps every possible episode of the env to another possible one: it rotates the plane by 90 degrees, say, or
swaps two agents. If the expert has the symmetry too, the image is another demonstration; only the user can know that.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from magail_trainer.data.trajectories import FIELDS, Trajectories
from magail_trainer.envs.registry import EnvEntry
from magail_trainer.envs.spaces import check_values, finite_space
from magail_trainer.errors import InputError
from magail_trainer.importing import import_callable
from magail_trainer.seeding import stream

Change = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Symmetry:
    """A map of episodes, agent by agent.

    An agent gets the rewards, terminations and truncations of the agent whose part it takes.
    """

    name: str
    parts: Mapping[str, str] = field(default_factory=dict)
    """Agent -> the agent whose part it takes; by default its own."""
    observations: Mapping[str, Change] = field(default_factory=dict)
    """Agent -> function from the observations `[n, ...]` of the agent whose part it takes to its own, `[n, ...]`; by
    default the identity."""
    actions: Mapping[str, Change] = field(default_factory=dict)
    """Likewise for actions."""

    def __call__(self, trajectories: Trajectories) -> Trajectories:
        """The images of all episodes, in the same order and with the same origin.

        Raises:
            InputError: the symmetry does not fit the dataset.
        """
        agents = trajectories.agents
        parts = {agent: self.parts.get(agent, agent) for agent in agents}
        strangers = {*self.parts, *self.observations, *self.actions} - set(agents)
        if strangers or sorted(parts.values()) != sorted(agents):
            raise InputError(
                f"The symmetry {self.name!r} gives the parts {dict(self.parts)} and changes for "
                f"{sorted({*self.observations, *self.actions})}; expected each of {agents} to have one part."
            )
        fields: dict[str, Any] = {
            name: {agent: getattr(trajectories, name)[part] for agent, part in parts.items()} for name in FIELDS
        }
        for name, changes in (("observations", self.observations), ("actions", self.actions)):
            for agent, part in parts.items():
                fields[name][agent] = self._taken_over(name, agent, part, changes.get(agent), trajectories)
        return replace(trajectories, **fields)

    def _taken_over(
        self, name: str, agent: str, part: str, change: Change | None, trajectories: Trajectories
    ) -> np.ndarray:
        """The observations or actions of `agent` in the part of `part`."""
        spaces = trajectories.origin.spaces
        own, others = (spaces[one][name.removesuffix("s")] for one in (agent, part))
        if change is None and own != others:
            raise InputError(
                f"The symmetry {self.name!r} gives {agent} the {name} of {part} as they are, of {others}; expected a "
                f"change that makes them of {own}."
            )
        old, kept = getattr(trajectories, name)[part], getattr(trajectories, name)[agent]
        try:
            new = np.asarray(old if change is None else change(old))
        except Exception as error:  # whatever the user's function does
            what = f"{name} of {agent}: {type(error).__name__}: {error}"
            raise InputError(f"The symmetry {self.name!r} cannot change the {what}.") from error
        if (new.shape, new.dtype) != (kept.shape, kept.dtype):
            raise InputError(
                f"The symmetry {self.name!r} makes {name} {new.dtype}{list(new.shape)} of {agent}; "
                f"expected {kept.dtype}{list(kept.shape)}."
            )
        space = finite_space(own)
        if name == "actions" and space is not None:  # agents that have left may observe anything
            check_values(new, space, len(new), f"actions that the symmetry {self.name!r} makes of {agent}")
        return new


def augment(
    trajectories: Trajectories, symmetries: Sequence[Symmetry], *, copies: int | None = None, seed: int = 0, name: str
) -> Trajectories:
    """Each episode, followed by its images under some of the symmetries.

    Args:
        trajectories: K demonstrations.
        symmetries: without the identity, since every episode is kept.
        copies: images per episode, under symmetries drawn without replacement; None for all.
        seed: the random seed of the draws.
        name: of the symmetries, for the manifest.

    Returns:
        `(1 + copies) · K` episodes, whose origin says that they are `K` demonstrations.

    Raises:
        InputError: a number is out of range, the dataset has been augmented before, or a symmetry does not fit it.
    """
    if not symmetries:
        raise InputError(f"{name} makes no symmetries; expected one at least, besides that which changes nothing.")
    copies = len(symmetries) if copies is None else copies
    if not 1 <= copies <= len(symmetries):
        raise InputError(f"The number of copies must be from 1 to {len(symmetries)}, all that there are, not {copies}.")
    if seed < 0:
        raise InputError(f"A seed must be at least 0, not {seed}.")
    if trajectories.origin.augmentation:
        raise InputError("The dataset has been augmented before; expected one as it was recorded.")
    drawn = stream(seed, "symmetries").random((len(trajectories), len(symmetries))).argsort(axis=1)[:, :copies]
    images, places = [trajectories], [np.arange(len(trajectories)) * (1 + copies)]
    for index, symmetry in enumerate(symmetries):
        episodes, turn = np.nonzero(drawn == index)
        if len(episodes):
            images.append(symmetry(take(trajectories, episodes)))
            places.append(episodes * (1 + copies) + 1 + turn)
    together = take(Trajectories.concatenate(images), np.argsort(np.concatenate(places)))
    done = {"symmetries": name, "of": len(symmetries), "copies": copies, "seed": seed}
    return replace(together, origin=replace(trajectories.origin, augmentation=done))


def take(trajectories: Trajectories, episodes: np.ndarray) -> Trajectories:
    """The episodes with these indices, in this order, as copies."""
    first, lengths = trajectories.episode_starts[episodes], trajectories.lengths[episodes]
    steps, with_last = _ranges(first, lengths), _ranges(first + episodes, lengths + 1)
    fields: dict[str, Any] = {
        name: {
            agent: array[with_last if name == "observations" else steps]
            for agent, array in getattr(trajectories, name).items()
        }
        for name in FIELDS
    }
    return replace(trajectories, **fields, episode_starts=np.cumsum(lengths) - lengths)


def _ranges(first: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The concatenated ranges `first[i]` to `first[i] + lengths[i]`."""
    return np.repeat(first - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())


def find_symmetries(name: str, entry: EnvEntry) -> Sequence[Symmetry]:
    """The symmetries that `module:callable` makes when called with a copy of the env.

    Raises:
        InputError: there is no such callable, it refuses the env, or it makes something else.
    """
    factory = import_callable(name, what="--symmetries")
    with entry.opened() as env:
        try:
            symmetries = factory(env)
        except (TypeError, ValueError) as error:
            raise InputError(f"The symmetries {name!r} refuse {entry.id}: {str(error).rstrip('.')}.") from error
        except Exception as error:  # whatever the user's function does
            raise InputError(
                f"The symmetries {name!r} fail for {entry.id}: {type(error).__name__}: {str(error).rstrip('.')}."
            ) from error
    if not isinstance(symmetries, Sequence) or not all(isinstance(one, Symmetry) for one in symmetries):
        raise InputError(f"{name!r} makes a {type(symmetries).__name__}; expected a list of Symmetry.")
    return symmetries
