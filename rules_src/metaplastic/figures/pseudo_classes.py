"""The classes of pseudo-labelled tasks: images of some clusters of a partition (Hsu et al. 2019, Figure 3)."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from metaplastic.figures import style
from metaplastic.io.storage import read_zarr

INPUTS = {"partitions": "clusters", "datasets": "image datasets"}
NEEDS = ()
CAPTION = """\
The classes that learners are trained to tell apart. Each row shows images of one cluster of the first partition;
clusters and images are drawn at random.
"""

CLUSTERS, MEMBERS, SEED = 10, 10, 0
"""Number of clusters and of their members that are shown, both drawn at random."""
PANELS = 4
"""Panels in a row."""


def draw(partitions: list[Path], datasets: list[Path]) -> Figure:
    """Draw a panel per partition, in it a row of images per cluster of its first set; errors are `style.given`'s."""
    stores = {path: read_zarr(path) for path in partitions}
    images = style.given(datasets, {path: store.attrs["dataset"] for path, store in stores.items()})
    columns, rows = min(len(stores), PANELS), -(-len(stores) // PANELS)
    figure, panels = style.grid(rows, columns, (3.3 * columns, 0.5 + 3.7 * rows))
    for axes in panels.flat:
        axes.set_axis_off()
    for axes, store in zip(panels.flat, stores.values(), strict=False):
        # Draw some clusters, and some members of each.
        rng, clusters = np.random.default_rng(SEED), store["cluster"].values[0]
        chosen = rng.permutation(np.unique(clusters[clusters >= 0]))[:CLUSTERS]
        members = [rng.permutation(np.flatnonzero(clusters == cluster))[:MEMBERS] for cluster in chosen]
        sheet = style.sheet(images[store.attrs["dataset"]]["image"].values, members, columns=MEMBERS)
        axes.imshow(sheet, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        look = style.look(store.attrs["embedding"], store.attrs["embedding_kind"])
        axes.set_title(f"{store.attrs['dataset']}, {store.attrs['partition']} of\n{look.label}")
    figure.suptitle(f"Each row: {MEMBERS} members of one of {CLUSTERS} clusters, all drawn at random")
    return figure
