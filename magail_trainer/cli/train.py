"""The commands `magail train` and `magail clone`. Torch is imported when one is executed."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro

from magail_trainer.cli.command_line import key_values, this_command
from magail_trainer.data.run_folder import BESIDE_CONFIG, CONFIG, History, final_metrics, write_run
from magail_trainer.data.trajectories import Trajectories, read_manifest
from magail_trainer.envs.registry import EnvEntry, resolve
from magail_trainer.errors import InputError
from magail_trainer.folders import new_folder
from magail_trainer.learn.config import DEFAULT_BETA, MagailConfig, Network, at_least_passes
from magail_trainer.text import counted, display_path

Switch = Annotated[bool, tyro.conf.FlagCreatePairsOff]
_CLONING_UPDATES = 2000  # many more than a warm start has: a baseline is to be as good as it can be
_CLONING_PASSES = 32


@dataclass(frozen=True)
class Train:
    """Train policies to imitate a dataset: one run for every pair of β and seed, all at once.

    Defaults depend on the network. Those shown are of tables; add --network mlp for those of perceptrons.
    """

    env: str = tyro.MISSING
    """The environment, as for record."""
    output: Path = tyro.MISSING
    """The folder to make."""
    dataset: Path | None = None
    """A dataset that was recorded in the same environment."""
    reward: Literal["discriminator", "env"] = "discriminator"
    """What is learnt from: a discriminator that knows the dataset; or the env's own rewards, without a
    dataset, warm start, cloning or discriminator, whatever their flags say."""
    betas: tuple[float, ...] = (DEFAULT_BETA["tabular"],)
    """Weights of the policies' entropy bonus."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One run for each, and each β."""
    config: MagailConfig = field(default_factory=lambda: MagailConfig(network="tabular"))
    env_args: tuple[str, ...] = ()
    """NAME=VALUE pairs to make the env with."""
    device: str = "cpu"
    """Where the tensors live: cpu, cuda, cuda:1, ..."""
    processes: int = 1
    """How many processes step the copies of an env that has no vectorised form of its own."""
    log_every: int = 10
    """Epochs between two rows of the history."""
    overwrite: Switch = False
    """Replace a run folder that is already there."""

    @classmethod
    def defaults(cls, args: Sequence[str]) -> "Train":
        """What the flags in `args` are read over: the defaults of the network that they name, or that suits the env."""
        network = network_of(args)
        return cls(config=MagailConfig(network=network), betas=(DEFAULT_BETA[network],))

    def __call__(self) -> None:
        """Train, save, and say how the runs ended."""
        import torch

        from magail_trainer.learn.runs import Runs
        from magail_trainer.learn.trainer import Trainer, train_with_history

        torch.set_num_threads(1)  # the fastest for small tensors
        self._check_dataset()
        entry = resolve(self.env, key_values(self.env_args, flag="--env-args"))
        runs = Runs.grid(betas=self.betas, seeds=self.seeds)
        dataset = None if self.dataset is None else Trajectories.load(self.dataset)
        own = {"marker": CONFIG, "others": BESIDE_CONFIG, "overwrite": self.overwrite, "reads": self.dataset}
        with new_folder(self.output, **own) as folder:
            trainer = Trainer(entry, dataset, runs, self.config, device=self.device, processes=self.processes)
            history = train_with_history(trainer, log_every=self.log_every)
            final = final_metrics(history)
            write_run(
                folder,
                config={
                    "command": this_command("magail"),
                    "algorithm": "magail" if self.reward == "discriminator" else "reinforcement_learning",
                    **trainer.describe(),
                    "dataset": {} if self.dataset is None else describe_dataset(self.dataset),
                },
                table={"beta": runs.beta, "seed": runs.seed, **final},
                history=history,
                modules=trainer.modules,
            )
        epochs, network = trainer.config.epochs, trainer.config.network
        trained = counted(len(runs), "run")
        print(f"Trained {trained} ({network}) for {counted(epochs, 'epoch')} in {display_path(self.output)}.")
        _print_final(runs.beta, final)

    def _check_dataset(self) -> None:
        if self.reward == "env" and self.dataset is not None:
            raise InputError(
                f"--reward env learns from the env's own rewards and reads no dataset; leave out "
                f"--dataset {self.dataset}."
            )
        if self.reward == "discriminator" and self.dataset is None:
            raise InputError("--dataset is missing: name a recorded one to imitate, or learn without (--reward env).")


@dataclass(frozen=True)
class Clone:
    """Train policies by behavioural cloning, to make the dataset's actions likely: the baseline without a game."""

    env: str
    """The environment, as for record."""
    dataset: Path
    """A dataset that was recorded in the same environment."""
    output: Path
    """The folder to make, as train makes one."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One run for each."""
    updates: int | None = None
    """How many updates; by default 2000, or as many as 32 passes over the dataset take: augmented ones are large."""
    network: Network = "auto"
    """As for train."""
    hidden: tuple[int, ...] = MagailConfig.hidden
    """As for train."""
    own_network: str = MagailConfig.own_network
    """As for train."""
    share_parameters: str = MagailConfig.share_parameters
    """As for train."""
    policy_init_uniform: bool = MagailConfig.policy_init_uniform
    """As for train."""
    batch_size: int = MagailConfig.batch_size
    """Episodes of the expert in an update; all where there are fewer."""
    lr_cloning: float | None = None
    """Adam's learning rate, which falls to 0 in a line; by default 0.01 for tables, 0.003 for perceptrons."""
    env_args: tuple[str, ...] = ()
    """NAME=VALUE pairs to make the env with."""
    device: str = "cpu"
    """Where the tensors live: cpu, cuda, cuda:1, ..."""
    log_every: int = 10
    """Updates between two rows of the history."""
    overwrite: Switch = False
    """Replace a run folder that is already there."""

    def __call__(self) -> None:
        """Train, save, and say how the runs ended."""
        import torch

        from magail_trainer.learn.runs import Runs
        from magail_trainer.learn.trainer import Trainer

        torch.set_num_threads(1)
        for name, value in (("updates", self.updates), ("log_every", self.log_every)):
            if value is not None and value < 1:
                raise InputError(f"--{name} must be at least 1, not {value}.")
        entry = resolve(self.env, key_values(self.env_args, flag="--env-args"))
        runs = Runs.grid(betas=(0.0,), seeds=self.seeds)
        dataset = Trajectories.load(self.dataset)
        updates = self.updates_on(len(dataset))
        own = {"marker": CONFIG, "others": BESIDE_CONFIG, "overwrite": self.overwrite, "reads": self.dataset}
        with new_folder(self.output, **own) as folder:
            trainer = Trainer(entry, dataset, runs, self.settings(entry), device=self.device)
            history = History()
            for update, loss in enumerate(trainer.clone(updates), start=1):
                if update % self.log_every == 0 or update in (1, updates):
                    history.append(update, {"cloning_loss": loss})
            stacked = history.stack()
            final = {"cloning_loss": stacked["cloning_loss"][-1]}
            write_run(
                folder,
                config={
                    "command": this_command("magail"),
                    "algorithm": "behavioural_cloning",
                    "updates": updates,
                    **trainer.describe(),
                    "dataset": describe_dataset(self.dataset),
                },
                table={"beta": runs.beta, "seed": runs.seed, **final},
                history=stacked,
                modules={"policies": trainer.policies},
            )
        network, cloned = trainer.config.network, counted(len(runs), "run")
        print(f"Cloned {cloned} ({network}) with {counted(updates, 'update')} in {display_path(self.output)}.")
        _print_final(runs.beta, final)

    def updates_on(self, episodes: int) -> int:
        """How many updates there are on a dataset of so many episodes."""
        if self.updates is not None:
            return self.updates
        return at_least_passes(_CLONING_UPDATES, _CLONING_PASSES, episodes=episodes, batch_size=self.batch_size)

    def settings(self, entry: EnvEntry) -> MagailConfig:
        """What the trainer is told: the flags, the preset of the network, and nothing that cloning has no use for."""
        from magail_trainer.learn.trainer import choose_network

        network = choose_network(entry) if self.network == "auto" else self.network
        flags = {name: getattr(self, name) for name in _shared_settings()} | {"network": network}
        given: dict[str, Any] = {name: value for name, value in flags.items() if value is not None}
        # Cloning has no reward, so episodes of unequal length do no harm.
        return MagailConfig(**given, critic="none", allow_variable_horizon=True)


def network_of(args: Sequence[str]) -> Literal["tabular", "mlp"]:
    """The network that a command line names, or that suits the env that it names; tables where it names neither.

    Raises:
        InputError: there is no such env.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for flag in ("--network", "--env"):
        parser.add_argument(flag)
    parser.add_argument("--env-args", "--env_args", nargs="*", default=[])
    try:
        given, _ = parser.parse_known_args(args)
    except SystemExit:  # a flag without its value: the real parser says so better
        return "tabular"
    if given.network in ("tabular", "mlp") or given.env is None or "--help" in args:
        return "mlp" if given.network == "mlp" else "tabular"
    from magail_trainer.learn.trainer import choose_network

    return choose_network(resolve(given.env, key_values(given.env_args, flag="--env-args")))


def describe_dataset(path: Path) -> dict[str, Any]:
    """Where a dataset is and what it is, for `config.json`."""
    manifest = read_manifest(path)
    names = [name for name in ("sha256", "policy", "seed", "episodes", "augmentation") if name in manifest]
    return {"path": str(path.resolve()), **{name: manifest[name] for name in names}}


def _shared_settings() -> list[str]:
    """The fields that `Clone` has in common with `MagailConfig`."""
    names = {setting.name for setting in fields(MagailConfig)}
    return [setting.name for setting in fields(Clone) if setting.name in names]


def _print_final(betas: np.ndarray, final: Mapping[str, np.ndarray]) -> None:
    for name, values in final.items():
        for beta in dict.fromkeys(betas.tolist()):
            of_beta = values[betas == beta]
            print(f"β={beta:<6g} {name:24} mean {of_beta.mean():9.4f}   std {of_beta.std():.4f}")
