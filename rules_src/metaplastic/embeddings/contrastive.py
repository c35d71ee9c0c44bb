"""Contrastive learning of jittered views, as SimCLR (Chen et al. 2020) but for handwriting: shifted, turned, bent."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.embeddings.networks import ConvolutionalEncoder, DenseLayers, Image
from metaplastic.embeddings.neural import Family, Objective, embedding_of_images
from metaplastic.embeddings.spec import Contrastive
from metaplastic.meta_train.tasks.appearance import augmented
from metaplastic.meta_train.tasks.source import Jitter
from metaplastic.network import of_unit_length


class Projecting(eqx.Module):
    """An encoder, and the projection of its code in which views are compared."""

    encoder: ConvolutionalEncoder
    projection: DenseLayers


def family(spec: Contrastive, image: Image) -> Family:
    """Return codes by which two views of an image are found among those of the batch."""

    def initial(key: PRNGKeyArray, inputs: int) -> Projecting:
        key_encoder, key_projection = jax.random.split(key)
        encoder = ConvolutionalEncoder(
            key_encoder, image, spec.filters, spec.features, pooled=spec.pooled, normalised=True
        )
        return Projecting(encoder, DenseLayers(key_projection, [spec.features, spec.features, spec.projected], "relu"))

    def loss(model: Projecting, key: PRNGKeyArray, batch: Float[Array, "batch input"]) -> Objective:
        views = augmented(key, jnp.tile(batch.reshape(-1, *image), (2, 1, 1, 1)), Jitter(**dict(spec.jitter)))
        projected = model.projection(jax.nn.relu(model.encoder(views.reshape(len(views), -1))))
        return contrast(projected, spec.temperature)

    return Family(initial, loss, lambda model, x: of_unit_length(model.encoder(x)))


def contrast(views: Float[Array, "view projected"], temperature: float) -> Objective:
    """Return the cross-entropy of finding each view's partner by cosine similarity (NT-Xent), and the share found.

    The partners of the first half of `views` are the second half. A partner is found if it is the most similar view.
    """
    count = len(views)
    unit = of_unit_length(views)
    similarity = unit @ unit.T / temperature
    similarity = jnp.where(jnp.eye(count, dtype=bool), -jnp.inf, similarity)
    partner = (jnp.arange(count) + count // 2) % count
    likelihood = jnp.take_along_axis(jax.nn.log_softmax(similarity), partner[:, None], axis=1)
    return -likelihood.mean(), {"found": (similarity.argmax(1) == partner).mean()}


embed = embedding_of_images(family, square=True)
