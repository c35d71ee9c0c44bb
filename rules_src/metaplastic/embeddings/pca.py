"""Leading principal components."""

from collections.abc import Sequence

import numpy as np
from sklearn.decomposition import PCA

from metaplastic.embeddings.base import Embedded, Folder, Unlabelled
from metaplastic.embeddings.spec import Pca


def embed(data: Unlabelled, spec: Pca, *, seeds: Sequence[int], folder: Folder) -> Embedded:
    """Return projections on the training examples' leading principal components, not whitened; fewer if inputs are."""
    components = min(spec.features, data.inputs.shape[1], int(data.train.sum()))
    pca = PCA(components, svd_solver="covariance_eigh").fit(data.inputs[data.train])
    return Embedded(pca.transform(data.inputs).astype(np.float32)[None, None])
