"""Output folders appear whole or not at all, and never in place of something else."""

import os
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from magail_trainer.errors import InputError
from magail_trainer.folders import CHECKPOINTS, METRICS, clear, new_file, new_files, new_folder, recover
from tests.kills import KILLED, Disk, status_of, strays


def write(path: Path, text: str = "new", *, overwrite: bool = False) -> None:
    with new_folder(path, marker="marker", others=("mo*",), overwrite=overwrite) as folder:
        (folder / "marker").write_text(text)


def test_the_folder_and_its_parents_appear_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "some" / "where" / "out"
    with new_folder(path, marker="marker") as folder:
        (folder / "file").write_text("text")
        assert not path.exists()
    assert [file.name for file in path.iterdir()] == ["file"]
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_fails_leaves_nothing_behind(tmp_path: Path, error: type[BaseException]) -> None:
    def fail() -> None:
        with new_folder(tmp_path / "out", marker="marker") as folder:
            (folder / "marker").write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_block_that_fails_leaves_those_parents_that_were_there_or_are_in_use(tmp_path: Path) -> None:
    def fail(below: Path, *, neighbour: bool) -> None:
        with new_folder(below / "some" / "where" / "out", marker="marker"):
            if neighbour:
                (below / "some" / "file").touch()
            raise ValueError

    (tmp_path / "old").mkdir()
    for name, neighbour in (("old", False), ("new", False), ("used", True)):
        with pytest.raises(ValueError, match=r"^$"):
            fail(tmp_path / name, neighbour=neighbour)
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")} == {
        *("old", "used", "used/some", "used/some/file")
    }


def test_a_failed_overwrite_leaves_the_old_folder_as_it_was(tmp_path: Path) -> None:
    write(tmp_path / "out", "old")

    def fail() -> None:
        with new_folder(tmp_path / "out", marker="marker", overwrite=True) as folder:
            (folder / "marker").write_text("half")
            raise ValueError("half")

    with pytest.raises(ValueError, match="half"):
        fail()
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]
    assert (tmp_path / "out" / "marker").read_text() == "old"


def test_a_folder_with_files_is_replaced_only_when_told_to(tmp_path: Path) -> None:
    write(tmp_path / "out", "old")
    (tmp_path / "out" / "more").write_text("old")
    with pytest.raises(InputError, match="already holds files"):
        write(tmp_path / "out")
    assert (tmp_path / "out" / "marker").read_text() == "old"
    write(tmp_path / "out", overwrite=True)
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["marker"]
    assert (tmp_path / "out" / "marker").read_text() == "new"
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_a_folder_of_something_else_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="no marker"):
        write(tmp_path, overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("text")
    with pytest.raises(InputError, match="is a file"):
        write(tmp_path / "out", overwrite=True)
    assert (tmp_path / "out").read_text() == "text"


def test_an_empty_folder_is_free(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write(tmp_path / "out")
    assert (tmp_path / "out" / "marker").read_text() == "new"


def test_a_path_below_a_file_is_refused_on_entry(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(InputError, match="Cannot write to"):
        write(tmp_path / "file" / "out")
    assert (tmp_path / "file").read_text() == "text"


def test_of_two_writers_the_slower_one_does_not_replace_what_the_faster_one_wrote(tmp_path: Path) -> None:
    def overtaken() -> None:
        with new_folder(tmp_path / "out", marker="marker") as folder:
            (folder / "marker").write_text("slow")
            (tmp_path / "out").mkdir()
            (tmp_path / "out" / "marker").write_text("fast")

    with pytest.raises(InputError, match="already holds files"):
        overtaken()
    assert (tmp_path / "out" / "marker").read_text() == "fast"
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_the_folder_behind_a_link_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    write(tmp_path / "real", "old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write(tmp_path / "link", overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "marker").read_text() == "new"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["link", "real"]


def test_the_working_directory_is_not_pulled_from_under_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="working directory"):
        write(Path())
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - Path.iterdir would not notice another directory


def test_a_folder_that_holds_something_else_as_well_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    for name in ("config.json", "weights.bin"):
        (tmp_path / "model" / name).write_text("mine")
    with (
        pytest.raises(InputError, match=r"holds 'weights.bin', which is not this program's"),
        new_folder(tmp_path / "model", marker="config.json", others=("*.npz",), overwrite=True),
    ):
        pass
    assert (tmp_path / "model" / "weights.bin").read_text() == "mine"


def test_a_folder_is_not_replaced_by_what_reads_it(tmp_path: Path) -> None:
    (tmp_path / "run" / "dataset").mkdir(parents=True)
    (tmp_path / "run" / "config.json").write_text("{}")
    reads = tmp_path / "run" / "dataset"
    with (
        pytest.raises(InputError, match="is read, and lies in"),
        new_folder(tmp_path / "run", marker="config.json", others=("dataset",), overwrite=True, reads=reads),
    ):
        pass
    assert reads.exists()


def write_more(path: Path) -> None:
    with new_folder(path, marker="marker", others=("more",), overwrite=True) as folder:
        (folder / "more").mkdir()
        (folder / "more" / "file").write_text("new")
        (folder / "marker").write_text("new")


def killed_at(call: int, action: Callable[[], object]) -> bool:
    status = status_of(action, Disk(call))
    assert status in (0, KILLED)
    return status == KILLED


@pytest.mark.parametrize("replaces", ["nothing", "old"])
def test_a_writer_that_is_killed_at_any_call_loses_nothing_and_leaves_nothing(replaces: str, tmp_path: Path) -> None:
    path, call, first = tmp_path / "out", 0, replaces == "nothing"
    while True:
        call += 1
        if not first:
            write(path, "old", overwrite=True)
        was_killed = killed_at(call, lambda: write_more(path))
        recover(path)
        if path.exists():
            assert (path / "marker").read_text() in (("new",) if first else ("old", "new"))
        else:
            assert first  # what was there before is there again
        write(path, "again", overwrite=True)
        assert [file.name for file in path.iterdir()] == ["marker"]
        assert list(tmp_path.iterdir()) == [path]
        if not was_killed:
            break
        if first:
            shutil.rmtree(path)
    assert call > 10


def test_a_second_writer_is_refused_by_name_and_does_no_harm(tmp_path: Path) -> None:
    with new_folder(tmp_path / "out", marker="marker") as folder:
        (folder / "marker").write_text("first")
        with pytest.raises(InputError, match=rf"is being written by process {os.getpid()} on "):
            write(tmp_path / "out")
    assert [(file.name, file.read_text()) for file in (tmp_path / "out").iterdir()] == [("marker", "first")]


def test_a_file_is_replaced_at_one_stroke_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("old")

    def fail() -> None:
        with new_file(file) as staging:
            staging.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (file.read_text(), list(tmp_path.iterdir())) == ("old", [file])
    with new_file(file) as staging:
        staging.write_text("new")
    assert (file.read_text(), list(tmp_path.iterdir())) == ("new", [file])


def test_links_in_a_circle_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(InputError, match="Cannot write to"):
        write(tmp_path / "a")


def test_a_writer_touches_nothing_of_the_next_one_and_a_reader_nothing_at_all(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, "old")
    next_writer = new_folder(out, marker="marker", overwrite=True)
    real = shutil.rmtree

    def begin_another(path: Path, **more: Any) -> None:
        shutil.rmtree = real
        (next_writer.__enter__() / "marker").write_text("next")
        real(path, **more)

    with new_folder(out, marker="marker", overwrite=True) as folder:
        (folder / "marker").write_text("new")
        shutil.rmtree = begin_another  # the first call comes when the new folder has its name
    next_writer.__exit__(None, None, None)
    assert (out / "marker").read_text() == "next"
    (tmp_path / ".out.magail-old").mkdir()
    recover(out)
    assert (tmp_path / ".out.magail-old").exists()


def test_what_fails_while_a_file_is_made_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    def fail() -> None:
        with new_file(tmp_path / "table.csv"):
            raise ConnectionResetError("a worker")

    with pytest.raises(ConnectionResetError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_files_whose_writer_is_killed_at_any_call_are_old_or_new_and_nothing_is_left(tmp_path: Path) -> None:
    def replace_file() -> None:
        with new_file(tmp_path / "table.csv") as file:
            file.write_text("new")

    def replace_files() -> None:
        with new_files(tmp_path) as folder:
            (folder / "figures").mkdir()
            (folder / "figures" / "one.png").write_text("new")
            (folder / "table.csv").write_text("new")

    for action in (replace_file, replace_files):
        for call in count(1):
            (tmp_path / "table.csv").write_text("old")
            was_killed = killed_at(call, action)
            assert (tmp_path / "table.csv").read_text() in ("old", "new")
            action()
            assert (tmp_path / "table.csv").read_text() == "new"
            assert strays(tmp_path) == []
            if not was_killed:
                assert call > 4
                break


def test_what_a_stopped_training_left_is_gone_on_with_or_named_but_never_mixed_into_something_else(
    tmp_path: Path,
) -> None:
    left = tmp_path / ".out.magail-partial"
    (left / CHECKPOINTS / "epoch-1").mkdir(parents=True)
    (left / METRICS).touch()
    with pytest.raises(InputError, match=r"'.*out' is the name of a training that was stopped; go on with it"):
        write(tmp_path / "out")
    assert {file.name for file in left.iterdir()} >= {CHECKPOINTS, METRICS}
    (left / CHECKPOINTS).rename(left / f".{CHECKPOINTS}.magail-old")  # killed while it got its name
    clear(tmp_path / "out")
    assert (left / CHECKPOINTS / "epoch-1").is_dir()
    write(tmp_path / "out", overwrite=True)
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["marker"]
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]
