"""A file of a user: arrays of a `.npz`, or columns of a `.csv` or `.parquet`."""

import reprlib
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import xarray as xr
from jaxtyping import Float, Float32, Float64, UInt8

from metaplastic.datasets.fetch import Fetch, made_from, read_raw
from metaplastic.datasets.images import resize
from metaplastic.datasets.schema import TRAIN, About, make_dataset
from metaplastic.datasets.spec import Dialect, File
from metaplastic.datasets.splits import standardised
from metaplastic.datasets.user.labels import check_names, draw_split, read_classes, read_split
from metaplastic.datasets.user.npz import listed, read_npz
from metaplastic.datasets.user.tables import (
    NUMBER,
    ParquetTable,
    Table,
    check_count,
    exceeds,
    is_text,
    open_table,
    value_type,
)
from metaplastic.io.errors import InputError

LIMIT = 1 << 29
"""Most bytes of the file, and of what is read from it."""
EXAMPLES = 1 << 24
"""Most examples; counting labels takes some 50 bytes for each."""
VALUES = 1 << 27
"""Most numbers, pixels aside; scaling takes some 24 bytes for each."""
OPAQUE = 255
"""Alpha of a pixel that nothing shows through."""
STANDARD_INPUT = Path("-")
LARGEST = 1e15
"""Largest value: single precision has to hold sums of its squares."""
FILL = "fill them or drop their examples"


class Wanted(NamedTuple):
    """What is read of a table, and how errors advise to ask for something else."""

    features: Sequence[str]
    """Columns of numbers; by default all but `others` and an index of pandas."""
    others: Sequence[str]
    """Columns to read as they are."""
    gaps: bool = False
    """Whether numbers may be missing, as NaN."""
    texts: str = "list the numeric ones in features"
    """What errors advise about a column of texts, besides dropping it."""
    missing: str = FILL
    """What to do about missing numbers."""


class Content(NamedTuple):
    """Features and other columns of a file."""

    values: np.ndarray
    """Images, uint8 [example, row, column, channel], or numbers, float64 [example, column]."""
    columns: list[str]
    """Names of the columns of features; empty for arrays."""
    others: pa.Table | dict[str, pa.Array]
    """The other columns asked for, by name; from a CSV, as texts."""
    typed: bool = True
    """Whether the others have the types that the file says."""


def prepare(spec: File, fetch: Fetch) -> xr.Dataset:
    """Return the file in the schema, `image` or `feature (example, column)`; fetch nothing.

    Raises:
        InputError: the file is missing, too large or broken, or its labels, features or split are unfit; the message
            names the file and the column or array.
    """
    path = Path(spec.path)
    check_file(path)
    checksum = read_raw(path).checksum_line
    others = [spec.label, *([spec.split] if spec.split else [])]
    if path.suffix.lower() == ".npz":
        kind, content = "array", _read_arrays(path, spec, others)
    else:
        kind, content = "column", read_numbers(path, Wanted(spec.features, others), dialect=spec)
    place = f"{path}: {kind} {spec.label!r}"
    classes = read_classes(content.others[spec.label], place)
    if len(classes.names) < 2:
        raise InputError(f"{place}: {classes.names[0]!r} is the only class; give two or more")
    if spec.split:
        split = read_split(content.others[spec.split], classes, f"{path}: {kind} {spec.split!r}")
    else:
        split = draw_split(classes, spec.test_fraction, spec.split_seed, place)
    check_names(classes.names, place)
    if checksum != read_raw(path).checksum_line:
        raise InputError(f"{path}: changed while it was read; run again")
    about = About(spec.source, path.name, licence="not stated", citation="not stated")
    values = content.values
    described: dict[str, Any] = {}
    if values.dtype == np.uint8:
        values = resize(values, spec.side, source=spec.path) if spec.side else values
    else:
        values = standardised(values, split == TRAIN) if spec.standardise else values
        values = _as_float32(values, content.columns, path)
        described = {"columns": content.columns, "standardised": spec.standardise}
    described |= {"class_names": classes.names, **made_from("the file itself", checksum)}
    return make_dataset(values, classes.label, split, about, **described)


def check_file(path: Path) -> None:
    """Raise an `InputError` unless a path leads to a file that is neither empty nor too large."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(f"{path}: a pipe or device; give a file, which can be read twice")
    if not path.exists():
        raise InputError(f"{path}: no such file; paths start at the folder that the workflow runs in")
    _check_size(path, path.stat().st_size)


def _check_size(path: Path, size: int) -> None:
    if path.is_dir():
        raise InputError(f"{path}: a folder; give a file")
    if not size:
        raise InputError(f"{path}: empty; give a file with examples")
    if size > LIMIT:
        raise InputError(f"{path}: {size} bytes, more than the {LIMIT} that are read; give fewer examples or columns")


def read_content(path: Path) -> bytes:
    """Return the content of a file or a pipe, or of standard input for the path `-`.

    Raises:
        InputError: it is not a file, empty or too large.
    """
    if path == STANDARD_INPUT:
        content = sys.stdin.buffer.read(LIMIT + 1)
    elif path.is_file() or path.is_dir():
        _check_size(path, path.stat().st_size)
        content = path.read_bytes()
    elif path.exists():
        with path.open("rb") as stream:
            content = stream.read(LIMIT + 1)
    else:
        raise InputError(f"{path}: no such file")
    _check_size(path, len(content))
    return content


def _read_arrays(path: Path, spec: File, others: Sequence[str]) -> Content:
    feature = spec.features[0] if spec.features else "x"
    arrays = read_npz(path, [feature, *others], limit=LIMIT)
    values = arrays.pop(feature)
    place = f"{path}: array {feature!r}"
    if values.ndim < 2:
        raise InputError(f"{place}: shape {values.shape}; give [example, feature] or images")
    for name, array in arrays.items():
        if array.ndim != 1:
            raise InputError(f"{path}: array {name!r}: shape {array.shape}; give one value an example")
        if len(array) != len(values):
            raise InputError(f"{path}: arrays {feature!r} and {name!r} have {len(values)} and {len(array)} examples")
    if not values.size:
        raise InputError(f"{place}: shape {values.shape} holds nothing; give examples with features")
    check_count(place, "examples", len(values), EXAMPLES)
    # Labels of floating point are refused later, with the message for columns.
    plain = {name: array.astype(np.float64) if array.dtype.kind == "f" else array for name, array in arrays.items()}
    return Content(_numbers(values, spec, place), [], {name: pa.array(array) for name, array in plain.items()})


def _numbers(values: np.ndarray, spec: File, place: str) -> np.ndarray:
    """Return images with an axis of channels, or else rows of finite float64."""
    if values.ndim in (3, 4) and (values.dtype == np.uint8 or (spec.shows_images and values.dtype.kind == "f")):
        return _images(values, spec, place)
    if spec.shows_images:
        key = "side" if spec.side else "layout"
        raise InputError(f"{place}: shape {values.shape} of {values.dtype} is not an array of uint8 images; drop {key}")
    if values.dtype.kind == "U":
        raise InputError(f"{place}: holds text; give numbers")
    check_count(place, "numbers", values.size, VALUES)
    rows = values.reshape(len(values), -1).astype(np.float64)
    _check_finite(rows, place)
    return rows


def _images(values: np.ndarray, spec: File, place: str) -> UInt8[np.ndarray, "example row column channel"]:
    if values.ndim == 4 and spec.layout == "channels-first":
        values = np.moveaxis(values, 1, 3)
    images = values.reshape(*values.shape[:3], -1)
    if images.dtype != np.uint8:
        _check_finite(images, place)
        if images.min() < 0 or images.max() > 1:
            raise InputError(
                f"{place}: pixels of {images.min():.4g} to {images.max():.4g}; give floats in 0 to 1, or uint8"
            )
        images = np.floor(images * np.float32(255) + np.float32(0.5)).astype(np.uint8)
    if images.shape[3] in (2, 4) and (images[..., -1] == OPAQUE).all():
        images = images[..., :-1]
    if images.shape[3] not in (1, 3):
        raise InputError(
            f"{place}: images of {images.shape[3]} channels; give [example, row, column, channel] with one or three, "
            "name the layout channels-first, or give numbers of another type than uint8"
        )
    return images


def read_numbers(path: Path, wanted: Wanted, *, dialect: Dialect) -> Content:
    """Read columns of a table; numbers are finite, or missing where they may be.

    Raises:
        InputError: a column is missing or not what it should be, or the file is too large or broken.
    """
    source = open_table(path, read_content(path), dialect, limit=LIMIT)
    wanted, typed = _picked(path, source, wanted), source.typed
    table = source.read([*wanted.features, *wanted.others], wanted.others, limit=LIMIT, examples=EXAMPLES)
    # The file's content is as large as its numbers.
    del source
    if not table.num_rows:
        raise InputError(f"{path}: a header, but no rows; give examples")
    check_count(path, "numbers", table.num_rows * len(wanted.features), VALUES)
    return _content(path, table, wanted, typed=typed)


def is_large(path: Path) -> bool:
    """Return whether a `.parquet` has more than `read_numbers` reads, so that it has to be read in batches."""
    if path.suffix.lower() != ".parquet" or not path.is_file():
        return False
    return exceeds(path, size=LIMIT, rows=EXAMPLES, numbers=VALUES)


def read_in_batches(path: Path, wanted: Wanted) -> Iterator[Content]:
    """Yield what `read_numbers` reads of a `.parquet`, however large, in batches of its row groups.

    Raises:
        InputError: as for `read_numbers`.
    """
    source = ParquetTable(path)
    wanted = _picked(path, source, wanted)
    for table in source.batches([*wanted.features, *wanted.others]):
        yield _content(path, table, wanted, typed=True)


def _picked(path: Path, source: Table, wanted: Wanted) -> Wanted:
    """Name the columns of features where none are named; refuse what is not there."""
    asked = [*wanted.others, *wanted.features]
    if source.nameless and not {*asked} & {*source.names}:
        advice = "write names above it, or in their place if they are names"
        raise InputError(f"{path}: the first row holds numbers and no names of columns; {advice}")
    for name, uses in Counter(source.names).most_common(1):
        if uses > 1:
            raise InputError(f"{path}: {uses} columns are named {name!r}; rename them")
    for name in asked:
        if name not in source.names:
            raise InputError(f"{path}: no column {name!r}; it holds {listed(source.names)}")
    features = wanted.features or [name for name in source.names if name not in {*wanted.others, *source.index}]
    if not features:
        raise InputError(f"{path}: no columns of features beside {listed(wanted.others)}")
    if "" in features:
        raise InputError(f"{path}: column {source.names.index('') + 1} has no name; name it, or {wanted.texts}")
    return wanted._replace(features=features)


def _content(path: Path, table: pa.Table, wanted: Wanted, *, typed: bool) -> Content:
    values = np.empty((table.num_rows, len(wanted.features)))
    for index, name in enumerate(wanted.features):
        values[:, index] = _column(table[name], f"{path}: column {name!r}", wanted)
    return Content(values, list(wanted.features), table.select(list(wanted.others)), typed)


def _column(column: pa.ChunkedArray, place: str, wanted: Wanted) -> Float64[np.ndarray, " example"]:
    kind = column.type
    numeric = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean, pa.types.is_null)
    if not any(is_kind(kind) for is_kind in numeric):
        raise InputError(f"{place}: not numeric but of type {value_type(column)}, {_shown(column, wanted.texts)}")
    numbers: np.ndarray = column.cast(pa.float64(), safe=False).to_numpy()
    _check_finite(numbers[~np.isnan(numbers)] if wanted.gaps else numbers, place, wanted.missing)
    return numbers


def _shown(column: pa.ChunkedArray, otherwise: str) -> str:
    """Return which value of a column is not a number, in which row of the data, and what to do."""
    texts = is_text(value_type(column))

    def reads(value: object) -> bool:
        return texts and bool(NUMBER.fullmatch(str(value).strip()))

    there = ((row, scalar.as_py()) for row, scalar in enumerate(column, start=1) if scalar.is_valid)
    first = next(there, (1, None))
    row, value = next((pair for pair in chain([first], there) if not reads(pair[1])), first)
    advice = f"drop it, or {otherwise}"
    if reads(value):
        advice = f"save numbers as such, {advice}"
    elif reads(str(value).replace(",", ".")):
        advice = f"write a point or name ',' as decimal, {advice}"
    return f"as in {reprlib.repr(value)} in row {row}; {advice}"


def _check_finite(values: Float[np.ndarray, "example ..."], place: str, advice: str = FILL) -> None:
    if infinite := int(np.isinf(values).sum()):
        raise InputError(f"{place}: {infinite} values infinite; drop their examples")
    if bad := int(np.isnan(values).sum()):
        raise InputError(f"{place}: {bad} values missing or NaN; {advice}")


def _as_float32(
    values: Float64[np.ndarray, "example column"], columns: list[str], path: Path
) -> Float32[np.ndarray, "example column"]:
    with np.errstate(over="ignore"):
        feature: np.ndarray = values.astype(np.float32)
    finite = (np.abs(feature) <= LARGEST).all(0)
    if not finite.all():
        worst = int(finite.argmin())
        name = f"column {columns[worst]!r}" if columns else f"feature {worst}"
        raise InputError(f"{path}: {name}: values too large for float32; scale them down")
    return feature
