"""The command `magail`: check an env, record, augment and inspect demonstrations, train, evaluate.

The commands are the dataclasses below; their fields are the flags. Only commands that need torch import it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from magail_trainer.cli.command_line import key_values, run_command
from magail_trainer.cli.evaluate import Evaluate
from magail_trainer.cli.train import Clone, Switch, Train
from magail_trainer.data.augmentation import augment, find_symmetries
from magail_trainer.data.recording import record
from magail_trainer.data.trajectories import MANIFEST, SHARDS, Trajectories, read_manifest
from magail_trainer.envs.description import name_env
from magail_trainer.envs.recorded import resolve_recorded
from magail_trainer.envs.registry import resolve
from magail_trainer.errors import EnvError
from magail_trainer.folders import new_folder
from magail_trainer.play.players import make_joint_policy
from magail_trainer.text import counted, display_path
from magail_trainer.trust import Recorded

_MAX_JOINT_ACTIONS = 64


@dataclass(frozen=True)
class Record:
    """Play a joint policy in an environment and save the episodes as a dataset."""

    env: str
    """The environment: module:id (coordination_env:coordination/matching-v0), a module with parallel_env
    (mpe2.simple_spread_v3), or module:callable."""
    output: Path
    """The dataset folder to write."""
    expert: str = "random"
    """The joint policy: random, a name registered by the env's package, a run folder of train or clone, or
    module:callable, your own factory that is called with the env."""
    episodes: int = 1000
    """Number of episodes."""
    seed: int = 0
    """The random seed."""
    env_args: tuple[str, ...] = ()
    """NAME=VALUE arguments of the env."""
    expert_args: tuple[str, ...] = ()
    """NAME=VALUE arguments of the joint policy, such as ratio=0.7; for a run folder, run=2 chooses a run (by default
    the first) and greedy=true its likeliest actions."""
    max_episode_steps: int | None = None
    """Cut episodes off after so many steps, for an env that does not end."""
    processes: int = 1
    """Processes that step the copies of an env without a native vector env."""
    timeout: float | None = None
    """Seconds that a worker process has for a reset or a step of its copies; with it there is one at least."""
    trust: Switch = False
    """Import a network that the run folder of --expert names, whoever made it."""
    overwrite: Switch = False
    """Replace an existing dataset."""

    def __call__(self) -> None:
        """Record, save, and print a summary."""
        entry = resolve(self.env, key_values(self.env_args, flag="--env-args")).limited(
            max_episode_steps=self.max_episode_steps, timeout=self.timeout
        )
        policy = make_joint_policy(
            self.expert, entry, key_values(self.expert_args, flag="--expert-args"), trust=self.trust
        )
        with new_folder(self.output, marker=MANIFEST, others=SHARDS, overwrite=self.overwrite) as folder:
            trajectories = record(entry, policy, episodes=self.episodes, seed=self.seed, processes=self.processes)
            trajectories.write(folder)
        returns = ", ".join(f"{agent} {values.mean():.3f}" for agent, values in trajectories.returns.items())
        print(f"Recorded {counted(len(trajectories), 'episode')} of {entry.id} in {display_path(self.output)}.")
        print(f"Mean return: {returns}.")


@dataclass(frozen=True)
class Augment:
    """Add to each episode of a dataset its images under symmetries of its environment.

    The new dataset records that these are not new demonstrations. It is up to you that the expert has the symmetries.
    """

    dataset: tyro.conf.Positional[Path]
    """The dataset's folder."""
    symmetries: str
    """module:callable that maps the environment to a list of Symmetry (see magail_trainer.data.augmentation), without
    the identity."""
    output: Path
    """The dataset folder to write."""
    copies: int | None = None
    """Images per episode, under symmetries drawn without replacement; by default under all of them."""
    seed: int = 0
    """The random seed."""
    trust: Switch = False
    """Import the env that the dataset names, whoever made it."""
    overwrite: Switch = False
    """Replace an existing dataset."""

    def __call__(self) -> None:
        """Augment, save, and print a summary."""
        own = {"marker": MANIFEST, "others": SHARDS, "overwrite": self.overwrite, "reads": self.dataset}
        with new_folder(self.output, **own) as folder:
            recorded = Trajectories.load(self.dataset)
            entry = resolve_recorded(Recorded(self.dataset, read_manifest(self.dataset), self.trust))
            symmetries = find_symmetries(self.symmetries, entry)
            augmented = augment(recorded, symmetries, copies=self.copies, seed=self.seed, name=self.symmetries)
            augmented.write(folder)
        copies = augmented.origin.augmentation["copies"]
        print(
            f"Made {counted(len(augmented), 'episode')} in {display_path(self.output)} of "
            f"{counted(len(recorded), 'demonstration')}: each as it is, and under {copies} of "
            f"{counted(len(symmetries), 'symmetry', 'symmetries')}."
        )


@dataclass(frozen=True)
class Inspect:
    """Check a dataset's hashes and summarise it."""

    dataset: tyro.conf.Positional[Path]
    """The dataset's folder."""

    def __call__(self) -> None:
        """Print a summary."""
        manifest = read_manifest(self.dataset)
        print("\n".join(describe(Trajectories.load(self.dataset))))
        for shard in manifest["shards"]:
            print(f"{'shard':12}{shard['file']}  {counted(shard['episodes'], 'episode')}  sha256 {shard['sha256']}  ok")


@dataclass(frozen=True)
class CheckEnv:
    """Describe an environment and check that it can be trained in; exit status 1 if it cannot."""

    env: tyro.conf.Positional[str]
    """The environment, as for record."""
    env_args: tuple[str, ...] = ()
    """NAME=VALUE arguments of the env."""
    max_episode_steps: int | None = None
    """Cut episodes off after so many steps, for an env that does not end."""
    timeout: float | None = None
    """Seconds that the env has for a reset or a step; it is played in a worker process then."""

    def __call__(self) -> int:
        """Print the report; 0 if the env can be trained in, else 1."""
        from magail_trainer.play.check_env import check_env

        arguments = key_values(self.env_args, flag="--env-args")
        try:
            entry = resolve(self.env, arguments)
            limits = {"max_episode_steps": self.max_episode_steps, "timeout": self.timeout}
            report = check_env(entry.limited(**limits))
        except EnvError as error:
            return _verdict(str(error))
        if len(report.refusals) > 1:
            print(report)
            return _verdict("see above")
        print("\n".join(report.facts))
        return _verdict("".join(report.refusals), but=report.warning)


def _verdict(reason: str, *, but: str = "") -> int:
    """Print whether an env can be trained in, or why not; returns the exit status."""
    yes = f"yes, but it {but}" if but else "yes"
    print(f"can be trained: no ({reason.rstrip('.')})" if reason else f"can be trained: {yes}")
    return 1 if reason else 0


def describe(trajectories: Trajectories) -> list[str]:
    """A summary of a dataset, as lines."""
    origin = trajectories.origin
    shortest, longest = int(trajectories.lengths.min()), int(trajectories.lengths.max())
    steps = f"{counted(longest, 'step')} each" if shortest == longest else f"{shortest} to {longest} steps"
    lines = [
        f"{'env':12}{name_env(origin.env)}",
        f"{'policy':12}{origin.policy.get('name', '')} {origin.policy.get('parameters') or ''}".rstrip(),
        f"{'seed':12}{origin.seed}",
        f"{'episodes':12}{len(trajectories)}, of {steps}",
    ]
    if origin.augmentation:
        done = origin.augmentation
        number, of = trajectories.num_demonstrations, counted(done["of"], "symmetry", "symmetries")
        lines.append(
            f"{'augmented':12}of {counted(number, 'demonstration')}, each as it is and under {done['copies']} of {of} "
            f"({done['symmetries']}, seed {done['seed']})"
        )
    for agent, spaces in origin.spaces.items():
        returns = trajectories.returns[agent]
        lines.append(f"{agent:12}observes {spaces['observation']}, acts in {spaces['action']}")
        lines.append(f"{'':12}return: mean {returns.mean():.4f}, std {returns.std():.4f}")
    complete = np.logical_and.reduce(list(trajectories.active.values()))  # without agents that have left
    joint, count = np.unique(_joint_actions(trajectories)[complete], axis=0, return_counts=True)
    if len(joint) <= _MAX_JOINT_ACTIONS:
        until = "" if complete.all() else f", in the {counted(int(complete.sum()), 'step')} before anybody left"
        lines.append(f"{'actions':12}of ({', '.join(trajectories.agents)}){until}")
        for values, share in zip(joint.tolist(), count / count.sum(), strict=True):
            lines.append(f"{'':12}({', '.join(f'{value:g}' for value in values)}): {share:.4f}")
    return lines


def _joint_actions(trajectories: Trajectories) -> np.ndarray:
    steps = trajectories.num_transitions
    return np.concatenate([actions.reshape(steps, -1) for actions in trajectories.actions.values()], axis=1)


def main(args: Sequence[str] | None = None) -> None:
    """The entry point of `magail`; exits with 0, or what the command returns, 2 for bad input, 130 for Ctrl-C."""
    commands: dict[str, type] = {
        "check-env": CheckEnv,
        "record": Record,
        "augment": Augment,
        "inspect": Inspect,
        "train": Train,
        "clone": Clone,
        "evaluate": Evaluate,
    }
    run_command(commands, lambda command: command(), prog="magail", args=args, flag_pairs=True)
