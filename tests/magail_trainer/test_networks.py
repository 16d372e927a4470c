"""The table and its look-up."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from magail_trainer.networks import Table

torch.set_num_threads(1)


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 6), st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_a_table_gives_the_row_of_the_samples_own_run(runs: int, size: int, samples: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(runs, size, generator=generator)
    rows = torch.randint(size, (runs, samples), generator=generator)
    out = Table(values)(rows)
    for run in range(runs):
        for sample in range(samples):
            assert out[run, sample] == values[run, rows[run, sample]]


def test_a_table_learns_the_rows_that_were_looked_up_and_no_others() -> None:
    initial = torch.zeros(2, 3)
    table = Table(initial)
    loss = table(torch.tensor([[0, 0], [2, 1]])).sum()
    (gradient,) = torch.autograd.grad(loss, table.values)
    assert gradient.tolist() == [[2, 0, 0], [0, 1, 1]]
    initial.fill_(1)
    assert table.values.sum() == 0  # the table has its own copy
