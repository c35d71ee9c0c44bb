"""Adversarially constrained autoencoder interpolation (Berthelot et al. 2019), an embedding of Hsu et al. 2019."""

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.embeddings.base import Embedded, Unlabelled, image_of
from metaplastic.embeddings.networks import ConvolutionalDecoder, ConvolutionalEncoder, Image
from metaplastic.embeddings.neural import Family, embed_by
from metaplastic.embeddings.spec import Acai
from metaplastic.training.loop import Folder


class Interpolating(eqx.Module):
    """An autoencoder, and a critic that guesses how far an image is interpolated between two."""

    encoder: ConvolutionalEncoder
    decoder: ConvolutionalDecoder
    critic: ConvolutionalEncoder


def embed(data: Unlabelled, spec: Acai, *, seeds: int, folder: Folder) -> Embedded:
    """Codes of all examples.

    Raises:
        InputError: the data are no images, or as for `embed_by`.
    """
    return embed_by(family(spec, image_of(data)), data.inputs, data.train, spec, seeds=seeds, folder=folder)


def family(spec: Acai, image: Image) -> Family:
    """Codes from which images are restored, and mixtures of which restore to what no critic tells from images."""

    def initial(key: PRNGKeyArray, inputs: int) -> Interpolating:
        keys = jax.random.split(key, 3)
        return Interpolating(
            ConvolutionalEncoder(keys[0], image, spec.filters, spec.features),
            ConvolutionalDecoder(keys[1], image, spec.filters, spec.features),
            ConvolutionalEncoder(keys[2], image, spec.filters, spec.features),
        )

    def loss(
        model: Interpolating, key: PRNGKeyArray, batch: Float[Array, "batch input"]
    ) -> tuple[Float[Array, ""], dict[str, Array]]:
        """The autoencoder's objective and that of its critic, whose guess is the mean of its outputs."""
        share = jax.random.uniform(key, (len(batch), 1), maxval=0.5)
        code = model.encoder(batch)
        restored = model.decoder(code)
        mixed = model.decoder(share * code[::-1] + (1 - share) * code)
        reconstruction = ((restored - batch) ** 2).mean()
        fixed = jax.lax.stop_gradient
        fooled = (fixed(model.critic)(mixed).mean(1) ** 2).mean()
        guessed = model.critic(fixed(mixed)).mean(1)
        blended = model.critic(fixed(spec.blended * batch + (1 - spec.blended) * restored)).mean(1)
        critic = ((guessed - share[:, 0]) ** 2).mean() + (blended**2).mean()
        parts = {"reconstruction": reconstruction, "fooled": fooled, "critic": critic}
        return reconstruction + spec.adversarial * fooled + critic, parts

    def encode(model: Interpolating, x: Float[Array, "batch input"]) -> Float[Array, "batch feature"]:
        return model.encoder(x)

    return Family(initial, loss, encode)
