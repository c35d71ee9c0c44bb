"""Images jittered at the resolution they have."""

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.meta_train.tasks.jitter import jittered
from metaplastic.meta_train.tasks.spec import Jitter


def augmented(
    key: PRNGKeyArray, images: Float[Array, "example side side channel"], jitter: Jitter
) -> Float[Array, "example side side channel"]:
    """Each image jittered on its own, all its channels alike; without jitter it stays as it is."""
    # For `jittered`, which halves the side again, every pixel is a square of four.
    doubled = images.repeat(2, axis=1).repeat(2, axis=2)
    return jnp.stack([jittered(key, doubled[..., c], jitter)[0] for c in range(images.shape[3])], axis=-1)
