import jax
import jax.numpy as jnp
import numpy as np
import pytest
from metaplastic import network as base_model
from metaplastic.network import ACTIVATIONS, initial_base_model


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


def test_initial_parameters_have_the_published_scales() -> None:
    phi = initial_base_model(jax.random.key(0), [200, 300, 4])
    W, b, V = phi.layers[0]
    # A normal truncated at two standard deviations has a standard deviation of 0.88.
    assert float(W.std()) == pytest.approx(0.0088, rel=0.02)
    assert float(V.std()) == pytest.approx(0.0088, rel=0.02)
    assert float(b.std()) == pytest.approx(0.088, rel=0.15)
    assert float(jnp.abs(W).max()) <= 0.02
    assert not np.allclose(W, V)


@pytest.mark.parametrize("activation", ["relu", "sine"])
def test_features_of_constant_inputs_are_finite(activation: str) -> None:
    phi = initial_base_model(jax.random.key(0), [4, 3], activation)
    assert jnp.isfinite(phi.features(jnp.ones((7, 4)))).all()


def test_activations_are_what_their_names_say() -> None:
    z = np.array([-3.0, -0.5, 0.0, 0.5, 3.0], np.float32)
    expected = {
        "elu": np.where(z > 0, z, np.expm1(z)),
        "sigmoid": 1 / (1 + np.exp(-z)),
        "sine": np.sin(z),
        "step": (z > 0).astype(float),
        "swish": z / (1 + np.exp(-z)),
        "leaky_relu": np.where(z > 0, z, 0.01 * z),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(ACTIVATIONS[name](jnp.asarray(z)), values, atol=1e-6)


def test_a_base_model_draws_its_activation_from_those_given_and_nothing_else_with_it() -> None:
    keys, x = jax.random.split(jax.random.key(0), 40), jax.random.normal(jax.random.key(1), (9, 6))
    drawn = jax.vmap(lambda key: initial_base_model(key, [6, 5, 3], *ACTIVATIONS))(keys)
    assert set(drawn.activation.index.tolist()) == set(range(len(ACTIVATIONS)))
    features = jax.vmap(lambda phi: phi.features(x))(drawn)
    for key, index, found in zip(keys, drawn.activation.index, features, strict=True):
        alone = initial_base_model(key, [6, 5, 3], [*ACTIVATIONS][int(index)])
        np.testing.assert_allclose(found, alone.features(x), atol=1e-6)


@pytest.mark.parametrize("width", [0, 1, 2, 4, 5])
def test_an_array_filled_in_blocks_of_columns_is_what_it_is_at_once(width: int) -> None:
    a, b = jax.random.normal(jax.random.key(1), (4, 6)), jax.random.normal(jax.random.key(2), (6, 5))
    found = base_model.in_blocks(lambda own: a @ own(b), (4, 5), width)
    np.testing.assert_allclose(found, a @ b, atol=1e-6)
