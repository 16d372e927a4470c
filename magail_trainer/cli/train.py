"""The commands `magail train` and `magail clone`. Torch is imported when one is executed."""

import sys
from collections.abc import Collection, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict, get_type_hints

import numpy as np
import tyro

from magail_trainer.cli.command_line import key_values, this_command
from magail_trainer.data.run_folder import final_metrics
from magail_trainer.envs.registry import resolve
from magail_trainer.errors import InputError
from magail_trainer.learn.config import Algorithm, MagailConfig
from magail_trainer.text import counted, display_path

if TYPE_CHECKING:
    from magail_trainer.learn.training import Trained

Switch = Annotated[bool, tyro.conf.FlagCreatePairsOff]


def settings_flags(names: Collection[str] = ()) -> Any:
    """A TypedDict of optional `MagailConfig` settings, so that tyro reads only the given ones.

    Args:
        names: the settings; by default all.
    """
    kinds = get_type_hints(MagailConfig)
    flags = {
        setting.name: Annotated[
            kinds[setting.name],
            tyro.conf.arg(help=setting.metadata["help"], help_behavior_hint=_defaults(setting)),
        ]
        for setting in fields(MagailConfig)
        if not names or setting.name in names
    }
    return TypedDict("settings", flags, total=False)  # type: ignore[operator]  # made while running


def _defaults(setting: Field) -> str:
    tabular, mlp = (
        " ".join(map(str, value)) if isinstance(value, tuple) else value
        for value in (setting.metadata["tabular"], setting.metadata["mlp"])
    )
    return f"(default: {tabular})" if setting.default is not MISSING else f"(tables: {tabular}; perceptrons: {mlp})"


_CLONING = ("network", "hidden", "share_parameters", "policy_init_uniform", "batch_size", "lr_cloning")


@dataclass(frozen=True)
class Train:
    """Train policies to imitate a dataset: one run for every pair of β and seed, all at once."""

    env: str | None = None
    """The environment, as for record."""
    output: Path | None = None
    """The run folder to write."""
    dataset: Path | None = None
    """A dataset recorded in the same environment."""
    resume: Path | None = None
    """Go on with the training of this run folder, which was stopped. Needs no other flag; --dataset says where the
    dataset is, if it was moved."""
    algorithm: Algorithm = "magail"
    """magail; cloning (behavioural cloning of the dataset); or rl (reinforcement learning from the env's own rewards,
    without a dataset). Settings that do not apply are ignored."""
    betas: tuple[float, ...] | None = None
    """Weights of the policies' entropy bonus; by default 0 for tables and cloning, 0.003 for perceptrons."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One run for each seed and each β."""
    updates: int | None = None
    """Number of cloning updates; by default 2000, or 32 passes over the dataset if these take more."""
    settings: settings_flags() = field(default_factory=dict)  # type: ignore[valid-type]
    """Defaults depend on the network: REINFORCE for tables, PPO for perceptrons."""
    env_args: tuple[str, ...] = ()
    """NAME=VALUE arguments of the env."""
    max_episode_steps: int | None = None
    """Cut episodes off after so many steps, for an env that does not end."""
    device: str = "cpu"
    """Where the tensors live: cpu, cuda, cuda:1, ..."""
    processes: int = 1
    """Processes that step the copies of an env without a native vector env."""
    timeout: float | None = None
    """Seconds that a worker process has for a reset or a step of its copies; with it there is one at least."""
    log_every: int = 10
    """Epochs, or cloning updates, between two rows of the history."""
    checkpoint_every: int | None = None
    """Epochs, or cloning updates, between two checkpoints; by default about a minute."""
    overwrite: Switch = False
    """Replace an existing run folder."""
    trust: Switch = False
    """With --resume: import whatever the run folder names; see the README."""

    def __call__(self) -> int:
        """Train, save, and print the final metrics; 3 if a run diverged, else 0."""
        return _train(
            self, self.settings, self.algorithm, betas=self.betas, processes=self.processes, timeout=self.timeout
        )


@dataclass(frozen=True)
class Clone:
    """Train policies by behavioural cloning; short for train --algorithm cloning."""

    env: str | None = None
    """The environment, as for record."""
    dataset: Path | None = None
    """A dataset recorded in the same environment."""
    output: Path | None = None
    """The run folder to write."""
    resume: Path | None = None
    """As for train."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One run for each seed."""
    updates: int | None = None
    """Number of updates; by default 2000, or 32 passes over the dataset if these take more."""
    settings: settings_flags(_CLONING) = field(default_factory=dict)  # type: ignore[valid-type]
    """The settings of train that apply; see magail train --help."""
    env_args: tuple[str, ...] = ()
    """NAME=VALUE arguments of the env."""
    max_episode_steps: int | None = None
    """Cut episodes off after so many steps, for an env that does not end."""
    device: str = "cpu"
    """Where the tensors live: cpu, cuda, cuda:1, ..."""
    log_every: int = 10
    """Updates between two rows of the history."""
    checkpoint_every: int | None = None
    """Updates between two checkpoints; by default about a minute."""
    overwrite: Switch = False
    """Replace an existing run folder."""
    trust: Switch = False
    """With --resume: import whatever the run folder names; see the README."""

    def __call__(self) -> int:
        """Train, save, and print the final metrics; 3 if a run diverged, else 0."""
        return _train(self, self.settings, "cloning")


def _train(
    command: Train | Clone,
    settings: Mapping[str, Any],
    algorithm: Algorithm,
    **more: Any,
) -> int:
    import torch

    from magail_trainer.learn.training import resume, train

    torch.set_num_threads(1)  # the fastest for small tensors
    if command.resume is not None:
        _check_alone(command)
        trained = resume(command.resume, dataset=command.dataset, trust=command.trust)
        if trained is None:
            print(f"{display_path(command.resume)} is finished; there is nothing to go on with.")
            return 0
        return _summarise(trained, command.resume)
    env, output = command.env, command.output
    if env is None or output is None:
        missing = [name for name, value in (("--env", env), ("--output", output)) if value is None]
        raise InputError(f"Missing: {', '.join(missing)}; or --resume RUN, to go on with a training.")
    trained = train(
        resolve(env, key_values(command.env_args, flag="--env-args")),
        command.dataset,
        max_episode_steps=command.max_episode_steps,
        algorithm=algorithm,
        seeds=command.seeds,
        config=MagailConfig(**settings),
        updates=command.updates,
        output=output,
        overwrite=command.overwrite,
        log_every=command.log_every,
        checkpoint_every=command.checkpoint_every,
        device=command.device,
        description={"command": this_command("magail")},
        **more,
    )
    return _summarise(trained, output)


def _check_alone(command: Train | Clone) -> None:
    flags = {flag.name: flag.default for flag in fields(command) if flag.name not in ("settings", "resume", "dataset")}
    given = [*command.settings, *(name for name, default in flags.items() if getattr(command, name) != default)]
    for name in given:
        if name != "trust":
            raise InputError(f"--{name} does not go with --resume, which takes all settings from the checkpoint.")


def _summarise(trained: "Trained", output: Path) -> int:
    """Print the final metrics; the exit status."""
    trainer = trained.trainer
    did, unit = ("Cloned", "update") if trainer.algorithm == "cloning" else ("Trained", "epoch")
    runs, records = counted(len(trainer.runs), "run"), counted(trainer.num_records, unit)
    print(f"{did} {runs} ({trainer.config.network}) for {records} in {display_path(output)}.")
    lost = trained.diverged > 0
    for name, values in final_metrics(trained.history).items():
        for beta in dict.fromkeys(trainer.runs.beta[~lost].tolist()):
            of_beta = values[(trainer.runs.beta == beta) & ~lost].astype(np.float64)  # squares may be large
            print(f"β={beta:<6g} {name:24} mean {of_beta.mean():9.4f}   std {of_beta.std():.4f}")
    if not lost.any():
        return 0
    print(f"{lost.sum()} of {runs} diverged and are left out.", file=sys.stderr)
    return 3
