"""Stage: embed a dataset without its labels."""

import json
import time
from importlib import import_module
from typing import Annotated, Any

from typer import Option

from metaplastic.config.base import parse_spec
from metaplastic.datasets.arrays import load_inputs
from metaplastic.embeddings.base import unlabelled
from metaplastic.embeddings.spec import Embedding
from metaplastic.features import Identity, features_dataset, write_features
from metaplastic.io.storage import read_with_manifest
from metaplastic.stages.command import Code, DatasetStore, Key, Output, Spec, TrainedBy, run
from metaplastic.stages.trainings import folder_of_descent
from metaplastic.training.loop import spent


def embed(
    method: Key,
    spec: Spec,
    seeds: Annotated[int, Option(min=1, help="Number of seeds, if the embedding is random.")],
    code: Code,
    trained_by: TrainedBy,
    dataset: DatasetStore,
    output: Output,
) -> None:
    """Fit the embedding on the dataset's unlabelled training examples and embed all examples.

    A stopped training leaves a folder `state` beside the store.
    """
    section = parse_spec(Embedding, spec)
    # Imported by name and declared as a root of the rule's fingerprint, so that editing k-means reruns k-means alone.
    module: Any = import_module(section.module)
    stored, manifest = read_with_manifest(dataset)
    begin = time.monotonic()
    data = [manifest["content_sha256"], str(seeds)]
    folder = folder_of_descent(output.parent / "state" / output.stem, section, code=trained_by, data=data)
    before = spent(folder)
    embedded = module.embed(unlabelled(load_inputs(stored)), section, seeds=range(seeds), folder=folder)
    seconds = before + time.monotonic() - begin
    history = {f"training_{name}": (("seed", "update"), values) for name, values in embedded.history.items()}
    features = features_dataset(embedded.features, embedded.steps, stored, history)
    identity = Identity(method, section.made, stored.attrs["name"])
    specs = {"embedding": json.loads(spec), "seeds": seeds}
    write_features(features, output, identity=identity, spec=specs, code=code, seconds=seconds)


if __name__ == "__main__":
    run(embed)
