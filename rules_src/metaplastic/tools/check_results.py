"""By hand: check that every result is still as it was written, with one line for each that is not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from typer import Argument

from metaplastic.io.errors import InputError
from metaplastic.io.storage import MEND, check_manifest, check_netcdf
from metaplastic.stages.command import run

MANIFEST = ".manifest.json"
STORES = (".zarr", ".safetensors", "")
"""Suffixes of what a manifest may belong to: a store, a file or a folder of files."""


def check(folder: Annotated[Path, Argument(help="Folder of results.")]) -> None:
    """Compare every store with its manifest and every netCDF file with its checksum; exit code 1 if one is damaged."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give a folder of results")
    checked, damaged = 0, 0
    for path in results(folder):
        checked += 1
        try:
            if path.name.endswith(MANIFEST):
                raise InputError(f"{path}: of a result that is gone; {MEND}")
            (check_netcdf if path.suffix == ".nc" else check_manifest)(path)
        except InputError as error:
            damaged += 1
            print(error)
    if damaged:
        raise InputError(f"{folder}: {damaged} of {checked} results are damaged or missing")
    print(f"{folder}: all {checked} results are as they were written")


def results(folder: Path) -> Iterator[Path]:
    """Yield everything below a folder that carries its own check, or the manifest alone where the rest is gone."""
    # Runs in progress have no manifest yet.
    stores = {path for path in folder.rglob("*.zarr") if "state" not in path.relative_to(folder).parts}
    for manifest in folder.rglob(f"*{MANIFEST}"):
        stem = manifest.name.removesuffix(MANIFEST)
        found = [path for suffix in STORES if (path := manifest.with_name(stem + suffix)).exists()]
        stores.update(found or [manifest])
    yield from sorted(stores | set(folder.rglob("*.nc")))


if __name__ == "__main__":
    run(check)
