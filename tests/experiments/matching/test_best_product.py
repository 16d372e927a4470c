"""The limit of independent policies against known numbers and a search over a fine grid."""

import math

import numpy as np
import pytest

from experiments.matching import metrics
from experiments.matching.best_product import best_product_js

BIMODAL = np.array([[0.5, 0.0], [0.0, 0.5]])
ASYMMETRIC = np.array([[0.7, 0.0], [0.0, 0.3]])
NOISY = np.array([[0.45, 0.05], [0.05, 0.45]])
MIXED = np.full((2, 2), 0.25)
ALL_AA = np.array([[1.0, 0.0], [0.0, 0.0]])
INDEPENDENT = np.outer([0.7, 0.3], [0.2, 0.8])


@pytest.mark.parametrize(
    ("joint", "distance"),
    [(BIMODAL, 0.557923), (ASYMMETRIC, 0.411333), (NOISY, 0.383136), (MIXED, 0), (ALL_AA, 0), (INDEPENDENT, 0)],
)
def test_best_product_of_the_experts(joint: np.ndarray, distance: float) -> None:
    best = best_product_js(joint)
    assert best.distance == pytest.approx(distance, abs=1e-6)
    reached = metrics.js_distance(metrics.product_joint(best.marginals), joint)
    assert best.distance == pytest.approx(float(reached), abs=1e-12)


def test_best_product_of_asymmetric_is_the_aa_corner() -> None:
    np.testing.assert_array_equal(best_product_js(ASYMMETRIC).marginals, [[1, 0], [1, 0]])


def test_best_product_is_as_near_as_any_on_a_fine_grid() -> None:
    rng = np.random.default_rng(1)
    for concentration in np.repeat([0.2, 0.5, 1.0], 2):
        joint = rng.dirichlet(np.full(4, concentration)).reshape(2, 2)
        assert best_product_js(joint).distance == pytest.approx(nearest_on_grids(joint), abs=1e-6)


def test_best_product_of_larger_games() -> None:
    """Three agents that always match: any product is a compromise; agents with unlike action counts work as well."""
    matching = np.zeros((2, 2, 2))
    matching[0, 0, 0] = matching[1, 1, 1] = 0.5
    assert best_product_js(matching).distance == pytest.approx(0.557923, abs=1e-6)  # a corner, as for two
    independent = np.outer([0.1, 0.9], [0.2, 0.3, 0.5])
    assert best_product_js(independent).distance == pytest.approx(0, abs=1e-6)


def test_best_product_gives_the_same_answer_twice() -> None:
    first, second = best_product_js(NOISY), best_product_js(NOISY)
    assert first.distance == second.distance
    np.testing.assert_array_equal(first.marginals, second.marginals)


def nearest_on_grids(joint: np.ndarray, *, points: int = 121, refinements: int = 6) -> float:
    """Smallest JS distance of a product to `joint` on a grid over both P(A), then on ever finer ones around it."""
    low, high = np.zeros(2), np.ones(2)
    nearest = math.inf
    for _ in range(refinements):
        prob_a = np.linspace(low, high, points)
        probs = np.stack([prob_a, 1 - prob_a], axis=-1)
        distances = metrics.js_distance(metrics.product_joint([probs[:, None, 0], probs[None, :, 1]]), joint)
        row, column = np.unravel_index(distances.argmin(), distances.shape)
        nearest = min(nearest, float(distances.min()))
        centre, width = np.array([prob_a[row, 0], prob_a[column, 1]]), (high - low) / 20
        low, high = np.clip(centre - width, 0, 1), np.clip(centre + width, 0, 1)
    return nearest
