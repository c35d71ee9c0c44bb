"""What a user gives a few-shot classifier: names or sections of methods, images, labels; checked, in plain arrays."""

import json
import warnings
from collections.abc import Collection, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils import assert_all_finite, check_array, column_or_1d

from metaplastic.config.base import parse_spec
from metaplastic.embeddings.spec import Embedding
from metaplastic.few_shot.labelling import ENCODERS, in_words
from metaplastic.few_shot.spec import METHODS, Learner
from metaplastic.io.errors import InputError
from metaplastic.meta_train.tasks.spec import Jitter
from metaplastic.parameters import plain

UNLABELLED = -1
"""The label of what has none, as in `sklearn.semi_supervised`."""
TASKS, NEIGHBOUR_TASKS = {"way": 20, "shots": 1, "queries": 5}, {"way": 40, "shots": 1, "queries": 2}
"""Tasks of clusters, and of neighbours, which have fewer queries: only the nearest are mostly of one class."""
SHORT = {"maml": {"task_batch": 4, "learning_rate": 0.003, "head": 0.0}}
"""What suits trainings of a few thousand steps, by method."""
JITTER = {"rotation": 15.0, "scale": 0.2, "shift": 0.15, "shear": 0.2, "elastic": 0.04}
"""How far a drawn character may change and stay itself."""
SAVED_EVERY = 100
"""Steps between saved states."""
ROUNDING = 1e-5
"""How far a pixel may be below 0 or above 1, as resized images are."""


def sections(embedding: Any, method: Any, *, jitter: Any, steps: int, seed: int, **of_learner: Any) -> tuple[Any, Any]:
    """Return the sections of config of embedding and method, each a name or a mapping; see `FewShotClassifier`.

    Keys `of_learner` fill the section of the method, where that kind has them.

    Raises:
        ValueError, TypeError: one of them is invalid, or they do not go together.
    """
    every = min(steps, SAVED_EVERY)
    given: dict[str, Any] = {"steps": [-(-steps // every) * every], "every": every, "seed": seed}
    # DeepCluster clusters anew after every fifth saved state, as by default.
    given["clustered_every"] = 5 * every
    of_tasks = None
    if isinstance(jitter, Mapping):
        still = dict.fromkeys(Jitter.model_fields.keys() - {"least"}, 0.0)
        given["jitter"] = of_tasks = {**still, **jitter}
    elif not isinstance(jitter, bool | np.bool_):
        raise TypeError(f"jitter == {jitter!r}, must be True, False or a mapping.")
    elif jitter:
        of_tasks = JITTER
    found = _section(Embedding, embedding, "embedding", Embedding.kinds(), given)
    learner = _section(Learner, method, "method", METHODS, {**given, "jitter": of_tasks, **of_learner})
    if not learner.meta_learned and found.kind not in ENCODERS:
        raise ValueError(
            f"embedding == {found.kind!r}, must be one of {', '.join(ENCODERS)} for nearest neighbours, which embed "
            "later images too."
        )
    return found, learner


def _section(family: Any, given: Any, name: str, kinds: Collection[str], filled: Mapping[str, Any]) -> Any:
    """Return the section of a kind or a mapping, with defaults from `filled` for keys that the kind has.

    Raises:
        TypeError, ValueError: it is no section of one of the `kinds`.
    """
    section = {"kind": given} if isinstance(given, str) else given
    if not isinstance(section, Mapping):
        raise TypeError(f"{name} == {given!r}, must be a name or a mapping with `kind`.")
    if (kind := section.get("kind")) not in [*kinds]:
        raise ValueError(f"{name} == {kind!r}, must be one of {', '.join(kinds)}.")
    known = {key: value for key, value in filled.items() if key in family.kinds()[kind].model_fields}

    def as_json(value: Any) -> Any:
        if (found := plain(value)) is None:
            raise TypeError(f"{name} holds {value!r}; give numbers, texts, lists and mappings.")
        return found

    try:
        return parse_spec(family, json.dumps({**known, **SHORT.get(kind, {}), **section}, default=as_json), name)
    except InputError as error:
        raise ValueError(f"{error}.") from error


def given_images(X: Any, shape: tuple[int, int, int] | None = None) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Return images flattened, and rows, columns and channels; refuse others than those of `shape` if it is given."""
    sizes = list(dict.fromkeys(np.shape(image) for image in X)) if isinstance(X, Sequence) else []
    if len(sizes) > 1:
        raise ValueError(f"X has images of the shapes {sizes[0]} and {sizes[1]}; bring all to one size.")
    X = check_array(X, ensure_2d=False, allow_nd=True, input_name="X")
    if X.ndim not in (3, 4) or not X.size:
        raise ValueError(
            f"X has the shape {X.shape}. Reshape your data to images [image, row, column] or [image, row, column, "
            "channel]; one image is X[None]."
        )
    if X.ndim == 4 and X.shape[1] in (1, 3) and X.shape[3] > 4:
        raise ValueError(f"X has the shape {X.shape}; give the channels last: X.transpose(0, 2, 3, 1).")
    if X.shape == shape:
        raise ValueError(f"X has the shape {X.shape}; one image is X[None].")
    rows, columns, channels = (*X.shape[1:], 1)[:3]
    found = int(rows), int(columns), int(channels)
    if shape is not None and found != shape:
        raise ValueError(f"X has images of {in_words(found)}; this learner takes those of {in_words(shape)}.")
    if X.dtype == np.uint8:
        if X.max() == 1:
            black = "X holds uint8 of at most 1, which is nearly black on the scale of 0 to 255"
            warnings.warn(f"{black}; give floats or booleans if 1 means white.", stacklevel=3)
    elif X.dtype != np.bool_:
        if X.dtype.kind != "f":
            raise ValueError(f"X holds {X.dtype}; give uint8, or floats in 0 to 1.")
        least, most = X.min(), X.max()
        if least < -ROUNDING or most > 1 + ROUNDING:
            raise ValueError(f"X holds pixels of {least:.4g} to {most:.4g}; give floats in 0 to 1, or uint8.")
        X = X.clip(0, 1) if least < 0 or most > 1 else X
    return X.reshape(len(X), -1), found


def given_labels(y: Any, count: int) -> np.ndarray:
    """Return labels of so many images as objects, -1 for those that have none; refuse what labels nothing."""
    if isinstance(y, Sequence) and all(isinstance(label, Integral) for label in y):
        # NumPy would make floats of those on both sides of 2^63.
        y = np.array(y, object)
    y = column_or_1d(y, warn=True)
    if len(y) != count:
        raise ValueError(f"labels: {len(y)} for {count} images; give one for each.")
    assert_all_finite(y, input_name="y")
    # An array of texts has -1 as a text too.
    labels = [UNLABELLED if label == str(UNLABELLED) else label for label in y.tolist()]
    if odd := [label for label in labels if not isinstance(label, str | Real | np.bool_)]:
        raise ValueError(
            f"labels: {odd[0]!r} among them; give texts or numbers, and to `fit` -1 for what has no label."
        )
    known = alike([label for label in labels if label != UNLABELLED])
    if known.dtype.kind == "f" and (broken := known[known % 1 != 0]).size:
        raise ValueError(f"Unknown label type: continuous, such as {broken[0]}; give texts or whole numbers.")
    found = np.empty(count, object)
    found[:] = labels
    return found


def alike(labels: Sequence[Any] | np.ndarray) -> np.ndarray:
    """Return labels in an array of their own type; refuse texts and numbers together."""
    # NumPy would make floats of its signed and unsigned integers together.
    labels = [label.item() if isinstance(label, np.generic) else label for label in labels]
    if len({isinstance(label, str) for label in labels}) > 1:
        raise ValueError("labels: texts and numbers together; give either.")
    whole = len(labels) > 0 and all(isinstance(label, Integral) for label in labels)
    least, most = (min(labels), max(labels)) if whole else (0, 0)
    if least < -(2**63) or most >= 2**64 or (least < 0 and most >= 2**63):
        raise ValueError(f"labels: whole numbers of {least} to {most} do not fit in 64 bits; give texts.")
    return np.array(labels, np.uint64 if most >= 2**63 else None)
