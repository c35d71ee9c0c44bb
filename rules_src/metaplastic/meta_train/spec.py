"""Config of a meta-training run: the rule, the task distribution and the outer loop."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from metaplastic.config.base import (
    LARGEST_SEED,
    Count,
    Decay,
    Distinct,
    Kind,
    Name,
    PositiveFloat,
    PositiveFraction,
    PositiveInt,
    Section,
    Seed,
    TwoOrMore,
)
from metaplastic.meta_train.tasks.spec import Tasks, TaskSource
from metaplastic.training.spec import Keep
from metaplastic.update_rules.spec import Activation, BaseModel, Learned, Precision

SCORED = 50
"""Examples per class on which a readout on held-out data is scored."""


class Unroll(Section):
    """Truncated unrolls: each meta-step continues each task for `truncation` inner steps, until the task's total."""

    truncation: PositiveInt = 10
    """Inner steps per meta-gradient."""
    truncations: list[PositiveInt] = []
    """Lengths from which every dispatch draws its truncation, in place of `truncation`; each is compiled once."""
    objective_every: PositiveInt | None = None
    """Inner steps between meta-objectives, which are averaged over the window; by default only one, at its end."""
    shortest: PositiveInt = 20
    """Smallest total of inner steps before a task restarts."""
    longest: PositiveInt = 200
    """Largest total; totals are drawn log-uniformly."""
    longest_at_first: PositiveInt | None = None
    """Largest total at the first meta-step, from where it grows geometrically; by default it is always `longest`."""
    growth: PositiveInt = 1000
    """Meta-steps until a growing largest total has become `longest`."""

    @property
    def lengths(self) -> list[int]:
        """All truncations that may be drawn."""
        return self.truncations or [self.truncation]

    @model_validator(mode="after")
    def _ordered(self) -> "Unroll":
        if not max(self.lengths) <= self.shortest <= self.longest:
            raise ValueError("truncation <= shortest <= longest has to hold")
        if self.longest_at_first and not self.shortest <= self.longest_at_first < self.longest:
            raise ValueError("shortest <= longest_at_first < longest has to hold")
        for length in self.lengths:
            if self.objective_every and length % self.objective_every:
                raise ValueError(f"objective_every: {self.objective_every} does not divide a truncation of {length}")
        return self


class Estimator(Kind):
    """How the meta-gradient is estimated."""

    folder: ClassVar[str] = "estimators"
    kind: str


class TruncatedBackprop(Estimator):
    """Backpropagation through each window; everything before it counts as constant."""

    kind: Literal["truncated-backprop"]
    rematerialise: bool = True
    """Whether the backward pass repeats each inner step, which takes time, or stores it, which takes memory."""


class Evolution(Estimator):
    """Evolution strategies: antithetic Gaussian perturbations of theta, one pair per task."""

    module: ClassVar[str] = "metaplastic.meta_train.estimators.evolution"

    reuse: ClassVar[bool] = False
    """Whether a task keeps one perturbation for its whole unroll."""
    sigma: PositiveFloat = 0.01
    """Standard deviation of the perturbations."""


class Pes(Evolution):
    """Persistent evolution strategies (Vicol et al. 2021): a new perturbation every window, summed over the unroll."""

    module: ClassVar[str] = Evolution.module
    kind: Literal["pes"]


class Nres(Evolution):
    """Noise-reuse evolution strategies (Li et al. 2023): one perturbation for a task's whole unroll."""

    module: ClassVar[str] = Evolution.module
    reuse: ClassVar[bool] = True
    kind: Literal["nres"]


class Adam(Section):
    """Adam with global-norm clipping and a cosine decay to zero."""

    learning_rate: PositiveFloat = 0.01
    """Largest learning rate, after the warm-up."""
    clip: PositiveFloat = 1.0
    """Largest global norm of a meta-gradient."""
    warmup: Count = 20
    """Meta-steps of linear warm-up."""


class HeldOut(Section):
    """Accuracy measured while meta-training; it does not influence the run."""

    every: PositiveInt = 25
    """Meta-steps between measurements."""
    inner_steps: PositiveInt = 100
    """Inner steps of a fresh base model before it is scored."""
    tasks: PositiveInt = 8
    """Base models averaged per dataset."""
    datasets: Annotated[list[Name], Distinct] = []
    """Image datasets, resized to the tasks' side, on which accuracy is measured besides the tasks' own sources."""
    kinds: Annotated[list[Name], Distinct] = []
    """Keys of `tasks.sources` on which accuracy is only measured, never trained."""


class Faults(Section):
    """When tasks that are not finite end a run; every such task is left out, replaced and counted."""

    share: PositiveFraction = 0.1
    """Largest share of such tasks, averaged over about `window` meta-steps."""
    window: PositiveInt = 50
    """Meta-steps after which such a task counts e times less."""


class TaskShape(BaseModel):
    """A network that the rule learns to train, with settings of its own tasks where these differ from the run's."""

    activations: Annotated[list[Activation], Distinct] = []
    """Activation functions of which every task draws one, in place of `activation`; they share what is compiled."""
    side: PositiveInt | None = None
    """Height and width of the images that its tasks show; at most `tasks.side`, which is the default."""
    batch: PositiveInt | None = None
    """Unlabelled examples per inner step, in place of the run's `batch`."""
    classes: TwoOrMore | None = None
    """Classes per task; at most `tasks.classes`, which is the default."""


class Draw(Section):
    """What meta-steps draw besides tasks and data: the base models that take part, and the truncation."""

    base_models: PositiveInt | None = None
    """Number of `base_models` that take part, neighbours in the list, and share out all tasks; by default all."""
    every: PositiveInt | None = None
    """Meta-steps until both are drawn again; by default `held_out.every`. Each pair that is drawn is compiled once."""


EXECUTION = ("keep", "processes")
"""Keys of a run that do not affect its results."""


class MetaTrain(Section):
    """One meta-training run."""

    rule: Learned
    """The update rule whose theta is learned."""
    start: Name | None = None
    """Rule in `data/pretrained`, of equal config, whose theta the run starts from; by default it is drawn at random."""
    base_models: Annotated[list[TaskShape], Field(min_length=1)]
    """Networks that the rule learns to train, with equally many tasks each; accuracy is measured with the first one."""
    draw: Draw = Draw()
    tasks: Tasks = Tasks()
    parallel_tasks: PositiveInt = 8
    """Tasks per meta-step."""
    microbatches: PositiveInt = 1
    """Parts into which they are divided, one done after another, where memory is short."""
    batch: PositiveInt = 16
    """Unlabelled examples per inner step."""
    labelled: PositiveInt = 10
    """Labelled examples per class in each of the meta-objective's two batches."""
    ridge: PositiveFloat = 0.1
    """Penalty of the meta-objective's ridge readout."""
    unroll: Unroll = Unroll()
    gradient: Estimator = TruncatedBackprop(kind="truncated-backprop")
    """How the meta-gradient is estimated."""
    precision: Precision = "float32"
    """Precision of the rule's update network in meta-training; all else, measurements included, is in float32."""
    optimiser: Adam = Adam()
    average: Decay = 0.0
    """Decay per meta-step of the moving average of theta that is measured and saved; 0 turns averaging off."""
    meta_steps: PositiveInt
    """Updates of theta."""
    faults: Faults = Faults()
    held_out: HeldOut = HeldOut()
    keep: Keep = Keep()
    processes: PositiveInt = 1
    """Processes that share the tasks, each with its own devices; under Slurm they are the tasks of one job."""
    seed: Seed = 0
    """Seed of everything random: theta, tasks, data, probes."""
    seeds: PositiveInt = 1
    """Runs that differ only in the seed, counted up from `seed`: parallel jobs, and a level of every interval."""

    @property
    def at_once(self) -> int:
        """Base models of a meta-step."""
        return self.draw.base_models or len(self.base_models)

    @property
    def tasks_each(self) -> int:
        """Parallel tasks of each base model."""
        return self.parallel_tasks // self.at_once

    @property
    def trained_sources(self) -> dict[str, TaskSource]:
        """The sources of `tasks` that are not held out."""
        return {name: source for name, source in self.tasks.sources.items() if name not in self.held_out.kinds}

    @property
    def datasets(self) -> list[str]:
        """Names of all datasets that the run reads, sorted."""
        shown = {source.dataset for source in self.tasks.sources.values() if source.dataset}
        return sorted(shown | {*self.held_out.datasets})

    @property
    def snapshot_steps(self) -> list[int]:
        """Meta-steps after which the run keeps its theta for good."""
        kept = range(0, self.meta_steps, self.held_out.every * self.keep.snapshots) if self.keep.snapshots else ()
        return sorted({*kept, self.meta_steps})

    @property
    def modules(self) -> list[str]:
        """Dotted names of the modules that a run imports by name: its rule's, its estimator's and its sources'."""
        sources = dict.fromkeys(source.module for source in self.tasks.sources.values())
        return [self.rule.module, self.gradient.module, *sources]

    def side_of(self, shape: TaskShape) -> int:
        """Return the side of the images that the tasks of a base model show."""
        return shape.side or self.tasks.side

    def batch_of(self, shape: TaskShape) -> int:
        """Return the unlabelled examples per inner step of a base model."""
        return shape.batch or self.batch

    def classes_of(self, shape: TaskShape) -> int:
        """Return the classes of each task of a base model."""
        return shape.classes or self.tasks.classes

    @model_validator(mode="after")
    def _seeds_fit(self) -> "MetaTrain":
        if self.seed + self.seeds - 1 > LARGEST_SEED:
            exceeding = f"{self.seeds} from {self.seed} up exceed the largest seed, {LARGEST_SEED}"
            raise ValueError(f"seeds: {exceeding}; give fewer")
        return self

    @model_validator(mode="after")
    def _tasks_divide(self) -> "MetaTrain":
        if len(self.base_models) % self.at_once:
            raise ValueError(f"draw.base_models: {self.at_once} does not divide {len(self.base_models)} base_models")
        if self.draw.every and self.held_out.every % self.draw.every:
            raise ValueError(f"draw.every: {self.draw.every} does not divide held_out.every, {self.held_out.every}")
        shapes, trained = self.at_once, len(self.trained_sources)
        each, left = divmod(self.parallel_tasks, shapes)
        if left:
            raise ValueError(f"parallel_tasks: {self.parallel_tasks} cannot be shared out over {shapes} base_models")
        if each % self.microbatches:
            raise ValueError(f"microbatches: {self.microbatches} does not divide {each} parallel_tasks of a base model")
        if each // self.microbatches % self.processes:
            tasks = f"{each // self.microbatches} tasks of a base model"
            raise ValueError(f"processes: {self.processes} cannot share out {tasks} that are done at once")
        if not trained:
            raise ValueError("held_out.kinds: no source is left to train on; list fewer")
        if trained > each:
            least = f"at least {shapes * trained}"
            raise ValueError(f"parallel_tasks: {trained} sources with {shapes} base_models take {least}")
        return self

    @model_validator(mode="after")
    def _networks_fit(self) -> "MetaTrain":
        if not self.rule.has_update_network and self.precision != "float32":
            raise ValueError(f"precision: a {self.rule.kind} rule has no update network whose precision to choose")
        for base_model in self.base_models:
            if self.rule.demanded_features not in {None, base_model.features}:
                raise ValueError(f"base_models.features: has to be rule.features, {self.rule.demanded_features}")
            if base_model.side and base_model.side > self.tasks.side:
                raise ValueError(f"base_models.side: {base_model.side} is more than tasks.side, {self.tasks.side}")
            if self.classes_of(base_model) > self.tasks.classes:
                most = f"tasks.classes, {self.tasks.classes}"
                raise ValueError(f"base_models.classes: {base_model.classes} is more than {most}")
        return self

    @model_validator(mode="after")
    def _held_out_kinds_exist(self) -> "MetaTrain":
        sources = self.tasks.sources
        for name in self.held_out.kinds:
            if name not in sources:
                raise ValueError(f"held_out.kinds: {name!r} is not a key of tasks.sources; valid: {', '.join(sources)}")
        for name in self.held_out.datasets:
            if name in sources:
                raise ValueError(f"held_out.datasets: {name!r} is the name of one of tasks.sources too; rename that")
        return self
