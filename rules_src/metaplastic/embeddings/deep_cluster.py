"""DeepCluster (Caron et al. 2018), an embedding of Hsu et al. 2019: it learns to classify its own clusters.

Unlike the original it jitters images but does not apply Sobel filters, which serve to remove colour.
"""

import warnings
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Float32, Int32, PRNGKeyArray
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from metaplastic.embeddings.base import Embedded, Folder, Unlabelled, check_clusters, image_of
from metaplastic.embeddings.networks import ConvolutionalEncoder, Image
from metaplastic.embeddings.neural import Family, Objective, PseudoLabels, embed_by
from metaplastic.embeddings.spec import DeepCluster
from metaplastic.meta_train.tasks.appearance import augmented
from metaplastic.meta_train.tasks.source import Jitter
from metaplastic.network import of_unit_length


class Classifying(eqx.Module):
    """An encoder, and a linear layer that classifies clusters by its rectified code."""

    encoder: ConvolutionalEncoder
    weights: Float[Array, "*seed code cluster"]
    bias: Float[Array, "*seed cluster"]


def embed(data: Unlabelled, spec: DeepCluster, *, seeds: Sequence[int], folder: Folder) -> Embedded:
    """Return the codes of all examples, whitened by the training examples and at unit length.

    Raises InputError if the data are not square images or have fewer training examples than clusters, or as `embed_by`.
    """
    image = image_of(data, square_for=spec.kind)
    check_clusters(spec.clusters, int(data.train.sum()), of=spec.kind)
    coded = embed_by(family(spec, image), data, spec, seeds=seeds, folder=folder)
    features = [[whitened(codes, data.train, spec.features) for codes in of_seed] for of_seed in coded.features]
    return coded._replace(features=np.asarray(features))


def family(spec: DeepCluster, image: Image) -> Family:
    """Return codes whose clusters are the classes to learn until they are clustered again."""

    def initial(key: PRNGKeyArray, inputs: int) -> Classifying:
        encoder = ConvolutionalEncoder(key, image, spec.filters, spec.width, pooled=spec.pooled, normalised=True)
        return Classifying(encoder, jnp.zeros((spec.width, spec.clusters)), jnp.zeros(spec.clusters))

    def loss(model: Classifying, key: PRNGKeyArray, batch: tuple[Array, Array]) -> Objective:
        images, classes = batch
        seen = augmented(key, images.reshape(-1, *image), Jitter(**dict(spec.jitter))).reshape(len(images), -1)
        scores = jax.nn.relu(model.encoder(seen)) @ model.weights + model.bias
        told = (scores.argmax(1) == classes).mean()
        return optax.softmax_cross_entropy_with_integer_labels(scores, classes).mean(), {"told": told}

    def classes(codes: np.ndarray, seed: Sequence[int]) -> Int32[np.ndarray, " example"]:
        fitted = whitened(codes, np.ones(len(codes), bool), spec.features)
        start = int(np.random.default_rng(seed).integers(2**31 - 1))
        # Threads add up in the order in which they finish, which a later process would not repeat.
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Number of distinct clusters")
            # Few iterations, for the next k-means comes soon.
            k_means = KMeans(spec.clusters, n_init=1, max_iter=20, random_state=start).fit(fitted)
        return np.asarray(k_means.labels_, np.int32)

    def forgotten(model: Classifying) -> Classifying:
        # The numbers of the clusters mean nothing in the next clustering.
        return Classifying(model.encoder, jnp.zeros_like(model.weights), jnp.zeros_like(model.bias))

    return Family(initial, loss, pseudo_labels=PseudoLabels(spec.clustered_every, classes, forgotten))


def whitened(
    codes: Float32[np.ndarray, "example code"], fitted: Bool[np.ndarray, " example"], components: int
) -> Float32[np.ndarray, "example component"]:
    """Return the leading principal components of the `fitted` examples, with unit variances there, at unit length."""
    pca = PCA(min(components, codes.shape[1], int(fitted.sum())), svd_solver="covariance_eigh").fit(codes[fitted])
    scaled = pca.transform(codes) / np.sqrt(pca.explained_variance_ + 1e-5)
    return np.asarray(of_unit_length(jnp.asarray(scaled, jnp.float32)))
