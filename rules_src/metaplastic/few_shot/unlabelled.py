"""From images without labels to a learner: an embedding, its clusters, tasks of these, a learner (Hsu et al. 2019)."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import equinox as eqx
import jax
import numpy as np

from metaplastic.config.base import Section, canonical_json, short_hash
from metaplastic.embeddings.base import Unlabelled, check_clusters
from metaplastic.embeddings.spec import Embedding
from metaplastic.few_shot.labelling import (
    Labelling,
    Neighbours,
    Pixels,
    Recipe,
    in_unit_range,
    untrained,
    with_learner,
)
from metaplastic.few_shot.learners.meta_learning import recorded
from metaplastic.few_shot.partitions import partitions
from metaplastic.few_shot.rounds import finish, with_ways
from metaplastic.few_shot.spec import Learner, MetaLearned, Partition
from metaplastic.io.jax_settings import compilations_kept, own_numbers
from metaplastic.training.checkpoint import versions
from metaplastic.training.loop import SNAPSHOTS, Folder
from metaplastic.training.progress import hidden


@own_numbers()
@compilations_kept()
def learned(
    images: Pixels,
    shape: tuple[int, int, int],
    embedding: Embedding,
    method: Learner,
    partition: Partition,
    *,
    seed: int,
    folder: Path,
    verbose: bool,
) -> Labelling:
    """Return a learner that has learned from all images.

    Args:
        images: flattened.
        shape: rows, columns and channels of each.
        embedding: what is clustered or, by nearest neighbours, compared.
        method: `protonets` or `maml` with tasks of as many ways as there can be, or `nearest-neighbours`. There are
            fewer ways where a partition has fewer clusters.
        partition: how images are parted into the classes of tasks.
        seed: of the embedding, and of the order of the images that it sees.
        folder: where trainings go on if they were stopped.
        verbose: whether to print what is done, and how long it will take.

    Raises:
        InputError: as the embedding, partitions and the training of the learner do.
    """
    ordered = in_unit_range(images[np.random.default_rng(seed).permutation(len(images))])
    data = Unlabelled(ordered, np.ones(len(ordered), bool), shape)
    digest = short_hash(str(shape), hashlib.sha256(ordered.data).hexdigest())
    recipe = Recipe(canonical_json(method), canonical_json(embedding), shape)
    # Before hours of training: images that the learner cannot take, or too few for the clusters.
    eqx.filter_eval_shape(lambda: untrained(recipe))
    if isinstance(method, MetaLearned):
        check_clusters(getattr(partition, "clusters", 0), len(images))
    of_embedding = _folder(folder, embedding, digest)
    with _told(f"embedding {len(images)} images: {embedding.kind}", verbose):
        embedded = import_module(embedding.module).embed(data, embedding, seeds=[seed], folder=of_embedding)
        code = np.asarray(embedded.features[0, -1], np.float32)
    if not isinstance(method, MetaLearned):
        network = jax.tree.map(lambda leaf: np.asarray(leaf[0]), embedded.networks)
        variance = code.var(0, dtype=np.float64).sum() or 1.0
        return Neighbours(recipe, network, np.array(variance, np.float32))
    with _told(f"{partition.partitions} partitions: {partition.kind}", verbose):
        found = np.stack(list(partitions(partition, data.train, features=code)))
    method = with_ways(method, found)
    recipe = recipe._replace(method=canonical_json(method))
    initial = import_module(method.module).initial
    of_learner = _folder(folder, method, digest, canonical_json(embedding), canonical_json(partition))
    with _told(f"learning from tasks of {method.tasks.way} classes: {method.kind}", verbose):
        *_, last = finish(method, data, partition, found, of_learner)
        learner = recorded(initial, method, shape, last.path / SNAPSHOTS, method.steps[-1])
    return with_learner(recipe, jax.tree.map(np.asarray, learner))


def _folder(folder: Path, section: Section, *data: str) -> Folder:
    """Return the folder of a training, which goes on only from what this version has made of the same data."""
    code, config = version("metaplastic"), canonical_json(section)
    record = {"config": config, "code": code, "data": short_hash(*data), **versions()}
    return Folder(folder / f"{section.kind}-{short_hash(code, config, *data)}", record)  # type: ignore[attr-defined]


@contextmanager
def _told(doing: str, verbose: bool) -> Iterator[None]:
    """Print what is done, how far it is and how long it took, if `verbose` asks for that."""
    if not verbose:
        with hidden():
            yield
        return
    start = time.perf_counter()
    print(f"[FewShotClassifier] {doing}", flush=True)
    yield
    print(f"[FewShotClassifier] ... {time.perf_counter() - start:.1f} s", flush=True)
