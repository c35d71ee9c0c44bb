"""Isomap (Tenenbaum, de Silva and Langford 2000)."""

import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from sklearn.manifold import Isomap

from metaplastic.embeddings.base import Embedded, Folder, Unlabelled, fitted_examples
from metaplastic.embeddings.spec import Isomap as IsomapSpec
from metaplastic.io.memory import check_memory, single_precision


def embed(data: Unlabelled, spec: IsomapSpec, *, seeds: Sequence[int], folder: Folder) -> Embedded:
    """Return coordinates of all examples by their distances along the graph of the fitted examples, for one seed.

    There are fewer than `spec.features` where these distances have fewer dimensions. Memory grows with the square of
    the number of fitted examples; raises InputError if it is short, or as `fitted_examples` does.
    """
    fitted = data.inputs[fitted_examples(data, spec, 0)]
    # Those among the fitted ones and those of all, both in double precision.
    rows = 2 * (len(fitted) + len(data.inputs))
    check_memory("examples", {"distances": single_precision(rows, len(fitted))})
    isomap = _fitted(fitted, spec.neighbours, min(spec.features, len(fitted) - 1))
    return Embedded(isomap.transform(data.inputs).astype(np.float32)[None, None])


def _fitted(x: Float[np.ndarray, "fitted_example input"], neighbours: int, components: int) -> Isomap:
    state = np.random.get_state()
    # The eigensolver draws its first vector from nothing but NumPy's global generator.
    np.random.seed(0)
    try:
        with warnings.catch_warnings():
            # scikit-learn joins a graph in several pieces where they are nearest, which is good enough.
            warnings.filterwarnings("ignore", message="The number of connected components")
            warnings.filterwarnings("ignore", message="Changing the sparsity structure")
            return Isomap(n_neighbors=neighbours, n_components=components).fit(x)
    except ValueError as error:
        # Distances along a graph are not Euclidean; with few examples only the first components are nearly so.
        if components == 1 or "negative eigenvalues" not in str(error):
            raise
        return _fitted(x, neighbours, components // 2)
    finally:
        np.random.set_state(state)
