import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from metaplastic.config.base import parse_spec
from metaplastic.network import initial_base_model, of_unit_length, standardise
from metaplastic.update_rules.base import UpdateRule
from metaplastic.update_rules.spec import Initial
from metaplastic.update_rules.theta import built_rule


def _rule(kind: str) -> UpdateRule:
    rule: UpdateRule = built_rule(parse_spec(Initial, json.dumps({"kind": kind})), jax.random.key(0))
    return rule


def _data(examples: int = 400) -> jax.Array:
    """Variance concentrated in two of six directions."""
    scales = jnp.array([3.0, 2.0, 0.3, 0.2, 0.1, 0.1])
    rotation = jnp.linalg.qr(jax.random.normal(jax.random.key(1), (6, 6)))[0]
    return (jax.random.normal(jax.random.key(2), (examples, 6)) * scales) @ rotation


def _trained(rule: UpdateRule, steps: int) -> jax.Array:
    x, phi = _data(), initial_base_model(jax.random.key(3), [6, 2])
    return jax.lax.fori_loop(0, steps, lambda _, phi: rule.update(phi, x), phi).layers[0].W


def test_oja_finds_the_principal_subspace_with_orthonormal_weights() -> None:
    W = np.asarray(_trained(_rule("oja"), 3000))
    x = np.asarray(_data())
    principal = np.linalg.eigh(np.cov(x.T))[1][:, -2:]
    np.testing.assert_allclose(W.T @ W, np.eye(2), atol=1e-2)
    np.testing.assert_allclose(np.linalg.svd(W.T @ principal)[1], 1.0, atol=1e-3)


def test_sanger_finds_the_principal_components_in_order() -> None:
    W, x = np.asarray(_trained(_rule("sanger"), 5000)), np.asarray(_data())
    principal = np.linalg.eigh(np.cov(x.T))[1][:, :-3:-1]
    np.testing.assert_allclose(np.abs(principal.T @ W), np.eye(2), atol=2e-2)


def _clusters() -> tuple[jax.Array, np.ndarray]:
    """Three tight clusters, and the cluster of each example."""
    which = np.arange(300) % 3
    return jnp.asarray(np.eye(6)[which] + np.random.default_rng(0).normal(0, 0.05, (300, 6)), jnp.float32), which


def test_a_single_unit_has_no_other_to_compete_with() -> None:
    phi = initial_base_model(jax.random.key(0), [6, 1])
    x = jax.random.normal(jax.random.key(1), (8, 6))
    change = _rule("competing").update(phi, x).layers[0].W - of_unit_length(phi.layers[0].W, axis=0)
    assert float(jnp.abs(change).max()) > 0


@pytest.mark.parametrize("kind", ["competing", "soft-hebb", "bcm"])
def test_competing_and_selective_units_come_to_answer_to_one_cluster_each(kind: str) -> None:
    (x, which), rule = _clusters(), _rule(kind)
    phi = initial_base_model(jax.random.key(3), [6, 12])
    W = jax.jit(lambda phi: jax.lax.fori_loop(0, 2000, lambda _, p: rule.update(p, x), phi))(phi).layers[0].W
    np.testing.assert_allclose(jnp.linalg.norm(W, axis=0), 1, rtol=1e-5)
    means = np.stack([np.asarray(of_unit_length(standardise(x)) @ W)[which == cluster].mean(0) for cluster in range(3)])
    preferred = means.argmax(0)
    others = np.sort(means, 0)[-2]
    assert set(preferred) == {0, 1, 2}
    assert np.median(means.max(0) - others) > 0.5


@pytest.mark.parametrize("kind", ["sanger", "competing", "soft-hebb", "bcm"])
def test_the_order_of_examples_changes_no_update(kind: str) -> None:
    x, phi, rule = _data(64), initial_base_model(jax.random.key(3), [6, 8, 4]), _rule(kind)
    forward, backward = rule.update(phi, x), rule.update(phi, x[::-1])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), forward.layers, backward.layers)
    assert all(not np.allclose(a.W, b.W) for a, b in zip(forward.layers, phi.layers, strict=True))


def test_hebb_keeps_weights_normalised_and_follows_the_strongest_correlation() -> None:
    W = np.asarray(_trained(_rule("hebb"), 300))
    np.testing.assert_allclose((W**2).mean(0), 1.0, atol=1e-3)
    x = np.asarray(_data())
    correlation = np.corrcoef(x.T)
    leading = np.linalg.eigh(correlation)[1][:, -2:]
    explained = ((leading.T @ W) ** 2).sum(0) / (W**2).sum(0)
    assert explained.min() > 0.8


def test_identity_changes_nothing() -> None:
    phi = initial_base_model(jax.random.key(3), [6, 4, 2])
    moved = _rule("identity").update(phi, _data())
    for a, b in zip(jax.tree.leaves(moved), jax.tree.leaves(phi), strict=True):
        np.testing.assert_array_equal(a, b)
