"""The settings of MAGAIL. No torch here, so that a command line can read them quickly.

`MagailConfig` is made of one small config for each part of the algorithm; a part asks for its own. Where a default
depends on the network (tables, as for the matching game, or perceptrons), it is set as soon as the network is known:
at once if it is named, or by the trainer, which chooses for `auto`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from magail_trainer.errors import InputError

Network = Literal["auto", "tabular", "mlp"]
RewardStyle = Literal["non_saturating", "gail", "airl", "symmetric"]
DiscriminatorStyle = Literal["joint", "per_agent", "own_view_joint_action", "zero_sum"]
Critic = Literal["none", "centralised", "decentralised"]
PolicyStyle = Literal["independent", "shared_signal", "autoregressive"]
Baseline = Literal["none", "batch"]
Schedule = Literal["constant", "linear"]

_INFINITE = float("inf")
_AT_LEAST_ONE = ("at least 1", lambda value: value >= 1)
_POSITIVE = ("a positive number", lambda value: 0 < value < _INFINITE)
_NOT_NEGATIVE = ("0 or a positive number", lambda value: 0 <= value < _INFINITE)
_SHARE = ("between 0 and 1", lambda value: 0 <= value <= 1)
_RANGES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(("epochs", "rollout_episodes", "batch_size"), _AT_LEAST_ONE),
    **dict.fromkeys(("policy_epochs", "policy_minibatches", "disc_updates"), _AT_LEAST_ONE),
    **dict.fromkeys(("lr_policy", "lr_disc", "lr_critic", "lr_cloning"), _POSITIVE),
    **dict.fromkeys(("clip", "value_clip", "max_grad_norm", "gradient_penalty", "disc_weight_decay"), _NOT_NEGATIVE),
    **dict.fromkeys(("cloning", "warm_start", "warm_passes", "warm_critic", "signal_starts"), _NOT_NEGATIVE),
    **dict.fromkeys(("discount", "gae_lambda"), _SHARE),
    "label_smoothing": ("from 0 to below 0.5", lambda value: 0 <= value < 0.5),
    "hidden": ("widths of at least 1", lambda value: all(width >= 1 for width in value)),
    "signals": ("at least 2", lambda value: value >= 2),
}

DEFAULT_BETA: Mapping[str, float] = {"tabular": 0.0, "mlp": 0.003}
"""The default weight of the entropy bonus, by network."""

T = TypeVar("T")


def by_network(tabular: T, mlp: T) -> T:
    """A field whose default depends on the network: None until the network is known."""
    return cast(T, field(default=None, metadata={"tabular": tabular, "mlp": mlp}))


@dataclass(frozen=True, kw_only=True)
class PolicyConfig:
    """What the policies see, and the networks that they are."""

    policy: PolicyStyle = "independent"
    """What each agent's policy sees besides its own observation: nothing; a signal drawn for each episode, the same for
    all agents and hidden from the discriminator (shared_signal: the agents must share it wherever they act); or what
    the agents before it are about to do (autoregressive: nobody can then act alone)."""
    signals: int = 4
    """How many values a shared signal has. Their weights are learnt."""
    signal_starts: int = by_network(0, 6)
    """Random starts, of which the likeliest end is taken, in finding out under which value of the shared signal each
    demonstration was played, before perceptrons are cloned; 0 to leave that to the cloning."""
    policy_init_uniform: bool = False
    """Start every policy at equal probabilities, not at logits of 0.1 times a standard normal (tables)
    or near them (mlp)."""
    hidden: tuple[int, ...] = (128, 128)
    """Widths of an mlp's hidden layers."""
    own_network: str = ""
    """A module:callable of yours in place of the perceptrons of policies, critic and discriminator: called with the
    numbers of inputs and outputs, it makes a torch module from [B, inputs] to [B, outputs] without buffers."""
    share_parameters: str = "auto"
    """Which agents' policies share a network, but for weights of each agent's own in its first layer: those of the same
    spaces (auto, all), none, or groups such as agent_0,agent_1:agent_2,agent_3."""


@dataclass(frozen=True, kw_only=True)
class PolicyStepConfig:
    """How the policies learn from rewards: REINFORCE or PPO."""

    lr_policy: float = by_network(0.01, 7e-4)
    """Adam's learning rate for the policies."""
    lr_schedule: Schedule = by_network("constant", "linear")
    """What the learning rates of policies and critic do: stay, or fall to 0 in a line."""
    beta_schedule: Schedule = by_network("constant", "linear")
    """What the weight of the entropy bonus does: stay, or fall to 0 in a line."""
    baseline: Baseline = "none"
    """What REINFORCE subtracts from the rewards to come: nothing, or their mean over the batch at the same step."""
    policy_epochs: int = by_network(1, 2)
    """Passes over the rollout in a policy step."""
    policy_minibatches: int = by_network(1, 4)
    """Updates in each pass, each on other episodes: batch_size of them, or fewer where there are not so many."""
    clip: float = by_network(0.0, 0.2)
    """PPO's bound on the change of a probability; 0 for REINFORCE's objective."""
    max_grad_norm: float = by_network(0.0, 0.5)
    """Bound on the norm of each run's gradient for policies and critic; 0 for none."""


@dataclass(frozen=True, kw_only=True)
class AdvantageConfig:
    """What a reward is worth: discount, critic and scales."""

    discount: float = by_network(0.99, 0.95)
    """How much a reward one step later counts; without effect in one-step episodes."""
    gae_lambda: float = by_network(1.0, 0.95)
    """λ of generalised advantage estimation; without a critic it is 1, for there it would be one more discount."""
    critic: Critic = by_network("none", "centralised")
    """What the advantage is measured against: nothing, a network that sees all observations, or one for each agent."""
    lr_critic: float = 4e-3
    """Adam's learning rate for the critic."""
    value_clip: float = 0.0
    """The same for the critic's values; 0 for no bound."""
    normalize_advantages: bool = by_network(False, True)
    """Scale the advantages of each run to mean 0 and deviation 1."""
    normalize_rewards: bool = by_network(False, True)
    """Scale the returns of each run to deviation 1, and the rewards to mean 0 where all lives are equally long."""


@dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig:
    """What the discriminator sees, how it learns, and the reward that it gives."""

    discriminator: DiscriminatorStyle = "joint"
    """Who judges: one that sees all observations and actions (joint); one for each agent that sees its own (per_agent);
    one for each agent that sees its own observation and all actions (own_view_joint_action); or, where two sides play
    against each other, one that sees all, pays one side, and makes the other pay for it (zero_sum)."""
    sides: str = ""
    """The two sides of a zero_sum discriminator, such as agent_0,agent_1:agent_2; needed where there are more agents
    than two and their names, less a number at the end, are not just two."""
    reward_style: RewardStyle = by_network("non_saturating", "airl")
    """What the policies maximise: log D (non_saturating), -log(1 - D) (gail), log D - log(1 - D) (airl), or 2D - 1
    (symmetric)."""
    lr_disc: float = by_network(0.01, 1e-3)
    """Adam's learning rate for the discriminator."""
    disc_updates: int = by_network(1, 5)
    """Discriminator updates per epoch."""
    gradient_penalty: float = by_network(0.0, 0.02)
    """Weight of (|gradient| - 1)² of an mlp discriminator's logit, between the expert's inputs and the learner's."""
    disc_weight_decay: float = 0.0
    """Decoupled weight decay of the discriminator."""
    label_smoothing: float = 0.0
    """Share taken from the right label and given to the wrong one."""


@dataclass(frozen=True, kw_only=True)
class CloningConfig:
    """Behavioural cloning, before MAGAIL and beside it."""

    warm_start: int = by_network(0, 200)
    """Updates of behavioural cloning before the first epoch, or as many as warm_passes takes; 0 for none."""
    warm_passes: int = by_network(0, 32)
    """Passes over the dataset that a warm start has at least: augmented datasets are large."""
    warm_critic: int = by_network(0, 10)
    """Epochs after a warm start in which the discriminator and the critic learn alone; at most half of all."""
    lr_cloning: float = by_network(0.01, 3e-3)
    """Adam's learning rate for cloning."""
    cloning: float = by_network(0.0, 4.0)
    """Weight of the cloning loss during MAGAIL for every 100 demonstrations. The more of them there are, the more is
    known for sure, and the less is learnt by heart. With 4, its gradient on simple_spread is a fifth of the rest's for
    10 demonstrations, about as large for 50, and six times as large for 200, where MAGAIL is mostly cloning."""


@dataclass(frozen=True, kw_only=True)
class MagailConfig(PolicyConfig, PolicyStepConfig, AdvantageConfig, DiscriminatorConfig, CloningConfig):
    """What is the same for all runs of a sweep. β and the seed are in the run table."""

    network: Network = "auto"
    """What policies and discriminators are: tables, or multi-layer perceptrons; auto takes tables where all spaces are
    finite and small. The other defaults depend on it."""
    epochs: int = by_network(4000, 400)
    """Training epochs: one rollout, the discriminator's updates, and the policies'."""
    rollout_episodes: int = by_network(200, 128)
    """Episodes that each run plays per epoch."""
    batch_size: int = 32
    """Episodes of the expert and of the learner in a discriminator update, and of the learner in a policy update; all
    where there are fewer."""
    exact: bool = False
    """Train with expectations over every joint action in place of samples, for one-step envs; then rollout_episodes,
    batch_size and policy_minibatches do not matter."""
    allow_variable_horizon: bool = False
    """Train although episodes differ in length, or an agent leaves sooner or later. The sign of a reward then tells the
    policies to live longer or shorter, whatever the expert does."""

    def __post_init__(self) -> None:
        if self.network != "auto":
            for setting in fields(self):
                if getattr(self, setting.name) is None:
                    object.__setattr__(self, setting.name, setting.metadata[self.network])
        self._check_each()
        if self.network != "auto":
            self._check_together()

    def settled(self, network: Network) -> "MagailConfig":
        """This config for a network that is known by now; what is set stays."""
        given: dict[str, Any] = {name: value for name, value in vars(self).items() if value is not None}
        given["network"] = network
        return type(self)(**given)

    def _check_each(self) -> None:
        for name, kind in get_type_hints(MagailConfig).items():
            if get_origin(kind) is Literal and getattr(self, name) not in (None, *get_args(kind)):
                choices = ", ".join(get_args(kind))
                raise InputError(f"--{name} must be one of {choices}, not {getattr(self, name)!r}.")
        for name, (expected, holds) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not holds(value):
                raise InputError(f"--{name} must be {expected}, not {value}.")

    def _check_together(self) -> None:
        if self.clip == 0 and self.policy_epochs > 1:
            raise InputError(f"--policy_epochs {self.policy_epochs} needs --clip: REINFORCE's samples serve once.")
        if self.policy != "shared_signal" and self.signals != PolicyConfig.signals:
            raise InputError(f"--signals {self.signals} needs --policy shared_signal.")
        if self.baseline != "none" and self.critic != "none":
            raise InputError(f"--baseline {self.baseline} needs --critic none: one of them is enough.")
        if self.exact and self.gradient_penalty > 0:
            raise InputError(f"--exact has no pairs to take --gradient_penalty {self.gradient_penalty} between.")
        if self.sides and self.discriminator != "zero_sum":
            raise InputError(f"--sides {self.sides} needs --discriminator zero_sum.")
        if self.exact and self.discriminator == "zero_sum":
            raise InputError("--exact has no --discriminator zero_sum, for which the learner's actions are drawn.")

    @classmethod
    def read(cls, settings: Mapping[str, Any]) -> "MagailConfig":
        """The settings that `dataclasses.asdict` wrote; what an older version did not write has its default."""
        known = {field.name for field in fields(cls)}
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()
        }
        known_values: dict[str, Any] = {name: value for name, value in values.items() if name in known}
        return cls(**{"network": "tabular", **known_values})


def at_least_passes(updates: int, passes: int, *, episodes: int, batch_size: int) -> int:
    """So many updates, or as many as it takes to see all of a dataset's `episodes` so many times."""
    return max(updates, -(-passes * episodes // min(batch_size, episodes)))
