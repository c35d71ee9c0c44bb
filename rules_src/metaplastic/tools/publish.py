"""By hand: gather summaries of studies in a file of `results/published`, which git keeps."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from metaplastic.io.errors import InputError
from metaplastic.io.storage import read_netcdf, write_netcdf
from metaplastic.results.published import KINDS
from metaplastic.stages.command import run


def publish(
    summaries: Annotated[list[Path], Argument(help="Summaries of studies, `summary.nc`.")],
    kind: Annotated[str, Option(help=f"What they are published as, one of {', '.join(KINDS)}.")],
    output: Annotated[Path, Option(help="netCDF file to write, such as `results/published/architectures.nc`.")],
) -> None:
    """Write what summaries of studies say together."""
    if kind not in KINDS:
        raise InputError(f"--kind: {kind!r} is none of {', '.join(KINDS)}")
    try:
        published = KINDS[kind]([read_netcdf(path) for path in summaries])
    except InputError as error:
        raise InputError(f"{', '.join(map(str, summaries))}: {error}") from error
    write_netcdf(published, output)


if __name__ == "__main__":
    run(publish)
