"""Training from scratch: the network and the gradient descent of MAML, from random weights."""

import equinox as eqx
import jax

from metaplastic.embeddings.base import Unlabelled, image_of
from metaplastic.few_shot.learners.base import Query, Scores, Scoring, Support
from metaplastic.few_shot.learners.maml import Inner, random_network
from metaplastic.few_shot.learners.spec import FromScratch


class Untrained(Scoring):
    """One random network for all episodes, with as many outputs as they have ways."""

    spec: FromScratch = eqx.field(static=True)
    image: tuple[int, int, int] = eqx.field(static=True)

    def scores(self, support: Support, query: Query) -> Scores:
        """Return the query's logits after the steps on the support; the query shares its batch norm."""
        spec = self.spec
        inner = Inner(spec.rate, spec.steps, spec.steps, first_order=True)
        network = random_network(jax.random.key(spec.seed), self.image, spec.filters, len(support), inner)
        return network.scores(support, query)


def fit(spec: FromScratch, data: Unlabelled) -> Untrained:
    """Return the learner for images of this size; it learns nothing from `data`.

    Raises:
        InputError: the data are not images.
    """
    return Untrained(spec, image_of(data))
