"""The twelve terms of a weight change, their mix, and the bounds of a step (Metz et al. 2019, appendix).

The published and the compact rule share them; conventions are those of the released code. The weights W [lower, upper]
of a layer lie between a lower and an upper population of units.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from metaplastic.network import Own, Weights, in_blocks, standardise

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
"""The terms in the order of their coefficients."""

LOWER_READOUTS, UPPER_READOUTS = 7, 8
"""Number of readouts that `Signals` below and above a layer hold."""

WIDE = 2**22
"""Number of weights beyond which a layer's terms are computed for a block of upper units at a time, of about this many
weights. All twelve terms of all weights would take more memory than anything else."""


class Mix(NamedTuple):
    """Weight of each of `TERMS`."""

    coefficients: Float[Array, "12"]
    offset: Float[Array, ""]


class Signals(NamedTuple):
    """Post-activations of the units below or above a layer, and what their hidden channels read out for each term.

    A readout has several channels in every example; a sample is one channel in one example.
    """

    x: Float[Array, "batch unit"]
    between: Float[Array, "3 rank batch unit"]
    """Factors of the products in `0_order`, `1_order` and `rbf`."""
    symmetric_a: Float[Array, "2 sample unit"]
    """First factors of the symmetric matrices in the linear and in the square term of this side."""
    psd: Any
    """Factor [sample, unit] of the positive semidefinite matrix in `lin_upper_psd`; None below, which has one less."""
    symmetric_b: Float[Array, "2 sample unit"]
    """Second factors of the symmetric matrices."""

    @classmethod
    def of(cls, x: Float[Array, "batch unit"], readouts: Float[Array, "channel place"], count: int) -> "Signals":
        """Name the `count` readouts, which are stacked along channels in the order of the fields."""
        stacked = readouts.reshape(count, -1, *x.shape)
        samples = stacked.reshape(count, -1, x.shape[1])
        return cls(x, stacked[:3], samples[3:5], samples[5] if count == UPPER_READOUTS else None, samples[-2:])


def unit_total_variance(x: Float[Array, "batch unit"]) -> Float[Array, "batch unit"]:
    """Shift units to zero mean over the batch; scale all alike, so that their variances sum to one."""
    x = x - x.mean(0)
    return x * jax.lax.rsqrt((x**2).sum(1).mean() + 1e-6)


def column_normalised(W: Weights) -> Weights:
    """Scale each upper unit's incoming weights to unit root mean square."""
    return W * jax.lax.rsqrt((W**2).mean(0) + 1e-6)


def saturate(c: Float[Array, "*terms lower upper"]) -> Float[Array, "*terms lower upper"]:
    """Bound the root mean square of each column below one; small columns stay nearly as they are."""
    return c * jax.lax.rsqrt(1.0 + (c**2).mean(-2, keepdims=True))


def weight_change(w: Weights, lower: Signals, upper: Signals, mix: Mix) -> Weights:
    """Return the bounded change of the column-normalised weights `w`."""
    terms = terms_of_block(w, lower, upper)
    return bounded(in_blocks(lambda own: mixture(terms(own), mix), (len(w), w.shape[1]), WIDE // len(w)), w)


def weight_terms(w: Weights, lower: Signals, upper: Signals) -> Float[Array, "12 lower upper"]:
    """Return the terms for the column-normalised weights `w`, stacked in the order of `TERMS`, not yet saturated."""
    return terms_of_block(w, lower, upper)(lambda of_all: of_all)


def terms_of_block(w: Weights, lower: Signals, upper: Signals) -> Callable[[Own], Float[Array, "12 lower own"]]:
    """Return the function that computes `weight_terms` for a block of upper units.

    Some terms sum over all upper units. For a `WIDE` layer these sums are computed once, before the blocks, as products
    with a row per sample. Any other layer is a single block, which takes the cheaper order of products.
    """
    (batch, units), scale, root = upper.x.shape, 1.0 / len(upper.psd), w.shape[1] ** -0.5
    lower_x, upper_x = standardise(lower.x), standardise(upper.x)
    a, b, psd, wide = upper.symmetric_a, upper.symmetric_b, upper.psd, w.size > WIDE

    def magnitude(w: Array) -> Array:
        return jnp.sqrt(1.0 + w**2) - 1.0

    if wide:
        a_w, b_w = (jnp.stack([factor[0] @ w.T, factor[1] @ magnitude(w).T]) for factor in (a, b))
        psd_w, x_w = psd @ w.T, upper_x @ w.T
        mean_square = (root / batch) ** 2 * ((upper_x @ upper_x.T) * (x_w @ x_w.T)).sum() / w.size

    def block(own: Own) -> Float[Array, "12 lower own"]:
        w_own = own(w)
        between = scale * jnp.einsum("krbl,krbu->klu", lower.between, own(upper.between))
        both = jnp.stack([w_own, magnitude(w_own)])
        symmetric_lower = scale * symmetric_product(lower.symmetric_a, lower.symmetric_b, both)
        if wide:
            symmetric = _symmetric_rows(own(a), own(b), both.mT, a_w, b_w, units)
            positive, correlated = own(psd).T @ psd_w, own(upper_x).T @ x_w
            symmetric_upper, upper_psd = scale * symmetric.mT, scale * root * positive.T
            decorrelation, size = root / batch * correlated.T, mean_square
        else:
            symmetric_upper = scale * symmetric_product(a, b, both.mT).mT
            upper_psd = scale * root * gram_product(psd, w.T).T
            decorrelation = root / batch * gram_product(upper_x, w.T).T
            size = (decorrelation**2).mean()
        decorrelation = decorrelation * jax.lax.rsqrt(size + 1e-8)
        hebb = -(lower_x.T @ own(upper_x)) / batch
        sign = jnp.sign(w_own)
        terms = {
            "0_order": between[0],
            "1_order": w_own * between[1],
            "decorr_x": decorrelation,
            "hebb": hebb,
            "large_decay": w_own**2 * sign,
            "lin_lower_symm": symmetric_lower[0],
            "lin_upper_psd": upper_psd,
            "lin_upper_symm": symmetric_upper[0],
            "rbf": jnp.exp(-(w_own**2)) * between[2],
            "sqr_lower_symm": symmetric_lower[1] * sign,
            "sqr_upper_symm": symmetric_upper[1] * sign,
            "w_base": w_own,
        }
        return jnp.stack([terms[name] for name in TERMS])

    return block


def gram_product(factor: Float[Array, "sample unit"], w: Float[Array, "unit other"]) -> Float[Array, "unit other"]:
    """Return `factor.T @ factor @ w`; form the matrix between units only where that takes fewer multiplications."""
    (samples, units), other = factor.shape, w.shape[1]
    if 2 * samples * other < units * (samples + other):
        return factor.T @ (factor @ w)
    return factor.T @ factor @ w


def symmetric_product(
    a: Float[Array, "kind sample unit"], b: Float[Array, "kind sample unit"], w: Float[Array, "kind unit other"]
) -> Float[Array, "kind unit other"]:
    """Symmetrise the matrix between units `a.T @ b`, clear its diagonal, scale it with its side, multiply it with `w`.

    The matrix is formed only where that takes fewer multiplications, so that the cost grows no faster than the units.
    """
    (_, samples, units), other = a.shape, w.shape[2]
    if 4 * samples * other < units * (samples + other):
        return _symmetric_rows(a, b, w, a @ w, b @ w, units)
    products = a.mT @ b
    symmetric = (0.5 / units) ** 0.5 * (products + products.mT)
    return (symmetric * (1.0 - jnp.eye(units, dtype=products.dtype))) @ w


def _symmetric_rows(a: Array, b: Array, w: Array, a_w: Array, b_w: Array, units: int) -> Array:
    """Return the rows [kind, own, other] of `symmetric_product` that belong to some of all `units`; form no matrix.

    The arrays `a`, `b` and `w` are of these own units alone; `a_w` and `b_w` are the products over all units.
    """
    there_and_back = a.mT @ b_w + b.mT @ a_w
    return (0.5 / units) ** 0.5 * (there_and_back - 2.0 * (a * b).sum(1)[..., None] * w)


def mixture(terms: Float[Array, "12 lower upper"], mix: Mix) -> Weights:
    """Mix the saturated terms into one change."""
    return (jnp.tensordot(mix.coefficients, saturate(terms), 1) + mix.offset) / len(TERMS)


def bounded(change: Weights, w: Weights) -> Weights:
    """Bound a change of the weights: take out what would shrink them along themselves, and subtract `w / 7`.

    A step subtracts the change, so the weights grow by a share of `w / 7`; the decay in each step keeps their scale.
    """
    change = (change - w * jax.nn.relu((change * w).mean())) * len(TERMS) ** -0.5
    return saturate(change) - w / 7.0


def bias_change(readout: Float[Array, "batch upper"]) -> Float[Array, " upper"]:
    """Return the bounded change of the biases: the batch mean of a readout, never negative on average over units."""
    change = readout.mean(0)
    change = change + jax.nn.relu(-change.mean())
    return change * jax.lax.rsqrt(0.5 + (change**2).mean())
