"""Meta-objective: a ridge readout of features, fitted on one batch and scored on another (Metz et al. 2019, Eq. 2)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def ridge_readout(
    features: Float[Array, "example feature"], targets: Float[Array, "example target"], *, ridge: float
) -> Float[Array, "feature_and_one target"]:
    """Return the weights of a ridge regression of targets on features; the last row is the bias, without a penalty.

    Any `ridge` > 0 keeps the normal equations positive definite, even for dead or repeated features.
    """
    augmented = with_ones(features)
    penalty = jnp.full(augmented.shape[1], ridge).at[-1].set(0.0)
    gram = augmented.T @ augmented + jnp.diag(penalty)
    return jax.scipy.linalg.solve(gram, augmented.T @ targets, assume_a="pos")


def with_ones(features: Float[Array, "example feature"]) -> Float[Array, "example feature_and_one"]:
    """Append a column of ones, for the bias."""
    return jnp.concatenate([features, jnp.ones((len(features), 1), features.dtype)], axis=1)


def normalised_targets(targets: Float[Array, "example target"]) -> Float[Array, "example target"]:
    """Subtract the mean of all entries, then scale to a mean squared row norm of one."""
    centred = targets - targets.mean()
    return centred * jax.lax.rsqrt((centred**2).sum(1).mean())


def meta_objective(
    features_a: Float[Array, "example_a feature"],
    targets_a: Float[Array, "example_a target"],
    features_b: Float[Array, "example_b feature"],
    targets_b: Float[Array, "example_b target"],
    *,
    ridge: float = 0.1,
) -> Float[Array, ""]:
    """Return the loss of a readout fitted on batch a and scored on batch b, with the released code's conventions.

    Targets are normalised within each batch and predictions on b to unit row norm, so the squared error is a cosine
    distance up to constants. The penalty on the readout's weights is part of the loss.
    """
    targets_a, targets_b = normalised_targets(targets_a), normalised_targets(targets_b)
    weights = ridge_readout(features_a, targets_a, ridge=ridge)
    predictions = with_ones(features_b) @ weights
    squares = (predictions**2).sum(1, keepdims=True)
    # A row of zeros (features all dead) stays zero, and so does its gradient.
    predictions = predictions * jnp.where(squares > 0, jax.lax.rsqrt(jnp.where(squares > 0, squares, 1.0)), 0.0)
    error = ((predictions - targets_b) ** 2).sum() / len(targets_b)
    return error + ridge * (weights[:-1] ** 2).sum() / len(targets_a)
