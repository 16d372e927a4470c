"""Theory beside experiment: the gradient flow over both agents' P(A), its fixed points, and runs trained from samples.

    python -m experiments.phase_portrait --help
    python -m experiments.phase_portrait --quick

Two limits bracket a discriminator in training. One frozen at its optimum against uniform policies is compared with runs
whose discriminator learns ten times more slowly than the policies; an optimal one with runs whose discriminator learns
ten times as fast. The runs are those of `experiments.coordination`. A slow discriminator is not frozen: at β = 0.25
under −log(1 − D) the runs follow its flow to one convention until the discriminator has learnt to expect that, then
move to the other, and so on. Each panel counts the runs that visited both.

The folder: figure.png, fixed_points.csv, config.json, and for each discriminator a folder of its name with the runs,
as `experiments.coordination` writes them: `history.npz` holds the trajectories.
"""

from pathlib import Path
from typing import Any

import numpy as np

from experiments.matching.best_product import best_product_js
from experiments.matching.coordination import FIGURE, CoordinationConfig, run_experiment, set_up
from experiments.matching.metrics import Array, mutual_information
from experiments.matching.results import AGENTS, Results
from experiments.studies.commands import command_of, fresh_name, settings_of
from experiments.studies.diverged import count_diverged, exit_status
from experiments.studies.plotting import reward_name, save_figures, wrote
from experiments.theory.fixed_points import critical_beta, fixed_points
from experiments.theory.gradient_flow import GradientFlow, check_closed_form, frozen_at_uniform
from experiments.theory.phase_portrait_figure import Panel, Row, phase_portrait_figure
from experiments.theory.settings import Kind, PhasePortraitConfig
from magail_trainer.cli.command_line import this_command
from magail_trainer.data.run_folder import CONFIG, write_table
from magail_trainer.errors import InputError
from magail_trainer.folders import new_folder
from magail_trainer.learn.config import MagailConfig
from magail_trainer.sealed import seal
from magail_trainer.text import counted

_SPEED = {"frozen": 0.1, "optimal": 10.0}  # of the discriminator in the runs, in learning rates of the policies


def draw_phase_portrait(config: PhasePortraitConfig, *, command: str = "") -> Path:
    """Train the runs, find the fixed points, draw both, and write the folder.

    Args:
        config: the settings.
        command: what `config.json` says repeats it.

    Returns:
        the folder.

    Raises:
        InputError: a setting is out of range, or the folder cannot be made.
    """
    config = config.settle()
    _check(config)
    target = config.output or Path("results/phase_portrait") / fresh_name(f"{config.expert_type}_{config.reward_style}")
    others = ("figure.png", "fixed_points.csv", *_SPEED)
    with new_folder(target, marker=CONFIG, others=others, overwrite=config.overwrite) as folder:
        trained = {}
        for kind in config.discriminator:
            runs = _runs_of(config, kind, folder)
            trained[kind] = run_experiment(runs, command=command_of("coordination", runs))
        expert_joint = trained[config.discriminator[0]].expert_joint
        rows, table = [], _PointTable()
        for kind in config.discriminator:
            results = trained[kind].healthy
            panels = [_panel(config, kind, beta, results) for beta in config.betas]
            for panel in panels:
                table.add(kind, panel)
            rows.append(Row(_label(config, kind, expert_joint), panels))
        write_table(folder / "fixed_points.csv", table.columns)
        settings = settings_of(config)
        about = {"format": "phase-portrait", "version": 2, "command": command}
        seal(folder / CONFIG, {**about, "settings": settings, "expert_joint": expert_joint.tolist()})
    diverged = count_diverged(target)
    title = f"{_title(config)}; {diverged} and left out" if diverged else _title(config)
    about = {"title": title, "note": _note(expert_joint)}
    save_figures(target, {FIGURE: lambda: phase_portrait_figure(rows, **about)})
    return target


class _PointTable:
    """The columns of `fixed_points.csv`."""

    def __init__(self) -> None:
        names = ("discriminator", "beta", "prob_a_agent_0", "prob_a_agent_1", "stability", "eigenvalue_1")
        self.columns: dict[str, list[Any]] = {name: [] for name in (*names, "eigenvalue_2")}

    def add(self, kind: Kind, panel: Panel) -> None:
        for point in panel.points:
            row = (kind, panel.flow.beta, *point.prob_a, point.stability, *point.eigenvalues)
            for column, value in zip(self.columns.values(), row, strict=True):
                column.append(value)


def _check(config: PhasePortraitConfig) -> None:
    if not config.discriminator or len(set(config.discriminator)) < len(config.discriminator):
        given = " ".join(config.discriminator)
        raise InputError(f"--discriminator must name frozen, optimal, or each once, not {given!r}.")
    check_closed_form(config.reward_style)
    if config.seeds < 1:
        raise InputError(f"--seeds must be at least 1, not {config.seeds}.")
    if not config.logit_bound > 0:
        raise InputError(f"--logit_bound must be a positive number, not {config.logit_bound}.")
    if np.isinf(config.logit_bound) and config.reward_style in ("non_saturating", "airl"):
        reward = reward_name(config.reward_style)
        raise InputError(
            f"--logit_bound must be finite, not inf: the reward {reward} is infinite at an infinite logit."
        )
    for kind in config.discriminator:
        set_up(_runs_of(config, kind, Path()))  # says what is wrong with the rest


def _runs_of(config: PhasePortraitConfig, kind: Kind, folder: Path) -> CoordinationConfig:
    return CoordinationConfig(
        expert_type=config.expert_type,
        betas=config.betas,
        seeds=tuple(range(config.seeds)),
        training=MagailConfig(
            network="tabular",
            epochs=config.epochs,
            lr_policy=config.lr_policy,
            lr_disc=_lr_disc(config, kind),
            reward_style=config.reward_style,
        ),
        no_plots=True,
        output=folder / kind,
    )


def _lr_disc(config: PhasePortraitConfig, kind: Kind) -> float:
    return _SPEED[kind] * config.lr_policy if config.lr_disc is None else config.lr_disc


def _flow(config: PhasePortraitConfig, kind: Kind, beta: float, expert_joint: Array) -> GradientFlow:
    if kind == "frozen":
        return frozen_at_uniform(expert_joint, config.reward_style, beta, logit_bound=config.logit_bound)
    return GradientFlow(expert_joint, config.reward_style, beta, logit_bound=config.logit_bound)


def _panel(config: PhasePortraitConfig, kind: Kind, beta: float, results: Results) -> Panel:
    flow, runs = _flow(config, kind, beta, results.expert_joint), results.runs["beta"] == beta
    trajectories = np.stack([results.history[f"prob_a_{agent}"][:, runs] for agent in AGENTS], axis=-1)
    return Panel(flow, fixed_points(flow), trajectories, results.runs["convention"][runs])


def _label(config: PhasePortraitConfig, kind: Kind, expert_joint: Array) -> str:
    lines = [
        {"frozen": "Flow: discriminator frozen", "optimal": "Flow: discriminator always optimal"}[kind],
        f"Runs: lr_disc {_lr_disc(config, kind):g}, lr_policy {config.lr_policy:g}",
    ]
    try:
        critical = critical_beta(_flow(config, kind, 0.0, expert_joint))
        lines.append(f"mixing is stable above β = {critical:.3f}" if critical > 0 else "mixing is stable at any β")
    except ValueError:  # the uniform point is nothing special
        pass
    return "\n".join(lines)


def _title(config: PhasePortraitConfig) -> str:
    return (
        f"Where independent policies go: {config.expert_type} expert, reward {reward_name(config.reward_style)}, "
        f"{counted(config.seeds, 'run')} of {counted(config.epochs, 'epoch')} in each panel"
    )


def _note(expert_joint: Array) -> str:
    limit, bits = best_product_js(expert_joint).distance, float(mutual_information(expert_joint))
    cells = zip(("AA", "AB", "BA", "BB"), expert_joint.flat, strict=True)
    expert = f"The expert ({', '.join(f'{name} {share:g}' for name, share in cells)})"
    failures = "Corners AA and BB: one convention, a collapse. Centre: both choose at random."
    if limit < 1e-6:
        return f"{failures}\n{expert} acts independently, and is a point of the square."
    return (
        f"{failures} {expert} is no point of the square:\nits correlation, {bits:.2f} bit, needs more than two "
        f"independent policies, and no point is nearer to it than a JS distance of {limit:.3f}."
    )


def main(config: PhasePortraitConfig) -> int:
    """Draw the phase portrait; the exit status."""
    folder = draw_phase_portrait(config, command=this_command("python -m experiments.phase_portrait"))
    return exit_status(count_diverged(folder), wrote(folder, ["fixed_points.csv", FIGURE]))
