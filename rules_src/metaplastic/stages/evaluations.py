"""What stages share that evaluate a study: evaluations that outlive the job, and the summary with its tables."""

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import xarray as xr
from joblib import Parallel, delayed
from typer import Option

from metaplastic.io.errors import InputError
from metaplastic.io.jax_settings import configure_jax
from metaplastic.io.storage import read_netcdf, write_netcdf
from metaplastic.results.scores import summarise
from metaplastic.results.tables import headline, markdown_table, write_csv, write_table

Folder = Annotated[Path, Option(help="Folder that keeps the evaluations.")]
Table = Annotated[Path, Option(help="Markdown file to write.")]
Page = Annotated[Path, Option(help="The same as an HTML file.")]
First = Annotated[Path | None, Option(help="CSV file for its first part, of few-shot readouts.")]
Cores = Annotated[int, Option(help="Evaluations that are made at a time.", min=1)]
"""Options that both stages have."""

Evaluation = tuple[Path, str, Callable[[], xr.Dataset]]
"""Where an evaluation is kept, a hash of all that it depends on, and what makes it."""


def key_of(*parts: object) -> str:
    """Return the SHA-256 of values that JSON can hold."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def evaluated(evaluations: Sequence[Evaluation], *, cores: int) -> list[xr.Dataset]:
    """Return every evaluation in order. Make those whose key has changed, each in one of `cores` processes."""
    kept = [_kept(path, key) for path, key, _ in evaluations]
    missing = [evaluation for evaluation, found in zip(evaluations, kept, strict=True) if found is None]
    print(f"{len(missing)} evaluations to make, {len(evaluations) - len(missing)} as before", file=sys.stderr)
    made = iter(
        Parallel(n_jobs=max(1, min(cores, len(missing))))(delayed(_make)(*evaluation) for evaluation in missing)
    )
    return [next(made) if found is None else found for found in kept]


def _kept(path: Path, key: str) -> xr.Dataset | None:
    # What is missing or damaged is made again.
    with suppress(InputError):
        found = read_netcdf(path)
        return found if found.attrs.get("key") == key else None
    return None


def _make(path: Path, key: str, make: Callable[[], xr.Dataset]) -> xr.Dataset:
    configure_jax()
    write_netcdf(make().assign_attrs(key=key), path)
    return read_netcdf(path)


def write_summary(
    evaluations: Sequence[xr.Dataset], output: Path, table: Path, page: Path, *, study: str, first: Path | None = None
) -> None:
    """Write means and intervals of all evaluations, and their table."""
    summary = summarise(evaluations)
    write_netcdf(summary, output)
    write_table(markdown_table(summary), table, page, title=f"Study {study}")
    if first:
        write_csv(headline(summary), first)
