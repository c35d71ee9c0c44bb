"""Safetensors files: arrays and texts about them, with a checksum of both; they hold numbers only, and no code.

A file may come from a stranger. Its size and that of its header are bounded, the library compares the header with the
file, and names, types and shapes can be compared with what is expected before any array is read.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from metaplastic.io.errors import InputError


class Sort(NamedTuple):
    """A sort of file, as messages name it, and its bounds."""

    noun: str
    mend: str
    """How a user makes such a file, as in "save it"; messages add `first` or `again`."""
    format: str
    largest: int = 2**40
    """Size in bytes."""
    largest_header: int = 2**27
    """Size in bytes of the header's JSON; the library takes 100 MB."""


STATE = Sort("state", "train", "metaplastic-state-1")
"""States and snapshots of trainings (`training.checkpoint`)."""


def write_safetensors(path: Path, arrays: Mapping[str, Any], metadata: Mapping[str, str]) -> None:
    """Write arrays of NumPy or JAX, metadata and a `checksum` of both; equal content gives equal bytes."""
    # The library writes an array's memory as it lies.
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    metadata = {**metadata, "sha256": checksum(arrays, metadata)}
    content = save(arrays, metadata)
    data = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:data])
    header["__metadata__"] = dict(sorted(metadata.items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    # Reading, which starts without them, needs no stores.
    from metaplastic.io.storage import write_whole

    whole = len(text).to_bytes(8, "little") + text + content[data:]
    write_whole(path, lambda temporary: temporary.write_bytes(whole))


def checksum(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> str:
    """Return the SHA-256 of names, types, shapes and numbers of arrays, and of the metadata that go with them."""
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.name}{list(array.shape)}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def described(dtype: str, shape: Sequence[int]) -> str:
    """Describe an array, such as float32[3, 2]; `dtype` is a name of NumPy or of the file format."""
    kinds = {"F": "float", "I": "int"}
    return f"{re.sub('^[FI](?=[0-9])', lambda found: kinds[found[0]], dtype)}{list(shape)}"


@contextmanager
def opened_safetensors(path: Path, sort: Sort, *, also: str = "") -> Iterator[tuple[Any, dict[str, str]]]:
    """Open a file of this sort, or of the format `also`, and give it and the texts in its header.

    Raises:
        InputError: it is missing, too large or of another format; and whatever is wrong in what is done with it.
    """
    if not path.is_file():
        raise InputError(f"{path}: missing; {sort.mend} first")
    if (size := path.stat().st_size) > sort.largest:
        raise InputError(f"{path}: {size} bytes; {sort.noun}s have at most {sort.largest}")
    try:
        with path.open("rb") as start:
            if (length := int.from_bytes(start.read(8), "little")) > sort.largest_header:
                raise ValueError(f"a header of {length} bytes")
        with safe_open(path, framework="numpy") as file:
            header = dict(file.metadata() or {})
            if header.get("format") not in (sort.format, also or sort.format):
                raise ValueError(f"its header has no format {sort.format!r}")
            yield file, header
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: not a readable {sort.noun} ({error}); {sort.mend} again") from error


def check_arrays(file: Any, expected: Mapping[str, str], *, of: str) -> None:
    """Compare the arrays of an open file with what they should be, as `described`, before any of them is read.

    Raises:
        ValueError: naming an array that is not as that `of` which the file tells.
    """
    slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
    found = {name: described(array.get_dtype(), array.get_shape()) for name, array in slices.items()}
    check_described(found, expected, of=of)


def check_described(found: Mapping[str, str], expected: Mapping[str, str], *, of: str) -> None:
    """Compare arrays with those of `of`, both as `described`; raise ValueError naming one that differs."""
    for name in sorted(expected.keys() | found.keys()):
        if (here := found.get(name, "missing")) != (there := expected.get(name, "no such array")):
            raise ValueError(f"{name} is {here}, {of} has {there}")


def read_arrays(file: Any, header: Mapping[str, str], *, checked: bool = True) -> dict[str, np.ndarray]:
    """Read all arrays of an open file; raise ValueError if they or the header have changed since they were written."""
    arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    metadata = {key: text for key, text in header.items() if key != "sha256"}
    if checked and header.get("sha256") != checksum(arrays, metadata):
        raise ValueError("changed since it was written")
    return arrays


def check_finite(arrays: Mapping[str, np.ndarray]) -> None:
    """Raise ValueError, naming an array, if it holds numbers that are not finite."""
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds numbers that are not finite")
