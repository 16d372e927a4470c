"""The matching game under MAGAIL: record an expert, train every (β, seed) run from the files, measure, draw.

python -m experiments.coordination --help
"""

import os
import sys
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

if __package__ in (None, ""):  # run as a script: Python then looks for modules in this folder, not in the checkout
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
import torch
from torch import Tensor

from experiments.figures import coordination_figure, save_figure
from experiments.results import (
    Columns,
    Results,
    exact_columns,
    joint_frequencies,
    sampled_columns,
    summary,
)
from magail_trainer.command_line import display_path, run_command, this_command
from magail_trainer.config import MagailConfig, RewardStyle
from magail_trainer.env_ids import EnvEntry, resolve
from magail_trainer.errors import InputError
from magail_trainer.evaluation import evaluation_rollouts, joint_action_counts
from magail_trainer.folders import new_folder
from magail_trainer.joint_policies import make_joint_policy
from magail_trainer.policies import Categorical
from magail_trainer.recording import record
from magail_trainer.runs import Runs
from magail_trainer.store import BESIDE_CONFIG, CONFIG, write_run
from magail_trainer.trainer import Trainer, train_with_history
from magail_trainer.trajectories import Trajectories, read_manifest

ENV_ID = "coordination_env:coordination/matching-v0"

# With these an mlp's logits move about as fast, and the discriminator's as fast in relation, as those of tables: what
# becomes of a run hangs on both. Found by trying; see the suggested runs with --network mlp.
_MLP_LR_POLICY, _MLP_LR_DISC = 0.1, 0.03

ExpertType = Literal["mixed", "bimodal", "asymmetric", "noisy", "all_AA"]


@dataclass(frozen=True)
class CoordinationConfig:
    """Show where multi-agent GAIL fails in the 2×2 matching game, for a row of entropy bonuses β."""

    expert_type: ExpertType = "bimodal"
    """The scripted expert: mixed (independent 50/50), bimodal (half AA, half BB), asymmetric (70/30), noisy (10 % AB
    or BA), all_AA."""
    betas: tuple[float, ...] = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0)
    """Weights of the policies' entropy bonus."""
    seeds: tuple[int, ...] = (42, 123, 456, 789, 999)
    """One run for each, and each β."""
    epochs: int = 4000
    """Training epochs."""
    rollout_episodes: int = 200
    """Episodes that each run plays per epoch."""
    eval_episodes: int = 5000
    """Episodes that each run plays after training."""
    lr_policy: float = 0.01
    """Adam's learning rate for the policies."""
    lr_disc: float = 0.01
    """Adam's learning rate for the discriminator."""
    reward_style: RewardStyle = "non_saturating"
    """What the policies maximise: log D (non_saturating), -log(1 - D) (gail), log D - log(1 - D) (airl), or 2D - 1
    (symmetric)."""
    network: Literal["tabular", "mlp"] = "tabular"
    """Tables, or perceptrons with a hidden layer of 128 in their place, trained in the same way. Their learning rates
    are the given ones times 0.1 (policies) and 0.03 (discriminator), for an update moves an output by many weights."""
    policy_init_uniform: bool = False
    """Start both policies at exactly 0.5/0.5, not at logits of 0.1 times a standard normal."""
    no_plots: bool = False
    """Skip the figure."""
    batch_size: int = 32
    """Joint actions of the expert and of the learner in a discriminator step, and of the learner in a policy step."""
    exact: bool = False
    """Train with expectations over the four joint actions in place of samples; then neither rollout_episodes nor
    batch_size matters."""
    expert_ratio: float | None = None
    """Share of AA among the matching episodes of a bimodal, asymmetric or noisy expert; by default the expert's own."""
    expert_noise: float | None = None
    """Share of AB and BA episodes of a noisy expert; by default 0.1."""
    expert_episodes: int = 1000
    """Episodes to record."""
    expert_seed: int = 0
    """Decides the order of the expert's episodes, and what is random in them."""
    dataset: Path | None = None
    """Train on this recorded dataset of the matching game; nothing is recorded then."""
    device: str = "cpu"
    """Where the tensors live: cpu, cuda, cuda:1, ..."""
    output: Path | None = None
    """The folder to make; by default a new one under results/coordination."""
    overwrite: bool = False
    """Replace the results that --output already holds."""


def run_experiment(config: CoordinationConfig, *, command: str = "") -> Results:
    """Record or load the demonstrations, train, evaluate, and write the run folder.

    Args:
        config: the settings.
        command: what `config.json` says repeats the run.

    Raises:
        InputError: a setting is out of range, or the output folder cannot be made.
    """
    runs, tabular = Runs.grid(betas=config.betas, seeds=config.seeds), config.network == "tabular"
    training = MagailConfig(
        epochs=config.epochs,
        rollout_episodes=config.rollout_episodes,
        batch_size=config.batch_size,
        lr_policy=config.lr_policy * (1.0 if tabular else _MLP_LR_POLICY),
        lr_disc=config.lr_disc * (1.0 if tabular else _MLP_LR_DISC),
        hidden=MagailConfig.hidden if tabular else (128,),
        reward_style=config.reward_style,
        policy_init_uniform=config.policy_init_uniform,
        exact=config.exact,
        network=config.network,
    )
    _check_dataset_stands_alone(config)
    if config.eval_episodes < 1:
        raise InputError(f"--eval_episodes must be at least 1, not {config.eval_episodes}.")
    target = config.output or _fresh_name(config.expert_type if config.dataset is None else "recorded")
    own = {"marker": CONFIG, "others": BESIDE_CONFIG, "overwrite": config.overwrite, "reads": config.dataset}
    with new_folder(target, **own) as folder:
        entry = resolve(ENV_ID)
        dataset_folder = _record_expert(config, entry, folder) if config.dataset is None else config.dataset
        demonstrations = Trajectories.load(dataset_folder)
        trainer = Trainer(entry, demonstrations, runs, training, device=config.device)
        expert_joint = joint_frequencies(demonstrations)
        started = time.process_time()
        history = train_with_history(
            trainer,
            log_every=10,
            measure=lambda: {f"prob_a_{agent}": probs[:, 0] for agent, probs in marginals_of(trainer).items()},
        )
        training_cpu_seconds = time.process_time() - started
        marginals = {agent: probs.numpy() for agent, probs in marginals_of(trainer).items()}
        table = {"beta": runs.beta, "seed": runs.seed, **exact_columns(marginals, expert_joint)}
        table |= sampled_columns(_play(trainer, config.eval_episodes), expert_joint)

        dataset = {"path": str(config.dataset or "dataset"), "sha256": read_manifest(dataset_folder)["sha256"]}
        settings = {name: value for name, value in asdict(config).items() if name not in _left_out(config)}
        description = trainer.describe()
        description["dataset"] |= {**dataset, "joint": expert_joint.tolist()}
        write_run(
            folder,
            config={"command": command, "experiment": settings, **description},
            table=table,
            history=history,
            modules=trainer.modules,
        )
        if not config.no_plots:
            _draw(folder / "figure.png", table, history, expert_joint, config)
    return Results(Path(target), table, history, expert_joint, config.eval_episodes, training_cpu_seconds)


_EXPERT_FIELDS = ("expert_type", "expert_ratio", "expert_noise", "expert_episodes", "expert_seed")


def _check_dataset_stands_alone(config: CoordinationConfig) -> None:
    for name in _EXPERT_FIELDS:
        if config.dataset is not None and getattr(config, name) != getattr(CoordinationConfig, name):
            raise InputError(f"--{name} changes what is recorded; leave it out with --dataset.")


def _left_out(config: CoordinationConfig) -> set[str]:
    """Settings that say where and not what, and those of an expert that was not recorded here."""
    return {"output", "overwrite", "dataset", *(_EXPERT_FIELDS if config.dataset is not None else ())}


def _fresh_name(expert_type: str) -> Path:
    """A name that no other experiment picks, not even one started in the same second."""
    return Path("results/coordination") / f"{expert_type}_{datetime.now():%Y-%m-%d_%H%M%S_%f}_{os.getpid()}"


def _record_expert(config: CoordinationConfig, entry: EnvEntry, folder: Path) -> Path:
    arguments: dict[str, Any] = {"ratio": config.expert_ratio, "noise": config.expert_noise}
    arguments = {name: value for name, value in arguments.items() if value is not None}
    takes = {"bimodal": {"ratio"}, "asymmetric": {"ratio"}, "noisy": {"ratio", "noise"}}.get(config.expert_type, set())
    for name in arguments.keys() - takes:
        raise InputError(f"--expert_{name} does not apply to --expert_type {config.expert_type}; leave it out.")
    policy = make_joint_policy(config.expert_type, entry, arguments)
    recorded = record(entry, policy, episodes=config.expert_episodes, seed=config.expert_seed)
    recorded.save(folder / "dataset")
    return folder / "dataset"


@torch.no_grad()
def marginals_of(trainer: Trainer) -> dict[str, Tensor]:
    """Each agent's action probabilities in the game's one observation, `[R, 2]`."""
    runs, one = len(trainer.runs), np.zeros(1, dtype=np.int64)
    encoded = {agent: torch.from_numpy(code.encode(one)) for agent, code in trainer.codes.observations.items()}
    observations = {agent: row.to(trainer.device).expand(runs, *row.shape) for agent, row in encoded.items()}
    probs = {}
    for agent, policy in trainer.policies(observations).items():
        assert isinstance(policy, Categorical)
        probs[agent] = policy.probs[:, 0].double().cpu()
    return {agent: values / values.sum(-1, keepdim=True) for agent, values in probs.items()}


def _play(trainer: Trainer, episodes: int) -> np.ndarray:
    """Joint frequencies of the evaluation episodes, `[R, 2, 2]`."""
    rollouts = evaluation_rollouts(trainer.entry, trainer.codes, trainer.policies, trainer.runs, episodes=episodes)
    counts = sum(joint_action_counts(rollout, trainer.codes) for rollout in rollouts)
    return np.asarray(counts).reshape(-1, 2, 2) / episodes


def _draw(file: Path, table: Columns, history: Columns, expert_joint: np.ndarray, config: CoordinationConfig) -> None:
    expert = config.expert_type if config.dataset is None else "recorded"
    rewards = {"non_saturating": "log D", "gail": "−log(1 − D)", "airl": "log D − log(1 − D)", "symmetric": "2D − 1"}
    reward = rewards[config.reward_style]
    title = f"MAGAIL in the 2×2 matching game: {expert} expert, reward {reward}, {len(config.seeds)} seeds for each β"
    save_figure(coordination_figure(table, history, expert_joint, title=title), file)


def _main(config: CoordinationConfig) -> None:
    torch.set_num_threads(1)  # the fastest for small tensors
    results = run_experiment(config, command=this_command("python -m experiments.coordination"))
    print("\n".join(summary(results)))
    shown = "runs.csv" if config.no_plots else "runs.csv and figure.png"
    print(f"Wrote {display_path(results.folder)}, with {shown}.")


if __name__ == "__main__":
    run_command(CoordinationConfig, _main, prog="python -m experiments.coordination")
