"""What lower precision in the update network changes, and what it leaves alone."""

from functools import cache
from importlib import import_module
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from metaplastic.meta_train.window import Window, window_loss
from metaplastic.network import initial_base_model
from metaplastic.update_rules.neuron_local import NeuronLocalRule
from metaplastic.update_rules.spec import Compact, Published

SPECS = {
    "compact": Compact(kind="compact", channels=8),
    "published": Published(kind="published", features=6, channels=8, error_channels=4, rate=0.03),
}
PHI = initial_base_model(jax.random.key(1), [12, 10, 6])
KEYS = jax.random.split(jax.random.key(2), 6)
WINDOW = Window(
    unlabelled=jax.random.normal(KEYS[0], (1, 16, 12)),
    images=jax.random.normal(KEYS[1], (2, 9, 12)),
    targets=jax.nn.one_hot(jnp.arange(18).reshape(2, 9) % 3, 3),
)


def build(kind: str) -> NeuronLocalRule:
    spec = SPECS[kind]
    rule: NeuronLocalRule = import_module(spec.module).build(spec, jax.random.key(0))
    return rule


@pytest.mark.parametrize("kind", SPECS)
def test_the_update_network_in_bfloat16_is_near_that_in_float32_and_so_is_its_gradient(kind: str) -> None:
    rule = build(kind)
    shapes = (16, 12), (16, 12), (rule.error_out.weight.shape[0], 16, 12), (12,), (8, 12)
    signals = [jax.random.normal(key, shape) for key, shape in zip(KEYS, shapes, strict=False)]
    weights = jax.random.normal(KEYS[5], rule.hidden(*signals).shape)

    @eqx.filter_jit
    @eqx.filter_grad(has_aux=True)
    def gradient(rule: NeuronLocalRule) -> Any:
        hidden = rule.hidden(*signals)
        return (weights * hidden).mean(), hidden

    (exact, hidden), (low, low_hidden) = gradient(rule), gradient(rule.with_precision("bfloat16"))
    assert low_hidden.dtype == hidden.dtype == jnp.float32
    assert 1e-4 < np.linalg.norm(low_hidden - hidden) / np.linalg.norm(hidden) < 0.02
    assert {leaf.dtype for leaf in jax.tree.leaves(low)} == {jnp.dtype("float32")}
    exact, low = (np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(g)]) for g in (exact, low))
    assert np.linalg.norm(low - exact) / np.linalg.norm(exact) < 0.1


@cache
def operations(precision: Any) -> list[Any]:
    """Every primitive of an inner step and the meta-objective after it, those inside of others included."""
    rule, found = build("compact").with_precision(precision), []

    def visit(jaxpr: Any) -> None:
        for equation in jaxpr.eqns:
            inner = [each for each in jax.tree.leaves(list(equation.params.values())) if hasattr(each, "eqns")]
            inner += [each.jaxpr for each in equation.params.values() if hasattr(each, "jaxpr")]
            for each in inner:
                visit(each)
            if not inner:
                found.append(equation)

    arrays, static = eqx.partition(rule, eqx.is_array)

    def loss(arrays: NeuronLocalRule) -> Any:
        return window_loss(ridge=0.1)(eqx.combine(arrays, static), PHI, WINDOW)

    visit(jax.make_jaxpr(loss)(arrays).jaxpr)
    return found


def test_only_the_update_network_is_in_bfloat16_and_its_statistics_are_not() -> None:
    assert not [e for e in operations("float32") if any(v.aval.dtype == jnp.bfloat16 for v in e.outvars)]
    low = [e for e in operations("bfloat16") if any(v.aval.dtype == jnp.bfloat16 for v in e.invars)]
    names = {equation.primitive.name for equation in low}
    assert names & {"dot_general", "conv_general_dilated"}
    # The readout's solve, every weight term, the base model and all statistics see float32 alone.
    assert not names & {"cholesky", "triangular_solve", "rsqrt", "exp", "sign", "logistic"}
    phi = eqx.filter_eval_shape(build("compact").with_precision("bfloat16").update, PHI, WINDOW.unlabelled[0])
    assert {leaf.dtype for leaf in jax.tree.leaves(phi)} == {jnp.dtype("float32")}


def test_tensorfloat32_is_asked_for_in_the_update_network_alone() -> None:
    def asked(precision: str) -> list[str]:
        return [str(e.params["precision"]) for e in operations(precision) if "precision" in e.params]

    assert not [p for p in asked("float32") if "HIGH," in p]
    # JAX's name for it.
    within = [p for p in asked("tensorfloat32") if "HIGH," in p]
    assert 0 < len(within) < len(asked("tensorfloat32"))
