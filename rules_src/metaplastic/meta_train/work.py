"""What a meta-training run has cost in arithmetic, from its history."""

import numpy as np
import xarray as xr
from jaxtyping import Float


def teraflop(history: xr.Dataset, gflop_per_inner_step: float) -> Float[np.ndarray, " evaluation"]:
    """Arithmetic in the inner steps before each evaluation, forward passes alone, in 1e12 operations."""
    # Seeds of a run may draw other truncations; their mean is what one of them cost.
    truncation = history["truncation"].mean([dim for dim in history["truncation"].dims if dim != "meta_step"])
    inner_steps = np.concatenate([[0.0], np.cumsum(truncation.values)])
    spent: np.ndarray = inner_steps[history["evaluation_step"].values] * gflop_per_inner_step / 1e3
    return spent
