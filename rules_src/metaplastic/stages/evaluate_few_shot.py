"""Stage: few-shot accuracy of the features of a study, its summary and its table."""

from functools import partial
from pathlib import Path
from typing import Annotated

import xarray as xr
from typer import Option

from metaplastic.config.base import parse_spec
from metaplastic.features import inputs_of_features, read_features
from metaplastic.few_shot.readout_accuracy import evaluate
from metaplastic.few_shot.spec import FewShot
from metaplastic.io.errors import InputError
from metaplastic.io.storage import check_manifest
from metaplastic.stages.command import Code, Key, Output, Spec, named_stores, run
from metaplastic.stages.evaluations import Cores, First, Folder, Page, Table, evaluated, key_of, write_summary


def evaluate_few_shot(
    study: Key,
    spec: Spec,
    code: Code,
    features: Annotated[
        list[str], Option(help="PLACE=STORE: features, and where their evaluation is kept; repeatable.")
    ],
    evaluations: Folder,
    output: Output,
    table: Table,
    page: Page,
    first: First = None,
    cores: Cores = 1,
) -> None:
    """Fit readouts on a few labelled training examples, score them on the test split, and gather the accuracies."""
    section = parse_spec(FewShot, spec)
    found = [
        (
            evaluations / f"{place}.nc",
            key_of(check_manifest(store), spec, code),
            partial(evaluation, store, section, code),
        )
        for place, store in named_stores("--features", features).items()
    ]
    write_summary(evaluated(found, cores=cores), output, table, page, study=study, first=first)


def evaluation(features: Path, spec: FewShot, code: str) -> xr.Dataset:
    """Return the accuracies of a features store, with the attributes that tell what it is."""
    learned = read_features(features)
    try:
        accuracies = evaluate(learned["features"], inputs_of_features(learned)[0], spec)
    except InputError as error:
        raise InputError(f"{features}: {error}") from error
    # The order of the dataset's inputs does not belong to an evaluation.
    attributes = {name: value for name, value in learned.attrs.items() if name not in ("modality", "permuted")}
    return accuracies.assign_attrs(attributes | {"code": code, "modality": learned.attrs["modality"]})


if __name__ == "__main__":
    run(evaluate_few_shot)
