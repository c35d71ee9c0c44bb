"""The command `metaplastic results`: accuracies in a file as tables."""

import sys
from pathlib import Path
from typing import Annotated

import xarray as xr
from rich.console import Console
from rich.markdown import Markdown
from typer import Argument

from metaplastic.io.errors import InputError
from metaplastic.io.storage import read_netcdf
from metaplastic.results.names import named
from metaplastic.results.selections import SHAPE
from metaplastic.results.tables import architectures_table, few_shot_table, markdown_table
from metaplastic.stages.command import Json


def results(
    file: Annotated[Path, Argument(help="summary.nc of a study, or a file of results/published.")], json_: Json = False
) -> None:
    """Print the accuracies of a study as tables; as JSON one record for each, with the ends of its interval."""
    advice = "give the summary.nc of a study, or a file of results/published"
    try:
        summary = read_netcdf(file)
    except InputError as error:
        raise InputError(f"{file}: missing, damaged or no netCDF file of metaplastic; {advice}") from error
    if "accuracy" not in summary or not {"representation", "learner"} & {*summary.dims}:
        raise InputError(f"{file}: holds no accuracies of a study; {advice}")
    if json_:
        print(records(summary))
        return
    text = table(summary)
    # Only a terminal has a width that tables could be fitted to.
    if sys.stdout.isatty():
        Console().print(Markdown(text))
    else:
        print(text, end="")


def table(summary: xr.Dataset) -> str:
    """Return the tables of a summary, or of published results, as Markdown."""
    if set(SHAPE) <= set(summary.dims):
        return architectures_table(summary)
    # What is published of few-shot readouts is of one readout.
    if {"representation", "interval"} <= {*summary.dims, *summary}:
        return few_shot_table(summary)
    return markdown_table(named(summary))


def records(summary: xr.Dataset) -> str:
    """Return a record for each accuracy that was measured, as a JSON list."""
    same = summary[[name for name in summary if summary[name].dims == summary["accuracy"].dims]]
    of_all = same.reset_coords(drop=True).to_dataframe().reset_index()
    return str(of_all.dropna(subset=["accuracy"]).to_json(orient="records", indent=2))
