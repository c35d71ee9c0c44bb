"""The one schema of a features store, whatever made it: an update rule or an embedding.

`features (seed, inner_step, example, feature)` has examples in the order of the dataset's store. The dataset's labels,
splits and attributes stand beside them, so that a store can be evaluated on its own. A rule adds its first-layer
weights, the order of its inputs, and activations on some test examples, without the axis `seed` if only the first seed
keeps them. An embedding trained by gradient descent adds its training history. Variables that depend on a theta
meta-trained here have an axis `meta_seed` before all others. The attributes, not the path, identify the store.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float

from metaplastic.datasets.arrays import Inputs, attributes_of_dataset, load_inputs
from metaplastic.io import memory
from metaplastic.io.errors import InputError
from metaplastic.io.storage import read_with_manifest, write_zarr

LONG_NAMES = {
    "features": "representation learned without labels",
    "first_layer_weights": "incoming weights of the first layer's units",
    "input_permutation": "for each seed the dataset's input that base-model input j receives",
    "activation": "post-activations of a layer on the probe examples",
    "meta_seed": "meta-training runs, equal but for the seed, that the rule comes from or would start",
    "seed": "initial weights and order of examples",
    "inner_step": "updates on batches of unlabelled examples before; 0 too where there are none",
    "probe": "index of a test example whose activations are kept",
    "update": "gradient steps of the training",
}


class Identity(NamedTuple):
    """The method and the data behind a store; an embedding, which has no base model, has only the first three."""

    method: str
    """Key of the rule or the embedding in the config."""
    kind: str
    """Kind of the method, which decides its name and colour in figures."""
    dataset: str
    base_model: str | None = None
    """Key of the base model that a rule trained."""
    depth: int | None = None
    """Number of hidden layers."""
    width: int | None = None
    """Units of the widest hidden layer; 0 without any."""
    activation: str | None = None
    run: str | None = None
    """Key of the meta-training run that made the rule."""
    meta_step: int | None = None
    """Updates of theta in that run."""


class Examples(NamedTuple):
    """A dataset, or features in place of its inputs."""

    seeds: list[Inputs]
    """The features of all seeds of the first meta-training seed, then of the next; a dataset counts as one seed."""
    dataset: str
    permuted: bool
    """Whether the dataset's inputs are in a random order."""
    benchmark: str
    """The published dataset that it is, if it is one."""
    embedding: dict[str, str]
    """Attributes that name the features in everything made from them; empty for a dataset."""


def features_dataset(
    features: Float[np.ndarray, "*meta_seed seed inner_step example feature"],
    inner_steps: Sequence[int],
    dataset: xr.Dataset,
    variables: Mapping[str, tuple[Sequence[str], np.ndarray]] | None = None,
    coords: Mapping[str, np.ndarray] | None = None,
) -> xr.Dataset:
    """Put features of `dataset`, and other variables of the method, into the schema."""
    levels = ("meta_seed", "seed")[-(features.ndim - 3) :]
    numbered = {level: np.arange(count) for level, count in zip(levels, features.shape, strict=False)}
    made = xr.Dataset(
        {"features": ((*levels, "inner_step", "example", "feature"), features), **(variables or {})},
        coords={**numbered, "inner_step": list(inner_steps), **(coords or {})},
    )
    for name in made.variables:
        long_name = LONG_NAMES.get(str(name)) or LONG_NAMES.get(str(name).rsplit("_", 1)[0])
        made[name].attrs = {"units": "1", **({"long_name": long_name} if long_name else {})}
    attributes = {name: dataset.attrs[name] for name in ("modality", "permuted", "benchmark") if name in dataset.attrs}
    if "image" in dataset:
        attributes["image_shape"] = list(dataset["image"].shape[1:])
    copied = [name for name in ("label", "split", "attribute", "attribute_split") if name in dataset]
    return made.assign({n: dataset[n].variable.drop_encoding() for n in copied}).assign_attrs(attributes)


def write_features(
    dataset: xr.Dataset, path: Path, *, identity: Identity, spec: Any, code: str, seconds: float, **extra: str
) -> None:
    """Write the result of `features_dataset` with its manifest.

    The manifest holds `spec`, which is every section of the config that made the store, the fingerprint `code` of the
    source, `extra`, the peak memory in MB, and `seconds`, the wall-clock time of learning and embedding: all seeds
    together, compilation included. So equal features are equal stores.

    Raises:
        InputError: a number in it is not finite.
    """
    for name, variable in dataset.variables.items():
        if variable.dtype.kind == "f" and not np.isfinite(variable.values).all():
            where = f"{identity.method} on {identity.dataset}"
            raise InputError(f"{where}: {name} has come out not finite; give a smaller rate or fewer steps")
    named = {name: value for name, value in identity._asdict().items() if value is not None}
    spent = {"seconds": round(seconds, 2), "peak_mb": round(memory.peak() / 1e6, 1)}
    write_zarr(dataset.assign_attrs(named), path, spec=spec, code=code, extra=spent | extra)


def read_features(path: Path) -> xr.Dataset:
    """Load a store as `storage.read_zarr` does, with the manifest's `seconds` and `peak_mb` among its attributes."""
    dataset, manifest = read_with_manifest(path)
    return dataset.assign_attrs({name: manifest[name] for name in ("seconds", "peak_mb") if name in manifest})


def read_examples(path: Path) -> Examples:
    """Read the store of a dataset, or of features of one; raise InputError as `storage.read_zarr` does."""
    store = read_features(path)
    permuted, benchmark = "permuted" in store.attrs, store.attrs.get("benchmark", "")
    if "features" not in store:
        return Examples([load_inputs(store)], store.attrs["name"], permuted, benchmark, {})
    names = {"embedding": "method", "embedding_kind": "kind", "base_model": "base_model"}
    embedding = {name: store.attrs[key] for name, key in names.items() if key in store.attrs}
    return Examples(inputs_of_features(store), store.attrs["dataset"], permuted, benchmark, embedding)


def inputs_of_features(store: xr.Dataset) -> list[Inputs]:
    """Return, for each seed, the dataset behind a store with the features after the last inner step as its inputs."""
    features = store["features"].values[..., -1, :, :]
    labels, split, attributes = store["label"].values, store["split"].values, attributes_of_dataset(store)
    of_seeds = features.reshape(-1, *features.shape[-2:])
    return [Inputs(values, labels, split, attributes=attributes) for values in of_seeds]


def identity_of(dataset: xr.Dataset) -> Identity:
    """Return the method and the data behind a store."""
    return Identity(**{name: dataset.attrs[name] for name in Identity._fields if name in dataset.attrs})
