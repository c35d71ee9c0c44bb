"""Whether the polynomial rule is Oja's at Oja's coefficients, and finds these in what Oja's rule has made."""

from collections.abc import Callable
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array
from scipy.optimize import least_squares

from rules_src.base_model import BaseModel, initial_base_model
from rules_src.update_rules.hand_made import OjaRule
from rules_src.update_rules.polynomial import PolynomialRule

Update = Callable[[BaseModel, Array], BaseModel]

RATE = 0.1
SUBSPACE = {(1, 1, 0, 0): RATE, (0, 1, 0, 1): -RATE}
"""Oja's subspace rule (1989): x y - (what all units return) y."""
SINGLE = {(1, 1, 0, 0): RATE, (0, 2, 1, 0): -RATE}
"""Oja's rule (1982) in every unit by itself: x y - y^2 w."""

VANISHING = np.arange(81).reshape(3, 3, 3, 3)[[1, 0, 0], [0, 1, 0], :, [0, 0, 1]]
"""Places of the terms of a single first order, in whatever order of the weight."""


def coefficients(terms: dict[tuple[int, ...], float]) -> Array:
    places = jnp.zeros((3, 3, 3, 3))
    for place, value in terms.items():
        places = places.at[place].set(value)
    return places


def data(key: int, examples: int = 64, inputs: int = 5) -> Array:
    """Skewed and correlated, so that no moment is another's multiple."""
    key_x, key_mix = jax.random.split(jax.random.key(key))
    return jax.random.exponential(key_x, (examples, inputs)) @ jax.random.normal(key_mix, (inputs, inputs))


def drawn(key: int, widths: tuple[int, ...] = (5, 3)) -> BaseModel:
    """With weights of about the size that Oja's rule leads to."""
    phi = initial_base_model(jax.random.key(key), widths)
    return eqx.tree_at(lambda phi: [layer.W for layer in phi.layers], phi, replace_fn=lambda W: 50 * W)


def test_with_oja_s_coefficients_it_is_oja_s_rule():
    phi = drawn(1, (5, 4, 3))
    for ours, theirs in zip(
        PolynomialRule(coefficients(SUBSPACE)).update(phi, data(2)).layers,
        OjaRule(RATE).update(phi, data(2)).layers,
        strict=True,
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


@pytest.mark.parametrize(("rule", "terms"), [(OjaRule(RATE).update, SUBSPACE), (single, SINGLE)])
def test_it_finds_oja_s_coefficients_in_weights_that_oja_s_rule_has_made(rule, terms):
    """From none, by least squares through its own updates, as Confavreux et al. 2020 recover it."""
    # The mean over the batch of what is centred is zero, whatever its coefficient.
    acting = np.nonzero(~np.isin(np.arange(81).reshape(3, 3, 3, 3), VANISHING))
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
            update = PolynomialRule(jnp.zeros((3, 3, 3, 3)).at[acting].set(theta)).update
            return (eqx.filter_vmap(partial(weights, update))(phis, batches) - target).reshape(-1)

        found = least_squares(residuals, np.zeros(72), jax.jit(jax.jacfwd(residuals)))
    expected = np.asarray(coefficients(terms))[acting]
    # All but two are nothing; what bounds a step is what they are less exact for.
    np.testing.assert_allclose(found.x, expected, atol=0.002 * RATE)
    assert np.count_nonzero(expected) == 2
