from pathlib import Path
from pkgutil import iter_modules

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from rules_src import figures
from rules_src.errors import InputError
from rules_src.features import Identity, features_dataset, write_features
from rules_src.figures import style
from rules_src.figures.accuracy_over_compute import draw
from rules_src.figures.first_layer_filters import filter_images
from rules_src.figures.meta_training_curves import running_mean
from rules_src.stages.draw_figure import draw_figure
from rules_src.storage import write_netcdf, write_zarr

FIGURES = sorted({module.name for module in iter_modules(figures.__path__)} - {"style"})


@pytest.fixture
def summary(tmp_path):
    kinds, steps, shots = {"learned": "meta-trained", "raw": "raw", "mine": "oja"}, [0, 10, 200], [1, 10]
    final, curve = (
        np.broadcast_to(np.array([0.7, 0.6, 0.5])[:, None, None, None, None], (3, 2, 1, 2, n)).copy() for n in (2, 3)
    )
    curve[1, ..., 1:] = np.nan
    dims = ("representation", "dataset", "base_model", "readout")
    ends = {"": 0.0, "_low": -0.02, "_high": 0.02}
    dataset = xr.Dataset(
        {f"accuracy{end}": ((*dims, "shots"), final + change) for end, change in ends.items()}
        | {f"accuracy_over_inner_steps{end}": ((*dims, "inner_step"), curve + change) for end, change in ends.items()}
        | {"chance": ("dataset", [0.1, 0.5])},
        coords={
            "representation": np.array(list(kinds), dtype=object),
            "kind": ("representation", np.array(list(kinds.values()), dtype=object)),
            "dataset": np.array(["a", "b"], dtype=object),
            "base_model": np.array(["small"], dtype=object),
            "readout": np.array(["logistic-regression", "ridge"], dtype=object),
            "shots": shots,
            "inner_step": steps,
        },
    )
    write_netcdf(dataset, tmp_path / "summary.nc")
    return tmp_path / "summary.nc"


def written_history(folder, run, **changes):
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
        attrs={"run": run, "gflop_per_inner_step": 8 * 0.5},
    )
    write_zarr(dataset.assign_coords(changes), folder / "history.zarr", spec={}, code="")
    return folder / "history.zarr"


@pytest.fixture
def history(tmp_path):
    return written_history(tmp_path / "run-12345678", "run")


@pytest.fixture
def features(tmp_path):
    weights = np.random.default_rng(0).normal(size=(1, 2, 16, 5)).astype(np.float32)
    variables = {
        "first_layer_weights": (("seed", "inner_step", "input", "unit"), weights),
        "input_permutation": (("seed", "input"), np.arange(16)[None]),
    }
    dataset = features_dataset(np.zeros((1, 2, 4, 3), np.float32), [0, 10], variables)
    path = tmp_path / "anywhere.zarr"
    write_features(dataset, path, identity=Identity("mine", "oja", "tiny", "small"), spec={}, code="", seconds=1.0)
    return path


@pytest.fixture
def episodes(tmp_path):
    dims = ("dataset", "embedding", "learner", "way", "shots")
    accuracy = np.full((1, 2, 3, 1, 2), 0.6)
    accuracy[0, 1, 1] = np.nan
    dataset = xr.Dataset(
        {name: (dims, accuracy * share) for name, share in {"accuracy": 1, "interval": 0.1, "reported": 0.9}.items()}
        | {"embedding_kind": ("embedding", np.array(["pca", "mine"], dtype=object))},
        coords={
            "dataset": np.array(["a"], dtype=object),
            "embedding": np.array(["pca", "codes"], dtype=object),
            "learner": np.array(["protonets", "maml", "oracle-maml"], dtype=object),
            "way": [5],
            "shots": [1, 5],
        },
    )
    write_netcdf(dataset, tmp_path / "episodes.nc")
    return tmp_path / "episodes.nc"


@pytest.fixture
def partitioned(tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (12, 4, 4, 1)).astype(np.uint8)
    clusters = np.array([[0, 0, 1, 1, 1, -1] * 2], np.int32)
    of = {"dataset": "tiny", "partition": "clusters", "embedding": "pca", "embedding_kind": "pca"}
    for name, dataset in {
        "data": xr.Dataset({"image": (("example", "row", "column", "channel"), images)}, attrs={"name": "tiny"}),
        "clusters": xr.Dataset({"cluster": (("partition", "example"), clusters)}, attrs=of),
    }.items():
        write_zarr(dataset, tmp_path / f"{name}.zarr", spec={}, code="")
    return [f"partitions={tmp_path / 'clusters.zarr'}", f"datasets={tmp_path / 'data.zarr'}"]


@pytest.mark.parametrize("figure", FIGURES)
def test_equal_results_give_equal_files(figure, summary, history, features, episodes, partitioned, tmp_path):
    drawn_from = {
        "accuracy_over_compute": [f"histories={history}"],
        "meta_training_curves": [f"histories={history}"],
        "first_layer_filters": [f"features={features}"],
        "accuracy_on_episodes": [f"summary={episodes}"],
        "pseudo_classes": partitioned,
    }
    drawn = []
    for folder in ("one", "two"):
        outputs = [tmp_path / folder / f"{figure}{suffix}" for suffix in (".svg", ".png")]
        draw_figure(drawn_from.get(figure, [f"summary={summary}"]), figure, outputs)
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
    other = written_history(tmp_path / "other", "other", dataset=np.array(["digits", "words"], dtype=object))
    figure = draw([history, other])
    (panel,) = [axes for axes in figure.axes if axes.get_visible()]
    assert panel.get_title() == "digits"
    lines = {line.get_label(): line.get_xydata().tolist() for line in panel.lines}
    # 30 meta-steps of 8 tasks x 10 inner steps of 0.5 GFLOP are 1.2 TFLOP.
    assert lines == {"run": [[0, 0.4], [1.2, 0.5]], "other": [[0, 0.5], [1.2, 0.6]]}
    stranger = written_history(tmp_path / "stranger", "stranger", dataset=np.array(["x", "y"], dtype=object))
    with pytest.raises(InputError, match="watches nothing that the other runs watch"):
        draw([history, stranger])


def test_running_mean_starts_with_what_there_is():
    np.testing.assert_allclose(running_mean(np.array([1.0, 3, 5, 7]), 2), [1, 2, 4, 6])


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


def test_methods_look_alike_in_every_figure_whatever_they_are_called():
    few, many = (
        style.looks({"pca": "pca"}),
        style.looks({"a": "meta-trained", "b": "raw", "components": "pca", "c": "new"}),
    )
    assert few["pca"] == many["components"] == ("PCA", many["components"].colour)
    assert len({look.colour for look in many.values()}) == len(many)
    assert many["c"].label == "c"


def test_methods_of_one_kind_are_told_apart():
    first, second = style.looks({"early": "meta-trained", "late": "meta-trained"}).values()
    assert (first.label, second.label) == ("rule meta-trained here: early", "rule meta-trained here: late")
    assert first.colour != second.colour


def test_bad_requests_are_named(summary, tmp_path):
    for figure in ("bars", "style", "../style"):
        with pytest.raises(InputError, match=f"^--figure: '{figure}' is no module of figures$"):
            draw_figure([f"summary={summary}"], figure, [tmp_path / "x.svg"])
    with pytest.raises(InputError, match="is not NAME=PATH"):
        draw_figure([str(summary)], "few_shot_bars", [tmp_path / "x.svg"])
    with pytest.raises(InputError, match="neither"):
        style.save(Figure(), tmp_path / "x.pdf")
