"""Accuracy of few-shot learners on episodes, by embedding, ways and shots (Hsu et al. 2019, Tables 8 and 9)."""

from itertools import product
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from metaplastic.figures import style
from metaplastic.io.storage import read_netcdf
from metaplastic.results.selections import of_embeddings

INPUTS = {"summary": "summary"}
NEEDS = ("learners",)
CAPTION = """\
Accuracy (%) of few-shot learners on test episodes, whose classes no learner was trained on. Each group of bars is a
learner and each bar an embedding: its clusters are the classes of the tasks that train the learner, or the learner
works on its features. Black lines are 95% intervals over episodes, which are the same for every learner. Diamonds are
the accuracies that the paper reports, and the dotted line is the accuracy of guessing.
"""

PAPER: dict[str, Any] = {"marker": "D", "markersize": 5.0, "markerfacecolor": "white", "color": "#202020"}
"""Look of what Hsu et al. 2019 report."""


def draw(summary: list[Path]) -> Figure:
    """Draw a row of panels per dataset, a column per way and shots, a group of bars per learner, a bar per embedding.

    Args:
        summary: the summary of a study of learners.
    """
    results = read_netcdf(summary[0])
    settings = list(product(results["way"].values, results["shots"].values))
    looks = style.embeddings(results)
    datasets, learners = results["dataset"].values.tolist(), results["learner"].values.tolist()
    bars = {(d, name): of_embeddings(results.sel(dataset=d, learner=name)) for d, name in product(datasets, learners)}
    used = [name for name in looks if any(name in of_learner for of_learner in bars.values())]
    height = sum(0.28 * max(len(bars[d, name]) for d in datasets) + 0.25 for name in learners)
    figure = Figure(figsize=(2.2 + 2.9 * len(settings), 1.3 + height * len(datasets)), layout="constrained")
    panels = figure.subplots(len(datasets), len(settings), sharey=True, sharex=True, squeeze=False)
    for (row, dataset), (column, (way, shots)) in product(enumerate(datasets), enumerate(settings)):
        axes, place, ticks = panels[row, column], 0.0, []
        for learner in learners:
            begin = place
            for embedding, of_embedding in bars[dataset, learner].items():
                cell = of_embedding.sel(way=way, shots=shots)
                style.bar(axes, place, cell, 0.8, color=looks[embedding].colour, zorder=2)
                axes.plot(float(cell["reported"]), place, linestyle="none", zorder=3, **PAPER)
                place += 1
            ticks.append((begin + place - 1) / 2)
            place += 0.7
        style.chance_line(axes, 1 / float(way), vertical=True)
        axes.grid(visible=False, axis="y")
        axes.set_title(f"{dataset}, {way}-way {shots}-shot")
        axes.set_yticks(ticks, learners)
        axes.set_ylim(place - 0.7, -0.8)
        style.percent_axis(axes, vertical=False)
        axes.set_xlim(0, 1)
    for axes in panels[-1]:
        axes.set_xlabel("accuracy (%)")
    entries = [style.entry(looks[name].label, linewidth=8, color=looks[name].colour) for name in used]
    if results["reported"].notnull().any():
        entries.append(style.entry("Hsu et al. 2019", linestyle="none", **PAPER))
    entries.append(style.entry("chance", **style.CHANCE))
    columns = min(len(entries), 2 * len(settings))
    figure.legend(handles=entries, loc="outside upper center", ncols=columns, frameon=False, handlelength=2.0)
    return figure
