"""Means with 95% intervals: over crossed random levels (meta-training seeds, seeds, draws of labels), over episodes."""

from itertools import combinations
from math import prod
from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float
from scipy.special import ndtri, stdtrit

LEVEL = 0.95

LEVELS = ("meta_seed", "seed", "draw", "draw_over_inner_steps", "episode")
"""Dimensions along which values are random samples."""


class Interval(NamedTuple):
    """A mean and the ends of its 95% interval."""

    mean: Float[np.ndarray, "*rest"]
    low: Float[np.ndarray, "*rest"]
    high: Float[np.ndarray, "*rest"]


def crossed_interval(values: Float[np.ndarray, "*rest_and_levels"], levels: int = 2) -> Interval:
    """Return the mean of `values` over their last `levels` axes, each a random sample, and its interval.

    Analysis of variance with one value per cell: the value is a mean plus an effect of each level and of each set of
    levels together. The mean square of a set S of levels is expected to be the sum, over all sets T that contain S, of
    what T alone contributes; the mean's variance is the sum of all contributions over the number of cells, those below
    zero counted as absent. For seeds and draws that is (MS_seed + MS_draw - MS_remainder) / (seeds * draws). The
    quantile is Student's, with Satterthwaite's degrees of freedom. A level of one member tells nothing about its
    spread and is left out; with one level left it is the ordinary t interval. The test split is fixed: an interval
    tells what other seeds and labels would do, not what other test examples would.

    Raises:
        ValueError: every level has only one member.
    """
    rest, counts = values.shape[:-levels], [count for count in values.shape[-levels:] if count > 1]
    if not counts:
        raise ValueError("an interval needs at least two seeds or two draws")
    cells = values.reshape(-1, *counts).astype(np.float64)
    axes = range(len(counts))
    # Every set of levels except the empty one, larger ones first.
    subsets = [frozenset(of) for size in axes[::-1] for of in combinations(axes, size + 1)]
    squares: dict[frozenset[int], np.ndarray] = {}
    contributions: dict[frozenset[int], np.ndarray] = {}
    freedoms = {of: prod(counts[axis] - 1 for axis in of) for of in subsets}
    for of in subsets:
        above = [contributions[larger] for larger in contributions if larger > of]
        contributions[of] = np.maximum(_mean_square(cells, of) - sum(above), 0.0)
        squares[of] = contributions[of] + sum(above)
    total = sum(contributions.values(), np.zeros(len(cells)))
    spread = sum((squares[of] ** 2 / freedoms[of] for of in squares), np.zeros(len(cells)))
    # Satterthwaite's value is never truly below the smallest sample's; without any variance the width is zero anyway.
    freedom = np.divide(total**2, spread, out=np.zeros_like(total), where=spread > 0)
    freedom = np.maximum(freedom, min(counts) - 1)
    half = stdtrit(freedom, (1 + LEVEL) / 2) * np.sqrt(total / prod(counts))
    mean = cells.mean(tuple(axis + 1 for axis in axes))
    return Interval(*(end.reshape(rest) for end in (mean, mean - half, mean + half)))


def normal_interval(values: Float[np.ndarray, "*rest episode"]) -> Interval:
    """Return the mean of many independent values and 1.96 standard errors on each side, as few-shot learning does."""
    values = values.astype(np.float64)
    mean, error = values.mean(-1, keepdims=True), values.std(-1, keepdims=True) / np.sqrt(values.shape[-1])
    half = ndtri((1 + LEVEL) / 2) * error
    return Interval(mean[..., 0], (mean - half)[..., 0], (mean + half)[..., 0])


def score(values: xr.DataArray) -> xr.Dataset:
    """Return the mean of `values` over every random level that they have, and the ends of its 95% interval.

    Over episodes alone it is a normal interval, otherwise that of crossed random levels. For a difference of paired
    accuracies it is the paired interval.
    """
    levels = [dim for dim in values.dims if dim in LEVELS]
    ordered = values.transpose(..., *levels)
    numbers = ordered.values
    ends = normal_interval(numbers) if levels == ["episode"] else crossed_interval(numbers, len(levels))
    cell = ordered.isel(dict.fromkeys(levels, 0), drop=True)
    return xr.Dataset({name: cell.copy(data=end) for name, end in ends._asdict().items()})


def paired(values: xr.DataArray, reference: xr.DataArray) -> Interval:
    """Return the mean of accuracies less others, and its 95% interval, over the random draws that both have.

    Both have random levels alone, NaN where there is no draw. If one side has a single member of a level, it is
    compared with every member of the other. A single number has an infinite interval.
    """
    difference = draws_of(values) - draws_of(reference)
    if difference.size == 1:
        return Interval(difference.values, *np.array([-np.inf, np.inf]))
    scored = score(difference)
    return Interval(*(scored[end].values for end in Interval._fields))


def draws_of(values: xr.DataArray) -> xr.DataArray:
    """Drop members of random levels that are all NaN, then levels with a single member."""
    for level in [dim for dim in values.dims if dim in LEVELS]:
        values = values.dropna(level, how="all")
        values = values if values.sizes[level] > 1 else values.isel({level: 0}, drop=True)
    return values


def _mean_square(cells: Float[np.ndarray, "rest *levels"], of: frozenset[int]) -> Float[np.ndarray, " rest"]:
    """Return the mean square of the joint effect of the levels `of`, with one cell per combination of members."""
    effect, freedom, repeated = cells, 1, 1
    for axis, count in enumerate(cells.shape[1:]):
        mean = effect.mean(axis + 1, keepdims=True)
        if axis in of:
            effect, freedom = effect - mean, freedom * (count - 1)
        else:
            effect, repeated = mean, repeated * count
    return repeated * (effect**2).sum(tuple(range(1, cells.ndim))) / freedom
