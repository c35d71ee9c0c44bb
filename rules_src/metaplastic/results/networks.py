"""Base models of a study that differ in one thing alone: hidden layers, units, or the activation."""

from typing import Any

import xarray as xr

SHAPE = ("depth", "width", "activation")
"""Coordinates of base models in a summary."""

FEWEST = 3
"""Base models that make a line of their own."""


def alike(summary: xr.Dataset, varied: str) -> list[Any]:
    """Tables of base models that differ in `varied`, one of `SHAPE`, alone.

    Args:
        summary: with the coordinates of `SHAPE`.
        varied: one of those.

    Returns:
        Data frames over `base_model` with the columns of `SHAPE`, largest first; sizes in ascending order, activations
        in that of the study; the first of equal shapes counts.
    """
    shapes = summary[list(SHAPE)].reset_coords()[list(SHAPE)].to_dataframe().drop_duplicates()
    others = [name for name in SHAPE if name != varied]
    groups = [group for _, group in shapes.groupby(others, sort=False)]
    groups.sort(key=len, reverse=True)
    shown = [group for group in groups if len(group) >= FEWEST] or groups[:1]
    return [group if varied == "activation" else group.sort_values(varied) for group in shown]
