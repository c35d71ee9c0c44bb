"""Turn a column of integers or texts into classes, and a column of splits into codes of the schema."""

import re
import unicodedata
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Int32

from metaplastic.datasets.schema import TEST, TRAIN, VALIDATION, Split, split_of_classes
from metaplastic.datasets.splits import rounded_share, stratified_test_mask
from metaplastic.datasets.user.npz import listed
from metaplastic.datasets.user.tables import MISSING, NUMBER, is_text, value_type
from metaplastic.io.errors import InputError

INTEGER = re.compile("-?[0-9]{1,18}")
CLASSES = 1 << 16
"""Most classes of a file."""
SPLITS = {"train": TRAIN, "val": VALIDATION, "validation": VALIDATION, "test": TEST}
"""Codes of the splits by their names, in lower case."""


class Classes(NamedTuple):
    """Labels 0, 1, ... and the names of the classes: integers in numerical order, other names in alphabetical order."""

    label: Int32[np.ndarray, " example"]
    names: list[str]


def read_classes(column: pa.Array | pa.ChunkedArray, place: str) -> Classes:
    """Number the distinct values of a column of integers, booleans or texts.

    Raises:
        InputError: the column holds something else, lacks values or has too many different ones; `place` names it.
    """
    kind = value_type(column)
    if not (pa.types.is_integer(kind) or pa.types.is_boolean(kind) or is_text(kind)):
        raise InputError(f"{place}: values of type {kind}; give integers or text")
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
    if (found := len(encoded.dictionary)) > CLASSES:
        raise InputError(f"{place}: {found} different labels, more than {CLASSES}; give the column of the classes")
    # The last entry is for nulls, whose index is -1.
    texts = ["" if value is None else str(value) for value in [*encoded.dictionary.to_pylist(), None]]
    indices = encoded.indices.cast(pa.int64()).fill_null(-1).to_numpy()
    used, counts = np.unique(indices, return_counts=True)
    absent = {texts[index] for index in used if texts[index].strip().lower() in MISSING}
    there = {texts[index] for index in used} - absent
    if not all(NUMBER.fullmatch(text.strip()) for text in there):
        absent = {text for text in absent if not text.strip()}
    if missing := sum(int(count) for index, count in zip(used, counts, strict=True) if texts[index] in absent):
        words = sorted(text for text in absent if text.strip())
        written = f", written {listed(words)}" if words else ""
        raise InputError(f"{place}: {missing} missing{written}; fill them or drop their examples")
    names = sorted({texts[index] for index in used})
    if all(map(INTEGER.fullmatch, names)):
        names.sort(key=int)
    number = {name: label for label, name in enumerate(names)}
    return Classes(np.array([number.get(text, -1) for text in texts], np.int32)[indices], names)


def check_names(names: list[str], place: str) -> None:
    """Refuse two names of classes that read alike, and names that are all numbers, but not all integers."""
    alike: dict[object, str] = {}
    for name in names:
        plain = unicodedata.normalize("NFC", name).strip()
        number = int(plain) if INTEGER.fullmatch(plain.removeprefix("+")) else plain
        if (other := alike.setdefault(number, name)) != name:
            raise InputError(
                f"{place}: labels {other!r} and {name!r} are two classes, but read alike; write one of them"
            )
    broken = [name for name in names if not INTEGER.fullmatch(name.strip())]
    if broken and all(NUMBER.fullmatch(name.strip().replace(",", ".")) for name in names):
        raise InputError(f"{place}: {broken[0]!r} is a number, but no integer; give integers or text as labels")


def read_split(column: pa.Array | pa.ChunkedArray, classes: Classes, place: str) -> Split:
    """Return codes of the schema for a column of `train`, `test` and perhaps `validation`, or of 0 and 1.

    Raises:
        InputError: the column holds something else, or a class has no training or no test example, unless every split
            has classes of its own; `place` names the column.
    """
    label, names = read_classes(column, place)
    codes = SPLITS | {"0": TRAIN, "1": TEST}
    for name in names:
        if name.lower() not in codes:
            raise InputError(f"{place}: {name!r} is not a split; give train, test or validation, or 0 or 1")
    split = np.array([codes[name.lower()] for name in names], np.uint8)[label]
    apart = split_of_classes(classes.label, split, len(classes.names))
    if apart is None or not {TRAIN, TEST} <= set(apart.tolist()):
        for part, members in (("training", split == TRAIN), ("test", split == TEST)):
            counts = np.bincount(classes.label[members], minlength=len(classes.names))
            if not counts.all():
                raise InputError(f"{place}: class {classes.names[counts.argmin()]!r} has no {part} example; give one")
    return split


def draw_split(classes: Classes, test_fraction: float, seed: int, place: str) -> Split:
    """Draw codes of the schema by `stratified_test_mask`; refuse, by its name, a class with too few examples."""
    for name, count in zip(classes.names, np.bincount(classes.label).tolist(), strict=True):
        if not 0 < rounded_share(test_fraction, count) < count:
            raise InputError(
                f"{place}: class {name!r} has too few examples, {count}: test_fraction {test_fraction} leaves none for "
                "testing or none for training"
            )
    return stratified_test_mask(classes.label, test_fraction, seed).astype(np.uint8)
