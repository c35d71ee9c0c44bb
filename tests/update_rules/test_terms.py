"""Matrices between the units of one level are formed where that is cheaper, so that cost grows with the units."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from metaplastic.network import initial_base_model
from metaplastic.update_rules import terms
from metaplastic.update_rules.compact import build
from metaplastic.update_rules.spec import Compact
from metaplastic.update_rules.terms import (
    Mix,
    Signals,
    bounded,
    gram_product,
    mixture,
    symmetric_product,
    weight_change,
    weight_terms,
)

PLACES, OTHER = 6, 5
SPEC = Compact(kind="compact", channels=2, error_channels=1, readout_channels=1)
BATCH = 8


def sizes(jaxpr: Any) -> list[int]:
    """Return the size of every array that is computed, including those inside functions."""
    inner = [each for e in jaxpr.eqns for each in jax.tree.leaves(list(e.params.values())) if hasattr(each, "eqns")]
    inner += [each.jaxpr for e in jaxpr.eqns for each in e.params.values() if hasattr(each, "jaxpr")]
    found = [variable.aval.size for equation in jaxpr.eqns for variable in equation.outvars]
    return found + [size for each in inner for size in sizes(each)]


@pytest.mark.parametrize("units", [4, 40], ids=["formed", "factored"])
def test_products_are_what_their_formulas_say_and_only_small_matrices_are_formed(units: int) -> None:
    rng = np.random.default_rng(0)
    a, b, w = (rng.normal(size=s) for s in ((2, PLACES, units), (2, PLACES, units), (2, units, OTHER)))
    with jax.enable_x64(True):
        symmetric = symmetric_product(*map(jnp.asarray, (a, b, w)))
        gram = gram_product(jnp.asarray(a[0]), jnp.asarray(w[0]))
        traced = jax.make_jaxpr(lambda a, b, w: (symmetric_product(a, b, w), gram_product(a[0], w[0])))(a, b, w)
    for kind in range(2):
        matrix = a[kind].T @ b[kind]
        matrix = (matrix + matrix.T) / np.sqrt(2 * units)
        np.fill_diagonal(matrix, 0)
        np.testing.assert_allclose(symmetric[kind], matrix @ w[kind], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(gram, a[0].T @ a[0] @ w[0], rtol=1e-10, atol=1e-12)
    assert max(sizes(traced.jaxpr)) == a.size


@pytest.mark.parametrize("widths", [lambda n: (n, 4), lambda n: (6, n, 3)], ids=["inputs", "hidden units"])
def test_an_inner_step_costs_in_proportion_to_its_inputs_and_to_its_hidden_units(widths: Any) -> None:
    rule = build(SPEC, jax.random.key(0))

    def cost(units: int) -> tuple[float, int]:
        phi = jax.eval_shape(lambda: initial_base_model(jax.random.key(1), widths(units)))
        x = jax.ShapeDtypeStruct((BATCH, widths(units)[0]), jnp.float32)
        step = jax.jit(lambda phi, x: rule.update(phi, x)).trace(phi, x)
        counted: Any = step.lower().cost_analysis()
        return counted["flops"], max(sizes(step.jaxpr.jaxpr))

    (flops, largest), (twice, largest_twice) = cost(1_000), cost(2_000)
    assert 1.9 < twice / flops < 2.1
    assert largest_twice <= 2 * largest


@pytest.mark.parametrize("wide", [1, 3 * 7, 7 * 20], ids=["a unit at a time", "overlapping blocks", "one block"])
def test_blocks_of_upper_units_change_weights_as_all_at_once(wide: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lower, upper, rank = 7, 20, 2
    rng = np.random.default_rng(0)
    shapes = (lower, upper), (BATCH, lower), (BATCH, upper), (7 * rank, BATCH * lower), (8 * rank, BATCH * upper)
    with jax.enable_x64(True):
        w, lower_x, upper_x, *readouts = (jnp.asarray(rng.normal(size=shape)) for shape in shapes)
        signals = Signals.of(lower_x, readouts[0], 7), Signals.of(upper_x, readouts[1], 8)
        mix = Mix(jnp.asarray(rng.normal(size=12)), jnp.asarray(0.3))
        expected = bounded(mixture(weight_terms(w, *signals), mix), w)
        without = Mix(mix.coefficients.at[2].set(0), mix.offset)
        other = bounded(mixture(weight_terms(w, *signals), without), w)
        monkeypatch.setattr(terms, "WIDE", wide)
        found = jax.jit(weight_change)(w, *signals, mix)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)
    # Every term counts that much.
    assert np.abs(other - expected).max() > 1e-3


def test_no_more_than_a_block_s_terms_are_held_of_a_wide_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, units = 100, 60
    rule = build(SPEC, jax.random.key(0))
    phi = jax.eval_shape(lambda: initial_base_model(jax.random.key(1), (inputs, units, 3)))
    x = jax.ShapeDtypeStruct((BATCH, inputs), jnp.float32)

    def largest() -> int:
        return max(sizes(jax.make_jaxpr(rule.update)(phi, x).jaxpr))

    assert largest() == 12 * inputs * units
    monkeypatch.setattr(terms, "WIDE", 4 * inputs)
    assert largest() == inputs * units


def test_a_change_that_would_shrink_weights_along_themselves_is_taken_out_and_one_that_grows_them_is_kept() -> None:
    w = np.random.default_rng(0).normal(size=(30, 4))
    w = jnp.asarray(w / np.sqrt((w**2).mean()), jnp.float32)
    along = w * len(terms.TERMS) ** -0.5
    # A step subtracts the change.
    np.testing.assert_allclose(bounded(w, w), -w / 7, atol=1e-5)
    np.testing.assert_allclose(bounded(-w, w), -terms.saturate(along) - w / 7, atol=1e-5)
