"""Stage: features of a method that is no update rule."""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import xarray as xr
from typer import Option

from rules_src.baselines import k_means, pca, raw
from rules_src.config.evaluate import Baseline
from rules_src.datasets.arrays import load_inputs
from rules_src.stages.command import parse_spec, run
from rules_src.storage import read_zarr, write_zarr

EMBED = {"raw": raw.embed, "pca": pca.embed, "k-means": k_means.embed}


def embed_baseline(
    baseline: Annotated[str, Option(help="The baseline's section of the config, as JSON.")],
    features: Annotated[int, Option(min=1, help="Width of the features, where the baseline has a choice.")],
    seeds: Annotated[int, Option(min=1, help="Seeds, where the baseline is random.")],
    code: Annotated[str, Option(help="Fingerprint of the source code.")],
    dataset: Annotated[Path, Option(help="Store of the dataset.")],
    output: Annotated[Path, Option(help="Zarr store to write.")],
) -> None:
    """Fit the baseline on the dataset's unlabelled training examples and embed all examples."""
    section = parse_spec(Baseline, baseline)
    data = load_inputs(read_zarr(dataset))
    embedded = EMBED[section.kind](data.inputs, ~data.test, features=features, seeds=seeds)
    store = xr.Dataset(
        {"features": (("seed", "inner_step", "example", "feature"), embedded[:, None])},
        coords={"seed": np.arange(len(embedded)), "inner_step": [0]},
    )
    specs = {"baseline": json.loads(baseline), "features": features, "seeds": seeds}
    write_zarr(store, output, spec=specs, code=code)


if __name__ == "__main__":
    run(embed_baseline)
