"""The released code's names for the published rule's parameters, and the rule that such a record describes.

`published_rule` is made of array operations only, so gradients with respect to a record flow through it.
"""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from metaplastic.network import ACTIVATIONS, BaseModel, Layer
from metaplastic.update_rules.affine import Affine
from metaplastic.update_rules.learned import WeightReadouts
from metaplastic.update_rules.published import (
    Block,
    Convolution,
    NormalisedConvolution,
    PublishedRule,
    TopError,
)
from metaplastic.update_rules.weight_change import Mix

Record = Mapping[str, Array]
"""Arrays by recorded name, without the prefix that all of them share."""

THETA = "MoreLocalWeightUpdateProcess/"
PHI = "LocalWeightUpdateWLearner/LinearBatchNorm"

LOWER_READOUTS = (
    "weight_readout_0_bottom",
    "weight_readout_1_bottom",
    "weight_readout_rbf_bottom",
    "lin_lower_symm_bottom",
    "sqr_lower_symm_bottom",
    "lin_lower_symm_top",
    "sqr_lower_symm_top",
)
"""Recorded names of the readouts of lower units, in the order of `weight_terms`; a direction is put before each."""

UPPER_READOUTS = (
    "weight_readout_0_top",
    "weight_readout_1_top",
    "weight_readout_rbf_top",
    "lin_upper_symm_bottom",
    "sqr_upper_symm_bottom",
    "lin_upper_psd_top",
    "lin_upper_symm_top",
    "sqr_upper_symm_top",
)
"""The same for upper units."""


def published_rule(record: Record, *, rate: float = 1e-4) -> PublishedRule:
    """The rule with the recorded parameters; it has backward readouts of its own where the record has them."""
    top, block_0, block_1 = "compute_top_delta/", "ConcatUnitConv/", "ConcatUnitConv_1/"
    return PublishedRule(
        error_out=_affine(record, "linear"),
        forward=_readouts(record, "forward"),
        backward=_readouts(record, "backward") if "backward_weight_readout_coeffs/w" in record else None,
        bias_readout=_affine(record, "bias_readout"),
        top=TopError(
            expand=_normalised(record, top, 0),
            across_units=(_normalised(record, top, 1), _normalised(record, top, 2)),
            refine=(_normalised(record, top, 3), _normalised(record, top, 4)),
            reduce=_convolution(record, top, 5),
        ),
        input_offset=record["batch_norm/beta"].reshape(-1),
        blocks=(
            Block(
                _normalised(record, "", 0, norm=1), (_normalised(record, block_0, 0), _normalised(record, block_0, 1))
            ),
            Block(
                _normalised(record, "", 1, norm=2), (_normalised(record, block_1, 0), _normalised(record, block_1, 1))
            ),
        ),
        fixed_rate=rate,
    )


def base_model(record: Record, activation: str) -> BaseModel:
    """The base model whose recorded parameters are W and b of each layer from the input up, then V likewise."""
    layers = len(record) // 4
    names = [PHI + (f"_{index}" if index else "") for index in range(2 * layers)]
    return BaseModel(
        tuple(
            Layer(record[f"{w}/linear/w"], record[f"{w}/b"].reshape(-1), record[f"{v}/linear/w"])
            for w, v in zip(names[:layers], names[layers:], strict=True)
        ),
        ACTIVATIONS[activation],
    )


def _numbered(name: str, index: int) -> str:
    return f"{name}_{index}" if index else name


def _convolution(record: Record, scope: str, index: int) -> Convolution:
    name = scope + _numbered("conv_1d", index)
    return Convolution(record[f"{name}/w"], record[f"{name}/b"])


def _normalised(record: Record, scope: str, index: int, norm: int | None = None) -> NormalisedConvolution:
    """The convolution of an index and its batch norm, whose index is the same unless given."""
    offset = record[scope + _numbered("batch_norm", index if norm is None else norm) + "/beta"]
    return NormalisedConvolution(_convolution(record, scope, index), offset.reshape(-1))


def _affine(record: Record, name: str) -> Affine:
    return Affine(record[f"{name}/w"].T, record[f"{name}/b"])


def _readouts(record: Record, direction: str) -> WeightReadouts:
    def stacked(names: Sequence[str]) -> Affine:
        parts = [_affine(record, f"{direction}{name}/linear") for name in names]
        return Affine(jnp.concatenate([part.weight for part in parts]), jnp.concatenate([part.bias for part in parts]))

    mix: Float[Array, "12 1"] = record[f"{direction}_weight_readout_coeffs/w"]
    offset = record[f"{direction}_weight_readout_coeffs/b"]
    return WeightReadouts(stacked(LOWER_READOUTS), stacked(UPPER_READOUTS), Mix(mix[:, 0], offset[0]))
