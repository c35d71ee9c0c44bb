"""What Metz et al. 2019 found, figure by figure, and whether studies of this workflow find it too."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Literal, NamedTuple

import numpy as np
import xarray as xr

from metaplastic.results.components import components
from metaplastic.results.episode_summary import ORACLE, of_embeddings
from metaplastic.results.networks import alike
from metaplastic.results.spec import FIGURES, Experiment
from metaplastic.results.summary import REFERENCE, TABLE_READOUT
from metaplastic.results.tables import MISSING, NONE, Table, markdown, percent

LEARNED = ("pretrained", "meta-trained")
"""Kinds of rules that were meta-trained, in the order in which one of them is taken."""

PIXELS = ("raw", "pca", "k-means")
"""Kinds of embeddings that the paper does not compare with."""

LOSS = 0.1
"""Of accuracy, from which on permuted inputs are said to hurt."""

CURVE = 3
"""Numbers of steps that make one, which can have a peak."""

VARIANCE = 0.9
"""Share of it that counted principal components explain."""

Verdict = Literal["agrees", "ahead", "behind", "not tested"]


class Judgement(NamedTuple):
    """What was measured here, and what follows from it."""

    ours: str
    verdict: Verdict


class Results(NamedTuple):
    """What an experiment has left."""

    summary: xr.Dataset
    """Of its study."""
    features: Sequence[xr.Dataset] = ()
    """Features stores, of experiments that look at features themselves."""


class Claim(NamedTuple):
    """One finding of the paper."""

    place: str
    """Part of the figure that shows it."""
    experiment: Experiment
    finding: str
    judged: Callable[[Results], Judgement]


class Share(NamedTuple):
    """An accuracy and the ends of its 95% interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return percent(self.mean, (self.high - self.low) / 2)

    def above(self, other: "Share") -> bool:
        """With intervals apart."""
        return self.low > other.high


def comparison(results: Mapping[Experiment, Results], *, configured: str = "") -> str:
    """A Markdown table: a row a finding of the paper, with ours, the verdict and the command that makes it alone.

    Args:
        results: of the experiments that were run.
        configured: options of Snakemake that name the config, for the commands.
    """
    table: Table = [["Figure", "The paper's finding", "Here", "Verdict", "Command"]]
    for claim in CLAIMS:
        of_claim = results.get(claim.experiment)
        judgement = claim.judged(of_claim) if of_claim else Judgement(MISSING, "not tested")
        command = " ".join(filter(None, ["snakemake", FIGURES[claim.experiment], "--cores 2", configured]))
        table.append([claim.place, claim.finding, judgement.ours, judgement.verdict, f"`{command}`"])
    return "\n".join([*markdown(table), "", CAPTION, ""])


CAPTION = (
    "Test accuracies in percent, of a logistic regression on the most labelled examples a class that the study has, or "
    "of few-shot learners on episodes; ± is half of the 95% interval. *agrees*: the finding holds here, with intervals "
    "apart where it is a difference; *ahead*: more than the paper shows; *behind*: it is not seen here, or not on all "
    "that was tested; *not tested*: nothing here measures it."
)


def _mismatch(results: Results) -> Judgement:
    parts, falls = [], []
    for name, dataset in _cells(results.summary):
        curve = _shares(results.summary, "accuracy_over_inner_steps", name, dataset).dropna("inner_step")
        if curve.sizes["inner_step"] < CURVE:
            continue
        best = int(np.argmax(curve["mean"].values))
        peak, end = _share(curve.isel(inner_step=best)), _share(curve.isel(inner_step=-1))
        step, last = curve["inner_step"].values[[best, -1]].tolist()
        parts.append(f"{name} on {dataset}: {peak} after {step:,} steps, {end} after {last:,}")
        falls.append(peak.above(end))
    return _judgement(parts, falls)


def _permuted(results: Results) -> Judgement:
    summary = results.summary.isel(way=0, shots=0)
    intact, permuted = (summary.isel(dataset=np.flatnonzero(summary["permuted"].values == is_)) for is_ in (0, 1))
    parts, as_found = [], []
    for learner in summary["learner"].values.tolist():
        for embedding, cell in of_embeddings(summary.sel(learner=learner)).items():
            kind = NONE if embedding == NONE else str(summary["embedding_kind"].sel(embedding=embedding).values)
            if kind not in (NONE, *LEARNED):
                continue
            before, after = (_episodes(cell.sel(dataset=of["dataset"].values[0])) for of in (intact, permuted))
            what = learner.removeprefix(f"{ORACLE}-") if embedding == NONE else f"{learner} on {embedding}"
            parts.append(f"{what}: {before}, permuted {after}")
            half = max((of.high - of.low) / 2 for of in (before, after))
            lost = before.mean - after.mean
            as_found.append(lost >= LOSS if embedding == NONE else abs(lost) <= half)
    return _judgement(parts, as_found)


def _over_meta_training(modality: str, judge: Callable[[Sequence[Share]], bool]) -> Callable[[Results], Judgement]:
    def judged(results: Results) -> Judgement:
        summary = results.summary
        of_run = summary.isel(representation=np.flatnonzero(np.isfinite(summary["meta_step"].values))).sortby(
            "meta_step"
        )
        parts, as_found = [], []
        for dataset in _datasets(summary, modality):
            shares = [_final(summary, name, dataset) for name in of_run["representation"].values.tolist()]
            steps = of_run["meta_step"].values.astype(int).tolist()
            parts.append(f"{dataset}: {', '.join(f'{s} after {n}' for s, n in zip(shares, steps, strict=True))}")
            as_found.append(judge(shares))
        return _judgement(parts, as_found)

    return judged


def _unseen_datasets(results: Results) -> Judgement:
    summary, parts, found, more = results.summary, [], [], []
    rule = _learned(summary)
    for dataset in _datasets(summary, "image"):
        ours = _final(summary, rule, dataset)
        rivals = {name: _final(summary, name, dataset) for name in _of_kinds(summary, "vae", REFERENCE)}
        parts.append(f"{dataset}: {rule} {ours}, {', '.join(f'{name} {share}' for name, share in rivals.items())}")
        found.append(all(ours.above(share) for share in rivals.values()))
        more.append(all(ours.above(_final(summary, name, dataset)) for name in _of_kinds(summary, *PIXELS)))
    judged = _judgement(parts, found)
    return judged._replace(verdict="ahead") if judged.verdict == "agrees" and all(more) else judged


def _supervised(results: Results) -> Judgement:
    summary = results.summary.isel(way=0)
    summary = summary.sel(shots=summary["shots"].max())
    kinds = dict(zip(summary["embedding"].values.tolist(), summary["embedding_kind"].values.tolist(), strict=True))
    rule = next(name for kind in LEARNED for name in kinds if kinds[name] == kind)
    raw = next(name for name in kinds if kinds[name] == "raw")
    linear, network = summary["learner"].values.tolist()
    parts, found = [], []
    for dataset in summary["dataset"].values.tolist():
        ours = _episodes(summary.sel(dataset=dataset, embedding=rule, learner=linear))
        theirs = _episodes(summary.sel(dataset=dataset, embedding=raw, learner=network))
        parts.append(f"{dataset}: {linear} on {rule} {ours}, {network} {theirs}")
        found.append(ours.above(theirs))
    return _judgement(parts, found)


def _unseen_modality(results: Results) -> Judgement:
    summary = results.summary
    of_run = summary.isel(representation=np.flatnonzero(summary["kind"].isin(LEARNED)))
    rules = of_run.sortby("meta_step")["representation"].values.tolist() if "meta_step" in of_run.coords else []
    rules = rules or of_run["representation"].values.tolist()
    (drawn,) = _of_kinds(summary, REFERENCE)
    parts, early, late = [], [], []
    for dataset in _datasets(summary, "text"):
        shares = {name: _final(summary, name, dataset) for name in (*rules, drawn)}
        parts.append(f"{dataset}: {', '.join(f'{name} {share}' for name, share in shares.items())}")
        early.append(shares[rules[0]].above(shares[drawn]))
        # Of one rule nothing tells what more meta-training would do.
        late.append(len(rules) > 1 and all(shares[rule].mean >= shares[rules[0]].mean for rule in rules))
    judged = _judgement(parts, early)
    return judged._replace(verdict="ahead") if judged.verdict == "agrees" and all(late) else judged


def _networks(varied: str, *, growing: bool = False) -> Callable[[Results], Judgement]:
    """Every network above the one that was drawn or, where `growing`, the largest above the smallest two."""

    def judged(results: Results) -> Judgement:
        summary, parts, found = results.summary, [], []
        rule, (drawn,) = _learned(summary), _of_kinds(summary, REFERENCE)
        for dataset in summary["dataset"].values.tolist():
            group = alike(summary, varied)[0]
            ours, theirs = (
                [_final(summary, name, dataset, base_model) for base_model in group.index] for name in (rule, drawn)
            )
            values = [f"{value:,}" if varied != "activation" else str(value) for value in group[varied]]
            texts = (f"{v} {a} ({b})" for v, a, b in zip(values, ours, theirs, strict=True))
            parts.append(f"{dataset}, {varied}, {rule} ({drawn}): {', '.join(texts)}")
            above = [a.above(b) for a, b in zip(ours, theirs, strict=True)]
            found.append(all(ours[-1].above(share) for share in ours[:2]) if growing else all(above))
        return _judgement(parts, found)

    return judged


def _comes_apart(results: Results) -> Judgement:
    summary, parts, found = results.summary, [], []
    rule = _learned(summary)
    for dataset in summary["dataset"].values.tolist():
        curve = _shares(summary, "accuracy_over_inner_steps", rule, dataset).dropna("inner_step")
        before, after = _share(curve.isel(inner_step=0)), _share(curve.isel(inner_step=-1))
        parts.append(f"{dataset}: {before} before, {after} after {int(curve['inner_step'][-1]):,} steps")
        found.append(after.above(before))
    return _judgement(parts, found)


def _dimensions(results: Results) -> Judgement:
    counts: dict[str, float] = {}
    for store in results.features:
        last = store["features"].isel(inner_step=-1)
        of_seeds = last.values.reshape(-1, *last.shape[-2:])
        needed = [int((components(values).shares.cumsum() < VARIANCE).sum()) + 1 for values in of_seeds]
        counts[str(store.attrs["dataset"])] = float(np.mean(needed))
    ours = ", ".join(f"{dataset} {count:.1f}" for dataset, count in counts.items())
    moons, *others = counts.values()
    return Judgement(
        f"components for {VARIANCE:.0%} of the variance: {ours}", "agrees" if moons < min(others) else "behind"
    )


def _no_number(results: Results) -> Judgement:
    return Judgement("drawn, `first_layer_filters`; no number tells", "not tested")


def _judgement(parts: Sequence[str], as_found: Sequence[bool]) -> Judgement:
    """Of several parts; of none, nothing was tested."""
    if not as_found:
        return Judgement(MISSING, "not tested")
    return Judgement("; ".join(parts), "agrees" if all(as_found) else "behind")


def _cells(summary: xr.Dataset) -> Iterator[tuple[str, str]]:
    return product(summary["representation"].values.tolist(), summary["dataset"].values.tolist())


def _datasets(summary: xr.Dataset, modality: str) -> list[str]:
    names: list[str] = summary["dataset"].values[summary["modality"].values == modality].tolist()
    return names


def _of_kinds(summary: xr.Dataset, *kinds: str) -> list[str]:
    return [
        name for kind in kinds for name in summary["representation"].values[summary["kind"].values == kind].tolist()
    ]


def _learned(summary: xr.Dataset) -> str:
    return _of_kinds(summary, *LEARNED)[0]


def _shares(summary: xr.Dataset, name: str, method: str, dataset: str, base_model: str | None = None) -> xr.Dataset:
    place = {"readout": TABLE_READOUT, "representation": method, "dataset": dataset}
    base_model = base_model or str(summary["base_model"].values[0])
    cell = summary.sel({**place, "base_model": base_model})
    return xr.Dataset({part: cell[f"{name}{end}"] for part, end in (("mean", ""), ("low", "_low"), ("high", "_high"))})


def _final(summary: xr.Dataset, method: str, dataset: str, base_model: str | None = None) -> Share:
    """With the most labelled examples after the last inner step."""
    return _share(_shares(summary, "accuracy", method, dataset, base_model).sel(shots=summary["shots"].max()))


def _share(cell: xr.Dataset) -> Share:
    return Share(*(float(cell[part]) for part in Share._fields))


def _episodes(cell: xr.Dataset) -> Share:
    mean, half = float(cell["accuracy"]), float(cell["interval"])
    return Share(mean, mean - half, mean + half)


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "2 left",
        "objective-mismatch",
        "What a variational autoencoder's code is worth with few labels falls again while its own loss still improves",
        _mismatch,
    ),
    Claim(
        "2 right",
        "permuted-inputs",
        "Permuted inputs hurt a prototypical network greatly and the learned rule not at all",
        _permuted,
    ),
    Claim(
        "3",
        "over-meta-training",
        "On unseen images too, features are better the longer the rule is meta-trained",
        _over_meta_training("image", lambda shares: shares[-1].above(shares[0])),
    ),
    Claim(
        "3",
        "over-meta-training",
        "On text they get worse again, as the rule over-fits to images",
        _over_meta_training("text", lambda shares: any(share.above(shares[-1]) for share in shares)),
    ),
    Claim(
        "4 left",
        "unseen-datasets",
        "On unseen images the rule is above a variational autoencoder and random initialisation",
        _unseen_datasets,
    ),
    Claim("4 left", "supervised", "and above the same network trained on those labels alone", _supervised),
    Claim(
        "4 right",
        "unseen-modality",
        "On text it is above random initialisation, by almost ten points early in meta-training",
        _unseen_modality,
    ),
    Claim(
        "5 left",
        "unseen-architectures",
        "It serves deeper networks than those that it was meta-trained on, to 11 layers",
        _networks("depth"),
    ),
    Claim("5 left", "unseen-architectures", "More units are better, to 10,000", _networks("width", growing=True)),
    Claim(
        "5 right",
        "unseen-architectures",
        "With every other activation it is above random initialisation",
        _networks("activation"),
    ),
    Claim("6 left", "how-it-learns", "First-layer filters become templates of digits over meta-training", _no_number),
    Claim("6 centre", "how-it-learns", "Classes come apart without labels", _comes_apart),
    Claim("6 right", "how-it-learns", "Of two moons few dimensions are used, of digits many", _dimensions),
)


def needs_of(experiment: str) -> tuple[str, ...]:
    """Temporary."""
    return {
        "objective-mismatch": ("training curve",),
        "permuted-inputs": ("permuted inputs", "meta-learned learner", "trained rule"),
        "over-meta-training": ("snapshots", "images"),
        "unseen-datasets": ("trained rule", "random initialisation", "images"),
        "supervised": ("linear and mlp", "trained rule", "raw input"),
        "unseen-modality": ("trained rule", "random initialisation", "text"),
        "unseen-architectures": ("trained rule", "random initialisation", "several networks"),
        "how-it-learns": ("trained rule", "several datasets", "principal components"),
    }[experiment]
