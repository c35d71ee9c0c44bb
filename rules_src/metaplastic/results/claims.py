"""What Metz et al. 2019 found, figure by figure, and whether studies of this workflow reproduce it.

A claim selects numbers from the results of its experiment, as parts; judges say of each part whether it is as the paper
found; one formatter writes them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from typing import NamedTuple

import numpy as np
import xarray as xr

from metaplastic.embeddings.spec import CURVE
from metaplastic.results.components import components
from metaplastic.results.selections import INITIAL, NONE, ORACLE, TABLE_READOUT, alike, of_embeddings
from metaplastic.results.spec import Experiment
from metaplastic.results.tables import MISSING, Table, markdown, percent

LEARNED = ("pretrained", "meta-trained")
"""Kinds of rules that were meta-trained; the first that a study has is judged."""

LOSS = 0.1
"""Smallest drop of accuracy that counts as harm by permuted inputs."""

VARIANCE = 0.9
"""Share of the variance that counted principal components explain."""

CAPTION = (
    "Test accuracies in percent, of a logistic regression on the most labelled examples a class that the study has, or "
    "of few-shot learners on episodes; ± is half of the 95% interval. *reproduced*: the finding holds here, with "
    "intervals apart where it is a difference; *not reproduced*: it is not seen here, or not on all that was tested; "
    "*not tested*: nothing here measures it."
)


class Results(NamedTuple):
    """Results of an experiment."""

    summary: xr.Dataset
    """The summary of its study."""
    features: Sequence[xr.Dataset] = ()
    """Features stores, for claims about features themselves."""


class Share(NamedTuple):
    """An accuracy and the ends of its 95% interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return percent(self.mean, self.half)

    @property
    def half(self) -> float:
        """Half of the interval."""
        return (self.high - self.low) / 2

    def above(self, other: "Share") -> bool:
        """Return whether it is larger, with intervals apart."""
        return self.low > other.high


class Part(NamedTuple):
    """What was measured on one dataset, or of one learner."""

    words: str
    """What each share is, with `{}` in its place."""
    shares: Sequence[Share]
    hurt: bool = False
    """Whether permuted inputs hurt it according to the paper."""


class Claim(NamedTuple):
    """One finding of the paper."""

    place: str
    """Part of the figure that shows it."""
    experiment: Experiment
    needs: tuple[str, ...]
    """What it needs of a study, by the names in `config.needs`."""
    finding: str
    select: Callable[[Results], Iterator[Part]]
    judge: Callable[[Part], bool] | None
    """Whether a part is as the paper found; None where numbers cannot tell."""

    def verdict(self, parts: Sequence[Part]) -> str:
        """Return whether all parts are as the paper found."""
        if not parts or self.judge is None:
            return "not tested"
        return "reproduced" if all(map(self.judge, parts)) else "not reproduced"


def comparison(results: Mapping[Experiment, Results], *, configured: str = "") -> str:
    """Return a Markdown table: a row per finding, with ours, the verdict and the command that makes its figure.

    `configured` are options of Snakemake that name the config, for the commands.
    """
    table: Table = [["Figure", "The paper's finding", "Here", "Verdict", "Command"]]
    for claim in CLAIMS:
        parts = list(claim.select(results[claim.experiment])) if claim.experiment in results else []
        ours = "; ".join(part.words.format(*part.shares) for part in parts) or MISSING
        command = " ".join(filter(None, ["snakemake", f"figure_{claim.place.split()[0]}", "--cores 2", configured]))
        table.append([claim.place, claim.finding, ours, claim.verdict(parts), f"`{command}`"])
    return markdown(table, CAPTION)


def _curves(results: Results) -> Iterator[Part]:
    """Select the best and the last accuracy along each curve."""
    summary = results.summary
    for name, dataset in product(summary["representation"].values.tolist(), summary["dataset"].values.tolist()):
        curve = _curve(summary, name, dataset)
        if len(curve) >= CURVE:
            (best, largest), last = max(curve.items(), key=lambda point: point[1].mean), max(curve)
            fall = f", {{}} after {last:,}" if best < last else ", the last"
            yield Part(f"{name} on {dataset}: {{}} after {best:,} steps{fall}", [largest, curve[last]])


def _permuted(results: Results) -> Iterator[Part]:
    summary = results.summary.isel(way=0, shots=0)
    datasets = [summary["dataset"].values[summary["permuted"].values == is_][0] for is_ in (0, 1)]
    for learner in summary["learner"].values.tolist():
        for embedding, cell in of_embeddings(summary.sel(learner=learner)).items():
            kind = NONE if embedding == NONE else str(summary["embedding_kind"].sel(embedding=embedding).values)
            if kind in (NONE, *LEARNED):
                what = learner.removeprefix(f"{ORACLE}-") if embedding == NONE else f"{learner} on {embedding}"
                shares = [_on_episodes(cell.sel(dataset=dataset)) for dataset in datasets]
                yield Part(f"{what}: {{}}, permuted {{}}", shares, hurt=embedding == NONE)


def _hurts_as_found(part: Part) -> bool:
    intact, permuted = part.shares
    lost = intact.mean - permuted.mean
    return lost >= LOSS if part.hurt else abs(lost) <= max(share.half for share in part.shares)


def _over_meta_training(results: Results, *, modality: str) -> Iterator[Part]:
    steps = results.summary["meta_step"].to_series().dropna().sort_values(kind="stable").astype(int)
    return _finals(results.summary, {name: f"{{}} after {step}" for name, step in steps.items()}, modality)


def _rule_and_rivals(results: Results) -> Iterator[Part]:
    rule, *_ = _of_kinds(results.summary["kind"], *LEARNED)
    names = [rule, *_of_kinds(results.summary["kind"], "vae", INITIAL)]
    return _finals(results.summary, {name: f"{name} {{}}" for name in names}, "image")


def _supervised(results: Results) -> Iterator[Part]:
    summary = results.summary.isel(way=0).sel(shots=results.summary["shots"].max())
    rule, raw = (_of_kinds(summary["embedding_kind"], *kinds)[0] for kinds in (LEARNED, ("raw",)))
    linear, network = summary["learner"].values.tolist()
    for dataset in summary["dataset"].values.tolist():
        cells = [{"embedding": rule, "learner": linear}, {"embedding": raw, "learner": network}]
        shares = [_on_episodes(summary.sel(dataset=dataset, **cell)) for cell in cells]
        yield Part(f"{dataset}: {linear} on {rule} {{}}, {network} {{}}", shares)


def _rules_on_text(results: Results) -> Iterator[Part]:
    """Select rules, the least meta-trained first where the study has snapshots, then random initialisation."""
    summary = results.summary
    rules = summary.isel(representation=np.flatnonzero(summary["kind"].isin(LEARNED)))
    rules = rules.sortby("meta_step") if "meta_step" in rules.coords else rules
    names = [*rules["representation"].values.tolist(), *_of_kinds(summary["kind"], INITIAL)]
    return _finals(summary, {name: f"{name} {{}}" for name in names}, "text")


def _networks(results: Results, *, varied: str) -> Iterator[Part]:
    """Select the rule and random initialisation in turn, of networks that differ in `varied`."""
    summary = results.summary
    rule, (drawn,) = _of_kinds(summary["kind"], *LEARNED)[0], _of_kinds(summary["kind"], INITIAL)
    group = alike(summary, varied)[0]
    values = [f"{value:,}" if varied != "activation" else str(value) for value in group[varied]]
    words = f"{varied}, {rule} ({drawn}): {', '.join(f'{value} {{}} ({{}})' for value in values)}"
    for dataset in summary["dataset"].values.tolist():
        cells = product(group.index, (rule, drawn))
        yield Part(f"{dataset}, {words}", [_final(summary, name, dataset, model) for model, name in cells])


def _before_and_after(results: Results) -> Iterator[Part]:
    rule, *_ = _of_kinds(results.summary["kind"], *LEARNED)
    for dataset in results.summary["dataset"].values.tolist():
        curve = _curve(results.summary, rule, dataset)
        steps = max(curve)
        yield Part(f"{dataset}: {{}} before, {{}} after {steps:,} steps", [curve[min(curve)], curve[steps]])


def _dimensions(results: Results) -> Iterator[Part]:
    """Select the number of components that each dataset's features need."""
    counts: dict[str, float] = {}
    for store in results.features:
        last = store["features"].isel(inner_step=-1)
        of_seeds = last.values.reshape(-1, *last.shape[-2:])
        needed = [int((components(values).shares.cumsum() < VARIANCE).sum()) + 1 for values in of_seeds]
        counts[str(store.attrs["dataset"])] = float(np.mean(needed))
    ours = ", ".join(f"{dataset} {count:.1f}" for dataset, count in counts.items())
    shares = [Share(count, count, count) for count in counts.values()]
    yield Part(f"components for {VARIANCE:.0%} of the variance: {ours}", shares)


def _rises(part: Part) -> bool:
    return part.shares[-1].above(part.shares[0])


def _first_above_last(part: Part) -> bool:
    return part.shares[0].above(part.shares[-1])


def _each_above_random(part: Part) -> bool:
    return all(ours.above(drawn) for ours, drawn in zip(part.shares[::2], part.shares[1::2], strict=True))


def _largest_above_two_smallest(part: Part) -> bool:
    ours = part.shares[::2]
    return all(ours[-1].above(share) for share in ours[:2])


def _of_kinds(attribute: xr.DataArray, *kinds: str) -> list[str]:
    """Return the names along an attribute that has one of these values, by the order of the values."""
    values = attribute.to_series()
    return [name for kind in kinds for name in values.index[values == kind]]


def _finals(summary: xr.Dataset, words: Mapping[str, str], modality: str) -> Iterator[Part]:
    """Select what methods reach on datasets of a modality, in the words that each method has."""
    for dataset in _of_kinds(summary["modality"], modality):
        yield Part(f"{dataset}: {', '.join(words.values())}", [_final(summary, name, dataset) for name in words])


def _curve(summary: xr.Dataset, method: str, dataset: str) -> dict[int, Share]:
    """Return the known accuracies by inner steps, with the first base model."""
    name = "accuracy_over_inner_steps"
    cell = summary.isel(base_model=0).sel(readout=TABLE_READOUT, representation=method, dataset=dataset)
    known = cell.dropna("inner_step", subset=[name])
    return {step: _share(known.sel(inner_step=step), name) for step in known["inner_step"].values.tolist()}


def _final(summary: xr.Dataset, method: str, dataset: str, base_model: str | None = None) -> Share:
    """Return the accuracy with the most labelled examples after the last inner step."""
    place = {"readout": TABLE_READOUT, "representation": method, "dataset": dataset, "shots": summary["shots"].max()}
    return _share(summary.sel({**place, "base_model": base_model or summary["base_model"].values[0]}), "accuracy")


def _share(cell: xr.Dataset, name: str) -> Share:
    return Share(*(float(cell[f"{name}{end}"]) for end in ("", "_low", "_high")))


def _on_episodes(cell: xr.Dataset) -> Share:
    mean, half = float(cell["accuracy"]), float(cell["interval"])
    return Share(mean, mean - half, mean + half)


# Planning reads place, experiment and needs as they stand here, without importing this module.
# fmt: off
CLAIMS: tuple[Claim, ...] = (
    Claim("2 left", "objective-mismatch", ("training curve",),
        "What a variational autoencoder's code is worth with few labels falls again while its own loss still improves",
        _curves, _first_above_last),
    Claim("2 right", "permuted-inputs", ("permuted inputs", "meta-learned learner", "trained rule"),
        "Permuted inputs hurt a prototypical network greatly and the learned rule not at all",
        _permuted, _hurts_as_found),
    Claim("3", "over-meta-training", ("snapshots", "images"),
        "On unseen images too, features are better the longer the rule is meta-trained",
        partial(_over_meta_training, modality="image"), _rises),
    Claim("3", "over-meta-training", ("snapshots",),
        "On text they get worse again, as the rule over-fits to images",
        partial(_over_meta_training, modality="text"),
        lambda part: any(share.above(part.shares[-1]) for share in part.shares)),
    Claim("4 left", "unseen-datasets", ("trained rule", "random initialisation", "images"),
        "On unseen images the rule is above a variational autoencoder and random initialisation",
        _rule_and_rivals, lambda part: all(part.shares[0].above(share) for share in part.shares[1:])),
    Claim("4 left", "supervised", ("linear and mlp", "trained rule", "raw input"),
        "and above the same network trained on those labels alone",
        _supervised, _first_above_last),
    Claim("4 right", "unseen-modality", ("trained rule", "random initialisation", "text"),
        "On text it is above random initialisation, by almost ten points early in meta-training",
        _rules_on_text, _first_above_last),
    Claim("5 left", "unseen-architectures", ("trained rule", "random initialisation", "several networks"),
        "It serves deeper networks than those that it was meta-trained on, to 11 layers",
        partial(_networks, varied="depth"), _each_above_random),
    Claim("5 left", "unseen-architectures", ("trained rule", "random initialisation", "several networks"),
        "More units are better, to 10,000",
        partial(_networks, varied="width"), _largest_above_two_smallest),
    Claim("5 right", "unseen-architectures", ("trained rule", "random initialisation", "several networks"),
        "With every other activation it is above random initialisation",
        partial(_networks, varied="activation"), _each_above_random),
    Claim("6 left", "how-it-learns", ("trained rule", "several datasets"),
        "First-layer filters become templates of digits over meta-training",
        lambda _: iter([Part("drawn, `first_layer_filters`; no number tells", ())]), None),
    Claim("6 centre", "how-it-learns", ("trained rule", "several datasets"),
        "Classes come apart without labels",
        _before_and_after, _rises),
    Claim("6 right", "how-it-learns", ("trained rule", "several datasets", "principal components"),
        "Of two moons few dimensions are used, of digits many",
        _dimensions, lambda part: part.shares[0].mean < min(share.mean for share in part.shares[1:])),
)
# fmt: on
