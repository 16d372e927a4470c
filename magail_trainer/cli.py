"""The command `magail`: record demonstrations, inspect them, train on them, evaluate what was trained.

The commands are the dataclasses below; their fields are the flags. Torch is imported by those that need it.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from magail_trainer.command_line import display_path, key_values, run_command, this_command
from magail_trainer.config import MagailConfig
from magail_trainer.env_ids import resolve
from magail_trainer.folders import new_folder
from magail_trainer.joint_policies import make_joint_policy
from magail_trainer.recording import record
from magail_trainer.trajectories import MANIFEST, SHARDS, Trajectories, read_manifest

_MAX_JOINT_ACTIONS = 64


@dataclass(frozen=True)
class Record:
    """Play a joint policy in an environment and save the episodes as a dataset."""

    env: str
    """The environment: a PettingZoo id, with its module in front (coordination_env:coordination/matching-v0); a
    module with parallel_env (mpe2.simple_spread_v3); or module:callable."""
    output: Path
    """The folder to make."""
    expert: str = "random"
    """The joint policy: random; a name that the env's package offers; or module:callable, a factory of your own that
    is called with the env."""
    episodes: int = 1000
    """How many episodes to play."""
    seed: int = 0
    """Decides all chance."""
    env_args: tuple[str, ...] = ()
    """NAME=VALUE pairs to make the env with."""
    expert_args: tuple[str, ...] = ()
    """NAME=VALUE pairs to make the joint policy with, ratio=0.7 for instance."""
    overwrite: bool = False
    """Replace a dataset that is already there."""

    def __call__(self) -> None:
        """Record, save, and say what was saved."""
        entry = resolve(self.env, key_values(self.env_args, flag="--env-args"))
        policy = make_joint_policy(self.expert, entry, key_values(self.expert_args, flag="--expert-args"))
        with new_folder(self.output, marker=MANIFEST, others=SHARDS, overwrite=self.overwrite) as folder:
            trajectories = record(entry, policy, episodes=self.episodes, seed=self.seed)
            trajectories.write(folder)
        returns = ", ".join(f"{agent} {values.mean():.3f}" for agent, values in trajectories.returns.items())
        print(f"Recorded {len(trajectories)} episodes of {entry.id} in {display_path(self.output)}.")
        print(f"Mean return: {returns}.")


@dataclass(frozen=True)
class Inspect:
    """Say what a dataset is, after checking its hashes."""

    dataset: tyro.conf.Positional[Path]
    """The dataset's folder."""

    def __call__(self) -> None:
        """Print a summary."""
        manifest = read_manifest(self.dataset)
        print("\n".join(describe(Trajectories.load(self.dataset))))
        for shard in manifest["shards"]:
            print(f"{'shard':12}{shard['file']}  {shard['episodes']} episodes  sha256 {shard['sha256']}  ok")


@dataclass(frozen=True)
class Train:
    """Train policies to imitate a dataset: one run for every pair of β and seed, all at once."""

    env: str
    """The environment, as for record."""
    dataset: Path
    """A dataset that was recorded in the same environment."""
    output: Path
    """The folder to make."""
    betas: tuple[float, ...] = (0.0,)
    """Weights of the policies' entropy bonus."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One run for each, and each β."""
    config: MagailConfig = field(default_factory=MagailConfig)
    env_args: tuple[str, ...] = ()
    """NAME=VALUE pairs to make the env with."""
    device: str = "cpu"
    """Where the tensors live: cpu, cuda, cuda:1, ..."""
    log_every: int = 10
    """Epochs between two rows of the history."""
    overwrite: bool = False
    """Replace a run folder that is already there."""

    def __call__(self) -> None:
        """Train, save, and say how the runs ended."""
        import torch

        from magail_trainer.runs import Runs
        from magail_trainer.store import BESIDE_CONFIG, CONFIG, write_run
        from magail_trainer.trainer import Trainer, train_with_history

        torch.set_num_threads(1)  # the fastest for small tensors
        entry = resolve(self.env, key_values(self.env_args, flag="--env-args"))
        runs = Runs.grid(betas=self.betas, seeds=self.seeds)
        dataset = Trajectories.load(self.dataset)
        own = {"marker": CONFIG, "others": BESIDE_CONFIG, "overwrite": self.overwrite, "reads": self.dataset}
        with new_folder(self.output, **own) as folder:
            trainer = Trainer(entry, dataset, runs, self.config, device=self.device)
            history = train_with_history(trainer, log_every=self.log_every)
            final = {name.replace("/", "_"): values[-1] for name, values in history.items() if name != "epoch"}
            write_run(
                folder,
                config={
                    "command": this_command("magail"),
                    **trainer.describe(),
                    "dataset": describe_dataset(self.dataset),
                },
                table={"beta": runs.beta, "seed": runs.seed, **final},
                history=history,
                modules=trainer.modules,
            )
        print(f"Trained {len(runs)} runs for {self.config.epochs} epochs in {display_path(self.output)}.")
        for name, values in final.items():
            for beta in dict.fromkeys(runs.beta.tolist()):
                of_beta = values[runs.beta == beta]
                print(f"β={beta:<6g} {name:24} mean {of_beta.mean():9.4f}   std {of_beta.std():.4f}")


@dataclass(frozen=True)
class Evaluate:
    """Play trained policies in their environment, each run by itself."""

    run: tyro.conf.Positional[Path]
    """The folder that train made."""
    episodes: int = 1000
    """Episodes of each run."""
    seed: int = 0
    """Decides all chance; runs of the same training seed share it."""

    def __call__(self) -> None:
        """Print each run's returns, and its joint actions where they are few."""
        import torch

        from magail_trainer.evaluation import evaluate_run

        torch.set_num_threads(1)
        columns = evaluate_run(self.run, episodes=self.episodes, seed=self.seed)
        names = list(columns)
        print("  ".join(f"{name:>16}" for name in names))
        for row in zip(*columns.values(), strict=True):
            print("  ".join(f"{value:16.4f}" if isinstance(value, float) else f"{value:>16}" for value in row))


def describe_dataset(path: Path) -> dict[str, Any]:
    """Where a dataset is and what it is, for `config.json`."""
    manifest = read_manifest(path)
    return {"path": str(path), **{name: manifest[name] for name in ("sha256", "policy", "seed", "episodes")}}


def describe(trajectories: Trajectories) -> list[str]:
    """What a dataset is, a line for each fact."""
    origin = trajectories.origin
    lines = [
        f"{'env':12}{origin.env_id} {origin.env_kwargs or ''}".rstrip(),
        f"{'policy':12}{origin.policy['name']} {origin.policy['parameters'] or ''}".rstrip(),
        f"{'seed':12}{origin.seed}",
        f"{'episodes':12}{len(trajectories)}, of {trajectories.lengths.min()} to {trajectories.lengths.max()} steps",
    ]
    for agent, spaces in origin.spaces.items():
        returns = trajectories.returns[agent]
        lines.append(f"{agent:12}observes {spaces['observation']}, acts in {spaces['action']}")
        lines.append(f"{'':12}return: mean {returns.mean():.4f}, std {returns.std():.4f}")
    joint, count = np.unique(_joint_actions(trajectories), axis=0, return_counts=True)
    if len(joint) <= _MAX_JOINT_ACTIONS:
        lines.append(f"{'actions':12}of ({', '.join(trajectories.agents)})")
        for values, share in zip(joint.tolist(), count / count.sum(), strict=True):
            lines.append(f"{'':12}({', '.join(f'{value:g}' for value in values)}): {share:.4f}")
    return lines


def _joint_actions(trajectories: Trajectories) -> np.ndarray:
    steps = trajectories.num_transitions
    return np.concatenate([actions.reshape(steps, -1) for actions in trajectories.actions.values()], axis=1)


def main(args: Sequence[str] | None = None) -> None:
    """The entry point of `magail`; exits with 0, with 2 for a mistake in the input, with 130 for Ctrl-C."""
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` has it, so that module:callable finds a module in the working directory
    commands = {"record": Record, "inspect": Inspect, "train": Train, "evaluate": Evaluate}
    run_command(commands, lambda command: command(), prog="magail", args=args)


if __name__ == "__main__":
    main()
