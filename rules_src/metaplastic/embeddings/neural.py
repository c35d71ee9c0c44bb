"""Networks trained on unlabelled examples by gradient descent: several seeds at once, in a resumable loop."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Float32, Int, Int32, PRNGKeyArray

from metaplastic.embeddings.base import Embedded, Unlabelled, image_of
from metaplastic.embeddings.spec import Neural
from metaplastic.io.compilation import jit
from metaplastic.io.jax_settings import seed_key
from metaplastic.io.memory import check_memory, single_precision
from metaplastic.training.checkpoint import load_state, read_history, state_path
from metaplastic.training.descent import Descent, Metrics, State
from metaplastic.training.launch import locked
from metaplastic.training.loop import HISTORY, SNAPSHOTS, Folder

Objective = tuple[Float[Array, ""], dict[str, Array]]
"""The value of an objective, and its parts by name."""


class PseudoLabels(NamedTuple):
    """Classes of the training examples that follow from what a network has learned, and that it learns next."""

    every: int
    """Gradient steps between two updates of the classes; the first is before the first step."""
    classes: Callable[[np.ndarray, Sequence[int]], Int32[np.ndarray, " train_example"]]
    """Takes the codes of all training examples and a seed for NumPy; returns the class of each example, 0 or more."""
    forgotten: Callable[[Any], Any]
    """Returns the model without what it knew of the classes before."""


class Family(NamedTuple):
    """The functions that define one kind of network; `Any` is its own model, an Equinox module."""

    initial: Callable[[PRNGKeyArray, int], Any]
    """Returns the model for a number of inputs."""
    loss: Callable[[Any, PRNGKeyArray, Any], Objective]
    """Returns the objective on a batch, which is `[batch, input]` or with pseudo-labels the pair of that and classes.
    Adversaries sum what each of them minimises, with the others' parameters held by `jax.lax.stop_gradient`; that
    trains each on its own objective, because Adam treats every parameter separately."""
    encode: Callable[[Any, Array], Float[Array, "batch feature"]] = lambda model, x: model.encoder(x)
    pseudo_labels: PseudoLabels | None = None


class NeuralTraining(Descent):
    """Adam on minibatches drawn with replacement, one model per seed."""

    spec: Neural
    axes = ("seed",)

    def __init__(
        self,
        family: Family,
        x: Float32[np.ndarray, "example input"],
        spec: Neural,
        seeds: Sequence[int],
        folder: Folder,
    ) -> None:
        super().__init__(spec, jnp.asarray(x), folder)
        self.family, self.seeds = family, seeds
        # One program: a new function would be compiled again.
        self.encode = jit(jax.vmap(family.encode, in_axes=(0, None)))
        self.adam = optax.adam(spec.learning_rate, b1=spec.momentum)
        check_memory(
            f"{'filters' if spec.takes_images else 'hidden'}, features, batch",
            {
                "networks and their optimiser": jax.eval_shape(self.initial),
                "a batch": single_precision(len(seeds), spec.batch, x.shape[1]),
            },
        )

    def initial(self) -> State:
        """As `Descent.initial`."""
        keys = jnp.stack([seed_key(seed) for seed in self.seeds])
        models = jax.vmap(lambda key: self.family.initial(jax.random.fold_in(key, 0), self.data.shape[1]))(keys)
        classes = jnp.zeros((len(self.seeds), len(self.data)), jnp.int32) if self.family.pseudo_labels else None
        return State(models, jax.vmap(self.adam.init)(models), keys, jnp.zeros((), jnp.int32), classes)

    def updated(self, state: State, data: Float[Array, "train_example input"]) -> tuple[State, Metrics]:
        """As `Descent.updated`; metrics are the objective and its parts for every seed."""

        def one_seed(seed: tuple[Any, Any, PRNGKeyArray, Array | None]) -> tuple[Any, Any, Metrics]:
            model, optimiser, key, classes = seed
            key_batch, key_loss = jax.random.split(jax.random.fold_in(jax.random.fold_in(key, 1), state.step))
            batch = drawn(key_batch, data, classes, self.spec.batch)
            (value, parts), gradient = jax.value_and_grad(self.family.loss, has_aux=True)(model, key_loss, batch)
            updates, optimiser = self.adam.update(gradient, optimiser)
            return optax.apply_updates(model, updates), optimiser, {"loss": value, **parts}

        seeds = state.network, state.optimiser, state.key, state.classes
        # Several kernels at once make a grouped convolution, on CPUs ten times slower than one kernel after another.
        found = jax.lax.map(one_seed, seeds) if self.spec.takes_images else jax.vmap(one_seed)(seeds)
        model, optimiser, metrics = found
        return State(model, optimiser, state.key, state.step + 1, state.classes), metrics

    def prepared(self, state: State) -> State:
        """As `Descent.prepared`; updates the pseudo-labels if it is time.

        New ones follow from model, step and seed alone. The network forgets the old ones, and Adam starts again.
        """
        labels = self.family.pseudo_labels
        if labels is None or self.step(state) % labels.every:
            return state
        codes = _encoded(self.encode, state.network, self.data)
        classes = [labels.classes(code, [self.step(state), seed]) for seed, code in zip(self.seeds, codes, strict=True)]
        model = labels.forgotten(state.network)
        optimiser, new = jax.vmap(self.adam.init)(model), jnp.asarray(np.stack(classes))
        return state._replace(network=model, optimiser=optimiser, classes=new)


def embed_by(family: Family, data: Unlabelled, spec: Neural, *, seeds: Sequence[int], folder: Folder) -> Embedded:
    """Train one model per seed and encode all examples; raise InputError if memory is short, or as `Descent.finish`."""
    training = NeuralTraining(family, data.inputs[data.train], spec, seeds, folder)
    # The lock is kept until everything is read from the folder.
    with locked(folder.path):
        training.finish()
        like = jax.eval_shape(training.initial).network
        features = []
        for step in spec.steps:
            models = load_state(state_path(folder.path / SNAPSHOTS, step), like)
            features.append(_encoded(training.encode, models, data.inputs))
        past = read_history(folder.path / HISTORY)
        history = {str(name): past[name].values.T for name in past.data_vars}
        return Embedded(np.stack(features, 1), spec.steps, history, models)


def embedding_of_images(family: Callable[..., Family], *, square: bool = False) -> Callable[..., Embedded]:
    """Return the function `embed` of a kind of (`square`) images; it raises InputError as `image_of` and `embed_by`."""

    def embed(data: Unlabelled, spec: Neural, *, seeds: Sequence[int], folder: Folder) -> Embedded:
        image = image_of(data, square_for=spec.kind if square else "")
        return embed_by(family(spec, image), data, spec, seeds=seeds, folder=folder)

    return embed


def drawn(
    key: PRNGKeyArray, x: Float[Array, "example input"], classes: Int[Array, " example"] | None, batch: int
) -> Any:
    """Draw examples with replacement; if they have classes, return both and draw all classes equally often."""
    if classes is None:
        return x[jax.random.randint(key, (batch,), 0, len(x))]
    members = jnp.bincount(classes, length=len(x))
    chosen = jax.random.choice(key, len(x), (batch,), p=1 / members[classes])
    return x[chosen], classes[chosen]


def of_unit_variance(data: Unlabelled) -> Unlabelled:
    """Centre the inputs and divide all by one number, so that their mean variance over training examples is one.

    Pixels, word counts and columns of a table then have one scale, and inputs that hardly vary still hardly vary.
    """
    fitted = data.inputs[data.train]
    unit = np.sqrt(fitted.var(0, dtype=np.float64).mean()) or 1.0
    return data._replace(inputs=((data.inputs - fitted.mean(0, dtype=np.float64)) / unit).astype(np.float32))


def _encoded(
    encode: Callable[..., Array], models: Any, x: np.ndarray | Array
) -> Float32[np.ndarray, "seed example feature"]:
    """Encode examples by the models of all seeds, 1024 at once."""
    return np.concatenate([encode(models, jnp.asarray(x[i : i + 1024])) for i in range(0, len(x), 1024)], 1)
