"""What Metz et al. 2019 found, figure by figure, and whether studies of this workflow reproduce it.

A claim finds parts in the results of its experiment: what was measured on one dataset, and whether it is as the paper
found. Every difference is paired by what both sides share of meta-training seeds, seeds, draws of labels and episodes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise, product
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from metaplastic.embeddings.spec import CURVE
from metaplastic.results.arms import ORACLE
from metaplastic.results.components import components
from metaplastic.results.intervals import Interval, draws_of, paired, score
from metaplastic.results.selections import (
    INITIAL,
    NONE,
    SHAPE,
    TABLE_READOUT,
    alike,
    judged_steps,
    of_embeddings,
)
from metaplastic.results.spec import Experiment
from metaplastic.results.tables import MISSING, Table, markdown, percent

LEARNED = ("pretrained", "meta-trained")
"""Kinds of rules that were meta-trained. Of these, as of any kind, the first that a study lists is judged."""

GREAT, LITTLE = 0.1, 0.03
"""A loss of accuracy whose interval is above the first is great; one whose interval is below the second is none."""

ALMOST_TEN = 0.09
"""What the rule gains on text according to the paper; the interval has to reach it."""

NEARLY_RELU = ("leaky_relu", "swish")
"""Activations with which the paper's rule is nearly as good as with ReLU."""

VARIANCE = 0.9
"""Share of the variance that counted principal components explain."""

BELOW = (
    "Test accuracies in percent, of a logistic regression on the most labelled examples a class that the study has, or "
    "of few-shot learners on episodes; ± is half of the 95% interval. In brackets differences, paired by seeds, draws "
    "and episodes: the rule less what stands before the bracket, a network less the same as it was drawn, the last "
    "number less the first or the largest. *reproduced*: the finding holds here, with differences beyond their "
    "intervals, which reach the paper's size where it gives one; *reproduced early* or *late*: of the two inner steps "
    "at which networks are judged, the first recorded and the last, only after this one; *not reproduced*: it is not "
    "seen here, or not on all that was tested; *not tested*: nothing here measures it."
)


class Results(NamedTuple):
    """Results of an experiment."""

    summary: xr.Dataset
    """The summary of its study."""
    features: Sequence[xr.Dataset] = ()
    """Features stores, for claims about features themselves."""


class Part(NamedTuple):
    """What was measured on one dataset, of one learner, or of networks along one line."""

    words: str
    as_found: bool | None
    """Whether it is as the paper found; None where it cannot tell."""
    when: str = ""
    """`early` or `late`, where networks are judged after two numbers of inner steps."""


class Claim(NamedTuple):
    """One finding of the paper."""

    place: str
    """Number of the paper's figure that shows it, and the part of it."""
    experiment: Experiment
    finding: str
    parts: Callable[[Results], Iterator[Part]]


def verdict(parts: Sequence[Part]) -> str:
    """Say whether all parts that can tell are as the paper found, or when they are."""
    found: dict[str, bool] = {}
    for part in parts:
        if part.as_found is not None:
            found[part.when] = found.get(part.when, True) and part.as_found
    held = [when for when, holds in found.items() if holds]
    if not found:
        return "not tested"
    if not held:
        return "not reproduced"
    return "reproduced" if len(held) == len(found) else f"reproduced {held[0]}"


def comparison(results: Mapping[Experiment, Results], *, configured: str = "") -> str:
    """Return a Markdown table: a row per finding, with ours, the verdict and, if tested, the command of its figure.

    What was measured on further datasets stands below, in rows with nothing else. `configured` are options of Snakemake
    that name the config, for the commands.
    """
    table: Table = [["Figure", "The paper's finding", "Here", "Verdict", "Command"]]
    for claim in CLAIMS:
        parts = list(claim.parts(results[claim.experiment])) if claim.experiment in results else []
        first, *others = [part.words for part in parts] or [MISSING]
        command = " ".join(filter(None, ["snakemake", f"figure_{claim.place.split()[0]}", "--cores 2", configured]))
        table.append([claim.place, claim.finding, first, verdict(parts), f"`{command}`" if parts else MISSING])
        table.extend(["", "", words, "", ""] for words in others)
    return markdown(table, BELOW)


def _falls_again(what: str, points: Mapping[int, xr.DataArray]) -> Part:
    """Judge whether the last of the accuracies over steps is below the largest.

    Half of the draws say where that is, the other half how far it is above. If it is the last one, what comes after was
    not tested.
    """
    last = max(points)
    best = max(points, key=lambda step: float(points[step].isel(draw=slice(0, None, 2)).mean()))
    if best == last:
        return Part(f"{what}: {_said(points[last])} after {last:,} steps, the last", None)
    fall = paired(*(points[step].isel(draw=slice(1, None, 2)) for step in (last, best)))
    ours = f"{_said(points[best])} after {best:,} steps, {_said(points[last])} after {last:,} {_apart(fall)}"
    return Part(f"{what}: {ours}", bool(fall.high < 0))


def _curves(results: Results) -> Iterator[Part]:
    summary = results.summary
    for name, dataset in product(summary["representation"].values.tolist(), summary["dataset"].values.tolist()):
        curve = _curve(summary, name, dataset)
        if len(curve) >= CURVE:
            yield _falls_again(f"{name} on {dataset}", curve)


def _permuted(results: Results) -> Iterator[Part]:
    summary = results.summary.isel(way=0, shots=0)
    datasets = [summary["dataset"].values[summary["permuted"].values == is_][0] for is_ in (0, 1)]
    for learner in summary["learner"].values.tolist():
        for embedding, cell in of_embeddings(summary.sel(learner=learner)).items():
            kind = NONE if embedding == NONE else str(summary["embedding_kind"].sel(embedding=embedding).values)
            if kind in (NONE, *LEARNED):
                what = learner.removeprefix(f"{ORACLE}-") if embedding == NONE else f"{learner} on {embedding}"
                intact, permuted = (cell["accuracies"].sel(dataset=dataset) for dataset in datasets)
                gain = paired(permuted, intact)
                as_found = gain.high < -GREAT if embedding == NONE else gain.low > -LITTLE
                words = f"{what}: {_said(intact)}, permuted {_said(permuted)} {_apart(gain)}"
                yield Part(words, bool(as_found))


def _over_meta_training(results: Results, *, modality: str) -> Iterator[Part]:
    """Judge the snapshots of the first run that has enough."""
    runs = results.summary["run"].to_series()
    of_run = runs == next(run for run in runs if run and (runs == run).sum() >= CURVE)
    steps = results.summary["meta_step"].to_series()[of_run].sort_values(kind="stable").astype(int)
    for dataset in _of_kinds(results.summary["modality"], modality):
        points = {step: _last(results.summary, name, dataset) for name, step in steps.items()}
        if modality == "text":
            yield _falls_again(dataset, points)
            continue
        gain = paired(points[max(points)], points[min(points)])
        ours = ", ".join(f"{_said(draws)} after {step:,}" for step, draws in points.items())
        yield Part(f"{dataset}: {ours} {_apart(gain)}", bool(gain.low > 0))


def _rule_and_rivals(results: Results, *kinds: str, modality: str, size: float = 0.0) -> Iterator[Part]:
    """Judge the rule against one method of each kind: what it gains is above zero, in an interval that reaches `size`.

    Further methods of these kinds stand beside. Without one of each nothing is tested.
    """
    summary = results.summary
    rule, *_ = _of_kinds(summary["kind"], *LEARNED)
    rivals = [_of_kinds(summary["kind"], kind) for kind in kinds]
    for dataset in _of_kinds(summary["modality"], modality):
        ours = _last(summary, rule, dataset)
        others = {name: _last(summary, name, dataset) for names in rivals for name in names}
        gains = {name: paired(ours, draws) for name, draws in others.items()}
        beside = ", ".join(f"{name} {_said(draws)} {_apart(gains[name])}" for name, draws in others.items())
        judged = [gains[names[0]] for names in rivals if names]
        as_found = all(gain.low > 0 and gain.high >= size for gain in judged)
        yield Part(f"{dataset}: {rule} {_said(ours)}, {beside}", as_found if all(rivals) else None)


def _supervised(results: Results) -> Iterator[Part]:
    summary = results.summary.isel(way=0).sel(shots=results.summary["shots"].max())
    rule, raw = (_of_kinds(summary["embedding_kind"], *kinds)[0] for kinds in (LEARNED, ("raw",)))
    linear, network = summary["learner"].values.tolist()
    for dataset in summary["dataset"].values.tolist():
        of_dataset = summary["accuracies"].sel(dataset=dataset)
        ours = of_dataset.sel(embedding=rule, learner=linear)
        labelled = of_dataset.sel(embedding=raw, learner=network)
        gain = paired(ours, labelled)
        words = f"{dataset}: {linear} on {rule} {_said(ours)}, {network} {_said(labelled)} {_apart(gain)}"
        yield Part(words, bool(gain.low > 0))


Networks = Mapping[Any, xr.DataArray]
"""Accuracies by what varies between networks."""


def _networks(
    results: Results, *, varied: str, sized: Callable[[Networks, Networks], bool] = lambda ours, drawn: True
) -> Iterator[Part]:
    """Judge networks along every line that varies one thing, after an early and after a late inner step.

    All have to be above random initialisation, and `sized` says whether the rest is as the paper found.
    """
    summary = results.summary
    methods = [_of_kinds(summary["kind"], *kinds)[0] for kinds in (LEARNED, (INITIAL,))]
    lines = [line for line in alike(summary, varied) if len(line) > 1]
    steps = judged_steps(summary, methods[0])
    for dataset, line, (when, step) in product(summary["dataset"].values.tolist(), lines, steps):
        cells = [[_after(summary, method, dataset, model, step) for model in line.index] for method in methods]
        ours, drawn = (dict(zip(line[varied], of_method, strict=True)) for of_method in cells)
        gains = {value: paired(ours[value], drawn[value]) for value in ours}
        numbers = ", ".join(f"{value}: {_said(ours[value])} {_apart(gain)}" for value, gain in gains.items())
        fixed = ", ".join(f"{name} {line[name].iloc[0]}" for name in SHAPE if name != varied)
        as_found = all(gain.low > 0 for gain in gains.values()) and sized(ours, drawn)
        yield Part(f"{dataset}, {fixed}, {methods[0]} after {step:,} steps, {varied} {numbers}", as_found, when)


def _uses_units(ours: Networks, _: Networks) -> bool:
    """Return whether the widest network is above the narrowest and none is below the one before."""
    widths = list(ours.values())
    grows = all(paired(wider, width).high >= 0 for width, wider in pairwise(widths))
    return grows and bool(paired(widths[-1], widths[0]).low > 0)


def _as_with_relu(ours: Networks, drawn: Networks) -> bool:
    """Return whether step doubles what was drawn, and others lose little to ReLU, as far as they are there."""
    doubled = "step" not in ours or paired(ours["step"], 2 * drawn["step"]).high >= 0
    near = [ours[name] for name in NEARLY_RELU if name in ours and "relu" in ours]
    return bool(doubled) and all(paired(of_name, ours["relu"]).low > -LITTLE for of_name in near)


def _before_and_after(results: Results) -> Iterator[Part]:
    rule, *_ = _of_kinds(results.summary["kind"], *LEARNED)
    for dataset in results.summary["dataset"].values.tolist():
        curve = _curve(results.summary, rule, dataset)
        before, after = curve[min(curve)], curve[max(curve)]
        gain = paired(after, before)
        words = f"{dataset}: {_said(before)} before, {_said(after)} after {max(curve):,} steps {_apart(gain)}"
        yield Part(words, bool(gain.low > 0))


def _dimensions(results: Results) -> Iterator[Part]:
    """Judge the number of components that each dataset's features need."""
    counts: dict[str, float] = {}
    for store in results.features:
        last = store["features"].isel(inner_step=-1)
        of_seeds = last.values.reshape(-1, *last.shape[-2:])
        needed = [int((components(values).shares.cumsum() < VARIANCE).sum()) + 1 for values in of_seeds]
        counts[str(store.attrs["dataset"])] = float(np.mean(needed))
    ours = ", ".join(f"{dataset} {count:.1f}" for dataset, count in counts.items())
    moons, *images = counts.values()
    yield Part(f"components for {VARIANCE:.0%} of the variance: {ours}", moons < min(images))


def _of_kinds(attribute: xr.DataArray, *kinds: str) -> list[str]:
    """Return the names along an attribute that has one of these values, by the order of the values."""
    values = attribute.to_series()
    return [name for kind in kinds for name in values.index[values == kind]]


def _last(summary: xr.Dataset, method: str, dataset: str, base_model: str | None = None) -> xr.DataArray:
    """Return the accuracies with the most labelled examples after the last inner step."""
    return _cell(summary["accuracies"].sel(shots=summary["shots"].max()), method, dataset, base_model)


def _curve(summary: xr.Dataset, method: str, dataset: str, base_model: str | None = None) -> dict[int, xr.DataArray]:
    """Return the known accuracies by inner steps."""
    curve = _cell(summary["accuracies_over_inner_steps"], method, dataset, base_model)
    known = curve.rename(draw_over_inner_steps="draw").dropna("inner_step", how="all")
    return {step: known.sel(inner_step=step) for step in known["inner_step"].values.tolist()}


def _after(summary: xr.Dataset, method: str, dataset: str, base_model: str, step: int) -> xr.DataArray:
    """Return the accuracies after an inner step; what does not learn has the same after each."""
    curve = _curve(summary, method, dataset, base_model)
    return curve[step] if step < max(curve) else _last(summary, method, dataset, base_model)


def _cell(accuracies: xr.DataArray, method: str, dataset: str, base_model: str | None) -> xr.DataArray:
    """Return accuracies over random levels, by default with the first base model."""
    place = {"readout": TABLE_READOUT, "representation": method, "dataset": dataset}
    return accuracies.sel(place | {"base_model": base_model or accuracies["base_model"].values[0]}, drop=True)


def _said(draws: xr.DataArray) -> str:
    mean, low, high = score(draws_of(draws)).to_array().values
    return percent(mean, (high - low) / 2)


def _apart(gain: Interval) -> str:
    return f"({percent(float(gain.mean), float(gain.high - gain.mean), sign='+')})"


# fmt: off
CLAIMS: tuple[Claim, ...] = (
    Claim("2 left", "objective-mismatch",
        "What a variational autoencoder's code is worth with few labels falls again while its own loss still improves",
        _curves),
    Claim("2 right", "permuted-inputs",
        "Permuted inputs hurt a prototypical network greatly and the learned rule not at all",
        _permuted),
    Claim("3", "over-meta-training",
        "On unseen images too, features are better the longer the rule is meta-trained",
        partial(_over_meta_training, modality="image")),
    Claim("3", "over-meta-training",
        "On text they get worse again, as the rule over-fits to images",
        partial(_over_meta_training, modality="text")),
    Claim("4 left", "unseen-datasets",
        "On unseen images the rule is above a variational autoencoder and random initialisation",
        lambda results: _rule_and_rivals(results, "vae", INITIAL, modality="image")),
    Claim("4 left", "supervised",
        "and above the same network trained on those labels alone",
        _supervised),
    Claim("4 right", "unseen-modality",
        "On text it is above random initialisation, by almost ten points early in meta-training",
        lambda results: _rule_and_rivals(results, INITIAL, modality="text", size=ALMOST_TEN)),
    Claim("5 left", "unseen-architectures",
        "It serves deeper networks than those that it was meta-trained on, to 11 layers",
        partial(_networks, varied="depth")),
    Claim("5 left", "unseen-architectures",
        "It serves wider ones, to 10,000 units, and makes use of more units",
        partial(_networks, varied="width", sized=_uses_units)),
    Claim("5 right", "unseen-architectures",
        "With every other activation it is above random initialisation, twice as good with steps, and with leaky ReLU "
        "and swish nearly as good as with ReLU",
        partial(_networks, varied="activation", sized=_as_with_relu)),
    Claim("6 left", "how-it-learns",
        "First-layer filters become templates of digits over meta-training",
        lambda _: iter([Part("drawn, `first_layer_filters`; no number tells", None)])),
    Claim("6 centre", "how-it-learns",
        "Classes come apart without labels",
        _before_and_after),
    Claim("6 right", "how-it-learns",
        "Of two moons few dimensions are used, of digits many",
        _dimensions),
)
# fmt: on
