"""Stage: few-shot accuracy of one method's features on one dataset."""

from pathlib import Path
from typing import Annotated

from typer import Option

from metaplastic.config.base import parse_spec
from metaplastic.datasets.arrays import load_inputs
from metaplastic.features import read_features
from metaplastic.few_shot.readout_accuracy import evaluate
from metaplastic.few_shot.spec import FewShot
from metaplastic.io.errors import InputError
from metaplastic.io.storage import read_zarr, write_netcdf
from metaplastic.stages.command import run
from metaplastic.stages.stores import check_same_dataset


def evaluate_few_shot(
    spec: Annotated[str, Option(help="The section `few_shot` of the config, as JSON.")],
    code: Annotated[str, Option(help="Fingerprint of the source code.")],
    features: Annotated[Path, Option(help="Store of the features.")],
    dataset: Annotated[Path, Option(help="Store of the dataset.")],
    output: Annotated[Path, Option(help="netCDF file to write.")],
) -> None:
    """Fit readouts on a few labelled training examples and score them on the test split."""
    section = parse_spec(FewShot, spec)
    stored, learned = read_zarr(dataset), read_features(features)
    check_same_dataset(features, learned, stored)
    try:
        accuracies = evaluate(learned["features"], load_inputs(stored), section)
    except InputError as error:
        raise InputError(f"{features} on {dataset}: {error}") from error
    write_netcdf(accuracies.assign_attrs(learned.attrs | {"code": code, "modality": stored.attrs["modality"]}), output)


if __name__ == "__main__":
    run(evaluate_few_shot)
