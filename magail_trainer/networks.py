"""Run-stacked networks: every parameter has the runs R as its leading axis, so that R networks train as one."""

from jaxtyping import Float, Int
from torch import Tensor, nn


class Table(nn.Module):
    """A number for each input: `[R, B]` row numbers to `[R, B]` outputs.

    Args:
        initial: the first numbers, `[R, S]` for S rows.
    """

    def __init__(self, initial: Float[Tensor, "R S"]) -> None:
        super().__init__()
        self.values = nn.Parameter(initial.clone())

    def forward(self, rows: Int[Tensor, "R B"]) -> Float[Tensor, "R B"]:
        """Look up `rows`."""
        return self.values.gather(1, rows)
