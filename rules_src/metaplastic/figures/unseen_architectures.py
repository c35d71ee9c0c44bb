"""Networks that a rule was not meta-trained on: deeper, wider, with other activations (Metz et al. 2019, Figure 5)."""

from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metaplastic.figures import style
from metaplastic.results.names import labels
from metaplastic.results.selections import INITIAL, SHAPE, alike, judged_steps

INPUTS = {"summary": "summary"}
NEEDS = ("few-shot methods", "learning rule", "several networks")
CAPTION = """\
Networks that the rule was not meta-trained on, two rows per dataset. Above: test accuracy (%) of a logistic regression
over the number of hidden layers (left), over the units in each layer on a logarithmic axis (centre; the line style
gives the number of layers) and for each activation (right). Filled marks are of the last inner step, hollow ones of the
first recorded after 0. Intervals are 95% over seeds and draws of labels, and over meta-training seeds where a rule is
meta-trained here. The dotted line is the accuracy of guessing. Below: the accuracy of the same networks while the first
learned rule trains them. The axis of inner steps is linear up to the first mark after 0 and logarithmic beyond.
"""

LINES: tuple[Literal["-", "--", "-.", ":"], ...] = ("-", "--", "-.", ":")
"""Line styles of networks over their width, by their number of hidden layers."""
NAMES = {"relu": "ReLU", "leaky_relu": "leaky ReLU", "elu": "ELU"}


def draw(summary: list[Path]) -> Figure:
    """Draw two rows of panels per dataset, and a column for depth, width and activation, at the most labelled examples.

    The upper row shows every method with 95% intervals, the lower one the first method that learns while it trains.
    """
    results = style.of_few_shot(summary[0])
    trained = results["representation"].values[results["kind"].values != INITIAL][0]
    datasets, looks, shots = results["dataset"].values.tolist(), style.methods(results), int(results["shots"].max())
    early = judged_steps(results, trained)[0][1]
    columns = {varied: alike(results, varied)[: None if varied == "width" else 1] for varied in SHAPE}
    figure, panels = style.grid(2 * len(datasets), 3, (14.5, 0.8 + 8.2 * len(datasets)))
    figure.set_layout_engine("constrained", wspace=0.05, hspace=0.05)
    for dataset, above, below in zip(datasets, panels[::2], panels[1::2], strict=True):
        of_dataset = results.sel(dataset=dataset)
        shown = [(of_dataset.sel(shots=shots), "full"), (_after(of_dataset, early), "none")]
        for upper, lower, (varied, groups) in zip(above, below, columns.items(), strict=True):
            draw_panel = _activations if varied == "activation" else _sizes
            for at_step, fill in shown:
                draw_panel(upper, at_step, looks, groups, varied, fillstyle=fill)
            upper.set_title(f"{dataset}, {_fixed(groups, varied)}")
            _over_inner_steps(lower, of_dataset.sel(representation=trained), groups[0], varied)
            lower.set_title(f"{looks[trained].label}, {_fixed(groups[:1], varied)}")
        for axes in (*above[:2], *below):
            axes.set_ylim(0, style.highest(of_dataset, "accuracy", "accuracy_over_inner_steps"))
            style.percent_axis(axes)
        for axes in (above[0], below[0]):
            axes.set_ylabel(f"test accuracy with {labels(shots)} (%)")
    entries = [style.entry(look.label, color=look.colour, marker="o", linewidth=2) for look in looks.values()]
    if len(columns["width"]) > 1:
        drawn = {_layers([group["depth"].iloc[0]]): line for group, line in zip(columns["width"], LINES, strict=False)}
        entries += [style.entry(name, color=style.DARK, linestyle=line, linewidth=2) for name, line in drawn.items()]
    for step, fill in ((int(results["inner_step"].max()), "full"), (early, "none")):
        after = {"color": style.DARK, "marker": "o", "linestyle": "none", "fillstyle": fill}
        entries.append(style.entry(f"after {step} inner steps", **after))
    style.legend_above(figure, entries, length=2.0)
    return figure


def _fixed(groups: list[Any], varied: str) -> str:
    """Say what does not vary in a panel."""
    _, width, activation = groups[0][list(SHAPE)].iloc[0]
    layers = _layers([group["depth"].iloc[0] for group in groups])
    return {
        "depth": f"{width} units per layer, {NAMES.get(activation, activation)}",
        "width": f"{layers}, {NAMES.get(activation, activation)}",
        "activation": f"{layers} of {width} units",
    }[varied]


def _layers(depths: list[Any]) -> str:
    return f"{' or '.join(map(str, depths))} hidden layer{'' if depths == [1] else 's'}"


def _after(results: xr.Dataset, step: int) -> xr.Dataset:
    """Return what is known after an inner step as the accuracy."""
    names = {f"accuracy_over_inner_steps{end}": f"accuracy{end}" for end in ("", "_low", "_high")}
    return results.drop_vars(names.values()).rename(names).sel(inner_step=step)


def _sizes(
    axes: Axes, results: xr.Dataset, looks: dict[str, style.Look], groups: list[Any], varied: str, **marks: Any
) -> None:
    for (method, look), (group, line) in product(looks.items(), list(zip(groups, LINES, strict=False))):
        band = style.ends(results.sel(representation=method, base_model=group.index.values))
        style.curve(axes, group[varied], *band, color=look.colour, marker="o", linestyle=line, **marks)
    sizes = sorted({int(value) for group in groups for value in group[varied]})
    wide = varied == "width"
    axes.set(xlabel="units in each hidden layer" if wide else "hidden layers", xscale="log" if wide else "linear")
    style.ticks(axes, sizes, rotation=45 if wide else 0)
    style.chance_line(axes, float(results["chance"]))


def _activations(
    axes: Axes, results: xr.Dataset, looks: dict[str, style.Look], groups: list[Any], varied: str, **marks: Any
) -> None:
    names = [NAMES.get(name, name) for name in groups[0][varied]]
    for number, (method, look) in enumerate(looks.items()):
        mean, low, high = style.ends(results.sel(representation=method, base_model=groups[0].index.values))
        places = np.arange(len(names)) + 0.5 * ((number + 0.5) / len(looks) - 0.5)
        errors = np.stack([mean - low, high - mean])
        axes.errorbar(mean, places, xerr=errors, fmt="o", markersize=5, color=look.colour, elinewidth=1.5, **marks)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel("test accuracy (%)")
    style.accuracy_across(axes, float(results["chance"]))


def _over_inner_steps(axes: Axes, results: xr.Dataset, group: Any, varied: str) -> None:
    values = [NAMES.get(value, value) if varied == "activation" else f"{value:,}" for value in group[varied]]
    for base_model, (value, look) in zip(group.index, style.of_data(values).items(), strict=True):
        band = style.ends(results.sel(base_model=base_model), "accuracy_over_inner_steps")
        style.curve(axes, results["inner_step"].values, *band, alpha=0.1, linewidth=1.8, label=value, **look)
    style.steps_axis(axes, results["inner_step"].values)
    axes.set_xlabel("inner steps")
    title = {"depth": "hidden layers", "width": "units per layer", "activation": "activation"}[varied]
    axes.legend(title=title, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    style.chance_line(axes, float(results["chance"]))
