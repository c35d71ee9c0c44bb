"""By hand: check that every result is still as it was written, with one line for each that is not."""

from pathlib import Path
from typing import Annotated

from typer import Argument

from metaplastic.io.errors import InputError
from metaplastic.io.storage import MEND, check_manifest, check_netcdf
from metaplastic.stages.command import run

MANIFEST = ".manifest.json"


def check(folder: Annotated[Path, Argument(help="Folder of results.")]) -> None:
    """Compare every store with its manifest and every netCDF file with its checksum; exit code 1 if one is damaged."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give a folder of results")
    damaged, found = 0, results(folder)
    for path in found:
        try:
            if path.name.endswith(MANIFEST):
                raise InputError(f"{path}: of a result that is gone; {MEND}")
            (check_netcdf if path.suffix == ".nc" else check_manifest)(path)
        except InputError as error:
            damaged += 1
            print(error)
    if damaged:
        raise InputError(f"{folder}: {damaged} of {len(found)} results are damaged or missing")
    print(f"{folder}: all {len(found)} results are as they were written")


def results(folder: Path) -> list[Path]:
    """Return everything below a folder that carries its own check, or the manifest alone where the rest is gone."""
    # Runs in progress have no manifest yet.
    stores = {path for path in folder.rglob("*.zarr") if "state" not in path.relative_to(folder).parts}
    for manifest in folder.rglob(f"*{MANIFEST}"):
        # It belongs to a store, a file or a folder of files.
        of = [manifest.with_name(manifest.name.replace(MANIFEST, suffix)) for suffix in (".zarr", ".safetensors", "")]
        stores.update([path for path in of if path.exists()] or [manifest])
    return sorted(stores | set(folder.rglob("*.nc")))


if __name__ == "__main__":
    run(check)
