"""Accuracy on fixed probes, both of training tasks and of data never trained on; the run itself does not use it."""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from metaplastic.io.compilation import jit
from metaplastic.io.errors import InputError
from metaplastic.meta_train.objective import normalised_targets, ridge_readout, with_ones
from metaplastic.meta_train.spec import SCORED
from metaplastic.meta_train.tasks.mixture import every_class, random_classes, show
from metaplastic.meta_train.tasks.source import Source
from metaplastic.meta_train.window import Group, unroll
from metaplastic.network import BaseModel, initial_base_model
from metaplastic.update_rules.base import UpdateRule


class Probe(NamedTuple):
    """Fixed data and fixed initial base models, several for one dataset."""

    phi: BaseModel
    unlabelled: Float[Array, "task step batch input"]
    fit_x: Float[Array, "task fit input"]
    fit_y: Int[Array, "task fit"]
    score_x: Float[Array, "task score input"]
    score_y: Int[Array, "task score"]


def source_probe(key: PRNGKeyArray, source: Source, group: Group, *, tasks: int, inner_steps: int) -> Probe:
    """Draw tasks like those of a group in meta-training, all from `source`."""
    shape, setting = (inner_steps, group.batch), group.setting
    fit, score = every_class(group.labelled, setting), every_class(SCORED, setting)

    def sample(key: PRNGKeyArray) -> Probe:
        key_task, key_phi, key_classes, key_show = jax.random.split(key, 4)
        unlabelled = random_classes(key_classes, math.prod(shape), setting)
        shown = show(key_show, key_task, source, jnp.concatenate([unlabelled, fit, score]), setting)
        batches, fit_x, score_x = jnp.split(shown.inputs, [len(unlabelled), len(unlabelled) + len(fit)])
        phi = initial_base_model(key_phi, group.widths, *group.activations)
        return Probe(phi, batches.reshape(*shape, -1), fit_x, fit, score_x, score)

    return jit(eqx.filter_vmap(sample))(jax.random.split(key, tasks))


def dataset_probe(
    key: PRNGKeyArray,
    inputs: Float[Array, "example input"],
    labels: Int[Array, " example"],
    group: Group,
    *,
    tasks: int,
    inner_steps: int,
) -> Probe:
    """Draw tasks of all classes, inputs permuted; raise InputError if a class has too few examples."""
    classes = int(labels.max()) + 1
    needed, fewest = group.labelled + SCORED, int(jnp.bincount(labels).min())
    if fewest < needed:
        raise InputError(f"held_out.datasets: a class has {fewest} examples; watching a dataset takes {needed} of each")

    def sample(key: PRNGKeyArray, inputs: Array, labels: Array) -> Probe:
        key_order, key_permutation, key_phi, key_batches = jax.random.split(key, 4)
        x = inputs[:, jax.random.permutation(key_permutation, inputs.shape[1])]
        order = jax.random.permutation(key_order, len(labels))
        # Examples sorted by class and, within a class, in random order: row c of `by_class` holds those of class c.
        by_class = order[jnp.argsort(labels[order], stable=True)]
        starts = jnp.searchsorted(labels[by_class], jnp.arange(classes))
        fit = by_class[(starts[:, None] + jnp.arange(group.labelled)).reshape(-1)]
        score = by_class[(starts[:, None] + group.labelled + jnp.arange(SCORED)).reshape(-1)]
        phi = initial_base_model(key_phi, group.widths, *group.activations)
        unlabelled = x[jax.random.randint(key_batches, (inner_steps, group.batch), 0, len(x))]
        return Probe(phi, unlabelled, x[fit], labels[fit], x[score], labels[score])

    # The dataset is an argument, not a constant of the program: it may be much larger than the sample.
    sampled = eqx.filter_vmap(sample, in_axes=(0, None, None))
    return jit(sampled)(jax.random.split(key, tasks), inputs, labels)


@jit
def held_out_accuracy(rule: UpdateRule, probe: Probe, *, classes: int, ridge: float) -> Float[Array, " task"]:
    """Return the accuracy of a ridge readout of features after the probe's inner steps, from 0 to 1 for each task."""

    def accuracy(probe: Probe) -> Float[Array, ""]:
        phi = unroll(rule, probe.phi, probe.unlabelled)
        features = phi.features(jnp.concatenate([probe.fit_x, probe.score_x]))
        fit, score = features[: len(probe.fit_x)], features[len(probe.fit_x) :]
        readout = ridge_readout(fit, normalised_targets(jax.nn.one_hot(probe.fit_y, classes)), ridge=ridge)
        return ((with_ones(score) @ readout).argmax(1) == probe.score_y).mean()

    return jax.vmap(accuracy)(probe)
