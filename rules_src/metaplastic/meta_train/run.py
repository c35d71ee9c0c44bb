"""Meta-training as a resumable run: its folder receives thetas and a history of what was measured."""

from collections.abc import Iterator, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray as xr
from jaxtyping import Float, PRNGKeyArray

from metaplastic.config.base import canonical_json
from metaplastic.io.errors import InputError
from metaplastic.io.jax_settings import seed_key
from metaplastic.io.memory import check_memory, single_precision, size
from metaplastic.meta_train.data import small_images, task_sources
from metaplastic.meta_train.held_out import Probe, dataset_probe, source_probe
from metaplastic.meta_train.outer import Hyperparameters, MetaState, Progress, initial_state, meta_train
from metaplastic.meta_train.spec import MetaTrain, TaskShape
from metaplastic.meta_train.tasks import spec as config
from metaplastic.meta_train.tasks.mixture import shares
from metaplastic.meta_train.tasks.source import Jitter, Setting, Source, Variety
from metaplastic.meta_train.window import Group, Totals, window_loss
from metaplastic.network import initial_base_model
from metaplastic.training.checkpoint import save_state, state_path
from metaplastic.training.loop import Folder
from metaplastic.update_rules.base import MetaTrainable, UpdateRule
from metaplastic.update_rules.theta import built_rule, save_theta, trained_rule

LONG_NAMES = {
    "meta_loss": "meta-objective, mean over the tasks that were finite",
    "gradient_norm": "global norm of the meta-gradient before clipping",
    "clipped": "1 where that was more than the optimiser lets through, else 0",
    "inner_rate": "inner step size of the rule",
    "dropped": "share of tasks that were not finite, and therefore left out and replaced",
    "truncation": "inner steps of the window",
    "held_out_accuracy": "test accuracy of a ridge readout, mean over a probe's tasks",
    "held_out_sem": "its standard error",
    "meta_step": "updates of theta",
    "evaluation_step": "updates of theta before the measurement",
    "dataset": "what is watched: a source of tasks, held-out classes of one, or a further dataset",
}


def hyperparameters(spec: MetaTrain) -> Hyperparameters:
    """Turn a section of the config into the plain numbers and functions of the algorithm."""
    # Imported by name; the workflow's fingerprints take the module as a root of its own.
    module, unroll, adam = import_module(spec.gradient.module), spec.unroll, spec.optimiser
    loss = partial(window_loss, ridge=spec.ridge, objective_every=unroll.objective_every)
    warmup = min(adam.warmup, spec.meta_steps // 2)
    rate = optax.warmup_cosine_decay_schedule(0.0, adam.learning_rate, warmup, decay_steps=spec.meta_steps)
    return Hyperparameters(
        groups=[group(spec, shape) for shape in spec.base_models],
        at_once=spec.at_once,
        totals=Totals(unroll.shortest, unroll.longest, unroll.longest_at_first, unroll.growth),
        truncations=unroll.lengths,
        dispatch=spec.draw.every or spec.held_out.every,
        microbatches=spec.microbatches,
        estimator=module.build(spec.gradient, loss),
        optimiser=optax.chain(optax.clip_by_global_norm(adam.clip), optax.adam(rate)),
        clip=adam.clip,
        average=spec.average,
        fault_window=spec.faults.window,
        ridge=spec.ridge,
        precision=spec.precision,
        meta_steps=spec.meta_steps,
        watch=spec.held_out.every,
        seed=spec.seed,
    )


def group(spec: MetaTrain, shape: TaskShape) -> Group:
    """Describe the parallel tasks of one base model."""
    setting = task_setting(spec.tasks, spec.side_of(shape), spec.classes_of(shape))
    activations = shape.activations or [shape.activation]
    weights = {name: source.weight for name, source in spec.trained_sources.items()}
    widths, each = shape.widths(setting.side**2), shares(weights, spec.tasks_each)
    return Group(widths, activations, setting, spec.batch_of(shape), spec.labelled, each)


def task_setting(tasks: config.Tasks, side: int, classes: int) -> Setting:
    """Describe what all sources of tasks have in common."""
    jitter, variety = Jitter(**dict(tasks.jitter)), Variety(**dict(tasks.variety))
    return Setting(side, classes, jitter, variety, tasks.coefficient_weight)


class MetaTraining:
    """A `Run` of `meta_train`, with its arguments; a state with too many faults is kept in `folder`."""

    unit = "meta-steps"
    growing: Mapping[str, str] = {"meta_step": "meta_step", "evaluation": "evaluation_step"}

    def __init__(
        self,
        rule: MetaTrainable,
        sources: Mapping[str, Source],
        spec: MetaTrain,
        probes: Mapping[str, tuple[Probe, int]],
        folder: Folder,
    ) -> None:
        self.rule, self.sources, self.spec, self.probes, self.folder = rule, sources, spec, probes, folder
        self.hyper = hyperparameters(spec)
        self.steps, self.dispatch = self.hyper.meta_steps, self.hyper.watch

    def initial(self) -> MetaState:
        """Return the state before the first meta-step."""
        return initial_state(self.rule, self.hyper)

    def items(self, start: MetaState | None) -> Iterator[Progress]:
        """Yield the items of `meta_train`; raise `InputError` where too many tasks have not been finite."""
        for item in meta_train(self.rule, self.sources, self.hyper, self.probes, start=start):
            share, allowed = float(item.state.dropped), self.spec.faults.share
            if share > allowed:
                dump = self.folder.path / f"faulty-{state_path(self.folder.path, self.step(item.state)).name}"
                save_state(item.state, dump, self.folder.record)
                raise InputError(
                    f"optimiser.learning_rate: {share:.0%} of the latest tasks were not finite, faults.share allows "
                    f"{allowed:.0%}; give less; the state is in {dump}"
                )
            yield item

    def step(self, state: MetaState) -> int:
        """Return the updates of theta so far."""
        return int(state.meta_step)

    def history(self, item: Progress) -> xr.Dataset:
        """Return the metrics of a dispatch's meta-steps, and the held-out accuracy after it."""
        done = self.step(item.state)
        metrics = {name: ("meta_step", np.asarray(values)) for name, values in item.metrics._asdict().items()}
        mean, error = mean_and_standard_error(np.stack(list(item.held_out.values())))
        history = xr.Dataset(
            {
                **metrics,
                "held_out_accuracy": (("dataset", "evaluation"), mean[:, None]),
                "held_out_sem": (("dataset", "evaluation"), error[:, None]),
            },
            coords={
                "meta_step": np.arange(done - len(item.metrics.meta_loss), done) + 1,
                "dataset": np.array(list(item.held_out), dtype=object),
                "evaluation_step": ("evaluation", [done]),
            },
            attrs={
                "inner_steps": self.spec.held_out.inner_steps,
                "labelled_per_class": self.spec.labelled,
                "side": self.hyper.groups[0].setting.side,
            },
        )
        for name, long_name in LONG_NAMES.items():
            history[name].attrs = {"long_name": long_name} | ({} if name == "dataset" else {"units": "1"})
        return history

    def snapshot(self, item: Progress, path: Path) -> None:
        """Write the average of theta as a theta file."""
        save_theta(item.state.average, path, spec=self.spec.rule.model_dump(mode="json"))

    def summary(self, item: Progress) -> str:
        """Report the latest meta-loss, if there is one, and every held-out accuracy."""
        loss = item.metrics.meta_loss
        parts = [f"meta-loss {float(loss.mean()):.3f}"] if loss.size else []
        return ", ".join([*parts, *(f"{name} {values.mean():.1%}" for name, values in item.held_out.items())])


def meta_training(
    spec: MetaTrain, datasets: Mapping[str, xr.Dataset], start: Path | None, folder: Folder
) -> MetaTraining:
    """Build the run that a section of the config describes.

    Args:
        spec: the section.
        datasets: the prepared datasets that it names.
        start: the theta file that its `start` names, if it names one.
        folder: the run's folder.

    Raises:
        InputError: there is too little memory, or as for `image_pool`, `watched` and `first_rule`.
    """
    key_theta, key_probe = jax.random.split(jax.random.fold_in(seed_key(spec.seed), 1))
    rule = first_rule(spec, start, key_theta)
    _check_size(rule, spec)
    sources = task_sources(spec.tasks.sources, spec.tasks, datasets)
    held_out = task_sources(spec.trained_sources, spec.tasks, datasets, held_out=True)
    shown = sources | {f"held-out {name}": source for name, source in held_out.items()}
    like, how = group(spec, spec.base_models[0]), _of_probes(spec)
    probes = {name: (source_probe(key_probe, each, like, **how), like.setting.classes) for name, each in shown.items()}
    probes |= {name: watched(key_probe, datasets[name], spec) for name in spec.held_out.datasets}
    return MetaTraining(rule, {name: sources[name] for name in spec.trained_sources}, spec, probes, folder)


def _check_size(rule: MetaTrainable, spec: MetaTrain) -> None:
    hyper = hyperparameters(spec)

    def shown(group: Group, tasks: int, steps: int, batches: int) -> Any:
        examples = steps * group.batch + batches * group.labelled * group.setting.classes
        return single_precision(tasks, examples, group.setting.side**2)

    windows = [shown(each, each.tasks, max(hyper.truncations), batches=2) for each in hyper.groups]
    parts = {
        "tasks and the optimiser": jax.eval_shape(lambda: initial_state(rule, hyper)),
        "a meta-step's data": sorted(windows, key=size)[-hyper.at_once :],
        "a probe's": shown(hyper.groups[0], spec.held_out.tasks, spec.held_out.inner_steps, batches=1),
    }
    check_memory("base_models, parallel_tasks, tasks.side, batch, labelled, held_out", parts)


def first_rule(spec: MetaTrain, start: Path | None, key: PRNGKeyArray) -> MetaTrainable:
    """Return the rule that a run starts from; raise InputError if `start` is not of the rule that the spec names."""
    if (start is None) != (spec.start is None):
        raise InputError(f"--start: has to be given where, and only where, the spec names one; it names {spec.start}")
    if start is None:
        return built_rule(spec.rule, key)
    found, rule = trained_rule(start)
    if found != spec.rule:
        raise InputError(f"{start}: holds {canonical_json(found)}, the run is of {canonical_json(spec.rule)}")
    return rule


def watched(key: PRNGKeyArray, dataset: xr.Dataset, spec: MetaTrain) -> tuple[Probe, int]:
    """Return the probe of an image dataset at the side of the run's first base model, and its number of classes.

    Raises:
        InputError: as for `small_images` and `dataset_probe`.
    """
    like = group(spec, spec.base_models[0])
    inputs, labels = small_images(dataset, like.setting.side)
    return dataset_probe(key, inputs, labels, like, **_of_probes(spec)), len(dataset.attrs["class_names"])


def _of_probes(spec: MetaTrain) -> dict[str, int]:
    return {"tasks": spec.held_out.tasks, "inner_steps": spec.held_out.inner_steps}


def inner_step_flops(rule: UpdateRule, spec: MetaTrain) -> float:
    """Count the floating-point operations of an inner step of all parallel tasks, as XLA does before optimisation."""

    def cost(group: Group) -> float:
        phi = initial_base_model(jax.random.key(0), group.widths, *group.activations)
        step = jax.jit(lambda rule, phi, x: rule.update(phi, x))
        counted: Any = step.lower(rule, phi, jnp.zeros((group.batch, group.widths[0]))).cost_analysis()
        return float(counted["flops"])

    costs = [cost(group(spec, shape)) for shape in spec.base_models]
    return spec.parallel_tasks * sum(costs) / len(costs)


def mean_and_standard_error(
    accuracy: Float[np.ndarray, "*dataset task"],
) -> tuple[Float[np.ndarray, "*dataset"], Float[np.ndarray, "*dataset"]]:
    """Return both over a probe's tasks; the error of a single task is zero."""
    tasks = accuracy.shape[-1]
    return accuracy.mean(-1), accuracy.std(-1, ddof=1 if tasks > 1 else 0) * tasks**-0.5
