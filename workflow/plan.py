"""What the workflow makes of a config: the paths of results, and what each is made from.

Paths are Snakemake's, with `<results>` for the folder of results. The plan asks the sections of the config what they
are. It knows no kind of dataset, rule, embedding, learner or figure.
"""

import os
import re
from collections.abc import Iterable
from itertools import product
from pathlib import Path, PurePath
from typing import NamedTuple

from metaplastic.config.base import canonical_json
from metaplastic.config.checks import check_run, described
from metaplastic.config.study import Config, Study, learner_folder, meta_train_folders
from metaplastic.few_shot.spec import Episodes, FewShot, Partition
from metaplastic.io.errors import InputError
from metaplastic.meta_train.spec import MetaTrain
from metaplastic.update_rules.pretrained import pretrained_file
from metaplastic.update_rules.spec import Learned

from workflow.folders import check_start


class SeededRun(NamedTuple):
    """A meta-training run at one of its seeds."""

    name: str
    """Key of the run in the config."""
    spec: MetaTrain


def one_of(names: Iterable[str]) -> str:
    """Return the wildcard constraint that admits exactly these names, so that a mistyped target is an error."""
    return "|".join(map(re.escape, names)) or "(?!)"


def manifests(stores: Iterable[str]) -> list[str]:
    """Return the manifest beside each store, file or folder."""
    return [str(PurePath(store).with_suffix(".manifest.json")) for store in stores]


def dataset_stores(datasets: Iterable[str]) -> list[str]:
    """Return the stores of prepared datasets."""
    return [f"<results>/datasets/{dataset}.zarr" for dataset in datasets]


def features(representations: Iterable[str], datasets: Iterable[str]) -> list[str]:
    """Return the features store of every representation on every dataset."""
    return [f"<results>/features/{place}/{dataset}.zarr" for place, dataset in product(representations, datasets)]


def applied(base_models: Iterable[str], rules: Iterable[str]) -> list[str]:
    """Return the representations that rules make with base models."""
    return [f"{base_model}/{rule}" for base_model, rule in product(base_models, rules)]


class Plan:
    """Everything that rules ask about a config.

    Args:
        config: validated.
        package: folder of the package whose stages run.
    """

    def __init__(self, config: Config, package: Path) -> None:
        self.config, self.package = config, package
        self.runs = {
            folder: SeededRun(name, spec)
            for name in config.meta_train
            for folder, spec in meta_train_folders(config, name).items()
        }
        self.learners = {learner_folder(config, learner): learner for learner in config.learners}
        self.representations = [*applied(config.base_models, config.rules), *config.embeddings]
        self.partitioned = self._partitioned(self.representations, config.partitions)

    def study(self, name: str) -> Study:
        """Return a study by its name."""
        return self.config.studies[name]

    def studies(self, *, of_learners: bool) -> list[str]:
        """Return the studies that compare learners on episodes, or those that compare representations by few labels."""
        return [name for name, study in self.config.studies.items() if bool(study.learners) == of_learners]

    def of_study(self, name: str) -> list[str]:
        """Return the representations that a study compares or partitions, rules first."""
        study = self.study(name)
        return [*applied(study.base_models, study.rules), *study.embeddings]

    def feature_stores(self, name: str) -> list[str]:
        """Return the features of every representation of a study on every dataset."""
        return features(self.of_study(name), self.study(name).datasets)

    # Update rules

    def run_folders(self, rules: Iterable[str]) -> list[str]:
        """Return the folders of the meta-training runs, one per seed, that make the meta-trained ones of `rules`."""
        runs = dict.fromkeys(self.config.rules[rule].trained_by for rule in rules)
        folders = (folder for run in runs for folder, seeded in self.runs.items() if seeded.name == run)
        return [f"<results>/meta_train/{folder}" for folder in folders]

    def run_datasets(self, folder: str) -> list[str]:
        """Return the stores of the datasets that a meta-training run reads.

        Raises:
            InputError: as for `check_run`.
        """
        check_run(self.config, self.runs[folder].name)
        return dataset_stores(self.runs[folder].spec.datasets)

    def together(self, *, several: bool) -> list[str]:
        """Return the folders of the runs that are several processes, or of those that are one."""
        return [folder for folder, (_, spec) in self.runs.items() if (spec.processes > 1) == several]

    def theta_of_run(self, rule: str) -> list[str]:
        """Return the folders of thetas that the run of a rule leaves, one per seed. Other rules have none."""
        return [f"{folder}/snapshots" for folder in self.run_folders([rule])]

    def theta(self, rule: str) -> list[str]:
        """Return where `rule` has its theta from: a file, or a folder per seed of the run that meta-trains it.

        Raises:
            InputError: no such theta comes with the project.
        """
        pretrained = self.config.rules[rule].pretrained
        return [_pretrained(pretrained, f"rules.{rule}.name")] if pretrained else self.theta_of_run(rule)

    def start(self, folder: str) -> list[str]:
        """Return the theta that a run starts from: one file, or none where it is drawn.

        Raises:
            InputError: no such theta comes with the project, or it is of another rule.
        """
        name, spec = self.runs[folder]
        if spec.start is None:
            return []
        place = f"meta_train.{name}.start"
        theta = _pretrained(spec.start, place)
        check_start(spec, place, Path(theta))
        return [theta]

    def rule_modules(self, rule: str) -> list[str]:
        """Return the modules that implement an update rule."""
        if self.config.rules[rule].pretrained:
            # The file of a pretrained rule says which of them it takes.
            return [kind.module for kind in Learned.kinds().values()]
        return [described(self.config, rule).module]

    # Few-shot learning

    def _partitioned(self, representations: Iterable[str], partitions: Iterable[str]) -> list[str]:
        """Return `<representation>/<partition>`, or `<partition>` where it needs no features."""
        of_features = {name: self.config.partitions[name].needs_features for name in partitions}
        pairs = product(representations, (name for name in of_features if of_features[name]))
        return [*map("/".join, pairs), *(name for name in of_features if not of_features[name])]

    def partitions_of(self, name: str) -> list[str]:
        """Return the partitions that a study makes of its representations and datasets."""
        return self._partitioned(self.of_study(name), self.study(name).partitions)

    def partition(self, partitioned: str) -> Partition:
        """Return the section of a partition of `<representation>/<partition>`."""
        return self.config.partitions[PurePath(partitioned).name]

    def parted(self, partitioned: str, dataset: str) -> str:
        """Return the store that is partitioned: features, or the dataset where none are needed."""
        representation = PurePath(partitioned).parent
        needed = self.partition(partitioned).needs_features
        return f"<results>/features/{representation}/{dataset}.zarr" if needed else dataset_stores([dataset])[0]

    def learned_by(self, learner_run: str, partitioned: str) -> list[str]:
        """Return the modules that train a learner: its own, and the partition's where later rounds partition anew."""
        learner = self.config.learners[self.learners[learner_run]]
        return [learner.module, *[self.partition(partitioned).module] * (learner.trainings > 1)]

    def trained_learner(self, learner: str, partitioned: str, dataset: str) -> str:
        """Return the folder of a learner that partitions of a dataset train."""
        return f"<results>/learners/{learner_folder(self.config, learner)}/{partitioned}/{dataset}"

    # Studies

    def protocol(self, name: str) -> FewShot | Episodes:
        """Return how a study evaluates: by few labels, or by episodes if it has learners."""
        study = self.study(name)
        if study.learners:
            return study.episodes or self.config.episodes
        return study.few_shot or self.config.few_shot

    def tables(self, name: str) -> list[str]:
        """Return the summary of a study, and its table."""
        return [f"<results>/studies/{name}/summary.nc", f"<results>/studies/{name}/table.md"]

    # Datasets

    def dataset_checks(self, dataset: str) -> list[str]:
        """Return options that say what the studies that are run ask of a dataset, for its job to check."""
        studies = {name: self.study(name) for name in self.config.run if dataset in self.study(name).datasets}
        shots = [max(self.protocol(name).shots) for name, study in studies.items() if not study.learners]
        episodes = dict.fromkeys(canonical_json(self.protocol(name)) for name in studies if studies[name].learners)
        takers = [
            getattr(self.config, table)[name]
            for study in studies.values()
            for table in ("embeddings", "partitions", "learners")
            for name in getattr(study, table)
        ]
        return [
            f"--shots={max(shots, default=0)}",
            f"--examples={max((spec.fewest_examples for spec in takers), default=0)}",
            *(f"--episodes={text}" for text in episodes),
        ]


def _pretrained(name: str, key: str) -> str:
    """Return the file of a theta that comes with the project; `key` of the config names it."""
    try:
        # Relative, so that a checkout may move.
        path = os.path.relpath(pretrained_file(name))
    except InputError as error:
        raise InputError(f"{key}: {error}") from error
    if set(path) & set("{}<>"):
        raise InputError(f"{key}: {path}: Snakemake takes no braces and no < or > in an input; rename its folder")
    return path
