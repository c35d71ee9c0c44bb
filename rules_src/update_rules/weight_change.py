"""From what neurons signal to how weights change: the terms, their mix, the bounded step.

Shared by the published and the compact rule (Metz et al. 2019, appendix; conventions as in the released code).
A layer's weights W [lower, upper] lie between a lower and an upper population of units.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rules_src.base_model import Layer

TERMS = (
    "0_order",
    "1_order",
    "decorr_x",
    "hebb",
    "large_decay",
    "lin_lower_symm",
    "lin_upper_psd",
    "lin_upper_symm",
    "rbf",
    "sqr_lower_symm",
    "sqr_upper_symm",
    "w_base",
)
"""The terms that are mixed, in the order of their coefficients."""

UPPER_READOUTS = 8
"""Readouts of the upper units: for 0_order, 1_order, rbf; for both factors of the symmetric upper terms; for psd."""
LOWER_READOUTS = 7
"""Readouts of the lower units: for 0_order, 1_order, rbf; for both factors of the symmetric lower terms."""


class Mix(NamedTuple):
    """How much each of `TERMS` counts."""

    coefficients: Float[Array, "12"]
    offset: Float[Array, ""]


class Change(NamedTuple):
    """What is subtracted, times the inner rate, from a layer's parameters."""

    W: Float[Array, "lower upper"]
    b: Float[Array, " upper"]


def standardise(x: Float[Array, "batch unit"]) -> Float[Array, "batch unit"]:
    """Zero mean and unit variance over the batch."""
    x = x - x.mean(0)
    return x * jax.lax.rsqrt((x**2).mean(0) + 1e-6)


def column_normalised(W: Float[Array, "lower upper"]) -> Float[Array, "lower upper"]:
    """Scale each upper unit's incoming weights to unit root mean square."""
    return W * jax.lax.rsqrt((W**2).mean(0) + 1e-6)


def saturate(c: Float[Array, "*terms lower upper"]) -> Float[Array, "*terms lower upper"]:
    """Bound the root mean square of each column below one, leaving small columns nearly as they are."""
    return c * jax.lax.rsqrt(1.0 + (c**2).mean(-2, keepdims=True))


def weight_terms(
    w: Float[Array, "lower upper"],
    lower_x: Float[Array, "batch lower"],
    upper_x: Float[Array, "batch upper"],
    lower_readouts: Float[Array, "7 rank batch lower"],
    upper_readouts: Float[Array, "8 rank batch upper"],
) -> Float[Array, "12 lower upper"]:
    """The terms, stacked in the order of `TERMS`, before normalisation.

    Args:
        w: column-normalised weights.
        lower_x: post-activations below.
        upper_x: post-activations above.
        lower_readouts: linear readouts of the units below, one block of `rank` channels for each use.
        upper_readouts: the same above.
    """
    batch = len(lower_x)
    low_rank_scale = 1.0 / (batch * lower_readouts.shape[1])
    lower, upper = standardise(lower_x), standardise(upper_x)

    between = low_rank_scale * jnp.einsum("krbl,krbu->klu", lower_readouts[:3], upper_readouts[:3])
    within_lower = low_rank_scale * jnp.einsum("krbl,krbm->klm", lower_readouts[3:5], lower_readouts[5:7])
    second_factor = jnp.concatenate([upper_readouts[6:8], upper_readouts[5:6]])
    within_upper = low_rank_scale * jnp.einsum("krbu,krbv->kuv", upper_readouts[3:6], second_factor)

    lower_lin, lower_sqr = _symmetric(within_lower)
    upper_lin, upper_sqr = _symmetric(within_upper[:2])
    upper_psd = within_upper[2] * upper.shape[1] ** -0.5

    correlation = upper.T @ upper * (1.0 / (batch * upper.shape[1] ** 0.5))
    decorrelation = w @ correlation
    sign, magnitude = jnp.sign(w), jnp.sqrt(1.0 + w**2) - 1.0
    return jnp.stack(
        [
            between[0],
            w * between[1],
            decorrelation * jax.lax.rsqrt((decorrelation**2).mean() + 1e-8),
            -(lower.T @ upper) / batch,
            w**2 * sign,
            lower_lin @ w,
            w @ upper_psd,
            w @ upper_lin,
            jnp.exp(-(w**2)) * between[2],
            (lower_sqr @ magnitude) * sign,
            (magnitude @ upper_sqr) * sign,
            w,
        ]
    )


def _symmetric(products: Float[Array, "2 unit unit"]) -> Float[Array, "2 unit unit"]:
    """Symmetrise, drop the diagonal, scale with the number of units."""
    units = products.shape[-1]
    symmetric = (products + products.transpose(0, 2, 1)) * (0.5 / units) ** 0.5
    return symmetric * (1.0 - jnp.eye(units, dtype=products.dtype))


def mixed_terms(
    terms: Float[Array, "12 lower upper"], w: Float[Array, "lower upper"], mix: Mix
) -> Float[Array, "lower upper"]:
    """Mix the saturated terms into one bounded change.

    What would grow the weights along themselves is taken out, and `w / 7` is subtracted: together with the step's
    decay it holds their scale.
    """
    change = (jnp.tensordot(mix.coefficients, saturate(terms), 1) + mix.offset) / len(TERMS)
    change = (change - w * jax.nn.relu((change * w).mean())) * len(TERMS) ** -0.5
    return saturate(change) - w / 7.0


def bias_change(readout: Float[Array, "batch upper"]) -> Float[Array, " upper"]:
    """Bounded change of the biases: batch mean of a readout, never negative on average over units."""
    change = readout.mean(0)
    change = change + jax.nn.relu(-change.mean())
    return change * jax.lax.rsqrt(0.5 + (change**2).mean())


def step(layer: Layer, forward: Change, backward: Float[Array, "lower upper"], rate: Float[Array, ""]) -> Layer:
    """Shrink every parameter by `rate` and subtract `rate` times its change."""
    keep = 1.0 - rate
    return Layer(
        W=keep * layer.W - rate * forward.W,
        b=keep * layer.b - rate * forward.b,
        V=keep * layer.V - rate * backward,
    )
