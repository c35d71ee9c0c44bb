"""The whole config: tables of sections keyed by name, and the studies that combine them. Only the workflow loads it."""

from collections.abc import Mapping
from itertools import product
from typing import Annotated, Any

from pydantic import Field, model_validator

from metaplastic.config.base import Distinct, Folder, Name, Section, canonical_json, nearest, short_hash
from metaplastic.datasets.spec import Data, Dataset
from metaplastic.embeddings.spec import Embedding
from metaplastic.few_shot.spec import Episodes, FewShot, Learner, MetaLearned, Partition, Shape
from metaplastic.meta_train.spec import EXECUTION, MetaTrain
from metaplastic.results.arms import arm_name, usual_partition
from metaplastic.results.spec import Experiment
from metaplastic.update_rules.spec import Apply, BaseModel, Rule

Figure = Annotated[str, Field(pattern=r"^[a-z0-9]+(_[a-z0-9]+)*$")]
"""Name of a module of `metaplastic.figures`."""
TABLES = ("datasets", "base_models", "rules", "embeddings", "partitions", "learners")
"""Keys of a study that list keys of the config's table of the same name."""


class Study(Section):
    """A comparison with a table and figures of its own; every name is a key of the tables below."""

    datasets: Annotated[list[Name], Field(min_length=1), Distinct]
    """Keys of `datasets` that methods are evaluated on."""
    base_models: Annotated[list[Name], Distinct] = []
    """Keys of `base_models` that rules train; one, if learners are to take its features."""
    rules: Annotated[list[Name], Distinct] = []
    """Keys of `rules` that are applied."""
    embeddings: Annotated[list[Name], Distinct] = []
    """Keys of `embeddings` that rules are compared with."""
    partitions: Annotated[list[Name], Distinct] = []
    """Keys of `partitions`, made from the features of every rule and embedding, that learners are trained on; at most
    one of true labels."""
    learners: Annotated[list[Name], Distinct] = []
    """Keys of `learners` that are evaluated on episodes. A study with learners has no few-shot table."""
    trained_on: Name | None = None
    """The one of `datasets` that learners are trained on. By default each dataset trains its own."""
    episodes: Episodes | None = None
    """The episodes of learners, in place of the config's `episodes`."""
    few_shot: FewShot | None = None
    """The protocol, in place of the config's `few_shot`."""
    figures: Annotated[list[Figure], Distinct] | None = None
    """Figures to draw. By default these are all that have something to show, except
    `accuracy_and_seconds`, `embedding_health`, `learning_curves` and `principal_components`."""
    experiment: Experiment | None = None
    """The experiment of Metz et al. 2019 that the study repeats. The targets `figure_2` to `figure_6` make those of one
    figure of the paper, and `comparison` holds all of them against it."""


class Config(Section):
    """The workflow's config."""

    results: Folder = "results"
    """Folder for everything that the workflow makes."""
    run: Annotated[list[Name], Field(min_length=1), Distinct]
    """Keys of `studies` to make when no target is named. The name of each study is a target too."""
    studies: dict[Name, Study]
    """Studies to choose from. Results that they share are made once."""
    data: Data = Data()
    datasets: dict[Name, Dataset]
    """Datasets to choose from."""
    base_models: dict[Name, BaseModel] = {}
    """Networks to choose from."""
    rules: dict[Name, Rule] = {}
    """Update rules to choose from."""
    embeddings: dict[Name, Embedding] = {}
    """Other methods to choose from. Their names must differ from those of `rules`."""
    partitions: dict[Name, Partition] = {}
    """Ways to take clusters for classes."""
    learners: dict[Name, Learner] = {}
    """Few-shot learners to choose from."""
    meta_train: dict[Name, MetaTrain] = {}
    """Meta-training runs that rules of kind `meta-trained` may name."""
    apply: Apply = Apply()
    few_shot: FewShot = FewShot()
    episodes: Episodes = Episodes()

    @model_validator(mode="after")
    def _studies_exist(self) -> "Config":
        for name in self.run:
            _look_up(name, self.studies, "run", "studies")
        for name, study in self.studies.items():
            place = f"studies.{name}"
            for table in TABLES:
                for listed in getattr(study, table):
                    _look_up(listed, getattr(self, table), f"{place}.{table}", table)
            for table in ("embeddings", "learners"):
                for taker, dataset in product(getattr(study, table), study.datasets):
                    if getattr(self, table)[taker].takes_images and self.datasets[dataset].modality != "image":
                        raise ValueError(f"{place}.{table}: {taker!r} takes images, dataset {dataset!r} has none")
            if not study.rules and not study.embeddings and not study.learners:
                raise ValueError(f"{place}: neither rules nor embeddings; list at least one method")
            if study.rules and not study.base_models:
                raise ValueError(f"{place}.base_models: rules need networks to train; list at least one")
        return self

    @model_validator(mode="after")
    def _learners_fit(self) -> "Config":
        for name, study in self.studies.items():
            place, ways = f"studies.{name}", (study.episodes or self.episodes).ways
            learners = {learner: self.learners[learner] for learner in study.learners}
            trained = {learner: spec for learner, spec in learners.items() if isinstance(spec, MetaLearned)}
            partitions = {partition: self.partitions[partition] for partition in study.partitions}
            _check_trained(place, study, trained)
            oracles = [partition for partition, spec in partitions.items() if spec.true_labels]
            if len(oracles) > 1:
                both = f"{oracles[0]!r} and {oracles[1]!r} are both of true labels"
                raise ValueError(f"{place}.partitions: {both}, which a table shows under one name; list one")
            _check_told_apart(place, study, trained, partitions)
            if learners and study.rules and len(study.base_models) > 1:
                raise ValueError(f"{place}.base_models: learners take the features of one network; list one")
            for (learner, spec), (partition, of) in product(trained.items(), partitions.items()):
                if spec.trainings > 1 and not of.needs_features:
                    raise ValueError(f"learners.{learner}.rounds: {partition!r} of {place} partitions no features")
                _check_tasks(f"learners.{learner}.tasks", spec.tasks, f"partitions.{partition}", of)
            for learner, spec in trained.items():
                if spec.most_ways is not None and max(ways) > spec.most_ways:
                    few = (
                        f"{spec.most_ways} outputs are too few for the {max(ways)} ways of {place}; give at least that"
                    )
                    raise ValueError(f"learners.{learner}.tasks.way: {few}")
            if not study.rules and not study.embeddings:
                for partition in (partition for partition, of in partitions.items() if of.needs_features):
                    raise ValueError(f"{place}.embeddings: {partition!r} partitions features; list at least one")
                for learner in (learner for learner, of in learners.items() if not of.takes_images):
                    raise ValueError(f"{place}.embeddings: learner {learner!r} takes features; list at least one")
            for dataset in (dataset for dataset in study.datasets if self.datasets[dataset].has_attributes):
                if not study.learners:
                    raise ValueError(f"{place}.datasets: {dataset!r} has attributes, no classes; only learners take it")
                if ways != [2]:
                    raise ValueError(f"{place}.episodes.ways: attributes of {dataset!r} make 2 classes; give [2]")
                for (learner, spec), oracle in product(trained.items(), oracles):
                    if (way := spec.tasks.way) > 2:
                        few = f"{oracle!r} of {dataset!r} has 2 classes, {way} are too many"
                        raise ValueError(f"learners.{learner}.tasks.way: {few}")
        return self

    @model_validator(mode="after")
    def _names_exist(self) -> "Config":
        for name, rule in self.rules.items():
            if rule.trained_by is not None:
                _look_up(rule.trained_by, self.meta_train, f"rules.{name}.run", "meta_train")
                kept, meta_step = self.meta_train[rule.trained_by].snapshot_steps, rule.snapshot
                if meta_step is not None and meta_step not in kept:
                    near = min(kept, key=lambda step: abs(step - meta_step))
                    no = f"{meta_step} is not a snapshot of {rule.trained_by!r}"
                    raise ValueError(f"rules.{name}.meta_step: {no}; the nearest that it keeps is {near}")
        _check_runs(self.meta_train, self.datasets)
        for name in self.rules.keys() & self.embeddings.keys():
            raise ValueError(f"embeddings.{name}: the name is taken by rules.{name}; rename one of them")
        return self


class Runs(Section):
    """The sections of a config that meta-training without the workflow reads."""

    data: Data = Data()
    datasets: dict[Name, Dataset]
    meta_train: dict[Name, MetaTrain]

    @model_validator(mode="after")
    def _names_exist(self) -> "Runs":
        _check_runs(self.meta_train, self.datasets)
        return self


def _check_runs(runs: Mapping[str, MetaTrain], datasets: Mapping[str, Dataset]) -> None:
    for name, run in runs.items():
        sources = [(f"tasks.sources.{key}.dataset", source.dataset) for key, source in run.tasks.sources.items()]
        for key, used in [*sources, *(("held_out.datasets", dataset) for dataset in run.held_out.datasets)]:
            if used is None:
                continue
            place = f"meta_train.{name}.{key}"
            _look_up(used, datasets, place, "datasets")
            if datasets[used].modality != "image":
                raise ValueError(f"{place}: {used!r} has no images")


def _check_trained(place: str, study: Study, trained: Mapping[str, MetaLearned]) -> None:
    """Refuse learners without partitions to train them, and the other way round."""
    if study.trained_on is not None and study.trained_on not in study.datasets:
        raise ValueError(f"{place}.trained_on: {study.trained_on!r} is none of its datasets")
    if study.trained_on is not None and not trained:
        raise ValueError(f"{place}.trained_on: no learner of the study is trained; list one or leave it out")
    if trained and not study.partitions:
        raise ValueError(f"{place}.partitions: {next(iter(trained))!r} needs some to be trained on; list one")
    if study.partitions and not trained:
        raise ValueError(f"{place}.learners: none that is trained on partitions; list one")


def _check_told_apart(
    place: str, study: Study, trained: Mapping[str, MetaLearned], partitions: Mapping[str, Partition]
) -> None:
    """Refuse learners of which several would have one name in results, as `results.scores` names them."""
    usual = usual_partition({key: of.partitions for key, of in partitions.items() if of.kind == "k-means"})
    arms: dict[str, tuple[str, ...]] = {learner: (learner,) for learner in study.learners if learner not in trained}
    for learner, (partition, of) in product(trained, partitions.items()):
        name = arm_name(learner, partition, usual=usual, true_labels=of.true_labels)
        if arms.setdefault(name, (learner, partition)) != (learner, partition):
            two = " and ".join(" on ".join(map(repr, arm)) for arm in (arms[name], (learner, partition)))
            raise ValueError(f"{place}.learners: {two} are both {name!r} in results; rename one")


def _check_tasks(tasks: str, shape: Shape, place: str, partitions: Partition) -> None:
    """Refuse partitions, at a place, whose clusters are too few or too small for the shape of the tasks at another."""
    (key, classes), needed = partitions.task_classes or ("", shape.way), shape.members
    if classes < shape.way:
        few = f"{classes} are fewer than the {shape.way} ways of {tasks}; give at least that"
        raise ValueError(f"{place}.{key}: {few}")
    if partitions.members < needed:
        few = f"{partitions.members} are too few for the {needed} shots and queries of {tasks}; give at least that"
        raise ValueError(f"{place}.members: {few}")


def _look_up(name: str, table: Mapping[str, Any], place: str, table_name: str) -> None:
    if name not in table:
        raise ValueError(f"{place}: {name!r} is not a key of {table_name}{nearest(name, table)}")


def meta_train_folders(config: Config, run: str) -> dict[str, MetaTrain]:
    """Return `<run>-<hash>/seed-<seed>` for each seed of a run, with the run at that seed.

    The hash is over the run and its datasets, so that a changed number never overwrites a long run and a further seed
    leaves the others alone. Keys at their defaults do not count, so that new keys rename nothing; neither do keys on
    which no result depends.
    """
    spec = config.meta_train[run]
    datasets = (canonical_json(config.datasets[name], defaults=False) for name in spec.datasets)
    text = canonical_json(spec, without=[*EXECUTION, "seed", "seeds"], defaults=False)
    folder = f"{run}-{short_hash(text, *datasets)}"
    seeds = range(spec.seed, spec.seed + spec.seeds)
    return {f"{folder}/seed-{seed}": spec.model_copy(update={"seed": seed, "seeds": 1}) for seed in seeds}


def learner_folder(config: Config, learner: str) -> str:
    """Return `<learner>-<hash>`, so that a changed number never overwrites a long training; more steps prolong it."""
    text = canonical_json(config.learners[learner], without=["steps"], defaults=False)
    return f"{learner}-{short_hash(text)}"
