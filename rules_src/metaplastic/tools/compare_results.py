"""By hand: say what differs between two folders of results, to judge a change that is to leave every number alone."""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Annotated, Any

import xarray as xr
from typer import Argument, Option

from metaplastic.stages.command import run

IGNORED = frozenset({"logs", "benchmarks", "state", ".snakemake"})
"""Folders that hold no results."""
MEASURED = frozenset({"seconds", "peak_mb"})
"""Variables, attributes and entries of manifests that every run measures anew."""

Attributes = dict[str, Any]
Differences = Iterator[tuple[str, str]]
"""The kind of each difference, and what it is."""


def compare(
    before: Annotated[Path, Argument(help="Folder of results.")],
    after: Annotated[Path, Argument(help="Folder that is to hold the same results.")],
    skip: Annotated[list[str] | None, Option(help="Attribute or entry of manifests to pass over; repeatable.")] = None,
) -> None:
    """Print what differs, then the number of equal and of different results; exit with 1 if any value differs."""
    skipped = MEASURED | set(skip or [])
    counts: Counter[str] = Counter()
    for name in sorted({*_results(before), *_results(after)}):
        pair = before / name, after / name
        if all(path.exists() for path in pair):
            differences = list(_differences(*pair, skipped))
        else:
            differences = [("missing", f"only in {before if pair[0].exists() else after}")]
        for kind, text in differences:
            print(f"{name}: {text}")
            counts[kind] += 1
        counts["equal" if not differences else "different"] += 1
    print(", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())))
    if counts["missing"] or counts["values"]:
        sys.exit(1)


def _results(folder: Path) -> Iterator[str]:
    """Yield every file and Zarr store below the folder, relative to it."""
    for path in folder.iterdir():
        if path.name in IGNORED or path.name.startswith("."):
            continue
        if path.is_file() or path.suffix == ".zarr":
            yield path.name
        else:
            yield from (f"{path.name}/{name}" for name in _results(path))


def _differences(before: Path, after: Path, skipped: Set[str]) -> Differences:
    if before.suffix in {".zarr", ".nc"}:
        with xr.open_dataset(before) as first, xr.open_dataset(after) as second:
            yield from _of_datasets(first, second, skipped)
    elif before.name.endswith(".manifest.json"):
        yield from _of_attributes("", json.loads(before.read_text()), json.loads(after.read_text()), skipped)
    elif before.read_bytes() != after.read_bytes():
        yield "bytes", "other bytes"


def _of_datasets(first: xr.Dataset, second: xr.Dataset, skipped: Set[str]) -> Differences:
    for name in sorted({*map(str, first.variables), *map(str, second.variables)} - skipped):
        if name not in first.variables or name not in second.variables:
            yield "values", f"variable {name!r} is only in the {'first' if name in first.variables else 'second'}"
            continue
        one, other = first[name], second[name]
        if one.dims != other.dims or one.dtype != other.dtype or one.shape != other.shape:
            yield "values", f"{name}: {one.dims} {one.dtype}{one.shape}, then {other.dims} {other.dtype}{other.shape}"
        elif not one.identical(other.assign_attrs(one.attrs)):
            far = f" by at most {float(abs(one - other).max()):g}" if one.dtype.kind == "f" else ""
            different = int(((one != other) & (one.notnull() | other.notnull())).sum())
            yield "values", f"{name}: {different} of {one.size} values differ{far}"
        yield from _of_attributes(f"{name}: ", one.attrs, other.attrs, skipped)
    yield from _of_attributes("", first.attrs, second.attrs, skipped)


def _of_attributes(place: str, first: Attributes, second: Attributes, skipped: Set[str]) -> Differences:
    for key in sorted({*first, *second} - skipped):
        one, other = first.get(key), second.get(key)
        if repr(one) != repr(other):
            yield "attributes", f"{place}attribute {key!r}: {one!r}, then {other!r}"


if __name__ == "__main__":
    run(compare)
