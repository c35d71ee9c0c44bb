"""A file of a user: arrays of a `.npz`, or columns of a `.csv` or `.parquet`."""

import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import xarray as xr
from jaxtyping import Float32, Float64

from metaplastic.datasets.fetch import Fetch, read_raw
from metaplastic.datasets.images import resize
from metaplastic.datasets.schema import TRAIN, About, make_dataset
from metaplastic.datasets.spec import File
from metaplastic.datasets.splits import standardised
from metaplastic.datasets.user.labels import check_names, draw_split, read_classes, read_split
from metaplastic.datasets.user.npz import listed, read_npz
from metaplastic.datasets.user.tables import check_count, column_names, read_columns, value_type
from metaplastic.io.errors import InputError

LIMIT = 1 << 29
"""Most bytes of the file, and of what is read from it."""
EXAMPLES = 1 << 24
"""Most examples; counting labels takes some 50 bytes for each."""
VALUES = 1 << 27
"""Most numbers, pixels aside; scaling takes some 24 bytes for each."""
LARGEST = 1e15
"""Largest value: single precision has to hold sums of its squares."""


class Content(NamedTuple):
    """Features and other columns of a file."""

    values: np.ndarray
    """Images, uint8 [example, row, column, channel], or numbers, float64 [example, column]."""
    columns: list[str]
    """Names of the columns of features; empty for arrays."""
    others: pa.Table | dict[str, pa.Array]
    """The other columns asked for, by name; from a CSV, as texts."""


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
    if path.suffix == ".npz":
        kind, content = "array", _read_arrays(path, spec, others)
    else:
        kind, content = "column", read_numbers(path, spec.features, others)
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
    described |= {"class_names": classes.names, "checksum": [checksum], "checksum_kind": "the file itself"}
    return make_dataset(values, classes.label, split, about, **described)


def check_file(path: Path) -> None:
    """Raise an `InputError` unless a path leads to a file that is neither empty nor too large."""
    if path.is_dir():
        raise InputError(f"{path}: a folder; give a file")
    if not path.is_file():
        raise InputError(f"{path}: no such file; paths start at the folder that the workflow runs in")
    size = path.stat().st_size
    if not size:
        raise InputError(f"{path}: empty; give a file with examples")
    if size > LIMIT:
        raise InputError(f"{path}: {size} bytes, more than the {LIMIT} that are read; give fewer examples or columns")


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
    if values.dtype == np.uint8 and values.ndim in (3, 4):
        images = values.reshape(*values.shape[:3], -1)
        if images.shape[3] not in (1, 3):
            raise InputError(
                f"{place}: images of {images.shape[3]} channels; give [example, row, column, channel] with one or "
                "three, or numbers of another type than uint8"
            )
        return images
    if spec.side:
        raise InputError(f"{place}: shape {values.shape} of {values.dtype} is no array of uint8 images; drop side")
    if values.dtype.kind == "U":
        raise InputError(f"{place}: holds text; give numbers")
    check_count(place, "numbers", values.size, VALUES)
    rows = values.reshape(len(values), -1).astype(np.float64)
    _check_finite(rows, place)
    return rows


def read_numbers(path: Path, features: Sequence[str], others: Sequence[str], *, instead: str = "") -> Content:
    """Read a `.csv` or `.parquet`: the columns in `features`, by default all but `others`, as finite numbers.

    `instead` replaces the advice in errors about a column that is not numeric, which is to list others in `features`.

    Raises:
        InputError: a column is missing or not what it should be, or the file is too large or broken.
    """
    names = column_names(path)
    for name in [*others, *features]:
        if name not in names:
            marks = [mark for mark in ";\t|" if len(names) == 1 and mark in names[0]]
            hint = f"; part columns by commas, not by {marks[0]!r}" if marks else ""
            raise InputError(f"{path}: no column {name!r}; it holds {listed(names)}{hint}")
    features = features or [name for name in names if name not in others]
    if not features:
        raise InputError(f"{path}: no columns of features beside {listed(others)}")
    if "" in features:
        raise InputError(
            f"{path}: column {names.index('') + 1} has no name; name it, or {instead or 'list the others in features'}"
        )
    table = read_columns(path, [*features, *others], others, limit=LIMIT, examples=EXAMPLES)
    if not table.num_rows:
        raise InputError(f"{path}: a header, but no rows; give examples")
    check_count(path, "numbers", table.num_rows * len(features), VALUES)
    values = np.empty((table.num_rows, len(features)))
    for index, name in enumerate(features):
        values[:, index] = _column(table[name], f"{path}: column {name!r}", instead)
    return Content(values, list(features), table.select(list(others)))


def _column(column: pa.ChunkedArray, place: str, instead: str) -> Float64[np.ndarray, " example"]:
    kind = column.type
    numeric = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean, pa.types.is_null)
    if not any(is_kind(kind) for is_kind in numeric):
        example = next((scalar.as_py() for scalar in column if not _reads_as_number(scalar.as_py())), None)
        raise InputError(
            f"{place}: not numeric but of type {value_type(column)}, as in {reprlib.repr(example)}; "
            f"drop it, or {instead or 'list the numeric ones in features'}"
        )
    numbers: np.ndarray = column.cast(pa.float64(), safe=False).to_numpy()
    _check_finite(numbers, place)
    return numbers


def _reads_as_number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return value is None
    return True


def _check_finite(values: Float64[np.ndarray, "example ..."], place: str) -> None:
    if bad := values.size - int(np.isfinite(values).sum()):
        raise InputError(f"{place}: {bad} values missing, NaN or infinite; fill them or drop their examples")


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
