"""Stage: the evaluations of a study, their summary and its table.

Evaluations outlive the job. The next one makes only those that something has changed for.
"""

import hashlib
import json
import sys
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import xarray as xr
from joblib import Parallel, delayed  # type: ignore[import-untyped]
from typer import Option

from metaplastic.io.errors import InputError
from metaplastic.io.jax_settings import configure_jax
from metaplastic.io.storage import check_manifest, read_netcdf, write_netcdf
from metaplastic.results.names import named
from metaplastic.results.scores import summarise
from metaplastic.results.tables import headline, markdown_table, write_csv, write_table
from metaplastic.stages.command import Key, Output, Spec, run


def evaluate(
    study: Key,
    spec: Spec,
    module: Annotated[str, Option(help="Module whose function `evaluation` makes an evaluation.")],
    evaluation: Annotated[
        list[str], Option(help="JSON: `place`, where it is kept, and the arguments of `evaluation`; repeatable.")
    ],
    evaluations: Annotated[Path, Option(help="Folder that keeps the evaluations.")],
    output: Output,
    table: Annotated[Path, Option(help="Markdown file to write.")],
    page: Annotated[Path, Option(help="The same as an HTML file.")],
    first: Annotated[Path | None, Option(help="CSV file for its first part, of few-shot readouts.")] = None,
    cores: Annotated[int, Option(help="Evaluations that are made at a time.", min=1)] = 1,
) -> None:
    """Make every evaluation whose features, dataset, learner, protocol or code has changed, and gather all."""
    asked = [json.loads(text) for text in evaluation]
    paths = [evaluations / f"{one.pop('place')}.nc" for one in asked]
    # Learners share datasets, whose content is checked once.
    manifest = cache(check_manifest)
    read = [[manifest(Path(one[name])) for name in ("data", "snapshots") if name in one] for one in asked]
    keys = [_key(one, spec, manifests) for one, manifests in zip(asked, read, strict=True)]
    found = list(map(_kept, paths, keys))
    missing = [place for place, kept in enumerate(found) if kept is None]
    print(f"{len(missing)} evaluations to make, {len(found) - len(missing)} as before", file=sys.stderr)
    makers = (delayed(_make)(paths[place], keys[place], module, asked[place], spec) for place in missing)
    for place, made in zip(missing, Parallel(n_jobs=cores)(makers), strict=True):
        found[place] = made
    summary = summarise([one for one in found if one is not None])
    write_netcdf(summary, output)
    shown = named(summary)
    write_table(markdown_table(shown), table, page, title=f"Study {study}")
    if first:
        write_csv(headline(shown), first)


def _key(*depends_on: object) -> str:
    """Return a hash of all that an evaluation depends on, as JSON can hold it."""
    return hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()


def _kept(path: Path, key: str) -> xr.Dataset | None:
    # What is missing or damaged is made again.
    with suppress(InputError):
        found = read_netcdf(path)
        return found if found.attrs.get("key") == key else None
    return None


def _make(path: Path, key: str, module: str, asked: dict[str, Any], spec: str) -> xr.Dataset:
    maker: Any = import_module(module)
    configure_jax()
    made: xr.Dataset = maker.evaluation(spec=spec, **asked)
    write_netcdf(made.assign_attrs(key=key), path)
    return read_netcdf(path)


if __name__ == "__main__":
    run(evaluate)
