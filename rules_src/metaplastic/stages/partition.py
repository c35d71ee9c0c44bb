"""Stage: partition a dataset, or features of it, into the classes of pseudo-tasks."""

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
from metaplastic.features import read_examples
from metaplastic.few_shot.partitions import number_of_partitions, partitions
from metaplastic.few_shot.spec import Partition
from metaplastic.io.storage import write_zarr
from metaplastic.stages.command import Code, Key, Output, Spec, run

ATTRIBUTES = {"long_name": "cluster of each example, -1 for none", "units": "1"}


def partition(
    name: Key,
    spec: Spec,
    code: Code,
    data: Annotated[Path, Option(help="Store of the features, or of the dataset where no features are needed.")],
    output: Output,
) -> None:
    """Partition the training examples and report how many partitions are done."""
    section, examples = parse_spec(Partition, spec), read_examples(data)
    begin, first = time.monotonic(), examples.seeds[0]
    features = first.inputs if section.needs_features else None
    found = partitions(section, first.train, features=features, labels=first.labels, attributes=first.attributes)
    total = number_of_partitions(section, first.attributes)
    clusters = np.stack(list(tqdm(found, total=total, unit="partition", file=sys.stderr, mininterval=10)))
    attributes = {"dataset": examples.dataset, "partition": name, "partition_kind": section.kind} | examples.embedding
    store = xr.Dataset({"cluster": (("partition", "example"), clusters, ATTRIBUTES)}, attrs=attributes)
    seconds = round(time.monotonic() - begin, 2)
    write_zarr(store, output, spec=json.loads(spec), code=code, extra={"seconds": seconds})


if __name__ == "__main__":
    run(partition)
