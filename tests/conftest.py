"""Checks every jaxtyping shape of the trainer while the tests run."""

import os

from jaxtyping import install_import_hook

os.environ.setdefault("OMP_NUM_THREADS", "1")  # fastest for small tensors, and each worker has a core of its own
install_import_hook("magail_trainer", "beartype.beartype")
