"""What linear policies find out of a signal that no demonstration tells."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from magail_trainer.errors import InputError
from magail_trainer.learn.batch import Batch, equal_weights
from magail_trainer.learn.behavioural_cloning import cloning_loss
from magail_trainer.learn.encoders import Codes
from magail_trainer.learn.policies import make_policies
from magail_trainer.learn.signal_inference import infer_signal
from magail_trainer.learn.trainer import Trainer
from tests.magail_trainer.clock_env import AGENTS, SMALL, clock, clock_dataset, seeded, tabular

torch.set_num_threads(1)

EPISODES, STEPS = 24, 8
CONFIG = replace(SMALL, policy="shared_signal", signals=2, signal_starts=3)
CODES = Codes.of(clock(), network="mlp")


def coin_demonstrations(runs: int, *, short: bool = False) -> tuple[Batch, np.ndarray]:
    """Both agents walk up or down by what they see, on tails the other way; with `short` half of each odd episode.

    No agent's actions, and no step, tell the coin: each action is as likely as the other, whatever the coin.
    """
    rng = np.random.default_rng(0)
    coin = rng.integers(2, size=EPISODES)
    present = np.ones((EPISODES, STEPS), dtype=bool)
    if short:
        present[1::2, STEPS // 2 :] = False
    observations, actions = {}, {}
    for agent in AGENTS:
        seen = rng.standard_normal((EPISODES, STEPS, 3)).astype(np.float32)
        right = np.where(seen[..., 0] > 0, 2, 0)
        actions[agent] = np.where(present, np.where(coin[:, np.newaxis] == 0, right, 2 - right), 1)
        observations[agent] = seen

    def for_runs(values: np.ndarray) -> torch.Tensor:
        flat = torch.from_numpy(values.reshape(EPISODES * STEPS, *values.shape[2:]))
        return flat.expand(runs, *flat.shape)

    columns = ({agent: for_runs(values) for agent, values in column.items()} for column in (observations, actions))
    return Batch(*columns, weight=equal_weights(for_runs(present)), num_steps=STEPS), coin


@pytest.mark.parametrize("short", [False, True])
def test_the_coin_is_found_up_to_its_name(*, short: bool) -> None:
    batch, coin = coin_demonstrations(1, short=short)
    inferred = infer_signal(batch, CODES, CONFIG, seeds=[0])
    assert inferred.signal.shape == (1, EPISODES)
    assert inferred.log_likelihood.shape == (1, 3)
    (signal,) = inferred.signal.numpy()
    assert (signal == coin).all() or (signal == 1 - coin).all()


def test_a_run_infers_alone_what_it_does_in_company_and_starts_are_its_own() -> None:
    batch, _ = coin_demonstrations(2)
    config = replace(CONFIG, signal_starts=2)
    together = infer_signal(batch, CODES, config, seeds=[5, 7])
    alone = infer_signal(batch.of_run(1), CODES, config, seeds=[7])
    assert torch.equal(together.signal[1], alone.signal[0])
    assert torch.equal(together.log_likelihood[1], alone.log_likelihood[0])
    assert not torch.equal(together.log_likelihood[0], together.log_likelihood[1])


def test_agents_that_share_a_network_later_have_linear_policies_of_their_own() -> None:
    batch, _ = coin_demonstrations(1)
    shared, own = (
        infer_signal(batch, CODES, replace(CONFIG, signal_starts=1, share_parameters=share), seeds=[0])
        for share in ("all", "none")
    )
    assert torch.equal(shared.log_likelihood, own.log_likelihood)


def test_episodes_without_a_coin_are_no_likelier_with_two_values() -> None:
    batch, coin = coin_demonstrations(1)
    heads = batch.select(torch.from_numpy(np.flatnonzero(coin == 0)).unsqueeze(0))
    mixed, plain = (infer_signal(part, CODES, CONFIG, seeds=[0]).log_likelihood.max() for part in (batch, heads))
    # Two values of which each explains its half cost log 2 an episode, and no more.
    assert mixed.item() == pytest.approx(plain.item() - np.log(2), abs=0.6)


def test_cloning_heeds_the_inferred_signal_and_nothing_else_sees_it() -> None:
    batch, coin = coin_demonstrations(1)
    told = batch.with_signal(torch.from_numpy(coin).unsqueeze(0))
    assert told.signal is not None
    assert told.signal.unflatten(1, (EPISODES, STEPS))[0, :, 3].tolist() == coin.tolist()
    policies = make_policies(CODES, seeded(0), CONFIG)
    policies.fit_normalizers(batch)
    by_hand = np.log(2) / STEPS  # of the signal: two equally likely values at first, and one draw for all steps
    for agent, distribution in policies(told.observations, signal=told.signal).items():
        by_hand -= distribution.log_prob(told.actions[agent]).mean().item()
    assert cloning_loss(policies, told).item() == pytest.approx(by_hand, rel=1e-5)
    independent = make_policies(CODES, seeded(0), SMALL)
    assert torch.equal(cloning_loss(independent, told), cloning_loss(independent, batch))


@pytest.mark.parametrize("continuous", [False, True])
def test_a_trainer_infers_before_it_clones(*, continuous: bool) -> None:
    entry, policies = clock(continuous=continuous), []
    for starts in (0, 1):
        config = replace(CONFIG, signal_starts=starts)
        trainer = Trainer(entry, clock_dataset(entry), seeded(0), config, algorithm="cloning", updates=5)
        assert all(record.loss.isfinite().all() for record in trainer.clone())
        policies.append(trainer.policies.state_dict())
    assert any(not torch.equal(policies[0][name], policies[1][name]) for name in policies[0])


def test_tables_infer_nothing_by_linear_policies() -> None:
    with pytest.raises(InputError, match="--signal_starts needs --network mlp"):
        tabular(policy="shared_signal", signal_starts=3)
