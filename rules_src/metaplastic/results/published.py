"""Results that come with the project: summaries of studies joined into a few small files that git keeps."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from metaplastic.io.errors import InputError
from metaplastic.results.arms import arm_name
from metaplastic.results.selections import NONE, SHAPE, TABLE_READOUT

OF_EPISODES = ("episodes", "queries", "split")
NUMBERS = ("partitions", "clusters")
ONE_PROTOCOL = "architectures are published of one dataset, one number of labels and one of inner steps"


def few_shot(summaries: Sequence[xr.Dataset]) -> xr.Dataset:
    """Return the accuracy of every representation on every dataset and number of labelled examples.

    Args:
        summaries: of studies, each of at most one base model, or a published file.

    Returns:
        `accuracy`, in [0, 1], and `interval`, half the width of the 95% interval, `(dataset, representation, shots)`;
        `seconds` and `peak_mb` `(dataset, representation)`. NaN where there is no such evaluation.

    Raises:
        InputError: a summary is of several base models or not few-shot, two are of one dataset and representation, or
            they differ in draws of labels.
    """
    joined = _joined([_of_one_base_model(summary) for summary in summaries], ("dataset", "representation"))
    return joined.transpose("dataset", "representation", "shots", ...)


def _of_one_base_model(summary: xr.Dataset) -> xr.Dataset:
    if not {"dataset", "shots"} <= set(summary.dims) or "learner" in summary.dims:
        raise InputError("not accuracies by datasets and numbers of labels; publish it as what it is")
    if "base_model" not in summary.dims:
        return summary
    if summary.sizes["base_model"] > 1:
        several = ", ".join(summary["base_model"].values)
        raise InputError(f"base models {several}: one is needed; publish one study of each")
    return _halved(summary, "accuracy").isel(base_model=0, drop=True)


def architectures(summaries: Sequence[xr.Dataset]) -> xr.Dataset:
    """Return the accuracy of every representation with every network, at the most labelled examples.

    Args:
        summaries: of studies of one dataset and of base models that differ in shape, or a published file.

    Returns:
        `accuracy`, in [0, 1], and `interval`, half the width of the 95% interval, with `seconds` and `peak_mb`,
        `(representation, depth, width, activation)`; `accuracy_over_inner_steps` and `interval_over_inner_steps` with
        `inner_step` last. `depth` counts hidden layers, `width` is that of the widest. NaN where no such network was
        trained, which is nearly everywhere: use `dropna` along a line of the cube.

    Raises:
        InputError: they are of several datasets, numbers of labels, of inner steps or of draws, a summary does not tell
            the shapes, or two have the same representation with the same network.
    """
    cubes = [_cube(summary) for summary in summaries]
    if len({(cube.attrs["dataset"], cube.attrs["shots"], int(cube["inner_step"].max())) for cube in cubes}) > 1:
        raise InputError(ONE_PROTOCOL)
    return _joined(cubes, ("representation", *SHAPE)).transpose("representation", *SHAPE, "inner_step")


def _cube(summary: xr.Dataset) -> xr.Dataset:
    if set(SHAPE) <= set(summary.dims):
        return summary
    if summary.sizes.get("dataset", 1) > 1:
        raise InputError(ONE_PROTOCOL)
    if not set(SHAPE) <= set(summary.coords):
        raise InputError("no depth, width and activation of base models; run the study again")
    halved, shots = _halved(summary, "accuracy", "accuracy_over_inner_steps"), int(summary["shots"].max())
    line = halved.isel(dataset=0, drop=True).sel(shots=shots, drop=True).drop_vars("base_model")
    cube = line.set_index(base_model=SHAPE).drop_duplicates("base_model").unstack("base_model")
    for name in SHAPE:
        cube[name].attrs = summary[name].attrs
    return cube.assign_attrs(dataset=str(summary["dataset"].values[0]), shots=shots)


def _joined(parts: Sequence[xr.Dataset], dims: Sequence[str]) -> xr.Dataset:
    """Return what several have measured, in their order along dimensions of names.

    Raises:
        InputError: two of them have measured the same entry of `dims`, or they differ in draws of labels or in the
            seeds of one representation.
    """
    if len({int(part.attrs["draws"]) for part in parts}) > 1:
        raise InputError("summaries differ in draws of labels; evaluate with the same few_shot.draws")
    measured = (part["accuracy"].to_series().dropna().reset_index()[list(dims)].drop_duplicates() for part in parts)
    entries = pd.concat(measured)
    for _, entry in entries[entries.duplicated()].iterrows():
        raise InputError(f"{', '.join(f'{dim} {value!r}' for dim, value in entry.items())}: in two of the summaries")
    conflict = "summaries have different seeds of one representation; apply it with as many"
    return _merged(parts, [dim for dim in dims if entries[dim].dtype.kind == "O"], conflict)


def episodes(summaries: Sequence[xr.Dataset]) -> xr.Dataset:
    """Join accuracies on episodes of several studies, such as a published file and a study that came after it.

    Args:
        summaries: of learners, on the same episodes; what is in two of them is the same in both.

    Returns:
        A summary of the same form, NaN where no study has a value. Later learners whose name is taken, because each
        study has one partition only, get the name that a study of both partitions gives them.

    Raises:
        InputError: they are of other episodes, or tell different numbers of one learner.
    """
    if any("learner" not in summary.dims for summary in summaries):
        raise InputError("not accuracies of few-shot learners on episodes; publish it as what it is")
    # Means and intervals are published, single episodes are not.
    first, *_ = summaries = [summary.drop_dims("episode", errors="ignore") for summary in summaries]
    for other in summaries[1:]:
        if any(first.attrs[name] != other.attrs[name] for name in OF_EPISODES):
            raise InputError(f"summaries differ in {' or '.join(OF_EPISODES)}; evaluate on the same episodes")
    summaries = [_named_apart(summary, first) for summary in summaries]
    names = [str(name) for name in first.coords if name not in first.indexes]
    # A number of partitions or clusters that one summary does not know another may.
    variables = [summary.reset_coords(names) for summary in summaries]
    parts = [part.assign({name: part[name].where(part[name] > 0) for name in NUMBERS}) for part in variables]
    conflict = "summaries tell different numbers of one learner; publish one of them"
    joined = _merged(parts, ("learner", "dataset", "embedding"), conflict)
    joined = joined.assign({name: joined[name].fillna(0) for name in NUMBERS})
    on_embedding = joined["on_embedding"].astype(bool)
    for name in ("accuracy", "interval", "training_steps", "training_seconds", "reported"):
        # What needs no embedding is the same under each.
        joined[name] = joined[name].where(on_embedding, joined[name].max("embedding"))
    if joined.sizes["embedding"] > 1:
        joined = joined.drop_sel(embedding=NONE, errors="ignore")
    joined = joined.transpose(*first["accuracy"].dims, missing_dims="ignore")
    for variable_name, variable in first.reset_coords(names).items():
        of_all = joined[variable_name].astype(variable.dtype if variable.dtype.kind in "bif" else object)
        joined[variable_name] = of_all.assign_attrs(variable.attrs)
    return joined.set_coords(names).assign_attrs(first.attrs)


def _named_apart(summary: xr.Dataset, first: xr.Dataset) -> xr.Dataset:
    """Rename learners trained on other partitions than the learner of that name in `first`."""
    partitions, learners = (part["partition"].to_series() for part in (first, summary))
    names = [arm_name(name, own, usual=partitions.get(name, own)) for name, own in learners.items()]
    return summary.assign_coords(learner=np.array(names, dtype=object))


def _merged(parts: Sequence[xr.Dataset], named: Sequence[str], conflict: str) -> xr.Dataset:
    """Return parts as one, in their order along dimensions of names; raise InputError(conflict) if they contradict."""
    # A merge would cut text to the longest that a file holds.
    parts = [part.assign_coords({name: part[name].astype(object) for name in named}) for part in parts]
    try:
        joined = xr.merge(parts, join="outer", compat="no_conflicts", combine_attrs="drop_conflicts")
    except xr.MergeError as error:
        raise InputError(conflict) from error
    return joined.sel({name: list(dict.fromkeys(np.concatenate([part[name] for part in parts]))) for name in named})


KINDS = {"few-shot": few_shot, "architectures": architectures, "episodes": episodes}
"""Functions that join summaries, by the kind of what is published."""


def _halved(summary: xr.Dataset, *names: str) -> xr.Dataset:
    """Return accuracies for one readout, with half the widths of their intervals in place of the ends, and costs."""
    of_readout = summary.sel(readout=TABLE_READOUT, drop=True)
    variables = {name: of_readout[name] for name in (*names, "seconds", "peak_mb")}
    for name in names:
        half = (of_readout[f"{name}_high"] - of_readout[f"{name}_low"]) / 2
        attrs = {"units": "1", "long_name": "half of the 95% interval's width"}
        variables[name.replace("accuracy", "interval")] = half.assign_attrs(attrs)
    return xr.Dataset(variables | {"seeds": summary["seeds"]}, attrs={**summary.attrs, "readout": TABLE_READOUT})
