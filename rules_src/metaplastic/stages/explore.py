"""Stage: the page that shows networks while they learn, and a still of it."""

from functools import partial
from pathlib import Path
from typing import Annotated

from typer import Option

from metaplastic.config.base import parse_spec
from metaplastic.explore import page
from metaplastic.explore.recorded import recorded
from metaplastic.few_shot.spec import FewShot
from metaplastic.io.storage import read_zarr, write_whole
from metaplastic.stages.command import DatasetStore, Output, Spec, run


def explore(
    spec: Spec,
    dataset: DatasetStore,
    features: Annotated[list[Path], Option(help="Features store of a method on the dataset; repeatable.")],
    batch: Annotated[int, Option(help="Examples per inner step.", min=1)],
    output: Output,
    still: Annotated[Path, Option(help="PNG file to write the still to.")],
    cores: Annotated[int, Option(help="Methods whose accuracies are measured at a time.", min=1)] = 1,
) -> None:
    """Write the page of the methods, and a still."""
    images = read_zarr(dataset)
    shown, panels = recorded(features, parse_spec(FewShot, spec), cores=cores)
    write_whole(output, partial(Path.write_text, data=page.page(images, shown, panels, batch=batch), encoding="utf-8"))
    write_whole(still, partial(Path.write_bytes, data=page.still(images, shown, panels)))


if __name__ == "__main__":
    run(explore)
