"""Networks trained on unlabelled examples by gradient descent: several seeds at once, on the one resumable loop."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray as xr
from jaxtyping import Array, Bool, Float, Float32, Int, Int32, Key, PRNGKeyArray

from rules_src.config.embeddings import Convolutional, Neural
from rules_src.config.training import Keep
from rules_src.embeddings.base import Embedded, Unlabelled
from rules_src.errors import InputError
from rules_src.memory import check_memory, numbers
from rules_src.training import history
from rules_src.training.lock import locked
from rules_src.training.progress import shown
from rules_src.training.run import HISTORY, SNAPSHOTS, Folder, resumed
from rules_src.training.state import load_state, save_state, state_path

CHUNK = 1024
"""Examples that are encoded at once."""


class PseudoLabels(NamedTuple):
    """Classes of the training examples that a network makes up of what it has learned, to learn them next."""

    every: int
    """Gradient steps between two times that they are made; the first is before the first step."""
    classes: Callable[
        [Float32[np.ndarray, "train_example feature"], Sequence[int]], Int32[np.ndarray, " train_example"]
    ]
    """From the codes of all training examples, and a seed for NumPy: of every example one, 0 or more."""
    forgotten: Callable[[Any], Any]
    """The model without what it knew of the classes before."""


class Family(NamedTuple):
    """What tells one kind of network from another; `Any` is its own model, an Equinox module."""

    initial: Callable[[PRNGKeyArray, int], Any]
    """The model for so many inputs."""
    loss: Callable[[Any, PRNGKeyArray, Any], tuple[Float[Array, ""], dict[str, Array]]]
    """The objective on a batch, `[batch, input]` or with pseudo-labels the pair of that and classes, and its parts by
    name. Of adversaries it is the sum of what each of them minimises, the others' parameters held by
    `jax.lax.stop_gradient`: Adam treats every parameter alone."""
    encode: Callable[[Any, Float[Array, "batch input"]], Float[Array, "batch feature"]]
    pseudo_labels: PseudoLabels | None = None


class State(NamedTuple):
    """Everything that the next gradient step depends on; the leading axis of every array but `step` is the seed."""

    model: Any
    optimiser: optax.OptState
    key: Key[Array, " seed"]
    step: Int[Array, ""]
    classes: Int[Array, "seed train_example"] | None = None
    """Pseudo-labels, of families that have them."""


class Progress(NamedTuple):
    """A training after a dispatch of gradient steps."""

    state: State
    metrics: dict[str, Float[Array, "update seed"]]


class NeuralTraining:
    """A `training.run.Run` of Adam on minibatches drawn with replacement, one model a seed."""

    unit = "steps"
    growing: Mapping[str, str] = {"update": "update"}

    def __init__(
        self, family: Family, x: Float32[np.ndarray, "train_example input"], spec: Neural, seeds: int, folder: Folder
    ) -> None:
        self.family, self.x, self.spec, self.seeds, self.folder = family, jnp.asarray(x), spec, seeds, folder
        self.steps, self.dispatch = spec.steps[-1], spec.every
        self.adam = optax.adam(spec.learning_rate, b1=spec.momentum)
        check_memory(
            "hidden, features, batch",
            {
                "networks and their optimiser": jax.eval_shape(self.initial),
                "a batch": numbers(seeds, spec.batch, x.shape[1]),
            },
        )
        # Activations are functions and no part of a state.
        self.static = eqx.partition(family.initial(jax.random.key(0), x.shape[1]), eqx.is_array)[1]

    def initial(self) -> State:
        """The state before the first gradient step."""
        keys = jax.vmap(jax.random.key)(jnp.arange(self.seeds))

        def model(key: PRNGKeyArray) -> Any:
            return eqx.filter(self.family.initial(jax.random.fold_in(key, 0), self.x.shape[1]), eqx.is_array)

        models = jax.vmap(model)(keys)
        classes = jnp.zeros((self.seeds, len(self.x)), jnp.int32) if self.family.pseudo_labels else None
        return State(models, jax.vmap(self.adam.init)(models), keys, jnp.zeros((), jnp.int32), classes)

    def items(self, start: State | None) -> Iterator[Progress]:
        """As `Run.items`."""
        state = start or jax.jit(self.initial)()
        names = jax.eval_shape(lambda s: self._step(s, self.x), state)[1]
        yield Progress(state, {name: jnp.zeros((0, self.seeds)) for name in names})
        done = self.step(state)
        while done < self.steps:
            count = min(self.dispatch, self.steps - done)
            if self.family.pseudo_labels and done % self.family.pseudo_labels.every == 0:
                state = self._relabelled(state, self.family.pseudo_labels)
            state, metrics = self._dispatched(state, self.x, count)
            done += count
            yield Progress(state, metrics)

    @eqx.filter_jit
    def _dispatched(self, state: State, x: Array, count: int) -> tuple[State, dict[str, Array]]:
        return jax.lax.scan(lambda s, _: self._step(s, x), state, length=count)

    def _step(self, state: State, x: Array) -> tuple[State, dict[str, Array]]:
        def one_seed(
            model: Any, optimiser: Any, key: PRNGKeyArray, classes: Array | None
        ) -> tuple[Any, Any, dict[str, Array]]:
            key_batch, key_loss = jax.random.split(jax.random.fold_in(jax.random.fold_in(key, 1), state.step))
            batch = drawn(key_batch, x, classes, self.spec.batch)

            def loss(model: Any) -> tuple[Array, dict[str, Array]]:
                return self.family.loss(eqx.combine(model, self.static), key_loss, batch)

            (value, parts), gradient = jax.value_and_grad(loss, has_aux=True)(model)
            updates, optimiser = self.adam.update(gradient, optimiser)
            return optax.apply_updates(model, updates), optimiser, {"loss": value, **parts}

        seeds = state.model, state.optimiser, state.key, state.classes
        # Several kernels at once are a grouped convolution, on CPUs ten times slower than one after another.
        if isinstance(self.spec, Convolutional):
            model, optimiser, metrics = jax.lax.map(lambda seed: one_seed(*seed), seeds)
        else:
            model, optimiser, metrics = jax.vmap(one_seed)(*seeds)
        return State(model, optimiser, state.key, state.step + 1, state.classes), metrics

    def _relabelled(self, state: State, pseudo_labels: PseudoLabels) -> State:
        """With classes that follow from model, step and seed alone, a network to learn them, and Adam at its start."""
        codes = _encoded(self.family, eqx.combine(state.model, self.static), self.x)
        classes = [pseudo_labels.classes(of_seed, [self.step(state), seed]) for seed, of_seed in enumerate(codes)]
        model = pseudo_labels.forgotten(state.model)
        return state._replace(
            model=model, optimiser=jax.vmap(self.adam.init)(model), classes=jnp.asarray(np.stack(classes))
        )

    def step(self, state: State) -> int:
        """Gradient steps so far."""
        return int(state.step)

    def history(self, item: Progress) -> xr.Dataset:
        """The objective and its parts at every gradient step of the dispatch."""
        done, metrics = self.step(item.state), {name: np.asarray(values) for name, values in item.metrics.items()}
        count = len(metrics["loss"])
        return xr.Dataset(
            {name: (("update", "seed"), values) for name, values in metrics.items()},
            coords={"update": np.arange(done - count, done) + 1, "seed": np.arange(self.seeds)},
        )

    def snapshot(self, item: Progress, path: Path) -> None:
        """The models, where features are to be recorded."""
        if self.step(item.state) in self.spec.steps:
            save_state(item.state.model, path, self.folder.record)

    def summary(self, item: Progress) -> str:
        """The mean of every part of the objective in the last dispatch."""
        return ", ".join(f"{name} {float(values.mean()):.4g}" for name, values in item.metrics.items() if len(values))


def embed_by(
    family: Family,
    x: Float32[np.ndarray, "example input"],
    train: Bool[np.ndarray, " example"],
    spec: Neural,
    *,
    seeds: int,
    folder: Folder,
) -> Embedded:
    """Train one model a seed on the training examples and encode all examples.

    Raises:
        InputError: the loss has become infinite, there is too little memory, or as for `training.run.resumed`.
    """
    training = NeuralTraining(family, x[train], spec, seeds, folder)
    # Until all is read that lies in the folder.
    with locked(folder.path):
        for item in shown(resumed(training, folder, Keep()), training):
            if not all(np.isfinite(values).all() for values in item.metrics.values()):
                raise InputError(f"learning_rate: at {spec.learning_rate} the loss has become infinite; give less")
        like = jax.eval_shape(training.initial).model
        features = []
        for step in spec.steps:
            models = load_state(state_path(folder.path / SNAPSHOTS, step), like)
            features.append(_encoded(family, eqx.combine(models, training.static), x))
        past = history.read(folder.path / HISTORY)
        return Embedded(np.stack(features, 1), spec.steps, {str(name): past[name].values.T for name in past.data_vars})


def drawn(
    key: PRNGKeyArray, x: Float[Array, "example input"], classes: Int[Array, " example"] | None, batch: int
) -> Any:
    """Examples drawn with replacement; where they have classes, both, and every class that has members as often."""
    if classes is None:
        return x[jax.random.randint(key, (batch,), 0, len(x))]
    members = jnp.zeros(len(x)).at[classes].add(1.0)
    chosen = jax.random.choice(key, len(x), (batch,), p=1 / members[classes])
    return x[chosen], classes[chosen]


def of_unit_variance(data: Unlabelled) -> Float32[np.ndarray, "example input"]:
    """Inputs centred, and all divided by one number that makes their mean variance one over the training examples.

    So pixels, word counts and columns of a table are of one size, and inputs that hardly vary stay so.
    """
    fitted = data.inputs[data.train]
    unit = np.sqrt(fitted.var(0, dtype=np.float64).mean()) or 1.0
    scaled: np.ndarray = ((data.inputs - fitted.mean(0, dtype=np.float64)) / unit).astype(np.float32)
    return scaled


def _encoded(family: Family, models: Any, x: np.ndarray | Array) -> Float32[np.ndarray, "seed example feature"]:
    encode = eqx.filter_jit(eqx.filter_vmap(family.encode, in_axes=(eqx.if_array(0), None)))
    return np.concatenate([encode(models, jnp.asarray(x[i : i + CHUNK])) for i in range(0, len(x), CHUNK)], 1)
