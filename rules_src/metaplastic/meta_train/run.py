"""Meta-training as a resumable run: what it leaves in its folder is a history of what it watched, and thetas."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import jax
import numpy as np
import xarray as xr
from jaxtyping import Float, PRNGKeyArray

from metaplastic.config.base import canonical_json
from metaplastic.io.errors import InputError
from metaplastic.io.memory import check_memory, numbers
from metaplastic.meta_train.allotment import of_shape, tasks_each, trained_sources
from metaplastic.meta_train.data import held_out_sources, task_sources
from metaplastic.meta_train.held_out import Probe, source_probe, watched
from metaplastic.meta_train.outer import MetaState, Metrics, Progress, initial_state, meta_train
from metaplastic.meta_train.spec import MetaTrain
from metaplastic.meta_train.tasks.source import Source
from metaplastic.training.checkpoint import save_state, state_path
from metaplastic.training.loop import Folder
from metaplastic.update_rules.base import MetaTrainable
from metaplastic.update_rules.theta import built_rule, first_keys, save_theta, trained_rule

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


class MetaTraining:
    """A `Run` of `meta_train`.

    Args:
        rule: the rule at its initial theta.
        sources: what tasks are made of, by name.
        spec: the run.
        probes: held-out data and its number of classes, by name.
        folder: where it lies; a state that ends the run is kept there.
    """

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
        self.steps, self.dispatch = spec.meta_steps, spec.held_out.every

    def initial(self) -> MetaState:
        """The state before the first meta-step."""
        return initial_state(self.rule, self.spec)

    def items(self, start: MetaState | None) -> Iterator[Progress]:
        """`meta_train`; raises `InputError` where too many tasks have not been finite."""
        for item in meta_train(self.rule, self.sources, self.spec, self.probes, start=start):
            self._stop_if_faulty(item.state)
            yield item

    def step(self, state: MetaState) -> int:
        """Updates of theta so far."""
        return int(state.meta_step)

    def history(self, item: Progress) -> xr.Dataset:
        """Metrics of a dispatch's meta-steps, and the held-out accuracy after it."""
        done = self.step(item.state)
        metrics = {name: ("meta_step", np.asarray(getattr(item.metrics, name))) for name in Metrics._fields}
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
                "side": of_shape(self.spec, self.spec.base_models[0]).tasks.side,
            },
        )
        for name, long_name in LONG_NAMES.items():
            history[name].attrs = {"long_name": long_name} | ({} if name == "dataset" else {"units": "1"})
        return history

    def snapshot(self, item: Progress, path: Path) -> None:
        """The average of theta, as a theta file."""
        save_theta(item.state.average, path, spec=self.spec.rule.model_dump(mode="json"))

    def summary(self, item: Progress) -> str:
        """The latest meta-loss and every held-out accuracy, as far as there are any."""
        loss = item.metrics.meta_loss
        parts = [f"meta-loss {float(loss.mean()):.3f}"] if loss.size else []
        return ", ".join([*parts, *(f"{name} {values.mean():.1%}" for name, values in item.held_out.items())])

    def _stop_if_faulty(self, state: MetaState) -> None:
        share, allowed = float(state.dropped), self.spec.faults.share
        if share > allowed:
            dump = self.folder.path / f"faulty-{state_path(self.folder.path, self.step(state)).name}"
            save_state(state, dump, self.folder.record)
            raise InputError(
                f"optimiser.learning_rate: {share:.0%} of the latest tasks were not finite, faults.share allows "
                f"{allowed:.0%}; give less; the state is in {dump}"
            )


def meta_training(
    spec: MetaTrain, datasets: Mapping[str, xr.Dataset], start: Path | None, folder: Folder
) -> MetaTraining:
    """The run that a section of the config describes.

    Args:
        spec: the section.
        datasets: those that it names, prepared.
        start: the theta file that its `start` names, if it names one.
        folder: where the run lies.

    Raises:
        InputError: there is too little memory, or as for `task_sources`, `watched` and `first_rule`.
    """
    key_theta, key_probe = first_keys(spec.seed)
    rule = first_rule(spec, start, key_theta)
    _check_size(rule, spec)
    sources = task_sources(spec.tasks, datasets)
    training = {name: sources[name] for name in trained_sources(spec)}
    probes = _probes(key_probe, sources, spec, datasets)
    return MetaTraining(rule, training, spec, probes, folder)


def _check_size(rule: MetaTrainable, spec: MetaTrain) -> None:
    labelled = spec.tasks.classes * spec.labelled
    length = max(spec.unroll.truncations or [spec.unroll.truncation])
    shapes = [of_shape(spec, shape) for shape in spec.base_models]
    windows = [(tasks_each(spec), length * seen.batch + 2 * labelled, seen.tasks.side**2) for seen in shapes]
    first = shapes[0]
    probe = spec.held_out.tasks, spec.held_out.inner_steps * first.batch + labelled, first.tasks.side**2
    check_memory(
        "base_models, parallel_tasks, tasks.side, batch, labelled, held_out",
        {
            "tasks and the optimiser": jax.eval_shape(lambda: initial_state(rule, spec)),
            "a meta-step's data": [numbers(*window) for window in windows],
            "a probe's": numbers(*probe),
        },
    )


def first_rule(spec: MetaTrain, start: Path | None, key: PRNGKeyArray) -> MetaTrainable:
    """The rule at the theta that a run starts from.

    Raises:
        InputError: `start` is missing, is given though the spec names none, or holds a rule of another config.
    """
    if (start is None) != (spec.start is None):
        raise InputError(f"--start: has to be given where, and only where, the spec names one; it names {spec.start}")
    if start is None:
        return built_rule(spec.rule, key)
    found, rule = trained_rule(start)
    if found != spec.rule:
        raise InputError(f"{start}: holds {canonical_json(found)}, the run is of {canonical_json(spec.rule)}")
    return rule


def _probes(
    key: PRNGKeyArray, sources: Mapping[str, Source], spec: MetaTrain, datasets: Mapping[str, xr.Dataset]
) -> dict[str, tuple[Probe, int]]:
    """What is watched, and its number of classes: the sources, held-out parts of those trained on, other datasets."""
    held_out = held_out_sources(trained_sources(spec), spec.tasks, datasets)
    spec = of_shape(spec, spec.base_models[0])
    shown = {**sources, **{f"held-out {name}": source for name, source in held_out.items()}}
    probes = {name: (source_probe(key, source, spec), spec.tasks.classes) for name, source in shown.items()}
    return probes | {name: watched(key, datasets[name], spec) for name in spec.held_out.datasets}


def mean_and_standard_error(
    accuracy: Float[np.ndarray, "*dataset task"],
) -> tuple[Float[np.ndarray, "*dataset"], Float[np.ndarray, "*dataset"]]:
    """Over a probe's tasks; the error of one task alone is zero."""
    tasks = accuracy.shape[-1]
    return accuracy.mean(-1), accuracy.std(-1, ddof=1 if tasks > 1 else 0) * tasks**-0.5
