"""The joint discriminator: it tells joint actions apart, and at its optimum it is the log ratio."""

import torch

from magail_trainer.learn.batch import Batch
from magail_trainer.learn.discriminators import Discriminators, TableDiscriminator, View
from magail_trainer.learn.losses import discriminator_loss
from magail_trainer.learn.networks import Table
from magail_trainer.learn.optimizers import RunAdam

torch.set_num_threads(1)

AGENTS = ("agent_0", "agent_1")


def joint_batch(weight: torch.Tensor) -> Batch:
    """AA, AB, BA and BB of the matching game with these weights, `[R, 4]`."""
    runs = len(weight)
    columns = torch.tensor([[0, 0, 1, 1], [0, 1, 0, 1]])
    actions = {agent: column.expand(runs, -1) for agent, column in zip(AGENTS, columns, strict=True)}
    return Batch({agent: torch.zeros_like(values) for agent, values in actions.items()}, actions, weight)


def make(runs: int) -> Discriminators:
    table, view = Table(torch.zeros(runs, 4)), View(AGENTS, AGENTS)
    judge = TableDiscriminator(table, view, dict.fromkeys(AGENTS, 1), dict.fromkeys(AGENTS, 2))
    return Discriminators({"joint": judge}, dict.fromkeys(AGENTS, "joint"))


def test_has_a_row_of_its_own_for_each_joint_observation_and_action() -> None:
    sizes = {"a": 2, "b": 3}, {"a": 2, "b": 2}
    table = torch.arange(2 * 3 * 2 * 2, dtype=torch.float32).view(1, -1)
    judge = TableDiscriminator(Table(table), View(("a", "b"), ("a", "b")), *sizes)
    discriminator = Discriminators({"joint": judge}, {"a": "joint", "b": "joint"})
    grid = torch.cartesian_prod(torch.arange(2), torch.arange(3), torch.arange(2), torch.arange(2)).T.unsqueeze(1)
    # The order of the dicts that come in does not matter; the order of the agents does.
    batch = Batch({"b": grid[1], "a": grid[0]}, {"b": grid[3], "a": grid[2]}, torch.full((1, 24), 1 / 24))
    assert discriminator(batch)["joint"].tolist() == [list(range(24))]


def test_one_judge_rewards_every_agent() -> None:
    assert make(1).rewarded_by == {"agent_0": "joint", "agent_1": "joint"}


def test_trained_on_exact_batches_it_becomes_the_log_ratio() -> None:
    p_expert = torch.tensor([[0.45, 0.05, 0.05, 0.45], [0.7, 0.1, 0.1, 0.1]])
    p_learner = torch.tensor([[0.06, 0.24, 0.14, 0.56], [0.25, 0.25, 0.25, 0.25]])
    discriminator = make(2)
    expert, learner = joint_batch(p_expert), joint_batch(p_learner)
    optimizer = RunAdam(discriminator.parameters(), lr=torch.tensor([0.02, 0.05]))
    for _ in range(2000):
        logits = discriminator(expert)["joint"], discriminator(learner)["joint"]
        optimizer.descend(discriminator_loss(logits[0], expert.weight, logits[1], learner.weight))
    torch.testing.assert_close(discriminator(expert)["joint"].detach(), (p_expert / p_learner).log(), atol=1e-3, rtol=0)
