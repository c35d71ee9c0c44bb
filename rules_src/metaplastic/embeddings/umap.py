"""UMAP (McInnes, Healy and Melville 2018)."""

import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32
from sklearn.metrics import pairwise_distances

from metaplastic.embeddings.base import Embedded, Folder, Unlabelled, fitted_examples
from metaplastic.embeddings.spec import Umap
from metaplastic.io.memory import check_memory, single_precision


def embed(data: Unlabelled, spec: Umap, *, seeds: Sequence[int], folder: Folder) -> Embedded:
    """Return coordinates of the fitted examples, and of the others, which are placed among them one by one.

    Memory grows with the square of the fitted examples; raises InputError if it is short, or as `fitted_examples` does.
    """
    return Embedded(np.stack([_one_seed(data, spec, seed) for seed in seeds])[:, None])


def _one_seed(data: Unlabelled, spec: Umap, seed: int) -> Float32[np.ndarray, "example feature"]:
    fitted = fitted_examples(data, spec, seed)
    others = np.setdiff1d(np.arange(len(data.inputs)), fitted)
    # A copy of those among the fitted ones, then one of the others and their order in double precision.
    rows = len(data.inputs) + max(len(fitted), 3 * len(others))
    check_memory("examples", {"distances": single_precision(rows, len(fitted))})
    # By itself UMAP calls a function for each pair of few examples, and finds only approximate neighbours of many.
    distances = pairwise_distances(data.inputs, data.inputs[fitted])
    with warnings.catch_warnings():
        # Its parametric variant, which is not used here, needs TensorFlow.
        warnings.filterwarnings("ignore", message="Tensorflow not installed")
        # Importing UMAP takes seconds, so no other embedding should wait for it.
        from umap import UMAP

        # Spectral initialisation needs more examples than coordinates, and falls back if there are few.
        warnings.filterwarnings("ignore", message="Spectral initialisation failed")
        warnings.filterwarnings("ignore", message="(using precomputed metric|Transforming new data with precomputed)")
        umap = UMAP(
            n_neighbors=spec.neighbours,
            n_components=spec.features,
            min_dist=spec.min_distance,
            # There are fewer eigenvectors than examples.
            init="spectral" if len(fitted) > spec.features + 1 else "random",
            random_state=seed,
            metric="precomputed",
            n_jobs=1,
        ).fit(distances[fitted])
        # With many examples it keeps an empty index and then refuses to place others, for which it needs no index.
        vars(umap).pop("_knn_search_index", None)
        features = np.empty((len(data.inputs), umap.embedding_.shape[1]), np.float32)
        features[fitted] = umap.embedding_
        if len(others):
            features[others] = umap.transform(distances[others])
    return features
