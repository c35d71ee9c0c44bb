"""From prepared datasets to what tasks and probes draw from."""

from collections.abc import Mapping
from importlib import import_module

import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float, Int

from metaplastic.datasets.arrays import grey_pixels, unit_range
from metaplastic.datasets.schema import TEST, TRAIN
from metaplastic.io.errors import InputError
from metaplastic.meta_train.tasks.images import Images
from metaplastic.meta_train.tasks.source import Source
from metaplastic.meta_train.tasks.spec import Tasks, TaskSource


def task_sources(
    sources: Mapping[str, TaskSource], tasks: Tasks, datasets: Mapping[str, xr.Dataset], *, held_out: bool = False
) -> dict[str, Source]:
    """Build sources from the training part of `datasets`, or those that show a dataset from its held-out part."""

    def built(spec: TaskSource) -> Source:
        pool = image_pool(datasets[spec.dataset], tasks, held_out=held_out) if spec.dataset else None
        # Imported by name; the workflow's fingerprints take the module as a root of its own.
        source: Source = import_module(spec.module).build(spec, pool)
        return source

    return {name: built(spec) for name, spec in sources.items() if spec.dataset or not held_out}


def image_pool(dataset: xr.Dataset, tasks: Tasks, *, held_out: bool) -> Images:
    """Return images of the training split, or held-out ones: the test split and, of letters, held-out characters.

    Raises:
        InputError: the images are smaller than twice the tasks' side, or have fewer classes than a task.
    """
    name, side = dataset.attrs["name"], 2 * tasks.side
    label, chosen = dataset["label"].values, dataset["split"].values == (TEST if held_out else TRAIN)
    if "held_out_character" in dataset:
        chosen &= dataset["held_out_character"].values[label] == held_out
    smallest = min(dataset.sizes["row"], dataset.sizes["column"])
    if smallest < side:
        raise InputError(f"datasets.{name}.side: {smallest} is less than twice tasks.side; give {side}")
    order = np.flatnonzero(chosen)[np.argsort(label[chosen], kind="stable")]
    _, first, count = np.unique(label[order], return_index=True, return_counts=True)
    if len(first) < tasks.classes:
        kind = "held-out" if held_out else "training"
        raise InputError(f"tasks.classes: {tasks.classes} exceeds the {len(first)} {kind} classes of {name}")
    images = grey_pixels(dataset["image"].values[order], side, name)
    return Images(jnp.asarray(np.rint(images), jnp.uint8), jnp.asarray(first), jnp.asarray(count))


def small_images(dataset: xr.Dataset, side: int) -> tuple[Float[Array, "example input"], Int[Array, " example"]]:
    """Return all images of a dataset as grey `side` x `side` rows in [0, 1], and their labels.

    Raises:
        InputError: the dataset has no images, or its images are smaller.
    """
    name = dataset.attrs["name"]
    if dataset.attrs["modality"] != "image":
        raise InputError(f"held_out.datasets: {name} has no images; only image datasets can be watched")
    images = unit_range(grey_pixels(dataset["image"].values, side, name))
    return jnp.asarray(images.reshape(len(images), -1)), jnp.asarray(dataset["label"].values)
