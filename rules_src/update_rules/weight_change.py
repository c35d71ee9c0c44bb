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

    sign, magnitude = jnp.sign(w), jnp.sqrt(1.0 + w**2) - 1.0
    both = jnp.stack([w, magnitude])
    lower_factors, upper_factors = (
        readouts.reshape(len(readouts), -1, readouts.shape[-1]) for readouts in (lower_readouts, upper_readouts)
    )
    lower_lin, lower_sqr = low_rank_scale * symmetric_product(lower_factors[3:5], lower_factors[5:7], both)
    upper_lin, upper_sqr = low_rank_scale * symmetric_product(
        upper_factors[3:5], upper_factors[6:8], both.swapaxes(1, 2)
    ).swapaxes(1, 2)
    root = upper.shape[1] ** -0.5
    upper_psd = low_rank_scale * root * gram_product(upper_factors[5], w.T).T
    decorrelation = root / batch * gram_product(upper, w.T).T
    return jnp.stack(
        [
            between[0],
            w * between[1],
            decorrelation * jax.lax.rsqrt((decorrelation**2).mean() + 1e-8),
            -(lower.T @ upper) / batch,
            w**2 * sign,
            lower_lin,
            upper_psd,
            upper_lin,
            jnp.exp(-(w**2)) * between[2],
            lower_sqr * sign,
            upper_sqr * sign,
            w,
        ]
    )


def gram_product(factor: Float[Array, "place unit"], w: Float[Array, "unit other"]) -> Float[Array, "unit other"]:
    """`factor.T @ factor @ w`, whose matrix between units is formed only where that takes fewer multiplications."""
    (places, units), other = factor.shape, w.shape[1]
    if 2 * places * other < units * (places + other):
        return factor.T @ (factor @ w)
    return factor.T @ factor @ w


def symmetric_product(
    a: Float[Array, "kind place unit"], b: Float[Array, "kind place unit"], w: Float[Array, "kind unit other"]
) -> Float[Array, "kind unit other"]:
    """The matrix between units `a.T @ b`, symmetrised, without its diagonal and scaled with its side, times `w`.

    It is formed only where that takes fewer multiplications, so that many units cost no more than their number.
    """
    (_, places, units), other = a.shape, w.shape[2]
    scale = (0.5 / units) ** 0.5
    if 4 * places * other < units * (places + other):
        there_and_back = a.mT @ (b @ w) + b.mT @ (a @ w)
        return scale * (there_and_back - 2.0 * (a * b).sum(1)[..., None] * w)
    products = a.mT @ b
    symmetric = scale * (products + products.mT)
    return (symmetric * (1.0 - jnp.eye(units, dtype=products.dtype))) @ w


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
