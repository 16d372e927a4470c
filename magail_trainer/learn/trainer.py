"""Puts the parts together: env, dataset, run table and settings in; a trainer out."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cached_property
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from magail_trainer.data.run_folder import History
from magail_trainer.data.trajectories import Trajectories
from magail_trainer.envs.finite_env import FiniteVectorEnv
from magail_trainer.envs.registry import EnvEntry
from magail_trainer.envs.spaces import describe_spaces
from magail_trainer.errors import InputError
from magail_trainer.files import plain_json
from magail_trainer.learn.batch import Batch
from magail_trainer.learn.behavioural_cloning import behavioural_cloning
from magail_trainer.learn.config import MagailConfig, at_least_passes
from magail_trainer.learn.demonstrations import Demonstrations, ExactDemonstrations
from magail_trainer.learn.discriminators import Discriminators
from magail_trainer.learn.encoders import Codes, suits_tables
from magail_trainer.learn.fixed_horizon import FixedHorizon
from magail_trainer.learn.magail import EpochRecord, Rollouts, magail, reinforcement_learning
from magail_trainer.learn.models import fit_normalizers, make_critic, make_discriminator, make_policies
from magail_trainer.learn.rollout import EnumeratedRollouts, SampledRollouts
from magail_trainer.learn.runs import Runs
from magail_trainer.learn.signal_inference import infer_signal
from magail_trainer.learn.zero_sum import Contrast, MixedPlay, expert_against_learner, two_sides


class Trainer:
    """MAGAIL, or a relative of it, for all runs of a table.

    Args:
        entry: the env to play in.
        trajectories: the expert's episodes, recorded in the same env; None to learn from the env's own rewards.
        runs: one row per run.
        config: what is the same for all of them.
        device: where the tensors live.
        processes: how many step the copies of an env that has no vectorised form of its own.

    Raises:
        InputError: the dataset is of another env or of other spaces, or a space is not supported, or the episodes
            differ in length.
    """

    def __init__(
        self,
        entry: EnvEntry,
        trajectories: Trajectories | None,
        runs: Runs,
        config: MagailConfig,
        *,
        device: str = "cpu",
        processes: int = 1,
    ) -> None:
        self._horizon = None
        if trajectories is not None:
            check_same_env(entry, trajectories)
            self._horizon = None if config.allow_variable_horizon else FixedHorizon.of(trajectories)
        self.entry, self.runs = entry, runs
        config = config.settled(choose_network(entry) if config.network == "auto" else config.network)
        self.config = config = _as_it_runs(config, demonstrated=trajectories is not None)
        self.device, self._processes = find_device(device), processes
        self.codes = Codes.of(entry, network=config.network)
        self.policies = make_policies(self.codes, runs, config).to(self.device)
        self.critic = make_critic(self.codes, runs, config)
        if self.critic is not None:
            self.critic.to(self.device)
        self._trajectories = trajectories

    @cached_property
    def discriminator(self) -> Discriminators:
        """The judges. Made when asked for: cloning and the env's own rewards need none."""
        return make_discriminator(self.codes, self.runs, self.config).to(self.device)

    def train(self) -> Iterator[EpochRecord]:
        """Train in place, one epoch per item; see `magail`."""
        config = self.config
        beta = torch.tensor(self.runs.beta, dtype=torch.float32, device=self.device)
        lr_policy, lr_disc = (
            None if rates is None else torch.tensor(rates, dtype=torch.float32, device=self.device)
            for rates in (self.runs.lr_policy, self.runs.lr_disc)
        )
        with self._rollouts() as rollouts:
            if self._trajectories is None:
                if config.network != "tabular":
                    self._fit_normalizers(rollouts.collect(self.policies).batch)
                parts = (self.policies, self.critic, rollouts, beta, config)
                yield from reinforcement_learning(*parts, lr_policy=lr_policy)
                return
            demonstrations = self._demonstrations(self._trajectories)
            self._fit_normalizers(demonstrations.all)
            fit_normalizers(self.discriminator, demonstrations.all)
            for _ in self._clone(demonstrations, self._warm_updates(self._trajectories)):
                pass
            parts = (self.policies, self.discriminator, self.critic, rollouts, demonstrations, beta, config)
            for record in magail(*parts, contrast=self._contrast(), lr_policy=lr_policy, lr_disc=lr_disc):
                if self._horizon is not None:
                    self._horizon.check(record.rollout.batch)
                yield record

    def clone(self, updates: int) -> Iterator[Tensor]:
        """Behavioural cloning alone, in place: the losses `[R]` of one update per item."""
        assert self._trajectories is not None
        demonstrations = self._demonstrations(self._trajectories)
        self._fit_normalizers(demonstrations.all)
        return self._clone(demonstrations, updates)

    def _clone(self, demonstrations: Demonstrations | ExactDemonstrations, updates: int) -> Iterator[Tensor]:
        cloned = updates > 0 or self.config.cloning > 0
        if self.config.policy == "shared_signal" and self.config.signal_starts > 0 and cloned:
            seeds = self.runs.seed.tolist()
            inferred = infer_signal(demonstrations.all, self.codes, self.config, seeds=seeds)
            demonstrations.reveal(inferred.signal)
        losses = behavioural_cloning(
            self.policies, demonstrations, self.config, updates=updates, num_runs=len(self.runs)
        )
        return iter(tqdm(losses, total=updates, desc="cloning", unit="update", delay=1, disable=None, leave=False))

    def _contrast(self) -> Contrast:
        if self.config.discriminator != "zero_sum":
            return expert_against_learner
        return MixedPlay(two_sides(self.policies.agents, self.config.sides), seeds=self.runs.seed.tolist())

    def _warm_updates(self, trajectories: Trajectories) -> int:
        config, episodes = self.config, len(trajectories)
        if config.warm_start == 0:
            return 0
        size = episodes if config.exact else config.batch_size
        return at_least_passes(config.warm_start, config.warm_passes, episodes=episodes, batch_size=size)

    @contextmanager
    def _rollouts(self) -> Iterator[Rollouts]:
        config, num_runs = self.config, len(self.runs)
        if config.exact:
            copies = math.prod(code.size for code in self.codes.finite_actions.values())
            vector_env = FiniteVectorEnv(self.entry.make_vector(copies))
            rollouts = EnumeratedRollouts(vector_env, self.codes, num_runs=num_runs, device=self.device)
        else:
            copies = num_runs * config.rollout_episodes
            vector_env = FiniteVectorEnv(self.entry.make_vector(copies, processes=self._processes))
            rollouts = SampledRollouts(
                vector_env,
                self.codes,
                seeds=self.runs.seed.tolist(),
                episodes=config.rollout_episodes,
                device=self.device,
                for_critic=self.critic is not None,
            )
        try:
            yield rollouts
        finally:
            vector_env.close()

    def _demonstrations(self, trajectories: Trajectories) -> Demonstrations | ExactDemonstrations:
        if self.config.exact:
            return ExactDemonstrations(trajectories, self.codes, num_runs=len(self.runs), device=self.device)
        seeds, size = self.runs.seed.tolist(), self.config.batch_size
        return Demonstrations(trajectories, self.codes, seeds=seeds, batch_size=size, device=self.device)

    def _fit_normalizers(self, batch: Batch) -> None:
        self.policies.fit_normalizers(batch)
        if self.critic is not None:
            fit_normalizers(self.critic, batch)

    @property
    def modules(self) -> dict[str, nn.Module]:
        """What a checkpoint holds."""
        modules = {"policies": self.policies, "critic": self.critic}
        if self._trajectories is not None:
            modules["discriminator"] = self.discriminator
        return {name: module for name, module in modules.items() if module is not None}

    def describe(self) -> dict[str, Any]:
        """What a run folder's `config.json` says of the training; plain JSON."""
        dataset = {}
        if self._trajectories is not None:
            origin = self._trajectories.origin
            dataset = {"policy": origin.policy, "seed": origin.seed, "episodes": len(self._trajectories)}
            dataset |= {"augmentation": origin.augmentation} if origin.augmentation else {}
        return {
            "env": {"id": self.entry.id, "kwargs": plain_json(self.entry.kwargs)},
            "dataset": dataset,
            "training": plain_json(asdict(self.config)),
            "device": str(self.device),
            "versions": {package: version(package) for package in ("gymnasium", "numpy", "pettingzoo", "torch")},
        }


def train_with_history(
    trainer: Trainer, *, log_every: int, measure: Callable[[], Mapping[str, Tensor]] = dict
) -> dict[str, np.ndarray]:
    """Train to the end behind a progress bar.

    Args:
        trainer: trained in place.
        log_every: epochs between two rows of the history; the first and the last epoch are always logged.
        measure: called at those epochs for more values `[R]` to log.

    Returns:
        `epoch [K]`, and `[K, R]` under the name of each metric.

    Raises:
        InputError: `log_every` is below one.
    """
    if log_every < 1:
        raise InputError(f"--log_every must be at least 1, not {log_every}.")
    history, last = History(), trainer.config.epochs
    with tqdm(trainer.train(), total=last, desc="training", unit="epoch", delay=1, disable=None) as epochs:
        for record in epochs:
            if record.epoch % log_every == 0 or record.epoch in (1, last):
                history.append(record.epoch, {**record.metrics, **measure()})
    return history.stack()


def choose_network(entry: EnvEntry) -> Literal["tabular", "mlp"]:
    """What `--network auto` means for an env: tables where they suit it, and perceptrons elsewhere."""
    return "tabular" if suits_tables(entry) else "mlp"


def _as_it_runs(config: MagailConfig, *, demonstrated: bool) -> MagailConfig:
    """The settings that training heeds: without a warm start, the policies need not wait for the critic."""
    waits = min(config.warm_critic, config.epochs // 2) if demonstrated and config.warm_start > 0 else 0
    # The env's own rewards say what a length is worth.
    return replace(config, warm_critic=waits, allow_variable_horizon=config.allow_variable_horizon or not demonstrated)


def check_same_env(entry: EnvEntry, trajectories: Trajectories) -> None:
    """Refuse a dataset of another env, or of one with other arguments or spaces.

    Raises:
        InputError: it is; the message says what differs.
    """
    origin = trajectories.origin
    if names := entry.told_from(origin.env_id, origin.env_kwargs):
        raise InputError(
            f"The dataset was recorded in {names[0]}, not in {names[1]}; record one in the env to train in."
        )
    env = entry.make()
    present_spaces = describe_spaces(env)
    env.close()
    if list(present_spaces) != trajectories.agents:
        raise InputError(f"The dataset has the agents {trajectories.agents}; the env has {list(present_spaces)}.")
    for agent, spaces in present_spaces.items():
        if spaces != origin.spaces[agent]:
            raise InputError(f"The dataset has {origin.spaces[agent]} for {agent}; the env has {spaces}.")


def find_device(name: str) -> torch.device:
    """A device that is there.

    Raises:
        InputError: it is not.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].split(". ")[0]
        raise InputError(
            f"--device {name} cannot be used ({reason}); expected cpu, or cuda where there is one."
        ) from error
    return device
