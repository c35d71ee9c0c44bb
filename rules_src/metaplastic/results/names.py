"""What tables and figures call methods and learners."""

from collections import Counter
from collections.abc import Mapping

import xarray as xr

from metaplastic.results.arms import ORACLE

NAMES = {
    "pretrained": "pretrained rule",
    "meta-trained": "rule meta-trained here",
    "compact": "compact rule before meta-training",
    "published": "published rule before meta-training",
    "polynomial": "polynomial rule before meta-training",
    "identity": "random initialisation",
    "oja": "Oja's rule",
    "hebb": "Hebb's rule",
    "sanger": "Sanger's rule",
    "bcm": "BCM rule",
    "competing": "competing units",
    "soft-hebb": "SoftHebb",
    "raw": "raw input",
    "pca": "PCA",
    "k-means": "k-means features",
    "isomap": "Isomap",
    "umap": "UMAP",
    "vae": "variational autoencoder",
    "denoising-autoencoder": "denoising autoencoder",
    "blurred": "blurred pixels",
    "zca": "whitened pixels",
    "untrained-encoder": "untrained encoder",
    "acai": "ACAI",
    "bigan": "BiGAN",
    "infogan": "InfoGAN",
    "deep-cluster": "DeepCluster",
    "contrastive": "contrastive",
}
"""Names of methods by kind, so that a method has the same name whatever a user calls it."""

LEARNERS = {
    "protonets": "ProtoNets",
    "maml": "MAML",
    "nearest-neighbours": "nearest neighbours",
    "linear": "linear classifier",
    "mlp": "MLP with dropout",
    "cluster-matching": "cluster matching",
    "from-scratch": "training from scratch",
}
"""Names of learners by kind."""


def names(kinds: Mapping[str, str], known: Mapping[str, str] = NAMES) -> dict[str, str]:
    """Return the name of each key from its kind, or the key if that has none.

    If several are alike, the key stands beside the name, except for one that is called as its kind.
    """
    alike = Counter(kinds.values())
    named = {key: known.get(kind, key) for key, kind in kinds.items()}
    plain = {key for key, kind in kinds.items() if alike[kind] == 1 or key in (kind, named[key])}
    return {key: name if key in plain else f"{name}: {key}" for key, name in named.items()}


def learner_keys(summary: xr.Dataset) -> dict[str, str]:
    """Return what learners are called by their keys in the config."""
    keys, kinds = (summary[name].values.tolist() for name in ("learner_key", "learner_kind"))
    return names(dict(zip(keys, kinds, strict=True)), LEARNERS)


def learners(summary: xr.Dataset) -> dict[str, str]:
    """Return each learner's name for people, in order; it tells what makes the tasks unless that is the usual one."""
    called, found = learner_keys(summary), {}
    for name, key in zip(*(summary[of].values.tolist() for of in ("learner", "learner_key")), strict=True):
        of_tasks = "true labels" if name == f"{ORACLE}-{key}" else name.removeprefix(key).removeprefix("-")
        found[name] = ", ".join(filter(None, [called[key], of_tasks]))
    return found


def named(summary: xr.Dataset) -> xr.Dataset:
    """Return a summary of a study with the names of methods and learners in place of their keys."""
    kinds = {"representation": "kind", "embedding": "embedding_kind"}
    called = {dim: names(summary[kind].to_series().to_dict()) for dim, kind in kinds.items() if kind in summary.coords}
    if "learner" in summary.dims:
        called["learner"] = learners(summary)
    return summary.assign_coords({dim: list(found.values()) for dim, found in called.items()})


def labels(shots: int) -> str:
    """Say how many labelled examples of each class there are."""
    return f"{shots} label{'' if shots == 1 else 's'} per class"
