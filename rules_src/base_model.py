"""The network that an update rule trains: a multilayer perceptron with batch norm (Metz et al. 2019, 3.2)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

Activation = Callable[[Array], Array]

ACTIVATIONS: dict[str, Activation] = {
    "relu": jax.nn.relu,
    "leaky_relu": jax.nn.leaky_relu,
    "swish": jax.nn.swish,
    "tanh": jnp.tanh,
    "softplus": jax.nn.softplus,
    "step": lambda z: (z > 0).astype(z.dtype),
}


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
            z = z * jax.lax.rsqrt((z**2).mean(0) + 1e-6) + layer.b
            zs.append(z)
            xs.append(self.activation(z))
        return Activity(xs, zs)

    def features(self, x: Float[Array, "batch input"]) -> Float[Array, "batch features"]:
        """Activations of the last layer: the representation that is learned."""
        return self.forward(x).xs[-1]


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
