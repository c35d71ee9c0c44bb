"""From prepared datasets to what tasks and probes draw from."""

import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float, Int

from rules_src.config.meta_train import LetterTasks
from rules_src.datasets.images import resize
from rules_src.errors import InputError
from rules_src.tasks.letters import Glyphs


def glyphs(letters: xr.Dataset, tasks: LetterTasks, *, held_out: bool) -> Glyphs:
    """Training characters in training faces, or held-out characters in held-out faces, at twice the tasks' side.

    Raises:
        InputError: the glyphs are rendered smaller than that, or there are fewer characters than a task has classes.
    """
    side = tasks.side
    faces, characters = letters.sizes["face_index"], letters.sizes["character_index"]
    images = letters["image"].values
    name = letters.attrs["name"]
    if 2 * side > images.shape[1]:
        raise InputError(f"datasets.{name}.side: {images.shape[1]} is less than twice tasks.side; give {2 * side}")
    small = resize(images, 2 * side, source=name).reshape(faces, characters, 2 * side, 2 * side)
    face, character = letters["held_out_face"].values, letters["held_out_character"].values
    chosen = small[face == held_out][:, character == held_out]
    if not len(chosen):
        raise InputError(f"datasets.{name}.held_out_faces: leaves no faces on one side; give another share")
    if chosen.shape[1] < tasks.classes:
        kind = "held-out" if held_out else "training"
        raise InputError(f"tasks.classes: {tasks.classes} exceeds the {chosen.shape[1]} {kind} characters of {name}")
    return Glyphs(jnp.asarray(chosen, jnp.float32) / 255)


def small_images(dataset: xr.Dataset, side: int) -> tuple[Float[Array, "example input"], Int[Array, " example"]]:
    """All images of a dataset as grey `side` x `side` rows in [0, 1], and their labels.

    Raises:
        InputError: the dataset has no images, or smaller ones.
    """
    name = dataset.attrs["name"]
    if dataset.attrs["modality"] != "image":
        raise InputError(f"held_out.datasets: {name} has no images; only image datasets can be watched")
    images = resize(dataset["image"].values, side, source=name).mean(-1, dtype=np.float32)
    return jnp.asarray(images.reshape(len(images), -1) / 255), jnp.asarray(dataset["label"].values)
