"""Tasks of bags of words: sparse counts, drawn from one distribution over words per class."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from metaplastic.meta_train.tasks import spec as config
from metaplastic.meta_train.tasks.source import COEFFICIENTS, Setting, Shown

LARGEST = 8
"""Greatest count of a word in a text."""


class Words(eqx.Module):
    """The numbers of the config's section."""

    length: float = eqx.field(static=True)
    topicality: float = eqx.field(static=True)
    lengths: float = eqx.field(static=True, default=0.0)
    common: float = eqx.field(static=True, default=0.0)
    binary: float = eqx.field(static=True, default=0.0)

    def show(self, key: PRNGKeyArray, task: PRNGKeyArray, classes: Int[Array, " example"], setting: Setting) -> Shown:
        """Count as many words as there are inputs, in texts of random length."""
        key_length, key_count = jax.random.split(key)
        words, count = setting.side**2, len(classes)
        preferences = self.topicality * jax.random.normal(task, (setting.classes, words))
        task_common, task_length, task_binary = (jax.random.fold_in(task, index) for index in range(3))
        if self.common:
            first = self.common * jax.random.uniform(task_common) * words
            preferences = jnp.where(jnp.arange(words) < first, 0, preferences)
        # Zipf's law: the word of rank r is about 1 / r as frequent as the first.
        frequencies = jax.nn.softmax(preferences - jnp.log(1.0 + jnp.arange(words)))
        lengths = self.length * jnp.exp(0.5 * jax.random.normal(key_length, (count, 1)))
        if self.lengths:
            lengths = lengths * jnp.exp(self.lengths * jax.random.normal(task_length))
        counts = poisson(key_count, lengths * frequencies[classes])
        if self.binary:
            counts = jnp.where(jax.random.bernoulli(task_binary, self.binary), jnp.minimum(counts, 1), counts)
        return Shown(counts, jnp.zeros((count, COEFFICIENTS)))


def poisson(key: PRNGKeyArray, rates: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Draw Poisson counts up to `LARGEST`: how many values of the distribution function lie below a uniform draw.

    `jax.random.poisson` loops until its last entry is done; this takes the same few steps for all entries.
    """
    uniform = jax.random.uniform(key, rates.shape)
    probability = below = jnp.exp(-rates)
    counts = jnp.zeros(rates.shape)
    for value in range(1, LARGEST + 1):
        counts = counts + (uniform >= below)
        probability = probability * rates / value
        below = below + probability
    return counts


def build(spec: config.Words, pool: None) -> Words:
    """Build the source that a section of the config describes; it needs no images."""
    return Words(spec.length, spec.topicality, spec.lengths, spec.common, spec.binary)
