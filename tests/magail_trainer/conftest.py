"""What several tests of the command `magail` read."""

from pathlib import Path

import pytest

from tests.magail_trainer.commands import MATCHING, magail


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset `data` and a run folder `run`. Nothing in it may change."""
    folder = tmp_path_factory.mktemp("made")
    assert (
        magail("record", "--env", MATCHING, "--expert", "bimodal", "--episodes", 40, "--output", folder / "data") == 0
    )
    settings = ("--betas", 0, 0.5, "--seeds", 3, 1, "--epochs", 12, "--log-every", 5)
    paths = ("--dataset", folder / "data", "--output", folder / "run")
    assert magail("train", "--env", MATCHING, *settings, *paths) == 0
    return folder
