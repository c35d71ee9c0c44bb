"""Stage: features of a method that is no update rule."""

import json
from importlib import import_module
from pathlib import Path
from typing import Annotated

import numpy as np
import xarray as xr
from typer import Option

from rules_src.config.base import parse_spec
from rules_src.config.evaluate import Baseline
from rules_src.datasets.arrays import load_inputs
from rules_src.stages.command import run
from rules_src.storage import read_zarr, write_zarr


def embed_baseline(
    baseline: Annotated[str, Option(help="The baseline's section of the config, as JSON.")],
    features: Annotated[int, Option(min=1, help="Width of the features, where the baseline has a choice.")],
    seeds: Annotated[int, Option(min=1, help="Seeds, where the baseline is random.")],
    code: Annotated[str, Option(help="Fingerprint of the source code.")],
    dataset: Annotated[Path, Option(help="Store of the dataset.")],
    output: Annotated[Path, Option(help="Zarr store to write.")],
) -> None:
    """Fit the baseline on the dataset's unlabelled training examples and embed all examples."""
    section = parse_spec(Baseline, baseline, "--baseline")
    data = load_inputs(read_zarr(dataset))
    # Imported by name, and declared to the rule's fingerprint as a root of its own: editing k-means embeds k-means.
    module = import_module(f"rules_src.baselines.{section.module}")
    embedded = module.embed(data.inputs, ~data.test, features=features, seeds=seeds)
    store = xr.Dataset(
        {"features": (("seed", "inner_step", "example", "feature"), embedded[:, None])},
        coords={"seed": np.arange(len(embedded)), "inner_step": [0]},
    )
    specs = {"baseline": json.loads(baseline), "features": features, "seeds": seeds}
    write_zarr(store, output, spec=specs, code=code)


if __name__ == "__main__":
    run(embed_baseline)
