"""Adversarially constrained autoencoder interpolation (Berthelot et al. 2019), an embedding of Hsu et al. 2019."""

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.embeddings.networks import ConvolutionalDecoder, ConvolutionalEncoder, Image
from metaplastic.embeddings.neural import Family, Objective, embedding_of_images
from metaplastic.embeddings.spec import Acai


class Interpolating(eqx.Module):
    """An autoencoder, and a critic that estimates how far an image is interpolated between two."""

    encoder: ConvolutionalEncoder
    decoder: ConvolutionalDecoder
    critic: ConvolutionalEncoder


def family(spec: Acai, image: Image) -> Family:
    """Return codes that restore images, and whose mixtures restore to what the critic takes for images."""

    def initial(key: PRNGKeyArray, inputs: int) -> Interpolating:
        keys = jax.random.split(key, 3)
        sizes = image, spec.filters, spec.features
        encoder, critic = (ConvolutionalEncoder(key, *sizes, pooled=spec.pooled) for key in (keys[0], keys[2]))
        return Interpolating(encoder, ConvolutionalDecoder(keys[1], *sizes), critic)

    def loss(model: Interpolating, key: PRNGKeyArray, batch: Float[Array, "batch input"]) -> Objective:
        share = jax.random.uniform(key, (len(batch), 1), maxval=0.5)
        code = model.encoder(batch)
        restored = model.decoder(code)
        mixed = model.decoder(share * code[::-1] + (1 - share) * code)
        fixed, reconstruction = jax.lax.stop_gradient, ((restored - batch) ** 2).mean()
        fooled = (fixed(model.critic)(mixed).mean(1) ** 2).mean()
        guessed = model.critic(fixed(mixed)).mean(1)
        blended = model.critic(fixed(spec.blended * batch + (1 - spec.blended) * restored)).mean(1)
        critic = ((guessed - share[:, 0]) ** 2).mean() + (blended**2).mean()
        parts = {"reconstruction": reconstruction, "fooled": fooled, "critic": critic}
        return reconstruction + spec.adversarial * fooled + critic, parts

    return Family(initial, loss)


embed = embedding_of_images(family)
