"""Evaluations of methods that were never run, for tests of summaries and figures."""

import numpy as np
import xarray as xr
from metaplastic.results.scores import summarise

SHAPES = {"a": (1, 16, "relu"), "b": (1, 10_000, "relu"), "c": (4, 16, "relu"), "d": (1, 16, "sine")}


def evaluation(method, dataset, mean, *, seeds=2, steps=(0,), base_model="small", draws=3, kind="raw"):
    offsets = np.linspace(-0.02, 0.02, draws)
    final = np.full((2, 2, seeds, draws), mean) + offsets
    early = np.full((2, len(steps), seeds, 2), mean) + np.array([-0.01, 0.01])
    return xr.Dataset(
        {
            "accuracy": (("readout", "shots", "seed", "draw"), final),
            "accuracy_over_inner_steps": (("readout", "inner_step", "seed", "draw_over_inner_steps"), early),
        },
        coords={
            "readout": np.array(["logistic-regression", "ridge"], dtype=object),
            "shots": [1, 10],
            "seed": np.arange(seeds),
            "inner_step": list(steps),
            "draw": np.arange(draws),
            "draw_over_inner_steps": np.arange(2),
        },
        attrs={
            "method": method,
            "kind": "identity" if method == "random-init" else kind,
            "dataset": dataset,
            **({"base_model": base_model} if base_model else {}),
            "n_classes": 10,
            "n_test": 50,
            "seconds": 1.5,
        },
    )


def on_episodes(accuracy: np.ndarray, **attributes: str | float) -> xr.Dataset:
    """Accuracies `[way, shots, episode]` of a learner on tasks of five ways with one label or five."""
    coords = {"way": [5], "shots": [1, 5], "episode": np.arange(accuracy.shape[-1])}
    attrs = {"queries": 5, "split": "test", **attributes}
    return xr.Dataset({"accuracy": (("way", "shots", "episode"), accuracy)}, coords, attrs)


def of_shapes(
    shapes: dict[str, tuple[int, int, str]],
    dataset: str = "mnist",
    methods: tuple[tuple[str, float], ...] = (("shipped", 0.8), ("random-init", 0.5)),
) -> xr.Dataset:
    made = []
    for number, (name, shape) in enumerate(shapes.items()):
        for method, mean in methods:
            each = evaluation(method, dataset, mean + number / 100, steps=(0, 10), base_model=name)
            each.attrs |= dict(zip(("depth", "width", "activation"), shape, strict=True))
            each.attrs |= {"peak_mb": 100.0 * (number + 1)}
            made.append(each)
    return summarise(made)
