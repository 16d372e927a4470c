"""Checks every jaxtyping shape of the trainer while the tests run, and settings for all tests."""

import os

from hypothesis import settings
from jaxtyping import install_import_hook

os.environ.setdefault("OMP_NUM_THREADS", "1")  # fastest for small tensors, and each worker has a core of its own
# The default deadline of 200 ms an example measures the machine's load, not the code.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")
install_import_hook("magail_trainer", "beartype.beartype")
