"""The main experiment: what it writes, and that the numbers are what they say."""

import csv
import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from coordination_env.games import matching
from experiments.matching import coordination
from experiments.matching.coordination import CoordinationConfig, run_experiment
from experiments.matching.metrics import product_joint
from experiments.matching.results import Results, exact_columns
from magail_trainer.data.recording import record
from magail_trainer.data.trajectories import Trajectories, read_manifest
from magail_trainer.envs.registry import resolve
from magail_trainer.play.evaluation import evaluate
from magail_trainer.play.load_runs import load_runs
from magail_trainer.play.players import make_joint_policy
from tests.experiments.matching.sweeps import SMALL, changed

torch.set_num_threads(1)

CHECKOUT = Path(coordination.__file__).parents[2]
COLUMNS = [
    *("beta", "seed", "prob_a_agent_0", "prob_a_agent_1", "entropy_agent_0", "entropy_agent_1"),
    *("joint_aa", "joint_ab", "joint_ba", "joint_bb", "coordination_rate", "js_distance", "total_variation"),
    *("mutual_information", "kl_irreducible", "kl_marginals", "kl_recovered"),
    *(
        "convention",
        "nash_conv",
        "ce_conv",
        "sampled_joint_aa",
        "sampled_joint_ab",
        "sampled_joint_ba",
        "sampled_joint_bb",
    ),
    *("sampled_coordination_rate", "sampled_js_distance"),
]
CELLS = ("aa", "ab", "ba", "bb")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A short experiment with an asymmetric expert, whose folder the tests read."""
    output = tmp_path_factory.mktemp("small") / "run"
    return run_experiment(changed(SMALL, expert_type="asymmetric", lr_policy=0.05, output=output), command="a command")


def read_rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "runs.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_runs_csv_has_the_columns_of_the_issue_and_a_row_per_run(small: Results) -> None:
    rows = read_rows(small.folder)
    assert list(rows[0]) == COLUMNS
    assert [(float(row["beta"]), int(row["seed"])) for row in rows] == [
        (beta, seed) for beta in (0.0, 2.0) for seed in (7, 3, 5)
    ]


def test_exact_columns_are_what_the_two_probabilities_make_of_them(small: Results) -> None:
    expert = np.array([0.7, 0, 0, 0.3])
    for row in read_rows(small.folder):
        p, q = float(row["prob_a_agent_0"]), float(row["prob_a_agent_1"])
        assert p != q
        joint = np.array([p * q, p * (1 - q), (1 - p) * q, (1 - p) * (1 - q)])
        np.testing.assert_allclose([float(row[f"joint_{cell}"]) for cell in CELLS], joint, atol=1e-12)
        for agent, prob in (("agent_0", p), ("agent_1", q)):
            entropy = -prob * np.log(prob) - (1 - prob) * np.log(1 - prob)
            assert float(row[f"entropy_{agent}"]) == pytest.approx(entropy)
        assert float(row["coordination_rate"]) == pytest.approx(p * q + (1 - p) * (1 - q))
        middle = (joint + expert) / 2
        halves = [np.sum(part[part > 0] * np.log2(part[part > 0] / middle[part > 0])) for part in (joint, expert)]
        assert float(row["js_distance"]) == pytest.approx(np.sqrt(sum(halves) / 2))
        assert float(row["mutual_information"]) == pytest.approx(0, abs=1e-9)
        assert row["convention"] == "neither"


def test_exact_columns_by_hand() -> None:
    first = np.array([[0.95, 0.05], [0.5, 0.5], [0.0, 1.0]])
    second = np.array([[0.92, 0.08], [0.5, 0.5], [0.1, 0.9]])
    columns = exact_columns(product_joint([first, second]), np.array([[0.5, 0.0], [0.0, 0.5]]), matching())
    assert columns["convention"].tolist() == ["AA", "neither", "BB"]
    np.testing.assert_allclose(columns["coordination_rate"], [0.95 * 0.92 + 0.05 * 0.08, 0.5, 0.9])
    np.testing.assert_allclose(columns["js_distance"][1], 0.557923, atol=1e-6)
    np.testing.assert_allclose(columns["entropy_agent_0"], [0.198515, np.log(2), 0.0], atol=1e-6)
    # A best response to 0.92 earns 0.92 and to 0.95 0.95, where they earn 0.878; and so on.
    np.testing.assert_allclose(columns["nash_conv"], [0.92 + 0.95 - 2 * 0.878, 0, 0.9 + 1 - 2 * 0.9], atol=1e-12)
    np.testing.assert_allclose(columns["ce_conv"], columns["nash_conv"], atol=1e-12)


def test_sampled_columns_are_within_binomial_error_of_the_exact_ones(small: Results) -> None:
    for row in read_rows(small.folder):
        counts = [450 * float(row[f"sampled_joint_{cell}"]) for cell in CELLS]
        np.testing.assert_allclose(counts, np.round(counts), atol=1e-9)
        assert sum(counts) == pytest.approx(450)
        assert float(row["sampled_coordination_rate"]) == pytest.approx((counts[0] + counts[3]) / 450)
        for cell in (*(f"joint_{cell}" for cell in CELLS), "coordination_rate"):
            exact = float(row[cell])
            assert abs(float(row[f"sampled_{cell}"]) - exact) < 4 * np.sqrt(exact * (1 - exact) / 450)
        assert float(row["sampled_js_distance"]) == pytest.approx(float(row["js_distance"]), abs=0.1)


def test_the_run_folder_holds_everything_and_nothing_else(small: Results) -> None:
    names = sorted(path.relative_to(small.folder).as_posix() for path in small.folder.rglob("*") if path.is_file())
    assert names == [
        "checkpoint/discriminator.npz",
        "checkpoint/policies.npz",
        "config.json",
        "dataset/manifest.json",
        "dataset/shard-00000.npz",
        "history.npz",
        "metrics.jsonl",
        "runs.csv",
    ]


def test_the_history_has_every_tenth_epoch_of_every_run(small: Results) -> None:
    with np.load(small.folder / "history.npz", allow_pickle=False) as history:
        arrays = dict(history)
    assert arrays["epoch"].tolist() == [1, 10, 20, 25]
    agents = ("agent_0", "agent_1")
    names = {"epoch", "discriminator_loss", "policy_loss"}
    names |= {f"{name}{agent}" for name in ("entropy/", "return/", "prob_a_") for agent in agents}
    assert set(arrays) == names
    assert all(values.shape == (4, 6) for name, values in arrays.items() if name != "epoch")
    for agent in agents:  # what the last row says is what runs.csv says
        np.testing.assert_array_equal(arrays[f"prob_a_{agent}"][-1], small.runs[f"prob_a_{agent}"])


def test_the_config_says_what_was_done(small: Results) -> None:
    config = json.loads((small.folder / "config.json").read_text())
    assert config["command"] == "a command"
    assert config["env"] == {"id": "coordination_env:coordination/matching-v0", "kwargs": {}}
    where = {"output", "overwrite", "dataset", "training"}
    assert set(config["experiment"]) == {field.name for field in fields(CoordinationConfig)} - where
    assert str(small.folder) not in json.dumps(config)  # the same run elsewhere says the same
    assert "partial" not in json.dumps(config)
    assert (config["experiment"]["betas"], config["experiment"]["expert_type"]) == ([0.0, 2.0], "asymmetric")
    assert config["training"]["epochs"] == 25
    assert config["dataset"]["sha256"] == read_manifest(small.folder / "dataset")["sha256"]
    np.testing.assert_allclose(config["dataset"]["joint"], [[0.7, 0], [0, 0.3]])
    assert config["dataset"]["path"] == "dataset"


def test_the_dataset_is_a_recording_of_the_expert(small: Results) -> None:
    dataset = Trajectories.load(small.folder / "dataset")
    assert len(dataset) == 1000
    assert dataset.origin.policy["name"] == "asymmetric"
    assert float(dataset.returns["agent_0"].mean()) == 1


def test_the_checkpoint_is_that_of_the_table(small: Results) -> None:
    table = evaluate(load_runs(small.folder), episodes=2000, seed=0).table()
    assert table["seed"] == small.runs["seed"].tolist()
    for index, cell in enumerate(CELLS):
        exact = small.runs[f"joint_{cell}"]
        error = np.sqrt(exact * (1 - exact) / 2000)
        assert (abs(np.array(table[f"P{(index // 2, index % 2)}"]) - exact) < 4 * error).all()


def test_the_same_settings_give_the_same_bytes(small: Results, tmp_path: Path) -> None:
    again = run_experiment(changed(SMALL, expert_type="asymmetric", lr_policy=0.05, output=tmp_path / "again"))
    for name in ("runs.csv", "history.npz", "dataset/shard-00000.npz", "checkpoint/policies.npz"):
        assert (again.folder / name).read_bytes() == (small.folder / name).read_bytes(), name


def test_a_run_has_the_same_row_in_a_smaller_sweep(small: Results, tmp_path: Path) -> None:
    config = changed(SMALL, betas=(2.0,), seeds=(3,), expert_type="asymmetric", lr_policy=0.05)
    alone = run_experiment(replace(config, output=tmp_path / "alone"))
    assert read_rows(alone.folder) == [read_rows(small.folder)[4]]


def test_a_recorded_dataset_gives_the_same_rows_as_recording_it(tmp_path: Path) -> None:
    entry = resolve(coordination.ENV_ID)
    policy = make_joint_policy("noisy", entry, {"ratio": 0.6, "noise": 0.3})
    record(entry, policy, episodes=400, seed=9).save(tmp_path / "dataset")
    recording = changed(SMALL, expert_type="noisy", expert_ratio=0.6, expert_noise=0.3, expert_seed=9)
    first = run_experiment(replace(recording, expert_episodes=400, output=tmp_path / "recording"))
    second = run_experiment(changed(SMALL, dataset=tmp_path / "dataset", output=tmp_path / "reading"))
    assert (first.folder / "runs.csv").read_bytes() == (second.folder / "runs.csv").read_bytes()
    assert not (second.folder / "dataset").exists()
    config = json.loads((second.folder / "config.json").read_text())
    assert config["dataset"]["path"] == str(tmp_path / "dataset")
    assert config["dataset"]["policy"]["name"] == "noisy"


def test_the_figure_is_drawn_unless_it_is_not_wanted(tmp_path: Path) -> None:
    results = run_experiment(changed(SMALL, epochs=11, no_plots=False, output=tmp_path / "run"))
    assert (results.folder / "figure.png").read_bytes().startswith(b"\x89PNG")
