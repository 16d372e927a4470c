"""Puts the parts together: env, dataset, run table and settings in; a trainer out."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from magail_trainer.config import MagailConfig
from magail_trainer.demonstrations import Demonstrations, ExactDemonstrations
from magail_trainer.discriminators import JointDiscriminator
from magail_trainer.encoding import Codes
from magail_trainer.env_ids import EnvEntry
from magail_trainer.errors import InputError
from magail_trainer.files import plain_json
from magail_trainer.magail import EpochRecord, magail
from magail_trainer.networks import Table
from magail_trainer.policies import IndependentPolicies, TabularPolicy
from magail_trainer.rollout import EnumeratedRollouts, SampledRollouts
from magail_trainer.runs import Runs
from magail_trainer.seeding import stream
from magail_trainer.spaces import describe_spaces
from magail_trainer.store import History
from magail_trainer.trajectories import Trajectories

_MAX_TABLE_ROWS = 10_000_000


class Trainer:
    """MAGAIL for all runs of a table, on any env whose spaces are finite.

    Args:
        entry: the env to play in.
        trajectories: the expert's episodes, recorded in the same env.
        runs: one row per run.
        config: what is the same for all of them.
        device: where the tensors live.

    Raises:
        InputError: the dataset is of another env or of other spaces, or a space is not supported.
    """

    def __init__(
        self, entry: EnvEntry, trajectories: Trajectories, runs: Runs, config: MagailConfig, *, device: str = "cpu"
    ) -> None:
        check_same_env(entry, trajectories)
        self.entry, self.runs, self.config = entry, runs, config
        self.device = find_device(device)
        self.codes = Codes.of(entry)
        self.policies = make_policies(self.codes, runs, uniform=config.policy_init_uniform).to(self.device)
        self.discriminator = make_discriminator(self.codes, len(runs)).to(self.device)
        self._trajectories = trajectories

    def train(self) -> Iterator[EpochRecord]:
        """Train in place, one epoch per item; see `magail`."""
        seeds, codes, config = self.runs.seed.tolist(), self.codes, self.config
        if config.exact:
            vector_env = self.entry.make_vector(int(np.prod([code.size for code in codes.actions.values()])))
            rollouts = EnumeratedRollouts(vector_env, codes, num_runs=len(seeds), device=self.device)
            demonstrations = ExactDemonstrations(self._trajectories, codes, num_runs=len(seeds), device=self.device)
        else:
            vector_env = self.entry.make_vector(len(seeds) * config.rollout_episodes)
            rollouts = SampledRollouts(
                vector_env, codes, seeds=seeds, episodes=config.rollout_episodes, device=self.device
            )
            demonstrations = Demonstrations(
                self._trajectories, codes, seeds=seeds, batch_size=config.batch_size, device=self.device
            )
        beta = torch.tensor(self.runs.beta, dtype=torch.float32, device=self.device)
        try:
            yield from magail(self.policies, self.discriminator, rollouts, demonstrations, beta, config)
        finally:
            vector_env.close()

    @property
    def modules(self) -> dict[str, nn.Module]:
        """What a checkpoint holds."""
        return {"policies": self.policies, "discriminator": self.discriminator}

    def describe(self) -> dict[str, Any]:
        """What a run folder's `config.json` says of the training; plain JSON."""
        origin = self._trajectories.origin
        return {
            "env": {"id": self.entry.id, "kwargs": plain_json(self.entry.kwargs)},
            "dataset": {"policy": origin.policy, "seed": origin.seed, "episodes": len(self._trajectories)},
            "training": asdict(self.config),
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


def make_policies(codes: Codes, runs: Runs, *, uniform: bool) -> IndependentPolicies:
    """One table of logits per agent: 0.1 times a standard normal, from each run's own stream, or all zero."""
    policies = {}
    for agent, observation in codes.observations.items():
        shape = (observation.size, codes.actions[agent].size)
        if uniform:
            initial = np.zeros((len(runs), *shape), dtype=np.float32)
        else:
            streams = [stream(seed, "initial policy", agent) for seed in runs.seed.tolist()]
            initial = np.stack([0.1 * rng.standard_normal(shape, dtype=np.float32) for rng in streams])
        policies[agent] = TabularPolicy(torch.from_numpy(initial))
    return IndependentPolicies(policies)


def make_discriminator(codes: Codes, num_runs: int) -> JointDiscriminator:
    """A table with one logit for each joint observation and action, all zero: no opinion.

    Raises:
        InputError: the table would be too large.
    """
    observation_sizes = {agent: code.size for agent, code in codes.observations.items()}
    action_sizes = {agent: code.size for agent, code in codes.actions.items()}
    rows = 1
    for size in [*observation_sizes.values(), *action_sizes.values()]:
        rows *= size
    if rows * num_runs > _MAX_TABLE_ROWS:
        raise InputError(
            f"A joint discriminator table for this env needs {rows:,} rows in each of {num_runs} runs; "
            f"expected at most {_MAX_TABLE_ROWS:,} in all."
        )
    return JointDiscriminator(Table(torch.zeros(num_runs, rows)), observation_sizes, action_sizes)


def check_same_env(entry: EnvEntry, trajectories: Trajectories) -> None:
    """Refuse a dataset of another env, or of one with other arguments or spaces.

    Raises:
        InputError: it is; the message says what differs.
    """
    origin = trajectories.origin
    if (origin.env_id, origin.env_kwargs) != (entry.id, plain_json(entry.kwargs)):
        recorded, present = (
            f"{name} {kwargs or ''}".strip()
            for name, kwargs in ((origin.env_id, origin.env_kwargs), (entry.id, entry.kwargs))
        )
        raise InputError(
            f"The dataset was recorded in {recorded}, not in {present}; record one in the env to train in."
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
