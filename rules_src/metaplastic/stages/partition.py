"""Stage: an embedding, or nothing but a dataset, to the partitions that pseudo-tasks take for classes."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import xarray as xr
from tqdm import tqdm
from typer import Option

from metaplastic.config.base import parse_spec
from metaplastic.datasets.arrays import load_inputs
from metaplastic.few_shot.partitions import number_of_partitions, partitions
from metaplastic.few_shot.spec import Partition
from metaplastic.io.storage import read_zarr, write_zarr
from metaplastic.stages.command import run
from metaplastic.stages.stores import read_embedding

ATTRIBUTES = {"long_name": "cluster of each example, -1 for none", "units": "1"}


def partition(
    name: Annotated[str, Option(help="Key of the partitions in the config.")],
    spec: Annotated[str, Option(help="Their section of the config, as JSON.")],
    code: Annotated[str, Option(help="Fingerprint of the source code.")],
    dataset: Annotated[Path, Option(help="Store of the dataset.")],
    output: Annotated[Path, Option(help="Zarr store to write.")],
    features: Annotated[Path | None, Option(help="Store of the features, where the kind partitions them.")] = None,
) -> None:
    """Partition the training examples of a dataset; say how many partitions there are so far."""
    section = parse_spec(Partition, spec)
    stored = read_zarr(dataset)
    data = load_inputs(stored)
    embedding = read_embedding(features, stored) if features else None
    begin = time.monotonic()
    values = embedding.values[0] if embedding else None
    found = partitions(section, data.train, features=values, labels=data.labels, attributes=data.attributes)
    shown = tqdm(
        found, total=number_of_partitions(section, data.attributes), unit="partition", file=sys.stderr, mininterval=10
    )
    clusters = np.stack(list(shown))
    attributes = {"dataset": stored.attrs["name"], "partition": name, "partition_kind": section.kind}
    attributes |= embedding.attributes if embedding else {}
    write_zarr(
        xr.Dataset({"cluster": (("partition", "example"), clusters, ATTRIBUTES)}, attrs=attributes),
        output,
        spec=json.loads(spec),
        code=code,
        extra={"seconds": round(time.monotonic() - begin, 2)},
    )


if __name__ == "__main__":
    run(partition)
