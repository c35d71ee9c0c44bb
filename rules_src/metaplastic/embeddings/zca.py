"""Whitened inputs (Coates, Ng and Lee 2011), the baseline of clusters of pixels in Hsu et al. 2019."""

from collections.abc import Sequence

import numpy as np

from metaplastic.embeddings.base import Embedded, Folder, Unlabelled
from metaplastic.embeddings.spec import Zca

GREY_LEVELS = 10.0
"""Added to each example's variance, in squared 255ths of the range."""


def embed(data: Unlabelled, spec: Zca, *, seeds: Sequence[int], folder: Folder) -> Embedded:
    """Standardise every example, then rotate to uncorrelated unit variances, those of training examples, and back."""
    x = 255 * data.inputs
    x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + GREY_LEVELS)
    centred = x - x[data.train].mean(0)
    variances, directions = np.linalg.eigh(np.atleast_2d(np.cov(centred[data.train].T, bias=True)))
    whitening = (directions / np.sqrt(np.maximum(variances, 0) + spec.epsilon)) @ directions.T
    return Embedded((centred @ whitening).astype(np.float32)[None, None])
