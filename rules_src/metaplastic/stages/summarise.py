"""Stage: gather every evaluation of a study, few-shot readouts or learners on episodes, into one file and one table."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from metaplastic.io.storage import read_netcdf, write_netcdf
from metaplastic.results.scores import summarise
from metaplastic.results.tables import headline, markdown_table, write_csv, write_table
from metaplastic.stages.command import run


def gather(
    evaluations: Annotated[list[Path], Argument(help="netCDF files of evaluations.")],
    output: Annotated[Path, Option(help="netCDF file to write.")],
    table: Annotated[Path, Option(help="Markdown file to write.")],
    page: Annotated[Path, Option(help="The same as an HTML file.")],
    study: Annotated[str, Option(help="Key of the study in the config.")],
    first: Annotated[Path | None, Option(help="CSV file for its first part, of few-shot readouts.")] = None,
) -> None:
    """Write means and intervals of all evaluations, and their table."""
    summary = summarise([read_netcdf(path) for path in evaluations])
    write_netcdf(summary, output)
    write_table(markdown_table(summary), table, page, title=f"Study {study}")
    if first:
        write_csv(headline(summary), first)


if __name__ == "__main__":
    run(gather)
