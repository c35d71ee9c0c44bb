"""Tasks of bags of words: sparse counts, drawn from one distribution over words a class."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from metaplastic.meta_train.tasks.images import Pool
from metaplastic.meta_train.tasks.jitter import COEFFICIENTS
from metaplastic.meta_train.tasks.source import Shown
from metaplastic.meta_train.tasks.spec import Tasks
from metaplastic.meta_train.tasks.spec import Words as WordsSpec

LARGEST = 8
"""Greatest count of a word in a text."""

LENGTHS = 0.5
"""Standard deviation of the logarithm of a text's length."""


class Words(eqx.Module):
    """Nothing but its config."""

    spec: WordsSpec = eqx.field(static=True)

    def show(self, key: PRNGKeyArray, task: PRNGKeyArray, classes: Int[Array, " example"], spec: Tasks) -> Shown:
        """Counts of as many words as there are inputs, in texts of random length."""
        key_length, key_count = jax.random.split(key)
        words, count = spec.side**2, len(classes)
        preferences = self.spec.topicality * jax.random.normal(task, (spec.classes, words))
        # Zipf's law: the word of rank r is about 1 / r as frequent as the first.
        frequencies = jax.nn.softmax(preferences - jnp.log(1.0 + jnp.arange(words)))
        lengths = self.spec.length * jnp.exp(LENGTHS * jax.random.normal(key_length, (count, 1)))
        counts = poisson(key_count, lengths * frequencies[classes])
        return Shown(counts, jnp.zeros((count, COEFFICIENTS)))


def poisson(key: PRNGKeyArray, rates: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Poisson counts up to `LARGEST`: how many values of the distribution function lie below one uniform draw.

    `jax.random.poisson` loops until its last entry is done; this takes the same few steps for all.
    """
    uniform = jax.random.uniform(key, rates.shape)
    probability = below = jnp.exp(-rates)
    counts = jnp.zeros(rates.shape)
    for value in range(1, LARGEST + 1):
        counts = counts + (uniform >= below)
        probability = probability * rates / value
        below = below + probability
    return counts


def build(spec: WordsSpec, pool: Pool) -> Words:
    """The source that a section of the config describes; it has no use for a pool of images."""
    return Words(spec)
