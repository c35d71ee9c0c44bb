"""Train a learner in rounds: each goes on from the one before, on partitions of the features that it has learned."""

from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Int32

from metaplastic.embeddings.base import Unlabelled, image_of
from metaplastic.few_shot.episodes import pool
from metaplastic.few_shot.learners.base import Trainable
from metaplastic.few_shot.learners.meta_learning import MetaLearning, recorded
from metaplastic.few_shot.partitions import partitions
from metaplastic.few_shot.spec import MetaLearned, Partition
from metaplastic.io.compilation import jit
from metaplastic.io.errors import InputError
from metaplastic.perceptron import slices
from metaplastic.training.checkpoint import load_state, save_state
from metaplastic.training.loop import SNAPSHOTS, Folder

Clusters = Int32[np.ndarray, "partition example"]


def finish(
    spec: MetaLearned, data: Unlabelled, partition: Partition, clusters: Clusters, folder: Folder
) -> list[Folder]:
    """Train a learner, in as many rounds as it says, going on where an earlier attempt was stopped.

    Args:
        spec: the learner.
        data: the images.
        partition: how `clusters` were found, and how those of later rounds are.
        clusters: label vectors of the first round; -1 is in no cluster.
        folder: where the first round keeps its states; later ones keep theirs below it.

    Returns:
        The folder of each round. The last one's snapshots are the result.

    Raises:
        InputError: as for `pool`, `partitions` and the training.
    """
    image = image_of(data, square_for="turned" if spec.turned else "")
    initial, folders = import_module(spec.module).initial, [folder]
    start = initial
    while True:
        tasks = pool(clusters, np.ones(clusters.shape[1], bool), spec.tasks, place="tasks")
        MetaLearning(start, spec, data.inputs, image, tasks, folders[-1]).finish()
        if len(folders) == spec.trainings:
            return folders
        learner = recorded(initial, spec, image, folders[-1].path / SNAPSHOTS, spec.steps[-1])
        start = partial(_unchanged, learner)
        # A longer training goes on in its first round alone, for later ones learn from what the one before has learned.
        path = folder.path / f"round-{len(folders) + 1}-after-{spec.steps[-1]}"
        folders.append(folder._replace(path=path))
        clusters = _partitioned(learner, data, partition, like=clusters, folder=folders[-1])
        # How many clusters are large enough is known only now, after hours.
        spec = with_ways(spec, clusters)


def with_ways(spec: MetaLearned, clusters: Clusters) -> MetaLearned:
    """Return a learner with as many ways as every partition has clusters, if these are fewer; refuse fewer than 2."""
    least = min(len(np.unique(labels[labels >= 0])) for labels in clusters)
    if least < 2:
        raise InputError(
            f"clusters: a partition has {least} large enough for the {spec.tasks.members} images that a task takes of "
            "each class; 2 are needed; give more images, fewer clusters, or other images if these are all alike"
        )
    ways = min(spec.tasks.way, least)
    return spec.model_copy(update={"tasks": spec.tasks.model_copy(update={"way": ways})})


def _partitioned(learner: Any, data: Unlabelled, partition: Partition, *, like: Clusters, folder: Folder) -> Clusters:
    """Return partitions of what a learner has learned, those of an earlier attempt if it has left some."""
    kept = folder.path / "partitions.safetensors"
    with suppress(InputError):
        return np.asarray(load_state(kept, like))
    found = np.stack(list(partitions(partition, data.train, features=features(learner, data.inputs))))
    folder.path.mkdir(parents=True, exist_ok=True)
    save_state(jnp.asarray(found), kept, folder.record)
    return found


def features(learner: Any, inputs: Float32[np.ndarray, "example input"]) -> Float32[np.ndarray, "example feature"]:
    """Return what a learner compares images by."""
    parts = slices(len(inputs), [inputs.shape[1]])
    return np.concatenate([np.asarray(_features(learner, jnp.asarray(inputs[part]))) for part in parts])


def _unchanged(learner: Trainable, *_: Any) -> Trainable:
    return learner


_features = jit(lambda learner, images: learner.features(images))
