"""Networks that a rule was not meta-trained on: deeper, wider, with other activations (Metz et al. 2019, Figure 5)."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from metaplastic.figures import style
from metaplastic.io.errors import InputError
from metaplastic.io.storage import read_netcdf
from metaplastic.results.selections import INITIAL, SHAPE, alike

INPUTS = {"summary": "summary"}
NEEDS = ("few-shot methods", "rules", "several networks")
CAPTION = """\
Networks that the rule was not meta-trained on, two rows per dataset. Above: test accuracy (%) of a logistic regression
over the number of hidden layers (left), over the units in each layer on a logarithmic axis (centre; the line style
gives the number of layers) and for each activation (right). Intervals are 95% over seeds and draws of labels, and over
meta-training seeds where a rule is meta-trained here. The dotted line is the accuracy of guessing. Below: the accuracy
of the same networks while the first learned rule trains them. The axis of inner steps is linear up to the first mark
after 0 and logarithmic beyond.
"""

LINES: tuple[Literal["-", "--", "-.", ":"], ...] = ("-", "--", "-.", ":")
"""Line styles of networks over their width, by their number of hidden layers."""
NAMES = {"relu": "ReLU", "leaky_relu": "leaky ReLU", "elu": "ELU"}


def draw(summary: list[Path]) -> Figure:
    """Draw two rows of panels per dataset, and a column for depth, width and activation, at the most labelled examples.

    The upper row shows every method with 95% intervals, the lower one the first method that learns while it trains.

    Args:
        summary: the summary of a study of several base models.

    Raises:
        InputError: the summary does not say what they are.
    """
    results = read_netcdf(summary[0]).sel(readout=style.READOUT)
    if not set(SHAPE) <= set(results.coords):
        raise InputError(f"{summary[0]}: says no depth, width and activation of base models; run its study again")
    trained = results["representation"].values[results["kind"].values != INITIAL][0]
    datasets = results["dataset"].values.tolist()
    columns = {varied: alike(results, varied)[: None if varied == "width" else 1] for varied in SHAPE}
    figure = Figure(figsize=(14.5, 0.8 + 8.2 * len(datasets)))
    figure.set_layout_engine("constrained", wspace=0.05, hspace=0.05)
    panels = figure.subplots(2 * len(datasets), 3, squeeze=False)
    looks = style.methods(results)
    for dataset, above, below in zip(datasets, panels[::2], panels[1::2], strict=True):
        of_dataset = results.sel(dataset=dataset)
        for axes, (varied, groups) in zip(above, columns.items(), strict=True):
            draw_panel = _activations if varied == "activation" else _sizes
            draw_panel(axes, of_dataset, looks, groups, varied)
            axes.set_title(f"{dataset}, {_fixed(groups, varied)}")
        for axes, (varied, groups) in zip(below, columns.items(), strict=True):
            _over_inner_steps(axes, of_dataset.sel(representation=trained), groups[0], varied)
            axes.set_title(f"{looks[trained].label}, {_fixed(groups[:1], varied)}")
        _share_heights([*above[:2], *below], of_dataset)
    shots = int(results["shots"].max())
    for axes in panels[:, 0]:
        axes.set_ylabel(f"test accuracy with {shots} labels per class (%)")
    entries = [style.entry(look.label, color=look.colour, marker="o", linewidth=2) for look in looks.values()]
    if len(columns["width"]) > 1:
        layers = [_layers(group["depth"].tolist()[:1]) for group in columns["width"]]
        drawn = zip(layers, LINES, strict=False)
        entries += [style.entry(label, color=style.DARK, linestyle=line, linewidth=2) for label, line in drawn]
    entries.append(style.entry("chance", **style.CHANCE))
    figure.legend(handles=entries, loc="outside upper center", ncols=len(entries), frameon=False)
    return figure


def _fixed(groups: list[Any], varied: str) -> str:
    """Say what does not vary in a panel."""
    width, activation = groups[0]["width"].iloc[0], _named(groups[0]["activation"].iloc[0])
    layers = _layers([group["depth"].tolist()[0] for group in groups])
    return {
        "depth": f"{width} units a layer, {activation}",
        "width": f"{layers}, {activation}",
        "activation": f"{layers} of {width} units",
    }[varied]


def _layers(depths: list[int]) -> str:
    return f"{' or '.join(map(str, depths))} hidden layer{'' if depths == [1] else 's'}"


def _named(activation: str) -> str:
    return NAMES.get(activation, activation)


def _sizes(axes: Axes, results: xr.Dataset, looks: dict[str, style.Look], groups: list[Any], varied: str) -> None:
    for method, look in looks.items():
        for group, line in zip(groups, LINES, strict=False):
            band = _ends(results.sel(representation=method, base_model=group.index.values))
            marked: dict[str, Any] = {"marker": "o", "markersize": 4, "linestyle": line}
            style.curve(axes, group[varied], *band, linewidth=2, color=look.colour, **marked)
    ticks = sorted({int(value) for group in groups for value in group[varied]})
    if varied == "width":
        axes.set_xscale("log")
        axes.set_xlabel("units in each hidden layer")
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks], rotation=45)
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.set_xlabel("hidden layers")
        axes.set_xticks(ticks)
    style.chance_line(axes, float(results["chance"]))


def _activations(axes: Axes, results: xr.Dataset, looks: dict[str, style.Look], groups: list[Any], varied: str) -> None:
    names = groups[0][varied].tolist()
    for number, (method, look) in enumerate(looks.items()):
        mean, low, high = _ends(results.sel(representation=method, base_model=groups[0].index.values))
        places = np.arange(len(names)) + 0.5 * ((number + 0.5) / len(looks) - 0.5)
        errors = np.stack([mean - low, high - mean])
        axes.errorbar(mean, places, xerr=errors, fmt="o", markersize=5, color=look.colour, elinewidth=1.5)
    axes.set_yticks(range(len(names)), map(_named, names))
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel("test accuracy (%)")
    style.chance_line(axes, float(results["chance"]), vertical=True)
    axes.set_xlim(0, 1)
    style.percent_axis(axes, vertical=False)


def _over_inner_steps(axes: Axes, results: xr.Dataset, group: Any, varied: str) -> None:
    values = [_named(value) if varied == "activation" else f"{value:,}" for value in group[varied]]
    looks = style.of_data(values)
    for base_model, value in zip(group.index, values, strict=True):
        of_model = results.sel(base_model=base_model)
        known = of_model["accuracy_over_inner_steps"].notnull().values
        band = (values[known] for values in style.ends(of_model, "accuracy_over_inner_steps"))
        marked: dict[str, Any] = {"markersize": 4, "linewidth": 1.8, "label": value, **looks[value]}
        style.curve(axes, results["inner_step"].values[known], *band, alpha=0.1, **marked)
    style.steps_axis(axes, results["inner_step"].values)
    axes.set_xlabel("inner steps")
    title = {"depth": "hidden layers", "width": "units a layer", "activation": "activation"}[varied]
    axes.legend(title=title, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    style.chance_line(axes, float(results["chance"]))


def _ends(results: xr.Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean and both ends of the interval at the most labelled examples."""
    return style.ends(results.sel(shots=results["shots"].max()))


def _share_heights(panels: list[Axes], results: xr.Dataset) -> None:
    """Give all panels whose accuracies run upwards the same range."""
    highest = max(float(results[f"{name}_high"].max()) for name in ("accuracy", "accuracy_over_inner_steps"))
    for axes in panels:
        axes.set_ylim(0, min(1.0, 1.05 * highest))
        style.percent_axis(axes)
