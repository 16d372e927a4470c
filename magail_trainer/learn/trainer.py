"""The trainer: env, dataset, run table and settings, assembled."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from tqdm import tqdm

from magail_trainer.data.trajectories import Trajectories
from magail_trainer.envs.env_calls import closed_after
from magail_trainer.envs.registry import EnvEntry, make_env
from magail_trainer.errors import InputError
from magail_trainer.files import plain_json
from magail_trainer.learn.batch import Batch
from magail_trainer.learn.behavioural_cloning import behavioural_cloning, cloning_loss
from magail_trainer.learn.config import Algorithm, MagailConfig, as_run, checked_algorithm, cloning_updates, heeded
from magail_trainer.learn.critics import make_critic
from magail_trainer.learn.demonstrations import Demonstrations, ExactDemonstrations, random_episodes, scaled_to
from magail_trainer.learn.discriminators import (
    Discriminator,
    checked_discriminator,
    make_discriminator,
    own_discriminator,
)
from magail_trainer.learn.divergence import Divergence
from magail_trainer.learn.encoders import Codes, suits_tables
from magail_trainer.learn.fixed_horizon import FixedHorizon
from magail_trainer.learn.losses import Reward, checked_reward, reward_function
from magail_trainer.learn.magail import EpochRecord, Rollouts, magail, reinforcement_learning
from magail_trainer.learn.networks import fit_normalizers
from magail_trainer.learn.policies import Policies, checked_policies, make_policies
from magail_trainer.learn.rollout import EnumeratedRollouts, SampledRollouts
from magail_trainer.learn.runs import Runs
from magail_trainer.learn.signal_inference import infer_signal
from magail_trainer.learn.state import Parameters, TrainingState
from magail_trainer.learn.zero_sum import Contrast, MixedPlay, expert_against_learner, two_sides


@dataclass(frozen=True)
class CloningRecord:
    """Measurements of one cloning update."""

    epoch: int
    """The update, counted from 1."""
    loss: Float[Tensor, " R"]
    """Before the update."""

    @property
    def metrics(self) -> dict[str, Float[Tensor, " R"]]:
        """One value per run for each metric."""
        return {"cloning_loss": self.loss}


class Trainer:
    """Trains all runs of a table at once, in place; iterate over `records()`.

    Args:
        entry: the env to play in.
        trajectories: the expert's episodes, recorded in the same env; None to learn from the env's own rewards.
        runs: one row per run.
        config: the settings that all runs share; `Trainer.config` has every adjustment.
        algorithm: `magail`, `cloning`, or `rl` on the env's own rewards; by default `magail` if there are
            trajectories, else `rl`.
        updates: number of cloning updates; by default 2000, or 32 passes over the trajectories if these take more.
        policies: your own, instead of the config's; see `Policies`.
        discriminator: your own; see `Discriminator`.
        reward: your own function of the discriminator's logit; see `Reward`.
        device: where the tensors live.
        processes: processes that step the copies of an env without a native vector env.

    Raises:
        InputError: the dataset is missing, or has another env or spaces; a space is not supported; episodes differ in
            length; or a part of your own does not fit.
    """

    def __init__(
        self,
        entry: str | Callable[..., Any] | EnvEntry,
        trajectories: Trajectories | None,
        runs: Runs,
        config: MagailConfig,
        *,
        algorithm: Algorithm | None = None,
        updates: int | None = None,
        policies: Policies | None = None,
        discriminator: Discriminator | None = None,
        reward: Reward | None = None,
        device: str = "cpu",
        processes: int = 1,
    ) -> None:
        self.algorithm: Algorithm = checked_algorithm(algorithm or ("rl" if trajectories is None else "magail"))
        entry = make_env(entry)
        self.entry, self.runs, self.trajectories = entry, runs, _check_dataset(self.algorithm, trajectories)
        episodes = 0 if trajectories is None else len(trajectories)
        self.config = config = as_run(settle_network(config, entry), self.algorithm, episodes=episodes)
        self.updates = _check_updates(self.algorithm, updates) or cloning_updates(config, episodes=max(1, episodes))
        self._horizon = None
        if trajectories is not None:
            check_same_env(entry, trajectories)
            self._horizon = None if config.allow_variable_horizon else FixedHorizon.of(trajectories)
        self.device, self.processes = find_device(device), processes
        seen = partial(random_episodes, entry, processes=processes) if trajectories is None else trajectories
        self.codes = scaled_to(Codes.of(entry, network=config.family), seen)
        self._own = {"policies": policies, "discriminator": discriminator, "reward": reward}
        for name in ("discriminator", "reward"):
            if self._own[name] is not None and self.algorithm != "magail":
                raise InputError(f"The {name} {_name(self._own[name])} is not used by --algorithm {self.algorithm}.")
        if isinstance(reward, str):
            raise InputError(f"The reward must be a function, not {reward!r}; a name goes into reward_style.")
        if policies is not None:
            checked_policies(policies, self.codes, num_runs=len(runs), name=_name(policies))
        self.policies = (policies or make_policies(self.codes, runs, config)).to(self.device)
        self.critic = make_critic(self.codes, runs, config)
        if self.critic is not None:
            self.critic.to(self.device)
        self.reward = checked_reward(reward, name=_name(reward)) if reward else reward_function(config.reward_style)
        self._discriminator = None if self.algorithm != "magail" else self._make_discriminator(discriminator)
        if isinstance(self._discriminator, nn.Module):
            self._discriminator.to(self.device)
        parts = {"policies": self.policies, "critic": self.critic, "discriminator": self._discriminator}
        trained = {name: part.parameters() for name, part in parts.items() if part is not None}
        self.divergence = Divergence(runs, trained, device=self.device)
        self.state = TrainingState()
        self.after_update: Callable[[], None] = lambda: None

    def _make_discriminator(self, own: Discriminator | None) -> Discriminator:
        if own is not None:
            return checked_discriminator(own, self.codes, name=_name(own))
        make = own_discriminator if ":" in self.config.discriminator else make_discriminator
        return make(self.codes, self.runs, self.config)

    @property
    def discriminator(self) -> Discriminator:
        """MAGAIL's discriminator; the other algorithms have none."""
        assert self._discriminator is not None, f"{self.algorithm} has no discriminator"
        return self._discriminator

    @property
    def num_records(self) -> int:
        """Epochs, or updates of cloning."""
        return self.updates if self.algorithm == "cloning" else self.config.epochs

    @property
    def records_done(self) -> int:
        """Of `num_records`; above 0 if the training goes on from a checkpoint."""
        return self.state.updates if self.algorithm == "cloning" else self.state.epoch

    def records(self) -> Iterator[EpochRecord] | Iterator[CloningRecord]:
        """Train in place; yields a record per epoch, or per cloning update."""
        return self.clone() if self.algorithm == "cloning" else self.train()

    def train(self) -> Iterator[EpochRecord]:
        """MAGAIL, or reinforcement learning on the env's own rewards, one epoch per item."""
        config, device = self.config, self.device
        beta = torch.tensor(self.runs.beta, dtype=torch.float32, device=device)
        lr_policy, lr_disc = (
            None if rates is None else torch.tensor(rates, dtype=torch.float32, device=device)
            for rates in (self.runs.lr_policy, self.runs.lr_disc)
        )
        with self._rollouts() as rollouts:
            self.state.join("rollouts", rollouts)
            if self.algorithm == "rl":
                if config.family == "mlp" and not self.state.resumed:
                    self._fit_normalizers(rollouts.collect(self.policies).batch)
                self._watch()
                parts = (self.policies, self.critic, rollouts, beta, config)
                yield from self._watched(reinforcement_learning(*parts, lr_policy=lr_policy, state=self.state))
                return
            demonstrations = self._prepare_demonstrations()
            self._watch()
            warm_start = self._cloning(demonstrations, config.warm_start)
            shown = {"total": config.warm_start, "initial": self.state.updates, "desc": "cloning"}
            with tqdm(warm_start, **shown, delay=1, disable=None, leave=False) as bar:
                for loss in bar:
                    when = f"update {self.state.updates} of the warm start"
                    self.divergence.check(1, {"cloning_loss": loss}, when=when)
                    self.after_update()
            parts = (self.policies, self.discriminator, self.critic, rollouts, demonstrations, beta, config)
            rates = {"lr_policy": lr_policy, "lr_disc": lr_disc}
            contrast = self.state.join("contrast", self._contrast())
            if not isinstance(self._discriminator, nn.Module):
                self.state.join("discriminator", Parameters(self.discriminator.parameters()))
            records = magail(*parts, reward=self.reward, contrast=contrast, **rates, state=self.state)
            for record in self._watched(records):
                if self._horizon is not None:
                    self._horizon.check(record.rollout.batch, but=self.divergence.frozen)
                yield record

    def clone(self) -> Iterator[CloningRecord]:
        """Behavioural cloning alone, one update per item."""
        demonstrations = self._prepare_demonstrations()
        self._watch()
        for loss in self._cloning(demonstrations, self.updates):
            measured, update = {"cloning_loss": loss}, self.state.updates
            if update == self.updates:
                few = demonstrations.all.part(slice(0, self.config.batch_size))
                with torch.no_grad():
                    measured["cloning_loss after the last update"] = cloning_loss(self.policies, few)
            self.divergence.check(update, measured, when=f"epoch {update}")
            yield CloningRecord(update, loss)

    def _watch(self) -> None:
        self.state.join("divergence", self.divergence)
        self.divergence.begin()

    def _watched(self, records: Iterator[EpochRecord]) -> Iterator[EpochRecord]:
        """The same records, after runs that diverged in their epoch were frozen."""
        for record in records:
            measured = {**record.losses}
            if record.epoch == self.config.epochs:  # no later loss will tell of the last update
                few = record.rollout.batch.part(slice(0, self.config.batch_size))
                with torch.no_grad():
                    of_agents = self.policies.in_batch(few).items()
                    measured |= {f"log π of {agent}": one.log_prob(few.actions[agent]) for agent, one in of_agents}
            self.divergence.check(record.epoch, measured, when=f"epoch {record.epoch}")
            yield record

    def demonstrations(self) -> Demonstrations | ExactDemonstrations:
        """The trajectories as a source of expert batches."""
        assert self.trajectories is not None
        seeds, size = self.runs.seed.tolist(), self.config.batch_size
        if self.config.exact:
            return ExactDemonstrations(self.trajectories, self.codes, num_runs=len(seeds), device=self.device)
        return Demonstrations(self.trajectories, self.codes, seeds=seeds, batch_size=size, device=self.device)

    def _prepare_demonstrations(self) -> Demonstrations | ExactDemonstrations:
        """Demonstrations, after fitting the normalisers to them and inferring their shared signal, if any."""
        demonstrations, config = self.state.join("demonstrations", self.demonstrations()), self.config
        if self.state.resumed:  # normalisers are among the parameters, the signal is in the state
            return demonstrations
        self._fit_normalizers(demonstrations.all)
        if isinstance(self._discriminator, nn.Module):
            fit_normalizers(self._discriminator, demonstrations.all)
        is_cloned = self.algorithm == "cloning" or config.warm_start > 0 or config.cloning > 0
        if config.policy == "shared_signal" and config.signal_starts > 0 and is_cloned:
            inferred = infer_signal(demonstrations.all, self.codes, config, seeds=self.runs.seed.tolist())
            demonstrations.reveal(inferred.signal)
        return demonstrations

    def _cloning(self, demonstrations: Demonstrations | ExactDemonstrations, updates: int) -> Iterator[Tensor]:
        how = {"updates": updates, "num_runs": len(self.runs), "state": self.state}
        return behavioural_cloning(self.policies, demonstrations, self.config, **how)

    def _contrast(self) -> Contrast:
        if self.config.discriminator != "zero_sum":
            return expert_against_learner
        return MixedPlay(two_sides(self.policies.agents, self.config.sides), seeds=self.runs.seed.tolist())

    @contextmanager
    def _rollouts(self) -> Iterator[Rollouts]:
        config, num_runs = self.config, len(self.runs)
        copies = num_runs * config.rollout_episodes
        if config.exact:
            copies = math.prod(code.size for code in self.codes.finite_actions.values())
        with closed_after(self.entry.make_vector(copies, processes=self.processes)) as vector_env:
            if config.exact:
                yield EnumeratedRollouts(vector_env, self.codes, num_runs=num_runs, device=self.device)
            else:
                yield SampledRollouts(
                    vector_env,
                    self.codes,
                    seeds=self.runs.seed.tolist(),
                    episodes=config.rollout_episodes,
                    device=self.device,
                    for_critic=self.critic is not None,
                )

    def _fit_normalizers(self, batch: Batch) -> None:
        self.policies.fit_normalizers(batch)
        if self.critic is not None:
            fit_normalizers(self.critic, batch)

    @property
    def modules(self) -> dict[str, nn.Module]:
        """The modules in a checkpoint, by name."""
        modules = {"policies": self.policies, "critic": self.critic, "discriminator": self._discriminator}
        return {name: module for name, module in modules.items() if isinstance(module, nn.Module)}

    def describe(self) -> dict[str, Any]:
        """The training in a run folder's `config.json`, as plain JSON."""
        dataset = {}
        if self.trajectories is not None:
            origin = self.trajectories.origin
            dataset = {"policy": origin.policy, "seed": origin.seed, "episodes": len(self.trajectories)}
            dataset |= {"augmentation": origin.augmentation} if origin.augmentation else {}
        own = {name: _name(part) for name, part in self._own.items() if part is not None}
        instead = {"reward": "reward_style", "discriminator": "discriminator"}
        replaced = {instead[name] for name in own if name in instead}
        settings = {name: value for name, value in heeded(self.config, self.algorithm).items() if name not in replaced}
        scalings = {agent: scaling.describe() for agent, scaling in self.codes.scalings.items()}
        return {
            "algorithm": self.algorithm,
            "env": self.entry.description,
            "dataset": dataset,
            "training": plain_json(settings),
            **({"feature_scaling": scalings} if scalings else {}),
            **({"updates": self.updates} if self.algorithm == "cloning" else {}),
            **({"own_parts": own} if own else {}),
            "device": str(self.device),
            "versions": {package: version(package) for package in ("gymnasium", "numpy", "pettingzoo", "torch")},
        }


def _check_dataset(algorithm: Algorithm, trajectories: Trajectories | None) -> Trajectories | None:
    if algorithm == "rl" and trajectories is not None:
        raise InputError("--algorithm rl learns from the env's own rewards and reads no dataset; leave out --dataset.")
    if algorithm != "rl" and trajectories is None:
        raise InputError("--dataset is missing: name a recorded one to imitate, or learn without (--algorithm rl).")
    return trajectories


def _check_updates(algorithm: Algorithm, updates: int | None) -> int | None:
    if updates is not None and algorithm != "cloning":
        raise InputError(f"--updates {updates} needs --algorithm cloning; the others have --epochs.")
    if updates is not None and updates < 1:
        raise InputError(f"--updates must be at least 1, not {updates}.")
    return updates


def _name(part: Any) -> str:
    """Where a user's part is defined, as `module:name`."""
    kind = part if hasattr(part, "__qualname__") else type(part)
    return f"{kind.__module__}:{kind.__qualname__}"


def choose_network(entry: EnvEntry) -> Literal["tabular", "mlp"]:
    """Resolve `--network auto`: tables if the env's spaces are finite and small, else perceptrons."""
    return "tabular" if suits_tables(entry) else "mlp"


def settle_network(config: MagailConfig, entry: EnvEntry) -> MagailConfig:
    """`config` with the network chosen for the env, if it is `auto`."""
    return config.settled(choose_network(entry)) if config.network == "auto" else config


def check_same_env(entry: EnvEntry, trajectories: Trajectories) -> None:
    """Refuse a dataset of another env, or with other arguments or spaces.

    Raises:
        InputError: naming the difference.
    """
    origin = trajectories.origin
    if names := entry.difference(origin.env):
        raise InputError(
            f"The dataset was recorded in {names[0]}, not in {names[1]}; record one in the env to train in."
        )
    present_spaces = entry.describe_spaces()
    if list(present_spaces) != trajectories.agents:
        raise InputError(f"The dataset has the agents {trajectories.agents}; the env has {list(present_spaces)}.")
    for agent, spaces in present_spaces.items():
        if spaces != origin.spaces[agent]:
            raise InputError(f"The dataset has {origin.spaces[agent]} for {agent}; the env has {spaces}.")


def find_device(name: str) -> torch.device:
    """The torch device `name`.

    Raises:
        InputError: it is not available.
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
