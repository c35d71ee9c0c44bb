"""A trained base model in NumPy computes what it computes in JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from metaplastic import network, perceptron
from metaplastic.network import initial_base_model
from metaplastic.perceptron import ACTIVATIONS, Parameters, Perceptron, slices
from scipy.sparse import csr_array


def _pair(activation: str) -> tuple[network.BaseModel, Perceptron]:
    phi = initial_base_model(jax.random.key(0), [6, 5, 3], activation)
    layers = tuple(Parameters(*map(np.asarray, layer)) for layer in phi.layers)
    return phi, Perceptron(layers, (), activation)


def test_the_activations_are_those_of_the_network() -> None:
    assert ACTIVATIONS.keys() == network.ACTIVATIONS.keys()


@pytest.mark.parametrize("activation", ["relu", "sine"])
def test_features_by_the_statistics_of_their_own_batch_are_those_of_a_forward_pass(activation: str) -> None:
    phi, fitted = _pair(activation)
    x = np.asarray(jax.random.normal(jax.random.key(1), (40, 6)))
    fitted = fitted.with_statistics(lambda: (x[rows] for rows in (slice(0, 7), slice(7, 8), slice(8, 40))))
    expected = phi.features(jnp.asarray(x))
    np.testing.assert_allclose(fitted.features(x), expected, atol=1e-5)
    # Those of other examples are the same whatever is beside them.
    np.testing.assert_allclose(fitted.features(x[:1]), expected[:1], atol=1e-5)
    np.testing.assert_allclose(fitted.features(csr_array(x)), expected, atol=1e-5)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_far_from_zero_are_those_of_jax_and_warn_of_nothing(name: str) -> None:
    z = np.array([-3e38, -1e4, -90, -20, -3, -0.5, 0, 0.5, 3, 20, 90, 1e4, 3e38], np.float32)
    expected = network.ACTIVATIONS[name](jnp.asarray(z))
    np.testing.assert_allclose(ACTIVATIONS[name](z.copy()), expected, rtol=1e-6, atol=1e-6)


def test_statistics_are_exact_where_the_mean_is_far_from_zero() -> None:
    x = np.random.default_rng(0).normal(1e3, 1, (10_000, 1)).astype(np.float32)
    one = Perceptron((Parameters(np.ones((1, 1), np.float32), np.zeros(1, np.float32), np.zeros((1, 1))),), (), "relu")
    (found,) = one.with_statistics(lambda: np.array_split(x, 7)).statistics
    np.testing.assert_allclose([found.mean[0], found.variance[0]], [x.mean(dtype=float), x.var(dtype=float)], rtol=1e-6)


def test_slices_hold_every_row_once_and_bound_every_layer() -> None:
    rows = slices(1000, [10, perceptron.CHUNK // 300])
    assert np.concatenate([np.arange(1000)[part] for part in rows]).tolist() == list(range(1000))
    assert max(part.stop - part.start for part in rows) == 300
    assert slices(2, [10 * perceptron.CHUNK]) == [slice(0, 1), slice(1, 2)]
