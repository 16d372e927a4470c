"""The tasks of the particle benchmark: environments, their experts, and reference policies."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from magail_trainer.data.augmentation import augment, find_symmetries
from magail_trainer.data.joint_policies import JointPolicy, Sides
from magail_trainer.data.trajectories import Trajectories
from magail_trainer.envs.registry import EnvEntry, resolve
from magail_trainer.errors import InputError
from magail_trainer.learn.config import MagailConfig
from magail_trainer.play.cross_play import side_mean
from magail_trainer.play.players import make_joint_policy
from magail_trainer.play.scores import mean_returns, play


@dataclass(frozen=True)
class Side:
    """Agents that are scored together."""

    label: str
    """The `env` of the tables: the environment's name, with the side behind it where there are several."""
    agents: tuple[str, ...]
    """Empty for all of them: the side is then scored by the team return."""

    def earned(self, returns: Mapping[str, Any]) -> Any:
        """What the side earned, from the returns of single agents: the team's sum, or a mean over the side's agents.

        Args:
            returns: numbers, or arrays of one shape, by agent.

        Returns:
            a number, or an array of the same shape.
        """
        if not self.agents:
            return sum(returns.values())
        return side_mean(returns, self.agents)


@dataclass(frozen=True)
class Task:
    """An environment and who is to be imitated in it."""

    env: str
    """The module in `experiments.mpe_envs`."""
    expert: str
    floors: tuple[str, ...]
    """Simple scripted joint policies that a learner must outperform."""
    symmetries: str
    """The function in `experiments.particles.symmetries`: what leaves env and expert as they are."""
    sides: tuple[Side, ...]
    """One of all agents, or several which are each played against the scripted expert."""
    share_parameters: str = MagailConfig.share_parameters
    """Which agents' policies share a network."""

    @property
    def entry(self) -> EnvEntry:
        """The environment."""
        return resolve(f"experiments.mpe_envs.{self.env}")

    @property
    def is_competitive(self) -> bool:
        """Whether there are opponents."""
        return len(self.sides) > 1

    def player(self, policy: str) -> JointPolicy:
        """A joint policy by its name; `expert` is that of the task."""
        return make_joint_policy(self.expert if policy == "expert" else policy, self.entry, {})

    def augmented(self, demonstrations: Trajectories, *, copies: int) -> Trajectories:
        """Demonstrations of the task's expert and beside each its images, all or `copies`, under the symmetries."""
        name = f"experiments.particles.symmetries:{self.symmetries}"
        return augment(demonstrations, find_symmetries(name, self.entry), copies=self.copies(copies), name=name)

    def copies(self, most: int) -> int:
        """Images of each demonstration: `most`, or as many as there are symmetries."""
        return min(most, len(find_symmetries(f"experiments.particles.symmetries:{self.symmetries}", self.entry)))


def _team(
    env: str, expert: str, floor: str, symmetries: str, *, share_parameters: str = MagailConfig.share_parameters
) -> Task:
    return Task(env, expert, ("noop", floor), symmetries, (Side(env, ()),), share_parameters)


def _opponents(env: str, **sides: tuple[str, ...]) -> Task:
    return Task(env, "scripted", ("noop",), env, tuple(Side(f"{env}/{name}", agents) for name, agents in sides.items()))


TASKS: Mapping[str, Task] = {
    "speaker_listener": _team("simple_speaker_listener", "scripted", "centroid", "simple_speaker_listener"),
    "spread_fixed": _team("simple_spread", "fixed", "nearest", "simple_spread"),
    "spread_cheapest": _team("simple_spread", "cheapest", "nearest", "simple_spread_any_landmark"),
    # Nine things to do, three for each side of the coin, are more than one network of the usual width learns.
    "spread_coin": _team("simple_spread", "coin", "nearest", "simple_spread", share_parameters="none"),
    "push": _opponents("simple_push", adversary=("adversary_0",), agent=("agent_0",)),
    "tag": _opponents(
        "simple_tag", adversaries=("adversary_0", "adversary_1", "adversary_2"), agent=("agent_0",)
    ),
}  # fmt: skip


def reference_returns(task: Task, *, episodes: int, seed: int) -> dict[str, list[Any]]:
    """Play the random joint policy, the expert and the floors; where there are opponents, each side against the expert.

    Args:
        task: what is played.
        episodes: of each of them.
        seed: decides all chance.

    Returns:
        a table, a row for each side and policy: env, expert, policy (random, expert, or a floor), return, episodes.

    Raises:
        InputError: a number is out of range.
    """
    if episodes < 1:
        raise InputError(f"The number of episodes must be at least 1, not {episodes}.")
    table: dict[str, list[Any]] = {name: [] for name in ("env", "expert", "policy", "return", "episodes")}
    for side in task.sides:
        for policy in ("random", "expert", *task.floors):
            player = task.player(policy)
            if task.is_competitive:
                player = Sides(player, task.player("expert"), side.agents)
            returns = mean_returns(play(task.entry, player, episodes=episodes, seed=seed))
            alone = {name: value for name, value in returns.items() if isinstance(name, str)}
            row = (side.label, task.expert, policy, side.earned(alone), episodes)
            for name, value in zip(table, row, strict=True):
                table[name].append(value)
    return table
