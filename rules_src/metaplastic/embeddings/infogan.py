"""InfoGAN (Chen et al. 2016), an embedding of Hsu et al. 2019 on MNIST; here with continuous codes alone."""

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.embeddings.base import Embedded, Unlabelled, image_of
from metaplastic.embeddings.networks import ConvolutionalDecoder, ConvolutionalEncoder, Image, Perceptron, told_apart
from metaplastic.embeddings.neural import Family, embed_by
from metaplastic.embeddings.spec import Infogan
from metaplastic.training.loop import Folder

SEEN = 512
"""Width of what discriminator and recognition share."""


class Informed(eqx.Module):
    """A generator of images from noise and code, who tells them from real ones, and who reads the code off them."""

    generator: ConvolutionalDecoder
    seen: ConvolutionalEncoder
    discriminator: Perceptron
    recognition: Perceptron

    def judged(self, x: Float[Array, "batch input"]) -> Float[Array, " batch"]:
        """Logit that an image is real."""
        return self.discriminator(jax.nn.leaky_relu(self.seen(x)))[:, 0]

    def recognised(self, x: Float[Array, "batch input"]) -> Float[Array, "batch code"]:
        """The code that an image would be generated from."""
        return self.recognition(jax.nn.leaky_relu(self.seen(x)))


def embed(data: Unlabelled, spec: Infogan, *, seeds: int, folder: Folder) -> Embedded:
    """Codes recognised in all examples.

    Raises:
        InputError: the data are no images, or as for `embed_by`.
    """
    return embed_by(family(spec, image_of(data)), data.inputs, data.train, spec, seeds=seeds, folder=folder)


def family(spec: Infogan, image: Image) -> Family:
    """Codes and noise are uniform in [-1, 1]; recognised codes are means of Gaussians of one variance."""

    def initial(key: PRNGKeyArray, inputs: int) -> Informed:
        keys = jax.random.split(key, 4)
        return Informed(
            ConvolutionalDecoder(keys[0], image, spec.filters, spec.features + spec.noise, normalised=True),
            ConvolutionalEncoder(keys[1], image, spec.filters, SEEN, normalised=True),
            Perceptron(keys[2], [SEEN, 1], "leaky_relu"),
            Perceptron(keys[3], [SEEN, spec.features, spec.features], "leaky_relu"),
        )

    def loss(
        model: Informed, key: PRNGKeyArray, batch: Float[Array, "batch input"]
    ) -> tuple[Float[Array, ""], dict[str, Array]]:
        """Of the discriminator, of the generator that is to fool it, and of all who are to keep the code readable."""
        drawn = jax.random.uniform(key, (len(batch), spec.features + spec.noise), minval=-1.0)
        generated = jax.nn.sigmoid(model.generator(drawn))
        fixed = jax.lax.stop_gradient
        discriminator = told_apart(model.judged(batch), model.judged(fixed(generated)))
        adversary = jax.nn.softplus(-fixed(model).judged(generated)).mean()
        code = ((model.recognised(generated) - drawn[:, : spec.features]) ** 2).mean()
        parts = {"discriminator": discriminator, "adversary": adversary, "code": code}
        return discriminator + adversary + spec.information * code, parts

    def encode(model: Informed, x: Float[Array, "batch input"]) -> Float[Array, "batch feature"]:
        return model.recognised(x)

    return Family(initial, loss, encode)
