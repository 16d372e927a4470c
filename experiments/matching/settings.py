"""The flags of the commands on matrix games: coordination, correlation, suggested_runs and benchmark."""

from dataclasses import dataclass, field, fields, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

import tyro

from experiments.matching.games import USUAL_EXPERT, ExpertType, GameName, experts_of, make_game
from experiments.studies.commands import with_defaults
from magail_trainer.learn.config import MagailConfig, PolicyStyle

DiscriminatorName = Literal["joint", "per_agent"]
Name = Literal["A", "B", "C", "D"]
Network = Literal["tabular", "mlp"]
MATCHING_EXPERTS: tuple[ExpertType, ...] = ("mixed", "bimodal", "asymmetric", "noisy", "all_AA")

FLAGS = ("epochs", "rollout_episodes", "lr_policy", "lr_disc", "reward_style", "network", "policy", "signals",
         "discriminator", "baseline", "lr_schedule", "policy_init_uniform", "batch_size", "exact")  # fmt: skip
"""The settings of the trainer that are flags of the coordination experiment."""
_NETWORK = (
    "Tables, or perceptrons with a hidden layer of 128 in their place, trained in the same way: their learning rates "
    "are lr_policy times 0.1 and lr_disc times 0.03, for an update moves an output by many weights."
)


def _flags() -> Any:
    """A dataclass of `FLAGS`, with the trainer's help and its defaults for tables."""
    kinds, settings = get_type_hints(MagailConfig), {setting.name: setting.metadata for setting in fields(MagailConfig)}
    flags = []
    for name in FLAGS:
        kind, help, default = kinds[name], settings[name]["help"], settings[name]["tabular"]
        if name == "network":
            kind, help, default = Network, _NETWORK, "tabular"
        about = tyro.conf.arg(help=help, help_behavior_hint=f"(default: {default})")
        flags.append((name, Annotated[kind, about], default))
    return make_dataclass("Training", flags)


def _training(flags: Annotated[_flags(), tyro.conf.arg(name="")]) -> MagailConfig:  # type: ignore[valid-type]
    tables = MagailConfig(**{**vars(flags), "network": "tabular"})
    return tables if flags.network == "tabular" else for_perceptrons(tables)


def for_perceptrons(tables: MagailConfig) -> MagailConfig:
    """The settings that train perceptrons as tables are trained.

    With these learning rates the logits move about as fast, and the discriminator's as fast in relation, as those of
    tables. They decide what the runs end in, and were found by trying; see the suggested runs with `--network mlp`.
    """
    rates = {"lr_policy": tables.lr_policy * 0.1, "lr_disc": tables.lr_disc * 0.03}
    return replace(tables, network="mlp", hidden=(128,), **rates)


@dataclass(frozen=True)
class CoordinationConfig:
    """Show where multi-agent GAIL fails in the 2×2 matching game, for a row of entropy bonuses β, or in another."""

    expert_type: ExpertType | None = None
    """The scripted expert: mixed (independent and uniform); correlated_equilibrium (the best one, the flattest of
    several); pure_equilibria (one convention in each episode, all equally often); and in the matching game bimodal
    (half AA, half BB), asymmetric (70/30), noisy (10 % AB or BA), all_AA. By default bimodal; the correlated
    equilibrium in chicken and in the prisoner's dilemma, pure equilibria in stag hunt and in the battle of the sexes,
    mixed in the zero-sum games."""
    game: GameName = "matching"
    """The game, played once per episode. Coordination is the probability of its strict pure equilibria."""
    num_agents: int = 2
    """Number of agents: 2 to 5 in the matching game, 2 in the other games."""
    betas: tuple[float, ...] = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0)
    """Weights of the policies' entropy bonus."""
    seeds: tuple[int, ...] = (42, 123, 456, 789, 999)
    """One run for each, and each β."""
    eval_episodes: int = 5000
    """Episodes that each run plays after training."""
    training: Annotated[MagailConfig, tyro.conf.arg(constructor=_training)] = field(
        default=MagailConfig(network="tabular"), metadata={"flags": FLAGS}
    )
    """How the runs are trained."""
    no_plots: bool = False
    """Skip the figure."""
    expert_ratio: float | None = None
    """Share of AA among the matching episodes of a bimodal, asymmetric or noisy expert, or of the first of several pure
    equilibria; by default the expert's own."""
    expert_noise: float | None = None
    """Share of AB and BA episodes of a noisy expert; by default 0.1."""
    expert_episodes: int = 1000
    """Episodes to record."""
    expert_seed: int = 0
    """Decides the order of the expert's episodes, and what is random in them."""
    dataset: Path | None = None
    """Train on this recorded dataset of the same game; nothing is recorded then."""
    device: str = "cpu"
    """Where the tensors live: cpu, cuda, cuda:1, ..."""
    output: Path | None = None
    """The folder to make; by default a new one under results/coordination."""
    overwrite: bool = False
    """Replace the results that --output already holds."""

    def __post_init__(self) -> None:
        if self.expert_type is None:
            object.__setattr__(self, "expert_type", USUAL_EXPERT[self.game])


@dataclass(frozen=True)
class CorrelationConfig:
    """Train every class of policies on every expert under every discriminator, and report which ones match."""

    game: GameName = "matching"
    """The game, played once per episode."""
    num_agents: int = 2
    """Number of agents of the matching game."""
    expert_types: tuple[ExpertType, ...] = ()
    """The experts to imitate; by default the five of the matching game, or all of another game."""
    policies: tuple[PolicyStyle, ...] = get_args(PolicyStyle)
    """The classes of policies; see `python -m experiments.coordination`."""
    discriminators: tuple[DiscriminatorName, ...] = ("joint", "per_agent")
    """One discriminator of the joint action, or one for each agent that sees its own action alone."""
    betas: tuple[float, ...] = (0.0,)
    """Weights of the policies' entropy bonus."""
    seeds: int = 100
    """Number of runs of each cell for each β, with the seeds 0, 1, ..."""
    epochs: int = 2000
    """Training epochs; fewer epochs use higher learning rates."""
    signals: int = 8
    """Number of values of the shared signal."""
    output: Path = Path("results/correlation")
    """The folder for all results; finished cells in it are kept."""
    jobs: int = 1
    """Number of cells to train at the same time, each in its own process."""
    quick: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Ten seeds and a quarter of the epochs: other defaults for the flags above."""

    def settle(self) -> "CorrelationConfig":
        """With the game's experts and the defaults of `quick` for flags that were not given."""
        config = replace(self, expert_types=self.expert_types or _experts(self))
        return with_defaults(config, CORRELATION_QUICK) if self.quick else config


CORRELATION_QUICK: dict[str, Any] = {"seeds": 10, "epochs": 500, "output": Path("results/correlation_quick")}


def _experts(config: CorrelationConfig) -> tuple[ExpertType, ...]:
    game = make_game(config.game, num_agents=config.num_agents)
    return MATCHING_EXPERTS if config.game == "matching" else experts_of(game)


@dataclass(frozen=True)
class SuggestedRunsConfig:
    """Repeat the four reference runs A, B, C and D and report whether each came out as expected."""

    names: Annotated[tuple[Name, ...], tyro.conf.Positional] = ("A", "B", "C", "D")
    """The runs to repeat."""
    num_seeds: int | None = None
    """Use the seeds 1 to this number instead of each run's own."""
    network: Network = "tabular"
    """Train tables, or multi-layer perceptrons with everything else unchanged."""
    output: Path | None = None
    """The folder to make; by default a new one under results/suggested_runs."""
    overwrite: bool = False
    """Replace the results that --output already holds."""


@dataclass(frozen=True)
class BenchmarkConfig:
    """Measure training, the env in its forms, and datasets, in work per CPU-second."""

    epochs: int = 1000
    """Epochs of the default sweep to time; a twentieth of them for the sweep of 1000 runs."""
    steps: int = 20_000
    """Env steps to time in each form of the env."""
    episodes: int = 20_000
    """Episodes to record and load."""
    repetitions: int = 3
    """Repetitions of each measurement; the best one counts."""
    mlp_epochs: int = 3
    """Epochs to time of MAGAIL with perceptrons and PPO on the particle envs, one run; 0 to skip them."""
