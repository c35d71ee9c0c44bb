"""Blurred images: what an embedding of handwriting has to beat."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter

from metaplastic.embeddings.base import Embedded, Folder, Unlabelled, image_of
from metaplastic.embeddings.spec import Blurred


def embed(data: Unlabelled, spec: Blurred, *, seeds: Sequence[int], folder: Folder) -> Embedded:
    """Return images blurred over rows and columns, for one seed; raise InputError as `image_of`."""
    images = data.inputs.reshape(-1, *image_of(data))
    blurred = gaussian_filter(images, spec.deviation, axes=(1, 2))
    return Embedded(np.asarray(blurred.reshape(data.inputs.shape), np.float32)[None, None])
