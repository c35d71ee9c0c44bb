"""Bidirectional GAN (Donahue et al. 2017), an embedding of Hsu et al. 2019."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.embeddings.base import Embedded, Unlabelled, image_of
from metaplastic.embeddings.networks import ConvolutionalDecoder, ConvolutionalEncoder, Image, Perceptron, told_apart
from metaplastic.embeddings.neural import Family, embed_by
from metaplastic.embeddings.spec import Bigan
from metaplastic.training.loop import Folder

JOINT = 512
"""Width of the discriminator's view of an image, and of its layer above image and code."""


class Discriminator(eqx.Module):
    """Logit that a pair of image and code is a real image with its encoding, and no generated one with its code."""

    seen: ConvolutionalEncoder
    joint: Perceptron

    def __call__(self, x: Float[Array, "batch input"], code: Float[Array, "batch code"]) -> Float[Array, " batch"]:
        """Of each pair."""
        return self.joint(jnp.concatenate([self.seen(x), code], 1))[:, 0]


class Bidirectional(eqx.Module):
    """A generator of images, its inverse, and who tells their pairs apart."""

    encoder: ConvolutionalEncoder
    generator: ConvolutionalDecoder
    discriminator: Discriminator


def embed(data: Unlabelled, spec: Bigan, *, seeds: int, folder: Folder) -> Embedded:
    """What the encoder makes of all examples.

    Raises:
        InputError: the data are no images, or as for `embed_by`.
    """
    return embed_by(family(spec, image_of(data)), data.inputs, data.train, spec, seeds=seeds, folder=folder)


def family(spec: Bigan, image: Image) -> Family:
    """Codes uniform in [-1, 1]."""

    def initial(key: PRNGKeyArray, inputs: int) -> Bidirectional:
        keys = jax.random.split(key, 4)
        seen = ConvolutionalEncoder(keys[2], image, spec.filters, JOINT, normalised=True)
        joint = Perceptron(keys[3], [JOINT + spec.features, JOINT, 1], "leaky_relu")
        return Bidirectional(
            ConvolutionalEncoder(keys[0], image, spec.filters, spec.features, normalised=True),
            ConvolutionalDecoder(keys[1], image, spec.filters, spec.features, normalised=True),
            Discriminator(seen, joint),
        )

    def loss(
        model: Bidirectional, key: PRNGKeyArray, batch: Float[Array, "batch input"]
    ) -> tuple[Float[Array, ""], dict[str, Array]]:
        """What the discriminator minimises, and what encoder and generator do: the same, real and generated swapped."""
        drawn = jax.random.uniform(key, (len(batch), spec.features), minval=-1.0)
        code, generated = model.encoder(batch), jax.nn.sigmoid(model.generator(drawn))
        fixed = jax.lax.stop_gradient
        discriminator = told_apart(
            model.discriminator(batch, fixed(code)), model.discriminator(fixed(generated), drawn)
        )
        others = fixed(model.discriminator)
        adversary = told_apart(others(generated, drawn), others(batch, code))
        return discriminator + adversary, {"discriminator": discriminator, "adversary": adversary}

    def encode(model: Bidirectional, x: Float[Array, "batch input"]) -> Float[Array, "batch feature"]:
        return model.encoder(x)

    return Family(initial, loss, encode)
