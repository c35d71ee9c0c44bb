"""Stage: bring one dataset from its source into the schema that everything downstream reads."""

import json
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Annotated

from typer import Option

from metaplastic.config.base import parse_spec
from metaplastic.datasets.arrays import attributes_of_dataset
from metaplastic.datasets.fetch import Fetch
from metaplastic.datasets.schema import check_examples, permuted
from metaplastic.datasets.spec import Dataset
from metaplastic.few_shot.spec import Episodes, Shape
from metaplastic.io.storage import write_zarr
from metaplastic.stages.command import Code, Key, Output, Spec, run


def prepare_dataset(
    name: Key,
    spec: Spec,
    code: Code,
    cache: Annotated[Path, Option(help="Folder for raw downloads.")],
    output: Output,
    shots: Annotated[int, Option(help="Training examples that each class must have.", min=0)] = 0,
    examples: Annotated[int, Option(help="Training examples that the dataset must have.", min=0)] = 0,
    episodes: Annotated[list[str] | None, Option(help="A section `episodes` to draw later, as JSON.")] = None,
    mirror: Annotated[Path | None, Option(help="Folder of raw files to try before the network.")] = None,
) -> None:
    """Prepare the dataset that `spec` describes and write it to `output`, if it has enough examples for the studies."""
    section = parse_spec(Dataset, spec)
    # The rule's fingerprint names this module beside the stage, so that editing letters reruns letters alone.
    dataset = import_module(section.module).prepare(section, Fetch(cache, mirror)).assign_attrs(name=name)
    dataset = dataset if section.permuted is None else permuted(dataset, section.permuted)
    check_examples(dataset, shots=shots, examples=examples)
    for asked in (parse_spec(Episodes, text, "--episodes") for text in episodes or []):
        # Only this check needs the sampler, and only of studies of few-shot learning.
        from metaplastic.few_shot.episodes import true_pool

        examples_of = dataset["label"].values, attributes_of_dataset(dataset), dataset["split"].values
        for way, support in product(asked.ways, asked.shots):
            true_pool(*examples_of, asked.split, Shape(way=way, shots=support, queries=asked.queries))
    write_zarr(dataset, output, spec=json.loads(spec), code=code)


if __name__ == "__main__":
    run(prepare_dataset)
