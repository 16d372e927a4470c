"""The command `magail`."""

from magail_trainer.cli.magail import main

__all__ = ["main"]
