"""Features against rules: accuracy with inputs in the order of training or another (Metz et al. 2019, Figure 2)."""

from itertools import product
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from metaplastic.figures import style
from metaplastic.io.errors import InputError
from metaplastic.io.storage import read_netcdf
from metaplastic.results.names import learners
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
INTERVAL = {"ecolor": "#d55e00", "elinewidth": 1.5}


def draw(summary: list[Path]) -> Figure:
    """Draw a column per way and shots, a group of bars per learner and embedding that it takes, a bar per dataset.

    Raises:
        InputError: no dataset has permuted inputs, or all have.
    """
    results = read_netcdf(summary[0])
    if not results["permuted"].values.any() or results["permuted"].values.all():
        raise InputError(f"{summary[0]}: give a dataset as it is and one with `permuted` inputs")
    settings = list(product(results["way"].values, results["shots"].values))
    looks = style.embeddings(results)
    groups = {
        called if embedding == NONE else f"{called} on\n{looks[embedding].label}": cell
        for learner, called in learners(results).items()
        for embedding, cell in of_embeddings(results.sel(learner=learner)).items()
    }
    # Intact datasets come first.
    datasets = results.sortby("permuted")["dataset"].values.tolist()
    colours = {name: PERMUTED if results["permuted"].sel(dataset=name) else INTACT for name in datasets}
    step = len(datasets) + 1
    size = (3.2 + 3.2 * len(settings), 1.4 + 0.32 * step * len(groups))
    figure, panels = style.grid(1, len(settings), size, sharey=True, sharex=True)
    for axes, (way, shots) in zip(panels[0], settings, strict=True):
        for (place, cell), (offset, dataset) in product(enumerate(groups.values()), enumerate(datasets)):
            found = cell.sel(way=way, shots=shots, dataset=dataset)
            mean, half = float(found["accuracy"]), float(found["interval"])
            axes.barh(place * step + offset, mean, 0.85, xerr=half, color=colours[dataset], error_kw=INTERVAL)
        axes.grid(visible=False, axis="y")
        axes.set_title(f"{way}-way {shots}-shot")
        style.accuracy_across(axes, 1 / float(way))
    style.label_edges(panels, "accuracy (%)")
    panels[0, 0].set_yticks([place * step + (len(datasets) - 1) / 2 for place in range(len(groups))], list(groups))
    panels[0, 0].invert_yaxis()
    said = {name: colour == INTACT or "permuted" in name for name, colour in colours.items()}
    labels = {name: name if said[name] else f"{name}, inputs permuted" for name in datasets}
    style.legend_above(figure, [Patch(color=colours[name], label=label) for name, label in labels.items()], length=2.0)
    return figure
