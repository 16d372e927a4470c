"""Hand-made parts of a report, as the experiments write them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from coordination_env.games import matching
from experiments.matching.metrics import product_joint
from experiments.matching.results import exact_columns
from experiments.studies.jobs import FORMAT, VERSION
from magail_trainer.data.run_folder import read_table, write_config, write_table
from magail_trainer.files import write_arrays
from magail_trainer.sealed import seal
from tests.damage import seal_anew

BIMODAL, UNIFORM = np.array([[0.5, 0.0], [0.0, 0.5]]), np.full((2, 2), 0.25)
AA, BB, HALF = 0.995, 0.005, 0.5


def runs_of(prob_a: Sequence[float], beta: Sequence[float] | float = 0.0, expert: np.ndarray = BIMODAL) -> Any:
    """Runs of the matching game in which both agents play A with the same probability."""
    policy = np.stack([np.asarray(prob_a), 1 - np.asarray(prob_a)], axis=-1)
    runs = {"beta": np.zeros(len(policy)) + beta, "seed": np.arange(len(policy))}
    runs |= exact_columns(product_joint([policy, policy]), expert, matching())
    return {**runs, "sampled_coordination_rate": runs["coordination_rate"]}


def write_part(part: Path, runs: Mapping[str, Any], expert: np.ndarray = BIMODAL) -> Path:
    """A part with a run folder in which every run moved from P(A) = 0.52; returns the part."""
    folder = part / "run"
    folder.mkdir(parents=True)
    write_table(folder / "runs.csv", runs)
    last = {name: values for name, values in runs.items() if name.startswith("prob_a_")}
    write_arrays(folder / "history.npz", {name: np.linspace(0.52, values, 3) for name, values in last.items()})
    write_config(folder, {"experiment": {"eval_episodes": 5000}, "dataset": {"joint": expert.tolist()}})
    return part


def write_cell(report: Path, kind: str, reward: str, speed: tuple[float, float], beta: float, rate: float) -> None:
    """A part of the phase diagram with one cell: every run has the same coordination."""
    folder = report / "phase_diagram" / "parts" / f"{kind}-{reward}-{speed[0]:g}_{speed[1]:g}-{beta:g}"
    folder.mkdir(parents=True)
    columns = {"lr_policy": speed[0], "lr_disc": speed[1], "beta": beta, "coordination_rate": rate, "js_distance": 0.56}
    runs: dict[str, Any] = {name: np.full(2, value) for name, value in columns.items()}
    write_table(folder / "runs.csv", {**runs, "seed": np.arange(2), "convention": ["AA", "AA"]})
    write_settings(folder, {"kind": kind, "reward": reward})


def write_settings(part: Path, settings: Mapping[str, Any]) -> None:
    """Seal a part, as the last step."""
    seal(part / "settings.json", {"format": FORMAT, "version": VERSION, **settings})


def write_map(report: Path, *cells: tuple[str, float, float, float]) -> None:
    """Cells of the map: (reward, lr_disc / lr_policy, β, coordination)."""
    for reward, ratio, beta, rate in cells:
        write_cell(report, "map", reward, (0.01, 0.01 * ratio), beta, rate)


def write_frozen(report: Path, critical: float) -> None:
    """Runs with a frozen discriminator that point to this critical β."""
    parts, m = report / "phase_diagram" / "parts", np.array([0.3, 0.6])
    tables = {
        "exact": {"beta": critical + np.array([-0.001, 0.001]), "coordination_rate": np.array([0.9, 0.5])},
        "sampled": {
            "beta": (critical + np.array([-0.001, 0.001])) * m / np.arctanh(m),
            **{f"prob_a_agent_{i}": (1 + m) / 2 for i in range(2)},
        },
    }
    for kind, runs in tables.items():
        (parts / f"frozen-gail-{kind}").mkdir(parents=True)
        write_table(parts / f"frozen-gail-{kind}" / "runs.csv", {**runs, "seed": np.arange(2)})
        write_settings(parts / f"frozen-gail-{kind}", {})


def write_correlation(report: Path, distance: Mapping[tuple[str, str], Sequence[float]]) -> None:
    """Cells of the correlation table with the bimodal expert: JS distances by (policy, discriminator)."""
    for (policy, discriminator), values in distance.items():
        part = report / "correlation" / "cells" / f"bimodal-{policy}-{discriminator}"
        columns = {"beta": 0.0, "kl_irreducible": 1.0, "kl_marginals": 0.0, "mutual_information": 0.0}
        runs: dict[str, Any] = {name: np.full(len(values), value) for name, value in columns.items()}
        runs |= {"coordination_rate": np.full(len(values), 0.5), "js_distance": values, "seed": range(len(values))}
        write_part(part, runs)
        settings = {"expert_type": "bimodal", "policy": policy, "discriminator": discriminator}
        write_settings(part, settings)


def edit(part: Path, column: str, rows: Sequence[int], value: object) -> None:
    """Change some rows of a column of the saved runs of a part."""
    file = part / "run" / "runs.csv"
    table = {name: values.tolist() for name, values in read_table(file).items()}
    for row in rows:
        table[column][row] = value
    write_table(file, table)
    for marker in (part / "run" / "config.json", part / "settings.json"):
        if marker.exists():
            seal_anew(marker)
