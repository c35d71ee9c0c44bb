"""By hand: whether every result is still what was written, one line for each that is not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from typer import Argument

from metaplastic.io.errors import InputError
from metaplastic.io.storage import MEND, check_manifest, check_netcdf
from metaplastic.stages.command import run

MANIFEST = ".manifest.json"
STORES = (".zarr", ".safetensors", "")
"""What a manifest may be of: a store, a file or a folder of files."""


def check(folder: Annotated[Path, Argument(help="Folder of results.")]) -> None:
    """Compare every store with its manifest and every netCDF file with its checksum; exit code 1 if one is damaged."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give a folder of results")
    checked, damaged = 0, []
    for path in results(folder):
        checked += 1
        try:
            _check(path)
        except InputError as error:
            damaged.append(error)
            print(error)
    if damaged:
        raise InputError(f"{folder}: {len(damaged)} of {checked} results are damaged or missing")
    print(f"{folder}: all {checked} results are as they were written")


def results(folder: Path) -> Iterator[Path]:
    """Everything below a folder that carries its own check, whether it is there or only its manifest is."""
    stores = {path for path in folder.rglob("*.zarr") if not _within(path, folder, {"state"})}
    for manifest in folder.rglob(f"*{MANIFEST}"):
        stem = manifest.name.removesuffix(MANIFEST)
        found = [path for suffix in STORES if (path := manifest.with_name(stem + suffix)).exists()]
        stores.update(found or [manifest])
    yield from sorted(stores | set(folder.rglob("*.nc")))


def _check(path: Path) -> None:
    if path.name.endswith(MANIFEST):
        raise InputError(f"{path}: of a result that is gone; {MEND}")
    if path.suffix == ".nc":
        check_netcdf(path)
    else:
        check_manifest(path)


def _within(path: Path, folder: Path, names: set[str]) -> bool:
    """Whether a folder of such a name is on the way; runs in progress have no manifest yet."""
    return not names.isdisjoint(path.relative_to(folder).parts)


if __name__ == "__main__":
    run(check)
