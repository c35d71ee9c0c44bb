"""Isomap (Tenenbaum, de Silva and Langford 2000)."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from jaxtyping import Float
from sklearn.manifold import Isomap

from metaplastic.embeddings.base import Embedded, Unlabelled
from metaplastic.embeddings.neighbours import fitted_examples
from metaplastic.embeddings.spec import Isomap as IsomapSpec
from metaplastic.training.loop import Folder

SEED = 0
"""Of the draw of examples, where there are too many, and of the eigensolver's first vector."""


def embed(data: Unlabelled, spec: IsomapSpec, *, seeds: int, folder: Folder) -> Embedded:
    """Coordinates of all examples by their distances along the graph of fitted ones; nothing is random: one seed.

    Fewer than `spec.features` where these distances have no more dimensions to give. Memory grows with the square of
    the examples fitted on.

    Raises:
        InputError: as for `fitted_examples`.
    """
    fitted = data.inputs[fitted_examples(data, spec, SEED)]
    isomap = _fitted(fitted, spec.neighbours, min(spec.features, len(fitted) - 1))
    return Embedded(isomap.transform(data.inputs).astype(np.float32)[None, None])


def _fitted(x: Float[np.ndarray, "fitted_example input"], neighbours: int, components: int) -> Isomap:
    try:
        with warnings.catch_warnings(), _global_seed(SEED):
            # A graph in several pieces is joined where they are nearest, which is as good as can be.
            warnings.filterwarnings("ignore", message="The number of connected components")
            warnings.filterwarnings("ignore", message="Changing the sparsity structure")
            return Isomap(n_neighbors=neighbours, n_components=components).fit(x)
    except ValueError as error:
        # Distances along a graph are none between points in space; of few examples no more are so even nearly.
        if components == 1 or "negative eigenvalues" not in str(error):
            raise
        return _fitted(x, neighbours, components // 2)


@contextmanager
def _global_seed(seed: int) -> Iterator[None]:
    """NumPy's global generator at a seed: the only one that the eigensolver draws from."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)
