"""Run folders: what is read back is what was written; what is broken is refused."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from magail_trainer.data.run_folder import (
    History,
    final_metrics,
    open_run,
    read_checkpoint,
    read_config,
    read_table,
    write_checkpoint,
    write_config,
    write_table,
)
from magail_trainer.errors import InputError
from magail_trainer.files import read_arrays


def test_history_stacks_what_was_appended() -> None:
    history = History()
    history.append(1, {"loss": torch.tensor([1.0, 2.0]), "entropy": torch.tensor([0.5, 0.25])})
    history.append(10, {"loss": torch.tensor([3.0, 4.0]), "entropy": torch.tensor([0.0, 0.125])})
    stacked = history.stack()
    assert {name: array.tolist() for name, array in stacked.items()} == {
        "epoch": [1, 10],
        "loss": [[1, 2], [3, 4]],
        "entropy": [[0.5, 0.25], [0, 0.125]],
    }
    assert History().stack()["epoch"].shape == (0,)


def test_the_config_comes_back(tmp_path: Path) -> None:
    write_config(tmp_path, {"env": {"id": "toy", "kwargs": {"β": 0.1}}})
    assert read_config(tmp_path)["env"] == {"id": "toy", "kwargs": {"β": 0.1}}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "is no run folder"),
        (b"", "not the JSON"),
        (b"\xff\xfe", "not the JSON"),
        (b"[]", "does not say 'magail-run' 2"),
        (b'{"format": "magail-trajectories", "version": 1}', "does not say 'magail-run' 2"),
        (b'{"format": "magail-run", "version": true}', "does not say 'magail-run' 2"),
        (b'{"format": "magail-run", "version": 3}', "of version 3; this program reads them up to version 2"),
        (b'{"format": "magail-run", "version": 2}', "was altered"),
    ],
)
def test_a_config_of_something_else_is_refused(tmp_path: Path, content: bytes | None, reason: str) -> None:
    if content is not None:
        (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(InputError, match=reason) as error:
        read_config(tmp_path)
    assert str(tmp_path) in str(error.value)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(-(2**62), 2**62), st.floats(allow_nan=False)), min_size=1, max_size=5))
def test_tables_keep_every_digit(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, float]]) -> None:
    file = tmp_path_factory.mktemp("table") / "runs.csv"
    seeds, values = zip(*rows, strict=True)
    columns = {"seed": seeds, "value": np.array(values), "name": [f'a "b", {seed}' for seed in seeds]}
    write_table(file, columns)
    table = read_table(file)
    assert list(table) == ["seed", "value", "name"]
    assert table["seed"].tolist() == list(seeds)
    assert table["value"].tolist() == list(values)
    assert table["value"].dtype == np.float64
    assert table["name"].tolist() == columns["name"]


def test_a_table_is_plain_csv(tmp_path: Path) -> None:
    write_table(tmp_path / "t", {"beta": np.array([0.0, 0.1]), "seed": [1, 2], "x": np.array([math.nan, 1e-300])})
    assert (tmp_path / "t").read_bytes() == b"beta,seed,x\n0.0,1,nan\n0.1,2,1e-300\n"


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "cannot be read"), ("", "not the table"), ("a,b\n1,2\n3\n", "not the table")]
)
def test_a_broken_table_is_refused(tmp_path: Path, content: str | None, reason: str) -> None:
    file = tmp_path / "runs.csv"
    if content is not None:
        file.write_text(content)
    with pytest.raises(InputError, match=reason) as error:
        read_table(file)
    assert str(file) in str(error.value)


def test_columns_of_unequal_length_are_no_table(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="zip"):
        write_table(tmp_path / "t", {"a": [1, 2], "b": [1]})


def test_a_checkpoint_restores_the_parameters(tmp_path: Path) -> None:
    trained, fresh = nn.Linear(3, 2), nn.Linear(3, 2)
    write_checkpoint(tmp_path, {"net": trained})
    write_config(tmp_path, {})
    read_checkpoint(open_run(tmp_path), "net", fresh)
    assert torch.equal(fresh.weight, trained.weight)
    assert torch.equal(fresh.bias, trained.bias)


def test_a_checkpoint_of_another_shape_or_none_is_refused_in_one_sentence(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, {"net": nn.Linear(3, 2)})
    write_config(tmp_path, {})
    with pytest.raises(InputError, match="does not fit") as error:
        read_checkpoint(open_run(tmp_path), "net", nn.Linear(2, 2))
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="does not list 'checkpoint/other"):
        read_checkpoint(open_run(tmp_path), "other", nn.Linear(3, 2))


def test_arrays_cut_short_anywhere_are_refused_and_the_file_is_closed(tmp_path: Path) -> None:
    file = tmp_path / "history.npz"
    np.savez(file, epoch=np.arange(3), loss=np.ones((3, 2)))
    whole = file.read_bytes()
    assert read_arrays(file)["loss"].shape == (3, 2)
    for length in [0, 1, 4, *range(5, len(whole), 61), len(whole) - 1]:
        file.write_bytes(whole[:length])
        with pytest.raises(InputError, match="is not the npz file"):
            read_arrays(file)


def test_metrics_of_agents_whose_columns_would_meet_keep_their_names() -> None:
    history = {"epoch": np.arange(2)}
    history |= {name: np.array([[0], [number]]) for number, name in enumerate(("return/a_1", "return/a/1", "loss/b"))}
    assert {name: values.tolist() for name, values in final_metrics(history).items()} == {
        "return/a_1": [0],
        "return/a/1": [1],
        "loss_b": [2],
    }
