"""Features against rules: accuracy with inputs in the order of training or another (Metz et al. 2019, Figure 2)."""

from itertools import product
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from metaplastic.figures import style
from metaplastic.io.errors import InputError
from metaplastic.io.storage import read_netcdf
from metaplastic.results.selections import NONE, of_embeddings

INPUTS = {"summary": "summary"}
NEEDS = ("learners", "permuted inputs")
CAPTION = """\
Accuracy (%) of few-shot learners on test episodes, with inputs in their own order and in another one that is the same
for all images. A learner that tasks have trained was trained on the first dataset alone and knows its order of pixels.
An update rule learns each dataset anew without labels, and the learner takes its features. Lines on the bars are 95%
intervals over episodes, and over seeds where features have several. The dotted line is the accuracy of guessing.
"""

INTACT, PERMUTED = "#404040", "#b9b9b9"


def draw(summary: list[Path]) -> Figure:
    """Draw a column per way and shots, a group of bars per learner and embedding that it takes, a bar per dataset.

    Args:
        summary: the summary of a study of learners, some of whose datasets have permuted inputs.

    Raises:
        InputError: no dataset has permuted inputs, or all have.
    """
    results = read_netcdf(summary[0])
    if not results["permuted"].values.any() or results["permuted"].values.all():
        raise InputError(f"{summary[0]}: give a dataset as it is and one with `permuted` inputs")
    settings = list(product(results["way"].values, results["shots"].values))
    looks = style.embeddings(results)
    groups = [
        (learner if embedding == NONE else f"{learner} on\n{looks[embedding].label}", cell)
        for learner in results["learner"].values.tolist()
        for embedding, cell in of_embeddings(results.sel(learner=learner)).items()
    ]
    datasets = results["dataset"].values.tolist()
    permuted = dict(zip(datasets, results["permuted"].values.tolist(), strict=True))
    datasets.sort(key=lambda name: bool(permuted[name]))
    step = len(datasets) + 1
    figure = Figure(figsize=(3.2 + 3.2 * len(settings), 1.4 + 0.32 * step * len(groups)), layout="constrained")
    panels = figure.subplots(1, len(settings), sharey=True, sharex=True, squeeze=False)[0]
    for axes, (way, shots) in zip(panels, settings, strict=True):
        for (place, (_, cell)), (offset, dataset) in product(enumerate(groups), enumerate(datasets)):
            found = cell.sel(way=way, shots=shots, dataset=dataset)
            colour = PERMUTED if permuted[dataset] else INTACT
            style.bar(axes, place * step + offset, found, 0.85, color=colour, ecolor="#d55e00", thickness=1.5)
        style.chance_line(axes, 1 / float(way), vertical=True)
        axes.grid(visible=False, axis="y")
        axes.set_title(f"{way}-way {shots}-shot")
        axes.set_xlabel("accuracy (%)")
        style.percent_axis(axes, vertical=False)
        axes.set_xlim(0, 1)
    middles = [place * step + (len(datasets) - 1) / 2 for place in range(len(groups))]
    panels[0].set_yticks(middles, [label for label, _ in groups])
    panels[0].invert_yaxis()
    entries: list[Any] = [
        Patch(color=PERMUTED if permuted[name] else INTACT, label=f"{name}{', inputs permuted' * permuted[name]}")
        for name in datasets
    ]
    entries.append(style.entry("chance", **style.CHANCE))
    figure.legend(handles=entries, loc="outside upper center", ncols=len(entries), frameon=False)
    return figure
