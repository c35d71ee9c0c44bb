"""The few-shot protocol: a readout on frozen features from K labels per class, scored on the whole test split."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Float32, Int, Integer
from scipy.optimize import minimize
from scipy.special import log_softmax
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from metaplastic.config.base import parse_spec
from metaplastic.datasets.arrays import Inputs
from metaplastic.features import inputs_of_features, read_features
from metaplastic.few_shot.spec import FewShot
from metaplastic.io.errors import InputError

READOUTS = ("logistic-regression", "ridge")

Features = Float32[np.ndarray, "example feature"]
Labelled = Float[np.ndarray, "draw labelled feature"]
Labels = Integer[np.ndarray, " labelled"]
"""Classes of the labelled examples, 0 to classes - 1, the same for each draw."""


def evaluation(*, data: str, spec: str, code: str) -> xr.Dataset:
    """Evaluate the features in the store `data` by the section `few_shot` in `spec`, as JSON.

    `code` is the fingerprint of the source. It and what the features are stand in the attributes. Raises InputError as
    `evaluate` does, and if the store is broken.
    """
    section, learned = parse_spec(FewShot, spec), read_features(Path(data))
    try:
        accuracies = evaluate(learned["features"], inputs_of_features(learned)[0], section)
    except InputError as error:
        raise InputError(f"{data}: {error}") from error
    # The order of the dataset's inputs does not belong to an evaluation.
    attributes = {name: value for name, value in learned.attrs.items() if name not in ("modality", "permuted")}
    return accuracies.assign_attrs(attributes | {"code": code, "modality": learned.attrs["modality"]})


def evaluate(features: xr.DataArray, data: Inputs, spec: FewShot) -> xr.Dataset:
    """Score every readout, number of shots, seed and draw of labelled examples.

    `features (..., inner_step, example, feature)` are of one method; the first dimensions are its random levels, with
    `seed` as the last. `data` holds labels and split of the same examples. Returns shares of the test split, in [0, 1],
    float32: `accuracy (readout, shots, ..., draw)` at the last inner step, and at the most shots
    `accuracy_over_inner_steps (readout, inner_step, ..., draw_over_inner_steps)`, with the levels in between. Raises
    InputError if features are of other examples or not all finite, or a class has too few training examples.
    """
    if features.sizes["example"] != len(data.labels):
        raise InputError(f"features of {features.sizes['example']} examples, but the dataset has {len(data.labels)}")
    if not np.isfinite(features.values).all():
        raise InputError("features that are not finite; the update rule may have diverged")
    classes, labels = np.unique(data.labels, return_inverse=True)
    draws_over_steps, most = spec.draws_over_inner_steps or spec.draws, max(spec.shots)
    chosen = draw_labelled(labels, data.train, shots=most, draws=spec.draws, seed=spec.seed)

    def accuracies(step: int, shots: Sequence[int], draws: int) -> Float32[np.ndarray, "readout shots *level draw"]:
        of_step = features.values[..., step, :, :].reshape(-1, *features.shape[-2:])
        found = np.empty((len(READOUTS), len(shots), len(of_step), draws), np.float32)
        for level, scaled in enumerate(scale(values, data.train) for values in of_step):
            scored = scaled[data.test]
            for column, k in enumerate(shots):
                x = scaled[chosen[:draws, :, :k].reshape(draws, -1)].astype(np.float64)
                y = np.repeat(np.arange(len(classes)), k)
                fitted = logistic_regression(x, y, c=spec.logistic_c), ridge(x, y, penalty=spec.ridge)
                found[:, column, level] = [(predict(of, scored) == labels[data.test]).mean(1) for of in fitted]
        return found.reshape(len(READOUTS), len(shots), *features.shape[:-3], draws)

    # The matrices are too small to share between threads.
    with threadpool_limits(1):
        final = accuracies(-1, spec.shots, spec.draws)
        early = [accuracies(step, [most], draws_over_steps)[:, 0] for step in range(features.sizes["inner_step"])]
    levels, units = features.dims[:-3], {"units": "1"}
    over_steps = ("readout", "inner_step", *levels, "draw_over_inner_steps")
    counts = {"n_train": int(data.train.sum()), "n_test": int(data.test.sum()), "n_classes": len(classes)}
    return xr.Dataset(
        {
            "accuracy": (("readout", "shots", *levels, "draw"), final, units),
            "accuracy_over_inner_steps": (over_steps, np.stack(early, 1), units),
        },
        coords={
            "readout": np.array(READOUTS, dtype=object),
            "shots": np.array(spec.shots),
            **{str(dimension): features[dimension].values for dimension in features.dims[:-2]},
            "draw": np.arange(spec.draws),
            "draw_over_inner_steps": np.arange(draws_over_steps),
        },
        attrs=counts,
    )


def draw_labelled(
    labels: Int[np.ndarray, " example"], train: Bool[np.ndarray, " example"], *, shots: int, draws: int, seed: int
) -> Int[np.ndarray, "{draws} class {shots}"]:
    """Draw indices of labelled examples: `[d, c, :k]` are those of draw d and class c for k shots.

    Draw d depends on labels, split and seed alone, so it is the same for every method, and fewer shots are the first of
    more. Raises InputError if a class has fewer than `shots` training examples.
    """
    members = [np.flatnonzero((labels == label) & train) for label in range(labels.max() + 1)]
    for label, of_class in enumerate(members):
        if len(of_class) < shots:
            raise InputError(
                f"few_shot.shots: {shots} labelled examples a class asked for, but class {label} has {len(of_class)} "
                "training examples; give at most that"
            )
    rngs = [np.random.default_rng([seed, draw]) for draw in range(draws)]
    return np.array([[rng.permutation(of_class)[:shots] for of_class in members] for rng in rngs])


def scale(features: Features, train: Bool[np.ndarray, " example"]) -> Features:
    """Centre features and divide all by one number, so that they have unit variance on average.

    Statistics are those of the unlabelled training split. One number gives the readouts' penalties the same meaning
    whatever a method's units. One number for each feature would also whiten principal components, which costs them up
    to 20 points (digits, one shot). Features that never vary do not count, so dead units change no accuracy.
    """
    fitted = features[train]
    mean, deviation = fitted.mean(0, dtype=np.float64), fitted.std(0, dtype=np.float64)
    varying = np.ptp(fitted, 0) > 0
    unit = np.sqrt((deviation[varying] ** 2).mean()) if varying.any() else 1.0
    return ((features - mean.astype(np.float32)) / np.float32(unit)).astype(np.float32)


class Readouts(NamedTuple):
    """One linear classifier on a few labelled examples for each draw; it predicts the class with the largest score."""

    weights: Float[np.ndarray, "draw feature class"]
    bias: Float[np.ndarray, "draw class"]


def logistic_regression(features: Labelled, labels: Labels, *, c: float) -> Readouts:
    """Fit multinomial logistic regression with an L2 penalty of inverse strength `c` and an unpenalised bias.

    L-BFGS solves all draws as one problem, to scikit-learn's tolerance: fitted one by one, most of the time would go
    into calls. As there, two classes are penalised as if they had one score, the difference of their two.
    """
    draws, labelled, width = features.shape
    targets = np.eye(labels.max() + 1)[labels]
    x = np.concatenate([features, np.ones((draws, labelled, 1))], 2)
    penalties = np.full((width + 1, 1), (2 if targets.shape[1] == 2 else 1) / (c * labelled))
    penalties[-1] = 0
    shape = draws, width + 1, targets.shape[1]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(shape)
        likelihoods = log_softmax(x @ weights, axis=2)
        gradient = x.swapaxes(1, 2) @ (np.exp(likelihoods) - targets) / labelled + penalties * weights
        total = (penalties * weights**2).sum() / 2 - (targets * likelihoods).sum() / labelled
        return total, gradient.ravel()

    limits: Any = {"maxiter": 5000, "maxfun": 10000, "gtol": 1e-4, "ftol": 64 * np.finfo(float).eps}
    found = minimize(loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options=limits).x.reshape(shape)
    return Readouts(found[:, :-1], found[:, -1])


def ridge(features: Labelled, labels: Labels, *, penalty: float) -> Readouts:
    """Fit ridge regression of one-hot labels minus their mean, with an unpenalised bias: the meta-objective's readout.

    The meta-objective also scales the targets, which changes no prediction (Metz et al. 2019, Eq. 2).
    """
    targets = np.eye(labels.max() + 1)[labels]
    targets -= targets.mean()
    feature_mean, target_mean = features.mean(1, keepdims=True), targets.mean(0)
    centred = features - feature_mean
    # The normal equations in their dual form: as many unknowns as labelled examples, however wide the features.
    gram = centred @ centred.swapaxes(1, 2) + penalty * np.eye(len(labels))
    solved = np.linalg.solve(gram, np.broadcast_to(targets - target_mean, (len(gram), *targets.shape)))
    weights = centred.swapaxes(1, 2) @ solved
    return Readouts(weights, target_mean - (feature_mean @ weights)[:, 0])


def predict(readouts: Readouts, features: Float32[np.ndarray, "example feature"]) -> Int[np.ndarray, "draw example"]:
    """Return the class that each draw's classifier predicts for each example."""
    draws, width, classes = readouts.weights.shape
    # One product for all draws: the weights side by side.
    weights = readouts.weights.astype(np.float32).transpose(1, 0, 2).reshape(width, draws * classes)
    scores = (features @ weights).reshape(len(features), draws, classes) + readouts.bias.astype(np.float32)
    return scores.argmax(2).T
