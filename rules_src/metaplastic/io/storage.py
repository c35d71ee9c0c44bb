"""Results on disk: Zarr stores, netCDF files and folders, each with a checksum, and files replaced whole.

A store `x.zarr` is written to a temporary sibling and renamed; `x.manifest.json`, with its checksum, comes last. A
netCDF file ends with the checksum of all that is before it; netCDF readers ignore what follows the data. Our readers
compare content and checksum, which finds damage that a workflow cannot see, since it looks at times alone.
"""

import hashlib
import json
import os
import platform
import re
import shutil
import socket
import warnings
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import xarray as xr

from metaplastic.io.errors import InputError

PACKAGES = ("jax", "jaxlib", "numpy", "scikit-learn", "xarray", "zarr")
MEND = "remove it and run the workflow again"
CHECKSUM_LENGTH = 64
"""Bytes of a SHA-256 in hexadecimal digits."""


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` with a temporary sibling of `path`, then rename it to `path`; leave nothing on failure.

    Remove first what killed processes left of earlier attempts. A link stays one; what it leads to is replaced.

    Raises:
        InputError: the disk is full, or the folder cannot be written to.
    """
    path = Path(os.path.realpath(path)) if path.is_symlink() else path
    temporary = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(path)
        write(temporary)
        # Otherwise a crash of the machine can leave the new name with nothing behind it, or the old name.
        if temporary.is_file():
            _sync(temporary, os.O_RDWR)
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(temporary, path)
        _sync(path.parent, os.O_RDONLY)
    except OSError as error:
        raise InputError(f"{path}: cannot be saved: {error.strerror or error}; mend that and run again") from error
    finally:
        remove(temporary)


def _sync(path: Path, mode: int) -> None:
    descriptor = os.open(path, mode)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_stale(path: Path) -> None:
    """Remove the temporary siblings of `path` whose process, on this machine, no longer runs."""
    name = re.compile(rf"\.{re.escape(path.name)}\.{re.escape(socket.gethostname())}\.(\d+)\.tmp")
    for sibling in list(path.parent.iterdir()):
        if match := name.fullmatch(sibling.name):
            try:
                # A process of another user runs, though it cannot be reached.
                with suppress(PermissionError):
                    os.kill(int(match[1]), 0)
            except (ProcessLookupError, OverflowError):
                remove(sibling)


def remove(path: Path) -> None:
    """Remove a file or a folder with all that is in it, if it is there and can be."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names and bytes of all files below a folder except hidden ones."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith(".")):
        digest.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def manifest_path(store: Path) -> Path:
    """Return `x.manifest.json` for a store `x.zarr`, a file `x.safetensors` or a folder `x`."""
    return store.with_suffix(".manifest.json")


def write_manifest(path: Path, *, spec: Any, code: str, extra: dict[str, Any] | None = None) -> None:
    """Record what `path` holds and what made it: content hash, spec, code fingerprint, versions, platform."""
    record = {
        "content_sha256": content_hash(path),
        "spec": spec,
        "code": code,
        "versions": {name: version(name) for name in PACKAGES},
        "platform": platform.platform(),
        **(extra or {}),
    }
    text = json.dumps(record, indent=1, sort_keys=True) + "\n"
    write_whole(manifest_path(path), lambda temporary: temporary.write_text(text))


def check_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest of `path`; refuse content that is missing, lacks its manifest or differs from it."""
    mend = f"remove {path} and run the workflow again"
    if not path.exists():
        raise InputError(f"{path}: missing; {mend}")
    try:
        record = json.loads(manifest_path(path).read_text())
        expected = record["content_sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{manifest_path(path)}: missing or unreadable; {mend}") from error
    if content_hash(path) != expected:
        raise InputError(f"{path}: truncated or changed since it was written; {mend}")
    return dict(record)


def write_zarr(dataset: xr.Dataset, path: Path, *, spec: Any, code: str, extra: dict[str, Any] | None = None) -> None:
    """Write `dataset` as a Zarr store with its manifest; a reader never sees half of either."""

    def write(temporary: Path) -> None:
        with warnings.catch_warnings():
            # Programs that do not know consolidated metadata of version 3 pass over it; the others read one file.
            warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
            dataset.to_zarr(temporary, mode="w", consolidated=True)
        # Only now, so that an older store stays readable if writing fails.
        Path(os.path.realpath(manifest_path(path))).unlink(missing_ok=True)

    write_whole(path, write)
    write_manifest(path, spec=spec, code=code, extra=extra)


def read_zarr(path: Path) -> xr.Dataset:
    """Load a Zarr store into memory after checking it as `check_manifest` does."""
    return read_with_manifest(path)[0]


def read_with_manifest(path: Path) -> tuple[xr.Dataset, dict[str, Any]]:
    """Load a Zarr store as `read_zarr` does, and return its manifest too."""
    manifest = check_manifest(path)
    return xr.load_dataset(path, engine="zarr"), manifest


def write_netcdf(dataset: xr.Dataset, path: Path) -> None:
    """Write `dataset` as one netCDF file; equal content gives equal bytes."""
    # Other programs find changed numbers by this filter; it covers neither texts nor attributes.
    encoding = {
        name: {"fletcher32": True}
        for name, variable in dataset.variables.items()
        if variable.size and variable.ndim and variable.dtype.kind not in "OSU"
    }

    # HDF5 would crash on a full disk.
    content = bytes(dataset.to_netcdf(engine="h5netcdf", encoding=encoding))
    write_whole(path, lambda temporary: temporary.write_bytes(content + hashlib.sha256(content).hexdigest().encode()))


def check_netcdf(path: Path) -> None:
    """Raise an `InputError` if a netCDF file is missing, or truncated or changed since `write_netcdf` wrote it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: missing or no netCDF file; {MEND}") from error
    expected = hashlib.sha256(content[:-CHECKSUM_LENGTH]).hexdigest()
    if content[-CHECKSUM_LENGTH:] != expected.encode():
        raise InputError(f"{path}: truncated or changed since it was written; {MEND}")


def read_netcdf(path: Path) -> xr.Dataset:
    """Load a netCDF file of `write_netcdf` into memory after checking it.

    Raises:
        InputError: as for `check_netcdf`, or it is not a netCDF file.
    """
    # Before HDF5 sees the file: a corrupt one can keep it busy for ever.
    check_netcdf(path)
    try:
        with xr.open_dataset(path, engine="h5netcdf") as dataset:
            return dataset.load()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(f"{path}: missing or no netCDF file; {MEND}") from error
