"""What is read from a disk or a stranger: plain files of their sealed content, and nothing larger than it says."""

import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from magail_trainer.data.run_folder import open_run, read_table, write_config, write_table
from magail_trainer.errors import InputError
from magail_trainer.files import read_arrays, read_bytes, read_json
from magail_trainer.sealed import seal
from tests.damage import seal_anew


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with a table and a folder inside."""
    folder = tmp_path / "run"
    (folder / "checkpoint").mkdir(parents=True)
    write_table(folder / "runs.csv", {"beta": [0.0, 0.5], "seed": [1, 2]})
    np.savez(folder / "checkpoint" / "policies.npz", logits=np.ones(2))
    write_config(folder, {"command": "x"})
    return folder


@pytest.mark.parametrize("name", ["runs.csv", "checkpoint/policies.npz"])
def test_a_changed_or_a_missing_file_is_refused_by_name(run: Path, name: str) -> None:
    (run / "figure.png").write_text("added later")
    open_run(run).verify()
    data = (run / name).read_bytes()
    (run / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    for read in (lambda: read_bytes(open_run(run) / name), lambda: open_run(run).verify()):
        with pytest.raises(InputError, match=f"{name}' was altered"):
            read()
    (run / name).unlink()
    with pytest.raises(InputError, match=f"{name}' cannot be read"):
        open_run(run).verify()
    with pytest.raises(InputError, match=r"does not list 'figure\.png'"):
        _ = open_run(run) / "figure.png"


def test_a_folder_of_the_version_without_hashes_is_read(run: Path) -> None:
    (run / "config.json").write_text('{"format": "magail-run", "version": 1, "command": "x"}')
    assert read_table(open_run(run) / "runs.csv")["seed"].tolist() == [1, 2]
    (run / "config.json").write_text('{"format": "magail-run", "version": 2, "command": "x"}')
    with pytest.raises(InputError, match="was altered"):
        open_run(run)


@pytest.mark.parametrize("name", ["../runs.csv", "/etc/passwd", "a/../b", "", ".", "a//b", "C:/x", "a\\b", "\0"])
def test_a_list_that_leaves_the_folder_is_refused(run: Path, name: str) -> None:
    content = {"format": "magail-run", "version": 2, "files": {name: "0" * 64}}
    (run / "config.json").write_text(json.dumps(content))
    seal_anew(run / "config.json")
    with pytest.raises(InputError, match="which is no file in its folder"):
        open_run(run)


ODD: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "link to a device": lambda file: file.symlink_to("/dev/zero"),
    "link out of the folder": lambda file: file.symlink_to("/etc/passwd"),
    "folder": Path.mkdir,
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", ["config.json", "runs.csv"])
def test_only_plain_files_are_opened(run: Path, odd: str, name: str) -> None:
    (run / name).unlink()
    ODD[odd](run / name)
    with pytest.raises(InputError, match="expected a plain file"):
        read_table(open_run(run) / "runs.csv")


def test_a_linked_folder_inside_is_refused_and_the_folder_itself_may_be_a_link(run: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(run)
    open_run(tmp_path / "link").verify()
    (run / "checkpoint").rename(tmp_path / "elsewhere")
    (run / "checkpoint").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="checkpoint' is a link"):
        open_run(run).verify()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "recursion"),
        ("[" * 100 + "]" * 100, "nested more than 64 deep"),
        ('{"a": 1, "a": 2}', "'a' occurs twice"),
        ('{"a": 1e999}', "1e999 is out of range"),
        ('{"a": ' + "9" * 5000 + "}", "more than 64 bits"),
        ('"\\ud800"', "surrogates"),
        (" " * 2**25, "expected at most"),
    ],
)
def test_json_of_harm_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(InputError, match=reason):
        read_json(file)


def test_a_small_file_takes_little_memory(tmp_path: Path) -> None:
    file = tmp_path / "bomb.npz"
    np.savez_compressed(file, zeros=np.zeros(2_000_000))
    assert file.stat().st_size < 50_000
    tracemalloc.start()
    with pytest.raises(InputError, match="is compressed"):
        read_arrays(file)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("cell", ["1e999", "9" * 30, "9" * 5000, '"a'])
def test_a_cell_that_is_no_number_of_this_machine_is_refused(tmp_path: Path, cell: str) -> None:
    (tmp_path / "t.csv").write_text(f"beta\n{cell}\n")
    with pytest.raises(InputError, match="is not the table"):
        read_table(tmp_path / "t.csv")


def test_hidden_files_are_not_sealed(tmp_path: Path) -> None:
    (tmp_path / ".writer").write_text("me")
    (tmp_path / "a").write_text("a")
    assert list(seal(tmp_path / "marker.json", {"format": "x", "version": 2})["files"]) == ["a"]
