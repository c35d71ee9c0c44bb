"""UMAP (McInnes, Healy and Melville 2018)."""

import warnings

import numpy as np
from jaxtyping import Float32
from sklearn.metrics import pairwise_distances

from metaplastic.embeddings.base import Embedded, Unlabelled
from metaplastic.embeddings.neighbours import fitted_examples
from metaplastic.embeddings.spec import Umap
from metaplastic.io.memory import check_memory, numbers
from metaplastic.training.loop import Folder


def embed(data: Unlabelled, spec: Umap, *, seeds: int, folder: Folder) -> Embedded:
    """Coordinates of the examples fitted on, and of the others, which are placed among them one by one.

    Memory grows with the square of the examples fitted on.

    Raises:
        InputError: there is too little memory, or as for `fitted_examples`.
    """
    return Embedded(np.stack([_one_seed(data, spec, seed) for seed in range(seeds)])[:, None])


def _one_seed(data: Unlabelled, spec: Umap, seed: int) -> Float32[np.ndarray, "example feature"]:
    fitted = fitted_examples(data, spec, seed)
    others = np.setdiff1d(np.arange(len(data.inputs)), fitted)
    check_memory("examples", {"distances": numbers(len(data.inputs), len(fitted))})
    # Of its own UMAP calls a function for each pair of few examples, and finds neighbours of many only nearly.
    distances = pairwise_distances(data.inputs, data.inputs[fitted])
    with warnings.catch_warnings():
        # A parametric variant, which is not used, wants TensorFlow.
        warnings.filterwarnings("ignore", message="Tensorflow not installed")
        # Importing it takes seconds, which no other embedding should wait for.
        from umap import UMAP

        # Spectral initialisation wants more examples than coordinates, and falls back where there are few.
        warnings.filterwarnings("ignore", message="Spectral initialisation failed")
        warnings.filterwarnings("ignore", message="(using precomputed metric|Transforming new data with precomputed)")
        umap = UMAP(
            n_neighbors=spec.neighbours,
            n_components=spec.features,
            min_dist=spec.min_distance,
            # Eigenvectors are fewer than examples.
            init="spectral" if len(fitted) > spec.features + 1 else "random",
            random_state=seed,
            metric="precomputed",
            n_jobs=1,
        ).fit(distances[fitted])
        # With many examples it keeps an index that is none, and then refuses to place others, for which it needs none.
        vars(umap).pop("_knn_search_index", None)
        features = np.empty((len(data.inputs), umap.embedding_.shape[1]), np.float32)
        features[fitted] = umap.embedding_
        if len(others):
            features[others] = umap.transform(distances[others])
    return features
