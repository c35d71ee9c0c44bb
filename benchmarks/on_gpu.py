"""`python -m benchmarks.on_gpu --minutes 8 --output FOLDER`: what one wants to know when a GPU is at hand once.

Each part has a process of its own: the device's memory to itself, a deadline, and errors that leave the others alone. A
second call with the same folder measures what is missing and goes on with the meta-training. Datasets that the
meta-training shows are taken from FOLDER/datasets, or else prepared while the other parts are measured.
"""

import json
import multiprocessing
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from functools import partial
from importlib import import_module
from itertools import product
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import jax
import numpy as np
import yaml
from metaplastic.config.base import canonical_json, short_hash
from metaplastic.config.load import load_runs
from metaplastic.few_shot.spec import Shape
from metaplastic.io.errors import InputError
from metaplastic.io.memory import OUT_OF_MEMORY, device_memory
from metaplastic.io.storage import manifest_path, read_with_manifest, write_whole
from metaplastic.meta_train.data import task_sources
from metaplastic.meta_train.outer import meta_train
from metaplastic.meta_train.run import hyperparameters, meta_training
from metaplastic.meta_train.spec import EXECUTION, HeldOut, MetaTrain
from metaplastic.stages.command import run
from metaplastic.stages.prepare_dataset import prepare_dataset
from metaplastic.stages.trainings import folder_of
from metaplastic.training.loop import resumed
from metaplastic.training.progress import shown
from metaplastic.update_rules import polynomial
from metaplastic.update_rules.spec import Polynomial
from metaplastic.update_rules.theta import built_rule
from snakemake.utils import update_config  # type: ignore[import-untyped]
from typer import Option

from benchmarks import beside_torch
from benchmarks.beside_cpu import gradient_apart, recorded_gradients, replayed
from benchmarks.measurement import Measurement, Program, built, compiled, matrix_product, memory, seconds
from benchmarks.parts import Given, Numbers, Part, Rows, measure_parts, one_line
from benchmarks.tables import COLUMNS, PAPER_META_STEPS, PAPER_TASKS, PAPER_TRUNCATION
from workflow.fingerprint import Code

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "rules_src/metaplastic"
PRECISIONS = "float32", "tensorfloat32", "bfloat16"
ROUNDS = 5
"""Calls of which the median counts, after one that does not."""
USABLE = 0.8
"""Share of the device's memory that is planned for."""
SMALL = {"TASKS": 1, "STEPS": 2, "LABELLED": 4, "CLASSES": 2, "WIDTHS": (9, 4), "TOY_WIDTHS": (9, 4), "BATCH": 4}
"""What `benchmarks.programs` has in a rehearsal, with the polynomial rule, which compiles soonest, as either rule."""
SMALL_LEARNER = {"filters": 2, "task_batch": 1, "tasks": Shape(way=2, shots=1, queries=1)}
SMALL_TASKS = 8
SMALL_RUN = {
    "rule": {"kind": "polynomial"}, "precision": "float32", "base_models": [{"hidden": [], "features": 4}],
    "parallel_tasks": SMALL_TASKS, "microbatches": 1, "batch": 4, "labelled": 2,
    "tasks": {
        "side": 4, "classes": 2,
        "sources": {"gaussians": {"kind": "gaussians"}, "letters": {"kind": "images", "dataset": "letters"}},
    },
    "unroll": {"truncation": 2, "shortest": 4}, "held_out": {"every": 2, "inner_steps": 2, "tasks": 2},
}  # fmt: skip
"""What a rehearsal has in place of a meta-training's own keys."""


def correctness(given: Given) -> Rows:
    """Largest differences relative to largest entries: recorded cases of the released code, and meta-gradients."""
    programs, rules, _ = sized(given)
    # The published rule demands its own number of features.
    widths = *programs.TOY_WIDTHS[:-1], programs.WIDTHS[-1]
    for name, rule in rules.items():
        make = partial(lambda rule: programs.meta_gradient(rule(), widths=widths, batch=programs.TOY_BATCH), rule)
        yield f"meta-gradient, {name}, float32", partial(gradient_apart, make)
    # The smallest first, and alone in a rehearsal.
    for case in sorted((ROOT / "tests/data").glob("case_*.npz"), reverse=True)[: 1 if given.small else None]:
        for double in (False,) if given.small else (True, False):
            name = f"{case.stem}, {'float64' if double else 'float32'}"
            yield name, partial(replayed, case, double, 2 if given.small else None)
        if not given.small:
            yield f"{case.stem}, meta-gradient, float64", partial(recorded_gradients, case)


def sized(given: Given) -> tuple[Any, dict[str, Callable[[], Any]], Sequence[Any]]:
    """Return the programs of the other benchmark, its rules, and the precisions of update networks."""
    # Importing it takes the device, which only a part's own process may do.
    programs: Any = import_module("benchmarks.programs")
    if given.small:
        rule = partial(polynomial.build, Polynomial(kind="polynomial"), jax.random.key(0))
        gradient = partial(programs.meta_gradient, widths=SMALL["WIDTHS"], batch=SMALL["BATCH"])
        small = {**SMALL, "published_rule": rule, "compact_rule": rule, "meta_gradient": gradient}
        for name, value in small.items():
            setattr(programs, name, value)
    rules = {"compact": programs.compact_rule, "published": programs.published_rule}
    return programs, rules, PRECISIONS[: 1 if given.small else None]


def programs_in_precisions(given: Given) -> Rows:
    """Inner step and meta-gradient as `make bench` has them; what was compiled in earlier calls is only looked up."""
    programs, rules, precisions = sized(given)
    whats = ("inner step", programs.inner_step), ("meta-gradient", programs.meta_gradient)
    yardstick, rounds = matrix_product(), 1 if given.small else ROUNDS
    for precision, (what, of), (name, rule) in product(precisions, whats, rules.items()):
        make = partial(lambda of, rule, precision: of(rule().with_precision(precision)), of, rule, precision)
        yield f"{what}, {name}, {precision}", partial(measured, make, yardstick, rounds)


def measured(make: Callable[[], Program], yardstick: Callable[[], float], rounds: int) -> Numbers:
    """Return the columns of the other benchmark."""
    measurement = Measurement(built(make), yardstick)
    measurement.call()
    for _ in range(rounds):
        measurement.round()
    return {COLUMNS[name]: value for name, value in measurement.numbers().items() if name in COLUMNS}


def meta_steps(given: Given) -> Rows:
    """Meta-steps of the published rule at the paper's size, Adam and the drawing of tasks (Gaussians) included."""
    for precision in sized(given)[2]:
        yield f"published, {precision}", partial(at_papers_size, given, precision)


def at_papers_size(given: Given, precision: str) -> Numbers:
    """Measure meta-steps a second, with the tasks in as many parts one after another as memory demands."""
    programs, rules, _ = sized(given)
    tasks, parts = SMALL_TASKS if given.small else PAPER_TASKS, 1
    program = built(lambda: programs.in_precision(rules["published"], precision))
    each = memory(compiled(program.function, *program.arguments)) / programs.TASKS
    while parts < tasks and tasks / parts * each > USABLE * device_memory():
        parts *= 2
    section: dict[str, Any] = {
        "rule": {"kind": "polynomial" if given.small else "published"}, "precision": precision,
        "base_models": [{"hidden": list(programs.WIDTHS[1:-1]), "features": programs.WIDTHS[-1]}],
        "tasks": {"side": round(programs.WIDTHS[0] ** 0.5), "sources": {"gaussians": {"kind": "gaussians"}}},
        "parallel_tasks": tasks, "batch": programs.BATCH, "unroll": {"truncation": PAPER_TRUNCATION},
        "meta_steps": PAPER_META_STEPS, "held_out": {"every": 1},
    }  # fmt: skip
    while True:
        try:
            once = step_seconds(MetaTrain.model_validate({**section, "microbatches": parts}))
            break
        except RuntimeError as error:
            if OUT_OF_MEMORY not in str(error) or parts >= tasks:
                raise
            parts *= 2
    rates = {"meta-steps/s": 1 / once, "inner steps/s": tasks * PAPER_TRUNCATION / once}
    hours = {f"hours for {PAPER_META_STEPS:,}": PAPER_META_STEPS * once / 3600}
    return {"tasks": tasks, "of them at once": tasks // parts, **rates, **hours}


def step_seconds(spec: MetaTrain) -> float:
    """Return the seconds of a meta-step."""
    rule, sources = built_rule(spec.rule, jax.random.key(0)), task_sources(spec.tasks.sources, spec.tasks, {})
    items = meta_train(rule, sources, hyperparameters(spec), {})
    # The first is the state before all, and the second has to be compiled.
    return median([seconds(lambda: jax.block_until_ready(next(items).state)) for _ in range(2 + ROUNDS)][2:])


def learners(given: Given) -> Rows:
    """Training steps of few-shot learners, from the drawing of tasks to the update of weights."""
    size = beside_torch.CLASSES * beside_torch.MEMBERS, *beside_torch.IMAGE
    inputs = np.random.default_rng(0).random(size, np.float32)
    for name, (module, spec, steps) in beside_torch.LEARNERS.items():
        spec = spec.model_copy(update=SMALL_LEARNER) if given.small else spec
        yield name, partial(training_steps, module, spec, inputs, 1 if given.small else steps)


def training_steps(module: Any, spec: Any, inputs: np.ndarray, steps: int) -> Numbers:
    """Measure training steps and tasks a second."""
    call = beside_torch.trained_here(module, spec, inputs, steps)
    call()
    rate = steps / median(seconds(call) for _ in range(ROUNDS))
    return {"training steps/s": rate, "tasks a step": spec.task_batch, "tasks/s": rate * spec.task_batch}


def pre_training(given: Given) -> Rows:
    """Meta-steps of config/pretrain-gpu.yaml, with measurements shorter and more often than there."""
    section = configured()["meta_train"][given.name]
    # The defaults fit in minutes, and lose little when those are over.
    often = HeldOut().model_dump(include={"every", "inner_steps", "tasks"})
    section = {**section, **SMALL_RUN} if given.small else laid_over(section, {"held_out": often})
    yield given.name, partial(gone_on, given, section)


def configured() -> dict[str, Any]:
    """Return the default config with config/pretrain-gpu.yaml laid over it."""
    raw: dict[str, Any] = {}
    for name in ("config.yaml", "pretrain-gpu.yaml"):
        raw = laid_over(raw, yaml.safe_load((ROOT / "config" / name).read_text()))
    return raw


def laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Merge as Snakemake merges config files, and leave both as they are."""
    merged = deepcopy(below)
    update_config(merged, deepcopy(above))
    return merged


def gone_on(given: Given, section: dict[str, Any]) -> Iterator[Numbers]:
    """Go on with a meta-training, without what shows a dataset that cannot be had, until there is no time left."""
    code, known = Code(PACKAGE), given.folder / given.name / "lacking.json"
    stores = {name: store(given.folder, name) for name in MetaTrain.model_validate(section).datasets}
    if not known.exists():
        # Further calls go on without them too, even if they can be had by then.
        why = {name: path.with_suffix(".txt") for name, path in stores.items() if not manifest_path(path).exists()}
        missing = {name: text.read_text() if text.exists() else "not prepared yet" for name, text in why.items()}
        write_whole(known, lambda file: file.write_text(json.dumps(missing)))
    lacking = json.loads(known.read_text())
    spec = without(section, lacking)
    read = {name: read_with_manifest(stores[name]) for name in spec.datasets}
    datasets = {name: of[0] for name, of in read.items()}
    data = short_hash(*(of[1]["content_sha256"] for of in read.values()))
    by = code.of_state("metaplastic.meta_train.run", *spec.modules)
    folder = folder_of(given.folder / given.name, spec, code=by, data=data, without=EXECUTION)
    training = meta_training(spec, datasets, None, folder)
    note = {"note": "without " + ", ".join(f"{name} ({why})" for name, why in lacking.items())} if lacking else {}
    times, steps = [time.time()], list[int]()
    for item in shown(resumed(training, folder, spec.keep), training):
        times, steps = [*times, time.time()], [*steps, training.step(item.state)]
        now = steps[-1] - steps[0]
        found = {"meta-steps": steps[-1], "of them now": now, "measured": training.summary(item)}
        # The first dispatch of a process has to be compiled.
        if len(steps) > 2:
            found["a second, measurements included"] = (steps[-1] - steps[1]) / (times[-1] - times[2])
        yield found | note
        # The next dispatch takes about as long as the last.
        if now and (given.small or 2 * times[-1] - times[-2] > given.until):
            return


def prepare_datasets(folder: Path, name: str) -> None:
    """Prepare what a meta-training shows, all at once, since without a network it takes minutes to give up."""
    jax.config.update("jax_platforms", "cpu")
    settings, code = load_runs(configured()), Code(PACKAGE)

    def prepare(name: str) -> None:
        dataset, output = settings.datasets[name], store(folder, name)
        by, mirror = code.of_stage("prepare_dataset", dataset.module), settings.data.mirror
        places = Path(settings.data.cache), output, 0, 0, None, Path(mirror) if mirror else None
        try:
            prepare_dataset(name, canonical_json(dataset), by, *places)
        except Exception as error:
            why = one_line(error)
            write_whole(output.with_suffix(".txt"), lambda file: file.write_text(why))

    names = [name for name in settings.meta_train[name].datasets if not manifest_path(store(folder, name)).exists()]
    with ThreadPoolExecutor() as together:
        list(together.map(prepare, names))


def store(folder: Path, dataset: str) -> Path:
    """Return the path of a prepared dataset; a text beside it says why there is none."""
    return folder / "datasets" / f"{dataset}.zarr"


def without(section: dict[str, Any], datasets: Collection[str]) -> MetaTrain:
    """Return the section of a meta-training without what shows these datasets."""
    tasks, held_out = section["tasks"], section["held_out"]
    sources = {name: each for name, each in tasks["sources"].items() if each.get("dataset") not in datasets}
    watched = {
        "datasets": [name for name in held_out.get("datasets", []) if name not in datasets],
        "kinds": [name for name in held_out.get("kinds", []) if name in sources],
    }
    changed = {"tasks": {**tasks, "sources": sources}, "held_out": {**held_out, **watched}}
    return MetaTrain.model_validate({**section, **changed})


PARTS = {
    "correctness": Part(correctness, 4),
    "precisions": Part(programs_in_precisions, 3),
    "meta-steps": Part(meta_steps, 3),
    "learners": Part(learners, 1),
    "pre-training": Part(pre_training, 3, goes_on=True),
}


def on_gpu(
    output: Annotated[Path, Option(help="Folder for on_gpu.md, on_gpu.json and the state of the meta-training.")],
    minutes: Annotated[float, Option(min=0, help="That all parts together may take.")] = 8.0,
    name: Annotated[str, Option(help="The run of config/pretrain-gpu.yaml to go on with.")] = "compact-large",
    small: Annotated[bool, Option(help="Rehearse all of it in tiny sizes, in the folder `rehearsal` below.")] = False,
) -> None:
    """Hold the device against the CPU, measure it, and meta-train in what is left of the time."""
    if name not in (runs := configured()["meta_train"]):
        raise InputError(f"--name: no run {name!r}; valid: {', '.join(runs)}")
    # Sizes of a rehearsal must not pass for those of the device.
    folder = output.absolute() / "rehearsal" if small else output.absolute()
    beside = multiprocessing.get_context("spawn").Process(target=prepare_datasets, args=(folder, name), daemon=True)
    if minutes and not small:
        beside.start()
    print(measure_parts(PARTS, Given(folder, time.time() + 60 * minutes, small, name)))


if __name__ == "__main__":
    run(on_gpu)
