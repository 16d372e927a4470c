"""Checks every jaxtyping shape of the trainer while the tests run."""

from jaxtyping import install_import_hook

install_import_hook("magail_trainer", "beartype.beartype")
