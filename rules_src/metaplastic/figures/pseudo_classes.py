"""The classes of pseudo-labelled tasks: images of some clusters of a partition (Hsu et al. 2019, Figure 3)."""

from pathlib import Path

import numpy as np
from jaxtyping import Integer
from matplotlib.figure import Figure

from metaplastic.figures import style
from metaplastic.io.errors import InputError
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
    """Draw a panel per embedding and dataset, and in it a row of images per cluster of the first partition.

    Args:
        partitions: partitions of image datasets.
        datasets: those datasets.

    Raises:
        InputError: the dataset of a partition is not among those given.
    """
    images = {name: store["image"].values for name, store in style.by_name(datasets).items()}
    rows = -(-len(partitions) // PANELS)
    figure = Figure(figsize=(3.3 * min(len(partitions), PANELS), 0.5 + 3.7 * rows), layout="constrained")
    panels = figure.subplots(rows, min(len(partitions), PANELS), squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for axes, path in zip(panels.flat, partitions, strict=False):
        store = read_zarr(path)
        if store.attrs["dataset"] not in images:
            raise InputError(f"{path}: of dataset {store.attrs['dataset']!r}, which is not given")
        sheet = style.sheet(images[store.attrs["dataset"]], _members(store["cluster"].values[0]), columns=MEMBERS)
        axes.imshow(sheet, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        look = style.look(store.attrs["embedding"], store.attrs["embedding_kind"])
        axes.set_title(f"{store.attrs['dataset']}, {store.attrs['partition']} of\n{look.label}")
    figure.suptitle(f"Each row: {MEMBERS} members of one of {CLUSTERS} clusters, all drawn at random")
    return figure


def _members(clusters: np.ndarray) -> list[Integer[np.ndarray, " member"]]:
    """Draw some clusters, and some members of each."""
    rng = np.random.default_rng(SEED)
    known = np.unique(clusters[clusters >= 0])
    chosen = rng.permutation(known)[:CLUSTERS]
    return [rng.permutation(np.flatnonzero(clusters == cluster))[:MEMBERS] for cluster in chosen]
