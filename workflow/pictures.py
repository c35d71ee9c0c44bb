"""Draws the pictures of README.md and of the site from `results/published`.

`python -m workflow.pictures docs/images` does it, as a part of `make readme`. Pictures have a ground of their own, so
that they are legible on light and dark pages.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from metaplastic.figures import style
from metaplastic.results.names import learner_keys
from metaplastic.results.selections import TABLE_READOUT
from metaplastic.update_rules.pretrained import pretrained_file

from workflow.names import DATASETS, METHODS, dissected, published

DIAMOND: dict[str, Any] = {"marker": "D", "color": "#202020", "markerfacecolor": "white", "zorder": 3}
RULES = ["shipped", "quill", "polynomial"]
"""The rules that come with the project; a later one is paler."""


def coloured(methods: Sequence[str]) -> dict[str, str]:
    """Return the colour of each method, the same in every picture."""
    kinds = dict.fromkeys(RULES, "pretrained") | {"random-init": "identity", "learned": "meta-trained"}
    looks = style.looks({method: kinds.get(method, method) for method in dict.fromkeys([*RULES, *methods])})
    return {method: looks[method].colour for method in methods}


def learning() -> Figure:
    """Return the picture that says what the project is: a network that learns without labels, beside its rivals."""
    default = published("default").sel(readout=TABLE_READOUT).isel(dataset=0, base_model=0)
    figure, ((left, right),) = style.grid(1, 2, (11, 3.9), width_ratios=[1, 1.05])
    steps = default["inner_step"].values
    shown = steps[steps <= 200]
    looks = coloured([str(name) for name in default["representation"].values])
    for method in ("shipped", "oja", "random-init"):
        ends = style.ends(default.sel(representation=method, inner_step=shown), "accuracy_over_inner_steps")
        style.curve(left, shown, *ends, color=looks[method], marker="o", label=METHODS[method])
    for method in ("isomap", "raw"):
        level = float(default["accuracy"].sel(representation=method, shots=10))
        left.axhline(level, color=looks[method], linestyle="--", linewidth=1.5, label=METHODS[method])
    style.steps_axis(left, shown)
    left.set(xlabel="inner steps, each on 64 images without labels", ylabel="test accuracy (%)", ylim=(0.2, 0.9))
    left.set_xlim(left=-1, right=230)
    left.legend(frameon=False, fontsize="small", loc="lower center", ncols=2)
    left.set_title("While it learns: 5,000 images of MNIST", loc="left")
    style.percent_axis(left)
    whole = published("few_shot").sel(dataset="mnist")
    bars(right, whole, ["random-init", "raw", "k-means", "vae", "shipped", "denoising-autoencoder", "isomap", "umap"])
    right.set_title("Beside its rivals: all of MNIST", loc="left")
    return figure


def bars(axes: Axes, results: xr.Dataset, methods: list[str]) -> None:
    """Draw a bar a method for ten labels a class and a mark for one, both with their intervals."""
    colours = coloured(methods)
    for place, method in enumerate(methods):
        many, few = (results.sel(representation=method, shots=shots) for shots in (10, 1))
        bar(axes, place, many, colours[method], 0.95 if method == "shipped" else 0.5)
        half = float(few["interval"])
        axes.errorbar(float(few["accuracy"]), place, xerr=half, markersize=5, elinewidth=1.0, **DIAMOND)
    axes.set_yticks(range(len(methods)), [METHODS[method] for method in methods])
    for label, method in zip(axes.get_yticklabels(), methods, strict=True):
        label.set_fontweight("bold" if method == "shipped" else "normal")
    axes.grid(visible=False, axis="y")
    style.accuracy_across(axes, 0.1)
    axes.set_xlabel("test accuracy (%): 10 labels a class, diamonds 1")


def bar(axes: Axes, place: int, cell: xr.Dataset, colour: str, alpha: float) -> None:
    """Draw the bar of an accuracy, with its interval."""
    look: dict[str, Any] = {"color": colour, "alpha": alpha, "error_kw": style.INTERVAL, "zorder": 2}
    axes.barh(place, float(cell["accuracy"]), 0.72, xerr=float(cell["interval"]), **look)


ARMS = {
    "from a few labels alone": ("from-scratch", "none"),
    "ProtoNets on random tasks": ("protonets-random", "none"),
    "ProtoNets on clusters of quill's features": ("protonets", "quill"),
    "ProtoNets on clusters of BiGAN's features": ("protonets", "bigan"),
    "MAML on clusters of ACAI's features": ("maml", "acai"),
    "no learner: blurred pixels": ("nearest-neighbours", "blurred"),
    "ProtoNets on clusters of ACAI's features": ("protonets", "acai"),
    "ProtoNets, jittered images, ACAI's": ("protonets-jittered", "acai"),
    "ProtoNets, jittered images, contrastive": ("protonets-jittered", "contrastive"),
    "ProtoNets, neighbours of blurred pixels, six rounds": ("protonets-rounds-neighbourhoods", "blurred"),
    "ProtoNets on true labels: the oracle": ("oracle-protonets", "none"),
}
"""Learners that the picture of few-shot learning shows, each with what was clustered."""


def of_arm(results: xr.Dataset, learner: str, embedding: str) -> xr.Dataset:
    """Return the results of a learner, on any embedding where it takes none."""
    if embedding == "none":
        embedding = str(results["embedding"].values[0])
    return results.sel(learner=learner, embedding=embedding)


def few_shot() -> Figure:
    """Return the picture of few-shot learners that never saw a label: Omniglot, beside the paper and the oracle."""
    results = published("cactus").sel(dataset="omniglot")
    settings = ((5, 1), (20, 1))
    figure, (panels,) = style.grid(1, 2, (11, 3.6), sharey=True)
    for axes, (way, shots) in zip(panels, settings, strict=True):
        for place, (learner, embedding) in enumerate(ARMS.values()):
            cell = of_arm(results, learner, embedding).sel(way=way, shots=shots)
            colour = "#8a8a8a" if embedding == "none" else coloured([embedding])[embedding]
            bar(axes, place, cell, colour, 0.75)
            if np.isfinite(cell["reported"]):
                axes.plot(float(cell["reported"]), place, linestyle="none", markersize=6, **DIAMOND)
        axes.set_yticks(range(len(ARMS)), list(ARMS))
        axes.grid(visible=False, axis="y")
        style.accuracy_across(axes, 1 / way)
        axes.set_title(f"Omniglot: {way} new characters, one label each", loc="left")
        axes.set_xlabel("accuracy (%); diamonds: Hsu et al. 2019")
    return figure


def architectures() -> Figure:
    """Return accuracy on MNIST over depth, over width and by activation, for the learned rule and the drawn network."""
    results = published("architectures")
    colours = coloured(["shipped", "random-init"])
    figure, (panels,) = style.grid(1, 3, (11, 3.8), sharey=True)
    lines: Mapping[str, tuple[str, xr.Dataset]] = {
        "hidden layers of 128 ReLU units": ("depth", results.sel(width=128, activation="relu")),
        "ReLU units of one hidden layer": ("width", results.sel(depth=1, activation="relu")),
        "two hidden layers of 128 such units": ("activation", results.sel(depth=2, width=128)),
    }
    for axes, (across, (dim, line)) in zip(panels, lines.items(), strict=True):
        line = line[["accuracy", "interval"]].dropna(dim, how="all")
        linestyle, turned = "-", dict[str, Any]()
        if dim == "activation":
            linestyle, turned = "none", {"rotation": 40, "ha": "right"}
            line = line.sortby(line["accuracy"].sel(representation="shipped"), ascending=False)
        values = line[dim].values.tolist()
        for place, (method, colour) in enumerate(colours.items()):
            cell = line.sel(representation=method)
            at = np.arange(len(values)) + (place - 0.5) * 0.12
            look: dict[str, Any] = {"color": colour, "linestyle": linestyle, "linewidth": 2, "label": METHODS[method]}
            axes.errorbar(at, cell["accuracy"], yerr=cell["interval"], marker="o", elinewidth=1.0, **look)
        texts = [value.replace("_", " ") if isinstance(value, str) else f"{value:,}" for value in values]
        axes.set_xticks(range(len(values)), texts, **turned)
        axes.set_xlabel(across)
        style.percent_axis(axes)
    panels[0].set_ylabel("test accuracy (%)")
    style.chance_line(panels[0], 0.1)
    for axes in panels[1:]:
        axes.axhline(0.1, zorder=2.5, **style.CHANCE)
    style.legend_above(figure, panels[0])
    return figure


def datasets() -> Figure:
    """Return the accuracy of methods on each published dataset, with the most labels that all have in common."""
    images, tables = published("few_shot"), published("tables")
    shown = {
        **dict.fromkeys(("mnist", "fashion-mnist", "imdb"), images),
        **dict.fromkeys(("wine", "iris", "breast-cancer"), tables),
    }
    methods = ["random-init", "polynomial", "shipped", "raw", "k-means", "umap"]
    colours = coloured(methods)
    figure, grid = style.grid(2, 3, (11, 5.6), sharey=True)
    for axes, (dataset, results) in zip(grid.flat, shown.items(), strict=True):
        cells = results.sel(dataset=dataset)
        for place, method in enumerate(methods):
            cell = cells.sel(representation=method, shots=10)
            mean, half = float(cell["accuracy"]), float(cell["interval"])
            axes.errorbar(mean, place, xerr=half, color=colours[method], marker="o", markersize=7)
        axes.set_yticks(range(len(methods)), [METHODS[method] for method in methods])
        raw = float(cells["accuracy"].sel(representation="raw", shots=10))
        axes.axvline(raw, color=style.DARK, linestyle="--", linewidth=1)
        axes.set_title(DATASETS[dataset], loc="left")
        low, high = axes.get_xlim()
        spare = max(0.0, style.NARROWEST - (high - low)) / 2
        axes.set_xlim(low - spare, high + spare)
        style.in_percent(axes.xaxis, 6)
    for axes in grid[-1]:
        axes.set_xlabel("test accuracy, 10 labels a class (%)")
    return figure


def terms() -> Figure:
    """Return what a rule loses without each term, and how far an inner step moves the weights over inner time."""
    results = dissected()
    figure, (panels,) = style.grid(1, 2, (11, 4.4))
    losses, changes = panels
    activations = results["activation"].values.tolist()
    for place, (activation, look) in enumerate(style.of_data(activations).items()):
        cell = results.sel(activation=activation)
        at = np.arange(cell.sizes["term"])[::-1] + 0.15 - 0.3 * place
        values, half = 100 * cell["difference"].values, 100 * cell["interval"].values
        losses.errorbar(
            values, at, xerr=half, linestyle="none", marker=look["marker"], color=look["color"], label=activation
        )
        for layer, dashes in zip(cell["layer"].values.tolist(), ("-", "--"), strict=False):
            changes.plot(
                cell["inner_step"],
                100 * cell["change"].sel(layer=layer),
                color=look["color"],
                linestyle=dashes,
                label=f"{activation}, layer {layer}",
            )
    names = results["term"].values.tolist()[::-1]
    labels = [f"all but {name.count(',') + 1} of them" if "," in name else name for name in names]
    losses.set_yticks(range(len(labels)), labels)
    losses.axvline(0, color="#8a8a8a", linewidth=1)
    losses.set_xlabel("accuracy without the term, less that with it (points)")
    changes.set(xlabel="inner steps", ylabel="change of W in one step (% of its norm)", xscale="log", ylim=(0, None))
    style.ticks(changes, results["inner_step"].values.tolist())
    losses.legend(frameon=False)
    changes.legend(frameon=False)
    return figure


def papers() -> Figure:
    """Return what Hsu et al. 2019 report against what came out here, a mark for every arm of theirs and setting."""
    results = published("cactus").sel(dataset="omniglot")
    figure, ((axes,),) = style.grid(1, 1, (6.4, 5.6))
    axes.plot([0, 1], [0, 1], color="#8a8a8a", linewidth=1, label="as in the paper")
    called = learner_keys(results)
    for learner, look in style.of_learners(results["learner_key"].values.tolist()).items():
        cell = results.sel(learner=results["learner_key"] == learner)
        known = np.isfinite(cell["reported"].values) & np.isfinite(cell["accuracy"].values)
        if known.any():
            paper, here = (cell[name].values[known] for name in ("reported", "accuracy"))
            axes.plot(
                paper, here, linestyle="none", marker=look["marker"], label=called[learner], markersize=7, alpha=0.8
            )
    axes.set(xlabel="Hsu et al. 2019: accuracy on Omniglot (%)", ylabel="here (%)", xlim=(0.15, 1), ylim=(0.15, 1))
    style.in_percent(axes.xaxis, 8)
    style.in_percent(axes.yaxis, 8)
    axes.legend(frameon=False)
    return figure


LIFTS = {"isomap": 8, "polynomial": 11, "vae-64": -4, "vae": -13, "denoising-autoencoder": -4}
"""How far above a mark, in points, its name stands where others are close to it."""
ON_THE_LEFT = {"isomap", "shipped", "soft-hebb", "oja"}
"""Methods whose names stand to the left of their marks."""


def speed() -> Figure:
    """Return accuracy against the seconds that a method took to learn and to embed, in the default study."""
    results = published("default").sel(readout=TABLE_READOUT, shots=10).isel(dataset=0, base_model=0)
    unlike = ["raw", "pca", "learned", "after-0"]
    colours = coloured([str(name) for name in results["representation"].values if name not in unlike])
    figure, ((axes,),) = style.grid(1, 1, (8.4, 4.4))
    for method, colour in colours.items():
        mean, low, high = (float(end) for end in style.ends(results.sel(representation=method)))
        seconds = float(results["seconds"].sel(representation=method))
        axes.errorbar(seconds, mean, yerr=[[mean - low], [high - mean]], color=colour, marker="o", markersize=7)
        aside, side = (-8, "right") if method in ON_THE_LEFT else (8, "left")
        place: dict[str, Any] = {"xytext": (aside, LIFTS.get(method, 4)), "textcoords": "offset points", "ha": side}
        axes.annotate(METHODS[method], (seconds, mean), fontsize="small", **place)
    axes.set(xscale="log", xlabel="seconds to learn without labels and to embed, five seeds", ylim=(0.4, 0.9))
    axes.set_ylabel("test accuracy, 10 labels a class (%)")
    axes.set_xlim(0.1, 200)
    style.ticks(axes, (0.1, 1, 10, 100))
    style.percent_axis(axes)
    return figure


def meta_training(rule: str) -> Figure:
    """Return the accuracy on what was held out while a rule that comes with the project was meta-trained."""
    table = pd.read_csv(pretrained_file(rule).with_suffix(".csv"))
    figure, ((axes,),) = style.grid(1, 1, (8.4, 3.8))
    names = [name for name in table.columns[2:] if not name.endswith(" error")]
    for name, look in style.of_data(names).items():
        mean, error = table[name].values / 100, table[f"{name} error"].values / 100
        style.curve(axes, table["meta-steps"].values, mean, mean - error, mean + error, label=name, **look)
    axes.set(xlabel="meta-steps", ylabel="accuracy, 10 labels a class (%)")
    style.percent_axis(axes)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small")
    return figure


PICTURES: Mapping[str, Callable[[], Figure]] = {
    "learning": learning,
    "few-shot": few_shot,
    "architectures": architectures,
    "datasets": datasets,
    "papers": papers,
    "terms": terms,
    "speed": speed,
    **{rule: partial(meta_training, rule) for rule in ("generalist", "quill", "pinion", "barb")},
}


def draw(folder: Path) -> None:
    """Draw all pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with style.theme():
        for name, picture in PICTURES.items():
            style.save(picture(), folder / f"{name}.svg")


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
