"""What the workflow makes of a config: paths of results, what they are made from, and whose code makes them.

Paths are those of Snakemake, with `<results>` for the folder of results.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import product
from math import ceil
from pathlib import Path, PurePath
from typing import NamedTuple

from metaplastic.config.base import canonical_json
from metaplastic.config.study import Config, Study, learner_folder, meta_train_folders, modality, run_datasets
from metaplastic.datasets.spec import Celeba, File, ImageFolder
from metaplastic.embeddings.spec import DeepCluster, Neural
from metaplastic.few_shot.learners.spec import ClusterMatching, MetaLearned
from metaplastic.few_shot.spec import Clusters, Random
from metaplastic.io.errors import InputError
from metaplastic.meta_train.spec import MetaTrain
from metaplastic.results.spec import EXPERIMENTS, FIGURES, Experiment
from metaplastic.update_rules.pretrained import pretrained_file
from metaplastic.update_rules.spec import Learned, MetaTrained, Pretrained, Untrained

from workflow.checks import (
    CURVE,
    check_experiment,
    check_learners,
    check_run,
    check_start,
    check_study,
    check_time,
    has_permuted,
    has_snapshots,
    makes_a_curve,
)
from workflow.fingerprint import FingerprintError, fingerprint
from workflow.resources import applying, meta_training

# What stages read of the config is a parameter already, defaults filled in; how far a run is, and whether another
# process is at it, changes no result, nor does how much memory there is.
NO_RESULT = (
    "metaplastic.config",
    "metaplastic.training.progress",
    "metaplastic.training.launch",
    "metaplastic.io.memory",
)
# What a saved state does not depend on besides: how it is written, and what is said.
NO_STATE = (*NO_RESULT, "metaplastic.io.storage", "metaplastic.io.errors")

WITH_THETA = tuple(Learned.kinds().values())
LEARNED = (Learned, Untrained, MetaTrained, Pretrained)

ASKED_FOR = ("accuracy_and_seconds", "embedding_health", "learning_curves", "principal_components")
"""Figures that a study has to list: of few data, of what others show with less beside it, or of how training went."""

Inputs = dict[str, list[str]]
"""Paths by the name under which a figure takes them."""


class SeededRun(NamedTuple):
    """A meta-training run at one of its seeds."""

    name: str
    """Key of the run in the config."""
    spec: MetaTrain


def one_of(names: Iterable[str]) -> str:
    """Wildcard constraint that admits exactly these names, so that a mistyped target is an error."""
    return "|".join(map(re.escape, names)) or "(?!)"


def manifests(stores: Iterable[str]) -> list[str]:
    """The manifest beside each store, file or folder."""
    return [str(PurePath(store).with_suffix(".manifest.json")) for store in stores]


def dataset_stores(names: Iterable[str]) -> list[str]:
    """Prepared datasets."""
    return [f"<results>/datasets/{name}.zarr" for name in names]


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
        # Hundreds of jobs have the same.
        self._fingerprints: dict[tuple[tuple[str, ...], tuple[str, ...]], str] = {}

    def study(self, name: str) -> Study:
        """A study by its name."""
        return self.config.studies[name]

    def studies(self, *, of_learners: bool) -> list[str]:
        """Studies that compare learners on episodes, or representations by a few labels."""
        return [name for name, study in self.config.studies.items() if bool(study.learners) == of_learners]

    # Features

    @cached_property
    def learned_rules(self) -> list[str]:
        """Rules that have a theta."""
        return [name for name, spec in self.config.rules.items() if isinstance(spec, LEARNED)]

    @cached_property
    def representations(self) -> list[str]:
        """Every place that features may have below their folder."""
        return [*self._unrolled(self.config.base_models, self.config.rules), *self.config.embeddings]

    def of_study(self, name: str) -> list[str]:
        """The representations that a study compares or partitions, rules first."""
        study = self.study(name)
        return [*self._unrolled(study.base_models, study.rules), *study.embeddings]

    def feature_stores(self, name: str) -> list[str]:
        """Features of every representation of a study on every dataset."""
        places = product(self.of_study(name), self.study(name).datasets)
        return [f"<results>/features/{representation}/{dataset}.zarr" for representation, dataset in places]

    @staticmethod
    def _unrolled(base_models: Iterable[str], rules: Sequence[str] | Mapping[str, object]) -> list[str]:
        return [f"{base_model}/{rule}" for base_model, rule in product(base_models, rules)]

    # Meta-training

    def run_folders(self, rules: Iterable[str]) -> list[str]:
        """Folders of the meta-training runs, one a seed, that make the meta-trained ones of `rules`."""
        specs = [self.config.rules[rule] for rule in rules]
        names = dict.fromkeys(spec.run for spec in specs if isinstance(spec, MetaTrained))
        folders = (folder for name in names for folder, run in self.runs.items() if run.name == name)
        return [f"<results>/meta_train/{folder}" for folder in folders]

    def run_datasets(self, folder: str) -> list[str]:
        """Names of the datasets that a meta-training run reads.

        Raises:
            InputError: as for `check_run`.
        """
        run = self.runs[folder]
        check_run(self.config, run.name)
        return run_datasets(run.spec)

    def devices(self, folder: str) -> int:
        """Cores of each process of a run: two if it is alone, but one where seeds of it can be run side by side."""
        name, spec = self.runs[folder]
        return 1 if spec.processes > 1 or self.config.meta_train[name].seeds > 1 else 2

    def threads(self, folder: str) -> int:
        """Cores of all processes of a run."""
        return self.devices(folder) * self.runs[folder].spec.processes

    def together(self, *, several: bool) -> list[str]:
        """Folders of the runs that are several processes, or one."""
        return [folder for folder, (_, spec) in self.runs.items() if (spec.processes > 1) == several]

    def run_resource(self, folder: str, name: str) -> int:
        """Megabytes (`mem_mb`) or minutes (`runtime`) of a run."""
        return meta_training(self.runs[folder].spec)[name]

    def apply_resource(self, base_model: str, rule: str, dataset: str, name: str) -> int:
        """The same of applying a rule."""
        spec = self.config.rules[rule]
        thetas = spec.seeds if isinstance(spec, Untrained) else max(1, len(self.theta_of_run(rule)))
        network, data = self.config.base_models[base_model], self.config.datasets[dataset]
        return applying(self.config.apply, network, spec, data, thetas=thetas)[name]

    def theta_of_run(self, rule: str) -> list[str]:
        """The folders of thetas that a run of this config makes for `rule`, one per seed; none for other rules."""
        return [f"{folder}/snapshots" for folder in self.run_folders([rule])]

    def theta(self, rule: str) -> list[str]:
        """What holds the theta of `rule`: a file, for a meta-trained rule a folder per seed; none for other rules.

        Raises:
            InputError: no such theta comes with the project.
        """
        spec = self.config.rules[rule]
        if isinstance(spec, Pretrained):
            return [_pretrained(spec.name, f"rules.{rule}.name")]
        return self.theta_of_run(rule)

    def start(self, folder: str) -> list[str]:
        """The theta that a run starts from: one file, or none where it is drawn.

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

    # CACTUs

    def partition_kinds(self, *, of_features: bool) -> list[str]:
        """Keys of `partitions` whose kind is one of features, or of the examples as such."""
        return [name for name, spec in self.config.partitions.items() if spec.needs_features == of_features]

    @cached_property
    def partitioned(self) -> list[str]:
        """Every place that partitions may have below their folder."""
        return self._partitioned(self.representations, self.config.partitions)

    def _partitioned(self, representations: Iterable[str], partitions: Iterable[str]) -> list[str]:
        """`<representation>/<partition>`, or `<partition>` of those that need no features."""
        names = list(partitions)
        of_features = self.partition_kinds(of_features=True)
        pairs = product(representations, [name for name in names if name in of_features])
        return [*("/".join(pair) for pair in pairs), *(name for name in names if name not in of_features)]

    def meta_learners(self) -> list[str]:
        """Learners that tasks train."""
        return [name for name, spec in self.config.learners.items() if isinstance(spec, MetaLearned)]

    def other_learners(self, *, of_images: bool) -> list[str]:
        """Learners that nothing trains before an episode, by what they take."""
        specs = {name: spec for name, spec in self.config.learners.items() if name not in self.meta_learners()}
        return [name for name, spec in specs.items() if spec.takes_images == of_images]

    def episodes(self, name: str) -> list[str]:
        """Accuracies on each dataset's episodes of every learner of a study with what it learns from.

        That is `<learner>/<partitions>` where tasks train it, `<learner>/<representation>` where it takes features.

        Raises:
            InputError: as for `check_learners`.
        """
        check_learners(self.config, name)
        study, representations = self.study(name), self.of_study(name)
        of_learner = {
            **dict.fromkeys(self.meta_learners(), self._partitioned(representations, study.partitions)),
            **dict.fromkeys(self.other_learners(of_images=False), representations),
        }
        places = [
            f"{learner}/{place}" if place else learner
            for learner in study.learners
            for place in of_learner.get(learner, [""])
        ]
        return [
            f"<results>/studies/{name}/episodes/{place}/{dataset}.nc"
            for place, dataset in product(places, study.datasets)
        ]

    def snapshots(self, study: str, learner: str, partitioned: str, dataset: str) -> str:
        """What the training leaves of the learner that a study evaluates on a dataset."""
        trained_on = self.study(study).trained_on or dataset
        return f"<results>/learners/{learner_folder(self.config, learner)}/{partitioned}/{trained_on}/snapshots"

    # Experiments

    def experiments(self) -> dict[Experiment, str]:
        """The study that makes each experiment, of those that are run, in the order of the paper.

        Raises:
            InputError: two studies make the same one, or a study lacks what its experiment takes.
        """
        found: dict[Experiment, str] = {}
        for name in self.config.run:
            experiment = self.study(name).experiment
            if experiment is None:
                continue
            if experiment in found:
                raise InputError(f"run: {found[experiment]!r} and {name!r} are both {experiment!r}; run one of them")
            check_experiment(self.config, name)
            found[experiment] = name
        return {experiment: found[experiment] for experiment in EXPERIMENTS if experiment in found}

    def experiments_of(self, figure: str | None) -> list[str]:
        """The studies that make the experiments of a target's figure, or of all.

        Raises:
            InputError: there is none, or as for `experiments`.
        """
        found = [name for e, name in self.experiments().items() if figure in (None, FIGURES[e])]
        if not found:
            what = " or ".join(repr(e) for e in EXPERIMENTS if figure in (None, FIGURES[e]))
            raise InputError(f"{figure or 'comparison'}: none of the studies that are run is experiment {what}")
        return found

    def has_all_experiments(self) -> bool:
        """Whether every experiment is among the studies that are run."""
        return len(self.experiments()) == len(EXPERIMENTS)

    def compared_features(self) -> list[str]:
        """Features stores that the comparison looks at itself."""
        study = self.experiments().get("how-it-learns")
        return self.figures(study)["principal_components"]["features"] if study else []

    # Studies

    def evaluations(self, name: str) -> list[str]:
        """One for each representation of a study and each dataset.

        Raises:
            InputError: as for `check_study`.
        """
        check_study(self.config, name)
        places = product(self.of_study(name), self.study(name).datasets)
        return [f"<results>/studies/{name}/evaluate/{place}/{dataset}.nc" for place, dataset in places]

    def tables(self, name: str) -> list[str]:
        """The summary of a study, and its table."""
        return [f"<results>/studies/{name}/summary.nc", f"<results>/studies/{name}/table.md"]

    def figure_modules(self) -> list[str]:
        """Names of all figures that there are."""
        return sorted(path.stem for path in (self.package / "figures").glob("[a-z]*.py") if path.stem != "style")

    def figures(self, name: str) -> dict[str, Inputs]:
        """What each figure of a study is drawn from.

        Raises:
            InputError: the study asks for a figure that there is not, or that has nothing to show in it.
        """
        study = self.study(name)
        learned = [rule for rule in study.rules if self._is_trained(rule)]
        histories = [f"{folder}/history.zarr" for folder in self.run_folders(learned)]
        several = len({spec.run for rule in learned if isinstance(spec := self.config.rules[rule], MetaTrained)}) > 1
        images = [dataset for dataset in study.datasets if modality(self.config.datasets[dataset]) == "image"]
        filters = [
            f"<results>/features/{place}/{dataset}.zarr"
            for place, dataset in product(self._unrolled(study.base_models[:1], learned), images)
        ]
        components = [
            f"<results>/features/{place}/{dataset}.zarr"
            for place, dataset in product(self._unrolled(study.base_models[:1], learned[:1]), study.datasets)
        ]
        trained = [
            f"<results>/features/{embedding}/{dataset}.zarr"
            for embedding, dataset in product(study.embeddings, study.datasets)
            if makes_a_curve(self.config.embeddings[embedding])
        ]
        summary, of_learners = self.tables(name)[:1], bool(study.learners)
        partitioned = self._partitioned(self.of_study(name), study.partitions)
        learned_from = [study.trained_on] if study.trained_on else images
        neural = [
            f"<results>/features/{embedding}/{dataset}.zarr"
            for embedding, dataset in product(study.embeddings, learned_from)
            if isinstance(self.config.embeddings[embedding], Neural)
        ]
        clusters = [
            f"<results>/partitions/{place}/{dataset}.zarr"
            for place, dataset in product(partitioned, learned_from)
            if self._is_clusters(place)
        ]
        trainings = [
            f"<results>/learners/{learner_folder(self.config, learner)}/{place}/{dataset}/history.zarr"
            for learner, place, dataset in product(study.learners, partitioned, learned_from)
            if learner in self.meta_learners()
        ]
        of_methods = [] if of_learners else summary
        several_shapes = bool(study.rules) and len(study.base_models) > 2
        known: dict[str, Inputs] = {
            "meta_training_curves": {"histories": histories},
            "accuracy_over_compute": {"histories": histories if several else []},
            "few_shot_bars": {"summary": of_methods},
            "accuracy_and_seconds": {"summary": of_methods if len(self.of_study(name)) > 1 else []},
            "accuracy_over_inner_steps": {"summary": of_methods if study.rules else []},
            "first_layer_filters": {"features": filters},
            "accuracy_over_meta_training": {"summary": of_methods if has_snapshots(self.config, study) else []},
            "objective_mismatch": {"summary": of_methods, "features": trained},
            "principal_components": {"features": components, "datasets": dataset_stores(study.datasets)},
            "unseen_architectures": {"summary": of_methods if several_shapes else []},
            "accuracy_on_episodes": {"summary": summary if of_learners else []},
            "permuted_inputs": {"summary": summary if of_learners and has_permuted(self.config, study) else []},
            "pseudo_classes": {"partitions": clusters, "datasets": dataset_stores(images)},
            "embedding_health": {"features": neural, "datasets": dataset_stores(learned_from)},
            "accuracy_over_partitions": {"summary": summary if self._has_numbers_of_clusters(study) else []},
            "learning_curves": {"histories": trainings, "summary": summary if of_learners else []},
        }
        drawn = {figure: inputs for figure, inputs in known.items() if all(inputs.values())}
        if study.figures is None:
            return {figure: inputs for figure, inputs in drawn.items() if figure not in ASKED_FOR}
        for figure in study.figures:
            if figure not in drawn:
                why = "has nothing to show in this study" if figure in known else "is no figure"
                raise InputError(f"studies.{name}.figures: {figure!r} {why}; valid: {', '.join(drawn)}")
        return {figure: drawn[figure] for figure in study.figures}

    def _is_trained(self, rule: str) -> bool:
        """Whether a rule has a theta that was meta-trained at all."""
        spec = self.config.rules[rule]
        return isinstance(spec, Pretrained) or (isinstance(spec, MetaTrained) and spec.meta_step != 0)

    def _has_numbers_of_clusters(self, study: Study) -> bool:
        """Whether clusters differ in number alone so often that they make a curve."""
        specs = [spec for name in study.partitions if isinstance(spec := self.config.partitions[name], Clusters)]
        pairs = {(spec.partitions, spec.clusters) for spec in specs}
        return any(count >= CURVE for numbers in zip(*pairs, strict=True) for count in Counter(numbers).values())

    def _is_clusters(self, partitioned: str) -> bool:
        """Whether partitions, by their place below their folder, are clusters that were found."""
        return isinstance(self.config.partitions[PurePath(partitioned).name], Clusters)

    def figure_files(self, name: str) -> list[str]:
        """Every figure of a study, in every format."""
        places = product(self.figures(name), ("svg", "png"))
        return [f"<results>/studies/{name}/figures/{figure}.{suffix}" for figure, suffix in places]

    # Datasets

    def own_files(self, dataset: str) -> list[str]:
        """Files and folders of a user's own that a dataset is read from; none for sources that are fetched or packaged.

        Of a folder of images these are all folders in it, whose times change when images are added or taken away.

        Raises:
            InputError: there is no such file or folder, or it is from the future.
        """
        spec = self.config.datasets[dataset]
        if isinstance(spec, File):
            found = {Path(spec.path): "file"}
        elif isinstance(spec, ImageFolder):
            root = Path(spec.path)
            below = (folder for depth in ("*", "*/*") for folder in sorted(root.glob(depth)) if folder.is_dir())
            found = dict.fromkeys([root, *below], "folder")
        elif isinstance(spec, Celeba):
            images, *lists = (Path(spec.path, name) for name in spec.files)
            found = {images: "folder", **dict.fromkeys(lists, "file")}
        else:
            return []
        for path, kind in found.items():
            if not (path.is_file() if kind == "file" else path.is_dir()):
                what = f"is a {'folder' if kind == 'file' else 'file'}" if path.exists() else f"no such {kind}"
                raise InputError(f"datasets.{dataset}.path: {path}: {what}")
            check_time(path)
        return list(map(str, found))

    # Code

    def code(self, stage: str, *modules: str) -> str:
        """Fingerprint of a stage's source and of the modules of the package that it imports by name.

        Raises:
            InputError: the source does not parse.
        """
        return self._fingerprint(f"stage {stage}", NO_RESULT, f"stages.{stage}", *modules)

    def state_code(self, *modules: str) -> str:
        """Fingerprint of the source that the states of a run depend on, beginning with `modules`.

        Raises:
            InputError: the source does not parse.
        """
        return self._fingerprint(modules[0], NO_STATE, *modules, "io.jax_settings")

    def _fingerprint(self, place: str, without: tuple[str, ...], *roots: str) -> str:
        if (roots, without) not in self._fingerprints:
            try:
                found = fingerprint(
                    self.package,
                    *(f"metaplastic.{root.removeprefix('metaplastic.')}" for root in roots),
                    without=without,
                )
            except FingerprintError as error:
                raise InputError(f"source of {place}: {error}") from error
            self._fingerprints[roots, without] = found
        return self._fingerprints[roots, without]

    def rule_modules(self, rule: str) -> list[str]:
        """Modules that implement an update rule."""
        spec = self.config.rules[rule]
        if isinstance(spec, MetaTrained):
            return [self.config.meta_train[spec.run].rule.module]
        if isinstance(spec, Untrained):
            return [spec.rule.module]
        # Which one a pretrained rule takes stands in its file.
        if isinstance(spec, Pretrained):
            return [kind.module for kind in WITH_THETA]
        return [spec.module]

    def run_modules(self, folder: str) -> list[str]:
        """Modules that a meta-training run imports by name: of its rule, its estimator and its kinds of tasks."""
        spec = self.runs[folder].spec
        kinds = dict.fromkeys(source.module for source in spec.tasks.sources.values())
        return [
            spec.rule.module,
            spec.gradient.module,
            *kinds,
        ]

    def asked(self, dataset: str) -> list[str]:
        """Options that say what the studies which are run ask of a dataset, for the job that reads it to check."""
        studies = [study for name in self.config.run if dataset in (study := self.study(name)).datasets]
        shots = [max((study.few_shot or self.config.few_shot).shots) for study in studies if not study.learners]
        episodes = dict.fromkeys(
            canonical_json(study.episodes or self.config.episodes) for study in studies if study.learners
        )
        return [
            f"--shots={max(shots, default=0)}",
            f"--examples={max(map(self._examples, studies), default=0)}",
            *(f"--episodes={text}" for text in episodes),
        ]

    def _examples(self, study: Study) -> int:
        """Training examples that clusters of a study take, at least."""
        tables = {"embeddings": study.embeddings, "partitions": study.partitions, "learners": study.learners}
        specs = [getattr(self.config, table)[name] for table, names in tables.items() for name in names]
        # One an example, and of a partition so many that enough of them can have enough members.
        takers = [spec for spec in specs if isinstance(spec, Clusters | Random | DeepCluster | ClusterMatching)]
        full = [spec.accepted * spec.clusters * spec.members for spec in specs if isinstance(spec, Clusters)]
        return max(ceil(count) for count in [0, *(spec.clusters for spec in takers), *full])

    def source_module(self, dataset: str) -> str:
        """Module that prepares a dataset."""
        return self.config.datasets[dataset].module

    def embedding_module(self, embedding: str) -> str:
        """Module that makes an embedding."""
        return self.config.embeddings[embedding].module

    def learner_module(self, learner: str) -> str:
        """Module of a few-shot learner."""
        return self.config.learners[learner].module


def _pretrained(name: str, key: str) -> str:
    """The file of a theta that comes with the project; `key` of the config names it."""
    try:
        # Relative, so that a checkout may move.
        return os.path.relpath(pretrained_file(name))
    except InputError as error:
        raise InputError(f"{key}: {error}") from error
