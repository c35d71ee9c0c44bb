"""Stage: few-shot accuracy of one method's features on one dataset."""

from pathlib import Path
from typing import Annotated

from typer import Option

from rules_src.config.base import parse_spec
from rules_src.config.evaluate import FewShot
from rules_src.datasets.arrays import load_inputs
from rules_src.errors import InputError
from rules_src.evaluate.few_shot import evaluate
from rules_src.stages.command import run
from rules_src.storage import read_zarr, write_netcdf


def evaluate_few_shot(
    method: Annotated[str, Option(help="Key of the rule or baseline in the config.")],
    base_model: Annotated[str, Option(help="Key of the base model in the config.")],
    spec: Annotated[str, Option(help="The section `few_shot` of the config, as JSON.")],
    code: Annotated[str, Option(help="Fingerprint of the source code.")],
    features: Annotated[Path, Option(help="Store of the features.")],
    dataset: Annotated[Path, Option(help="Store of the dataset.")],
    output: Annotated[Path, Option(help="netCDF file to write.")],
) -> None:
    """Fit readouts on a few labelled training examples and score them on the test split."""
    section = parse_spec(FewShot, spec)
    store = read_zarr(dataset)
    try:
        accuracies = evaluate(read_zarr(features)["features"], load_inputs(store), section)
    except InputError as error:
        raise InputError(f"{features} on {dataset}: {error}") from error
    names = {"method": method, "base_model": base_model, "dataset": store.attrs["name"], "code": code}
    write_netcdf(accuracies.assign_attrs(names), output)


if __name__ == "__main__":
    run(evaluate_few_shot)
