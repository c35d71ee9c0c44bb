"""UMAP (McInnes, Healy and Melville 2018)."""

import warnings

import numpy as np
from jaxtyping import Float32

from rules_src.config.embeddings import Umap
from rules_src.embeddings.base import Embedded, Unlabelled
from rules_src.embeddings.neighbours import fitted_examples
from rules_src.training.run import Folder


def embed(data: Unlabelled, spec: Umap, *, seeds: int, folder: Folder) -> Embedded:
    """Coordinates of the examples fitted on, and of the others, which are placed among them one by one.

    Raises:
        InputError: as for `fitted_examples`.
    """
    return Embedded(np.stack([_one_seed(data, spec, seed) for seed in range(seeds)])[:, None])


def _one_seed(data: Unlabelled, spec: Umap, seed: int) -> Float32[np.ndarray, "example feature"]:
    fitted = fitted_examples(data, spec, seed)
    with warnings.catch_warnings():
        # A parametric variant, which is not used, wants TensorFlow.
        warnings.filterwarnings("ignore", message="Tensorflow not installed")
        # Importing it takes seconds, which no other embedding should wait for.
        from umap import UMAP

        # Spectral initialisation wants more examples than coordinates, and falls back where there are few.
        warnings.filterwarnings("ignore", message="Spectral initialisation failed")
        umap = UMAP(
            n_neighbors=spec.neighbours,
            n_components=spec.features,
            min_dist=spec.min_distance,
            # Eigenvectors are fewer than examples.
            init="spectral" if len(fitted) > spec.features + 1 else "random",
            random_state=seed,
            n_jobs=1,
        ).fit(data.inputs[fitted])
        others = np.setdiff1d(np.arange(len(data.inputs)), fitted)
        features = np.empty((len(data.inputs), umap.embedding_.shape[1]), np.float32)
        features[fitted] = umap.embedding_
        if len(others):
            features[others] = umap.transform(data.inputs[others])
    return features
