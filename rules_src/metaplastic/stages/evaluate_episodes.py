"""Stage: accuracy of one few-shot learner on episodes that all learners share."""

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import xarray as xr
from typer import Option

from metaplastic.config.base import parse_spec
from metaplastic.embeddings.base import image_of, unlabelled
from metaplastic.features import read_examples
from metaplastic.few_shot.episode_accuracy import evaluate
from metaplastic.few_shot.learners.meta_learning import recorded
from metaplastic.few_shot.readout_accuracy import scale
from metaplastic.few_shot.spec import Episodes, Learner
from metaplastic.io.storage import check_manifest, write_netcdf
from metaplastic.stages.command import Code, Examples, Key, Output, Spec, run


def evaluate_episodes(
    name: Key,
    learner: Spec,
    spec: Spec,
    code: Code,
    data: Examples,
    output: Output,
    snapshots: Annotated[Path | None, Option(help="Folder of the trained learner, if the learner is trained.")] = None,
) -> None:
    """Have the learner label the queries of every episode, on each seed of the features."""
    section, episodes = parse_spec(Learner, learner), parse_spec(Episodes, spec)
    module: Any = import_module(section.module)
    examples = read_examples(data)
    seeds, attributes = examples.seeds, examples.embedding
    if examples.embedding:
        # Learners see features at one scale, whatever their units.
        seeds = [inputs._replace(inputs=scale(inputs.inputs, inputs.train)) for inputs in seeds]
    if snapshots:
        of = check_manifest(snapshots)["of"]
        attributes = attributes | of | {"trained_on": of["dataset"]}
        image = image_of(unlabelled(seeds[0]))
        learners = [recorded(module.initial, section, image, snapshots, section.steps[-1])]
    else:
        learners = [module.fit(section, unlabelled(inputs)) for inputs in seeds]
    of_seeds = [evaluate(fitted, x.inputs, x, episodes) for fitted, x in zip(learners, seeds, strict=True)]
    accuracy = xr.concat(of_seeds, "seed") if len(of_seeds) > 1 else of_seeds[0]
    data_of = {"dataset": examples.dataset, "permuted": int(examples.permuted)}
    made_by = {"learner": name, "learner_kind": section.kind, "code": code}
    write_netcdf(accuracy.assign_attrs(attributes | data_of | made_by), output)


if __name__ == "__main__":
    run(evaluate_episodes)
