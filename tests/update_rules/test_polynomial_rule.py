"""Whether the polynomial rule is its formula, is Oja's at Oja's coefficients, and finds these in what it made."""

from collections.abc import Callable
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array
from metaplastic.network import BaseModel, Layer, initial_base_model
from metaplastic.update_rules import polynomial
from metaplastic.update_rules.oja import OjaRule
from metaplastic.update_rules.polynomial import PolynomialRule, Synapses, build
from metaplastic.update_rules.spec import Polynomial
from scipy.optimize import least_squares
from test_terms import sizes

Update = Callable[[BaseModel, Array], BaseModel]

RATE = 0.1
HEBB = jnp.zeros((3, 3, 3)).at[1, 1, 0].set(RATE)
SUBSPACE = PolynomialRule(HEBB, jnp.array(-RATE))
"""Oja's subspace rule (1989): x y - (what all units return) y."""
SINGLE = PolynomialRule(HEBB.at[0, 2, 1].set(-RATE), jnp.array(0.0))
"""Oja's rule (1982) in every unit by itself: x y - y^2 w."""

VANISHING = np.arange(27).reshape(3, 3, 3)[[1, 0], [0, 1]]
"""Places of the terms of a single first order, in whatever order of the weight."""


def data(key: int, examples: int = 64, inputs: int = 5) -> Array:
    """Skewed and correlated, so that no moment is another's multiple."""
    key_x, key_mix = jax.random.split(jax.random.key(key))
    return jax.random.exponential(key_x, (examples, inputs)) @ jax.random.normal(key_mix, (inputs, inputs))


def drawn(key: int, widths: tuple[int, ...] = (5, 3)) -> BaseModel:
    """With weights of about the size that Oja's rule leads to."""
    phi = initial_base_model(jax.random.key(key), widths)
    return eqx.tree_at(lambda phi: [layer.W for layer in phi.layers], phi, replace_fn=lambda W: 50 * W)


def every_term(size: float = 0.05, *, by_activation: bool = False) -> PolynomialRule:
    """A rule in which no term is zero."""
    theta = size * jax.random.normal(jax.random.key(5), (28,))
    return PolynomialRule(theta[:27].reshape(3, 3, 3), theta[27], by_activation)


def assert_close(a: BaseModel, b: BaseModel, tolerance: float = 1e-10) -> None:
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=tolerance)


def test_a_change_is_the_bounded_mean_of_all_28_terms():
    rng, (batch, lower, upper) = np.random.default_rng(0), (6, 4, 3)
    shapes = (batch, lower), (batch, upper), (lower, upper), (batch, lower)
    with jax.enable_x64(True):
        seen = Synapses(*(jnp.asarray(rng.normal(size=shape)) for shape in shapes))
        rule = every_term()
        found = rule.change(seen)
    below, above, weight, returned = map(np.asarray, seen)
    expected = float(rule.subspace) * (returned[:, :, None] * above[:, None, :]).mean(0)
    for (a, b, c), theta in np.ndenumerate(rule.coefficients):
        expected += theta * (below[:, :, None] ** a * above[:, None, :] ** b).mean(0) * weight**c
    np.testing.assert_allclose(found, expected / np.sqrt(1 + (expected**2).mean(0)), rtol=1e-9)


@pytest.mark.parametrize("by_activation", [False, True])
def test_the_order_of_examples_inputs_and_units_does_not_matter(by_activation: bool):
    with jax.enable_x64(True):
        phi, x, rule = drawn(1, (5, 6, 3)), data(2), every_term(by_activation=by_activation)
        examples, inputs, units = (jax.random.permutation(jax.random.key(6), n) for n in (len(x), 5, 6))
        below, above = phi.layers

        def reordered(below: Layer, above: Layer) -> BaseModel:
            first = Layer(below.W[inputs][:, units], below.b[units], below.V[inputs][:, units])
            return BaseModel((first, Layer(above.W[units], above.b, above.V[units])), phi.activation)

        moved = rule.update(phi, x)
        assert_close(rule.update(phi, x[examples]), moved)
        assert_close(rule.update(reordered(below, above), x[:, inputs]), reordered(*moved.layers))
        # Nothing of this would be seen of a rule that changes nothing.
        assert all(np.abs(new.W - old.W).max() > 1e-3 for new, old in zip(moved.layers, phi.layers, strict=True))


def test_a_step_is_bounded_whatever_theta_is_and_leaves_biases_and_v():
    phi = drawn(1, (5, 4, 3))
    for old, new in zip(phi.layers, every_term(1e4).update(phi, data(2)).layers, strict=True):
        assert np.sqrt((len(old.W) * (new.W - old.W) ** 2).mean(0)).max() < 1.0 + 1e-5
        np.testing.assert_array_equal(new.b, old.b)
        np.testing.assert_array_equal(new.V, old.V)


def test_activities_above_are_the_layer_s_own_where_it_is_asked_for():
    phi, x = drawn(1), data(2)
    hebb = PolynomialRule(HEBB, jnp.array(0.0), by_activation=True)
    below = np.asarray(x - x.mean(0))
    above = np.asarray(phi.features(x))
    above = (above - above.mean(0)) / above.std(0)
    # Three units share a variance of one, five inputs one.
    change = np.sqrt(5) * below.T @ above / np.sqrt((below**2).sum(1).mean() * 3) / len(x)
    change *= RATE / np.sqrt(1 + (RATE**2 * change**2).mean(0)) / np.sqrt(5)
    changed = phi.layers[0].W + change
    np.testing.assert_allclose(hebb.update(phi, x).layers[0].W, changed / np.linalg.norm(changed, axis=0), atol=1e-5)


@pytest.mark.parametrize("wide", [1, 3 * 5, 5 * 20], ids=["a unit at a time", "overlapping blocks", "one block"])
def test_blocks_of_upper_units_change_weights_as_all_at_once(wide: int, monkeypatch: pytest.MonkeyPatch):
    with jax.enable_x64(True):
        phi, x, rule = drawn(1, (5, 20)), data(2), every_term()
        at_once = rule.update(phi, x)
        monkeypatch.setattr(polynomial, "WIDE", wide)
        assert_close(rule.update(phi, x), at_once)


def test_no_more_than_the_weights_and_nine_batches_are_held_of_ten_thousand_units():
    phi = jax.eval_shape(lambda: initial_base_model(jax.random.key(1), (10_000, 10_000)))
    x = jax.ShapeDtypeStruct((64, 10_000), jnp.float32)
    held = sizes(jax.make_jaxpr(build(Polynomial(kind="polynomial"), jax.random.key(0)).update)(phi, x).jaxpr)
    assert max(held) == 10_000 * 10_000


def test_with_oja_s_coefficients_it_is_oja_s_rule():
    phi = drawn(1, (5, 4, 3))
    for ours, theirs in zip(
        SUBSPACE.update(phi, data(2)).layers, OjaRule(RATE).update(phi, data(2)).layers, strict=True
    ):
        # A change is bounded, which takes less than a hundredth from one of this size.
        np.testing.assert_allclose(ours.W, theirs.W, atol=2e-4)
        np.testing.assert_array_equal(ours.V, theirs.V)


def single(phi: BaseModel, x: Array) -> BaseModel:
    """Oja's rule (1982) as he has it, written out for every unit of one layer."""
    (layer,) = phi.layers
    x = x - x.mean(0)
    x = x / jnp.sqrt((x**2).sum(1).mean())
    y = x @ layer.W
    change = jnp.stack([(x.T @ y_j - (y_j**2).sum() * w_j) / len(x) for y_j, w_j in zip(y.T, layer.W.T, strict=True)])
    return BaseModel((layer._replace(W=layer.W + RATE * change.T),), phi.activation)


@pytest.mark.parametrize(("rule", "expected"), [(OjaRule(RATE).update, SUBSPACE), (single, SINGLE)])
def test_it_finds_oja_s_coefficients_in_weights_that_oja_s_rule_has_made(rule: Update, expected: PolynomialRule):
    """From none, by least squares through its own updates, as Confavreux et al. 2020 recover it."""
    # The mean over the batch of what is centred is zero, whatever its coefficient.
    acting = np.nonzero(~np.isin(np.arange(27).reshape(3, 3, 3), VANISHING))
    with jax.enable_x64(True):
        phis = jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(drawn, range(40)))
        batches = jnp.stack([jnp.stack([data(100 * key + step) for step in range(3)]) for key in range(40)])

        def weights(update: Update, phi: BaseModel, batches: Array) -> Array:
            """After each of the batches."""
            made = []
            for batch in batches:
                phi = update(phi, batch)
                made.append(phi.layers[0].W)
            return jnp.stack(made)

        target = eqx.filter_vmap(partial(weights, rule))(phis, batches)

        @jax.jit
        def residuals(theta: Array) -> Array:
            update = PolynomialRule(jnp.zeros((3, 3, 3)).at[acting].set(theta[:-1]), theta[-1]).update
            return (eqx.filter_vmap(partial(weights, update))(phis, batches) - target).reshape(-1)

        found = least_squares(residuals, np.zeros(22), jax.jit(jax.jacfwd(residuals)))
    theta = np.append(np.asarray(expected.coefficients)[acting], expected.subspace)
    # All but two are nothing; what bounds a step is what they are less exact for.
    np.testing.assert_allclose(found.x, theta, atol=0.002 * RATE)
    assert np.count_nonzero(theta) == 2
