"""Checks every jaxtyping shape of the trainer while the tests run, and settings for all tests."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

os.environ.setdefault("OMP_NUM_THREADS", "1")  # fastest for small tensors, and each worker has a core of its own
# The default deadline of 200 ms an example measures the machine's load, not the code.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")
# Only the modules that name shapes: each checked call costs some 15 µs, and the others are called millions of times.
_CODE = Path(__file__).parents[1]
_SHAPED = [path for path in (_CODE / "magail_trainer").rglob("*.py") if "jaxtyping" in path.read_text(encoding="utf-8")]
install_import_hook([".".join(path.relative_to(_CODE).with_suffix("").parts) for path in _SHAPED], "beartype.beartype")


@pytest.fixture(autouse=True, scope="session")
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the tests make is noted as theirs in a folder of theirs, not in the user's home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield
