"""A labelling on disk: one safetensors file with its arrays, the labelled images that it has adapted to, and texts.

Files may come from strangers (`io.tensors`). The sections of config in them are validated, and the labelling that these
describe tells names, shapes and types without being allocated.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float32, Int32, Shaped

from metaplastic.config.base import LARGEST, parse_spec
from metaplastic.few_shot.labelling import Labelling, Recipe, in_words, untrained, with_learner
from metaplastic.few_shot.spec import Learner
from metaplastic.io import tensors
from metaplastic.io.errors import InputError
from metaplastic.io.jax_settings import own_numbers
from metaplastic.io.tensors import described
from metaplastic.io.trees import described_leaves, named_leaves, with_leaves
from metaplastic.update_rules.pretrained import FOLDERS, packaged_files

FORMAT = "metaplastic-few-shot-1"
LEARNER = tensors.Sort(
    "few-shot learner", "save a fitted FewShotClassifier to it", FORMAT, largest=2**30, largest_header=2**22
)
LARGEST_RECIPE = 2**13
"""Largest size in bytes of the recipe in a header."""
MOST_STEPS = 10_000
"""Most steps by which a learner of a file may adapt."""
WEIGHTS = "weights"
"""Folder beside the packaged rules that has packaged learners."""


class Support(NamedTuple):
    """The labelled images that a labelling has adapted to."""

    labels: Shaped[np.ndarray, " way"]
    """The label of every class: numbers or texts, sorted."""
    features: Float32[np.ndarray, "image feature"]
    classes: Int32[np.ndarray, " image"]
    """The class of each image, a place in `labels`."""


def write(path: Path, labelling: Labelling, support: Support | None, parameters: dict[str, Any]) -> None:
    """Write a labelling, what it has adapted to, and the parameters of its classifier; raise InputError if it fails."""
    arrays = named_leaves({"model": labelling})
    if support is not None:
        arrays |= {"features": support.features, "classes": support.classes}
    labels = [] if support is None else support.labels.tolist()
    header = {"recipe": labelling.recipe, "labels": labels, "parameters": parameters}
    tensors.write_safetensors(
        path, arrays, {"format": FORMAT} | {key: json.dumps(value, sort_keys=True) for key, value in header.items()}
    )


@own_numbers()
def read(path: Path, image: tuple[int, int, int] | None = None) -> tuple[Labelling, Support | None, dict[str, Any]]:
    """Read a file of `write`, or a snapshot of a learner that the workflow has trained, which may come from anyone.

    A snapshot does not tell rows, columns and channels of an `image`, which have to be given then.

    Raises:
        InputError: the file is missing or no such file, or has changed since it was written, or `image` is another.
    """
    with tensors.opened_safetensors(path, LEARNER, also=tensors.STATE.format) as (file, header):
        if header["format"] == tensors.STATE.format:
            return _of_snapshot(path, header["config"], image), None, {}
        if len(header["recipe"]) > LARGEST_RECIPE:
            raise ValueError(f"a recipe of {len(header['recipe'])} bytes")
        method, embedding, shape = json.loads(header["recipe"])
        recipe = Recipe(str(method), str(embedding), _image(shape))
        template, labels = _template(recipe), json.loads(header["labels"])
        expected = described_leaves({"model": template})
        if labels:
            (count,) = file.get_slice("classes").get_shape()
            shown = jax.ShapeDtypeStruct((count, int(np.prod(recipe.image))), np.float32)  # type: ignore[no-untyped-call]
            kept = eqx.filter_eval_shape(lambda model, images: model.features(images), template, shown)
            expected |= {"features": described("float32", kept.shape), "classes": described("int32", (count,))}
        tensors.check_arrays(file, expected, of="its learner")
        arrays = tensors.read_arrays(file, header)
        tensors.check_finite(arrays)
        parameters = dict(json.loads(header["parameters"]))
        support = _support(labels, arrays["features"], arrays["classes"], template.most_classes) if labels else None
    if image not in (None, recipe.image):
        raise InputError(f"{path}: of images of {in_words(recipe.image)}, not {in_words(image)}; give such images")
    return with_leaves({"model": template}, arrays)["model"], support, parameters


def packaged_learner(name: str) -> Path:
    """Return the file of a learner that comes with the package; raise InputError, with those that do, if there is none.

    Each is `weights/<name>.safetensors` beside the packaged rules.
    """
    found = packaged_files([folder / WEIGHTS for folder in FOLDERS])
    if name not in found:
        shipped = f"take one of: {', '.join(sorted(found))}" if found else "none comes with this version; fit your own"
        raise InputError(f"no packaged few-shot learner {name!r}; {shipped}")
    return found[name]


def _of_snapshot(path: Path, section: str, image: tuple[int, int, int] | None) -> Labelling:
    parse_spec(Learner, section, str(path))
    if image is None:
        raise InputError(
            f"{path}: a snapshot of the workflow, which has no size of images; give it, and their channels"
        )
    template = _template(Recipe(section, "", _image(image)))
    from metaplastic.training.checkpoint import load_state

    return with_learner(template.recipe, jax.tree.map(np.asarray, load_state(path, template.learner)))


def _template(recipe: Recipe) -> Any:
    """Return the labelling of a recipe with shapes in place of arrays; raise ValueError if there is none."""
    try:
        if getattr(recipe.learner, "test_inner_steps", 0) > MOST_STEPS:
            raise ValueError(f"test_inner_steps: more than {MOST_STEPS}")
        return eqx.filter_eval_shape(lambda: untrained(recipe))
    except (InputError, OverflowError) as error:
        raise ValueError(str(error)) from error


def _image(shape: Any) -> tuple[int, int, int]:
    rows, columns, channels = shape
    if not all(isinstance(size, int) and 0 < size <= LARGEST for size in shape):
        raise ValueError(f"images of {shape}")
    return rows, columns, channels


def _support(labels: Any, features: np.ndarray, classes: np.ndarray, most: int | None) -> Support:
    array = np.array(labels)
    mixed = len({isinstance(label, str) for label in labels}) > 1
    if mixed or array.ndim != 1 or array.dtype.kind not in "biufU" or not np.array_equal(array, np.sort(array)):
        raise ValueError("its labels are not sorted texts or numbers")
    if (array[1:] == array[:-1]).any() or not np.array_equal(np.unique(classes), np.arange(len(labels))):
        raise ValueError("a label is there twice, or a class has no image")
    if most is not None and len(labels) > most:
        raise ValueError(f"{len(labels)} classes, more than the {most} of its learner")
    return Support(array, features, classes)
