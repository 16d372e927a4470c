"""The settings of training, each with its help, its defaults and its range. No torch here: the command line reads it.

`MagailConfig` is made of six parts of five to eight settings, one for each part of the trainer. Some defaults depend on
the network: tables are trained by REINFORCE, perceptrons by PPO after a warm start.
"""

# ruff: noqa: RUF009 - `setting` is `dataclasses.field` with a table of what is known of a setting.

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from magail_trainer.errors import InputError

Network = Literal["auto", "tabular", "mlp"]
RewardStyle = Literal["non_saturating", "gail", "airl", "symmetric"]
DiscriminatorStyle = Literal["joint", "per_agent", "own_view_joint_action", "zero_sum"]
Critic = Literal["none", "centralised", "decentralised"]
PolicyStyle = Literal["independent", "shared_signal", "autoregressive"]
Baseline = Literal["none", "batch"]
Schedule = Literal["constant", "linear"]
Algorithm = Literal["magail", "cloning", "rl"]

DEFAULT_BETA: Mapping[str, float] = {"tabular": 0.0, "mlp": 0.003}
"""The weight of the entropy bonus by default, for tables and for perceptrons."""

_CLONING_UPDATES = 2000  # many more than a warm start has: a baseline is to be as good as it can be
_CLONING_PASSES = 32

_RANGES: Mapping[str, Callable[[Any], bool]] = {
    "at least 1": lambda value: value >= 1,
    "at least 2": lambda value: value >= 2,
    "a positive number": lambda value: 0 < value < float("inf"),
    "0 or a positive number": lambda value: 0 <= value < float("inf"),
    "between 0 and 1": lambda value: 0 <= value <= 1,
    "from 0 to below 0.5": lambda value: 0 <= value < 0.5,
    "widths of at least 1": lambda widths: all(width >= 1 for width in widths),
}


def setting(help: str, default: Any, *, mlp: Any = None, expected: str = "") -> Any:
    """A field of a part of the configuration.

    Args:
        help: what the command line says about it.
        default: of tables.
        mlp: the default of perceptrons, where it is another. The field then has no default before the network is known.
        expected: the values allowed, one of `_RANGES`.
    """
    about = {"help": help, "expected": expected, "tabular": default, "mlp": default if mlp is None else mlp}
    if mlp is not None:
        return field(kw_only=True, metadata=about)
    return field(default=default, kw_only=True, metadata=about)


@dataclass(frozen=True)
class SamplingConfig:
    """How long is trained, and on how many episodes at a time."""

    epochs: int = setting(
        "Training epochs: one rollout, the discriminator's updates, and the policies'.",
        4000, mlp=400, expected="at least 1",
    )  # fmt: skip
    rollout_episodes: int = setting("Episodes that each run plays per epoch.", 200, mlp=128, expected="at least 1")
    batch_size: int = setting(
        "Episodes of the expert and of the learner in a discriminator update, and of the learner in a policy update; "
        "all where there are fewer.",
        32, expected="at least 1",
    )  # fmt: skip
    exact: bool = setting(
        "Train with expectations over every joint action in place of samples, for one-step envs; then "
        "rollout_episodes, batch_size and policy_minibatches do not matter.",
        False,
    )
    allow_variable_horizon: bool = setting(
        "Train although episodes differ in length, or an agent leaves sooner or later. The sign of a reward then tells "
        "the policies to live longer or shorter, whatever the expert does.",
        False,
    )


@dataclass(frozen=True)
class PoliciesConfig:
    """What the policies are."""

    network: Network | str = setting(
        "What policies, critic and discriminator are: tables, or multi-layer perceptrons; auto takes tables where all "
        "spaces are finite and small. Or module:callable, a network of your own in place of the perceptrons: called "
        "with the numbers of inputs and outputs, it makes a torch module from [B, inputs] to [B, outputs] without "
        "buffers.",
        "auto",
    )
    hidden: tuple[int, ...] = setting(
        "Widths of a perceptron's hidden layers.", (128, 128), expected="widths of at least 1"
    )
    share_parameters: str = setting(
        "Which agents' policies share a perceptron, but for weights of each agent's own in its first layer: those of "
        "the same spaces (auto, all), none, or groups such as agent_0,agent_1:agent_2,agent_3.",
        "auto",
    )
    policy: PolicyStyle = setting(
        "What each agent's policy sees besides its own observation: nothing; a signal drawn for each episode, the same "
        "for all agents and hidden from the discriminator (shared_signal: the agents must share it wherever they act); "
        "or what the agents before it are about to do (autoregressive: nobody can then act alone).",
        "independent",
    )
    signals: int = setting("How many values a shared signal has. Their weights are learnt.", 4, expected="at least 2")
    policy_init_uniform: bool = setting(
        "Start every policy at equal probabilities, not at logits of 0.1 times a standard normal (tables) or near "
        "them (perceptrons).",
        False,
    )

    @property
    def family(self) -> Literal["tabular", "mlp"]:
        """Tables, or perceptrons and what replaces them: they share encodings and defaults."""
        return "tabular" if self.network == "tabular" else "mlp"


@dataclass(frozen=True)
class AdvantageConfig:
    """What an action was worth, from the rewards that followed."""

    discount: float = setting(
        "How much a reward one step later counts; without effect in one-step episodes.",
        0.99, mlp=0.95, expected="between 0 and 1",
    )  # fmt: skip
    gae_lambda: float = setting(
        "λ of generalised advantage estimation; without a critic it is 1, for there it would be one more discount.",
        1.0, mlp=0.95, expected="between 0 and 1",
    )  # fmt: skip
    critic: Critic = setting(
        "What the advantage is measured against: nothing, a network that sees all observations, or one for each agent.",
        "none", mlp="centralised",
    )  # fmt: skip
    lr_critic: float = setting("Adam's learning rate for the critic.", 4e-3, expected="a positive number")
    value_clip: float = setting(
        "PPO's bound on the change of the critic's values; 0 for none.", 0.0, expected="0 or a positive number"
    )
    baseline: Baseline = setting(
        "What REINFORCE subtracts from the rewards to come: nothing, or their mean over the batch at the same step.",
        "none",
    )
    normalize_advantages: bool = setting("Scale the advantages of each run to mean 0 and deviation 1.", False, mlp=True)
    normalize_rewards: bool = setting(
        "Scale the returns of each run to deviation 1, and the rewards to mean 0 where all lives are equally long.",
        False, mlp=True,
    )  # fmt: skip


@dataclass(frozen=True)
class PPOConfig:
    """How the policies are improved: REINFORCE, or PPO."""

    lr_policy: float = setting("Adam's learning rate for the policies.", 0.01, mlp=7e-4, expected="a positive number")
    lr_schedule: Schedule = setting(
        "The learning rates of policies and critic: constant, or falling to 0 in a line.", "constant", mlp="linear"
    )
    beta_schedule: Schedule = setting(
        "The weight of the entropy bonus: constant, or falling to 0 in a line.", "constant", mlp="linear"
    )
    clip: float = setting(
        "PPO's bound on the change of a probability; 0 for REINFORCE's objective.",
        0.0, mlp=0.2, expected="0 or a positive number",
    )  # fmt: skip
    policy_epochs: int = setting("Passes over the rollout in a policy step.", 1, mlp=2, expected="at least 1")
    policy_minibatches: int = setting(
        "Updates in each pass, each on other episodes: batch_size of them, or fewer where there are not so many.",
        1, mlp=4, expected="at least 1",
    )  # fmt: skip
    max_grad_norm: float = setting(
        "Bound on the norm of each run's gradient for policies and critic; 0 for none.",
        0.0, mlp=0.5, expected="0 or a positive number",
    )  # fmt: skip


@dataclass(frozen=True)
class DiscriminatorConfig:
    """What the discriminator sees, how it is trained, and the reward that is made of its logit."""

    discriminator: DiscriminatorStyle | str = setting(
        "One discriminator that sees all observations and actions (joint); one for each agent that sees its own "
        "(per_agent); one for each agent that sees its own observation and all actions (own_view_joint_action); or, "
        "where two sides play against each other, one that sees all, pays one side, and makes the other pay for it "
        "(zero_sum). Or module:callable, which makes one of your own; see magail_trainer.learn.discriminators.",
        "joint",
    )
    sides: str = setting(
        "The two sides of a zero_sum discriminator, such as agent_0,agent_1:agent_2; needed where there are more "
        "agents than two and their names, less a number at the end, are not just two.",
        "",
    )
    reward_style: RewardStyle | str = setting(
        "What the policies maximise: log D (non_saturating), -log(1 - D) (gail), log D - log(1 - D) (airl), or 2D - 1 "
        "(symmetric). Or module:callable, a function of your own from a tensor of logits to one of rewards.",
        "non_saturating", mlp="airl",
    )  # fmt: skip
    lr_disc: float = setting(
        "Adam's learning rate for the discriminator.", 0.01, mlp=1e-3, expected="a positive number"
    )
    disc_updates: int = setting("Discriminator updates per epoch.", 1, mlp=5, expected="at least 1")
    gradient_penalty: float = setting(
        "Weight of (|gradient| - 1)² of a perceptron's logit, between the expert's inputs and the learner's.",
        0.0, mlp=0.02, expected="0 or a positive number",
    )  # fmt: skip
    disc_weight_decay: float = setting(
        "Decoupled weight decay of the discriminator.", 0.0, expected="0 or a positive number"
    )
    label_smoothing: float = setting(
        "Share taken from the right label and given to the wrong one.", 0.0, expected="from 0 to below 0.5"
    )


@dataclass(frozen=True)
class CloningConfig:
    """Behavioural cloning before MAGAIL, and as a part of its loss."""

    lr_cloning: float = setting("Adam's learning rate for cloning.", 0.01, mlp=3e-3, expected="a positive number")
    signal_starts: int = setting(
        "Random starts, of which the likeliest end is taken, in finding out under which value of the shared signal "
        "each demonstration was played, before perceptrons are cloned; 0 to leave that to the cloning.",
        0, mlp=6, expected="0 or a positive number",
    )  # fmt: skip
    # Few updates: with ten demonstrations, a policy that has learnt them by heart explores no more.
    warm_start: int = setting(
        "Updates of behavioural cloning before the first epoch, or as many as warm_passes takes; 0 for none.",
        0, mlp=200, expected="0 or a positive number",
    )  # fmt: skip
    # No more than the 200 updates take on 200 demonstrations, more on augmented ones.
    warm_passes: int = setting(
        "Passes over the dataset that a warm start has at least: augmented datasets are large.",
        0, mlp=32, expected="0 or a positive number",
    )  # fmt: skip
    warm_critic: int = setting(
        "Epochs after a warm start in which the discriminator and the critic learn alone; at most half of all.",
        0, mlp=10, expected="0 or a positive number",
    )  # fmt: skip
    cloning: float = setting(
        "Weight of the cloning loss during MAGAIL for every 100 demonstrations. The more of them there are, the more "
        "is known for sure, and the less is learnt by heart. With 4, its gradient on simple_spread is a fifth of the "
        "rest's for 10 demonstrations, about as large for 50, and six times as large for 200, where MAGAIL is mostly "
        "cloning.",
        0.0, mlp=4.0, expected="0 or a positive number",
    )  # fmt: skip


@dataclass(frozen=True, init=False, repr=False)
class MagailConfig(CloningConfig, DiscriminatorConfig, AdvantageConfig, PPOConfig, SamplingConfig, PoliciesConfig):
    """All settings that the runs of a sweep have in common. β and the seed are in the run table.

    What is not given has the default of the network: `MagailConfig(network="mlp", epochs=5)` is the algorithm of
    `magail train --network mlp --epochs 5`. With `network="auto"`, settings whose default depends on the network are
    unknown until `settled`.

    Raises:
        InputError: a setting out of range, or two that exclude each other.
    """

    def __init__(self, network: Network | str = "auto", **given: Any) -> None:
        settings = {setting.name: setting for setting in fields(self)}
        if unknown := given.keys() - settings.keys():
            raise TypeError(f"MagailConfig has no {', '.join(sorted(unknown))}; it has {', '.join(settings)}.")
        given["network"] = network
        if network != "auto":
            family = "tabular" if network == "tabular" else "mlp"
            given = {name: setting.metadata[family] for name, setting in settings.items()} | given
        for name, value in given.items():
            object.__setattr__(self, name, value)
            _check_value(settings[name].metadata["expected"], name, value)
        if network != "auto":
            _check_together(self)

    def __repr__(self) -> str:
        return f"MagailConfig({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name in self.__dataclass_fields__:
                raise AttributeError(f"{name} depends on the network, which is auto; see MagailConfig.settled.")
            raise AttributeError(f"MagailConfig has no {name}.")

    def settled(self, network: str) -> "MagailConfig":
        """The same settings where the network is `auto`: this one, with its defaults."""
        return MagailConfig(**{**vars(self), "network": network}) if self.network == "auto" else self

    @classmethod
    def read(cls, settings: Mapping[str, Any]) -> "MagailConfig":
        """The settings in a `config.json`; what an older version did not write has its default."""
        known = {setting.name for setting in fields(cls)}
        values: dict[str, Any] = {"network": "tabular"}
        for name, value in settings.items():
            if name in known:
                values[name] = tuple(value) if isinstance(value, list) else value
        if settings.get("own_network"):  # as it was called once
            values["network"] = settings["own_network"]
        return cls(**values)


def as_run(config: MagailConfig, algorithm: Algorithm, *, episodes: int = 0) -> MagailConfig:
    """The settings as an algorithm runs them on so many demonstrations: what `config.json` says."""
    match algorithm:
        case "magail":
            warm_start = config.warm_start
            if warm_start > 0:
                size = episodes if config.exact else config.batch_size
                warm_start = at_least_passes(warm_start, config.warm_passes, episodes=episodes, batch_size=size)
            warm_critic = min(config.warm_critic, config.epochs // 2) if warm_start > 0 else 0
            return replace(config, warm_start=warm_start, warm_critic=warm_critic)
        case "cloning":  # without a reward, episodes of unequal length do no harm
            return replace(config, critic="none", allow_variable_horizon=True)
        case "rl":  # the env itself says what a length is worth
            return replace(config, warm_start=0, warm_critic=0, cloning=0.0, allow_variable_horizon=True)


def heeded(config: MagailConfig, algorithm: Algorithm) -> dict[str, Any]:
    """The settings that an algorithm heeds, by name."""
    names = [setting.name for setting in fields(MagailConfig)]
    if algorithm == "cloning":
        kept = {setting.name for setting in fields(PoliciesConfig)}
        kept |= {"batch_size", "exact", "lr_cloning", "signal_starts"}
        names = [name for name in names if name in kept]
    if algorithm == "rl":
        left_out = {setting.name for part in (DiscriminatorConfig, CloningConfig) for setting in fields(part)}
        names = [name for name in names if name not in left_out]
    return {name: getattr(config, name) for name in names}


def cloning_updates(config: MagailConfig, *, episodes: int) -> int:
    """How many updates behavioural cloning has by default: 2000, or 32 passes over so many episodes."""
    return at_least_passes(_CLONING_UPDATES, _CLONING_PASSES, episodes=episodes, batch_size=config.batch_size)


def at_least_passes(updates: int, passes: int, *, episodes: int, batch_size: int) -> int:
    """So many updates, or as many as it takes to see all of a dataset's `episodes` so many times."""
    return max(updates, -(-passes * episodes // min(batch_size, episodes)))


def _check_value(expected: str, name: str, value: Any) -> None:
    if expected and not _RANGES[expected](value):
        raise InputError(f"--{name} must be {expected}, not {value}.")
    choices, own = _choices(get_type_hints(MagailConfig)[name])
    if choices and value not in choices and not (own and ":" in value):
        allowed = ", ".join(choices) + (", or module:callable" if own else "")
        raise InputError(f"--{name} must be one of {allowed}, not {value!r}.")


def _choices(kind: Any) -> tuple[tuple[str, ...], bool]:
    """The names that a type allows, if it is of names; and whether it allows one of the user's own."""
    if get_origin(kind) in (Union, UnionType):
        return get_args(get_args(kind)[0]), True
    return (get_args(kind), False) if get_origin(kind) is Literal else ((), False)


def _check_together(config: MagailConfig) -> None:
    """Refuse settings that exclude each other."""
    if config.clip == 0 and config.policy_epochs > 1:
        raise InputError(f"--policy_epochs {config.policy_epochs} needs --clip: REINFORCE's samples serve once.")
    if config.policy != "shared_signal" and config.signals != MagailConfig.signals:
        raise InputError(f"--signals {config.signals} needs --policy shared_signal.")
    if config.baseline != "none" and config.critic != "none":
        raise InputError(f"--baseline {config.baseline} needs --critic none: one of them is enough.")
    if config.sides and config.discriminator != "zero_sum":
        raise InputError(f"--sides {config.sides} needs --discriminator zero_sum.")
    if config.exact and config.gradient_penalty > 0:
        raise InputError(f"--exact has no pairs to take --gradient_penalty {config.gradient_penalty} between.")
    if config.exact and config.discriminator == "zero_sum":
        raise InputError("--exact has no --discriminator zero_sum, for which the learner's actions are drawn.")
    if ":" in config.network and config.policy_init_uniform:
        raise InputError("--policy_init_uniform cannot be had with a --network of your own, which starts as it likes.")
    if config.network == "tabular":
        if config.critic != "none":
            raise InputError(f"--critic {config.critic} needs --network mlp; tables train without a critic.")
        if config.gradient_penalty > 0:
            penalty = f"--gradient_penalty {config.gradient_penalty:g}"
            raise InputError(f"{penalty} needs --network mlp; a table has no gradient.")
        for name in ("share_parameters", "hidden", "signal_starts"):
            if getattr(config, name) != MagailConfig.__dataclass_fields__[name].metadata["tabular"]:
                raise InputError(f"--{name} needs --network mlp; each agent has a table of its own.")
