"""Published results, and what the pages of the project call their methods and datasets."""

from collections.abc import Mapping
from pathlib import Path

import xarray as xr
from metaplastic.io.storage import read_netcdf
from metaplastic.results.names import NAMES, learners
from metaplastic.update_rules.pretrained import DEFAULT, pretrained_file

PUBLISHED = Path("results/published")
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

LEARNERS = {
    "protonets-jittered": "ProtoNets, jittered tasks",
    "maml-jittered": "MAML, jittered tasks",
    "protonets-rounds-neighbourhoods": "ProtoNets, jittered neighbours, six rounds",
    "protonets-one-partition": "ProtoNets, one partition",
    **{f"protonets-partitions-{number}": f"ProtoNets, {number} partitions" for number in (3, 10, 30)},
    "protonets-clusters-100": "ProtoNets, 100 clusters",
    "protonets-clusters-250": "ProtoNets, 250 clusters",
    "protonets-clusters-1000": "ProtoNets, 1,000 clusters",
    "protonets-small-clusters": "ProtoNets, clusters of 6 or more",
    "maml-one-partition": "MAML, one partition",
    "maml-short": "MAML, 4,000 steps",
}
"""Display names of few-shot learners that their kind and their partition do not tell apart."""

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


def published(name: str) -> xr.Dataset:
    """Read results that come with the project."""
    return read_netcdf(PUBLISHED / f"{name}.nc")


def dissected() -> xr.Dataset:
    """Read what each term of the default rule is worth, which stands beside its card."""
    return read_netcdf(pretrained_file(DEFAULT).with_name(f"{DEFAULT}-terms.nc"))


def displayed(results: xr.Dataset) -> xr.Dataset:
    """Return results under the names that a reader knows; what has none keeps its key."""
    called: dict[str, Mapping[str, str]] = {"representation": METHODS, "embedding": METHODS, "dataset": DATASETS}
    if "learner" in results.dims:
        called["learner"] = learners(results) | LEARNERS
    shown = {dim: names for dim, names in called.items() if dim in results.dims}
    return results.assign_coords(
        {dim: [names.get(key, key) for key in results[dim].values] for dim, names in shown.items()}
    )
