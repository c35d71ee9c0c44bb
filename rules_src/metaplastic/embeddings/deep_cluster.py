"""DeepCluster (Caron et al. 2018), an embedding of Hsu et al. 2019: the code that tells its own clusters apart.

Unlike there, images are jittered but not filtered by Sobel's operators, whose use is to take colour away.
"""

import warnings
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Float32, Int, Int32, PRNGKeyArray
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from metaplastic.embeddings.base import Embedded, Unlabelled, square_image_of
from metaplastic.embeddings.networks import ConvolutionalEncoder, Image, of_unit_length
from metaplastic.embeddings.neural import Family, PseudoLabels, embed_by
from metaplastic.embeddings.spec import DeepCluster
from metaplastic.io.errors import InputError
from metaplastic.meta_train.tasks.appearance import augmented
from metaplastic.meta_train.tasks.source import Jitter
from metaplastic.training.loop import Folder

ITERATIONS = 20
"""At most, of one k-means; the next one comes soon."""

EPSILON = 1e-5
"""Added to the variances that codes are whitened by."""


class Classifying(eqx.Module):
    """An encoder, and the linear layer that tells clusters from its rectified code."""

    encoder: ConvolutionalEncoder
    weights: Float[Array, "*seed code cluster"]
    bias: Float[Array, "*seed cluster"]


def embed(data: Unlabelled, spec: DeepCluster, *, seeds: int, folder: Folder) -> Embedded:
    """Codes of all examples, whitened by the training examples and at unit length.

    Raises:
        InputError: the data are no square images, fewer training examples than clusters, or as for `embed_by`.
    """
    image, examples = square_image_of(data, spec.kind), int(data.train.sum())
    if spec.clusters > examples:
        raise InputError(f"clusters: {spec.clusters} are more than the {examples} training examples; give fewer")
    coded = embed_by(family(spec, image), data.inputs, data.train, spec, seeds=seeds, folder=folder)
    features = [[whitened(codes, data.train, spec.features) for codes in of_seed] for of_seed in coded.features]
    return coded._replace(features=np.stack([np.stack(of_seed) for of_seed in features]))


def family(spec: DeepCluster, image: Image) -> Family:
    """Codes whose clusters are the classes of a further while; then they are clustered anew."""

    def initial(key: PRNGKeyArray, inputs: int) -> Classifying:
        encoder = ConvolutionalEncoder(key, image, spec.filters, spec.width, normalised=True)
        return Classifying(encoder, jnp.zeros((spec.width, spec.clusters)), jnp.zeros(spec.clusters))

    def loss(
        model: Classifying, key: PRNGKeyArray, batch: tuple[Float[Array, "batch input"], Int[Array, " batch"]]
    ) -> tuple[Float[Array, ""], dict[str, Array]]:
        images, classes = batch
        seen = augmented(key, images.reshape(-1, *image), Jitter(**dict(spec.jitter))).reshape(len(images), -1)
        scores = jax.nn.relu(model.encoder(seen)) @ model.weights + model.bias
        told = (scores.argmax(1) == classes).mean()
        return optax.softmax_cross_entropy_with_integer_labels(scores, classes).mean(), {"told": told}

    def encode(model: Classifying, x: Float[Array, "batch input"]) -> Float[Array, "batch feature"]:
        return model.encoder(x)

    def classes(codes: np.ndarray, seed: Sequence[int]) -> Int32[np.ndarray, " example"]:
        fitted = whitened(codes, np.ones(len(codes), bool), spec.features)
        return clustered(fitted, spec.clusters, int(np.random.default_rng(seed).integers(2**31 - 1)))

    def forgotten(model: Classifying) -> Classifying:
        # Which number a cluster has means nothing in the next clustering.
        return Classifying(model.encoder, jnp.zeros_like(model.weights), jnp.zeros_like(model.bias))

    return Family(initial, loss, encode, PseudoLabels(spec.clustered_every, classes, forgotten))


def whitened(
    codes: Float32[np.ndarray, "example code"], fitted: Bool[np.ndarray, " example"], components: int
) -> Float32[np.ndarray, "example component"]:
    """Leading principal components of the `fitted` examples, each divided by its deviation there, at unit length."""
    pca = PCA(min(components, codes.shape[1], int(fitted.sum())), svd_solver="covariance_eigh").fit(codes[fitted])
    scaled = pca.transform(codes) / np.sqrt(pca.explained_variance_ + EPSILON)
    return np.asarray(of_unit_length(jnp.asarray(scaled, jnp.float32)))


def clustered(x: Float32[np.ndarray, "example feature"], clusters: int, seed: int) -> Int32[np.ndarray, " example"]:
    """The k-means cluster of every example: the same bytes whenever it is asked."""
    # Threads add up in the order in which they are done, which no later process would repeat.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Number of distinct clusters")
        return np.asarray(KMeans(clusters, n_init=1, max_iter=ITERATIONS, random_state=seed).fit(x).labels_, np.int32)
