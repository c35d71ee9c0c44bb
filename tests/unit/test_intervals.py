import numpy as np
import pytest
from scipy import stats

from rules_src.evaluate.intervals import crossed_interval


@pytest.mark.parametrize("effects", [(1, 0, 1), (0, 1, 1), (1, 1, 0.3), (0.3, 1, 0.5)])
def test_coverage_is_nominal(effects):
    rng, n = np.random.default_rng(0), 4000
    seed, draw, remainder = (scale * rng.normal(size=(n, *shape)) for scale, shape in zip(effects, SHAPES, strict=True))
    _, low, high = crossed_interval(seed + draw + remainder)
    # Standard error of a coverage near 0.95 over 4000 simulations: 0.0034.
    assert 0.93 < ((low < 0) & (high > 0)).mean() < 0.975


SHAPES = ((5, 1), (1, 20), (5, 20))


@pytest.mark.parametrize("shape", [(1, 6), (6, 1)])
def test_one_seed_or_draw_gives_a_t_interval(shape):
    values = np.random.default_rng(1).normal(size=shape)
    mean, low, high = crossed_interval(values)
    expected = stats.t.interval(0.95, 5, values.mean(), stats.sem(values.ravel()))
    np.testing.assert_allclose([low, high], expected)
    np.testing.assert_allclose(mean, values.mean())


def test_equal_values_have_no_width():
    for shape in ((5, 20), (1, 20)):
        np.testing.assert_allclose(crossed_interval(np.full(shape, 0.7)), 0.7)


def test_one_value_has_no_interval():
    with pytest.raises(ValueError, match="at least two"):
        crossed_interval(np.ones((1, 1)))


def test_two_seeds_and_draws_never_fall_below_one_degree_of_freedom():
    values = np.array([[0.5, 0.6], [0.55, 0.5]])
    _, low, high = crossed_interval(values)
    assert high - low < 2 * stats.t.ppf(0.975, 1) * 0.1
