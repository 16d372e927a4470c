"""Run-stacked networks: every parameter has the runs R as its leading axis, so that R networks train as one."""

from jaxtyping import Float, Int
from torch import Tensor, nn


class Table(nn.Module):
    """A row of numbers for each input: `[R, B]` row numbers to `[R, B, C]` outputs.

    Args:
        initial: the first values, `[R, S, C]` for S rows and C columns.
    """

    def __init__(self, initial: Float[Tensor, "R S C"]) -> None:
        super().__init__()
        self.values = nn.Parameter(initial.clone())

    def forward(self, rows: Int[Tensor, "R B"]) -> Float[Tensor, "R B C"]:
        """Look up `rows`."""
        return look_up(self.values, rows)


def look_up(values: Float[Tensor, "R S C"], rows: Int[Tensor, "R B"]) -> Float[Tensor, "R B C"]:
    """Row `rows[r, b]` of run r's table, for every r and b."""
    if values.shape[-1] == 1:  # twice as fast, and the case of every discriminator
        return values.squeeze(-1).gather(1, rows).unsqueeze(-1)
    return values.gather(1, rows.unsqueeze(-1).expand(-1, -1, values.shape[-1]))
