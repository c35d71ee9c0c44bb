"""Training from scratch: the network and the gradient descent of MAML, from random weights."""

import equinox as eqx
import jax
from jaxtyping import Array, Float

from metaplastic.embeddings.base import Unlabelled, image_of
from metaplastic.few_shot.learners.base import Scoring
from metaplastic.few_shot.learners.maml import Inner, random_network
from metaplastic.few_shot.learners.spec import FromScratch


class Untrained(Scoring):
    """One random network for all episodes, with as many outputs as they have ways."""

    spec: FromScratch = eqx.field(static=True)
    image: tuple[int, int, int] = eqx.field(static=True)

    def scores(
        self, support: Float[Array, "way shots input"], query: Float[Array, "way queries input"]
    ) -> Float[Array, "way queries way"]:
        """Logits of the query, which shares its batch norm, after the steps on the support."""
        steps = self.spec.steps
        inner = Inner(self.spec.rate, steps, steps, first_order=True)
        network = random_network(jax.random.key(self.spec.seed), self.image, self.spec.filters, len(support), inner)
        return network.scores(support, query)


def fit(spec: FromScratch, data: Unlabelled) -> Untrained:
    """Nothing is learned from `data`, whose images the episodes are of.

    Raises:
        InputError: they are no images.
    """
    return Untrained(spec, image_of(data))
