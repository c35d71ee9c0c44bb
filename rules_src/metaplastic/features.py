"""The one schema of a features store, whatever made it: an update rule or an embedding.

`features (seed, inner_step, example, feature)`, examples in the order of the dataset's store. Of an update rule also
its first-layer weights, the order of its inputs, and activations on some test examples, without the axis `seed` where
they are of the first seed alone; of an embedding that is trained by gradient descent also its training history. What
depends on a theta meta-trained here has an axis `meta_seed` before all others, of one member or several. What the store
is of stands in the attributes, not in the path.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float

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

Variables = Mapping[str, tuple[Sequence[str], np.ndarray]]


class Identity(NamedTuple):
    """What a store is of; of an embedding, which has no base model, all below it are none."""

    method: str
    """Key of the rule or the embedding in the config."""
    kind: str
    """Its kind, by which it is named and coloured in figures."""
    dataset: str
    base_model: str | None = None
    """Key of the base model that a rule trained."""
    depth: int | None = None
    """Its hidden layers."""
    width: int | None = None
    """Units of the widest of them; 0 without any."""
    activation: str | None = None
    run: str | None = None
    """Key of the meta-training run that made the rule."""
    meta_step: int | None = None
    """Updates of theta that it has had there."""


def features_dataset(
    features: Float[np.ndarray, "*meta_seed seed inner_step example feature"],
    inner_steps: Sequence[int],
    variables: Variables | None = None,
    coords: Mapping[str, np.ndarray] | None = None,
) -> xr.Dataset:
    """Put features, and what else is known of them, into the schema."""
    levels = ("meta_seed", "seed")[-(features.ndim - 3) :]
    dataset = xr.Dataset(
        {"features": ((*levels, "inner_step", "example", "feature"), features), **(variables or {})},
        coords={
            **{level: np.arange(count) for level, count in zip(levels, features.shape, strict=False)},
            "inner_step": list(inner_steps),
            **(coords or {}),
        },
    )
    for name in dataset.variables:
        long_name = LONG_NAMES.get(str(name)) or LONG_NAMES.get(str(name).rsplit("_", 1)[0])
        dataset[name].attrs = {"units": "1", **({"long_name": long_name} if long_name else {})}
    return dataset


def write_features(
    dataset: xr.Dataset, path: Path, *, identity: Identity, spec: Any, code: str, seconds: float, **extra: str
) -> None:
    """Write a store with its manifest.

    Args:
        dataset: of `features_dataset`.
        path: of the store.
        identity: what it is of.
        spec: every section of the config that made it.
        code: fingerprint of the source.
        seconds: wall-clock time that it took to learn and to embed, of all seeds together, with compilation. It goes
            into the manifest, so that equal features are equal stores, and so does the memory that it took.
        extra: what else the manifest is to hold.

    Raises:
        InputError: a number in it is not finite.
    """
    for name, variable in dataset.variables.items():
        if variable.dtype.kind == "f" and not np.isfinite(variable.values).all():
            raise InputError(
                f"{identity.method} on {identity.dataset}: {name} has come out not finite; give a smaller rate or "
                "fewer steps"
            )
    named = {name: value for name, value in identity._asdict().items() if value is not None}
    counts = {"seeds": dataset.sizes["seed"], "feature_width": dataset.sizes["feature"], "code": code}
    spent = {"seconds": round(seconds, 2), "peak_mb": round(memory.peak() / 1e6, 1)}
    write_zarr(dataset.assign_attrs(named | counts), path, spec=spec, code=code, extra=spent | extra)


def read_features(path: Path) -> xr.Dataset:
    """Load a store into memory, with the manifest's `seconds` and `peak_mb` among its attributes.

    Raises:
        InputError: as for `storage.read_zarr`.
    """
    dataset, manifest = read_with_manifest(path)
    return dataset.assign_attrs({name: manifest[name] for name in ("seconds", "peak_mb") if name in manifest})


def identity_of(dataset: xr.Dataset) -> Identity:
    """What a store is of."""
    attrs = dataset.attrs
    optional = (attrs.get(name) for name in Identity._fields[3:])
    return Identity(attrs["method"], attrs["kind"], attrs["dataset"], *optional)
