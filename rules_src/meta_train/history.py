"""The history of a run as it grows: a Zarr store that dispatches are appended to, and a stopped run is cut back in.

Every array is chunked by dispatch, so that appending never rewrites what is there.
"""

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from jaxtyping import Float

from rules_src.config.meta_train import MetaTrain
from rules_src.errors import InputError
from rules_src.meta_train.trainer import Metrics, Progress

GROWING = ("meta_step", "evaluation")


def as_dataset(item: Progress, spec: MetaTrain) -> xr.Dataset:
    """Metrics of a dispatch's meta-steps, and the held-out accuracy after it."""
    done = int(item.state.meta_step)
    metrics = {name: ("meta_step", np.asarray(getattr(item.metrics, name))) for name in Metrics._fields}
    mean, error = mean_and_standard_error(np.stack(list(item.held_out.values())))
    units = {"units": "1"}
    return xr.Dataset(
        {
            **metrics,
            "held_out_accuracy": (("dataset", "evaluation"), mean[:, None], units),
            "held_out_sem": (("dataset", "evaluation"), error[:, None], units),
        },
        coords={
            "meta_step": np.arange(done - len(item.metrics.meta_loss), done) + 1,
            "dataset": np.array(list(item.held_out), dtype=object),
            "evaluation_step": ("evaluation", [done]),
        },
        attrs={"inner_steps": spec.held_out.inner_steps, "labelled_per_class": spec.labelled},
    )


def mean_and_standard_error(
    accuracy: Float[np.ndarray, "*dataset task"],
) -> tuple[Float[np.ndarray, "*dataset"], Float[np.ndarray, "*dataset"]]:
    """Over a probe's tasks; the error of one task alone is zero."""
    tasks = accuracy.shape[-1]
    return accuracy.mean(-1), accuracy.std(-1, ddof=1 if tasks > 1 else 0) * tasks**-0.5


def append(part: xr.Dataset, store: Path, *, dispatch: int) -> None:
    """Add what a dispatch of so many meta-steps left; the first one makes the store."""
    if not store.exists():
        sizes = {"meta_step": dispatch, "evaluation": 1, **{d: n for d, n in part.sizes.items() if d not in GROWING}}
        encoding = {name: {"chunks": tuple(sizes[d] for d in v.dims)} for name, v in part.variables.items()}
        part.to_zarr(store, mode="w", consolidated=False, encoding=encoding)
        return
    for dim in GROWING:
        still = [name for name, variable in part.variables.items() if dim not in variable.dims]
        part.drop_vars(still).to_zarr(store, append_dim=dim, consolidated=False)


def cut_back(store: Path, meta_step: int) -> None:
    """Forget what came after `meta_step`.

    Raises:
        InputError: the history ends before it.
    """
    try:
        arrays: dict[str, Any] = dict(zarr.open_group(store, mode="r+").arrays())
        steps = {"meta_step": arrays["meta_step"][:], "evaluation": arrays["evaluation_step"][:]}
        sizes = {dim: int((values <= meta_step).sum()) for dim, values in steps.items()}
        if sizes["meta_step"] != meta_step:
            raise ValueError(f"it has {sizes['meta_step']} of {meta_step} meta-steps")
        for array in arrays.values():
            dims = array.metadata.dimension_names
            array.resize(tuple(sizes.get(dim, size) for dim, size in zip(dims, array.shape, strict=True)))
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{store}: does not fit the saved states ({error}); move its folder out of the way") from error


def read(store: Path) -> xr.Dataset:
    """All of it so far, in memory."""
    with xr.open_zarr(store, consolidated=False) as dataset:
        return dataset.load().drop_encoding()
