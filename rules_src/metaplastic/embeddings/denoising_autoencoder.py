"""Denoising autoencoder (Vincent et al. 2008)."""

from collections.abc import Sequence

import jax
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.embeddings.base import Embedded, Folder, Unlabelled
from metaplastic.embeddings.networks import Autoencoder
from metaplastic.embeddings.neural import Family, Objective, embed_by, of_unit_variance
from metaplastic.embeddings.spec import DenoisingAutoencoder


def embed(data: Unlabelled, spec: DenoisingAutoencoder, *, seeds: Sequence[int], folder: Folder) -> Embedded:
    """Return the codes of all examples, which are not corrupted; raise InputError as `embed_by` does."""
    return embed_by(family(spec), of_unit_variance(data), spec, seeds=seeds, folder=folder)


def family(spec: DenoisingAutoencoder) -> Family:
    """Return codes that restore the mean of the corrupted inputs."""

    def initial(key: PRNGKeyArray, inputs: int) -> Autoencoder:
        return Autoencoder(key, inputs, spec, encoded=spec.features)

    def loss(model: Autoencoder, key: PRNGKeyArray, batch: Float[Array, "batch input"]) -> Objective:
        key_noise, key_dropped = jax.random.split(key)
        kept = jax.random.bernoulli(key_dropped, 1 - spec.dropped, batch.shape)
        corrupted = kept * batch + spec.noise * jax.random.normal(key_noise, batch.shape)
        return ((model.decoder(model.encoder(corrupted)) - batch) ** 2).mean(), {}

    return Family(initial, loss)
