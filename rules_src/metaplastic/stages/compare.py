"""Stage: the page that compares what Metz et al. 2019 found with what studies of the workflow find."""

from pathlib import Path
from typing import Annotated, cast

from typer import Option

from metaplastic.features import read_features
from metaplastic.io.errors import InputError
from metaplastic.io.storage import read_netcdf
from metaplastic.results.claims import Results, comparison
from metaplastic.results.spec import EXPERIMENTS, Experiment
from metaplastic.results.tables import write_table
from metaplastic.stages.command import named_paths, named_stores, run


def compare(
    table: Annotated[Path, Option(help="Markdown file to write.")],
    page: Annotated[Path, Option(help="The same as an HTML file.")],
    summary: Annotated[list[str], Option(help="EXPERIMENT=PATH of the summary of its study; repeatable.")],
    features: Annotated[list[str] | None, Option(help="EXPERIMENT=PATH of features stores; repeatable.")] = None,
    configured: Annotated[str, Option(help="Options of Snakemake that name the config.")] = "",
) -> None:
    """Write the comparison of the experiments that were run."""
    summaries = named_stores("--summary", summary)
    for name in summaries:
        if name not in EXPERIMENTS:
            raise InputError(f"--summary: {name!r} is not an experiment; valid: {', '.join(EXPERIMENTS)}")
    stores = named_paths("--features", features or [])
    results = {
        cast(Experiment, name): Results(read_netcdf(path), [read_features(store) for store in stores.get(name, [])])
        for name, path in summaries.items()
    }
    write_table(comparison(results, configured=configured), table, page, title="Metz et al. 2019, figure by figure")


if __name__ == "__main__":
    run(compare)
