"""Recorded episodes, in memory and on disk. Needs only numpy.

A dataset is a folder:

    manifest.json      format and version, env, agents, spaces, policy, seed, counts, package versions, SHA-256 hashes
    shard-00000.npz    flat arrays of many episodes, one after another
    shard-00001.npz    …

Each shard holds, per agent, `observations/<agent>` (one more than actions in every episode: the last one is included),
`actions/<agent>`, `rewards/<agent>`, `terminations/<agent>`, `truncations/<agent>`, and `episode_starts`, the index of
the first transition of each episode. The same episodes always make the same bytes.

An agent may leave before the others. Its termination or truncation is then True from the step at which it left to the
end of the episode. The observation after that step is its last; later observations, actions and rewards are padding,
which `active` marks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, overload

import numpy as np

from magail_trainer.data.dataset_checks import check_manifest, check_values
from magail_trainer.data.provenance import Origin, joint_origin
from magail_trainer.errors import InputError
from magail_trainer.files import read_arrays, sha256_of, write_arrays, write_json
from magail_trainer.folders import new_folder
from magail_trainer.sealed import Sealed, open_sealed, with_hash
from magail_trainer.trust import is_noted, note

FORMAT = "magail-trajectories"
VERSION = 1
MANIFEST = "manifest.json"
SHARDS = ("shard-*.npz",)
FIELDS = ("observations", "actions", "rewards", "terminations", "truncations")


@dataclass(frozen=True, eq=False)
class Episode:
    """One episode of T steps; every dict is keyed by agent."""

    observations: dict[str, np.ndarray]
    """`[T + 1, ...]`, including the final one."""
    actions: dict[str, np.ndarray]
    """`[T, ...]`"""
    rewards: dict[str, np.ndarray]
    """`[T]`"""
    terminations: dict[str, np.ndarray]
    """`[T]`: the agent terminated at this step or before."""
    truncations: dict[str, np.ndarray]
    """`[T]`: the agent was truncated, by a time limit for instance, at this step or before."""

    def __len__(self) -> int:
        return len(next(iter(self.rewards.values())))

    @property
    def active(self) -> dict[str, np.ndarray]:
        """`[T]` bool by agent: False after the step at which it terminated or was truncated."""
        return _active(self.terminations, self.truncations, np.zeros(1, dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Trajectories:
    """Episodes of all agents in flat arrays: S transitions and K episodes make S + K observations.

    `trajectories[i]` is an `Episode`, `trajectories[a:b]` are `Trajectories`, `len` counts episodes.

    Raises:
        InputError: the arrays do not fit together.
    """

    origin: Origin
    observations: dict[str, np.ndarray]
    """`[S + K, ...]` by agent."""
    actions: dict[str, np.ndarray]
    """`[S, ...]` by agent."""
    rewards: dict[str, np.ndarray]
    """`[S]` by agent."""
    terminations: dict[str, np.ndarray]
    """`[S]` by agent."""
    truncations: dict[str, np.ndarray]
    """`[S]` by agent."""
    episode_starts: np.ndarray
    """`[K]`: each episode's first transition."""

    def __post_init__(self) -> None:
        arrays = [array for name in FIELDS for array in getattr(self, name).values()]
        if self.episode_starts.ndim != 1 or self.episode_starts.dtype.kind != "i":
            raise InputError("The episode starts of the trajectories are no list of signed integers.")
        if not all(array.ndim for array in arrays):
            raise InputError("An array of the trajectories has no axis of steps.")
        starts, transitions, episodes = self.episode_starts, self.num_transitions, len(self)
        if episodes == 0 or starts[0] != 0 or np.any(starts[1:] <= starts[:-1]) or starts[-1] >= transitions:
            raise InputError("The episode starts of the trajectories do not rise from 0 within their transitions.")
        for name in FIELDS:
            arrays = getattr(self, name)
            if list(arrays) != self.agents:
                raise InputError(f"The {name} are of agents {list(arrays)}; expected {self.agents}.")
            expected = transitions + (episodes if name == "observations" else 0)
            for agent, array in arrays.items():
                if len(array) != expected:
                    raise InputError(f"{agent} has {len(array)} {name}; expected {expected}.")

    @property
    def agents(self) -> list[str]:
        """The agents, in the env's order."""
        return list(self.origin.spaces)

    @property
    def num_demonstrations(self) -> int:
        """Number of recorded episodes: fewer than `len` if the dataset was augmented."""
        return -(-len(self) // self.origin.episodes_of_each)

    @property
    def num_transitions(self) -> int:
        """Steps in all episodes together, S."""
        return len(next(iter(self.actions.values())))

    @property
    def lengths(self) -> np.ndarray:
        """`[K]`: steps of each episode."""
        return np.diff(self.episode_starts, append=self.num_transitions)

    @property
    def acted_on(self) -> dict[str, np.ndarray]:
        """`[S, ...]` by agent: the observations in which an action was taken, without the last of each episode."""
        keep = np.ones(self.num_transitions + len(self), dtype=bool)
        keep[self.episode_starts + self.lengths + np.arange(len(self))] = False
        return {agent: array[keep] for agent, array in self.observations.items()}

    @property
    def active(self) -> dict[str, np.ndarray]:
        """`[S]` bool by agent: False after the step of an episode at which it terminated or was truncated."""
        return _active(self.terminations, self.truncations, self.episode_starts)

    @property
    def returns(self) -> dict[str, np.ndarray]:
        """`[K]` by agent: the sum of each episode's rewards."""
        return {agent: np.add.reduceat(array, self.episode_starts) for agent, array in self.rewards.items()}

    def __len__(self) -> int:
        return len(self.episode_starts)

    def __iter__(self) -> Iterator[Episode]:
        return (self[index] for index in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Episode: ...
    @overload
    def __getitem__(self, index: slice) -> "Trajectories": ...
    def __getitem__(self, index: int | slice) -> "Episode | Trajectories":
        if isinstance(index, slice):
            first, last, stride = index.indices(len(self))
            if stride != 1:
                raise IndexError(f"Trajectories are sliced with a stride of 1, not {stride}.")
            return Trajectories(self.origin, **self._cut(first, max(first, last)))
        if not -len(self) <= index < len(self):
            raise IndexError(f"There is no episode {index} among {len(self)}.")
        cut = self._cut(index % len(self), index % len(self) + 1)
        return Episode(**{name: cut[name] for name in FIELDS})

    def __add__(self, other: "Trajectories") -> "Trajectories":
        return Trajectories.concatenate([self, other])

    @classmethod
    def concatenate(cls, parts: Sequence["Trajectories"]) -> "Trajectories":
        """Put datasets of one env together, in order.

        Raises:
            InputError: there are none, or they are of different envs or spaces.
        """
        if not parts:
            raise InputError("There are no trajectories to concatenate.")
        arrays: dict[str, Any] = {
            name: {
                agent: np.concatenate([getattr(part, name)[agent] for part in parts if agent in getattr(part, name)])
                for agent in parts[0].agents
            }
            for name in FIELDS
        }
        offsets = np.cumsum([0, *(part.num_transitions for part in parts[:-1])])
        starts = [part.episode_starts + offset for part, offset in zip(parts, offsets, strict=True)]
        origin = reduce(joint_origin, (part.origin for part in parts))
        return cls(origin, **arrays, episode_starts=np.concatenate(starts))

    def save(self, path: str | Path, *, overwrite: bool = False, shard_episodes: int = 100_000) -> None:
        """Write the dataset as the folder `path`, which appears once it is complete.

        Raises:
            InputError: `path` is taken (and is no dataset, or `overwrite` is not set), or cannot be written.
        """
        with new_folder(path, marker=MANIFEST, others=SHARDS, overwrite=overwrite) as folder:
            self.write(folder, shard_episodes=shard_episodes)

    def write(self, folder: Path, *, shard_episodes: int = 100_000) -> None:
        """Write the dataset's files into `folder`, which exists and is empty."""
        shards = []
        for number, first in enumerate(range(0, len(self), shard_episodes)):
            part = self[first : first + shard_episodes]
            check_values(part, episodes=len(part))  # else it would be written, and not be read
            name = f"shard-{number:05d}.npz"
            flat = {f"{key}/{agent}": array for key in FIELDS for agent, array in getattr(part, key).items()}
            write_arrays(folder / name, {"episode_starts": part.episode_starts, **flat})
            shards.append({"file": name, "episodes": len(part), "sha256": sha256_of((folder / name).read_bytes())})
        content = {
            "format": FORMAT,
            "version": VERSION,
            "env": self.origin.env,
            "agents": self.agents,
            "spaces": self.origin.spaces,
            "policy": self.origin.policy,
            "seed": self.origin.seed,
            **({"augmentation": self.origin.augmentation} if self.origin.augmentation else {}),
            "versions": self.origin.versions,
            "episodes": len(self),
            "transitions": self.num_transitions,
            "shards": shards,
        }
        content = with_hash(content)
        write_json(folder / MANIFEST, content)
        if self.origin.own:
            note(content)

    @classmethod
    def load(cls, path: str | Path) -> "Trajectories":
        """Read a dataset, checking every hash.

        Raises:
            InputError: there is none, it is of another format, or it is not as it was written.
        """
        dataset = open_dataset(path)
        manifest = dataset.content
        origin = Origin(
            env_id=manifest["env"]["id"],
            env_kwargs=manifest["env"]["kwargs"],
            spaces={agent: manifest["spaces"][agent] for agent in manifest["agents"]},
            policy=manifest["policy"],
            seed=manifest["seed"],
            versions=manifest["versions"],
            augmentation=manifest.get("augmentation", {}),
            max_episode_steps=manifest["env"].get("max_episode_steps"),
            own=is_noted(manifest),
        )
        parts = []
        for shard in manifest["shards"]:
            file = dataset / shard["file"]
            arrays = read_arrays(file)
            try:
                part = cls(origin, **_nested(arrays, manifest["agents"]))
                check_values(part, episodes=shard["episodes"])
            except InputError as error:
                raise InputError(f"{str(file)!r} is no part of a dataset: {error}") from error
            parts.append(part)
        found = parts[0] if len(parts) == 1 else cls.concatenate(parts)
        if (len(found), found.num_transitions) != (manifest["episodes"], manifest["transitions"]):
            raise InputError(f"{str(dataset.marker)!r} counts other episodes or transitions than its shards hold.")
        return found

    def _cut(self, first: int, last: int) -> dict[str, Any]:
        """The arrays of episodes `first` to `last`, as views."""
        bounds = np.append(self.episode_starts, self.num_transitions)
        kept = dict.fromkeys(FIELDS, slice(bounds[first], bounds[last]))
        kept["observations"] = slice(bounds[first] + first, bounds[last] + last)
        cut: dict[str, Any] = {
            name: {agent: array[part] for agent, array in getattr(self, name).items()} for name, part in kept.items()
        }
        return {**cut, "episode_starts": self.episode_starts[first:last] - bounds[first]}


def _active(
    terminations: dict[str, np.ndarray], truncations: dict[str, np.ndarray], starts: np.ndarray
) -> dict[str, np.ndarray]:
    """`[S]` bool by agent, from the flags `[S]`: no flag was up earlier in the episode."""
    active = {}
    for agent, terminated in terminations.items():
        ended = terminated | truncations[agent]
        earlier = np.cumsum(ended) - ended  # flags up to now, without this step's
        active[agent] = earlier == np.repeat(earlier[starts], np.diff(starts, append=len(ended)))
    return active


def open_dataset(path: str | Path) -> Sealed:
    """The dataset's manifest, checked; its shards are to be read through it.

    Raises:
        InputError: there is none, it is of another format or version, or it was altered.
    """
    dataset = open_sealed(Path(path) / MANIFEST, what="dataset", kind=FORMAT, version=VERSION, files=_shards)
    check_manifest(dataset)
    return dataset


def read_manifest(path: str | Path) -> dict[str, Any]:
    """The manifest of a dataset; see `open_dataset`."""
    return open_dataset(path).content


def _shards(manifest: dict[str, Any]) -> dict[str, Any] | None:
    """The hashes of the shards by name, or nothing if that is not what the manifest lists."""
    try:
        return {shard["file"]: shard["sha256"] for shard in manifest["shards"]}
    except (KeyError, TypeError):
        return None


def _nested(shard: dict[str, np.ndarray], agents: Sequence[str]) -> dict[str, Any]:
    try:
        nested: dict[str, Any] = {name: {agent: shard[f"{name}/{agent}"] for agent in agents} for name in FIELDS}
        return {**nested, "episode_starts": shard["episode_starts"]}
    except KeyError as error:
        raise InputError(f"It lacks the array {error}.") from error
