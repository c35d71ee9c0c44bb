"""What can be known before any job: whether data suffice for a study, a learner or a meta-training run.

The sections declare what is known of data before they are read. The first job that reads them reports the rest.
Each check raises an InputError that names the key.
"""

from itertools import product

from metaplastic.config.study import Config
from metaplastic.io.errors import InputError
from metaplastic.meta_train.spec import SCORED
from metaplastic.update_rules.spec import Rule


def check_study(config: Config, name: str) -> None:
    """Refuse a study whose datasets have too few labels, or whose rules cannot train its base models."""
    study = config.studies[name]
    place, protocol = (f"studies.{name}.", study.few_shot) if study.few_shot else ("", config.few_shot)
    for dataset in study.datasets:
        if not study.learners and config.datasets[dataset].classes_apart:
            raise InputError(
                f"studies.{name}.datasets: no class of {dataset!r} is in two splits, so only learners take it; list "
                "some under learners"
            )
        found, most = config.datasets[dataset].training_examples, max(protocol.shots)
        if found is not None and most > found:
            raise InputError(
                f"{place}few_shot.shots: {most} labelled examples a class asked for, but a class of {dataset!r} has "
                f"{found} training examples; give at most that"
            )
    for rule, base_model in product(study.rules, study.base_models):
        demanded, features = described(config, rule).demanded_features, config.base_models[base_model].features
        if demanded not in (None, features):
            raise InputError(
                f"studies.{name}.base_models: rule {rule!r} demands {demanded} features, {base_model!r} has {features}"
            )


def check_learners(config: Config, name: str) -> None:
    """Refuse a study whose images are too small for its learners, or unlike, as far as that is known."""
    study = config.studies[name]
    if study.trained_on is not None:
        trained = config.datasets[study.trained_on].channels
        for dataset in study.datasets:
            if None not in (trained, found := config.datasets[dataset].channels) and found != trained:
                raise InputError(
                    f"studies.{name}.trained_on: images of {study.trained_on!r} and {dataset!r} differ in "
                    f"their channels, {trained} and {found}; list datasets with as many"
                )
    for learner, dataset in product(study.learners, study.datasets):
        smallest, side = config.learners[learner].smallest, config.datasets[dataset].side_known
        if side is not None and side < smallest:
            raise InputError(
                f"studies.{name}.learners: {learner!r} takes images of at least {smallest} x {smallest} pixels, "
                f"{dataset!r} has {side} x {side}"
            )


def check_run(config: Config, name: str) -> None:
    """Refuse a meta-training run whose datasets have too small images, or too few classes or examples."""
    run, place = config.meta_train[name], f"meta_train.{name}"
    least, shown = 2 * run.tasks.side, run.side_of(run.base_models[0])
    for used in filter(None, (source.dataset for source in run.tasks.sources.values())):
        side, classes = config.datasets[used].side_known, config.datasets[used].task_classes
        if side is not None and side < least:
            raise InputError(
                f"{place}.tasks.side: {run.tasks.side} takes images of at least {least} x {least} pixels, {used!r} has "
                f"{side} x {side}"
            )
        if classes is not None and classes < run.tasks.classes:
            raise InputError(
                f"{place}.tasks.classes: {run.tasks.classes} exceeds the {classes} classes that {used!r} has for "
                "training or holds out"
            )
    for used in run.held_out.datasets:
        side, smallest = config.datasets[used].side_known, config.datasets[used].smallest_class
        if side is not None and side < shown:
            raise InputError(f"{place}.tasks.side: {shown} is more than the {side} pixels of {used!r}")
        if smallest is not None and smallest < run.labelled + SCORED:
            raise InputError(
                f"{place}.labelled: {run.labelled} and {SCORED} to score are more than the {smallest} examples of a "
                f"class of {used!r}, which is watched"
            )


def described(config: Config, rule: str) -> Rule:
    """Return the section that says how a rule computes: of a meta-trained one, the rule of its run."""
    spec = config.rules[rule]
    return spec if spec.trained_by is None else config.meta_train[spec.trained_by].rule
