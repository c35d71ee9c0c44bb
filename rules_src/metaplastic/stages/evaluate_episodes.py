"""Stage: accuracy of few-shot learners on episodes that all of a study share, its summary and its table."""

import json
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import xarray as xr
from typer import Option

from metaplastic.config.base import parse_spec
from metaplastic.embeddings.base import image_of, unlabelled
from metaplastic.features import read_examples
from metaplastic.few_shot.episode_accuracy import evaluate
from metaplastic.few_shot.learners.meta_learning import recorded
from metaplastic.few_shot.readout_accuracy import scale
from metaplastic.few_shot.spec import Episodes, Learner
from metaplastic.io.storage import check_manifest
from metaplastic.stages.command import Key, Output, Spec, run
from metaplastic.stages.evaluations import Cores, Folder, Page, Table, evaluated, key_of, write_summary


class Scored(NamedTuple):
    """A learner and what it learns from."""

    learner: str
    """Key of the learner in the config."""
    spec: Any
    """Its section."""
    code: str
    """Fingerprint of the source that its scores depend on."""
    data: Path
    """Store of the dataset, or of features of it."""
    snapshots: Path | None = None
    """Folder of the trained learner, if the learner is trained."""


def evaluate_episodes(
    study: Key,
    spec: Spec,
    learner: Annotated[
        list[str], Option(help="JSON: `place`, where the evaluation is kept, and `Scored`; repeatable.")
    ],
    evaluations: Folder,
    output: Output,
    table: Table,
    page: Page,
    cores: Cores = 1,
) -> None:
    """Have each learner label the queries of every episode, on each seed of its features; gather the accuracies."""
    episodes, found = parse_spec(Episodes, spec), []
    for text in learner:
        place, scored = _read(**json.loads(text))
        inputs = [check_manifest(store) for store in (scored.data, scored.snapshots) if store]
        key = key_of(inputs, scored.learner, scored.spec, scored.code, spec)
        found.append((evaluations / f"{place}.nc", key, partial(evaluation, scored, episodes)))
    write_summary(evaluated(found, cores=cores), output, table, page, study=study)


def _read(*, place: str, data: str, snapshots: str | None = None, **others: Any) -> tuple[str, Scored]:
    return place, Scored(data=Path(data), snapshots=Path(snapshots) if snapshots else None, **others)


def evaluation(scored: Scored, episodes: Episodes) -> xr.Dataset:
    """Return the accuracies of a learner on every episode, with the attributes that tell what it is."""
    section = parse_spec(Learner, json.dumps(scored.spec))
    module: Any = import_module(section.module)
    examples = read_examples(scored.data)
    seeds, attributes = examples.seeds, examples.embedding
    if examples.embedding:
        # Learners see features at one scale, whatever their units.
        seeds = [inputs._replace(inputs=scale(inputs.inputs, inputs.train)) for inputs in seeds]
    if scored.snapshots:
        of = check_manifest(scored.snapshots)["of"]
        attributes = attributes | of | {"trained_on": of["dataset"]}
        image = image_of(unlabelled(seeds[0]))
        learners = [recorded(module.initial, section, image, scored.snapshots, section.steps[-1])]
    else:
        learners = [module.fit(section, unlabelled(inputs)) for inputs in seeds]
    of_seeds = [evaluate(fitted, x.inputs, x, episodes) for fitted, x in zip(learners, seeds, strict=True)]
    accuracy = xr.concat(of_seeds, "seed") if len(of_seeds) > 1 else of_seeds[0]
    data_of = {"dataset": examples.dataset, "permuted": int(examples.permuted)}
    made_by = {"learner": scored.learner, "learner_kind": section.kind, "code": scored.code}
    return accuracy.assign_attrs(attributes | data_of | made_by)


if __name__ == "__main__":
    run(evaluate_episodes)
