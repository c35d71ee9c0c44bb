"""Label images by a trained learner and any number of labelled images of each class.

Episodes (`learners/base.py`) have equally many shots of every class. Here classes come, grow and go, and an image's
label depends on no other image that is asked about.
"""

import abc
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int, Int32, Shaped

from metaplastic.config.base import parse_spec
from metaplastic.datasets.arrays import unit_range
from metaplastic.embeddings.spec import Embedding
from metaplastic.few_shot.learners.base import nearness
from metaplastic.few_shot.learners.maml import AdaptedNetwork
from metaplastic.few_shot.learners.networks import Statistics
from metaplastic.few_shot.learners.protonets import PrototypicalNetwork
from metaplastic.few_shot.spec import METHODS, Learner
from metaplastic.io.compilation import jit
from metaplastic.io.errors import InputError
from metaplastic.io.jax_settings import compilations_kept, own_numbers

ENCODERS = tuple(name for name, kind in Embedding.kinds().items() if issubclass(kind, Embedding) and kind.embeds_alone)
"""Embeddings that embed later images too."""
TEMPERATURE = 0.2
"""Divisor of similarities between neighbours, in units of the variance of features; that of contrastive learning."""
AT_ONCE, PIXELS = 64, 2**18
"""Most images, and numbers in them, that go through a network at once."""

Pixels = Shaped[np.ndarray, "image input"]
"""Flattened images: uint8, or floats in 0 to 1, or black and white."""
Known = Float32[np.ndarray, "known feature"]
"""Features of labelled images."""
Classes = Int32[np.ndarray, " known"]
Features = Float32[np.ndarray, "image feature"]
Scores = Float32[np.ndarray, "image way"]


class Recipe(NamedTuple):
    """What decides the shape of everything in a labelling, and how it was trained."""

    method: str
    """Section of a learner, as JSON."""
    embedding: str
    """Section of the embedding, as JSON; empty where a learner from elsewhere does not say."""
    image: tuple[int, int, int]
    """Rows, columns and channels."""

    @property
    def learner(self) -> Any:
        """The section of the learner."""
        return parse_spec(Learner, self.method, "method")

    @property
    def embedder(self) -> Any:
        """The section of the embedding."""
        return parse_spec(Embedding, self.embedding, "embedding")


class Labelling(eqx.Module):
    """A trained learner: `features` of labelled images are kept, `scores` of an image are up to a constant of it."""

    recipe: Recipe = eqx.field(static=True)

    @property
    def most_classes(self) -> int | None:
        """Most classes that it can tell apart, if there is a limit."""
        return None

    def prepared(self, images: Float32[np.ndarray, "image input"]) -> Float32[np.ndarray, "image input"]:
        """Return images as `features` takes them, in NumPy."""
        return images

    @abc.abstractmethod
    def features(self, images: Float[Array, "image input"]) -> Float[Array, "image feature"]:
        """Return what classes are told apart by, in JAX."""

    @abc.abstractmethod
    def adapted(self, known: Known, classes: Classes, way: int) -> Any:
        """Return arrays that stand for the classes 0 to `way` - 1, each of which has a labelled image."""

    @abc.abstractmethod
    def scores(self, adapted: Any, features: Features) -> Scores:
        """Return logarithms of the probabilities of every class, up to a constant of each image."""


class Prototypical(Labelling):
    """ProtoNets: a class is the mean of its features, and probabilities fall with squared distances to it."""

    learner: PrototypicalNetwork

    def features(self, images: Float[Array, "image input"]) -> Float[Array, "image feature"]:
        """Return features by the running statistics of the batch norm."""
        return self.learner.features(images)

    def adapted(self, known: Known, classes: Classes, way: int) -> Float32[np.ndarray, "way feature"]:
        """Return the prototypes."""
        return np.stack([known[classes == class_].mean(0) for class_ in range(way)])

    def scores(self, adapted: Float32[np.ndarray, "way feature"], features: Features) -> Scores:
        """Return minus squared distances."""
        return np.asarray(nearness(features, adapted))


class Neighbours(Labelling):
    """The class of the nearest labelled image in an embedding."""

    network: Any
    """The model of the embedding; None if it learns nothing."""
    variance: Float32[np.ndarray, ""]
    """Mean squared distance of the features of unlabelled images from their mean."""

    def prepared(self, images: Float32[np.ndarray, "image input"]) -> Float32[np.ndarray, "image input"]:
        """Return the features of an embedding that learns nothing."""
        if self.network is not None:
            return images
        # This needs the extra `workflow`, which ProtoNets and MAML do without.
        from metaplastic.embeddings.base import Folder, Unlabelled

        spec = self.recipe.embedder
        data = Unlabelled(images, np.ones(len(images), bool), self.recipe.image)
        embedded = import_module(spec.module).embed(data, spec, seeds=[0], folder=Folder(Path(), {}))
        return np.asarray(embedded.features[0, -1])

    def features(self, images: Float[Array, "image input"]) -> Float[Array, "image feature"]:
        """Return the embedding."""
        return images if self.network is None else family_of(self.recipe).encode(self.network, images)

    def adapted(self, known: Known, classes: Classes, way: int) -> tuple[Known, Int[np.ndarray, " way"]]:
        """Return the labelled images by their classes, and the place of the first of each class."""
        order = classes.argsort(kind="stable")
        return known[order], np.searchsorted(classes[order], np.arange(way))

    def scores(self, adapted: tuple[Known, Int[np.ndarray, " way"]], features: Features) -> Scores:
        """Return minus the squared distance to the nearest image of each class, in units of the variance."""
        known, first = adapted
        nearest = np.maximum.reduceat(nearness(features, known), first, axis=1)
        return np.asarray(nearest / (2 * TEMPERATURE * self.variance))


class Adapting(Labelling):
    """MAML: the network learns from the labelled images, whose statistics its batch norm keeps.

    As published, MAML normalises by the images that it is asked about, all at once; then no image has a label of its
    own.
    """

    learner: AdaptedNetwork

    @property
    def most_classes(self) -> int:
        """The network has one output for each class of its training tasks."""
        return len(self.learner.bias)

    def features(self, images: Float[Array, "image input"]) -> Float[Array, "image feature"]:
        """Return the images: there is no network before the classes are known."""
        return images

    @own_numbers()
    @compilations_kept()
    def adapted(self, known: Known, classes: Classes, way: int) -> tuple[AdaptedNetwork, tuple[Statistics, ...]]:
        """Return the network after the steps of an evaluation, each class counting the same, and its statistics."""
        # Filled up to a power of two with rows of no class, so that few programs are compiled.
        more = (1 << (len(known) - 1).bit_length()) - len(known)
        known, classes = np.pad(known, ((0, more), (0, 0))), np.pad(classes, (0, more), constant_values=way)
        adapted: Any = jax.tree.map(np.asarray, self._descended(jnp.asarray(known), jnp.asarray(classes), way))
        return adapted

    def scores(self, adapted: tuple[AdaptedNetwork, tuple[Statistics, ...]], features: Features) -> Scores:
        """Return the logits."""
        return np.asarray(_logits(*adapted, jnp.asarray(features)))

    @jit
    def _descended(
        self, known: Float[Array, "known input"], classes: Int[Array, " known"], way: int
    ) -> tuple[AdaptedNetwork, tuple[Statistics, ...]]:
        of_class, there = _shares(classes, way), classes < way
        of_all, known_class = there / there.sum(), jnp.where(there, classes, 0)[:, None]

        def loss(model: AdaptedNetwork) -> Float[Array, ""]:
            features, _ = model.network.features(known, shares=of_all)
            likelihoods = jax.nn.log_softmax(features @ model.weights + model.bias)
            return -(of_class * jnp.take_along_axis(likelihoods, known_class, 1)[:, 0]).sum()

        learner = self.learner.descended(loss, way=way, steps=self.learner.inner.test_steps)
        return learner, learner.network.features(known, shares=of_all)[1]


@jit
def _logits(
    learner: AdaptedNetwork, statistics: tuple[Statistics, ...], images: Float[Array, "image input"]
) -> Float[Array, "image way"]:
    return learner.network.features(images, statistics)[0] @ learner.weights + learner.bias


def _shares(classes: Int[Array, " known"], way: int) -> Float[Array, " known"]:
    """Return the share that each image has in its class; 0 for what fills up."""
    return jnp.where(classes < way, 1 / jnp.bincount(classes, length=way)[classes], 0)


_OF_LEARNERS: dict[str, type[Any]] = {"protonets": Prototypical, "maml": Adapting}


def untrained(recipe: Recipe) -> Labelling:
    """Return a labelling at random weights; raise InputError if images of this shape cannot be taken."""
    method = recipe.learner
    if method.kind in _OF_LEARNERS:
        learner = import_module(method.module).initial(method, jax.random.key(0), recipe.image)
        return with_learner(recipe, learner)
    if method.kind not in METHODS or method.neighbours != 1:
        raise InputError(f"method: {recipe.method} labels no single images; take one of {', '.join(METHODS)}")
    network = None
    if recipe.embedder.trained:
        network = family_of(recipe).initial(jax.random.key(0), int(np.prod(recipe.image)))
    return Neighbours(recipe, network, np.ones((), np.float32))


def with_learner(recipe: Recipe, learner: Any) -> Labelling:
    """Return the labelling by a learner that tasks have trained."""
    labelling: Labelling = _OF_LEARNERS[recipe.learner.kind](recipe, learner)
    return labelling


@cache
def family_of(recipe: Recipe) -> Any:
    """Return the family of the networks that embed; raise InputError if later images cannot be embedded alone."""
    spec = recipe.embedder
    if spec.kind not in ENCODERS:
        raise InputError(
            f"embedding: {spec.kind!r} embeds no later images, which nearest neighbours need; take one of: "
            f"{', '.join(ENCODERS)}"
        )
    return import_module(spec.module).family(spec, recipe.image)


def features(labelling: Labelling, images: Pixels) -> Features:
    """Return the features of flattened images."""
    return _in_parts(labelling, images, lambda features: features)


def scores(labelling: Labelling, adapted: Any, images: Pixels) -> Scores:
    """Return the scores of flattened images."""
    return _in_parts(labelling, images, lambda features: labelling.scores(adapted, features))


def in_unit_range(pixels: Pixels) -> Float32[np.ndarray, "image input"]:
    """Return numbers in 0 to 1, in single precision."""
    return unit_range(pixels) if pixels.dtype == np.uint8 else pixels.astype(np.float32)


def in_words(image: tuple[int, int, int]) -> str:
    """Return rows, columns and channels in words."""
    return f"{image[0]} x {image[1]} pixels and {image[2]} channel{'s' * (image[2] > 1)}"


_features = jit(lambda labelling, images: labelling.features(images))


@own_numbers()
@compilations_kept()
def _in_parts(labelling: Labelling, images: Pixels, function: Callable[[Features], np.ndarray]) -> np.ndarray:
    """Apply a function to the features of parts of one size, the last filled up, so that few programs are compiled."""
    size = max(1, min(AT_ONCE, PIXELS // images.shape[1]))
    parts = []
    for start in range(0, len(images), size):
        part = images[start : start + size]
        filled = np.zeros((size, images.shape[1]), np.float32)
        filled[: len(part)] = labelling.prepared(in_unit_range(part))
        parts.append(function(np.asarray(_features(labelling, jnp.asarray(filled))))[: len(part)])
    return np.concatenate(parts)
