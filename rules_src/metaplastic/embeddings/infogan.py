"""InfoGAN (Chen et al. 2016), an embedding of Hsu et al. 2019 on MNIST."""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.embeddings.networks import ConvolutionalDecoder, ConvolutionalEncoder, DenseLayers, Image, told_apart
from metaplastic.embeddings.neural import Family, Objective, embedding_of_images
from metaplastic.embeddings.spec import Infogan

SEEN = 512
"""Width of the features that discriminator and recognition share."""


class Informed(eqx.Module):
    """A generator of images from noise and code, a discriminator of real images, and a network that reads the code."""

    generator: ConvolutionalDecoder
    seen: ConvolutionalEncoder
    discriminator: DenseLayers
    recognition: DenseLayers

    def judged(self, x: Float[Array, "batch input"]) -> Float[Array, " batch"]:
        """Return the logit that an image is real."""
        return self.discriminator(jax.nn.leaky_relu(self.seen(x)))[:, 0]

    def recognised(self, x: Float[Array, "batch input"]) -> Float[Array, "batch code"]:
        """Return the code from which an image would be generated: logits of its category, then its numbers."""
        return self.recognition(jax.nn.leaky_relu(self.seen(x)))


def family(spec: Infogan, image: Image) -> Family:
    """Return networks whose code is a category and numbers uniform in [-1, 1], as is the noise.

    Recognised codes are the category's logits and the means of Gaussians.
    """
    continuous = spec.features - spec.categories

    def initial(key: PRNGKeyArray, inputs: int) -> Informed:
        keys = jax.random.split(key, 4)
        return Informed(
            ConvolutionalDecoder(keys[0], image, spec.filters, spec.features + spec.noise, normalised=True),
            ConvolutionalEncoder(keys[1], image, spec.filters, SEEN, pooled=spec.pooled, normalised=True),
            DenseLayers(keys[2], [SEEN, 1], "leaky_relu"),
            DenseLayers(keys[3], [SEEN, spec.features, spec.features], "leaky_relu"),
        )

    def loss(model: Informed, key: PRNGKeyArray, batch: Float[Array, "batch input"]) -> Objective:
        key_category, key_rest = jax.random.split(key)
        category = jax.random.randint(key_category, (len(batch),), 0, spec.categories)
        rest = jax.random.uniform(key_rest, (len(batch), continuous + spec.noise), minval=-1.0)
        drawn = jnp.concatenate([jax.nn.one_hot(category, spec.categories), rest], 1)
        generated = jax.nn.sigmoid(model.generator(drawn))
        fixed = jax.lax.stop_gradient
        discriminator = told_apart(model.judged(batch), model.judged(fixed(generated)))
        adversary = jax.nn.softplus(-fixed(model).judged(generated)).mean()
        recognised = model.recognised(generated)
        logits, means = recognised[:, : spec.categories], recognised[:, spec.categories :]
        told = optax.softmax_cross_entropy_with_integer_labels(logits, category).mean()
        code = told + ((means - rest[:, :continuous]) ** 2).mean()
        parts = {"discriminator": discriminator, "adversary": adversary, "code": code}
        return discriminator + adversary + spec.information * code, parts

    return Family(initial, loss, Informed.recognised)


embed = embedding_of_images(family)
