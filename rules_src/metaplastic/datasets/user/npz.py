"""Read arrays of a `.npz` without pickle, and check every size before taking memory."""

import io
import sys
import zipfile
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from metaplastic.datasets.archives import read_zip
from metaplastic.io.errors import InputError

SURROGATES = range(0xD800, 0xE000)
"""Code points that are not characters."""
SHOWN = 8
"""Most names in an error message."""


def read_npz(path: Path, names: Sequence[str], *, limit: int) -> dict[str, np.ndarray]:
    """Read the named arrays, each of at most `limit` bytes.

    Raises:
        InputError: the file is broken or lacks an array, or an array is there twice, is too large, or holds other
            values than numbers or text.
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
            with zipfile.ZipFile(path) as file:
                there = [member.removesuffix(".npy") for member in file.namelist()]
            raise InputError(f"{path}: no array {name!r}; it holds {listed(there)}")
    return arrays


def listed(names: Sequence[str]) -> str:
    """Return the first names for an error message."""
    shown = ", ".join(map(repr, names[:SHOWN]))
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown or "none"


def _decode(content: bytes, place: str) -> np.ndarray:
    file, formats = io.BytesIO(content), np.lib.format
    readers = {(1, 0): formats.read_array_header_1_0, (2, 0): formats.read_array_header_2_0}
    try:
        header: tuple[tuple[int, ...], bool, np.dtype[Any]] = readers[formats.read_magic(file)](file)
    except Exception as error:  # numpy hands the header to Python's parser, which may raise anything
        raise InputError(f"{place}: no npy data; write the file again with numpy.savez") from error
    (shape, fortran_order, dtype), start = header, file.tell()
    if dtype.kind not in "biufU" or not dtype.itemsize:
        what = "Python objects, which would have to be unpickled" if dtype.hasobject else f"values of type {dtype}"
        raise InputError(f"{place}: {what}; give numbers or text")
    if min(shape, default=0) < 0 or prod(shape) * dtype.itemsize != len(content) - start:
        raise InputError(f"{place}: shape {shape} of {dtype} does not fit its {len(content) - start} bytes")
    flat = np.frombuffer(content, dtype, offset=start) if start < len(content) else np.empty(0, dtype)
    native = flat.astype(dtype.newbyteorder("="))
    if dtype.kind == "U":
        # numpy accepts any 32 bits as a code point, and fails only when it makes a string of them.
        points = native.view(np.uint32)
        if not ((points < SURROGATES.start) | ((points >= SURROGATES.stop) & (points <= sys.maxunicode))).all():
            raise InputError(f"{place}: text that is not Unicode; write the file again")
    return native.reshape(shape, order="F" if fortran_order else "C")
