"""The training settings with their help, defaults and ranges. Without torch, since the command line imports it.

`MagailConfig` combines six groups of settings, one for each part of the trainer. Some defaults depend on the network:
REINFORCE trains tables, PPO after a warm start trains perceptrons.
"""

# ruff: noqa: RUF009 - `setting` is `dataclasses.field` with metadata.

from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from magail_trainer.errors import InputError
from magail_trainer.trust import Recorded

Network = Literal["auto", "tabular", "mlp"]
RewardStyle = Literal["non_saturating", "gail", "airl", "symmetric"]
DiscriminatorStyle = Literal["joint", "per_agent", "own_view_joint_action", "zero_sum"]
Critic = Literal["none", "centralised", "decentralised"]
PolicyStyle = Literal["independent", "shared_signal", "autoregressive"]
Baseline = Literal["none", "batch"]
Schedule = Literal["constant", "linear"]
Algorithm = Literal["magail", "cloning", "rl"]

DEFAULT_BETA: Mapping[str, float] = {"tabular": 0.0, "mlp": 0.003}
"""The default weight of the entropy bonus, for tables and perceptrons."""

_CLONING_UPDATES = 2000  # many more than a warm start: cloning alone is a baseline and should converge
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
    """A field of the configuration.

    Args:
        help: the command line's help text.
        default: for tables.
        mlp: the default for perceptrons if it differs. The field then has no default until the network is known.
        expected: the allowed range, a key of `_RANGES`.
    """
    about = {"help": help, "expected": expected, "tabular": default, "mlp": default if mlp is None else mlp}
    if mlp is not None:
        return field(kw_only=True, metadata=about)
    return field(default=default, kw_only=True, metadata=about)


@dataclass(frozen=True)
class SamplingConfig:
    """How long training runs, and on how many episodes at a time."""

    epochs: int = setting(
        "Training epochs, each of one rollout, the discriminator's updates and the policies' updates.",
        4000, mlp=400, expected="at least 1",
    )  # fmt: skip
    rollout_episodes: int = setting("Episodes per run and epoch.", 200, mlp=128, expected="at least 1")
    batch_size: int = setting(
        "Episodes of the expert and of the learner per discriminator update, and of the learner per policy update.",
        32, expected="at least 1",
    )  # fmt: skip
    exact: bool = setting(
        "Train with exact expectations over all joint actions instead of samples, for one-step envs; ignores "
        "rollout_episodes, batch_size and policy_minibatches.",
        False,
    )
    allow_variable_horizon: bool = setting(
        "Allow episodes, or agents' parts in them, that differ in length. The sign of the reward then favours longer "
        "or shorter episodes, whatever the expert does.",
        False,
    )


@dataclass(frozen=True)
class PoliciesConfig:
    """Policies and networks."""

    network: Network | str = setting(
        "Policies, critic and discriminator are tables (tabular) or multi-layer perceptrons (mlp); auto takes tables "
        "if all spaces are finite and small. Or module:callable, your own network: called with the numbers of inputs "
        "and outputs, it makes a torch module from [B, inputs] to [B, outputs] without buffers.",
        "auto",
    )
    hidden: tuple[int, ...] = setting(
        "Widths of a perceptron's hidden layers.", (128, 128), expected="widths of at least 1"
    )
    share_parameters: str = setting(
        "Which agents' policies share a perceptron, except for some weights per agent in its first layer: agents with "
        "the same spaces (auto), all, none, or groups such as agent_0,agent_1:agent_2,agent_3.",
        "auto",
    )
    policy: PolicyStyle = setting(
        "What each agent's policy sees besides its own observation: nothing (independent); a random signal per "
        "episode, the same for all agents and hidden from the discriminator (shared_signal); or the actions of the "
        "agents before it (autoregressive, which rules out decentralised execution).",
        "independent",
    )
    signals: int = setting(
        "Number of values of a shared signal; their probabilities are learnt.", 4, expected="at least 2"
    )
    policy_init_uniform: bool = setting(
        "Start every policy exactly uniform, instead of with logits of 0.1 times a standard normal (tables) or near "
        "uniform (perceptrons).",
        False,
    )

    @property
    def family(self) -> Literal["tabular", "mlp"]:
        """Tables or perceptrons; a network of your own has the encodings and defaults of perceptrons."""
        return "tabular" if self.network == "tabular" else "mlp"


@dataclass(frozen=True)
class AdvantageConfig:
    """Returns and advantages."""

    discount: float = setting(
        "Discount factor per step; without effect in one-step episodes.",
        0.99, mlp=0.95, expected="between 0 and 1",
    )  # fmt: skip
    gae_lambda: float = setting(
        "λ of generalised advantage estimation; 1 without a critic.",
        1.0, mlp=0.95, expected="between 0 and 1",
    )  # fmt: skip
    critic: Critic = setting(
        "The value function of the advantages: none, one that sees all observations (centralised), or one per agent.",
        "none", mlp="centralised",
    )  # fmt: skip
    lr_critic: float = setting("Adam's learning rate for the critic.", 4e-3, expected="a positive number")
    value_clip: float = setting(
        "PPO's clipping range of the critic's values; 0 for none.", 0.0, expected="0 or a positive number"
    )
    baseline: Baseline = setting(
        "What REINFORCE subtracts from the returns: nothing, or their mean over the batch at the same step.",
        "none",
    )
    normalize_advantages: bool = setting("Scale each run's advantages to mean 0 and std 1.", False, mlp=True)
    normalize_rewards: bool = setting(
        "Scale rewards so that each run's returns have std 1; with episodes of equal length, centre them too.",
        False, mlp=True,
    )  # fmt: skip


@dataclass(frozen=True)
class PPOConfig:
    """The policy step: REINFORCE or PPO."""

    lr_policy: float = setting("Adam's learning rate for the policies.", 0.01, mlp=7e-4, expected="a positive number")
    lr_schedule: Schedule = setting(
        "Schedule of the learning rates of policies and critic: constant, or linear to 0.", "constant", mlp="linear"
    )
    beta_schedule: Schedule = setting(
        "Schedule of the weight of the entropy bonus: constant, or linear to 0.", "constant", mlp="linear"
    )
    clip: float = setting(
        "PPO's clipping range of the probability ratio; 0 for REINFORCE's objective.",
        0.0, mlp=0.2, expected="0 or a positive number",
    )  # fmt: skip
    policy_epochs: int = setting("Passes over the rollout per epoch.", 1, mlp=2, expected="at least 1")
    policy_minibatches: int = setting(
        "Updates per pass, each on batch_size other episodes, or fewer if the rollout is too small.",
        1, mlp=4, expected="at least 1",
    )  # fmt: skip
    max_grad_norm: float = setting(
        "Maximum gradient norm of policies and critic, per run; 0 for none.",
        0.0, mlp=0.5, expected="0 or a positive number",
    )  # fmt: skip


@dataclass(frozen=True)
class DiscriminatorConfig:
    """The discriminator and its reward."""

    discriminator: DiscriminatorStyle | str = setting(
        "One discriminator that sees all observations and actions (joint); one per agent that sees the agent's own "
        "(per_agent), or its own observation and all actions (own_view_joint_action); or, for two opposed sides, one "
        "that sees everything and rewards one side with the negative of the other's reward (zero_sum). Or "
        "module:callable, which makes your own; see magail_trainer.learn.discriminators.",
        "joint",
    )
    sides: str = setting(
        "The two sides of a zero_sum discriminator, such as agent_0,agent_1:agent_2; by default two agents, or two "
        "groups whose names differ only by a number at the end.",
        "",
    )
    reward_style: RewardStyle | str = setting(
        "What the policies maximise: log D (non_saturating), -log(1 - D) (gail), log D - log(1 - D) (airl), or 2D - 1 "
        "(symmetric). Or module:callable, your own function from a tensor of logits to one of rewards.",
        "non_saturating", mlp="airl",
    )  # fmt: skip
    lr_disc: float = setting(
        "Adam's learning rate for the discriminator.", 0.01, mlp=1e-3, expected="a positive number"
    )
    disc_updates: int = setting("Discriminator updates per epoch.", 1, mlp=5, expected="at least 1")
    gradient_penalty: float = setting(
        "Weight of the penalty (|gradient| - 1)² between the expert's inputs and the learner's; perceptrons only.",
        0.0, mlp=0.02, expected="0 or a positive number",
    )  # fmt: skip
    disc_weight_decay: float = setting(
        "Decoupled weight decay of the discriminator.", 0.0, expected="0 or a positive number"
    )
    label_smoothing: float = setting(
        "Probability mass that smoothing moves to the wrong label.", 0.0, expected="from 0 to below 0.5"
    )


@dataclass(frozen=True)
class CloningConfig:
    """Behavioural cloning before MAGAIL, and as a term of its loss."""

    lr_cloning: float = setting("Adam's learning rate for cloning.", 0.01, mlp=3e-3, expected="a positive number")
    signal_starts: int = setting(
        "Random restarts of the inference of each demonstration's shared signal before perceptrons are cloned; 0 to "
        "leave the inference to the cloning.",
        0, mlp=6, expected="0 or a positive number",
    )  # fmt: skip
    # Few updates: a policy that has memorised ten demonstrations no longer explores.
    warm_start: int = setting(
        "Minimum updates of behavioural cloning before the first epoch; 0 for no warm start.",
        0, mlp=200, expected="0 or a positive number",
    )  # fmt: skip
    # 200 updates make 32 passes over 200 demonstrations; augmented datasets need more updates.
    warm_passes: int = setting(
        "Minimum passes over the dataset in a warm start.",
        0, mlp=32, expected="0 or a positive number",
    )  # fmt: skip
    warm_critic: int = setting(
        "Epochs after a warm start that train only the discriminator and the critic; at most half of all epochs.",
        0, mlp=10, expected="0 or a positive number",
    )  # fmt: skip
    cloning: float = setting(
        "Weight of the cloning loss during MAGAIL per 100 demonstrations: more demonstrations are harder to memorise. "
        "With 4, its gradient on simple_spread is 0.2 times the rest's for 10 demonstrations, about equal for 50, and "
        "6 times as large for 200, where MAGAIL is mostly cloning.",
        0.0, mlp=4.0, expected="0 or a positive number",
    )  # fmt: skip


@dataclass(frozen=True, init=False, repr=False, eq=False)
class MagailConfig(CloningConfig, DiscriminatorConfig, AdvantageConfig, PPOConfig, SamplingConfig, PoliciesConfig):
    """All settings that the runs of a sweep share; β and the seed are in the run table.

    Other settings have the network's defaults: `MagailConfig(network="mlp", epochs=5)` equals
    `magail train --network mlp --epochs 5`. With `network="auto"`, settings whose default depends on the network are
    undefined until `settled`.

    Raises:
        InputError: a setting is out of range, or two exclude each other.
    """

    def __init__(self, network: Network | str = "auto", **given: Any) -> None:
        settings = {setting.name: setting for setting in fields(MagailConfig)}
        if unknown := given.keys() - settings.keys():
            raise TypeError(f"MagailConfig has no {', '.join(sorted(unknown))}; it has {', '.join(settings)}.")
        self._set({**given, "network": network})
        if network != "auto":
            _check_together(self)

    def _set(self, given: Mapping[str, Any]) -> None:
        """Check each value by itself, and add the defaults of the network where it is known."""
        settings = {setting.name: setting for setting in fields(MagailConfig)}
        for name, value in given.items():
            _check_value(settings[name].metadata["expected"], name, value)
        if given["network"] != "auto":
            family = "tabular" if given["network"] == "tabular" else "mlp"
            given = {name: setting.metadata[family] for name, setting in settings.items()} | dict(given)
        for name, value in given.items():
            object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        return _known(self) == _known(other) if isinstance(other, MagailConfig) else NotImplemented

    def __hash__(self) -> int:
        return hash(frozenset(_known(self).items()))

    def __repr__(self) -> str:
        return f"MagailConfig({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name in MagailConfig.__dataclass_fields__:
                raise AttributeError(f"{name} depends on the network, which is auto; see MagailConfig.settled.")
            raise AttributeError(f"MagailConfig has no {name}.")

    def settled(self, network: str) -> "MagailConfig":
        """These settings with `network` and its defaults in place of `auto`; unchanged if a network is set."""
        return MagailConfig(**{**vars(self), "network": network}) if self.network == "auto" else self

    @classmethod
    def read(cls, settings: Mapping[str, Any]) -> "MagailConfig":
        """The settings in a `config.json`; missing ones have their defaults.

        Each is checked by itself: those that the algorithm did not use are missing, and their defaults may exclude
        others.
        """
        known = {setting.name for setting in fields(cls)}
        values: dict[str, Any] = {"network": "tabular"}
        for name, value in settings.items():
            if name in known:
                value = tuple(value) if isinstance(value, list) else value
                if not _is_of_type(value, _types()[name]):
                    raise InputError(f"The setting {name} cannot be {value!r}.")
                values[name] = value
        if settings.get("own_network"):  # its former name
            values["network"] = settings["own_network"]
        config = object.__new__(cls)
        config._set(values)
        return config


def recorded_settings(recorded: Recorded) -> MagailConfig:
    """The settings in a run folder's `config.json`, with leave to import the parts of one's own that they name.

    Raises:
        InputError: a setting is out of range, or there is no such leave; see `Recorded.ask`.
        KeyError: it has no settings.
    """
    config = MagailConfig.read(recorded.content["training"])
    for name in (config.network, config.discriminator, config.reward_style):
        if ":" in name:
            recorded.ask(name)
    return config


class _KnownFields:
    """The fields of a configuration; of one whose network is `auto`, those with a value: `replace` asks for no more."""

    def __init__(self, every: dict[str, Field]) -> None:
        self._every = every

    def __get__(self, config: MagailConfig | None, owner: type) -> dict[str, Field]:
        if config is None:
            return self._every
        return {name: setting for name, setting in self._every.items() if hasattr(config, name)}


MagailConfig.__dataclass_fields__ = _KnownFields(MagailConfig.__dataclass_fields__)  # type: ignore[assignment]


def _known(config: MagailConfig) -> dict[str, Any]:
    return {setting.name: getattr(config, setting.name) for setting in fields(config)}


def checked_algorithm(name: str) -> Algorithm:
    """The algorithm of this name.

    Raises:
        InputError: there is none.
    """
    if name not in get_args(Algorithm):
        raise InputError(f"--algorithm must be one of {', '.join(get_args(Algorithm))}, not {name!r}.")
    return cast(Algorithm, name)


def as_run(config: MagailConfig, algorithm: Algorithm, *, episodes: int = 0) -> MagailConfig:
    """The settings that an algorithm runs with on `episodes` demonstrations, as `config.json` has them."""
    match algorithm:
        case "magail":
            warm_start = config.warm_start
            if warm_start > 0:
                size = episodes if config.exact else config.batch_size
                warm_start = at_least_passes(warm_start, config.warm_passes, episodes=episodes, batch_size=size)
            warm_critic = min(config.warm_critic, config.epochs // 2) if warm_start > 0 else 0
            return replace(config, warm_start=warm_start, warm_critic=warm_critic)
        case "cloning":  # no reward, so episodes may differ in length
            return replace(config, critic="none", allow_variable_horizon=True)
        case "rl":  # the env's own rewards may favour a length
            return replace(config, warm_start=0, warm_critic=0, cloning=0.0, allow_variable_horizon=True)


def heeded(config: MagailConfig, algorithm: Algorithm) -> dict[str, Any]:
    """The settings that an algorithm uses, by name."""
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
    """The default number of cloning updates: 2000, or 32 passes over `episodes` if these take more."""
    return at_least_passes(_CLONING_UPDATES, _CLONING_PASSES, episodes=episodes, batch_size=config.batch_size)


def at_least_passes(updates: int, passes: int, *, episodes: int, batch_size: int) -> int:
    """`updates`, or as many as `passes` over a dataset of `episodes` take if that is more."""
    return max(updates, -(-passes * episodes // min(batch_size, episodes)))


@cache
def _types() -> dict[str, Any]:
    return get_type_hints(MagailConfig)


def _is_of_type(value: Any, kind: Any) -> bool:
    """Whether a value from a JSON file is of the type of a setting. Whether a choice is one is checked elsewhere."""
    parts = get_args(kind)
    if get_origin(kind) in (Union, UnionType):
        return any(_is_of_type(value, part) for part in parts)
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(_is_of_type(part, parts[0]) for part in value)
    if kind is float:
        return type(value) in (int, float)
    return type(value) is kind or get_origin(kind) is Literal or kind is Any


def _check_value(expected: str, name: str, value: Any) -> None:
    if expected and not _RANGES[expected](value):
        raise InputError(f"--{name} must be {expected}, not {value}.")
    choices, own = _choices(_types()[name])
    if choices and value not in choices and not (own and _is_own(value, choices)):
        allowed = ", ".join(choices) + (", or module:callable" if own else "")
        handed = "; hand a function itself to Trainer(reward=...)" if own and callable(value) else ""
        raise InputError(f"--{name} must be one of {allowed}, not {value!r}{handed if name == 'reward_style' else ''}.")


def _is_own(value: Any, choices: tuple[str, ...]) -> bool:
    """Whether a value has the form `module:callable`."""
    module, _, attribute = value.partition(":") if isinstance(value, str) else ("", "", "")
    return bool(module and attribute) and module not in choices


def _choices(kind: Any) -> tuple[tuple[str, ...], bool]:
    """The names that a Literal type allows, and whether it also allows module:callable."""
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
