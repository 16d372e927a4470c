"""Running `magail` as its user does."""

import pytest

from magail_trainer.cli import main


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
