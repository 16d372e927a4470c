"""Running `magail` as its user does."""

from pathlib import Path

import pytest

from magail_trainer.cli import main

MATCHING = "coordination_env:coordination/matching-v0"


def magail(*args: object) -> int:
    """Run a command; its exit status."""
    with pytest.raises(SystemExit) as stop:
        main([str(arg) for arg in args])
    assert isinstance(stop.value.code, int)
    return stop.value.code


def refused(capsys: pytest.CaptureFixture[str], *args: object) -> str:
    """Run a command that has to be refused; return its one line on stderr."""
    capsys.readouterr()
    assert magail(*args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("magail: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert "Traceback" not in err
    return err


def contents(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder, hidden files too."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")
    }  # fmt: skip
