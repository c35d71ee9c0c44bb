"""The whole config: sections keyed by name, and the studies that combine them. Loaded by the workflow alone."""

import difflib
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from functools import cache
from itertools import product
from typing import Annotated, Any, TypeVar

from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from metaplastic.config.base import Distinct, Folder, Name, Section, canonical_json, short_hash
from metaplastic.datasets.spec import Celeba, Data, Dataset, File
from metaplastic.embeddings.spec import Convolutional, Embedding
from metaplastic.few_shot.learners.spec import Learner, Maml, MetaLearned
from metaplastic.few_shot.spec import Episodes, FewShot, Hyperplanes, Labels, Partition
from metaplastic.io.errors import InputError
from metaplastic.meta_train.spec import EXECUTION, MetaTrain
from metaplastic.meta_train.tasks.spec import Images, Projections
from metaplastic.results.spec import FIGURES, Experiment
from metaplastic.update_rules.spec import Apply, BaseModel, MetaTrained, Rule

RULES = frozenset(
    {"all", "datasets", "meta_train", "apply", "evaluate", "episodes", "figures"}
    | {"prepare_dataset", "meta_train_rule", "meta_train_together", "apply_rule", "apply_hand_made_rule", "embed"}
    | {"evaluate_few_shot", "summarise", "draw_figure", "partition", "partition_dataset", "meta_learn"}
    | {"evaluate_on_images", "evaluate_on_features", "evaluate_meta_learned", "summarise_episodes"}
    | {"compare", "comparison", *FIGURES.values()}
)
"""Names of the workflow's rules, which no study's target may have."""

Figure = Annotated[str, Field(pattern=r"^[a-z0-9]+(_[a-z0-9]+)*$")]
"""Name of a module of figures."""


Validated = TypeVar("Validated", bound=Section)


class Study(Section):
    """What is compared on what, with a table and figures of its own: every name is a key of the tables below."""

    datasets: Annotated[list[Name], Field(min_length=1), Distinct]
    """Keys of `datasets` that methods are evaluated on."""
    base_models: Annotated[list[Name], Distinct] = []
    """Keys of `base_models` that rules train."""
    rules: Annotated[list[Name], Distinct] = []
    """Keys of `rules` that are applied."""
    embeddings: Annotated[list[Name], Distinct] = []
    """Keys of `embeddings` that rules are compared with."""
    partitions: Annotated[list[Name], Distinct] = []
    """Keys of `partitions`, of the features of every rule and embedding, that learners are trained on."""
    learners: Annotated[list[Name], Distinct] = []
    """Keys of `learners` that are evaluated on episodes; a study that has some makes no few-shot table."""
    trained_on: Name | None = None
    """The one of `datasets` that learners are trained on, in place of each dataset itself."""
    episodes: Episodes | None = None
    """The episodes of learners, in place of the config's `episodes`."""
    few_shot: FewShot | None = None
    """The protocol, in place of the config's `few_shot`."""
    figures: Annotated[list[Figure], Distinct] | None = None
    """What is drawn; by default every figure that has something to show, but for
    `accuracy_and_seconds`, `embedding_health`, `learning_curves` and `principal_components`."""
    experiment: Experiment | None = None
    """The experiment of Metz et al. 2019 that it is. Of those among the studies that are run, `figure_2` to `figure_6`
    make a figure of the paper, `comparison` holds all against it."""


class Config(Section):
    """The workflow's config."""

    results: Folder = "results"
    """Folder for everything that the workflow makes."""
    run: Annotated[list[Name], Field(min_length=1), Distinct]
    """Keys of `studies` that are made where no target is named; each study's name is a target too."""
    studies: dict[Name, Study]
    """Studies to choose from; what they share is made once."""
    data: Data = Data()
    datasets: dict[Name, Dataset]
    """Datasets to choose from, each of one source."""
    base_models: dict[Name, BaseModel] = {}
    """Networks to choose from."""
    rules: dict[Name, Rule] = {}
    """Update rules to choose from, each of one kind."""
    embeddings: dict[Name, Embedding] = {}
    """Other methods to choose from, each of one kind; no name may also be one of `rules`."""
    partitions: dict[Name, Partition] = {}
    """Ways to take clusters for classes, each of one kind."""
    learners: dict[Name, Learner] = {}
    """Few-shot learners to choose from, each of one kind."""
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
            if target(name) in RULES:
                raise ValueError(f"{place}: the name is that of a rule of the workflow; rename it")
            for table in ("datasets", "base_models", "rules", "embeddings", "partitions", "learners"):
                for listed in getattr(study, table):
                    _look_up(listed, getattr(self, table), f"{place}.{table}", table)
            takers = [("embeddings", e) for e in study.embeddings if isinstance(self.embeddings[e], Convolutional)]
            takers += [("learners", learner) for learner in study.learners if self.learners[learner].takes_images]
            for (table, taker), dataset in product(takers, study.datasets):
                if modality(self.datasets[dataset]) != "image":
                    raise ValueError(f"{place}.{table}: {taker!r} takes images, dataset {dataset!r} has none")
            if not study.rules and not study.embeddings and not study.learners:
                raise ValueError(f"{place}: neither rules nor embeddings; list at least one method")
            if study.rules and not study.base_models:
                raise ValueError(f"{place}.base_models: rules need networks to train; list at least one")
        return self

    @model_validator(mode="after")
    def _learners_fit(self) -> "Config":
        for name, study in self.studies.items():
            place, episodes = f"studies.{name}", study.episodes or self.episodes
            learners = {learner: self.learners[learner] for learner in study.learners}
            trained = {learner: spec for learner, spec in learners.items() if isinstance(spec, MetaLearned)}
            if study.trained_on is not None and study.trained_on not in study.datasets:
                raise ValueError(f"{place}.trained_on: {study.trained_on!r} is none of its datasets")
            if study.trained_on is not None and not trained:
                raise ValueError(f"{place}.trained_on: no learner of the study is trained; list one or leave it out")
            if trained and not study.partitions:
                raise ValueError(f"{place}.partitions: {next(iter(trained))!r} needs some to be trained on; list one")
            if study.partitions and not trained:
                raise ValueError(f"{place}.learners: none that is trained on partitions; list one")
            for learner, spec in trained.items():
                if isinstance(spec, Maml) and (way := max(episodes.ways)) > spec.tasks.way:
                    raise ValueError(
                        f"learners.{learner}.tasks.way: {spec.tasks.way} outputs are too few for the {way} ways of "
                        f"{place}; give at least that"
                    )
                for partition in study.partitions:
                    if not study.rules and not study.embeddings and self.partitions[partition].needs_features:
                        raise ValueError(f"{place}.embeddings: {partition!r} partitions features; list at least one")
                    key, classes = _classes(self.partitions[partition])
                    if classes is not None and classes < spec.tasks.way:
                        raise ValueError(
                            f"partitions.{partition}.{key}: {classes} are fewer than the {spec.tasks.way} ways of "
                            f"learners.{learner}.tasks; give at least that"
                        )
                    members, needed = self.partitions[partition].members, spec.tasks.shots + spec.tasks.queries
                    if members < needed:
                        raise ValueError(
                            f"partitions.{partition}.members: {members} are too few for the {needed} shots and queries "
                            f"of learners.{learner}.tasks; give at least that"
                        )
            for learner, any_spec in learners.items():
                if not any_spec.takes_images and not study.rules and not study.embeddings:
                    raise ValueError(f"{place}.embeddings: learner {learner!r} takes features; list at least one")
        return self

    @model_validator(mode="after")
    def _attributes_fit(self) -> "Config":
        faces = [name for name, spec in self.datasets.items() if isinstance(spec, Celeba)]
        oracles = [name for name, spec in self.partitions.items() if isinstance(spec, Labels)]
        for name, study in self.studies.items():
            place, episodes = f"studies.{name}", study.episodes or self.episodes
            for dataset in set(study.datasets) & set(faces):
                if not study.learners:
                    raise ValueError(f"{place}.datasets: {dataset!r} has attributes, no classes; only learners take it")
                if episodes.ways != [2]:
                    raise ValueError(f"{place}.episodes.ways: attributes of {dataset!r} make 2 classes; give [2]")
                for learner, oracle in product(study.learners, set(study.partitions) & set(oracles)):
                    spec = self.learners[learner]
                    if isinstance(spec, MetaLearned) and spec.tasks.way > 2:
                        raise ValueError(
                            f"learners.{learner}.tasks.way: {oracle!r} of {dataset!r} has 2 classes, {spec.tasks.way} "
                            "are too many"
                        )
        return self

    @model_validator(mode="after")
    def _names_exist(self) -> "Config":
        for name, rule in self.rules.items():
            if isinstance(rule, MetaTrained):
                _look_up(rule.run, self.meta_train, f"rules.{name}.run", "meta_train")
                kept = snapshot_steps(self.meta_train[rule.run])
                if rule.meta_step is not None and rule.meta_step not in kept:
                    near = min(kept, key=lambda step: abs(step - (rule.meta_step or 0)), default=None)
                    hint = "it keeps none" if near is None else f"the nearest that it keeps is {near}"
                    raise ValueError(f"rules.{name}.meta_step: {rule.meta_step} is no snapshot of {rule.run!r}; {hint}")
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


def _check_runs(runs: Mapping[str, MetaTrain], datasets: Mapping[str, Any]) -> None:
    for name, run in runs.items():
        places = {f"tasks.sources.{source}.dataset": used for source, used in _source_datasets(run).items()}
        for key, used in [*places.items(), *(("held_out.datasets", used) for used in run.held_out.datasets)]:
            place = f"meta_train.{name}.{key}"
            _look_up(used, datasets, place, "datasets")
            if modality(datasets[used]) != "image":
                raise ValueError(f"{place}: {used!r} has no images")


def target(study: str) -> str:
    """The name of the workflow's rule that makes a study."""
    return study.replace("-", "_")


def modality(dataset: Any) -> str:
    """What is known before a dataset is read: `image`, `text` or `table`; a file holds images where it has a `side`."""
    if isinstance(dataset, File):
        return "image" if dataset.side else "table"
    return str(dataset.modality)


def run_datasets(run: MetaTrain) -> list[str]:
    """Names of all datasets that a meta-training run reads."""
    return sorted({*_source_datasets(run).values(), *run.held_out.datasets})


def snapshot_steps(run: MetaTrain) -> list[int]:
    """Meta-steps after which a run keeps its theta for good."""
    if not run.keep.snapshots:
        return []
    apart = run.held_out.every * run.keep.snapshots
    return sorted({*range(0, run.meta_steps, apart), run.meta_steps})


def meta_train_folders(config: Config, run: str) -> dict[str, MetaTrain]:
    """`<run>-<hash of its spec and of the specs of its datasets>/seed-<seed>` for each seed, and what is run there.

    So a changed number never overwrites a long run, and a further seed leaves the others as they are. Defaults do not
    count, so that a later version's new keys rename nothing, nor does what no result depends on.
    """
    spec = config.meta_train[run]
    datasets = (canonical_json(config.datasets[name], defaults=False) for name in run_datasets(spec))
    text = canonical_json(spec, without=[*EXECUTION, "seed", "seeds"], defaults=False)
    folder = f"{run}-{short_hash(text, *datasets)}"
    seeds = range(spec.seed, spec.seed + spec.seeds)
    return {f"{folder}/seed-{seed}": spec.model_copy(update={"seed": seed, "seeds": 1}) for seed in seeds}


def learner_folder(config: Config, learner: str) -> str:
    """`<learner>-<hash of its spec>`: a changed number never overwrites a long training; defaults do not count."""
    return f"{learner}-{short_hash(canonical_json(config.learners[learner], defaults=False))}"


def _classes(partition: Partition) -> tuple[str, int | None]:
    """The key that says how many clusters a partition has, as far as one does, and that number."""
    if isinstance(partition, Labels):
        return "kind", None
    return (
        ("way", partition.way)
        if isinstance(partition, Hyperplanes)
        else ("clusters", getattr(partition, "clusters", None))
    )


def _source_datasets(run: MetaTrain) -> dict[str, str]:
    """For each source that shows a dataset, that dataset's name."""
    sources = run.tasks.sources.items()
    return {name: source.dataset for name, source in sources if isinstance(source, Images | Projections)}


def load(raw: Mapping[str, Any]) -> Config:
    """Validate a parsed config.

    Raises:
        InputError: naming the first wrong key and, where one is close, the valid key that was probably meant.
    """
    return _validated(Config, raw)


def load_runs(raw: Mapping[str, Any]) -> Runs:
    """Validate the sections of a parsed config that meta-training reads; the workflow's other sections are ignored.

    Raises:
        InputError: as for `load`.
    """
    ignored = Config.model_fields.keys() - Runs.model_fields.keys()
    return _validated(Runs, {key: section for key, section in raw.items() if key not in ignored})


def _validated(model: type[Validated], raw: Mapping[str, Any]) -> Validated:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise InputError(_explain(error)) from error


def _look_up(name: str, table: Mapping[str, Any], place: str, table_name: str) -> None:
    if name not in table:
        raise ValueError(f"{place}: {name!r} is no key of {table_name}{_nearest(name, table)}")


def _nearest(name: str, valid: Iterable[str]) -> str:
    valid = sorted(valid)
    close = difflib.get_close_matches(name, valid, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; valid: {', '.join(valid)}"


def _explain(error: ValidationError) -> str:
    details = error.errors()
    # A typo is often also a missing key; the typo is the one to mend.
    first = next((d for d in details if d["type"] == "extra_forbidden"), details[0])
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return f"config: {_describe(first)}{more}"


def _describe(detail: ErrorDetails) -> str:
    kind, given, context = detail["type"], detail["input"], detail.get("ctx", {})
    place, siblings = _locate(detail["loc"])
    if kind == "extra_forbidden":
        return f"unknown key {place!r}{_nearest(str(detail['loc'][-1]), siblings)}"
    if kind == "missing":
        return f"missing key {place!r}"
    if kind == "union_tag_not_found":
        return f"missing key '{place}.{_unquoted(context['discriminator'])}'"
    if kind == "union_tag_invalid":
        tags = [_unquoted(tag) for tag in context["expected_tags"].split(", ")]
        return (
            f"{place}.{_unquoted(context['discriminator'])}: unknown {context['tag']!r}{_nearest(context['tag'], tags)}"
        )
    if detail["loc"][-1:] == ("[key]",):
        return f"{place}: a name has lower-case letters and digits, parted by single hyphens"
    message = detail["msg"].removeprefix("Value error, ")
    shown = "" if not place or isinstance(given, dict) else f", got {given!r}"
    return f"{place + ': ' if place else ''}{message}{shown}{_number_as_text(kind, given)}"


def _unquoted(text: str) -> str:
    return text.strip("'")


def _number_as_text(kind: str, given: object) -> str:
    if kind not in {"float_type", "int_type"} or not isinstance(given, str):
        return ""
    try:
        plain = f"{Decimal(given):f}"
    except InvalidOperation:
        return ""
    return f", which is text; write {plain}" + (
        " (YAML takes 1e-3 for text, 1.0e-3 for a number)" if "e" in given else ""
    )


def _locate(loc: tuple[int | str, ...]) -> tuple[str, set[str]]:
    """Dotted path of the key at `loc`, a path as pydantic reports it, and the keys that the schema allows beside it.

    Pydantic puts the tag of a union member into the path as if it were a key; no such key is in the user's file.
    """
    schema = _schema()
    node: dict[str, Any] = schema
    place, siblings = [], set[str]()
    for part in loc:
        if part == "[key]":
            break
        if mapping := node.get("discriminator", {}).get("mapping"):
            node = _resolve({"$ref": mapping[part]}, schema)
            continue
        siblings = set(node.get("properties", {}))
        place.append(str(part))
        node = _resolve(_child(node, part), schema)
    return ".".join(place), siblings


@cache
def _schema() -> dict[str, Any]:
    return Config.model_json_schema()


def _child(node: dict[str, Any], part: int | str) -> dict[str, Any]:
    patterns = node.get("patternProperties")
    if part in node.get("properties", {}):
        return dict(node["properties"][part])
    if isinstance(patterns, dict):
        return dict(next(iter(patterns.values())))
    values = node.get("additionalProperties") or node.get("items")
    return values if isinstance(values, dict) else {}


def _resolve(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    return dict(schema["$defs"][node["$ref"].rsplit("/", 1)[1]]) if "$ref" in node else node
