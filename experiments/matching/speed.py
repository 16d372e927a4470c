"""The speed of training, envs and datasets, in work per CPU-second of this process.

    python -m experiments.benchmark

CPU seconds change less than wall seconds when the machine is busy. The best of a few repetitions counts, since other
programs can only slow a measurement down.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pettingzoo
from tqdm import tqdm

from experiments.matching.coordination import ENV_ID
from experiments.matching.settings import BenchmarkConfig, CoordinationConfig
from magail_trainer.data.recording import record
from magail_trainer.data.trajectories import Trajectories
from magail_trainer.envs.registry import resolve
from magail_trainer.errors import InputError
from magail_trainer.learn.config import MagailConfig
from magail_trainer.learn.runs import Runs
from magail_trainer.learn.trainer import Trainer
from magail_trainer.play.players import make_joint_policy

SINGLE_SCRIPT_RUN_EPOCHS = 41
"""Run-epochs per CPU-second of the single-script program that the seed document describes, on a similar machine."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    rate: float
    unit: str


def rate(work: Callable[[], int], repetitions: int) -> float:
    """Units of work per CPU-second, the best of a few repetitions; `work` returns the units it did."""
    rates = []
    for _ in range(repetitions):
        start = time.process_time()
        units = work()
        rates.append(units / max(time.process_time() - start, 1e-9))
    return max(rates)


def training(num_seeds: int, epochs: int) -> Callable[[], int]:
    """Work: `epochs` epochs of the default βs with `num_seeds` seeds, after one epoch to warm up."""
    entry = resolve(ENV_ID)
    demonstrations = record(entry, make_joint_policy("bimodal", entry, {}), episodes=1000, seed=0)
    runs = Runs.grid(betas=CoordinationConfig.betas, seeds=range(num_seeds))
    steps = Trainer(entry, demonstrations, runs, MagailConfig(network="tabular", epochs=10**9)).train()
    next(steps)
    return lambda: sum(1 for _ in islice(steps, epochs)) * len(runs)


def single_steps(steps: int) -> Callable[[], int]:
    """Work: one-step episodes of the parallel env, a reset and a step each."""
    env = pettingzoo.make("parallel", "coordination/matching-v0")
    actions = {agent: np.int64(0) for agent in env.possible_agents}

    def work() -> int:
        for _ in range(steps):
            env.reset()
            env.step(actions)
        return steps

    return work


def aec_steps(steps: int) -> Callable[[], int]:
    """Work: the same episodes in the AEC env, one agent at a time."""
    env = pettingzoo.make("aec", "coordination/matching-v0")

    def work() -> int:
        for _ in range(steps):
            env.reset()
            for _ in env.possible_agents:
                env.step(np.int64(0))
        return steps

    return work


def vector_steps(steps: int, *, num_envs: int) -> Callable[[], int]:
    """Work: the same episodes in copies stepped at once; every copy counts."""
    env = resolve(ENV_ID).make_vector(num_envs)
    env.reset(seed=0)
    actions = {agent: np.zeros(num_envs, dtype=np.int64) for agent in env.possible_agents}

    def work() -> int:
        for _ in range(steps):
            env.step(actions)
        return steps * num_envs

    return work


def recording(episodes: int) -> Callable[[], int]:
    """Work: record bimodal episodes in memory."""
    entry = resolve(ENV_ID)
    policy = make_joint_policy("bimodal", entry, {})
    return lambda: len(record(entry, policy, episodes=episodes, seed=0))


def saving(episodes: int, folder: Path) -> Callable[[], int]:
    """Work: write a dataset of `episodes` episodes."""
    entry = resolve(ENV_ID)
    recorded = record(entry, make_joint_policy("bimodal", entry, {}), episodes=episodes, seed=0)

    def work() -> int:
        recorded.save(folder, overwrite=True)
        return episodes

    return work


def raw_steps(env_id: str, steps: int) -> Callable[[], int]:
    """Work: steps of one copy of an env with random actions."""
    env = resolve(env_id).make()
    env.reset(seed=0)
    actions = [{agent: env.action_space(agent).sample() for agent in env.possible_agents} for _ in range(steps)]

    def work() -> int:
        for joint_action in actions:
            if not env.agents:
                env.reset()
            env.step(joint_action)
        return steps

    return work


def magail_steps(env_id: str, copies: int, epochs: int) -> Callable[[], int]:
    """Work: MAGAIL's whole training loop with the settings of `magail train`, in env steps of one run."""
    entry = resolve(env_id)
    config = replace(
        MagailConfig(network="mlp"), epochs=10**6, rollout_episodes=copies, batch_size=copies // 4, warm_start=0
    )
    demonstrations = record(entry, make_joint_policy("random", entry, {}), episodes=50, seed=0)
    records = Trainer(entry, demonstrations, Runs.grid(betas=(0.003,), seeds=(0,)), config).train()
    next(records)
    return lambda: sum(record.rollout.batch.weight.numel() for record in islice(records, epochs))


def measure_particles(config: BenchmarkConfig) -> list[Row]:
    """The whole training loop on the particle envs beside the envs alone."""
    spread, twin, epochs = "mpe2.simple_spread_v3", "experiments.mpe_envs.simple_spread", config.mlp_epochs
    measurements: list[tuple[str, Callable[[], Callable[[], int]]]] = [
        ("mpe2 spread, the env alone", lambda: raw_steps(spread, max(1, config.steps // 10))),
        ("MAGAIL on mpe2 spread, 128 copies", lambda: magail_steps(spread, 128, epochs)),
        ("MAGAIL on its twin, 128 copies", lambda: magail_steps(twin, 128, epochs)),
        ("MAGAIL on vmas spread, 256 copies", lambda: magail_steps("vmas:simple_spread", 256, epochs)),
    ]
    progress = tqdm(measurements, desc="measuring", delay=1, disable=None, leave=False)
    return [Row(what, rate(prepare(), config.repetitions), "env steps") for what, prepare in progress]


def measure(config: BenchmarkConfig) -> list[Row]:
    """Take every measurement on the game."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "dataset"
        vector = max(1, config.steps // 20)
        measurements: list[tuple[str, Callable[[], Callable[[], int]], str]] = [
            ("training, default sweep (30 runs)", lambda: training(5, config.epochs), "run-epochs"),
            ("training, 1002 runs", lambda: training(167, max(1, config.epochs // 20)), "run-epochs"),
            ("env, parallel", lambda: single_steps(config.steps), "steps"),
            ("env, AEC", lambda: aec_steps(max(1, config.steps // 10)), "steps"),
            ("env, vector of 6000", lambda: vector_steps(vector, num_envs=6000), "steps"),
            ("dataset, record", lambda: recording(config.episodes), "episodes"),
            ("dataset, save", lambda: saving(config.episodes, folder), "episodes"),
            ("dataset, load and check", lambda: lambda: len(Trajectories.load(folder)), "episodes"),
        ]
        progress = tqdm(measurements, desc="measuring", delay=1, disable=None, leave=False)
        return [Row(what, rate(prepare(), config.repetitions), unit) for what, prepare, unit in progress]


def main(config: BenchmarkConfig) -> None:
    """Measure and print the table."""
    for name in ("epochs", "steps", "episodes", "repetitions"):
        if getattr(config, name) < 1:
            raise InputError(f"--{name} must be at least 1, not {getattr(config, name)}.")
    rows = measure(config)
    particles = measure_particles(config) if config.mlp_epochs > 0 else []
    for row in rows + particles:
        print(f"{row.what:36} {row.rate:>14,.0f} {row.unit} per CPU-second")
    default = CoordinationConfig()
    run_epochs = len(default.betas) * len(default.seeds) * default.training.epochs
    print(f"The default sweep, {run_epochs:,} run-epochs, trains in {run_epochs / rows[0].rate:.1f} CPU-seconds here.")
    if particles:
        print(f"MAGAIL runs at {particles[1].rate / particles[0].rate:.0%} of the step rate of mpe2's spread alone.")
    print(f"(The single-script program: {SINGLE_SCRIPT_RUN_EPOCHS} run-epochs per CPU-second.)")
