"""Accuracy of learners over the number of partitions that train them, and of clusters in each (Hsu et al. 2019)."""

from itertools import product
from pathlib import Path
from typing import Any

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from metaplastic.figures import style
from metaplastic.io.errors import InputError

INPUTS = {"summary": "summary"}
NEEDS = ("learners", "numbers of clusters")
CAPTION = """\
How many partitions and clusters learners need, one row per dataset and number of ways. The vertical axis is the
accuracy (%) on test episodes of learners whose training tasks come from more and more partitions (left), or from
partitions into more and more clusters (right), on logarithmic axes; all else is equal, as the titles say. Colours are
embeddings and marks numbers of shots. Black lines are 95% intervals over episodes for one training each. The dotted
line is the accuracy of guessing.
"""

FEWEST = 3
"""Points that make a curve."""
AXES = {"partitions": "partitions", "clusters": "clusters in each partition"}
"""What varies in each panel."""


def draw(summary: list[Path]) -> Figure:
    """Draw a row of panels per dataset and way, and a curve per embedding, learner and number of shots.

    Args:
        summary: the summary of a study of learners that different numbers of clusters train.

    Raises:
        InputError: there are too few of such numbers, or as for `style.of_trained`.
    """
    results = style.of_trained(summary[0])
    curves = {varied: tables for varied in AXES if (tables := _alike(results, varied))}
    if not curves:
        raise InputError(f"{summary[0]}: give a learner {FEWEST} numbers of partitions or of clusters, all else equal")
    looks = style.embeddings(results)
    learners = style.of_learners([_key(table) for tables in curves.values() for table in tables])
    shots = {number: f"{number}-shot" for number in results["shots"].values.tolist()}
    marks = {name: look["marker"] for name, look in style.of_data(list(shots.values())).items()}
    rows = list(product(results["dataset"].values.tolist(), results["way"].values.tolist()))
    figure = Figure(figsize=(1.5 + 4.5 * len(curves), 0.9 + 3.7 * len(rows)), layout="constrained")
    panels = figure.subplots(len(rows), len(curves), squeeze=False, sharex="col", sharey="row")
    for (dataset, way), of_row in zip(rows, panels, strict=True):
        of_way = results.sel(dataset=dataset, way=way)
        for axes, (varied, tables) in zip(of_row, curves.items(), strict=True):
            for table, number, embedding in product(tables, shots, of_way["embedding"].values.tolist()):
                look = {"marker": marks[shots[number]], "linestyle": learners[_key(table)]["linestyle"]}
                cell = of_way.sel(shots=number, embedding=embedding, learner=table.index)
                _curve(axes, table[varied], cell, color=looks[embedding].colour, **look)
            style.chance_line(axes, 1 / way)
            axes.set_title(f"{dataset}, {way}-way, {_fixed(tables, varied)}")
        of_row[0].set_ylabel("accuracy on test episodes (%)")
        style.percent_axis(of_row[0])
    for axes, (varied, tables) in zip(panels[-1], curves.items(), strict=True):
        ticks = sorted({number for table in tables for number in table[varied].tolist()})
        axes.set(xlabel=AXES[varied], xscale="log")
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
    embeddings = results["embedding"].values.tolist()
    dark = style.DARK
    entries = [style.entry(looks[name].label, linewidth=6, color=looks[name].colour) for name in embeddings]
    entries += [style.entry(name, color=dark, linestyle=look["linestyle"]) for name, look in learners.items()]
    entries += [style.entry(name, color=dark, linestyle="", marker=mark) for name, mark in marks.items()]
    entries.append(style.entry("chance", **style.CHANCE))
    style.entries_above(figure, entries, columns=min(6, len(entries)))
    return figure


def _alike(results: xr.Dataset, varied: str) -> list[Any]:
    """Return each learner's longest table of results that differ in `varied` alone, in its order."""
    columns = ["learner_key", "on_embedding", *AXES]
    table = results[columns].reset_coords()[columns].to_dataframe()
    fixed = [name for name in columns if name != varied]
    # Results that differ in nothing listed here count once.
    trained = table[table["on_embedding"] & (table["clusters"] > 0)].drop_duplicates()
    of_learners = (
        of_learner.groupby(fixed, sort=False) for _, of_learner in trained.groupby("learner_key", sort=False)
    )
    longest = (max((group for _, group in groups), key=len) for groups in of_learners)
    return [group.sort_values(varied) for group in longest if len(group) >= FEWEST]


def _key(table: Any) -> str:
    return str(table["learner_key"].iloc[0])


def _fixed(tables: list[Any], varied: str) -> str:
    """Say what does not vary in a panel."""
    (other,) = (name for name in AXES if name != varied)
    numbers = dict.fromkeys(int(table[other].iloc[0]) for table in tables)
    return f"{' or '.join(f'{number:,}' for number in numbers)} {other}"


def _curve(axes: Axes, numbers: Any, cell: xr.Dataset, **look: Any) -> None:
    means, halves = cell["accuracy"].values, cell["interval"].values
    error: dict[str, Any] = {"yerr": halves, "ecolor": "#202020", "elinewidth": 1.0, "capsize": 3}
    axes.errorbar(numbers, means, markersize=5, linewidth=1.8, **error, **look)
