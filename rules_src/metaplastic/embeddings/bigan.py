"""Bidirectional GAN (Donahue et al. 2017), an embedding of Hsu et al. 2019."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.embeddings.networks import ConvolutionalDecoder, ConvolutionalEncoder, DenseLayers, Image, told_apart
from metaplastic.embeddings.neural import Family, Objective, embedding_of_images
from metaplastic.embeddings.spec import Bigan

JOINT = 512
"""Width of the discriminator's features of an image, and of its hidden layer that sees image and code."""


class Discriminator(eqx.Module):
    """Gives the logit that a pair of image and code is real and encoded, rather than generated from the code."""

    seen: ConvolutionalEncoder
    joint: DenseLayers

    def __call__(self, x: Float[Array, "batch input"], code: Float[Array, "batch code"]) -> Float[Array, " batch"]:
        """Return the logit of each pair."""
        return self.joint(jnp.concatenate([self.seen(x), code], 1))[:, 0]


class Bidirectional(eqx.Module):
    """A generator of images, its inverse, and a discriminator of their pairs."""

    encoder: ConvolutionalEncoder
    generator: ConvolutionalDecoder
    discriminator: Discriminator


def family(spec: Bigan, image: Image) -> Family:
    """Return the family of these networks, whose codes are uniform in [-1, 1].

    The discriminator sees what the encoder's code becomes when it is squashed to that range; features are the code.
    """

    def initial(key: PRNGKeyArray, inputs: int) -> Bidirectional:
        keys = jax.random.split(key, 4)
        seen = ConvolutionalEncoder(keys[2], image, spec.filters, JOINT, pooled=spec.pooled, normalised=True)
        joint = DenseLayers(keys[3], [JOINT + spec.features, JOINT, 1], "leaky_relu")
        encoder = ConvolutionalEncoder(keys[0], image, spec.filters, spec.features, pooled=spec.pooled, normalised=True)
        generator = ConvolutionalDecoder(keys[1], image, spec.filters, spec.features, normalised=True)
        return Bidirectional(encoder, generator, Discriminator(seen, joint))

    def loss(model: Bidirectional, key: PRNGKeyArray, batch: Float[Array, "batch input"]) -> Objective:
        """Return the discriminator's objective plus that of encoder and generator: the same with the pairs swapped."""
        drawn = jax.random.uniform(key, (len(batch), spec.features), minval=-1.0)
        code, generated = jnp.tanh(model.encoder(batch)), jax.nn.sigmoid(model.generator(drawn))
        fixed = jax.lax.stop_gradient
        real = model.discriminator(batch, fixed(code))
        discriminator = told_apart(real, model.discriminator(fixed(generated), drawn))
        others = fixed(model.discriminator)
        adversary = told_apart(others(generated, drawn), others(batch, code))
        return discriminator + adversary, {"discriminator": discriminator, "adversary": adversary}

    return Family(initial, loss)


embed = embedding_of_images(family)
