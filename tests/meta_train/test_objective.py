import jax
import jax.numpy as jnp
import numpy as np
from metaplastic.meta_train.objective import meta_objective, normalised_targets, ridge_readout
from sklearn.linear_model import Ridge


def _batch(seed: int, examples: int = 30, features: int = 7, classes: int = 5) -> tuple[jax.Array, jax.Array]:
    key_x, key_y = jax.random.split(jax.random.key(seed))
    x = jax.random.normal(key_x, (examples, features))
    return x, jax.nn.one_hot(jax.random.randint(key_y, (examples,), 0, classes), classes)


def test_readout_is_ridge_regression_with_a_free_intercept() -> None:
    x, y = _batch(0)
    weights = ridge_readout(x, y, ridge=0.1)
    reference = Ridge(alpha=0.1).fit(np.asarray(x), np.asarray(y))
    np.testing.assert_allclose(weights[:-1].T, reference.coef_, atol=1e-5)
    np.testing.assert_allclose(weights[-1], reference.intercept_, atol=1e-5)


def test_targets_are_centred_and_have_unit_mean_squared_norm() -> None:
    targets = normalised_targets(_batch(1)[1])
    assert abs(float(targets.mean())) < 1e-6
    assert abs(float((targets**2).sum(1).mean()) - 1) < 1e-6


def test_separable_features_score_better_than_noise() -> None:
    (x_a, y_a), (x_b, y_b) = _batch(2), _batch(3)
    assert float(meta_objective(y_a, y_a, y_b, y_b)) < 0.3 < float(meta_objective(x_a, y_a, x_b, y_b))


def test_value_and_gradient_are_finite_for_dead_repeated_and_constant_features() -> None:
    x, y = _batch(4)
    for features in (jnp.zeros_like(x), jnp.ones_like(x), jnp.repeat(x[:, :1], 7, axis=1)):
        value, gradient = jax.value_and_grad(lambda f: meta_objective(f, y, f, y))(features)
        assert jnp.isfinite(value)
        assert jnp.isfinite(gradient).all()
