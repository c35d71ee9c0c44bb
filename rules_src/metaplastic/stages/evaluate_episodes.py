"""Stage: accuracy of one few-shot learner on episodes that all learners share."""

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import xarray as xr
from typer import Option

from metaplastic.config.base import parse_spec
from metaplastic.datasets.arrays import load_inputs
from metaplastic.embeddings.base import image_of, unlabelled
from metaplastic.few_shot.episode_accuracy import evaluate
from metaplastic.few_shot.learners.meta_learning import recorded
from metaplastic.few_shot.learners.spec import Learner, MetaLearned
from metaplastic.few_shot.readout_accuracy import scale
from metaplastic.few_shot.spec import Episodes
from metaplastic.io.storage import check_manifest, read_zarr, write_netcdf
from metaplastic.stages.command import run
from metaplastic.stages.stores import read_embedding


def evaluate_episodes(
    name: Annotated[str, Option(help="Key of the learner in the config.")],
    learner: Annotated[str, Option(help="The learner's section of the config, as JSON.")],
    spec: Annotated[str, Option(help="The section `episodes` of the config, as JSON.")],
    code: Annotated[str, Option(help="Fingerprint of the source code.")],
    dataset: Annotated[Path, Option(help="Store of the dataset.")],
    output: Annotated[Path, Option(help="netCDF file to write.")],
    features: Annotated[Path | None, Option(help="Store of the features that the learner takes, if any.")] = None,
    snapshots: Annotated[Path | None, Option(help="Folder of the trained learner, of one that is trained.")] = None,
) -> None:
    """Have the learner label the queries of every episode; on features of several seeds, of each of them."""
    section, episodes = parse_spec(Learner, learner), parse_spec(Episodes, spec)
    module: Any = import_module(section.module)
    stored = read_zarr(dataset)
    data = load_inputs(stored)
    seen = unlabelled(data)
    shown, attributes = [seen], dict[str, str | int]()
    if features:
        embedding = read_embedding(features, stored)
        # At one scale whatever their units.
        shown = [seen._replace(inputs=scale(values, data.train), image=None) for values in embedding.values]
        attributes |= embedding.attributes
    if isinstance(section, MetaLearned):
        assert snapshots is not None  # noqa: S101 (the workflow's, not the user's)
        attributes |= check_manifest(snapshots)["of"]
        attributes["trained_on"] = attributes["dataset"]
        able = recorded(module.initial, section, image_of(seen), snapshots, section.steps[-1])
        accuracy = evaluate(able, seen.inputs, data, episodes)
    else:
        of_seeds = [evaluate(module.fit(section, seen), seen.inputs, data, episodes) for seen in shown]
        accuracy = xr.concat(of_seeds, "seed") if len(of_seeds) > 1 else of_seeds[0]
    attributes |= {"dataset": stored.attrs["name"], "permuted": int("permuted" in stored.attrs)}
    write_netcdf(
        accuracy.assign_attrs({**attributes, "learner": name, "learner_kind": section.kind, "code": code}), output
    )


if __name__ == "__main__":
    run(evaluate_episodes)
