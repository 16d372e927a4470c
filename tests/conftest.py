"""Checks every jaxtyping shape of the trainer while the tests run, and settings for all tests."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

os.environ.setdefault("OMP_NUM_THREADS", "1")  # fastest for small tensors, and each worker has a core of its own
# The default deadline of 200 ms an example measures the machine's load, not the code.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")
install_import_hook("magail_trainer", "beartype.beartype")


@pytest.fixture(autouse=True, scope="session")
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the tests make is noted as theirs in a folder of theirs, not in the user's home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield
