"""The flags of the commands on matrix games: coordination, correlation, suggested_runs and benchmark."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import tyro

from experiments.matching.games import USUAL_EXPERT, ExpertType, GameName, experts_of, make_game
from experiments.studies.commands import with_defaults
from magail_trainer.learn.config import Baseline, MagailConfig, PolicyStyle, RewardStyle, Schedule

DiscriminatorName = Literal["joint", "per_agent"]
Name = Literal["A", "B", "C", "D"]
Network = Literal["tabular", "mlp"]
MATCHING_EXPERTS: tuple[ExpertType, ...] = ("mixed", "bimodal", "asymmetric", "noisy", "all_AA")


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
    reward_style: RewardStyle | str = "non_saturating"
    """What the policies maximise: log D (non_saturating), -log(1 - D) (gail), log D - log(1 - D) (airl), or 2D - 1
    (symmetric). Or module:callable, a function of your own from a tensor of logits to one of rewards."""
    network: Literal["tabular", "mlp"] = "tabular"
    """Tables, or perceptrons with a hidden layer of 128 in their place, trained in the same way. Their learning rates
    are the given ones times 0.1 (policies) and 0.03 (discriminator), for an update moves an output by many weights."""
    policy: PolicyStyle = "independent"
    """What the agents share when they act: nothing (independent), a signal drawn for each episode and hidden from the
    discriminator (shared_signal), or what the agents before them are about to do (autoregressive)."""
    signals: int = MagailConfig.signals
    """How many values a shared signal has."""
    discriminator: Literal["joint", "per_agent"] = "joint"
    """One discriminator of the joint action, or one for each agent that sees its own action alone."""
    baseline: Baseline = "none"
    """What REINFORCE subtracts from the reward: nothing, or its mean over the batch."""
    lr_schedule: Schedule = "constant"
    """What the policies' learning rate does: stay, or fall to 0 in a line."""
    policy_init_uniform: bool = False
    """Start all policies at exactly equal probabilities, not at logits of 0.1 times a standard normal."""
    no_plots: bool = False
    """Skip the figure."""
    batch_size: int = 32
    """Joint actions of the expert and of the learner in a discriminator step, and of the learner in a policy step."""
    exact: bool = False
    """Train with expectations over all joint actions in place of samples; then neither rollout_episodes nor
    batch_size matters."""
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
