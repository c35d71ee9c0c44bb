"""What the pages of the project call the methods and datasets of published results."""

from collections.abc import Mapping

import xarray as xr
from metaplastic.results.names import NAMES

METHODS = NAMES | {
    "shipped": "generalist, the learned rule",
    "quill": "quill, a learned rule",
    "polynomial": "barb, learned, 28 numbers",
    "learned": "learned in this run",
    "after-0": "the same before it learned",
    "random-init": "the untrained network",
    "vae-64": "variational autoencoder, 64 units",
    "denoising-autoencoder-64": "denoising autoencoder, 64 units",
}
"""Display names by the keys of the config, which for most methods are their kinds."""

DATASETS = {
    "mnist": "MNIST",
    "mnist-5k": "MNIST, 5,000 images",
    "mnist-28": "MNIST, 28 x 28",
    "fashion-mnist": "Fashion-MNIST",
    "fashion-mnist-28": "Fashion-MNIST, 28 x 28",
    "imdb": "IMDB reviews",
    "iris": "iris",
    "wine": "wine",
    "breast-cancer": "breast cancer",
    "omniglot": "Omniglot",
}


def displayed(results: xr.Dataset) -> xr.Dataset:
    """Return results under the names that a reader knows; what has none keeps its key."""
    named = {"representation": METHODS, "embedding": METHODS, "dataset": DATASETS}
    return results.assign_coords(
        {dim: _named(results[dim].values.tolist(), names) for dim, names in named.items() if dim in results.dims}
    )


def _named(keys: list[str], names: Mapping[str, str]) -> list[str]:
    return [names.get(key, key) for key in keys]
