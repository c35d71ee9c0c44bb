"""Accuracy of few-shot learners on episodes of true labels, drawn once and shared by all learners (Hsu et al. 2019)."""

import jax
import numpy as np
import xarray as xr
from jaxtyping import Float32

from metaplastic.datasets.arrays import Inputs
from metaplastic.few_shot.episodes import Episode, draw_many, true_pool
from metaplastic.few_shot.learners.base import Learner
from metaplastic.few_shot.spec import Episodes, Shape

TOGETHER = 50
"""Episodes that a learner predicts in one call."""


def evaluate(
    learner: Learner, inputs: Float32[np.ndarray, "example input"], data: Inputs, spec: Episodes
) -> xr.Dataset:
    """Return `accuracy (way, shots, episode)`: shares of the queries, in [0, 1], float32.

    The learner's `inputs` are images, or features scaled as by `readout_accuracy.scale`; `data` holds labels and split
    of the same examples. Equal labels, splits and specs give equal episodes, so results of several learners are paired.
    Raises InputError as `true_pool` does.
    """
    found = [[_accuracies(learner, inputs, shared_episodes(data, spec, w, k)) for k in spec.shots] for w in spec.ways]
    attributes = {"units": "1", "long_name": "share of the queries"}
    return xr.Dataset(
        {"accuracy": (("way", "shots", "episode"), np.array(found), attributes)},
        coords={"way": spec.ways, "shots": spec.shots, "episode": np.arange(spec.episodes)},
        attrs={"queries": spec.queries, "split": spec.split},
    )


def shared_episodes(data: Inputs, spec: Episodes, way: int, shots: int) -> Episode:
    """Draw the episodes of a way and a number of shots; raise InputError as `true_pool` does."""
    shape = Shape(way=way, shots=shots, queries=spec.queries)
    drawn_from = true_pool(data.labels, data.attributes, data.split, spec.split, shape)
    return draw_many(jax.random.key(spec.seed), drawn_from, shape, spec.episodes)


def _accuracies(learner: Learner, inputs: Float32[np.ndarray, "example input"], episodes: Episode) -> np.ndarray:
    support, query = map(np.asarray, episodes)
    parts = [(support[i : i + TOGETHER], query[i : i + TOGETHER]) for i in range(0, len(support), TOGETHER)]
    predicted = np.concatenate([learner.predict(inputs[shown], inputs[asked]) for shown, asked in parts])
    return (predicted == np.arange(support.shape[1])[:, None]).mean((1, 2), dtype=np.float32)
