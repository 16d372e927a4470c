"""From a module that the package has never heard of to policies that imitate, by the commands alone.

Unlike agents, two steps, a custom joint policy: see `toy_envs.SignallingEnv`.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

from magail_trainer.data.run_folder import read_table
from magail_trainer.data.trajectories import Trajectories
from magail_trainer.files import read_arrays
from tests.magail_trainer import toy_envs
from tests.magail_trainer.commands import magail

SHIFT = 2
SEEDS = (0, 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the module, a dataset `data` and a run folder `run`."""
    folder = tmp_path_factory.mktemp("signalling")
    (folder / "signalling_game.py").write_text(Path(toy_envs.__file__).read_text())
    env = ("--env", "signalling_game:SignallingEnv")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        expert = ("--expert", "signalling_game:Signallers", "--expert-args", f"shift={SHIFT}")
        assert magail("record", *env, *expert, "--episodes", 100, "--output", folder / "data") == 0
        rates = ("--lr-policy", 0.3, "--lr-disc", 0.3, "--rollout-episodes", 32, "--epochs", 60)
        data = ("--dataset", folder / "data", "--seeds", *SEEDS)
        assert magail("train", *env, *rates, *data, "--output", folder / "run") == 0
    return folder


def test_the_dataset_is_what_the_custom_expert_played(folder: Path) -> None:
    trajectories = Trajectories.load(folder / "data")
    assert trajectories.origin.policy == {"name": "signallers", "parameters": {"shift": SHIFT}}
    for episode in trajectories:
        state = episode.observations["speaker"][0]
        assert episode.observations["speaker"].tolist() == [state, 3, 3]
        assert episode.actions["speaker"].tolist() == [(state + SHIFT) % 3, 0]
        assert episode.actions["listener"].tolist() == [0, 1 + state]
        assert episode.rewards["speaker"].tolist() == episode.rewards["listener"].tolist() == [0, 1]


def test_the_policies_learn_what_the_expert_says_and_understands(folder: Path) -> None:
    logits = read_arrays(folder / "run" / "checkpoint" / "policies.npz")
    speaker, listener = (logits[f"policies.{agent}.logits"] for agent in ("speaker", "listener"))
    assert (speaker.shape, listener.shape) == ((len(SEEDS), 4, 3), (len(SEEDS), 4, 4))
    # In the rows: the three states, then `SPOKEN`; nothing heard, then the three messages.
    expected = {"speaker": [2, 0, 1, 0], "listener": [0, 2, 3, 1]}
    for agent, table in (("speaker", speaker), ("listener", listener)):
        probs = np.exp(table) / np.exp(table).sum(-1, keepdims=True)
        assert probs.argmax(-1).tolist() == [expected[agent]] * len(SEEDS), agent
        assert probs.max(-1).min() > 0.9, agent


def test_evaluate_finds_that_they_understand_each_other(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "signalling_game")
    assert magail("evaluate", folder / "run", "--episodes", 250, "--output", tmp_path / "table.csv") == 0
    table = read_table(tmp_path / "table.csv")
    assert list(zip(table["beta"], table["seed"], strict=True)) == [(0, seed) for seed in SEEDS]
    assert (table["return_speaker"] > 0.9).all()  # chance is 1/4
    np.testing.assert_array_equal(table["return_speaker"], table["return_listener"])
    np.testing.assert_allclose(table["greedy_return_team"], 2)
    assert (table["score_team"] > 0.85).all()
    shares = {name: values for name, values in table.items() if name.startswith("P(")}
    np.testing.assert_allclose(sum(shares.values()), 1)
    # Half the steps are the speaker's, who says each message to a third of the states: P(1, 0) and P(2, 0).
    for message in ("P(1, 0)", "P(2, 0)"):
        np.testing.assert_allclose(shares[message], 1 / 6, atol=0.06)
