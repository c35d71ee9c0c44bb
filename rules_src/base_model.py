"""The network that an update rule trains: a multilayer perceptron with batch norm (Metz et al. 2019, 3.2)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rules_src.config import rules as config

Activation = Callable[[Array], Array]

ACTIVATIONS: dict[str, Activation] = {
    "relu": jax.nn.relu,
    "leaky_relu": jax.nn.leaky_relu,
    "swish": jax.nn.swish,
    "tanh": jnp.tanh,
    "softplus": jax.nn.softplus,
    "step": lambda z: (z > 0).astype(z.dtype),
}


EPSILON = 1e-6
"""Added to the variance in batch norm."""


class Layer(NamedTuple):
    """Parameters of one layer."""

    W: Float[Array, "below above"]
    """Forward weights."""
    b: Float[Array, " above"]
    """Bias, added after the batch norm."""
    V: Float[Array, "below above"]
    """Backward weights: they carry the error signal down, and no gradient."""


class Activity(NamedTuple):
    """What a forward pass leaves behind, from the input up."""

    xs: list[Float[Array, "batch _units"]]
    """The input and every layer's post-activation."""
    zs: list[Float[Array, "batch _units"]]
    """Every layer's pre-activation, batch norm and bias included."""


class BatchStatistics(NamedTuple):
    """What one layer's batch norm takes from a batch."""

    mean: Float[Array, " above"]
    """Of the pre-activation before batch norm, over the batch."""
    variance: Float[Array, " above"]


class BaseModel(eqx.Module):
    """A multilayer perceptron; its parameters are phi = {W, b, V} of each layer."""

    layers: tuple[Layer, ...]
    activation: Activation = eqx.field(static=True)

    def forward(self, x: Float[Array, "batch input"]) -> Activity:
        """Propagate a batch; batch statistics are those of `x` itself, in training and in use alike."""
        xs, zs = [x], []
        for layer in self.layers:
            z = xs[-1] @ layer.W
            z = z - z.mean(0)
            z = z * jax.lax.rsqrt((z**2).mean(0) + EPSILON) + layer.b
            zs.append(z)
            xs.append(self.activation(z))
        return Activity(xs, zs)

    def features(self, x: Float[Array, "batch input"]) -> Float[Array, "batch features"]:
        """Activations of the last layer: the representation that is learned."""
        return self.forward(x).xs[-1]


def batch_statistics(phi: BaseModel, x: Float[Array, "batch input"]) -> tuple[BatchStatistics, ...]:
    """What every layer's batch norm takes from the batch `x`, from the first layer up."""
    inputs_of_layers = phi.forward(x).xs[:-1]
    products = (below @ layer.W for below, layer in zip(inputs_of_layers, phi.layers, strict=True))
    return tuple(BatchStatistics(z.mean(0), z.var(0)) for z in products)


def features_given(
    phi: BaseModel, statistics: tuple[BatchStatistics, ...], x: Float[Array, "example input"]
) -> Float[Array, "example features"]:
    """Features with the statistics of another batch: those of an example do not depend on its companions.

    With the statistics of `x` itself they are `phi.features(x)`.
    """
    for layer, (mean, variance) in zip(phi.layers, statistics, strict=True):
        x = phi.activation((x @ layer.W - mean) * jax.lax.rsqrt(variance + EPSILON) + layer.b)
    return x


def layer_widths(shape: config.BaseModel, inputs: int) -> list[int]:
    """Units of the input and of every layer above it."""
    return [inputs, *shape.hidden, shape.features]


def initial_base_model(key: PRNGKeyArray, widths: Sequence[int], activation: str = "relu") -> BaseModel:
    """Draw initial parameters: W and V truncated normal with scale 0.01, b with scale 0.1.

    Args:
        key: source of randomness.
        widths: units of the input and of every layer above it.
        activation: a key of `ACTIVATIONS`.
    """

    def draw(key: PRNGKeyArray, shape: tuple[int, ...], scale: float) -> Array:
        return scale * jax.random.truncated_normal(key, -2.0, 2.0, shape)

    layers = []
    for key_layer, below, above in zip(jax.random.split(key, len(widths) - 1), widths[:-1], widths[1:], strict=True):
        key_w, key_b, key_v = jax.random.split(key_layer, 3)
        layers.append(
            Layer(draw(key_w, (below, above), 0.01), draw(key_b, (above,), 0.1), draw(key_v, (below, above), 0.01))
        )
    return BaseModel(tuple(layers), ACTIVATIONS[activation])
