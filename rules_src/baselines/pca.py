"""Leading principal components."""

import numpy as np
from jaxtyping import Bool, Float32
from sklearn.decomposition import PCA


def embed(
    inputs: Float32[np.ndarray, "example input"], train: Bool[np.ndarray, " example"], *, features: int, seeds: int
) -> Float32[np.ndarray, "1 example feature"]:
    """Projections on the `features` leading principal components, fitted on the training examples, not whitened.

    Fewer where the inputs or the training examples are fewer. Nothing is random, so there is one seed.
    """
    components = min(features, inputs.shape[1], int(train.sum()))
    pca = PCA(components, svd_solver="covariance_eigh").fit(inputs[train])
    projections: np.ndarray = pca.transform(inputs).astype(np.float32)
    return projections[None]
