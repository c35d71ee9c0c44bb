"""From what neurons signal to how weights change: the terms, their mix, the bounded step.

Shared by the published and the compact rule (Metz et al. 2019, appendix; conventions as in the released code).
A layer's weights W [lower, upper] lie between a lower and an upper population of units.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from metaplastic.network import Layer, Own, in_blocks

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

WIDE = 2**22
"""Weights of a layer beyond which its terms are held for a block of upper units at a time, of about this many weights.
All twelve at once would be what takes most memory."""


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


def unit_total_variance(x: Float[Array, "batch unit"]) -> Float[Array, "batch unit"]:
    """Zero mean over the batch, and a variance of one summed over units."""
    x = x - x.mean(0)
    return x * jax.lax.rsqrt((x**2).sum(1).mean() + 1e-6)


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

    both = jnp.stack([w, _magnitude(w)])
    lower_factors, upper_factors = _factors(lower_readouts), _factors(upper_readouts)
    symmetric_lower = low_rank_scale * symmetric_product(lower_factors[3:5], lower_factors[5:7], both)
    symmetric_upper = low_rank_scale * symmetric_product(upper_factors[3:5], upper_factors[6:8], both.mT).mT
    root = upper.shape[1] ** -0.5
    upper_psd = low_rank_scale * root * gram_product(upper_factors[5], w.T).T
    decorrelation = root / batch * gram_product(upper, w.T).T
    decorrelation = decorrelation * jax.lax.rsqrt((decorrelation**2).mean() + 1e-8)
    hebb = -(lower.T @ upper) / batch
    return _stacked(w, between, decorrelation, hebb, symmetric_lower, symmetric_upper, upper_psd)


def _stacked(
    w: Float[Array, "lower upper"],
    between: Float[Array, "3 lower upper"],
    decorrelation: Float[Array, "lower upper"],
    hebb: Float[Array, "lower upper"],
    symmetric_lower: Float[Array, "2 lower upper"],
    symmetric_upper: Float[Array, "2 lower upper"],
    upper_psd: Float[Array, "lower upper"],
) -> Float[Array, "12 lower upper"]:
    """The terms in the order of `TERMS`; the symmetric ones come linear in `w` and in its magnitude."""
    sign = jnp.sign(w)
    return jnp.stack(
        [
            between[0],
            w * between[1],
            decorrelation,
            hebb,
            w**2 * sign,
            symmetric_lower[0],
            upper_psd,
            symmetric_upper[0],
            jnp.exp(-(w**2)) * between[2],
            symmetric_lower[1] * sign,
            symmetric_upper[1] * sign,
            w,
        ]
    )


def _factors(readouts: Float[Array, "use rank batch unit"]) -> Float[Array, "use place unit"]:
    """Readouts of low-rank products, to which channels and examples are alike."""
    return readouts.reshape(len(readouts), -1, readouts.shape[-1])


def _magnitude(w: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    return jnp.sqrt(1.0 + w**2) - 1.0


def change_of_wide_layer(
    w: Float[Array, "lower upper"],
    lower_x: Float[Array, "batch lower"],
    upper_x: Float[Array, "batch upper"],
    lower_readouts: Float[Array, "7 rank batch lower"],
    upper_readouts: Float[Array, "8 rank batch upper"],
    mix: Mix,
) -> Float[Array, "lower upper"]:
    """`bounded(mixture(weight_terms(...)))` with the terms of a block of upper units at a time, for `WIDE` layers.

    What a term takes of all upper units at once are products with as many rows as there are examples, found before.
    """
    batch, units = len(lower_x), w.shape[1]
    low_rank_scale, root = 1.0 / (batch * lower_readouts.shape[1]), units**-0.5
    lower, upper = standardise(lower_x), standardise(upper_x)
    lower_factors, upper_factors = _factors(lower_readouts), _factors(upper_readouts)
    a, b, psd = upper_factors[3:5], upper_factors[6:8], upper_factors[5]

    def of_both(factors: Float[Array, "2 place upper"]) -> Float[Array, "2 place lower"]:
        return jnp.stack([factors[0] @ w.T, factors[1] @ _magnitude(w).T])

    a_of_w, b_of_w, psd_of_w, decorrelated = of_both(a), of_both(b), psd @ w.T, upper @ w.T
    # The mean square of upper.T @ decorrelated, from products between examples.
    mean_square = (root / batch) ** 2 * ((upper @ upper.T) * (decorrelated @ decorrelated.T)).sum() / w.size
    decorrelation_scale = root / batch * jax.lax.rsqrt(mean_square + 1e-8)

    def block(own: Own) -> Float[Array, "lower own"]:
        w_own, a_own, b_own = own(w), own(a), own(b)
        both = jnp.stack([w_own, _magnitude(w_own)])
        terms = _stacked(
            w_own,
            low_rank_scale * jnp.einsum("krbl,krbu->klu", lower_readouts[:3], own(upper_readouts[:3])),
            decorrelation_scale * (decorrelated.T @ own(upper)),
            -(lower.T @ own(upper)) / batch,
            low_rank_scale * symmetric_product(lower_factors[3:5], lower_factors[5:7], both),
            low_rank_scale * _symmetric_rows(a_own, b_own, both.mT, a_of_w, b_of_w, units).mT,
            low_rank_scale * root * (psd_of_w.T @ own(psd)),
        )
        return mixture(terms, mix)

    return bounded(in_blocks(block, (len(w), units), WIDE // len(w)), w)


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
    if 4 * places * other < units * (places + other):
        return _symmetric_rows(a, b, w, a @ w, b @ w, units)
    products = a.mT @ b
    symmetric = (0.5 / units) ** 0.5 * (products + products.mT)
    return (symmetric * (1.0 - jnp.eye(units, dtype=products.dtype))) @ w


def _symmetric_rows(
    a: Float[Array, "kind place own"],
    b: Float[Array, "kind place own"],
    w: Float[Array, "kind own other"],
    a_of_w: Float[Array, "kind place other"],
    b_of_w: Float[Array, "kind place other"],
    units: int,
) -> Float[Array, "kind own other"]:
    """Rows of `symmetric_product` of some of all `units`, whose `a`, `b` and `w` these are, without that matrix."""
    there_and_back = a.mT @ b_of_w + b.mT @ a_of_w
    return (0.5 / units) ** 0.5 * (there_and_back - 2.0 * (a * b).sum(1)[..., None] * w)


def mixture(terms: Float[Array, "12 lower upper"], mix: Mix) -> Float[Array, "lower upper"]:
    """Mix the saturated terms into one change."""
    return (jnp.tensordot(mix.coefficients, saturate(terms), 1) + mix.offset) / len(TERMS)


def bounded(change: Float[Array, "lower upper"], w: Float[Array, "lower upper"]) -> Float[Array, "lower upper"]:
    """Bound a change of the weights.

    What would grow the weights along themselves is taken out, and `w / 7` is subtracted: together with the step's
    decay it holds their scale.
    """
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
