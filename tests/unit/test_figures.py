from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from rules_src.errors import InputError
from rules_src.figures import style
from rules_src.figures.accuracy_over_compute import draw
from rules_src.figures.first_layer_filters import filter_images
from rules_src.figures.meta_training_curves import run_name, running_mean
from rules_src.stages.draw_figure import FIGURES, draw_figure
from rules_src.storage import write_netcdf, write_zarr


@pytest.fixture
def summary(tmp_path):
    methods, steps, shots = ["learned", "raw", "mine"], [0, 10, 200], [1, 10]
    final, curve = (
        np.broadcast_to(np.array([0.7, 0.6, 0.5])[:, None, None, None, None], (3, 2, 1, 2, n)).copy() for n in (2, 3)
    )
    curve[1, ..., 1:] = np.nan
    dims = ("method", "dataset", "base_model", "readout")
    ends = {"mean": 0.0, "low": -0.02, "high": 0.02}
    dataset = xr.Dataset(
        {name: ((*dims, "shots"), final + change) for name, change in ends.items()}
        | {f"{name}_over_inner_steps": ((*dims, "inner_step"), curve + change) for name, change in ends.items()}
        | {"chance": ("dataset", [0.1, 0.5])},
        coords={
            "method": np.array(methods, dtype=object),
            "dataset": np.array(["a", "b"], dtype=object),
            "base_model": np.array(["small"], dtype=object),
            "readout": np.array(["logistic-regression", "ridge"], dtype=object),
            "shots": shots,
            "inner_step": steps,
        },
    )
    write_netcdf(dataset, tmp_path / "summary.nc")
    return tmp_path / "summary.nc"


def written_history(folder, **changes):
    dataset = xr.Dataset(
        {
            "meta_loss": ("meta_step", np.linspace(1, 0.5, 30)),
            "truncation": ("meta_step", np.full(30, 10.0)),
            "held_out_accuracy": (("dataset", "evaluation"), [[0.5, 0.6], [0.4, 0.5]]),
            "held_out_sem": (("dataset", "evaluation"), [[0.01, 0.01], [0.02, 0.01]]),
        },
        coords={
            "meta_step": np.arange(1, 31),
            "dataset": np.array(["letters", "digits"], dtype=object),
            "evaluation_step": ("evaluation", [0, 30]),
        },
        attrs={"gflop_per_inner_step": 8 * 0.5},
    )
    write_zarr(dataset.assign_coords(changes), folder / "history.zarr", spec={}, code="")
    return folder / "history.zarr"


@pytest.fixture
def history(tmp_path):
    return written_history(tmp_path / "run-12345678")


@pytest.fixture
def features(tmp_path):
    weights = np.random.default_rng(0).normal(size=(1, 2, 16, 5)).astype(np.float32)
    dataset = xr.Dataset(
        {
            "first_layer_weights": (("seed", "inner_step", "input", "unit"), weights),
            "input_permutation": (("seed", "input"), np.arange(16)[None]),
        },
        coords={"seed": [0], "inner_step": [0, 10]},
    )
    path = tmp_path / "features" / "small" / "learned" / "tiny.zarr"
    write_zarr(dataset, path, spec={}, code="")
    return path


@pytest.mark.parametrize("figure", FIGURES)
def test_equal_results_give_equal_files(figure, summary, history, features, tmp_path):
    drawn_from = {"accuracy_over_compute": history, "meta_training_curves": history, "first_layer_filters": features}
    results = drawn_from.get(figure, summary)
    drawn = []
    for folder in ("one", "two"):
        outputs = [tmp_path / folder / f"{figure}{suffix}" for suffix in (".svg", ".png")]
        draw_figure([results], figure, outputs)
        drawn.append([path.read_bytes() for path in outputs])
    assert drawn[0] == drawn[1]
    assert drawn[0][0].startswith(b"<?xml")
    assert drawn[0][1].startswith(b"\x89PNG")
    assert min(map(len, drawn[0])) > 5000


def test_filters_are_put_back_into_pixel_order():
    pixels, permutation = np.arange(9.0), np.random.default_rng(1).permutation(9)
    images = filter_images(pixels[permutation][:, None], permutation, Path("x.zarr"))
    np.testing.assert_array_equal(images[0], pixels.reshape(3, 3))
    colour = np.repeat(pixels[:4], 3)[:, None]
    np.testing.assert_array_equal(filter_images(colour, np.arange(12), Path("x"))[0], [[0, 1], [2, 3]])
    with pytest.raises(InputError, match=r"x\.zarr: 10 inputs"):
        filter_images(np.ones((10, 1)), np.arange(10), Path("x.zarr"))


def test_runs_are_drawn_side_by_side_over_the_arithmetic_they_took_where_they_watch_the_same(history, tmp_path):
    other = written_history(tmp_path / "other", dataset=np.array(["digits", "words"], dtype=object))
    figure = draw([history, other])
    (panel,) = [axes for axes in figure.axes if axes.get_visible()]
    assert panel.get_title() == "digits"
    lines = {line.get_label(): line.get_xydata().tolist() for line in panel.lines}
    # 30 meta-steps of 8 tasks x 10 inner steps of 0.5 GFLOP are 1.2 TFLOP.
    assert lines == {"run": [[0, 0.4], [1.2, 0.5]], "other": [[0, 0.5], [1.2, 0.6]]}
    stranger = written_history(tmp_path / "stranger", dataset=np.array(["x", "y"], dtype=object))
    with pytest.raises(InputError, match="watches nothing that the other runs watch"):
        draw([history, stranger])


def test_running_mean_starts_with_what_there_is():
    np.testing.assert_allclose(running_mean(np.array([1.0, 3, 5, 7]), 2), [1, 2, 4, 6])


def test_runs_are_called_as_in_the_config():
    assert run_name(Path("meta_train/compact-letters-fec1ecd5/history.zarr")) == "compact-letters"
    assert run_name(Path("compact-letters/history.zarr")) == "compact-letters"


@pytest.mark.parametrize(("low", "high"), [(0.513, 0.514), (0.5, 0.54), (0.1, 0.9)])
def test_accuracy_axes_are_wide_and_have_distinct_labels(low, high):
    axes = Figure().subplots()
    axes.set_ylim(low, high)
    style.percent_axis(axes)
    style.percent_axis(axes)
    assert np.ptp(axes.get_ylim()) == pytest.approx(max(high - low, style.NARROWEST))
    ticks = [tick for tick in axes.get_yticks() if axes.get_ylim()[0] <= tick <= axes.get_ylim()[1]]
    labels = [float(axes.yaxis.get_major_formatter()(tick)) for tick in ticks]
    np.testing.assert_allclose(labels, 100 * np.array(ticks), atol=1e-6)
    assert len(set(labels)) == len(labels) > 2


def test_legends_read_row_by_row_and_end_with_chance():
    figure = Figure()
    axes = figure.subplots()
    style.chance_line(axes, 0.1)
    for label in "abcd":
        axes.plot([0, 1], label=label)
    style.legend_above(figure, axes, columns=3)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "d", "b", "chance", "c"]


def test_colours_are_distinct_and_the_same_in_every_figure():
    few, many = style.colours(["pca", "mine"]), style.colours(["learned", "raw", "pca", "mine", "other", "untrained"])
    assert few["pca"] == many["pca"]
    assert len(set(many.values())) == len(many)


def test_bad_requests_are_named(summary, tmp_path):
    with pytest.raises(InputError, match="'bars' is none of"):
        draw_figure([summary], "bars", [tmp_path / "x.svg"])
    with pytest.raises(InputError, match="neither"):
        style.save(Figure(), tmp_path / "x.pdf")
