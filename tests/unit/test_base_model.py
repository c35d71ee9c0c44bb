import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rules_src.base_model import ACTIVATIONS, batch_statistics, features_given, initial_base_model


def test_forward_normalises_over_the_batch_and_adds_the_bias() -> None:
    phi = initial_base_model(jax.random.key(0), [6, 5, 3])
    x = jax.random.normal(jax.random.key(1), (40, 6))
    xs, zs = phi.forward(x)
    assert [a.shape for a in xs] == [(40, 6), (40, 5), (40, 3)]
    raw = np.asarray(x) @ np.asarray(phi.layers[0].W)
    expected = (raw - raw.mean(0)) / np.sqrt(raw.var(0) + 1e-6) + np.asarray(phi.layers[0].b)
    np.testing.assert_allclose(zs[0], expected, atol=1e-5)
    np.testing.assert_array_equal(xs[1], np.maximum(zs[0], 0))
    np.testing.assert_array_equal(phi.features(x), xs[-1])


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_features_given_the_statistics_of_their_own_batch_are_those_of_a_forward_pass(activation: str) -> None:
    phi = initial_base_model(jax.random.key(0), [6, 5, 3], activation)
    x = jax.random.normal(jax.random.key(1), (40, 6))
    statistics = batch_statistics(phi, x)
    np.testing.assert_allclose(features_given(phi, statistics, x), phi.features(x), atol=1e-5)
    # Those of other examples are the same whatever is beside them.
    np.testing.assert_allclose(features_given(phi, statistics, x[:1]), phi.features(x)[:1], atol=1e-5)


def test_initial_parameters_have_the_published_scales() -> None:
    phi = initial_base_model(jax.random.key(0), [200, 300, 4])
    W, b, V = phi.layers[0]
    # A normal truncated at two standard deviations has a standard deviation of 0.88.
    assert float(W.std()) == pytest.approx(0.0088, rel=0.02)
    assert float(V.std()) == pytest.approx(0.0088, rel=0.02)
    assert float(b.std()) == pytest.approx(0.088, rel=0.15)
    assert float(jnp.abs(W).max()) <= 0.02
    assert not np.allclose(W, V)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_gives_finite_features_for_constant_inputs(activation: str) -> None:
    phi = initial_base_model(jax.random.key(0), [4, 3], activation)
    assert jnp.isfinite(phi.features(jnp.ones((7, 4)))).all()
