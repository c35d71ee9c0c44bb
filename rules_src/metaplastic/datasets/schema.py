"""The one schema of a dataset, whatever its source.

`image (example, row, column, channel)` uint8, `feature (example, word)` uint8 or `feature (example, column)` float32,
`label (example)` int32, and `split (example)` uint8, 0 for train, 1 for test, 2 for validation (CF flags in its
attributes). Features of texts are counts of words; the attribute `weighting` says what methods see of them. If no class
is in two splits, as few-shot episodes demand, `class_split (class)` holds the split of each class. Examples without
classes have `attribute (example, attribute)` bool, named by `attribute_names`, and `attribute_split (attribute)`, the
split whose episodes use the attribute; their labels are all 0.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float32, Integer, UInt8

from metaplastic.io.errors import InputError

TRAIN, TEST, VALIDATION = 0, 1, 2

Split = UInt8[np.ndarray, " example"]
"""`TRAIN`, `TEST` or `VALIDATION`."""

MODALITIES = {
    ("uint8", 4): ("image", "row", "column", "channel"),
    ("uint8", 2): ("text", "word"),
    ("float32", 2): ("table", "column"),
}
"""Modality and dimensions of an example, by the type and the number of dimensions of the values."""

OMNIGLOT = "Omniglot of Hsu et al. 2019"
"""Attribute `benchmark` of a dataset that is prepared as that paper's, so that its numbers may stand beside ours."""
FLAGS = {"flag_values": [TRAIN, TEST, VALIDATION], "flag_meanings": "train test validation"}


class About(NamedTuple):
    """Where a dataset is from."""

    source: str
    title: str
    licence: str
    citation: str


def make_dataset(
    values: UInt8[np.ndarray, "example row column channel"]
    | UInt8[np.ndarray, "example word"]
    | Float32[np.ndarray, "example column"],
    label: Integer[np.ndarray, " example"],
    split: Bool[np.ndarray, " example"] | Split,
    about: About,
    **attributes: Any,
) -> xr.Dataset:
    """Put images, word counts of texts or columns of numbers into the schema; their shape and type tell them apart.

    `split` holds codes, or is true for the examples of the test split. `attributes` hold `class_names`, `checksum`
    (lines of SHA-256 and file name), `checksum_kind` (what the checksums cover) and whatever else the source says.
    """
    modality, *dimensions = MODALITIES[values.dtype.name, values.ndim]
    split = split.astype(np.uint8)
    of_class = split_of_classes(label, split, len(attributes["class_names"]))
    return xr.Dataset(
        {
            "image" if modality == "image" else "feature": (("example", *dimensions), values),
            "label": ("example", label.astype(np.int32)),
            "split": ("example", split, FLAGS),
            **({} if of_class is None else {"class_split": ("class", of_class, FLAGS)}),
        },
        attrs={
            "name": about.source,
            "modality": modality,
            "n_train": int((split == TRAIN).sum()),
            "n_test": int((split == TEST).sum()),
            **({"n_validation": int((split == VALIDATION).sum())} if (split == VALIDATION).any() else {}),
            **about._asdict(),
            **attributes,
        },
    )


def with_attributes(
    dataset: xr.Dataset,
    values: Bool[np.ndarray, "example attribute"],
    split: UInt8[np.ndarray, " attribute"],
    names: Sequence[str],
) -> xr.Dataset:
    """Add attributes to images that have no classes."""
    variables = {"attribute": (("example", "attribute"), values), "attribute_split": ("attribute", split, FLAGS)}
    return dataset.assign(variables).assign_attrs(attribute_names=list(names))


def permuted(dataset: xr.Dataset, seed: int) -> xr.Dataset:
    """Put the inputs of all examples into one random order, whose seed becomes the attribute `permuted`.

    The attribute `benchmark` is dropped.
    """
    name = "image" if "image" in dataset else "feature"
    values = dataset[name].values
    rows = values.reshape(len(values), -1)
    order = np.random.default_rng(seed).permutation(rows.shape[1])
    mixed = dataset[name].copy(data=rows[:, order].reshape(values.shape))
    mixed_up = dataset.assign({name: mixed}).assign_attrs(permuted=seed)
    mixed_up.attrs.pop("benchmark", None)
    return mixed_up


def check_examples(dataset: xr.Dataset, *, shots: int, examples: int) -> None:
    """Refuse fewer training examples than `examples` in all or, if there are `shots`, than so many in each class."""
    names, name, found = (dataset.attrs[key] for key in ("class_names", "name", "n_train"))
    counts = np.bincount(dataset["label"].values[dataset["split"].values == TRAIN], minlength=len(names))
    if shots and "class_split" in dataset:
        raise InputError(f"{name}: no class is in two splits, so only learners take it; list some under learners")
    if counts.min() < shots:
        raise InputError(
            f"few_shot.shots: {shots} labelled examples a class asked for, but {names[counts.argmin()]!r} of "
            f"{name} has {counts.min()} training examples; give at most that"
        )
    if found < examples:
        raise InputError(
            f"clusters: they take at least {examples} training examples, {name} has {found}; give fewer clusters or "
            "members"
        )


def split_of_classes(
    label: Integer[np.ndarray, " example"], split: Split, classes: int
) -> UInt8[np.ndarray, " class_"] | None:
    """Return the split that each class is in, or None if a class is in several or in none."""
    members = np.zeros((3, classes), bool)
    members[split, label] = True
    return members.argmax(0).astype(np.uint8) if (members.sum(0) == 1).all() else None
