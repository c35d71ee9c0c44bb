"""Images of six kinds, and how tests part them, where what is learned does not matter."""

import numpy as np
from metaplastic.embeddings.base import Unlabelled
from metaplastic.few_shot.spec import Clusters

IMAGE = (16, 16, 1)
PARTITION = Clusters(kind="k-means", clusters=5, partitions=2, members=3, accepted=0.2)


def images() -> Unlabelled:
    """Return 60 noisy images, of which 50 are for training."""
    rng, kind = np.random.default_rng(0), np.arange(60) % 6
    inputs = rng.random((6, 256))[kind] + 0.3 * rng.normal(size=(60, 256))
    return Unlabelled(inputs.astype(np.float32), np.arange(60) < 50, IMAGE)
