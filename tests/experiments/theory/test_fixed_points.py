"""Fixed points by hand, and that the flow does end at the stable ones."""

import math
from typing import get_args

import numpy as np
import pytest
from scipy.optimize import root_scalar

from experiments.theory.fixed_points import FixedPoint, critical_beta, fixed_points, stability_at
from experiments.theory.gradient_flow import GradientFlow, frozen_at_uniform
from experiments.theory.phase_portrait_figure import basins
from magail_trainer.learn.config import RewardStyle

BIMODAL = np.array([[0.5, 0.0], [0.0, 0.5]])
ASYMMETRIC = np.array([[0.7, 0.0], [0.0, 0.3]])
NOISY = np.array([[0.45, 0.05], [0.05, 0.45]])
MIXED = np.full((2, 2), 0.25)
ALL_AA = np.array([[1.0, 0.0], [0.0, 0.0]])
CORNERS = [(1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)]


def kinds(points: list[FixedPoint]) -> dict[tuple[float, float], str]:
    return {(round(point.prob_a[0], 3), round(point.prob_a[1], 3)): point.stability for point in points}


def test_gail_with_an_optimal_discriminator_has_three_attractors() -> None:
    """The centre, and both conventions behind a pass: p log(1 + 1/2p²) takes the same value at p and 1 − p."""

    def gap(p: float) -> float:
        return p * math.log(1 + 0.5 / p**2) - (1 - p) * math.log(1 + 0.5 / (1 - p) ** 2)

    saddle = root_scalar(gap, bracket=(0.05, 0.3)).root
    assert saddle == pytest.approx(0.127, abs=1e-3)
    found = kinds(fixed_points(GradientFlow(BIMODAL, "gail")))
    assert found == {
        (1.0, 1.0): "stable",
        (1.0, 0.0): "unstable",
        (round(1 - saddle, 3), round(1 - saddle, 3)): "saddle",
        (0.5, 0.5): "stable",
        (round(saddle, 3), round(saddle, 3)): "saddle",
        (0.0, 1.0): "unstable",
        (0.0, 0.0): "stable",
    }


def test_a_frozen_discriminator_has_a_pair_of_attractors_below_the_critical_beta() -> None:
    """log 3 (2p − 1) = β log p / (1 − p) by hand: at β = 0.25 both agents play A with 0.986, or with 0.014."""

    def gap(p: float) -> float:
        return math.log(3) * (2 * p - 1) - 0.25 * math.log(p / (1 - p))

    convention = root_scalar(gap, bracket=(0.9, 1 - 1e-9)).root
    flow = frozen_at_uniform(BIMODAL, "gail", 0.25, logit_bound=math.inf)
    inside = [point for point in fixed_points(flow) if point.prob_a not in CORNERS]
    assert [point.stability for point in inside] == ["stable", "saddle", "stable"]
    np.testing.assert_allclose([point.prob_a[0] for point in inside], [convention, 0.5, 1 - convention])
    above = kinds(fixed_points(frozen_at_uniform(BIMODAL, "gail", 0.56)))
    assert [point for point in above if point not in CORNERS] == [(0.5, 0.5)]
    assert above[0.5, 0.5] == "stable"


@pytest.mark.parametrize("style", get_args(RewardStyle))
def test_with_an_entropy_bonus_every_corner_repels(style: RewardStyle) -> None:
    """A stable point may be so near that its P(A) rounds to 1: its eigenvalues tell it from the corner."""
    points = fixed_points(GradientFlow(ASYMMETRIC, style, 0.01))
    corners = [point for point in points if point.eigenvalues == (math.inf, math.inf)]
    assert [(point.prob_a, point.stability) for point in corners] == [(corner, "unstable") for corner in CORNERS]


def test_a_corner_is_stable_if_neither_agent_gains_by_its_other_action() -> None:
    """airl, 70/30, optimal: at AA the other action has the logit −L in place of log 0.7."""
    (corner,) = [point for point in fixed_points(GradientFlow(ASYMMETRIC, "airl")) if point.prob_a == (1.0, 1.0)]
    assert corner.stability == "stable"
    assert corner.eigenvalues == pytest.approx((-10 - math.log(0.7),) * 2)


def test_an_expert_with_noise_has_no_attractor_at_a_corner_of_an_optimal_discriminator() -> None:
    found = kinds(fixed_points(GradientFlow(NOISY, "gail")))
    assert [point for point, kind in found.items() if kind == "stable"] == [(0.5, 0.5)]
    found = kinds(fixed_points(GradientFlow(NOISY, "airl")))  # the reverse KL divergence prefers one mode
    assert [point for point, kind in found.items() if kind == "stable"] == [(0.75, 0.75), (0.25, 0.25)]


@pytest.mark.parametrize("style", get_args(RewardStyle))
def test_experts_that_independent_policies_can_match_are_matched(style: RewardStyle) -> None:
    for expert, prob_a in ((MIXED, 0.5), (np.outer([0.7, 0.3], [0.7, 0.3]), 0.7), (ALL_AA, 1.0)):
        found = kinds(fixed_points(GradientFlow(expert, style)))
        assert [point for point, kind in found.items() if kind == "stable"] == [(prob_a, prob_a)]


def test_where_nothing_pulls_all_is_neutral() -> None:
    found = kinds(fixed_points(frozen_at_uniform(MIXED, "gail")))
    assert found == dict.fromkeys([*CORNERS, (0.5, 0.5)], "neutral")


def test_the_critical_beta_is_where_the_mixed_point_turns_stable() -> None:
    flow = frozen_at_uniform(BIMODAL, "symmetric", 0.1)

    def growth(beta: float) -> float:
        return stability_at(frozen_at_uniform(BIMODAL, "symmetric", beta), np.zeros(2))[1][0]

    assert critical_beta(flow) == pytest.approx(root_scalar(growth, bracket=(0, 2)).root)
    with pytest.raises(ValueError, match="no fixed point"):
        critical_beta(GradientFlow(ASYMMETRIC, "gail"))


@pytest.mark.parametrize(
    "flow",
    [
        GradientFlow(BIMODAL, "gail"),
        frozen_at_uniform(BIMODAL, "gail", 0.25),
        GradientFlow(ASYMMETRIC, "symmetric", 0.25),
    ],
)
def test_the_flow_ends_at_the_stable_points_and_all_of_them_are_reached(flow: GradientFlow) -> None:
    stable = np.array([point.prob_a for point in fixed_points(flow) if point.stability == "stable"])
    starts = np.random.default_rng(0).uniform(0.02, 0.98, size=(200, 2))
    ends = basins(flow, starts)
    distance = np.linalg.norm(ends[:, None] - stable[None], axis=-1)
    assert distance.min(axis=1).max() < 0.02
    assert np.unique(distance.argmin(axis=1)).size == len(stable)
