"""Classes of images from a handful of labels, after learning from images without any: a scikit-learn classifier."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Shaped
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from metaplastic.few_shot import labelling
from metaplastic.few_shot.arguments import (
    NEIGHBOUR_TASKS,
    TASKS,
    UNLABELLED,
    alike,
    given_images,
    given_labels,
    sections,
)
from metaplastic.few_shot.labelling_files import Support, packaged_learner, read, write
from metaplastic.few_shot.spec import Clusters, Neighbourhoods, Partition
from metaplastic.io.errors import extras_named
from metaplastic.parameters import check_integer, check_no_bool, plain_parameters, seed_of, with_parameters

MOST_CLUSTERS, IMAGES_A_CLUSTER = 500, 20
"""The most clusters of a partition, and how many images there are for each."""


class FewShotClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Tells classes of images apart by a few labelled ones, after learning from images without labels (CACTUs).

    `fit` trains an embedding of the images, clusters it in several ways, takes clusters for classes of little tasks,
    and trains a learner on these (Hsu et al. 2019). `adapt` shows it labelled images, whose classes need not be among
    the images of `fit`. `predict` then labels others. Labelled images can be added or a class taken away at any time
    without another `fit`.

    `fit` takes a few minutes for some thousands of images of 28 x 28 pixels; `verbose` shows how many are left.
    It needs what `pip install "metaplastic[workflow]"` brings. `adapt` and `predict` of ProtoNets and MAML need none
    of that.

    Args:
        embedding: what is clustered or, by nearest neighbours, compared: the name of a kind such as "contrastive",
            "acai", "blurred" or "pca", or a mapping with `kind` and other keys of the config's section `embeddings`.
        method: "protonets" compares an image with the mean features of each class; "maml" trains its network on the
            labelled images, and knows at most as many classes as its tasks have, 20 by default; "nearest-neighbours"
            takes the class of the nearest labelled image in the embedding, and trains no learner. Or a mapping with
            `kind` and other keys of the config's section `learners`.
        jitter: how much an image may change without changing its class. True shifts, turns and bends the images of
            tasks as far as suits drawn characters; a mapping with some of `rotation`, `scale`, `shift`, `shear` and
            `elastic` does as it says, for views of a contrastive embedding too; False leaves images of tasks as they
            are.
        steps: gradient steps of the embedding, if it is trained, and of the learner; above 100 rounded up to hundreds.
        clusters: clusters in each partition; by default one for 20 images, at most 500. With "neighbours" an image and
            its two nearest ones are a class, of tasks with 40 ways and 2 queries, which suits drawn characters better.
        partitions: different clusterings of the embedding.
        rounds: trainings of ProtoNets, each going on from the one before, on clusters of what that has learned.
        random_state: seed of everything random; NumPy's RandomState and None draw one.
        verbose: whether `fit` prints what it does, and how long it will take.
        folder: a folder of one's own, where a `fit` that was stopped goes on; by default nothing is kept.

    Attributes:
        classes_: labels of the classes, sorted; there from the first labelled images on.
        image_shape_: rows, columns and channels of the images.
    """

    # scikit-learn requires, and tests, a constructor that only stores its arguments; `fit` validates them.
    def __init__(
        self,
        embedding: Any = "contrastive",
        method: Any = "protonets",
        *,
        jitter: Any = True,
        steps: Any = 2000,
        clusters: Any = None,
        partitions: Any = 10,
        rounds: Any = 1,
        random_state: Any = 0,
        verbose: Any = False,
        folder: Any = None,
    ):
        self.embedding, self.method, self.jitter, self.steps = embedding, method, jitter, steps
        self.clusters, self.partitions, self.rounds = clusters, partitions, rounds
        self.random_state, self.verbose, self.folder = random_state, verbose, folder

    @classmethod
    def from_pretrained(cls, name: str) -> "FewShotClassifier":
        """Return a learner that comes with the package, to `adapt`; raise InputError if there is none of this name."""
        return cls.load(packaged_learner(name))

    def fit(self, X: Any, y: Any = None) -> "FewShotClassifier":
        """Learn from images without labels, then adapt to those that have one.

        Args:
            X: images [image, row, column] or [image, row, column, channel]: uint8, or floats in 0 to 1.
            y: labels [image], texts or numbers, where -1 says that an image has none. By default none has.

        Raises:
            ValueError, TypeError: X, y or a parameter is invalid.
            InputError: images of this shape or number cannot be taken, or there is too little memory.
        """
        self.check_parameters()
        images, shape = given_images(X)
        labels = None if y is None else given_labels(y, len(images))
        seed = seed_of(self.random_state)
        embedding, method = self._sections(seed)
        _check_square(shape, embedding, method)
        partition = self._partition(len(images), method, seed)
        if labels is not None:
            most = _most_classes(method, partition, len(images))
            _check_classes(most, np.unique(alike(labels[labels != UNLABELLED])))
        learner = self._learned(images, shape, embedding, method, partition, seed)
        self._reset(learner)
        if labels is not None and (labelled := labels != UNLABELLED).any():
            self._learn(labelling.features(learner, images[labelled]), labels[labelled])
        return self

    def adapt(self, images: Any, labels: Any) -> "FewShotClassifier":
        """Learn classes from labelled images, in place of those so far.

        Args:
            images: as for `fit`, of the same size; one or more of each class.
            labels: texts or numbers [image].

        Raises:
            NotFittedError: there is no learner yet.
            ValueError: images or labels are invalid, or more classes than the method can tell apart.
        """
        return self._learn(*self._labelled(images, labels))

    def partial_adapt(self, images: Any, labels: Any) -> "FewShotClassifier":
        """Learn further classes, or further images of classes so far; arguments and errors as for `adapt`."""
        features, further = self._labelled(images, labels)
        if not hasattr(self, "classes_"):
            return self._learn(features, further)
        return self._learn(np.concatenate([self._support.features, features]), [*self._support_labels, *further])

    def forget(self, label: Any) -> "FewShotClassifier":
        """Take a class away; raise ValueError if there is no such class or no other."""
        self._check_adapted()
        kept = self._support_labels != label
        if kept.all() or not kept.any():
            there, why = ", ".join(map(str, self.classes_)), "no class" if kept.all() else "the only class"
            raise ValueError(f"label == {label!r}: {why}; there is: {there}.")
        return self._learn(self._support.features[kept], self._support_labels[kept])

    def predict(self, X: Any) -> Shaped[np.ndarray, " image"]:
        """Return the most probable label of each image; that of one depends on no other.

        Raises:
            NotFittedError: no labelled images were given yet.
            ValueError: X holds no images of the size that was learned from.
        """
        probabilities = self.predict_proba(X)
        return np.asarray(self.classes_[probabilities.argmax(1)])

    def predict_proba(self, X: Any) -> Float64[np.ndarray, "image class_"]:
        """Return the probability of each of `classes_`; arguments and errors as for `predict`.

        They are the learner's own, and as far from frequencies as those of networks are. By nearest neighbours they
        tell how much nearer the nearest class is than others.
        """
        self._check_adapted()
        images, _ = given_images(X, self.image_shape_)
        scores = labelling.scores(self.learner_, self._adapted, images)
        return np.asarray(softmax(scores.astype(np.float64), axis=1))

    def save(self, path: str | Path) -> None:
        """Write what was learned, and the labelled images as numbers, to a file `.safetensors`, which holds no code.

        Raises:
            NotFittedError: before `fit`.
            InputError: the file cannot be written.
        """
        check_is_fitted(self, "learner_")
        write(Path(path), self.learner_, getattr(self, "_support", None), plain_parameters(self) | {"folder": None})

    @classmethod
    def load(cls, path: str | Path, *, image: tuple[int, int, int] | None = None) -> "FewShotClassifier":
        """Return what `save` has written, or a learner that the workflow has trained; you can use files from anyone.

        Args:
            path: the file, or `snapshots/step-*.safetensors` of a learner of the workflow, which you adapt then.
            image: rows, columns and channels of its images, which a snapshot does not tell.

        Raises:
            InputError: the file is missing or no such file, it has changed since it was written, or its images are
                others.
        """
        learner, support, parameters = read(Path(path), image)
        # A stranger's file names no place to write to.
        model = with_parameters(cls, {**parameters, "folder": None}, path, "few-shot learner")
        model._reset(learner)
        return model if support is None else model._learn(support.features, support.labels[support.classes])

    def check_parameters(self) -> None:
        """Raise ValueError or TypeError if a parameter is invalid; `fit` begins with this."""
        check_integer(self.steps, "steps")
        check_integer(self.partitions, "partitions")
        check_integer(self.rounds, "rounds")
        if self.clusters is not None and not self._by_neighbours:
            check_integer(self.clusters, "clusters", least=2)
        check_no_bool(self.random_state, "random_state")
        check_random_state(self.random_state)
        if not isinstance(self.verbose, bool | np.bool_):
            raise TypeError(f"verbose == {self.verbose!r}, must be True or False.")
        if not isinstance(self.folder, str | Path | None):
            raise TypeError(f"folder == {self.folder!r}, must be a path or None.")
        self._sections(0)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = False, True
        tags.target_tags.required = False
        return tags

    def _sections(self, seed: int) -> tuple[Any, Any]:
        """Return the sections of embedding and method that the parameters describe."""
        of_learner = {"tasks": NEIGHBOUR_TASKS if self._by_neighbours else TASKS, "rounds": int(self.rounds)}
        jitter, steps = self.jitter, int(self.steps)
        embedding, method = sections(self.embedding, self.method, jitter=jitter, steps=steps, seed=seed, **of_learner)
        if self.rounds > 1 >= method.trainings:
            raise ValueError(f"rounds == {self.rounds}, must be 1 for {method.kind!r}.")
        return embedding, method

    @property
    def _by_neighbours(self) -> bool:
        return isinstance(self.clusters, str) and self.clusters == "neighbours"

    def _partition(self, images: int, method: Any, seed: int) -> Partition:
        """Return how so many images are parted into classes of tasks."""
        members = method.tasks.members if method.meta_learned else 1
        if method.meta_learned and images < 2 * members:
            raise ValueError(f"X has {images} images, which are too few: tasks of two classes take {2 * members}.")
        common: Any = {"partitions": int(self.partitions), "members": members, "seed": seed}
        if self._by_neighbours:
            return Neighbourhoods(kind="neighbourhoods", **common)
        clusters = self.clusters or max(2, min(MOST_CLUSTERS, images // IMAGES_A_CLUSTER))
        # Small clusters are left out, however many there are: of few images there may be many.
        return Clusters(kind="k-means", clusters=int(clusters), accepted=0.0, **common)

    def _learned(self, images: Any, shape: Any, embedding: Any, method: Any, partition: Partition, seed: int) -> Any:
        with extras_named("FewShotClassifier.fit"):
            from metaplastic.few_shot.unlabelled import learned
        with TemporaryDirectory() as temporary:
            folder = Path(temporary if self.folder is None else self.folder)
            told = bool(self.verbose)
            return learned(images, shape, embedding, method, partition, seed=seed, folder=folder, verbose=told)

    def _labelled(self, images: Any, labels: Any) -> tuple[Float32[np.ndarray, "image feature"], np.ndarray]:
        """Return features and labels of labelled images; refuse images without a label."""
        check_is_fitted(self, "learner_")
        checked, _ = given_images(images, self.image_shape_)
        given = given_labels(labels, len(checked))
        if (given == UNLABELLED).any():
            raise ValueError("labels: -1 says that an image has none; leave such images out.")
        return labelling.features(self.learner_, checked), given

    def _learn(self, features: Float32[np.ndarray, "image feature"], labels: Any) -> "FewShotClassifier":
        """Adapt to labelled images by their features; what cannot be learned leaves all as it was."""
        found, classes = np.unique(alike(labels), return_inverse=True)
        _check_classes(self.learner_.most_classes, found)
        support = Support(found, features, classes.astype(np.int32))
        self._adapted = self.learner_.adapted(features, support.classes, len(found))
        self.classes_, self._support = found, support
        return self

    @property
    def _support_labels(self) -> np.ndarray:
        return np.asarray(self.classes_[self._support.classes])

    def _reset(self, learner: Any) -> None:
        """Take a learner that has seen no labels."""
        for name in ("classes_", "_support", "_adapted"):
            if hasattr(self, name):
                delattr(self, name)
        self.learner_, self.image_shape_ = learner, learner.recipe.image

    def _check_adapted(self) -> None:
        check_is_fitted(self, "learner_")
        if not hasattr(self, "classes_"):
            raise NotFittedError("This FewShotClassifier has seen no labelled images yet; call 'adapt' with some.")


def _check_square(shape: tuple[int, int, int], embedding: Any, method: Any) -> None:
    """Refuse images that are not square where tasks are jittered."""
    if shape[0] == shape[1] or getattr(method, "jitter", None) is None:
        return
    advice = "give jitter=False"
    if hasattr(embedding, "jitter"):
        advice += f", and another embedding than {embedding.kind!r}, such as 'pca'"
    raise ValueError(f"X has images of {labelling.in_words(shape)}; only square ones are jittered, {advice}.")


def _most_classes(method: Any, partition: Partition, images: int) -> int | None:
    """Return the most classes that a method can tell apart after learning from so many images, None for any number."""
    if method.most_ways is None:
        return None
    _, clusters = partition.task_classes or ("", images)
    # A class of tasks is a cluster of enough members.
    return int(min(method.most_ways, clusters, images // partition.members))


def _check_classes(most: int | None, classes: np.ndarray) -> None:
    """Refuse more classes than a learner can tell apart."""
    if most is not None and len(classes) > most:
        raise ValueError(
            f"labels: {len(classes)} classes, but this MAML tells at most {most} apart, as many as its tasks have; "
            "take method='protonets', or tasks of more ways and more clusters."
        )
