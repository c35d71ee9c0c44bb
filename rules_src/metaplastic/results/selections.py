"""What figures, tables and claims pick from summaries."""

from typing import Any

import xarray as xr

from metaplastic.embeddings.spec import CURVE

INITIAL = "identity"
"""Kind of the method that the others are compared with: the base model with its initial weights."""

TABLE_READOUT = "logistic-regression"
"""Readout that tables and claims show."""

NONE = "none"
"""Embedding of a learner that needs none."""

SHAPE = ("depth", "width", "activation")
"""Coordinates of base models in a summary."""


def alike(summary: xr.Dataset, varied: str) -> list[Any]:
    """Return data frames of the base models that differ only in `varied`, one of the summary's coordinates `SHAPE`.

    They are over `base_model`, have the columns of `SHAPE`, and the largest is first. Sizes ascend, activations keep
    the order of the study. If shapes are equal, the first counts.
    """
    shapes = summary[list(SHAPE)].reset_coords()[list(SHAPE)].to_dataframe().drop_duplicates()
    others = [name for name in SHAPE if name != varied]
    groups = [group for _, group in shapes.groupby(others, sort=False)]
    groups.sort(key=len, reverse=True)
    shown = [group for group in groups if len(group) >= CURVE] or groups[:1]
    return [group if varied == "activation" else group.sort_values(varied) for group in shown]


def judged_steps(summary: xr.Dataset, rule: str) -> list[tuple[str, int]]:
    """Return when a rule's networks are judged: `early`, the first recorded inner step after 0, and `late`, the last.

    If there is only one, it is early.
    """
    known = summary["accuracy_over_inner_steps"].sel(representation=rule)
    steps = known.dropna("inner_step", how="all")["inner_step"].values.tolist()
    learning = [step for step in steps if step] or steps
    return list(zip(("early", "late"), dict.fromkeys((learning[0], learning[-1])), strict=False))


def of_embeddings(of_learner: xr.Dataset) -> dict[str, xr.Dataset]:
    """Return a learner's results by embedding, where it has any; under `none` alone if it needs no embedding."""
    found = {e: of_learner.sel(embedding=e) for e in of_learner["embedding"].values.tolist()}
    found = {e: cell for e, cell in found.items() if bool(cell["accuracy"].notnull().any())}
    # A learner that needs no embedding has the same results under each.
    return found if of_learner["on_embedding"] else {NONE: next(iter(found.values()))} if found else {}
