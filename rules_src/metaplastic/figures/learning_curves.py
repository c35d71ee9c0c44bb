"""How tasks have trained few-shot learners: loss and accuracy over gradient steps, beside accuracy on episodes."""

from itertools import product
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from metaplastic.figures import style
from metaplastic.io.errors import InputError
from metaplastic.io.storage import read_netcdf, read_zarr
from metaplastic.results.names import learners
from metaplastic.results.selections import NONE

INPUTS = {"histories": "learner histories", "summary": "summary"}
NEEDS = ("learners",)
ON_REQUEST = True
CAPTION = """\
How tasks have trained few-shot learners, one row per dataset. Colours are embeddings; line styles and marks are
learners. Left, on a logarithmic axis: the loss on the queries of training tasks, averaged over the last 50 gradient
steps. Centre: the accuracy (%) on them. The classes of these tasks are clusters, or true classes for an oracle, so a
higher curve may mean easier tasks as well as a better learner. Right, on the same axis as the centre: the accuracy of
the trained learner on test episodes, with 95% intervals over episodes, which often lie within the mark. The dotted line
is the accuracy of guessing.
"""

WINDOW = 50
"""Gradient steps over which curves are averaged."""
SPREAD, APART = 0.7, 0.12
"""Width over which learners lie side by side, and the most between two of them, in distances between settings."""


def draw(histories: list[Path], summary: list[Path]) -> Figure:
    """Draw one row per dataset: loss and accuracy on training tasks, and on the right accuracy on episodes.

    Raises:
        InputError: the summary lacks one of the learners.
    """
    results = read_netcdf(summary[0])
    arms = [(history := read_zarr(path), _evaluated(path, history, results)) for path in histories]
    datasets = list(dict.fromkeys(history.attrs["dataset"] for history, _ in arms))
    dashes = style.of_learners([str(cell["learner"].values) for _, cell in arms])
    used = {history.attrs.get("embedding", NONE) for history, _ in arms}
    looks = {name: look for name, look in style.embeddings(results).items() if name in used}
    settings = list(product(results["way"].values.tolist(), results["shots"].values.tolist()))
    size, widths = (10.5 + 1.1 * len(settings), 0.8 + 4.2 * len(datasets)), (5, 5, 1.3 * len(settings))
    figure, panels = style.grid(len(datasets), 3, size, width_ratios=widths, sharex="col")
    for dataset, (left, centre, right) in zip(datasets, panels, strict=True):
        of_dataset = [(history, cell) for history, cell in arms if history.attrs["dataset"] == dataset]
        places = (np.arange(len(of_dataset)) - (len(of_dataset) - 1) / 2) * min(APART, SPREAD / len(of_dataset))
        for place, (history, cell) in zip(places, of_dataset, strict=True):
            colour, dash = looks[history.attrs.get("embedding", NONE)].colour, dashes[str(cell["learner"].values)]
            for axes, name in ((left, "loss"), (centre, "accuracy")):
                values = style.running_mean(history[name].values, WINDOW)
                axes.plot(history["update"].values, values, color=colour, linewidth=1.8, linestyle=dash["linestyle"])
            means, halves = (cell[name].values.ravel() for name in ("accuracy", "interval"))
            dots = {"color": colour, "marker": dash["marker"], "markersize": 5, "linestyle": "none", **style.INTERVAL}
            right.errorbar(np.arange(len(settings)) + place, means, yerr=halves, **dots)
        for place, (way, _) in enumerate(settings):
            right.hlines(1 / way, place - 0.5, place + 0.5, **style.CHANCE)
        left.set(title=f"{dataset}, training tasks", ylabel=f"loss, mean of last {WINDOW} steps", yscale="log")
        left.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        left.yaxis.set_major_formatter("{x:g}")
        left.yaxis.set_minor_locator(NullLocator())
        centre.set(title="training tasks", ylabel=f"accuracy (%), mean of last {WINDOW} steps")
        right.set(title="test episodes", xlim=(-0.5, len(settings) - 0.5))
        right.set_xticks(range(len(settings)), [f"{way}-way\n{shots}-shot" for way, shots in settings])
        right.grid(visible=False, axis="x")
        right.sharey(centre)
        right.tick_params(labelleft=False)
        centre.set_ylim(0, 1.02)
        style.percent_axis(centre)
    style.label_edges(panels[:, :2], "gradient steps")
    entries = [style.entry(look.label, linewidth=6, color=look.colour) for look in looks.values()]
    called = learners(results)
    entries += [style.entry(called[name], color=style.DARK, **look) for name, look in dashes.items()]
    style.legend_above(figure, entries, columns=6, length=4.5)
    return figure


def _evaluated(path: Path, history: xr.Dataset, results: xr.Dataset) -> xr.Dataset:
    """Select what the summary says of the learner of a history."""
    learner, partition, dataset = (history.attrs.get(name) for name in ("learner", "partition", "dataset"))
    same = (results["learner_key"].values == learner) & (results["partition"].values == partition)
    names = results["learner"].values[same]
    if not len(names) or dataset not in results["dataset"].values:
        raise InputError(f"{path}: of a learner or a dataset that is not in the summary; run the study again")
    embedding = history.attrs.get("embedding", results["embedding"].values[0])
    return results.sel(learner=names[0], dataset=dataset, embedding=embedding)
