"""Stage: one dataset from its source into the schema that everything downstream reads."""

import json
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Annotated

from typer import Option

from metaplastic.config.base import parse_spec
from metaplastic.datasets.arrays import attributes_of_dataset
from metaplastic.datasets.schema import check_examples, check_shots, permuted
from metaplastic.datasets.sources.fetch import Fetch
from metaplastic.datasets.spec import Dataset
from metaplastic.few_shot.episodes import true_pool
from metaplastic.few_shot.spec import Episodes
from metaplastic.io.storage import write_zarr
from metaplastic.stages.command import run


def prepare_dataset(
    name: Annotated[str, Option(help="Key of the dataset in the config.")],
    spec: Annotated[str, Option(help="The dataset's section of the config, as JSON.")],
    code: Annotated[str, Option(help="Fingerprint of the source code.")],
    cache: Annotated[Path, Option(help="Folder for raw downloads.")],
    output: Annotated[Path, Option(help="Zarr store to write.")],
    shots: Annotated[int, Option(help="Training examples that each class has to have.", min=0)] = 0,
    examples: Annotated[int, Option(help="Training examples that there have to be.", min=0)] = 0,
    episodes: Annotated[list[str] | None, Option(help="A section `episodes` that is to be drawn, as JSON.")] = None,
    mirror: Annotated[Path | None, Option(help="Folder of raw files tried before the network.")] = None,
) -> None:
    """Prepare the dataset that `spec` describes and write it to `output`, if it has enough for what is asked of it."""
    section = parse_spec(Dataset, spec)
    # Imported by name, and declared to the rule's fingerprint as a root of its own: editing letters reruns letters.
    module = import_module(section.module)
    dataset = module.prepare(section, Fetch(cache, mirror)).assign_attrs(name=name)
    dataset = dataset if section.permuted is None else permuted(dataset, section.permuted)
    check_shots(dataset, shots)
    check_examples(dataset, examples)
    attributes = attributes_of_dataset(dataset)
    for text in episodes or []:
        asked = parse_spec(Episodes, text, "--episodes")
        for way, support in product(asked.ways, asked.shots):
            true_pool(dataset["label"].values, attributes, dataset["split"].values, asked, way, support)
    write_zarr(dataset, output, spec=json.loads(spec), code=code)


if __name__ == "__main__":
    run(prepare_dataset)
