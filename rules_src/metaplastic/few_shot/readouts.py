"""Linear classifiers fitted on a few labelled examples, for many draws of them at once."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int, Integer
from sklearn.linear_model import LogisticRegression

MAX_ITERATIONS = 5000

Labelled = Float[np.ndarray, "draw labelled feature"]
Labels = Integer[np.ndarray, " labelled"]
"""Classes of the labelled examples, 0 to classes - 1, the same for each draw."""


class Readouts(NamedTuple):
    """One linear classifier for each draw; it predicts the class with the largest score."""

    weights: Float[np.ndarray, "draw feature class"]
    bias: Float[np.ndarray, "draw class"]


def logistic_regression(features: Labelled, labels: Labels, *, c: float) -> Readouts:
    """Fit multinomial logistic regression with an L2 penalty of inverse strength `c` and an unpenalised bias."""
    classifiers = [LogisticRegression(C=c, max_iter=MAX_ITERATIONS).fit(draw, labels) for draw in features]
    weights = np.stack([classifier.coef_.T for classifier in classifiers])
    bias = np.stack([classifier.intercept_ for classifier in classifiers])
    if weights.shape[2] == 1:  # two classes: scikit-learn keeps the score of the second, the first has minus that
        weights, bias = np.concatenate([-weights, weights], 2), np.concatenate([-bias, bias], 1)
    return Readouts(weights, bias)


def ridge(features: Labelled, labels: Labels, *, penalty: float) -> Readouts:
    """Fit ridge regression of one-hot labels minus their mean, with an unpenalised bias: the meta-objective's readout.

    The meta-objective also scales the targets, which changes no prediction (Metz et al. 2019, Eq. 2).
    """
    targets = np.eye(labels.max() + 1)[labels]
    targets -= targets.mean()
    feature_mean, target_mean = features.mean(1, keepdims=True), targets.mean(0)
    centred = features - feature_mean
    transposed = centred.swapaxes(1, 2)
    # The normal equations in their dual form: as many unknowns as labelled examples, however wide the features.
    gram = centred @ transposed + penalty * np.eye(len(labels))
    weights = transposed @ np.linalg.solve(gram, np.broadcast_to(targets - target_mean, (len(gram), *targets.shape)))
    return Readouts(weights, target_mean - (feature_mean @ weights)[:, 0])


def predict(readouts: Readouts, features: Float32[np.ndarray, "example feature"]) -> Int[np.ndarray, "draw example"]:
    """Return the class that each draw's classifier predicts for each example."""
    draws, width, classes = readouts.weights.shape
    # One product for all draws: the weights side by side.
    weights = readouts.weights.astype(np.float32).transpose(1, 0, 2).reshape(width, draws * classes)
    scores = (features @ weights).reshape(len(features), draws, classes) + readouts.bias.astype(np.float32)
    return scores.argmax(2).T
