import numpy as np
import pytest
from metaplastic.results.intervals import crossed_interval
from scipy import stats


@pytest.mark.parametrize("effects", [(1, 0, 1), (0, 1, 1), (1, 1, 0.3), (0.3, 1, 0.5)])
def test_coverage_is_nominal(effects):
    rng, n = np.random.default_rng(0), 4000
    seed, draw, remainder = (scale * rng.normal(size=(n, *shape)) for scale, shape in zip(effects, SHAPES, strict=True))
    _, low, high = crossed_interval(seed + draw + remainder)
    # Standard error of a coverage near 0.95 over 4000 simulations: 0.0034.
    assert 0.93 < ((low < 0) & (high > 0)).mean() < 0.975


SHAPES = ((5, 1), (1, 20), (5, 20))


@pytest.mark.parametrize("effects", [(1, 0.5, 0.5, 0.3), (0, 1, 1, 0.3), (1, 0, 0, 1), (0.3, 1, 0, 1)])
def test_coverage_over_three_levels_is_nominal_or_more(effects):
    rng, n = np.random.default_rng(0), 4000
    shapes = ((3, 1, 1), (1, 5, 1), (1, 1, 20), (3, 5, 20))
    values = sum(scale * rng.normal(size=(n, *shape)) for scale, shape in zip(effects, shapes, strict=True))
    _, low, high = crossed_interval(values, 3)
    # The floor of two degrees of freedom is generous where meta-training seeds hardly differ.
    assert 0.93 < ((low < 0) & (high > 0)).mean() < 0.99


def test_a_level_that_adds_nothing_changes_nothing_and_one_member_is_no_level():
    values = np.random.default_rng(2).normal(size=(4, 5, 20))
    two = crossed_interval(values)
    np.testing.assert_allclose(crossed_interval(values[:, None], 3), two)
    # Equal thetas: their spread is absent, the freedom is that of the fewest members.
    same = crossed_interval(np.broadcast_to(values[:, None], (4, 3, 5, 20)), 3)
    np.testing.assert_allclose(same.mean, two.mean)
    assert (same.high - same.low >= (two.high - two.low) * (1 - 1e-9)).all()


def test_runs_that_differ_widen_the_interval_to_that_of_their_means():
    values = np.array([0.6, 0.7, 0.75])[:, None, None] + np.zeros((3, 5, 20))
    _, low, high = crossed_interval(values, 3)
    expected = stats.t.interval(0.95, 2, 0.41 / 0.6, stats.sem([0.6, 0.7, 0.75]))
    np.testing.assert_allclose([low, high], expected)


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
