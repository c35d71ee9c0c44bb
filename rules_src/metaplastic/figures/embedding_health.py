"""Whether a trained embedding is sound: its losses, the dimensions that it uses, the images that it puts together."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Integer
from matplotlib.figure import Figure

from metaplastic.datasets.schema import TEST
from metaplastic.features import identity_of
from metaplastic.figures import style
from metaplastic.results.components import components, effective_rank

INPUTS = {"features": "network features", "datasets": "training datasets"}
NEEDS = ()
ON_REQUEST = True
CAPTION = """\
Whether networks that were trained without labels are sound, one row per embedding and dataset, for the first seed.
Left: the loss and its parts, by the names under which they are stored, averaged over the last 100 gradient steps. The
loss of adversaries is a sum of two losses and need not fall. Centre: the share of the variance of all features that
each principal component explains, on a logarithmic axis that ends at a millionth. The effective rank is the exponential
of the entropy of the singular values (Roy and Vetterli 2007); it is near 1 where features have collapsed. Right: to the
left of the line test images, and beside each the nearest other test images by Euclidean distance of their features. All
rows of a dataset show the same images.
"""

WINDOW = 100
"""Gradient steps over which losses are averaged."""
SMALLEST = 1e-6
"""Share of the variance at the end of the axis; smaller ones are rounding."""
IMAGES, NEIGHBOURS, SEED = 6, 4, 0
"""Number of test images, drawn at random, and of the nearest ones that are shown beside each."""


def draw(features: list[Path], datasets: list[Path]) -> Figure:
    """Draw per embedding and dataset a row: training losses, variance of principal components, nearest neighbours.

    Raises:
        InputError: a store has no training loss, or its dataset is not among those given.
    """
    stores = {path: style.features_with(path, "training_loss", "an embedding that is trained") for path in features}
    shown = style.given(datasets, {path: identity_of(store).dataset for path, store in stores.items()})
    size, widths = (14.5, 0.4 + 3.6 * len(features)), (5, 5, 4)
    figure, panels = style.grid(len(features), 3, size, width_ratios=widths)
    for store, (left, centre, right) in zip(stores.values(), panels, strict=True):
        identity = identity_of(store)
        look, dataset = style.look(identity.method, identity.kind), shown[identity.dataset]
        parts = [str(name) for name in store.data_vars if str(name).startswith("training_")]
        parts.sort(key=lambda name: name != "training_loss")
        for name, of_part in style.of_runs(parts).items():
            losses = style.running_mean(store[name].isel(seed=0).values, WINDOW)
            # The objective has the colour of the method.
            line = {"color": look.colour, "linewidth": 2.2} if name == "training_loss" else {"linewidth": 1.4}
            left.plot(np.arange(len(losses)) + 1, losses, label=name.removeprefix("training_"), **(of_part | line))
        left.set(title=f"{look.label} on {identity.dataset}, losses", ylabel=f"mean of last {WINDOW} steps")
        left.legend(frameon=False)
        codes = store["features"].isel(seed=0, inner_step=-1).values
        shares = components(codes).shares
        centre.plot(np.arange(len(shares)) + 1, shares, marker=".", markersize=4, color=look.colour)
        title = f"effective rank {effective_rank(shares):.0f} of {codes.shape[1]}"
        centre.set(title=title, yscale="log", ylim=(SMALLEST, 1), ylabel="share of variance")
        centre.sharex(panels[0, 1])
        test = np.flatnonzero(dataset["split"].values == TEST)
        sheet = style.sheet(dataset["image"].values, list(test[_nearest(codes[test])]), columns=1 + NEIGHBOURS)
        right.imshow(sheet, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        # The line stands between an image and its neighbours.
        right.axvline(dataset["image"].shape[2], color=look.colour, linewidth=2)
        right.set_axis_off()
        right.set_title(f"test images, the {NEIGHBOURS} nearest of each")
    panels[-1, 0].set_xlabel("gradient steps")
    panels[-1, 1].set_xlabel("principal components")
    return figure


def _nearest(codes: Float[np.ndarray, "example feature"]) -> Integer[np.ndarray, "image neighbour"]:
    """Return some examples, each with those nearest to it. The choice depends on the number of examples alone."""
    chosen = np.random.default_rng(SEED).permutation(len(codes))[:IMAGES]
    distances = np.stack([((codes - codes[index]) ** 2).sum(1) for index in chosen])
    distances[np.arange(len(chosen)), chosen] = -1
    return distances.argsort(1, kind="stable")[:, : NEIGHBOURS + 1]
