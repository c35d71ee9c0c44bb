"""Accuracy while the update rules train: one curve a rule, one level a baseline."""

from itertools import product
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from metaplastic.embeddings.spec import Neural
from metaplastic.figures import style
from metaplastic.results.names import labels

INPUTS = {"summary": "summary"}
NEEDS = ("few-shot methods", "rules")
CAPTION = """\
Test accuracy (%) of a logistic regression on features after more and more inner steps on unlabelled data, one panel per
dataset. Each update rule has a curve with its 95% band, each baseline a dashed level, and the dotted line is the
accuracy of guessing. An embedding that was recorded during its training has a curve over its gradient steps. Readout,
draws of labels and seeds are those of the table, so the curves end at its numbers. The axis of inner steps is linear up
to the first mark after 0 and logarithmic beyond.
"""

DASH = 3.0
"""Length of the dashes of a baseline, and of the gaps between them, in line widths."""


def draw(summary: list[Path]) -> Figure:
    """Draw means and 95% bands over inner steps: one column of panels per dataset, one row per base model."""
    results = style.of_few_shot(summary[0])
    methods = style.methods(results)
    datasets, base_models = results["dataset"].values.tolist(), results["base_model"].values.tolist()
    known_steps = results["accuracy_over_inner_steps"].notnull().any(("dataset", "base_model"))
    baselines = [method for method in methods if known_steps.sel(representation=method).sum() == 1]
    # Only curves give the axis its steps; a level may have been reached after any number of them.
    shown = known_steps.drop_sel(representation=baselines).any("representation").values
    steps = results["inner_step"].values
    size = (1.0 + 4 * len(datasets), 1.2 + 3.6 * len(base_models))
    figure, panels = style.grid(len(base_models), len(datasets), size, sharex=True, sharey=True)
    for axes, (base_model, dataset) in zip(panels.flat, product(base_models, datasets), strict=True):
        cell = results.sel(dataset=dataset, base_model=base_model)
        for method, (label, colour) in methods.items():
            mean, low, high = style.ends(cell.sel(representation=method), "accuracy_over_inner_steps")
            look = {"color": colour, "label": label, "linewidth": 2}
            if method in baselines:
                # Each baseline's dashes begin elsewhere, so that equal levels both show.
                dashes = (2 * DASH * baselines.index(method) / len(baselines), (DASH, DASH))
                for level in mean[np.isfinite(mean)]:
                    axes.axhline(level, linestyle=dashes, **(look | {"label": None}))
                axes.plot([], [], linestyle=(0, (DASH, DASH)), **look)
            else:
                style.curve(axes, steps, mean, low, high, alpha=0.12, marker="o", **look)
        style.chance_line(axes, float(cell["chance"]))
        axes.set_title(dataset if len(base_models) == 1 else f"{dataset}, base model {base_model}")
        if shown.any():
            style.steps_axis(axes, steps[shown], rotation=45)
    for axes in panels.flat:
        style.percent_axis(axes)
    trained = any(kind in Neural.kinds() for kind in results["kind"].drop_sel(representation=baselines).values)
    across = f"inner steps{' (gradient steps of networks)' * trained}"
    style.label_edges(panels, across, f"test accuracy with {labels(int(results['shots'].max()))} (%)")
    style.legend_above(figure, panels[0, 0], columns=5)
    return figure
