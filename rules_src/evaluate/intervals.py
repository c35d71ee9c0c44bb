"""Means with 95% confidence intervals: over seeds crossed with draws of labelled examples, and over episodes."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

LEVEL = 0.95


class Interval(NamedTuple):
    """A mean and the ends of its 95% interval."""

    mean: Float[np.ndarray, "*rest"]
    low: Float[np.ndarray, "*rest"]
    high: Float[np.ndarray, "*rest"]


def crossed_interval(values: Float[np.ndarray, "*rest seed draw"]) -> Interval:
    """Mean of `values` and its interval when both seeds and draws are random samples and every pair was measured.

    Two-way analysis of variance with one value a cell, `value = mean + seed effect + draw effect + remainder`. The
    variance of the mean is (MS_seed + MS_draw - MS_remainder) / (seeds * draws), where an effect whose mean square is
    below the remainder's counts as absent; the quantile is Student's, with Satterthwaite's degrees of freedom. One
    seed, or one draw, leaves the ordinary t interval over the other. The test split is taken as given: an interval
    tells what other seeds and labels would do, not what other test examples would.

    Raises:
        ValueError: there is but one seed and one draw.
    """
    seeds, draws = values.shape[-2:]
    if seeds * draws == 1:
        raise ValueError("an interval needs at least two seeds or two draws")
    if values.ndim == 2:  # reductions of a single table would give scalars, not arrays
        return Interval(*(np.asarray(part[0]) for part in crossed_interval(values[None])))
    values = values.astype(np.float64)
    mean = values.mean((-2, -1))
    of_seed, of_draw = values.mean(-1), values.mean(-2)
    if seeds == 1 or draws == 1:
        single = of_draw if seeds == 1 else of_seed
        variance = single.var(-1, ddof=1) / single.shape[-1]
        freedom = np.full_like(mean, single.shape[-1] - 1)
    else:
        variance, freedom = _crossed_variance(values, mean, of_seed, of_draw)
    half = stats.t.ppf((1 + LEVEL) / 2, freedom) * np.sqrt(variance)
    return Interval(mean, mean - half, mean + half)


def normal_interval(values: Float[np.ndarray, "*rest episode"]) -> Interval:
    """Mean of many independent values and 1.96 standard errors on each side, as few-shot learning reports it."""
    values = values.astype(np.float64)
    mean, error = values.mean(-1, keepdims=True), values.std(-1, keepdims=True) / np.sqrt(values.shape[-1])
    half = stats.norm.ppf((1 + LEVEL) / 2) * error
    return Interval(mean[..., 0], (mean - half)[..., 0], (mean + half)[..., 0])


def _crossed_variance(
    values: Float[np.ndarray, "*rest seed draw"],
    mean: Float[np.ndarray, "*rest"],
    of_seed: Float[np.ndarray, "*rest seed"],
    of_draw: Float[np.ndarray, "*rest draw"],
) -> tuple[Float[np.ndarray, "*rest"], Float[np.ndarray, "*rest"]]:
    """Variance of the mean and its degrees of freedom."""
    seeds, draws = values.shape[-2:]
    remainder = values - of_seed[..., :, None] - of_draw[..., None, :] + mean[..., None, None]
    ms_remainder = (remainder**2).sum((-2, -1)) / ((seeds - 1) * (draws - 1))
    ms_seed = np.maximum(draws * of_seed.var(-1, ddof=1), ms_remainder)
    ms_draw = np.maximum(seeds * of_draw.var(-1, ddof=1), ms_remainder)
    total = ms_seed + ms_draw - ms_remainder
    spread = ms_seed**2 / (seeds - 1) + ms_draw**2 / (draws - 1) + ms_remainder**2 / ((seeds - 1) * (draws - 1))
    # Satterthwaite's value is never truly below the smaller sample's; without any variance the width is zero anyway.
    freedom = np.divide(total**2, spread, out=np.zeros_like(total), where=spread > 0)
    return total / (seeds * draws), np.maximum(freedom, min(seeds, draws) - 1)
