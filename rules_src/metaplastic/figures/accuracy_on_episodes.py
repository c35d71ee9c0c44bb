"""Accuracy of few-shot learners on episodes, by embedding, ways and shots (Hsu et al. 2019, Tables 8 and 9)."""

from itertools import product
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from metaplastic.figures import style
from metaplastic.io.storage import read_netcdf
from metaplastic.results.names import learners
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
    """Draw a row of panels per dataset, a column per way and shots, a group per learner, a bar per embedding."""
    results = read_netcdf(summary[0])
    settings = list(product(results["way"].values, results["shots"].values))
    looks = style.embeddings(results)
    datasets, keys = results["dataset"].values.tolist(), results["learner"].values.tolist()
    bars = {(d, name): of_embeddings(results.sel(dataset=d, learner=name)) for d, name in product(datasets, keys)}
    height = sum(0.28 * max(len(bars[d, name]) for d in datasets) + 0.25 for name in keys)
    size = (2.2 + 2.9 * len(settings), 1.3 + height * len(datasets))
    figure, panels = style.grid(len(datasets), len(settings), size, sharey=True, sharex=True)
    for axes, (dataset, (way, shots)) in zip(panels.flat, product(datasets, settings), strict=True):
        place, ticks = 0.0, []
        for learner in keys:
            of_learner = bars[dataset, learner]
            for number, (embedding, cell) in enumerate(of_learner.items()):
                found = cell.sel(way=way, shots=shots)
                mean, half, paper = (float(found[name]) for name in ("accuracy", "interval", "reported"))
                look = {"color": looks[embedding].colour, "error_kw": style.INTERVAL}
                axes.barh(place + number, mean, 0.8, xerr=half, zorder=2, **look)
                axes.plot(paper, place + number, linestyle="none", zorder=3, **PAPER)
            ticks.append(place + (len(of_learner) - 1) / 2)
            place += len(of_learner) + 0.7
        axes.grid(visible=False, axis="y")
        axes.set_title(f"{dataset}, {way}-way {shots}-shot")
        axes.set_yticks(ticks, learners(results).values())
        axes.set_ylim(place - 0.7, -0.8)
        style.accuracy_across(axes, 1 / float(way))
    style.label_edges(panels, "accuracy (%)")
    used = {embedding for of_learner in bars.values() for embedding in of_learner}
    entries = [style.entry(look.label, linewidth=8, color=look.colour) for name, look in looks.items() if name in used]
    if results["reported"].notnull().any():
        entries.append(style.entry("Hsu et al. 2019", linestyle="none", **PAPER))
    style.legend_above(figure, entries, columns=2 * len(settings), length=2.0)
    return figure
