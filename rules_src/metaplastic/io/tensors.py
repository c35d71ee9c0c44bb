"""Safetensors files: arrays and texts about them, with a checksum of both; they hold numbers only, and no code."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from metaplastic.io.errors import InputError


def write_safetensors(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write arrays, metadata and a `checksum` of both, the metadata sorted, so that equal content gives equal bytes."""
    metadata = {**metadata, "sha256": checksum(arrays, metadata)}
    content = save(dict(arrays), metadata)
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


def header_size(path: Path) -> int:
    """Return the size in bytes that a safetensors file claims for its header; nothing else is read."""
    with path.open("rb") as file:
        return int.from_bytes(file.read(8), "little")


@contextmanager
def opened_safetensors(path: Path, *, refused: Callable[[object], InputError]) -> Iterator[Any]:
    """Open a safetensors file; the library compares what it claims with its size before it reads.

    Whatever is wrong with it, here or in what is done with it, becomes the error that `refused` makes of the reason.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise refused(error) from error
