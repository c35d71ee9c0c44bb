"""What embeddings share that keep the examples they were fitted on and look for neighbours among them."""

import numpy as np
from jaxtyping import Int

from metaplastic.embeddings.base import Unlabelled
from metaplastic.embeddings.spec import Neighbours
from metaplastic.io.errors import InputError


def fitted_examples(data: Unlabelled, spec: Neighbours, seed: int) -> Int[np.ndarray, " fitted_example"]:
    """Indices of the training examples, or of as many of them as `spec.examples` allows, drawn at random.

    Raises:
        InputError: there are no more of them than neighbours.
    """
    indices = np.flatnonzero(data.train)
    if len(indices) <= spec.neighbours:
        raise InputError(f"neighbours: {spec.neighbours} take more training examples than the {len(indices)} there are")
    if len(indices) > spec.examples:
        indices = np.sort(np.random.default_rng(seed).choice(indices, spec.examples, replace=False))
    return indices
