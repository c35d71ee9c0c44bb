"""What can be known before any job runs: whether data suffice for a study or a run, and whether folders can be used.

What is known of data stands in their sections of the config; what is not is for the first job that reads them to say.
"""

import json
import os
import sys
import time
from itertools import product
from pathlib import Path

from metaplastic.config.files import check_files
from metaplastic.config.study import Config, Study, modality
from metaplastic.datasets.spec import Dataset, Labelled, Letters, Patches, TwoMoons
from metaplastic.embeddings.spec import Embedding, Neural, Raw
from metaplastic.few_shot.learners.spec import Linear, MetaLearned, Mlp
from metaplastic.io.errors import InputError, check_writable
from metaplastic.meta_train.spec import MetaTrain
from metaplastic.meta_train.tasks.spec import Images, Projections
from metaplastic.results.spec import Experiment
from metaplastic.update_rules.spec import Identity, Learned, MetaTrained, Pretrained, Published, Untrained
from pydantic import TypeAdapter, ValidationError

WATCHED = 50
"""Examples a class that a watched dataset is scored on, besides `labelled` ones."""
CURVE = 3
"""Points that make one."""
LONGEST_PATH = 600
"""Bytes that the path of a result has below the folder of results, at most; names in it have at most 100."""
LARGEST_HEADER = 2**18
CLOCKS = 2.0
"""Seconds by which the clocks of two machines may differ."""


def check_study(config: Config, name: str) -> None:
    """Refuse a study whose datasets have too few labels, or whose rules cannot train its base models.

    Raises:
        InputError: naming the key.
    """
    study = config.studies[name]
    place, protocol = (f"studies.{name}.", study.few_shot) if study.few_shot else ("", config.few_shot)
    for dataset in study.datasets:
        found, most = _training_examples(config.datasets[dataset]), max(protocol.shots)
        if found is not None and most > found:
            raise InputError(
                f"{place}few_shot.shots: {most} labelled examples a class asked for, but a class of {dataset!r} has "
                f"{found} training examples; give at most that"
            )
    for rule, base_model in product(study.rules, study.base_models):
        demanded, found = _features_demanded(config, rule), config.base_models[base_model].features
        if demanded not in (None, found):
            raise InputError(
                f"studies.{name}.base_models: rule {rule!r} demands {demanded} features, {base_model!r} has {found}"
            )


def makes_a_curve(spec: Embedding) -> bool:
    """Whether an embedding's features are taken so often while it is trained that a curve of them can have a peak."""
    return isinstance(spec, Neural) and len(spec.steps) >= CURVE


def has_snapshots(config: Config, study: Study) -> bool:
    """Whether rules of a study are of one run after so many numbers of meta-steps that they make a curve."""
    runs = [spec.run for rule in study.rules if isinstance(spec := config.rules[rule], MetaTrained)]
    return any(runs.count(run) >= CURVE for run in runs)


def has_permuted(config: Config, study: Study) -> bool:
    """Whether some datasets of a study, and not all, have their inputs in an order of their own."""
    return len({config.datasets[dataset].permuted is None for dataset in study.datasets}) == 2


def check_learners(config: Config, name: str) -> None:
    """Refuse a study whose images are too small for its learners, as far as their size is known.

    Raises:
        InputError: naming the key.
    """
    study = config.studies[name]
    for learner, dataset in product(study.learners, study.datasets):
        spec, side = config.learners[learner], getattr(config.datasets[dataset], "side", None)
        smallest = spec.smallest if isinstance(spec, MetaLearned) else 1
        if side is not None and side < smallest:
            raise InputError(
                f"studies.{name}.learners: {learner!r} takes images of at least {smallest} x {smallest} pixels, "
                f"{dataset!r} has {side} x {side}"
            )


def check_experiment(config: Config, name: str) -> None:
    """Refuse a study that is an experiment and lacks what that takes.

    Raises:
        InputError: naming the study's key, and what it has to list.
    """
    study = config.studies[name]
    rules = [config.rules[rule] for rule in study.rules]
    embeddings = [config.embeddings[embedding] for embedding in study.embeddings]
    learners = [config.learners[learner] for learner in study.learners]
    datasets = [config.datasets[dataset] for dataset in study.datasets]
    kinds = {modality(dataset) for dataset in datasets}
    trained = any(isinstance(spec, MetaTrained | Pretrained) for spec in rules), "rules", "a rule that was meta-trained"
    drawn = any(isinstance(spec, Identity) for spec in rules), "rules", "the rule of kind 'identity'"
    images = "image" in kinds, "datasets", "images"
    taken: dict[Experiment, list[tuple[bool, str, str]]] = {
        "objective-mismatch": [
            (
                any(map(makes_a_curve, embeddings)),
                "embeddings",
                f"a network that is recorded after {CURVE} or more numbers of steps",
            )
        ],
        "permuted-inputs": [
            (has_permuted(config, study), "datasets", "one with `permuted` inputs and one without"),
            (any(isinstance(spec, MetaLearned) for spec in learners), "learners", "one that tasks train"),
            trained,
        ],
        "over-meta-training": [
            (has_snapshots(config, study), "rules", f"{CURVE} or more of one run, by `meta_step`"),
            images,
        ],
        "unseen-datasets": [trained, drawn, images],
        "supervised": [
            ([type(spec) for spec in learners] == [Linear, Mlp], "learners", "one of kind 'linear', then one of 'mlp'"),
            trained,
            (any(isinstance(spec, Raw) for spec in embeddings), "embeddings", "the one of kind 'raw'"),
        ],
        "unseen-modality": [trained, drawn, ("text" in kinds, "datasets", "text")],
        "unseen-architectures": [
            trained,
            drawn,
            (len(study.base_models) >= CURVE, "base_models", f"{CURVE} or more networks"),
        ],
        "how-it-learns": [
            trained,
            (len(datasets) > 1, "datasets", "two moons and one more"),
            (
                study.figures is not None and "principal_components" in study.figures,
                "figures",
                "principal_components",
            ),
        ],
    }
    for enough, key, what in taken[study.experiment] if study.experiment else []:
        if not enough:
            raise InputError(f"studies.{name}.{key}: experiment {study.experiment!r} takes {what}")


def check_run(config: Config, name: str) -> None:
    """Refuse a meta-training run whose datasets have too small images or too few classes or examples.

    Raises:
        InputError: naming the key.
    """
    run, place = config.meta_train[name], f"meta_train.{name}"
    for source in run.tasks.sources.values():
        if not isinstance(source, Images | Projections):
            continue
        dataset = config.datasets[source.dataset]
        side, classes = getattr(dataset, "side", None), _classes(dataset)
        if side is not None and side < 2 * run.tasks.side:
            raise InputError(
                f"{place}.tasks.side: {run.tasks.side} takes images of at least {2 * run.tasks.side} x "
                f"{2 * run.tasks.side} pixels, {source.dataset!r} has {side} x {side}"
            )
        if classes is not None and classes < run.tasks.classes:
            raise InputError(
                f"{place}.tasks.classes: {run.tasks.classes} exceeds the {classes} classes that {source.dataset!r} has "
                "for training or holds out"
            )
    for watched in run.held_out.datasets:
        dataset = config.datasets[watched]
        side, smallest = getattr(dataset, "side", None), _smallest_class(dataset)
        shown = run.base_models[0].side or run.tasks.side
        if side is not None and side < shown:
            raise InputError(f"{place}.tasks.side: {shown} is more than the {side} pixels of {watched!r}")
        if smallest is not None and smallest < run.labelled + WATCHED:
            raise InputError(
                f"{place}.labelled: {run.labelled} and {WATCHED} to score are more than the {smallest} examples of a "
                f"class of {watched!r}, which is watched"
            )


def check_time(path: Path) -> None:
    """Refuse an input from the future: whatever a job makes of it would count as older.

    Raises:
        InputError: naming the path.
    """
    ahead = path.stat().st_mtime - time.time()
    if ahead > CLOCKS:
        raise InputError(f"{path}: its time is {ahead:,.0f} s ahead of the clock; set the clock right, then touch it")


def check_start(run: MetaTrain, place: str, theta: Path) -> None:
    """Refuse a theta to start from that is of another rule; what is wrong with the file besides, its job says.

    Raises:
        InputError: naming the key.
    """
    found = _rule_in(theta)
    if found is not None and found != run.rule:
        raise InputError(f"{place}: {theta} is of {found!r}, the run of {run.rule!r}")


def check_folders(config: Config) -> None:
    """Refuse folders that jobs could not use.

    Raises:
        InputError: naming the key.
    """
    mirror, results = config.data.mirror, Path(config.results).absolute()
    if mirror is not None and not Path(mirror).is_dir():
        raise InputError(f"data.mirror: {mirror}: no such folder; correct or drop the key")
    longest, longest_name = os.pathconf("/", "PC_PATH_MAX") - LONGEST_PATH, os.pathconf("/", "PC_NAME_MAX")
    if len(os.fsencode(results)) > longest or any(len(os.fsencode(name)) > longest_name for name in results.parts):
        raise InputError(
            f"results: at most {longest} bytes, and {longest_name} between two slashes, can be the path of a folder of "
            "results; give a shorter one"
        )
    check_writable(results, f"results: {config.results}")
    for folder, below, files in os.walk(results):
        stores = [name for name in below if name.endswith(".zarr")]
        below[:] = [name for name in below if name not in stores]
        # In a store Snakemake keeps a file of its own, whose time is the store's.
        marks = [mark for name in stores if (mark := Path(folder, name, ".snakemake_timestamp")).exists()]
        for path in [*marks, *(Path(folder, name) for name in files)]:
            check_time(path)


def _training_examples(dataset: Dataset) -> int | None:
    """Of the smallest class."""
    smallest = _smallest_class(dataset)
    if isinstance(dataset, Labelled) and smallest is not None:
        # As datasets.splits rounds; that module would import what planning does not need.
        return smallest - int(dataset.test_fraction * smallest + 0.5)
    return dataset.training


def _smallest_class(dataset: Dataset) -> int | None:
    return dataset.per_class if isinstance(dataset, Patches | TwoMoons) else dataset.smallest


def _classes(dataset: Dataset) -> int | None:
    """Fewest that a task can draw from, among those for training and those held out."""
    if isinstance(dataset, Letters) and dataset.class_count:
        held_out = int(dataset.held_out_characters * dataset.class_count + 0.5)
        return min(held_out, dataset.class_count - held_out)
    return dataset.class_count


def _features_demanded(config: Config, rule: str) -> int | None:
    spec = config.rules[rule]
    if isinstance(spec, MetaTrained):
        spec = config.meta_train[spec.run].rule
    if isinstance(spec, Untrained):
        spec = spec.rule
    return spec.features if isinstance(spec, Published) else None


def _rule_in(theta: Path) -> Learned | None:
    """The config in the header of a theta file; none where the file is broken."""
    try:
        with theta.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, LARGEST_HEADER)))
        found: Learned = TypeAdapter(Learned).validate_json(header["__metadata__"]["rule"])
        return found
    except (OSError, ValueError, KeyError, TypeError, RecursionError, ValidationError):
        return None


if __name__ == "__main__":
    # For `make run`: Snakemake itself reads the files that a command line names, before this project can look at them.
    try:
        check_files(map(Path, sys.argv[1:]))
    except InputError as error:
        sys.exit(f"error: {error}")
