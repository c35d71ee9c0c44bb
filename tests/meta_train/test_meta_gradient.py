"""The meta-objective's gradient through an unroll, against finite differences, for every part of every learned rule."""

from collections.abc import Callable
from functools import cache
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from metaplastic.meta_train.objective import meta_objective
from metaplastic.meta_train.window import unroll
from metaplastic.network import BaseModel, initial_base_model
from metaplastic.update_rules import compact, polynomial, published
from metaplastic.update_rules.base import MetaTrainable
from metaplastic.update_rules.spec import Compact, Learned, Polynomial, Published

STEPS, EPSILON = 3, 1e-6
RULES = {
    "compact": (compact, Compact(kind="compact", channels=6, error_channels=3, readout_channels=2)),
    # A step of the published size would leave no trace above rounding.
    "published": (
        published,
        Published(kind="published", features=4, channels=5, error_channels=3, readout_channels=2, rate=0.05),
    ),
    "published, V by its own readouts": (
        published,
        Published(
            kind="published", features=4, channels=5, error_channels=3, readout_channels=2, rate=0.05,
            shared_backward=False,
        ),
    ),
    "polynomial": (polynomial, Polynomial(kind="polynomial")),
    "polynomial, of activations": (polynomial, Polynomial(kind="polynomial", above="activation")),
}  # fmt: skip


def _rule(module: ModuleType, spec: Learned) -> MetaTrainable:
    """Random offsets too, so that no symmetry hides a mistake."""
    leaves, structure = jax.tree.flatten(module.build(spec, jax.random.key(3)))
    keys = jax.random.split(jax.random.key(4), len(leaves))
    noisy = [leaf + 0.3 * jax.random.normal(k, leaf.shape, leaf.dtype) for k, leaf in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, noisy)


def _setting(*, dead: bool) -> tuple[BaseModel, jax.Array]:
    phi = initial_base_model(jax.random.key(1), (5, 4, 4))
    x = jax.random.uniform(jax.random.key(2), (8, 5))
    if dead:
        x = x.at[:, 0].set(0.5)
        silent = phi.layers[0]._replace(b=phi.layers[0].b.at[1].set(-9.0))
        phi = BaseModel((silent, phi.layers[1]), phi.activation)
    return phi, x


@cache
def _loss_and_gradient(name: str) -> tuple[Callable[..., tuple[jax.Array, list[jax.Array]]], list[jax.Array]]:
    """Compiled once for all settings, as a function of theta's leaves, which come second."""
    leaves, structure = jax.tree.flatten(_rule(*RULES[name]))

    def loss(leaves: list[jax.Array], phi: BaseModel, x: jax.Array) -> jax.Array:
        targets = jax.nn.one_hot(jnp.arange(8) % 3, 3)
        batches = jnp.stack([x * (0.8 + 0.1 * step) for step in range(STEPS)])
        features = unroll(jax.tree.unflatten(structure, leaves), phi, batches).features(x)
        return meta_objective(features, targets, features[::-1], targets[::-1])

    return jax.jit(jax.value_and_grad(loss)), leaves


@pytest.mark.parametrize("dead", [False, True], ids=["alive", "dead unit and constant input"])
# Recorded numbers tell of the published rule too.
@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n == "published")) for n in RULES])
def test_it_agrees_with_finite_differences(name: str, dead: bool) -> None:
    with jax.enable_x64(True):
        (loss_and_gradient, leaves), setting = _loss_and_gradient(name), _setting(dead=dead)
        _, slopes = loss_and_gradient(leaves, *setting)
        assert all(jnp.isfinite(slope).all() for slope in slopes)
        for index, (leaf, slope) in enumerate(zip(leaves, slopes, strict=True)):
            direction = jax.random.normal(jax.random.key(index), leaf.shape)
            moved = ([*leaves[:index], leaf + by * direction, *leaves[index + 1 :]] for by in (EPSILON, -EPSILON))
            above, below = (loss_and_gradient(of_both, *setting)[0] for of_both in moved)
            numerical = (above - below) / (2 * EPSILON)
            np.testing.assert_allclose((slope * direction).sum(), numerical, rtol=1e-5, atol=1e-8)
