"""Stage: few-shot accuracy of one method's features on one dataset."""

from metaplastic.config.base import parse_spec
from metaplastic.features import inputs_of_features, read_features
from metaplastic.few_shot.readout_accuracy import evaluate
from metaplastic.few_shot.spec import FewShot
from metaplastic.io.errors import InputError
from metaplastic.io.storage import write_netcdf
from metaplastic.stages.command import Code, Examples, Output, Spec, run


def evaluate_few_shot(spec: Spec, code: Code, features: Examples, output: Output) -> None:
    """Fit readouts on a few labelled training examples and score them on the test split."""
    section, learned = parse_spec(FewShot, spec), read_features(features)
    try:
        accuracies = evaluate(learned["features"], inputs_of_features(learned)[0], section)
    except InputError as error:
        raise InputError(f"{features}: {error}") from error
    # The order of the dataset's inputs does not belong to an evaluation.
    attributes = {name: value for name, value in learned.attrs.items() if name not in ("modality", "permuted")}
    attributes |= {"code": code, "modality": learned.attrs["modality"]}
    write_netcdf(accuracies.assign_attrs(attributes), output)


if __name__ == "__main__":
    run(evaluate_few_shot)
