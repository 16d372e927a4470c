"""A matrix game under MAGAIL: record an expert, train every (β, seed) run on its episodes, measure, draw.

python -m experiments.coordination --help
"""

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from coordination_env.games import MatrixGame
from experiments.matching.exact_play import exact_joint
from experiments.matching.figures import coordination_figure
from experiments.matching.games import env_arguments, experts_of, make_game, title
from experiments.matching.results import (
    Results,
    exact_columns,
    joint_frequencies,
    prob_columns,
    sampled_columns,
    summary,
)
from experiments.matching.settings import CoordinationConfig
from experiments.studies.commands import fresh_name
from experiments.studies.diverged import count_diverged, exit_status
from experiments.studies.plotting import reward_name, save_figures, wrote
from magail_trainer.cli.command_line import this_command
from magail_trainer.data.joint_policies import JointPolicy
from magail_trainer.data.recording import record
from magail_trainer.data.run_folder import BESIDE_CONFIG, CONFIG, write_run
from magail_trainer.data.trajectories import Trajectories, read_manifest
from magail_trainer.envs.registry import EnvEntry, resolve
from magail_trainer.errors import InputError
from magail_trainer.folders import new_folder
from magail_trainer.learn.checkpoints import Checkpoints
from magail_trainer.learn.config import MagailConfig
from magail_trainer.learn.runs import Runs
from magail_trainer.learn.trainer import Trainer
from magail_trainer.learn.training import train_with_history
from magail_trainer.play.evaluation import evaluation_rollouts, joint_action_counts
from magail_trainer.play.players import make_joint_policy
from magail_trainer.text import counted, display_path

FIGURE = "figure.png"
ENV_ID = "coordination_env:coordination/matching-v0"


@dataclass(frozen=True)
class Setup:
    """What an experiment is made of, before anything is recorded, trained or written."""

    game: MatrixGame
    entry: EnvEntry
    runs: Runs
    training: MagailConfig
    expert: JointPolicy | None
    """Whom to record; none where there is a dataset."""


def set_up(config: CoordinationConfig) -> Setup:
    """Make of the settings what they stand for, and nothing else: so they can be checked long before they are needed.

    Raises:
        InputError: a setting is out of range, or the game has no such expert.
    """
    game = make_game(config.game, num_agents=config.num_agents)
    entry, runs = resolve(*env_arguments(game)), Runs.grid(betas=config.betas, seeds=config.seeds)
    if config.eval_episodes < 1:
        raise InputError(f"--eval_episodes must be at least 1, not {config.eval_episodes}.")
    _check_dataset_stands_alone(config)
    expert = _expert_to_record(config, entry, experts_of(game)) if config.dataset is None else None
    return Setup(game, entry, runs, config.training.settled("tabular"), expert)


def run_experiment(config: CoordinationConfig, *, command: str = "") -> Results:
    """Record or load the demonstrations, train, evaluate, and write the run folder.

    Args:
        config: the settings.
        command: what `config.json` says repeats the run.

    Raises:
        InputError: a setting is out of range, or the output folder cannot be made. No folder is made before all
            settings are known to be good.
    """
    setup = set_up(config)
    game, runs, demonstrations = setup.game, setup.runs, _demonstrations(config, setup)
    trainer = Trainer(setup.entry, demonstrations, runs, setup.training, device=config.device)
    target = config.output or _fresh_folder(config)
    own = {"marker": CONFIG, "others": BESIDE_CONFIG, "overwrite": config.overwrite, "reads": config.dataset}
    with new_folder(target, **own) as folder:
        if config.dataset is None:
            demonstrations.save(folder / "dataset")
        expert_joint = joint_frequencies(demonstrations, game)
        again = f"the same command, and --output {shlex.quote(display_path(target))}"
        history = train_with_history(
            trainer,
            log_every=10,
            measure=lambda _: _probabilities(trainer, game),
            checkpoints=Checkpoints(folder, discard=True, again=again),
        )
        training_cpu_seconds = trainer.state.cpu_seconds
        table = {"beta": runs.beta, "seed": runs.seed, **exact_columns(exact_joint(trainer), expert_joint, game)}
        table |= sampled_columns(_play(trainer, game, config.eval_episodes), expert_joint, game)
        table = trainer.divergence.mark(table)

        manifest = read_manifest(config.dataset or folder / "dataset")
        dataset = {"path": str(config.dataset or "dataset"), "sha256": manifest["sha256"]}
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
        measured = (table, history, expert_joint, config.eval_episodes, training_cpu_seconds)
        results = Results(Path(target), *measured, game, setup.training.policy)
    if not config.no_plots and len(results.healthy.runs["seed"]):
        save_figures(results.folder, {FIGURE: lambda: _figure(results, config, setup.training)})
    return results


_EXPERT_FIELDS = ("expert_type", "expert_ratio", "expert_noise", "expert_episodes", "expert_seed")


def _check_dataset_stands_alone(config: CoordinationConfig) -> None:
    usual = CoordinationConfig(game=config.game)
    for name in _EXPERT_FIELDS:
        if config.dataset is not None and getattr(config, name) != getattr(usual, name):
            raise InputError(f"--{name} changes what is recorded; leave it out with --dataset.")


def _left_out(config: CoordinationConfig) -> set[str]:
    """Settings that say where and not what, those of the trainer, which `training` holds as they ran, and those of an
    expert that was not recorded here."""
    return {"output", "overwrite", "dataset", "training", *(_EXPERT_FIELDS if config.dataset is not None else ())}


def _fresh_folder(config: CoordinationConfig) -> Path:
    game = "" if config.game == "matching" else f"{config.game}_"
    return Path("results/coordination") / fresh_name(f"{game}{_expert(config)}")


def _expert(config: CoordinationConfig) -> str:
    return str(config.expert_type) if config.dataset is None else "recorded"


def _expert_to_record(config: CoordinationConfig, entry: EnvEntry, offered: Sequence[str]) -> JointPolicy:
    expert = _expert(config)
    if expert not in offered:
        raise InputError(f"--expert_type must be one of {', '.join(offered)} for --game {config.game}, not {expert!r}.")
    arguments: dict[str, Any] = {"ratio": config.expert_ratio, "noise": config.expert_noise}
    arguments = {name: value for name, value in arguments.items() if value is not None}
    takes = {"bimodal": {"ratio"}, "asymmetric": {"ratio"}, "noisy": {"ratio", "noise"}, "pure_equilibria": {"ratio"}}
    for name in arguments.keys() - takes.get(expert, set()):
        raise InputError(f"--expert_{name} does not apply to --expert_type {expert}; leave it out.")
    return make_joint_policy(expert, entry, arguments)


def _demonstrations(config: CoordinationConfig, setup: Setup) -> Trajectories:
    if setup.expert is not None:
        return record(setup.entry, setup.expert, episodes=config.expert_episodes, seed=config.expert_seed)
    assert config.dataset is not None
    return Trajectories.load(config.dataset)


def _probabilities(trainer: Trainer, game: MatrixGame) -> dict[str, torch.Tensor]:
    """What the history holds of the policies, `[R]` each."""
    return {name: torch.from_numpy(probs) for name, probs in prob_columns(exact_joint(trainer), game).items()}


def _play(trainer: Trainer, game: MatrixGame, episodes: int) -> np.ndarray:
    """Joint frequencies of the evaluation episodes, `[R, A_1..A_N]`."""
    rollouts = evaluation_rollouts(trainer.entry, trainer.codes, trainer.policies, trainer.runs, episodes=episodes)
    counts = sum(joint_action_counts(rollout, trainer.codes) for rollout in rollouts)
    return np.asarray(counts).reshape(-1, *game.num_actions) / episodes


def _figure(results: Results, config: CoordinationConfig, training: MagailConfig) -> Figure:
    diverged, results = count_diverged(results.folder), results.healthy
    expert = _expert(config).replace("pure_equilibria", "pure equilibria").replace("correlated_e", "correlated e")
    policy, discriminator = training.policy.replace("_", " "), training.discriminator.replace("_", "-")
    others = [f"{policy} policies"] if policy != "independent" else []
    others += [f"{discriminator} discriminators"] if discriminator != "joint" else []
    others += [f"reward {reward_name(training.reward_style)}", f"{counted(len(config.seeds), 'seed')} for each β"]
    others += [f"{diverged} and left out"] if diverged else []
    heading = ", ".join([f"MAGAIL in {title(results.game)}: {expert} expert", *others])
    drawn = (results.runs, results.history, results.expert_joint)
    return coordination_figure(*drawn, title=heading, game=results.game, policy=training.policy)


def main(config: CoordinationConfig) -> int:
    """Run the experiment and print its summary; the exit status."""
    results = run_experiment(config, command=this_command("python -m experiments.coordination"))
    some = len(results.healthy.runs["seed"]) > 0
    if some:
        print("\n".join(summary(results.healthy)))
    status = wrote(results.folder, ["runs.csv", FIGURE] if some and not config.no_plots else ["runs.csv"])
    return exit_status(count_diverged(results.folder), status)
