"""Training from scratch: the network and the gradient descent of MAML, from random weights."""

import equinox as eqx
import jax

from metaplastic.embeddings.base import Unlabelled, image_of
from metaplastic.few_shot.learners.base import Query, Scores, Scoring, Support
from metaplastic.few_shot.learners.maml import Inner, random_network
from metaplastic.few_shot.spec import FromScratch


class Untrained(Scoring):
    """One random network for all episodes, with as many outputs as they have ways."""

    spec: FromScratch = eqx.field(static=True)
    image: tuple[int, int, int] = eqx.field(static=True)

    def scores(self, support: Support, query: Query) -> Scores:
        """Return the query's logits after the steps on the support; the query shares its batch norm."""
        inner = Inner(self.spec.rate, self.spec.steps, self.spec.steps, first_order=True)
        key = jax.random.key(self.spec.seed)
        return random_network(key, self.image, self.spec.filters, len(support), inner).scores(support, query)


def fit(spec: FromScratch, data: Unlabelled) -> Untrained:
    """Return the learner, which learns nothing from `data`; raise InputError if they are not images."""
    return Untrained(spec, image_of(data))
