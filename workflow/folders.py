"""Folders, files and clocks that are checked before any job runs."""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from metaplastic.config.base import parse_spec
from metaplastic.config.load import check_files
from metaplastic.config.study import Config
from metaplastic.io.errors import InputError, check_writable
from metaplastic.meta_train.spec import MetaTrain
from metaplastic.update_rules.spec import Learned
from safetensors import SafetensorError, safe_open

LONGEST_PATH = 600
"""Most bytes that the path of a result has below the folder of results; names in it have at most 100."""
CLOCKS = 2.0
"""Seconds by which the clocks of two machines may differ."""


def check_start(run: MetaTrain, place: str, theta: Path) -> None:
    """Refuse to start a run from the theta of another rule. A broken file passes; the job that reads it says so.

    Raises:
        InputError: naming the key.
    """
    try:
        with safe_open(theta, framework="numpy") as file:
            found = parse_spec(Learned, file.metadata()["rule"])
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError, InputError):
        return
    if found != run.rule:
        raise InputError(f"{place}: {theta} is of {found!r}, the run of {run.rule!r}")


def check_folders(config: Config) -> None:
    """Refuse folders that jobs could not use, and files dated in the future, which would make Snakemake rerun for ever.

    Raises:
        InputError: naming the key or the file.
    """
    mirror, results = config.data.mirror, Path(config.results).absolute()
    if mirror is not None and not Path(mirror).is_dir():
        raise InputError(f"data.mirror: {mirror}: no such folder; correct or drop the key")
    longest, longest_name = os.pathconf("/", "PC_PATH_MAX") - LONGEST_PATH, os.pathconf("/", "PC_NAME_MAX")
    if len(os.fsencode(results)) > longest or any(len(os.fsencode(name)) > longest_name for name in results.parts):
        raise InputError(
            f"results: at most {longest} bytes, and {longest_name} between two slashes, can be the path of a folder of "
            "results; give a shorter one"
        )
    check_writable(results, f"results: {config.results}")
    for folder, below, files in os.walk(results):
        stores = [name for name in below if name.endswith(".zarr")]
        below[:] = [name for name in below if name not in stores]
        # Snakemake keeps a file of its own in a store; its time is the store's.
        marks = [mark for name in stores if (mark := Path(folder, name, ".snakemake_timestamp")).exists()]
        for path in [*marks, *(Path(folder, name) for name in files)]:
            # Gone since it was listed, or a link to nothing.
            with suppress(FileNotFoundError):
                ahead = path.stat().st_mtime - time.time()
                if ahead > CLOCKS:
                    time_is = f"its time is {ahead:,.0f} s ahead of the clock"
                    raise InputError(f"{path}: {time_is}; set the clock right, then touch it")


def warn_of_unrecorded(config: Config) -> None:
    """Print a warning if there are results, but no record of Snakemake's by which it tells what has changed since."""
    if not any(Path(".snakemake/metadata").glob("*")) and any(Path(config.results).glob("*/**/*.manifest.json")):
        lost = f"{config.results}: Snakemake's record of how these results were made is not here"
        print(
            f"warning: {lost}, so it does not notice what has changed since; --forceall makes all anew", file=sys.stderr
        )


def own_files(config: Config, dataset: str) -> list[Path]:
    """Return the files and folders of a user's own that a dataset is read from.

    Raises:
        InputError: one of them is missing or of the wrong kind.
    """
    paths = config.datasets[dataset].own_paths
    for path, kind in paths.items():
        if not (path.is_file() if kind == "file" else path.is_dir()):
            found = {"folder": path.is_dir(), "file": path.is_file()}
            found["pipe or device, which no job can read twice"] = path.exists()
            what = next((f"is a {name}" for name, is_one in found.items() if is_one), f"no such {kind}")
            raise InputError(f"datasets.{dataset}.path: {path}: {what}")
    return list(paths)


if __name__ == "__main__":
    # For `make run`: Snakemake reads the files that its command line names before this project can look at them.
    try:
        check_files(map(Path, sys.argv[1:]))
    except InputError as error:
        sys.exit(f"error: {error}")
