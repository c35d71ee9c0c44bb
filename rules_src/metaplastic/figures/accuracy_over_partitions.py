"""Accuracy of learners over the number of partitions that train them, and of clusters in each (Hsu et al. 2019)."""

from itertools import product
from pathlib import Path
from typing import Any

import xarray as xr
from matplotlib.figure import Figure

from metaplastic.embeddings.spec import CURVE
from metaplastic.figures import style
from metaplastic.io.errors import InputError
from metaplastic.io.storage import read_netcdf
from metaplastic.results.names import learner_keys

INPUTS = {"summary": "summary"}
NEEDS = ("learners", "numbers of clusters")
CAPTION = """\
How many partitions and clusters learners need, one row per dataset and number of ways. The vertical axis is the
accuracy (%) on test episodes of learners whose training tasks come from more and more partitions (left), or from
partitions into more and more clusters (right), on logarithmic axes; all else is equal, as the titles say. Colours are
embeddings and marks numbers of shots. Black lines are 95% intervals over episodes for one training each. The dotted
line is the accuracy of guessing.
"""

AXES = {"partitions": "partitions", "clusters": "clusters in each partition"}
"""What varies in each panel."""


def draw(summary: list[Path]) -> Figure:
    """Draw a row of panels per dataset and way, and a curve per embedding, learner and number of shots.

    Raises:
        InputError: too few numbers of partitions or clusters train the learners.
    """
    results = read_netcdf(summary[0])
    curves = {varied: tables for varied in AXES if (tables := _alike(results, varied))}
    if not curves:
        raise InputError(f"{summary[0]}: give a learner {CURVE} numbers of partitions or of clusters, all else equal")
    looks = {name: look for name, look in style.embeddings(results).items() if name in results["embedding"].values}
    learners = style.of_learners([learner for tables in curves.values() for learner in tables])
    marks = style.of_data([f"{number}-shot" for number in results["shots"].values])
    rows = list(product(results["dataset"].values.tolist(), results["way"].values.tolist()))
    size = (1.5 + 4.5 * len(curves), 0.9 + 3.7 * len(rows))
    figure, panels = style.grid(len(rows), len(curves), size, sharex="col", sharey="row")
    for (dataset, way), of_row in zip(rows, panels, strict=True):
        of_way = results.sel(dataset=dataset, way=way)
        for axes, (varied, tables) in zip(of_row, curves.items(), strict=True):
            of_shots = list(zip(results["shots"].values, marks.values(), strict=True))
            for (learner, table), (shots, mark), embedding in product(tables.items(), of_shots, looks):
                look = {"marker": mark["marker"], "linestyle": learners[learner]["linestyle"], "markersize": 5}
                look |= {"color": looks[embedding].colour, "linewidth": 1.8, "capsize": 3, **style.INTERVAL}
                cell = of_way.sel(shots=shots, embedding=embedding, learner=table.index)
                axes.errorbar(table[varied], cell["accuracy"].values, yerr=cell["interval"].values, **look)
            style.chance_line(axes, 1 / way)
            (other,) = (name for name in AXES if name != varied)
            fixed = dict.fromkeys(int(table[other].iloc[0]) for table in tables.values())
            axes.set_title(f"{dataset}, {way}-way, {' or '.join(f'{number:,}' for number in fixed)} {other}")
        of_row[0].set_ylabel("accuracy on test episodes (%)")
        style.percent_axis(of_row[0])
    for axes, (varied, tables) in zip(panels[-1], curves.items(), strict=True):
        axes.set(xlabel=AXES[varied], xscale="log")
        style.ticks(axes, sorted({number for table in tables.values() for number in table[varied].tolist()}))
    entries = [style.entry(look.label, linewidth=6, color=look.colour) for look in looks.values()]
    called = learner_keys(results)
    entries += [
        style.entry(called[key], color=style.DARK, linestyle=look["linestyle"]) for key, look in learners.items()
    ]
    entries += [style.entry(name, linestyle="", **{**look, "color": style.DARK}) for name, look in marks.items()]
    style.legend_above(figure, entries, columns=6)
    return figure


def _alike(results: xr.Dataset, varied: str) -> dict[str, Any]:
    """Return each learner's longest table of results that differ in `varied` alone, in its order, by its key."""
    columns = ["learner_key", "on_embedding", *AXES]
    table = results[columns].reset_coords()[columns].to_dataframe()
    # Results that differ in nothing listed here count once.
    trained = table[table["on_embedding"] & (table["clusters"] > 0)].drop_duplicates()
    fixed = [name for name in columns if name != varied]
    longest: dict[str, Any] = {}
    for (learner, *_), group in trained.groupby(fixed, sort=False):
        longest[learner] = max(longest.get(learner, group), group, key=len)
    return {learner: group.sort_values(varied) for learner, group in longest.items() if len(group) >= CURVE}
