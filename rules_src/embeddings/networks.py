"""What neural embeddings are built of."""

from collections.abc import Sequence

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from rules_src.base_model import ACTIVATIONS


class Perceptron(eqx.Module):
    """Fully connected layers with an activation between them."""

    layers: tuple[eqx.nn.Linear, ...]
    activation: str = eqx.field(static=True)

    def __init__(self, key: PRNGKeyArray, widths: Sequence[int], activation: str) -> None:
        """Layers between `widths`, from the input up, at Equinox's initial weights."""
        keys = jax.random.split(key, len(widths) - 1)
        pairs = zip(keys, widths[:-1], widths[1:], strict=True)
        self.layers = tuple(eqx.nn.Linear(below, above, key=key) for key, below, above in pairs)
        self.activation = activation

    def __call__(self, x: Float[Array, "batch input"]) -> Float[Array, "batch output"]:
        """The last layer's output, without activation."""
        *hidden, last = self.layers
        for layer in hidden:
            x = ACTIVATIONS[self.activation](jax.vmap(layer)(x))
        return jax.vmap(last)(x)


class Autoencoder(eqx.Module):
    """An encoder to a code and a decoder back."""

    encoder: Perceptron
    decoder: Perceptron


def autoencoder(
    key: PRNGKeyArray, inputs: int, hidden: Sequence[int], code: int, activation: str, *, encoded: int
) -> Autoencoder:
    """Of `code` numbers between mirrored hidden layers; the encoder gives `encoded` numbers about them."""
    key_encoder, key_decoder = jax.random.split(key)
    encoder = Perceptron(key_encoder, [inputs, *hidden, encoded], activation)
    return Autoencoder(encoder, Perceptron(key_decoder, [code, *reversed(hidden), inputs], activation))
