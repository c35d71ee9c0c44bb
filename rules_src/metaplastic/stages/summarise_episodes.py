"""Stage: gather every learner's accuracy on episodes of a study into one file and one table."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from metaplastic.io.storage import read_netcdf, write_netcdf
from metaplastic.results.episode_summary import markdown_table, summarise
from metaplastic.stages.command import run
from metaplastic.stages.tables import write_table


def gather(
    evaluations: Annotated[list[Path], Argument(help="netCDF files of learners' accuracies on episodes.")],
    output: Annotated[Path, Option(help="netCDF file to write.")],
    table: Annotated[Path, Option(help="Markdown file to write.")],
    page: Annotated[Path, Option(help="The same as an HTML file.")],
    study: Annotated[str, Option(help="Key of the study in the config.")],
) -> None:
    """Write means and intervals of all learners, and a table of them."""
    summary = summarise([read_netcdf(path) for path in evaluations])
    write_netcdf(summary, output)
    write_table(markdown_table(summary), table, page, title=f"Study {study}")


if __name__ == "__main__":
    run(gather)
