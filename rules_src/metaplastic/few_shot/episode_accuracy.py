"""Accuracy of few-shot learners on episodes of true labels, drawn once and shared by all learners (Hsu et al. 2019)."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr
from jaxtyping import Float32

from metaplastic.config.base import parse_spec
from metaplastic.datasets.arrays import Inputs
from metaplastic.embeddings.base import image_of, unlabelled
from metaplastic.features import read_examples
from metaplastic.few_shot.episodes import Episode, draw_many, true_pool
from metaplastic.few_shot.learners.base import Learner
from metaplastic.few_shot.learners.meta_learning import recorded
from metaplastic.few_shot.readout_accuracy import scale
from metaplastic.few_shot.spec import Episodes, Shape
from metaplastic.few_shot.spec import Learner as LearnerSpec
from metaplastic.io.storage import check_manifest

TOGETHER = 50
"""Episodes that a learner predicts in one call."""


def evaluation(
    *, data: str, spec: str, code: str, learner: str, section: dict[str, Any], snapshots: str | None = None
) -> xr.Dataset:
    """Have a learner label the queries of every episode, on each seed of the features in a store, or on its images.

    Args:
        data: store of a dataset, or of features of one.
        spec: the section `episodes`, as JSON.
        code: fingerprint of the source.
        learner: key of the learner in the config.
        section: its section.
        snapshots: folder of the trained learner, if tasks train it.

    Returns:
        As `evaluate`, with an axis `seed` where there are several; the attributes tell what was evaluated.

    Raises:
        InputError: a store is broken, or as for `evaluate`.
    """
    episodes, kind = parse_spec(Episodes, spec), parse_spec(LearnerSpec, json.dumps(section))
    module: Any = import_module(kind.module)
    examples = read_examples(Path(data))
    seeds, attributes = examples.seeds, examples.embedding
    if examples.embedding:
        # Learners see features at one scale, whatever their units.
        seeds = [inputs._replace(inputs=scale(inputs.inputs, inputs.train)) for inputs in seeds]
    if snapshots:
        training, steps = check_manifest(Path(snapshots)), kind.steps[-1]
        cost = {"training_steps": steps * kind.trainings, "training_seconds": training["seconds"]}
        attributes = attributes | training["of"] | {"trained_on": training["of"]["dataset"]} | cost
        learners = [recorded(module.initial, kind, image_of(unlabelled(seeds[0])), Path(snapshots), steps)]
    else:
        learners = [module.fit(kind, unlabelled(inputs)) for inputs in seeds]
    of_seeds = [evaluate(fitted, inputs, episodes) for fitted, inputs in zip(learners, seeds, strict=True)]
    accuracy = xr.concat(of_seeds, "seed") if len(of_seeds) > 1 else of_seeds[0]
    data_of = {"dataset": examples.dataset, "permuted": int(examples.permuted), "benchmark": examples.benchmark}
    made_by = {"learner": learner, "learner_kind": kind.kind, "code": code}
    return accuracy.assign_attrs(attributes | data_of | made_by)


def evaluate(learner: Learner, data: Inputs, spec: Episodes) -> xr.Dataset:
    """Return `accuracy (way, shots, episode)`: shares of the queries, in [0, 1], float32.

    The learner sees images, or features scaled as by `readout_accuracy.scale`. Equal labels, splits and specs give
    equal episodes, so results of several learners are paired.
    Raises InputError as `true_pool` does.
    """
    found = [
        [_accuracies(learner, data.inputs, shared_episodes(data, spec, way, shots)) for shots in spec.shots]
        for way in spec.ways
    ]
    attributes = {"units": "1", "long_name": "share of the queries"}
    return xr.Dataset(
        {"accuracy": (("way", "shots", "episode"), np.array(found), attributes)},
        coords={"way": spec.ways, "shots": spec.shots, "episode": np.arange(spec.episodes)},
        attrs={"queries": spec.queries, "split": spec.split},
    )


def shared_episodes(data: Inputs, spec: Episodes, way: int, shots: int) -> Episode:
    """Draw the episodes of a way and a number of shots; raise InputError as `true_pool` does."""
    shape = Shape(way=way, shots=shots, queries=spec.queries)
    drawn_from = true_pool(data.labels, data.attributes, data.split, spec.split, shape)
    return draw_many(jax.random.key(spec.seed), drawn_from, shape, spec.episodes)


def _accuracies(learner: Learner, inputs: Float32[np.ndarray, "example input"], episodes: Episode) -> np.ndarray:
    support, query = map(np.asarray, episodes)
    parts = [(support[i : i + TOGETHER], query[i : i + TOGETHER]) for i in range(0, len(support), TOGETHER)]
    predicted = np.concatenate([learner.predict(inputs[shown], inputs[asked]) for shown, asked in parts])
    return (predicted == np.arange(support.shape[1])[:, None]).mean((1, 2), dtype=np.float32)
