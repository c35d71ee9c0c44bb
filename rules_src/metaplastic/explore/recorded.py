"""What the page shows of each method: places of examples, filters and accuracies, frame by frame."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import xarray as xr
from jaxtyping import Float, Int, Integer
from joblib import Parallel, delayed  # type: ignore[import-untyped]
from PIL import Image
from scipy.linalg import orthogonal_procrustes

from metaplastic.features import Identity, identity_of, inputs_of_features, read_features
from metaplastic.few_shot.readout_accuracy import evaluate
from metaplastic.few_shot.spec import FewShot
from metaplastic.figures.first_layer_filters import UNITS, filter_images, image_shape, laid_out
from metaplastic.io.errors import InputError
from metaplastic.results.components import components, spread_evenly
from metaplastic.results.selections import TABLE_READOUT

SEED, SHOWN = 0, 500
"""Seed whose features and filters are shown, and the most test examples."""
EDGE = 1.8
"""Farthest place from the middle along an axis; what is farther stands at the edge."""
NEAR = 2.0
"""Distances are drawn as asinh(NEAR * d), relative to that of d = 1, their root mean square: far ones count less."""


class Panel(NamedTuple):
    """A method on one dataset. Its frames are the inner steps of its first theta, then those of the next."""

    identity: Identity
    meta_steps: list[int]
    """Updates of each theta, where a meta-training run made several."""
    inner_steps: list[int]
    """A single one, the last, for an embedding, which has no inner steps."""
    places: Float[np.ndarray, "frame shown 2"]
    """Principal components of the examples that are shown, up to `EDGE`."""
    filters: list[str]
    """Data URL of a picture of first-layer filters for each frame; empty for an embedding."""
    accuracies: Float[np.ndarray, "shots frame"]
    """Shares of the test split, as means over networks and draws of labels."""
    networks: int
    """Number of networks for each frame."""
    width: int
    """Number of features."""


class Shown(NamedTuple):
    """What the panels share."""

    labels: Integer[np.ndarray, " shown"]
    """Classes of the examples that are placed."""
    inner_steps: list[int]
    """Inner steps of update rules."""
    shots: list[int]
    """Labelled examples of each class."""
    draws: int
    """Draws of labelled examples."""
    n_train: int
    n_test: int


def recorded(stores: Sequence[Path], protocol: FewShot, *, cores: int) -> tuple[Shown, list[Panel]]:
    """Return what is shown of methods: a panel for each, and one for all thetas of a meta-training run.

    Args:
        stores: features of one dataset of images.
        protocol: how accuracies are measured, for each of its numbers of shots.
        cores: stores that are worked on at a time.

    Raises:
        InputError: stores differ in their dataset, or a rule's inputs are no images.
    """
    read = {path: read_features(path) for path in stores}
    identities = {path: identity_of(store) for path, store in read.items()}
    if len({identity.dataset for identity in identities.values()}) > 1:
        raise InputError(f"{stores[-1]}: of another dataset than {stores[0]}; give features of one")
    found = Parallel(n_jobs=cores)(delayed(_accuracies)(path, protocol) for path in stores)
    accuracies = dict(zip(stores, found, strict=True))
    data = inputs_of_features(next(iter(read.values())))[0]
    test = np.flatnonzero(data.test)
    shown = spread_evenly(test, SHOWN)

    panels = []
    for paths in _by_run(identities):
        last = read[paths[-1]]
        panels.append(
            Panel(
                identities[paths[-1]],
                [identities[path].meta_step or 0 for path in paths] if len(paths) > 1 else [],
                _steps(last),
                _places([read[path] for path in paths], shown),
                [picture for path in paths for picture in _filters(read[path], path)],
                np.concatenate([accuracies[path] for path in paths], 1),
                last.sizes.get("meta_seed", 1) * last.sizes["seed"],
                last.sizes["feature"],
            )
        )
    steps = next((panel.inner_steps for panel in panels if panel.filters), None)
    if steps is None:
        raise InputError(f"{stores[0]}: holds no first_layer_weights; give the features of an update rule too")
    of_data = int(data.train.sum()), len(test)
    return Shown(data.labels[shown], steps, protocol.shots, protocol.draws, *of_data), panels


def _by_run(identities: Mapping[Path, Identity]) -> list[list[Path]]:
    """Return stores in their order, but those of a meta-training run together and by its updates."""
    together: dict[object, list[Path]] = {}
    for path, identity in identities.items():
        together.setdefault(identity.run or path, []).append(path)
    return [sorted(paths, key=lambda path: identities[path].meta_step or 0) for paths in together.values()]


def _steps(store: xr.Dataset) -> list[int]:
    return store["inner_step"].values.tolist()[0 if "base_model" in store.attrs else -1 :]


def _of_seed(store: xr.Dataset, variable: str) -> xr.DataArray:
    """Return a variable of the first theta and the seed that is shown, at the steps that are."""
    of_seed = store[variable].isel({"meta_seed": 0, "seed": SEED}, missing_dims="ignore")
    return of_seed.sel(inner_step=_steps(store))


def _places(stores: Sequence[xr.Dataset], shown: Int[np.ndarray, " shown"]) -> Float[np.ndarray, "frame shown 2"]:
    """Return the first two principal components of shown examples, each frame turned towards the one before it.

    Signs of components, and their order where variances are nearly equal, are arbitrary. The first frame is not turned,
    so that rules that start from equal weights start from equal pictures.
    """
    thetas = [[_place(values, shown) for values in _of_seed(store, "features").values] for store in stores]
    for frames in thetas:
        for step in range(1, len(frames)):
            frames[step] = frames[step] @ orthogonal_procrustes(frames[step], frames[step - 1])[0]
    return np.clip(np.concatenate(thetas), -EDGE, EDGE)


def _place(
    features: Float[np.ndarray, "example feature"], shown: Int[np.ndarray, " shown"]
) -> Float[np.ndarray, "shown 2"]:
    scores = components(features).first(2)[shown]
    # Else a few examples far away, which some rules make, would leave all others on one spot.
    distance = np.hypot(*scores.T)[:, None]
    scale = NEAR / (np.sqrt((distance**2).mean()) or 1.0)
    shrunk = np.arcsinh(scale * distance) / np.arcsinh(NEAR) / np.where(distance > 0, distance, 1.0)
    return scores * shrunk


def _filters(store: xr.Dataset, path: Path) -> list[str]:
    """Return pictures of the first units' incoming weights; colours end at the `PERCENTILE` of their sizes."""
    if "first_layer_weights" not in store:
        return []
    order = store["input_permutation"].isel(seed=SEED, missing_dims="ignore").values
    shape, steps = image_shape(store, path), _of_seed(store, "first_layer_weights").values
    return [_picture(filter_images(weights[:, :UNITS], order, shape)) for weights in steps]


def _picture(images: Float[np.ndarray, "unit row column"]) -> str:
    sheet, limit = laid_out(images)
    # The gaps between the images are transparent.
    colours = mpl.colormaps["RdBu_r"](np.ma.masked_invalid(sheet / limit / 2 + 0.5), bytes=True)
    kept = BytesIO()
    Image.fromarray(colours).quantize(24).save(kept, "PNG", optimize=True)
    return f"data:image/png;base64,{b64encode(kept.getvalue()).decode()}"


def _accuracies(path: Path, protocol: FewShot) -> Float[np.ndarray, "shots step"]:
    store = read_features(path)
    # Everything about a draw follows from its number, so each number of shots is as if it were asked for alone.
    asked = protocol.model_copy(update={"draws_over_inner_steps": None})
    found = []
    for shots in protocol.shots:
        of_shots = asked.model_copy(update={"shots": [shots]})
        scored = evaluate(store["features"].sel(inner_step=_steps(store)), inputs_of_features(store)[0], of_shots)
        curve = scored["accuracy_over_inner_steps"].sel(readout=TABLE_READOUT)
        found.append(curve.mean([name for name in curve.dims if name != "inner_step"]).values)
    return np.array(found, np.float64)
