"""The networks that neural embeddings consist of."""

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from metaplastic.embeddings.spec import FullyConnected
from metaplastic.network import ACTIVATIONS
from metaplastic.training.sharding import on_each_device


class DenseLayers(eqx.Module):
    """Fully connected layers with an activation between them."""

    layers: tuple[eqx.nn.Linear, ...]
    activation: str = eqx.field(static=True)

    def __init__(self, key: PRNGKeyArray, widths: Sequence[int], activation: str) -> None:
        """Draw Equinox's initial weights of layers between `widths`, from the input up."""
        layers = zip(pairwise(widths), jax.random.split(key, len(widths) - 1), strict=True)
        self.layers = tuple(eqx.nn.Linear(*sizes, key=of_layer) for sizes, of_layer in layers)
        self.activation = activation

    def __call__(self, x: Float[Array, "batch input"]) -> Float[Array, "batch output"]:
        """Return the last layer's output, without activation."""
        *hidden, last = self.layers
        for layer in hidden:
            x = ACTIVATIONS[self.activation](jax.vmap(layer)(x))
        return jax.vmap(last)(x)


class Autoencoder(eqx.Module):
    """An encoder to a code and a decoder back."""

    encoder: DenseLayers
    decoder: DenseLayers

    def __init__(self, key: PRNGKeyArray, inputs: int, spec: FullyConnected, *, encoded: int) -> None:
        """Draw both with mirrored hidden layers; the encoder returns `encoded` numbers about `spec.features` codes."""
        key_encoder, key_decoder = jax.random.split(key)
        self.encoder = DenseLayers(key_encoder, [inputs, *spec.hidden, encoded], spec.activation)
        self.decoder = DenseLayers(key_decoder, [spec.features, *reversed(spec.hidden), inputs], spec.activation)


Image = tuple[int, int, int]
"""Rows, columns and channels."""
SLOPE = 0.2
"""Slope of the leaky ReLU of convolutions below zero."""
EXAMPLES = 8
"""Examples per convolution in the gradient of a kernel: with more, XLA's library is up to five times slower."""
GROUP = 16
"""Channels that are normalised together if it divides their number, otherwise all are."""


def convolved(
    x: Float[Array, "batch row column below"], kernel: Float[Array, "3 3 below above"], *, stride: int = 1
) -> Float[Array, "batch _row _column above"]:
    """Convolve 3x3 with zeros around the image; a stride of 2 halves its sides, rounded up.

    With a stride this is one product of all patches with the kernel: on CPUs XLA is slow at derivatives of such
    convolutions, which made MAML's gradients five times slower. Without a stride XLA's own is nearly twice as fast, but
    runs on one thread.
    """
    return on_each_device(_correlated)(x, kernel) if stride == 1 else _product_of_patches(x, kernel, stride)


def _product_of_patches(x: Array, kernel: Array, stride: int) -> Array:
    rows, columns = (stride * ((side - 1) // stride) + 1 for side in x.shape[1:3])
    around = (max(0, last + 2 - side) for last, side in zip((rows, columns), x.shape[1:3], strict=True))
    x = jnp.pad(x, ((0, 0), *((zeros // 2, zeros - zeros // 2) for zeros in around), (0, 0)))
    patches = [x[:, i : i + rows : stride, j : j + columns : stride] for i in range(3) for j in range(3)]
    return jnp.concatenate(patches, -1) @ kernel.reshape(-1, kernel.shape[3])


def _convolved(x: Array, kernel: Array) -> Array:
    one = ((1, 1), (1, 1))
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), one, dimension_numbers=("NHWC", "HWIO", "NHWC"))


@jax.custom_vjp
def _correlated(
    x: Float[Array, "batch row column below"], kernel: Float[Array, "3 3 below above"]
) -> Float[Array, "batch row column above"]:
    """Convolve with a stride of 1.

    The gradient is written out because XLA on CPU runs a convolution inside a loop by its fast library in one layout
    only, and ten to two hundred times slower in any other. By itself it would choose another layout for the gradient
    of the kernel, which is a convolution with examples in place of channels.
    """
    return _convolved(x, kernel)


def _correlated_backward(operands: tuple[Array, Array], g: Float[Array, "batch row column above"]) -> Any:
    x, kernel = operands
    few = [slice(start, start + EXAMPLES) for start in range(0, len(x), EXAMPLES)]
    shares = [_convolved(x[some].transpose(3, 1, 2, 0), g[some].transpose(1, 2, 0, 3)) for some in few]
    to_kernel = reduce(jnp.add, shares).transpose(1, 2, 0, 3)
    return _correlated(g, kernel[::-1, ::-1].swapaxes(2, 3)), to_kernel


_correlated.defvjp(lambda x, kernel: (_correlated(x, kernel), (x, kernel)), _correlated_backward)


class Convolution(eqx.Module):
    """A 3x3 convolution, `normalised` or not."""

    kernel: Float[Array, "3 3 below above"]
    bias: Float[Array, " above"]
    stride: int = eqx.field(static=True)
    normalised: bool = eqx.field(static=True)

    def __init__(self, key: PRNGKeyArray, below: int, above: int, *, stride: int = 1, normalised: bool = False) -> None:
        self.kernel = jax.nn.initializers.he_normal()(key, (3, 3, below, above))
        self.bias, self.stride, self.normalised = jnp.zeros(above), stride, normalised

    def __call__(self, x: Float[Array, "batch row column below"]) -> Float[Array, "batch _row _column above"]:
        """Return the pre-activation."""
        x = convolved(x, self.kernel, stride=self.stride)
        return (_normalised(x) if self.normalised else x) + self.bias


class ConvolutionalEncoder(eqx.Module):
    """Scales that halve the side, then a linear layer to a code of width `code`.

    A scale is one convolution with a stride of 2 or, if it is `pooled`, two convolutions and means of 2x2 positions, as
    in the autoencoder of Berthelot et al. 2019.
    """

    scales: tuple[tuple[Convolution, ...], ...]
    last: eqx.nn.Linear
    image: Image = eqx.field(static=True)
    pooled: bool = eqx.field(static=True)

    def __init__(
        self, key: PRNGKeyArray, image: Image, filters: list[int], code: int, *, pooled: bool, normalised: bool = False
    ) -> None:
        keys = jax.random.split(key, len(filters) + 1)

        def scale(key: PRNGKeyArray, below: int, above: int) -> tuple[Convolution, ...]:
            if not pooled:
                return (Convolution(key, below, above, stride=2, normalised=normalised),)
            sizes = zip(jax.random.split(key), [(below, above), (above, above)], strict=True)
            return tuple(Convolution(of, *size, normalised=normalised) for of, size in sizes)

        layers = zip(keys[1:], pairwise([image[2], *filters]), strict=True)
        self.scales = tuple(scale(of, *sizes) for of, sizes in layers)
        rows, columns = sides(image, len(filters))[-1]
        self.last = eqx.nn.Linear(rows * columns * filters[-1], code, key=keys[0])
        self.image, self.pooled = image, pooled

    def __call__(self, x: Float[Array, "batch input"]) -> Float[Array, "batch code"]:
        """Return the codes of flattened images."""
        x = x.reshape(-1, *self.image)
        for scale in self.scales:
            for block in scale:
                x = jax.nn.leaky_relu(block(x), SLOPE)
            x = _halved(x) if self.pooled else x
        return jax.vmap(self.last)(x.reshape(len(x), -1))


class ConvolutionalDecoder(eqx.Module):
    """The reverse of the encoder of the same filters, from a code of width `code`."""

    first: eqx.nn.Linear
    blocks: tuple[Convolution, ...]
    image: Image = eqx.field(static=True)

    def __init__(self, key: PRNGKeyArray, image: Image, filters: list[int], code: int, *, normalised: bool = False):
        keys = jax.random.split(key, len(filters) + 1)
        rows, columns = sides(image, len(filters))[-1]
        self.first = eqx.nn.Linear(code, rows * columns * filters[-1], key=keys[0])
        *below, last = zip(keys[1:], pairwise([*filters[::-1], image[2]]), strict=True)
        self.blocks = tuple(Convolution(of, *sizes, normalised=normalised) for of, sizes in below)
        self.blocks += (Convolution(last[0], *last[1]),)
        self.image = image

    def __call__(self, code: Float[Array, "batch code"]) -> Float[Array, "batch input"]:
        """Return flattened images, without activation."""
        *above, smallest = sides(self.image, len(self.blocks))
        x = jax.vmap(self.first)(code).reshape(len(code), *smallest, -1)
        for block, side in zip(self.blocks, above[::-1], strict=True):
            x = jax.nn.leaky_relu(x, SLOPE).repeat(2, axis=1).repeat(2, axis=2)
            x = block(x[:, : side[0], : side[1]])
        return x.reshape(len(x), -1)


def sides(image: Image, halvings: int) -> list[tuple[int, int]]:
    """Return rows and columns of an image, then those after each halving."""
    return [(-(-image[0] // 2**times), -(-image[1] // 2**times)) for times in range(halvings + 1)]


def _halved(x: Float[Array, "batch row column filter"]) -> Float[Array, "batch _row _column filter"]:
    """Return means of 2x2 positions; a last odd row or column counts twice."""
    odd = [(0, side % 2) for side in x.shape[1:3]]
    x = jnp.pad(x, ((0, 0), *odd, (0, 0)), mode="edge")
    return x.reshape(len(x), x.shape[1] // 2, 2, x.shape[2] // 2, 2, -1).mean((2, 4))


def _normalised(x: Float[Array, "batch row column filter"]) -> Float[Array, "batch row column filter"]:
    """Normalise groups of channels, so that the code of an example does not depend on other examples."""
    grouped = x.reshape(*x.shape[:3], -1, x.shape[3] if x.shape[3] % GROUP else GROUP)
    return jax.nn.standardize(grouped, axis=(1, 2, 4)).reshape(x.shape)


def told_apart(real: Float[Array, " batch"], generated: Float[Array, " batch"]) -> Float[Array, ""]:
    """Return the cross-entropy of logits that should be large for real and small for generated examples."""
    return (jax.nn.softplus(-real) + jax.nn.softplus(generated)).mean()
