"""Arrays of a `.npz` without pickle: every size is checked before memory is taken."""

import io
import sys
import zipfile
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from metaplastic.datasets.sources.archives import read_zip
from metaplastic.io.errors import InputError

KINDS = "biufU"
"""Kinds of arrays that are read: booleans, integers, floating point and text."""

SURROGATES = range(0xD800, 0xE000)
"""Code points that stand for no character."""

SHOWN = 8
"""Names that an error message lists at most."""


def read_npz(path: Path, names: Sequence[str], *, limit: int) -> dict[str, np.ndarray]:
    """Read the named arrays, each of at most `limit` bytes.

    Raises:
        InputError: the file is broken or lacks an array, or an array is there twice, too large or no array of numbers
            or text.
    """
    members = {f"{name}.npy": name for name in names}
    arrays: dict[str, np.ndarray] = {}
    for member, content in read_zip(path, members.__contains__, place=path, limit=limit):
        name = members[member]
        if name in arrays:
            raise InputError(f"{path}: array {name!r} is there twice; write the file again")
        arrays[name] = _decode(content, f"{path}: array {name!r}")
    for name in names:
        if name not in arrays:
            raise InputError(f"{path}: no array {name!r}; it holds {listed(_names(path))}")
    return arrays


def listed(names: Sequence[str]) -> str:
    """The first names, for an error message."""
    shown = ", ".join(map(repr, names[:SHOWN]))
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown or "none"


def _names(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as file:
        return [name.removesuffix(".npy") for name in file.namelist()]


def _decode(content: bytes, place: str) -> np.ndarray:
    """The array that the bytes of a `.npy` file hold."""
    try:
        shape, fortran_order, dtype, start = _header(content)
    except Exception as error:  # numpy hands the header to Python's parser, which may raise anything
        raise InputError(f"{place}: no npy data; write the file again with numpy.savez") from error
    if dtype.kind not in KINDS or not dtype.itemsize:
        what = "Python objects, which would have to be unpickled" if dtype.hasobject else f"values of type {dtype}"
        raise InputError(f"{place}: {what}; give numbers or text")
    if min(shape, default=0) < 0 or prod(shape) * dtype.itemsize != len(content) - start:
        raise InputError(f"{place}: shape {shape} of {dtype} does not fit its {len(content) - start} bytes")
    flat = np.frombuffer(content, dtype, offset=start) if start < len(content) else np.empty(0, dtype)
    native = flat.astype(dtype.newbyteorder("="))
    if dtype.kind == "U" and not _is_unicode(native):
        raise InputError(f"{place}: text that is no Unicode; write the file again")
    return native.reshape(shape, order="F" if fortran_order else "C")


def _is_unicode(texts: np.ndarray) -> bool:
    """Whether every code point exists; numpy takes any 32 bits for one, and fails when it makes a string of them."""
    points = texts.view(np.uint32)
    return bool(((points < SURROGATES.start) | ((points >= SURROGATES.stop) & (points <= sys.maxunicode))).all())


def _header(content: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, whether columns come first, type, and where the values start."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    return (*read(file), file.tell())
