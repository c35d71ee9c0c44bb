"""Stage: gather every evaluation of a study into one file and one table."""

import csv
from functools import partial
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from metaplastic.io.storage import read_netcdf, write_netcdf, write_whole
from metaplastic.results.summary import headline, markdown_table, summarise
from metaplastic.results.tables import Table
from metaplastic.stages.command import run
from metaplastic.stages.tables import write_table


def gather(
    evaluations: Annotated[list[Path], Argument(help="netCDF files of evaluations.")],
    output: Annotated[Path, Option(help="netCDF file to write.")],
    table: Annotated[Path, Option(help="Markdown file to write.")],
    page: Annotated[Path, Option(help="The same as an HTML file.")],
    first: Annotated[Path, Option(help="Its first part as a CSV file, for the report's first page.")],
    study: Annotated[str, Option(help="Key of the study in the config.")],
) -> None:
    """Write means and intervals of all evaluations, and a table of those with the most labels."""
    summary = summarise([read_netcdf(path) for path in evaluations])
    write_netcdf(summary, output)
    write_table(markdown_table(summary), table, page, title=f"Study {study}")
    write_whole(first, partial(_write_csv, headline(summary)))


def _write_csv(table: Table, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(table)


if __name__ == "__main__":
    run(gather)
