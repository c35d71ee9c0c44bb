"""By hand: run the published rule on a recorded case of the released code and print how far it is from the record."""

import io
import json
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from typer import Argument, Option

from metaplastic.io.errors import InputError
from metaplastic.meta_train.objective import meta_objective
from metaplastic.network import ACTIVATIONS, BaseModel, Layer
from metaplastic.stages.command import run
from metaplastic.update_rules.neuron_local import WeightReadouts
from metaplastic.update_rules.published import Block, Convolution, NormalisedConvolution, PublishedRule, TopError
from metaplastic.update_rules.terms import TERMS, Mix, bias_change, column_normalised, saturate, weight_terms
from metaplastic.update_rules.update_network import Affine

TOLERANCE = {"float64": 1e-9, "float32": 2e-4}
META_GRADIENT_TOLERANCE = 1e-6
META_GRADIENT_FLOOR = 1e-9
"""Gradients of a variable are compared relative to its largest entry, but to no less than this share of the largest
entry of all."""
ROUNDING = 1e-12
"""Variables whose recorded gradient is below this share of the largest entry of all have only rounding errors as
gradients: biases before a batch norm. They are compared relative to that largest entry."""
LARGEST_CASE = 2**28
"""Largest unpacked size of a case in bytes."""

THETA = "MoreLocalWeightUpdateProcess/"
PHI = "LocalWeightUpdateWLearner/LinearBatchNorm"
LOWER = [f"weight_readout_{which}_bottom" for which in (0, 1, "rbf")]
LOWER += [f"{power}_lower_symm_{end}" for end in ("bottom", "top") for power in ("lin", "sqr")]
"""Recorded names of the readouts in `Signals` below, in its order; a direction is put before each."""
UPPER = [f"weight_readout_{which}_top" for which in (0, 1, "rbf")]
UPPER += [f"{kind}_bottom" for kind in ("lin_upper_symm", "sqr_upper_symm")]
UPPER += [f"{kind}_top" for kind in ("lin_upper_psd", "lin_upper_symm", "sqr_upper_symm")]
"""The same above."""

Record = Mapping[str, jax.Array]
"""Arrays by recorded name, without the prefix that they share."""
Pairs = Iterator[tuple[str, Any, str]]
"""Kind of a quantity, its value here, and its key in the record."""


def replay(
    case: Annotated[Path, Argument(help="A recorded case, `.npz`.")],
    precision: Annotated[Literal["float64", "float32"], Option(help="Precision to compute in.")] = "float64",
) -> None:
    """Print the worst relative error of each kind of quantity, and the worst of all; exit 1 above the tolerance."""
    jax.config.update("jax_enable_x64", precision == "float64")  # type: ignore[no-untyped-call]
    record = read_case(case)
    errors: dict[str, list[float]] = defaultdict(list)
    try:
        for kind, value, key in quantities(record):
            expected = record.get(f"f64/{key}" if precision == "float64" else key)
            # A trimmed case lacks some results; the check below names the one that it must hold.
            if expected is not None:
                errors[kind].append(relative_error(value, expected))
        for kind, distance in meta_gradient_errors(record) if precision == "float64" else ():
            errors[kind].append(distance)
    except KeyError as error:
        raise InputError(f"{case}: no array {error.args[0]!r}; this is not a whole recorded case") from error
    if "change_w" not in errors:
        raise InputError(f"{case}: no recorded change_w of {precision}; without it a wrong rule would pass")
    worst = {kind: np.max(distances) for kind, distances in errors.items()}
    for kind, distance in worst.items():
        print(f"{kind:20s} {distance:.3e}")
    print(f"worst {np.max([*worst.values()]):.3e}")
    allowed = {kind: META_GRADIENT_TOLERANCE if "gradient" in kind else TOLERANCE[precision] for kind in worst}
    # The comparison must be true to succeed: NaN is within no tolerance.
    if not all(distance <= allowed[kind] for kind, distance in worst.items()):
        sys.exit(1)


def read_case(case: Path) -> dict[str, np.ndarray]:
    """Read all arrays of a case; nothing in it is unpickled, and its unpacked size is bounded."""
    try:
        with zipfile.ZipFile(case) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > LARGEST_CASE:
            raise InputError(f"{case}: {size} bytes unpacked; cases have at most {LARGEST_CASE}")
        with np.load(io.BytesIO(case.read_bytes()), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{case}: missing or no readable .npz file ({error})") from error


def relative_error(value: Any, expected: np.ndarray) -> float:
    """Return the largest difference of two arrays, relative to the largest entry of the second."""
    if value.shape != expected.shape:
        return float("inf")
    return float(np.abs(np.asarray(value) - expected).max() / max(np.abs(expected).max(), np.finfo(float).tiny))


def _arrays(record: dict[str, np.ndarray], prefix: str) -> dict[str, jax.Array]:
    """Return the inputs below a prefix; they are recorded once, in float32, and exact in both precisions."""
    found = {key.removeprefix(prefix): jnp.asarray(of, float) for key, of in record.items() if key.startswith(prefix)}
    if not found:
        raise KeyError(f"{prefix}...")
    return found


def _batch(record: dict[str, np.ndarray], key: str) -> jax.Array:
    images = jnp.asarray(record[key], float)
    return images.reshape(len(images), -1)


def _start(record: dict[str, np.ndarray]) -> BaseModel:
    """Return the recorded base model: W and b of each layer from the input up, then V likewise."""
    phi, activation = _arrays(record, "phi0/"), json.loads(str(record["meta/config"]))["act"]
    layers = len(phi) // 4
    names = [_numbered(PHI, index) for index in range(2 * layers)]
    pairs = zip(names[:layers], names[layers:], strict=True)
    made = [Layer(phi[f"{w}/linear/w"], phi[f"{w}/b"].reshape(-1), phi[f"{v}/linear/w"]) for w, v in pairs]
    return BaseModel(tuple(made), ACTIVATIONS[activation])


def _recorded_rule(theta: Record) -> PublishedRule:
    """Return the rule with the recorded parameters, by array operations only, so that gradients flow to the record."""

    def convolution(scope: str, index: int) -> Convolution:
        name = scope + _numbered("conv_1d", index)
        return Convolution(theta[f"{name}/w"], theta[f"{name}/b"])

    def normalised(scope: str, index: int, norm: int | None = None) -> NormalisedConvolution:
        """Return a convolution and its batch norm, which has the same index unless another one is given."""
        offset = theta[scope + _numbered("batch_norm", index if norm is None else norm) + "/beta"]
        return NormalisedConvolution(convolution(scope, index), offset.reshape(-1))

    def affine(name: str) -> Affine:
        return Affine(theta[f"{name}/w"].T, theta[f"{name}/b"])

    def stacked(direction: str, names: Sequence[str]) -> Affine:
        weights, biases = zip(*(affine(f"{direction}{name}/linear") for name in names), strict=True)
        return Affine(jnp.concatenate(weights), jnp.concatenate(biases))

    def readouts(direction: str) -> WeightReadouts:
        name = f"{direction}_weight_readout_coeffs"
        mix = Mix(theta[f"{name}/w"][:, 0], theta[f"{name}/b"][0])
        return WeightReadouts(stacked(direction, LOWER), stacked(direction, UPPER), mix)

    top, first, second = "compute_top_delta/", "ConcatUnitConv/", "ConcatUnitConv_1/"
    return PublishedRule(
        error_out=affine("linear"),
        forward=readouts("forward"),
        backward=readouts("backward") if "backward_weight_readout_coeffs/w" in theta else None,
        bias_readout=affine("bias_readout"),
        top=TopError(
            expand=normalised(top, 0),
            across_units=(normalised(top, 1), normalised(top, 2)),
            refine=(normalised(top, 3), normalised(top, 4)),
            reduce=convolution(top, 5),
        ),
        input_offset=theta["batch_norm/beta"].reshape(-1),
        blocks=(
            Block(normalised("", 0, norm=1), (normalised(first, 0), normalised(first, 1))),
            Block(normalised("", 1, norm=2), (normalised(second, 0), normalised(second, 1))),
        ),
        fixed_rate=1e-4,
    )


def _numbered(name: str, index: int) -> str:
    return f"{name}_{index}" if index else name


def quantities(record: dict[str, np.ndarray]) -> Pairs:
    """Yield everything that a case records except the meta-gradients, as kind, value and key."""
    rule, phi = _recorded_rule(_arrays(record, f"theta/{THETA}")), _start(record)
    yield from _first_step(rule, phi, _batch(record, "x/0"))
    # Theta is an argument: as a constant of the program it would have to be compiled for every record.
    update = eqx.filter_jit(PublishedRule.update)
    names = [str(name) for name in record["meta/phi_names"]]
    for step in range(1, 6):
        phi = update(rule, phi, _batch(record, f"x/{step - 1}"))
        if step in (1, 5):
            values = [value for layer in phi.layers for value in (layer.W, layer.b[None])]
            # Backward weights have a bias too in the record, which nothing uses.
            used = names[: len(values)] + names[len(values) :: 2]
            values += [layer.V for layer in phi.layers]
            for value, name in zip(values, used, strict=True):
                yield f"phi after {step}", value, f"step{step}/{name}"
    fixed = [jnp.asarray(record[f"mo_fixed/{of}_{what}"], float) for of in "ab" for what in ("features", "onehot")]
    yield "ridge objective", meta_objective(*fixed), "mo_fixed/loss"
    yield "ridge objective", _objective(record, _start(record)), "mo_phi0/loss"


def _first_step(rule: PublishedRule, phi: BaseModel, x: jax.Array) -> Pairs:
    """Yield what a case records of the first step, where levels and layers are numbered from the top."""
    activity, levels = eqx.filter_jit(lambda rule, phi, x: (phi.forward(x), rule.sweep(phi, x)))(rule, phi, x)
    for name in ("xs", "zs"):
        for index, value in enumerate(getattr(activity, name)):
            yield name, value, f"inter/{name}/{index}"
    yield "top_delta", _as_recorded(levels[-1].error), "inter/top_delta"
    for index, level in enumerate(reversed(levels)):
        yield "h", _as_recorded(level.hidden.reshape(-1, *level.x.shape)), f"inter/level{index}/h"
        yield "delta", _as_recorded(level.delta), f"inter/level{index}/delta"
        yield "d", _as_recorded(level.error), f"inter/level{index}/d_in"

    @eqx.filter_jit
    def step(readouts: WeightReadouts, W: jax.Array, lower: Any, upper: Any) -> tuple[Any, Any, jax.Array]:
        terms = weight_terms(column_normalised(W), *readouts.signals(lower, upper))
        return terms, saturate(terms), readouts.change(W, lower, upper)

    pairs = list(zip(phi.layers, pairwise(levels), strict=True))[::-1]
    for index, (layer, (lower, upper)) in enumerate(pairs):
        for direction, W, readouts in (("forward", layer.W, rule.forward), ("backward", layer.V, rule.backward)):
            if readouts is None:
                continue
            place = f"inter/{direction}/l{index}"
            terms, bounded_terms, change_w = step(readouts, W, lower, upper)
            for name, term, bounded in zip(TERMS, terms, bounded_terms, strict=True):
                yield f"term {name}", term, f"{place}/term_raw/{name}"
                yield f"term {name}", bounded, f"{place}/term_norm/{name}"
            yield "change_w", change_w, f"{place}/change_w"
        change_b = bias_change(rule.bias_readout(upper.hidden).reshape(upper.x.shape))
        yield "change_b", change_b, f"inter/forward/l{index}/change_b"


def _as_recorded(signal: jax.Array) -> jax.Array:
    """Turn [channel, batch, unit] into [batch, unit, channel]."""
    return jnp.moveaxis(signal, 0, -1)


def _objective(record: dict[str, np.ndarray], phi: BaseModel) -> jax.Array:
    images = jnp.concatenate([_batch(record, "mo/a_x"), _batch(record, "mo/b_x")])
    features_a, features_b = jnp.split(phi.features(images), 2)
    targets_a, targets_b = (jnp.asarray(record[f"mo/{batch}_onehot"], float) for batch in "ab")
    return meta_objective(features_a, targets_a, features_b, targets_b)


def meta_gradient_errors(record: dict[str, np.ndarray]) -> Iterator[tuple[str, float]]:
    """Yield the kind and the error of each variable after one and five steps."""
    variables, phi = _arrays(record, f"theta/{THETA}"), _start(record)
    for steps in (1, 5):
        batches = jnp.stack([_batch(record, f"x/{step}") for step in range(steps)])

        def objective(variables: dict[str, jax.Array], batches: jax.Array = batches) -> jax.Array:
            rule = _recorded_rule(variables)
            end = jax.lax.scan(lambda phi, x: (rule.update(phi, x), None), phi, batches)[0]
            return _objective(record, end)

        prefix = f"f64/metagrad/k{steps}/grad/{THETA}"
        expected = {name: record[prefix + name] for name in variables if prefix + name in record}
        if not expected:
            continue
        gradient = jax.jit(jax.grad(objective))(variables)
        largest = max(np.abs(value).max() for value in expected.values())
        for name, value in expected.items():
            size = np.abs(value).max()
            zero = size < ROUNDING * largest
            scale = largest if zero else max(size, META_GRADIENT_FLOOR * largest)
            kind = f"{'zero gradient' if zero else 'meta-gradient'} {steps}"
            yield kind, float(np.abs(gradient[name] - value).max() / scale)


if __name__ == "__main__":
    run(replay)
