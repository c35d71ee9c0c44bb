"""Denoising autoencoder (Vincent et al. 2008)."""

import jax
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.embeddings.base import Embedded, Unlabelled
from metaplastic.embeddings.networks import Autoencoder, autoencoder
from metaplastic.embeddings.neural import Family, embed_by, of_unit_variance
from metaplastic.embeddings.spec import DenoisingAutoencoder
from metaplastic.training.loop import Folder


def embed(data: Unlabelled, spec: DenoisingAutoencoder, *, seeds: int, folder: Folder) -> Embedded:
    """Codes of all examples as they are.

    Raises:
        InputError: as for `embed_by`.
    """
    return embed_by(family(spec), of_unit_variance(data), data.train, spec, seeds=seeds, folder=folder)


def family(spec: DenoisingAutoencoder) -> Family:
    """Codes from which the mean of what was corrupted is restored."""

    def initial(key: PRNGKeyArray, inputs: int) -> Autoencoder:
        return autoencoder(key, inputs, spec.hidden, spec.features, spec.activation, encoded=spec.features)

    def loss(
        model: Autoencoder, key: PRNGKeyArray, batch: Float[Array, "batch input"]
    ) -> tuple[Float[Array, ""], dict[str, Array]]:
        """Mean squared error of the inputs restored from corrupted ones."""
        key_noise, key_dropped = jax.random.split(key)
        kept = jax.random.bernoulli(key_dropped, 1 - spec.dropped, batch.shape)
        corrupted = kept * batch + spec.noise * jax.random.normal(key_noise, batch.shape)
        return ((model.decoder(model.encoder(corrupted)) - batch) ** 2).mean(), {}

    def encode(model: Autoencoder, x: Float[Array, "batch input"]) -> Float[Array, "batch feature"]:
        return model.encoder(x)

    return Family(initial, loss, encode)
