"""The network that an update rule trains: a multilayer perceptron with batch norm (Metz et al. 2019, 3.2)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.tree_util import Partial
from jaxtyping import Array, Float, Int, PRNGKeyArray

from metaplastic.perceptron import EPSILON

Activation = Callable[[Array], Array]

FUNCTIONS: dict[str, Activation] = {
    **{name: getattr(jax.nn, name) for name in ["relu", "leaky_relu", "elu", "swish", "tanh", "sigmoid", "softplus"]},
    "sine": jnp.sin,
    "step": lambda z: (z > 0).astype(z.dtype),
}
# Pytrees without leaves, so that a base model is a pytree of arrays alone.
ACTIVATIONS: dict[str, Activation] = {
    name: Partial(function)  # type: ignore[no-untyped-call]
    for name, function in FUNCTIONS.items()
}


class Layer(NamedTuple):
    """Parameters of one layer, or their changes."""

    W: Float[Array, "below above"]
    """Forward weights."""
    b: Float[Array, " above"]
    """Bias, added after batch norm."""
    V: Float[Array, "below above"]
    """Backward weights, which carry a learned rule's error signal down."""


class Activity(NamedTuple):
    """Activity in a forward pass, from the input up."""

    xs: list[Float[Array, "batch _units"]]
    """The input and every layer's post-activation."""
    zs: list[Float[Array, "batch _units"]]
    """Every layer's pre-activation, after batch norm and bias."""


Weights = Float[Array, "lower upper"]
"""Weights of a layer, or a change of them."""

Own = Callable[[Array], Array]
"""A function that takes a block's columns from an array, along its last axis."""


def in_blocks(
    block: Callable[[Own], Float[Array, "row own"]], shape: tuple[int, int], width: int
) -> Float[Array, "row column"]:
    """Fill an array of `shape` in place, a block of columns at a time, so that little else is held in memory.

    The argument of `block` takes a block's columns from any array. If one block holds all columns, there is no loop.
    """
    columns, width = shape[1], max(1, width)
    if columns <= width:
        return block(lambda of_all: of_all)

    def filled(index: Int[Array, ""], whole: Float[Array, "row column"]) -> Float[Array, "row column"]:
        # The last block begins early enough to be whole; the columns that it shares with another come out the same.
        start = jnp.minimum(index * width, columns - width)
        found = block(lambda of_all: jax.lax.dynamic_slice_in_dim(of_all, start, width, axis=-1))
        return jax.lax.dynamic_update_slice_in_dim(whole, found, start, axis=1)

    whole: Array = jax.lax.fori_loop(0, -(-columns // width), filled, jnp.zeros(shape))
    return whole


class OneOf(eqx.Module):
    """The activation at a traced index, so that base models of different activations share one compiled program."""

    names: tuple[str, ...] = eqx.field(static=True)
    index: Int[Array, ""]

    def __call__(self, z: Array) -> Array:
        """Apply the function; under `vmap` all are computed, which is little beside the update network."""
        return jax.lax.switch(self.index, [ACTIVATIONS[name] for name in self.names], z)


class BaseModel(eqx.Module):
    """A multilayer perceptron; its parameters are phi = {W, b, V} of each layer."""

    layers: tuple[Layer, ...]
    activation: Activation

    def forward(self, x: Float[Array, "batch input"]) -> Activity:
        """Propagate a batch; batch norm uses the statistics of `x` itself, in training and in use alike."""
        xs, zs = [x], []
        for layer in self.layers:
            zs.append(standardise(xs[-1] @ layer.W) + layer.b)
            xs.append(self.activation(zs[-1]))
        return Activity(xs, zs)

    def features(self, x: Float[Array, "batch input"]) -> Float[Array, "batch features"]:
        """Return the activations of the last layer: the learned representation."""
        return self.forward(x).xs[-1]


def of_unit_length(x: Float[Array, "row column"], axis: int = 1) -> Float[Array, "row column"]:
    """Divide each row, or each column by `axis` 0, by its Euclidean norm; what is zero stays so."""
    return x / jnp.maximum(jnp.linalg.norm(x, axis=axis, keepdims=True), 1e-6)


def standardise(x: Float[Array, "batch unit"]) -> Float[Array, "batch unit"]:
    """Shift and scale units to zero mean and unit variance over the batch: batch norm."""
    x = x - x.mean(0)
    return x * jax.lax.rsqrt((x**2).mean(0) + EPSILON)


def initial_base_model(key: PRNGKeyArray, widths: Sequence[int], *activations: str) -> BaseModel:
    """Draw initial parameters from truncated normals: W and V with scale 0.01, b with scale 0.1.

    `widths` are the numbers of units of the input and of every layer above it; `activations` are keys of `ACTIVATIONS`,
    by default `relu`. Of several, one is drawn.
    """

    def draw(key: PRNGKeyArray, shape: tuple[int, ...], scale: float) -> Array:
        return scale * jax.random.truncated_normal(key, -2.0, 2.0, shape)

    layers = []
    for key_layer, below, above in zip(jax.random.split(key, len(widths) - 1), widths[:-1], widths[1:], strict=True):
        key_w, key_b, key_v = jax.random.split(key_layer, 3)
        W, b = draw(key_w, (below, above), 0.01), draw(key_b, (above,), 0.1)
        layers.append(Layer(W, b, draw(key_v, (below, above), 0.01)))
    if len(activations) > 1:
        index = jax.random.randint(jax.random.fold_in(key, len(widths)), (), 0, len(activations))
        return BaseModel(tuple(layers), OneOf(activations, index))
    return BaseModel(tuple(layers), ACTIVATIONS[activations[0] if activations else "relu"])
