"""What each figure of a study is drawn from, as the modules of figures declare it."""

import ast
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

from metaplastic.config.needs import NEEDS, chosen
from metaplastic.io.errors import InputError

from workflow.plan import Plan, applied, dataset_stores, features

Inputs = dict[str, list[str]]
"""Paths by the name under which a figure takes them."""


class Declaration(NamedTuple):
    """What the module of a figure declares at its top."""

    inputs: dict[str, str]
    """Kind of result of a study, by the argument of `draw` that takes it."""
    needs: tuple[str, ...]
    """What else a study must have."""
    on_request: bool
    """Whether only studies that list the figure draw it."""
    caption: str


def names(package: Path) -> list[str]:
    """Return the names of all figures."""
    return sorted(path.stem for path in (package / "figures").glob("[a-z]*.py") if path.stem != "style")


def declared(package: Path, figure: str) -> Declaration:
    """Read the declaration of a figure without importing its module.

    Raises:
        InputError: the module does not parse, or does not declare INPUTS, NEEDS and CAPTION as literals.
    """
    path = package / "figures" / f"{figure}.py"
    try:
        return _declaration(path.read_text(encoding="utf-8"))
    except (ValueError, SyntaxError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{path}: declares no INPUTS, NEEDS and CAPTION as literals: {error}") from error


@cache
def _declaration(source: str) -> Declaration:
    values = {}
    for node in ast.parse(source).body:
        match node:
            case ast.Assign([ast.Name(name)], value):
                values[name] = value
    inputs, needs, caption = (ast.literal_eval(values[name]) for name in ("INPUTS", "NEEDS", "CAPTION"))
    if not inputs or {type(text) for group in (*inputs.items(), needs, [caption]) for text in group} != {str}:
        raise ValueError("INPUTS, NEEDS and CAPTION hold strings, and INPUTS at least one")
    on_request = "ON_REQUEST" in values and ast.literal_eval(values["ON_REQUEST"]) is True
    return Declaration(inputs, tuple(needs), on_request, caption)


def results_of(plan: Plan, name: str) -> Inputs:
    """Return the results of a study that figures are drawn from, by the names that figures give in `INPUTS`."""
    study, config = plan.study(name), plan.config
    trained = [rule for rule in study.rules if config.rules[rule].trained]
    images = [dataset for dataset in study.datasets if config.datasets[dataset].modality == "image"]
    training = [study.trained_on] if study.trained_on else images
    first, partitioned = study.base_models[:1], plan.partitions_of(name)
    embeddings = {embedding: config.embeddings[embedding] for embedding in study.embeddings}
    curves = [embedding for embedding, spec in embeddings.items() if spec.makes_a_curve]
    networks = [embedding for embedding, spec in embeddings.items() if spec.trained]
    clusters = [place for place in partitioned if plan.partition(place).found_clusters]
    learners = [learner for learner in study.learners if config.learners[learner].meta_learned]
    return {
        "summary": plan.tables(name)[:1],
        "meta-training histories": [f"{folder}/history.zarr" for folder in plan.run_folders(trained)],
        "learner histories": [
            f"{plan.trained_learner(*place)}/history.zarr" for place in product(learners, partitioned, training)
        ],
        "learned features of images": features(applied(first, trained), images),
        "learned features": features(applied(first, trained[:1]), study.datasets),
        "features over training": features(curves, study.datasets),
        "network features": features(networks, training),
        "clusters": [f"<results>/partitions/{place}/{dataset}.zarr" for place, dataset in product(clusters, training)],
        "datasets": dataset_stores(study.datasets),
        "image datasets": dataset_stores(images),
        "training datasets": dataset_stores(training),
    }


def figures_of(plan: Plan, name: str) -> dict[str, Inputs]:
    """Return what each figure of a study is drawn from.

    Raises:
        InputError: the study asks for a figure that does not exist, or that has nothing to show in it.
    """
    study = chosen(plan.config, name)
    results, known = results_of(plan, name), {figure: declared(plan.package, figure) for figure in names(plan.package)}
    drawn = {
        figure: {argument: results[kind] for argument, kind in declaration.inputs.items()}
        for figure, declaration in known.items()
        if all(results[kind] for kind in declaration.inputs.values())
        and all(NEEDS[need].met(study) for need in declaration.needs)
    }
    asked = plan.study(name).figures
    if asked is None:
        return {figure: inputs for figure, inputs in drawn.items() if not known[figure].on_request}
    for figure in asked:
        if figure not in drawn:
            why = "has nothing to show in this study" if figure in known else "is not a figure"
            raise InputError(f"studies.{name}.figures: {figure!r} {why}; valid: {', '.join(drawn)}")
    return {figure: drawn[figure] for figure in asked}


def files_of(plan: Plan, name: str) -> list[str]:
    """Return every figure of a study, in every format."""
    places = product(figures_of(plan, name), ("svg", "png"))
    return [f"<results>/studies/{name}/figures/{figure}.{suffix}" for figure, suffix in places]
