from pathlib import Path
from pkgutil import iter_modules

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from metaplastic import figures
from metaplastic.datasets.schema import About, make_dataset
from metaplastic.features import Identity, features_dataset, write_features
from metaplastic.figures import (
    accuracy_and_seconds,
    accuracy_over_inner_steps,
    accuracy_over_meta_training,
    accuracy_over_partitions,
    embedding_health,
    learning_curves,
    meta_training_curves,
    objective_mismatch,
    permuted_inputs,
    principal_components,
    style,
    unseen_architectures,
)
from metaplastic.figures.accuracy_over_compute import draw
from metaplastic.figures.first_layer_filters import filter_images, image_shape
from metaplastic.figures.style import running_mean
from metaplastic.io.errors import InputError
from metaplastic.io.storage import read_zarr, write_netcdf, write_zarr
from metaplastic.results.components import effective_rank
from metaplastic.results.scores import summarise
from metaplastic.stages.draw_figure import draw_figure
from refusals import refused
from toy_scores import SHAPES, evaluation, of_shapes, on_episodes

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
        | {"chance": ("dataset", [0.1, 0.5])}
        | {"seconds": (dims[:3], [[[12.3], [456.0]], [[0.0], [0.001]], [[1.0], [np.nan]]])},
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
    images = xr.Dataset({"image": (("example", "row", "column", "channel"), np.zeros((4, 4, 4, 1), np.uint8))})
    dataset = features_dataset(np.zeros((1, 2, 4, 3), np.float32), [0, 10], images, variables)
    path = tmp_path / "anywhere.zarr"
    write_features(dataset, path, identity=Identity("mine", "oja", "tiny", "small"), spec={}, code="", seconds=1.0)
    return path


@pytest.fixture
def architectures(tmp_path):
    write_netcdf(of_shapes(SHAPES), tmp_path / "architectures.nc")
    return tmp_path / "architectures.nc"


@pytest.fixture
def recorded(tmp_path):
    """The options of a figure of an embedding that was recorded at three gradient steps: its summary and its store."""
    accuracies = evaluation("code", "mnist", 0.7, steps=(0, 2, 4), kind="vae", base_model=None)
    accuracies["accuracy_over_inner_steps"] += np.array([-0.2, 0.1, 0])[None, :, None, None]
    write_netcdf(summarise([accuracies]), tmp_path / "recorded.nc")
    losses = np.stack([np.arange(4.0, 0, -1), np.arange(5.0, 1, -1)]).astype(np.float32)
    dataset = features_dataset(
        np.zeros((2, 3, 4, 5), np.float32), [0, 2, 4], xr.Dataset(), {"training_loss": (("seed", "update"), losses)}
    )
    path = tmp_path / "recorded.zarr"
    write_features(dataset, path, identity=Identity("code", "vae", "mnist"), spec={}, code="", seconds=1.0)
    return [f"summary={tmp_path / 'recorded.nc'}", f"features={path}"]


@pytest.fixture
def snapshots(tmp_path):
    accuracy = {"late": (20, 0.8), "initial": (0, 0.5), "middle": (10, 0.7)}
    made = []
    for name, (meta_step, mean) in accuracy.items():
        seeds = [evaluation(name, "mnist", mean + change, kind="meta-trained") for change in (-0.01, 0.01)]
        made.append(xr.concat(seeds, "meta_seed", combine_attrs="override"))
        made[-1].attrs |= {"run": "mine", "meta_step": meta_step}
    write_netcdf(summarise([*made, evaluation("random-init", "mnist", 0.4)]), tmp_path / "snapshots.nc")
    return tmp_path / "snapshots.nc"


@pytest.fixture
def labelled(features, tmp_path):
    about = About("tiny", "", "", "")
    classes, split = np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1], bool)
    dataset = make_dataset(np.zeros((4, 2), np.float32), classes, split, about, class_names=["a", "b"])
    write_zarr(dataset, tmp_path / "tiny.zarr", spec={}, code="")
    return tmp_path / "tiny.zarr"


@pytest.fixture
def episodes(tmp_path):
    dims = ("dataset", "embedding", "learner", "way", "shots")
    accuracy = np.full((1, 2, 3, 1, 2), 0.6)
    accuracy[0, 1, 1] = np.nan
    dataset = xr.Dataset(
        {name: (dims, accuracy * share) for name, share in {"accuracy": 1, "interval": 0.1, "reported": 0.9}.items()}
        | {"embedding_kind": ("embedding", np.array(["pca", "mine"], dtype=object))}
        | {"permuted": ("dataset", [False]), "on_embedding": ("learner", [True, True, False])},
        coords={
            "dataset": np.array(["a"], dtype=object),
            "embedding": np.array(["pca", "codes"], dtype=object),
            "learner": np.array(["protonets", "maml", "oracle-maml"], dtype=object),
            "learner_key": ("learner", np.array(["protonets", "maml", "maml"], dtype=object)),
            "learner_kind": ("learner", np.array(["protonets", "maml", "maml"], dtype=object)),
            "way": [5],
            "shots": [1, 5],
        },
    )
    write_netcdf(dataset, tmp_path / "episodes.nc")
    return tmp_path / "episodes.nc"


@pytest.fixture
def permuted(tmp_path):
    made = []
    for dataset, order, mean in (("as-is", 0, 0.9), ("mixed", 1, 0.5)):
        for learner, of in (("protonets", {}), ("nearest-neighbours", {"embedding": "mine", "embedding_kind": "oja"})):
            accuracy = np.random.default_rng(1).uniform(mean - 0.1, mean, (1, 2, 20))
            about = {"dataset": dataset, "permuted": order, "learner": learner, "learner_kind": learner}
            made.append(on_episodes(accuracy, **about, **of))
    write_netcdf(summarise(made), tmp_path / "permuted.nc")
    return tmp_path / "permuted.nc"


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


@pytest.fixture
def trained(tmp_path):
    """The options of a figure of an embedding whose features are a line: test examples 4 to 7 at 0, 1, 3 and 4."""
    images = np.zeros((8, 4, 4, 1), np.uint8)
    images[:, 0, 0, 0] = np.arange(8) * 10
    image_set = make_dataset(images, np.zeros(8, int), np.arange(8) >= 4, About("tiny", "", "", ""), class_names=["a"])
    write_zarr(image_set, tmp_path / "tiny-images.zarr", spec={}, code="")
    along = np.array([0, 0, 0, 0, 0, 1, 3, 4], np.float32)
    codes = np.stack([np.zeros((8, 3), np.float32), along[:, None] * np.array([1, 2, 2], np.float32)])
    metrics = {"training_loss": np.arange(200.0, 0, -1), "training_critic": np.ones(200)}
    variables = {name: (("seed", "update"), values[None]) for name, values in metrics.items()}
    path = tmp_path / "trained.zarr"
    dataset = features_dataset(codes[None], [1, 200], image_set, variables)
    write_features(dataset, path, identity=Identity("code", "acai", "tiny"), spec={}, code="", seconds=1.0)
    return [f"features={path}", f"datasets={tmp_path / 'tiny-images.zarr'}"]


@pytest.fixture
def trainings(tmp_path):
    """The options of a figure of two learners' trainings and of one that another dataset's labels have trained."""
    clusters, truth = {"partition": "clusters", "partition_kind": "k-means"}, {"partition": "truth"}
    arms = {
        "maml": {"learner": "maml", **clusters, "embedding": "codes", "embedding_kind": "pca"},
        "near": {"learner": "near", **clusters, "embedding": "codes", "embedding_kind": "pca"},
        "oracle-maml": {"learner": "maml", **truth, "partition_kind": "labels"},
    }
    options, evaluations = [], []
    for name, attrs in arms.items():
        loss, accuracy = np.array([4.0, 2, 3, 1]), np.linspace(0.2, 0.8, 4)
        history = xr.Dataset({"loss": ("update", loss), "accuracy": ("update", accuracy)}, {"update": np.arange(4) + 1})
        write_zarr(history.assign_attrs(dataset="a", **attrs), tmp_path / f"{name}.zarr", spec={}, code="")
        options.append(f"histories={tmp_path / name}.zarr")
        episodes = 0.6 + 0.1 * len(evaluations) + np.zeros((1, 2, 5))
        evaluations.append(on_episodes(episodes, dataset="a", learner_kind=attrs["learner"], **attrs))
    write_netcdf(summarise(evaluations), tmp_path / "trainings.nc")
    return [*options, f"summary={tmp_path / 'trainings.nc'}"]


@pytest.fixture
def numbers(tmp_path):
    """A summary of learners that 1 to 30 partitions of 500 clusters have trained, and 10 of 100 to 1,000."""
    made = []
    for partitions, clusters in ((10, 500), (1, 500), (30, 500), (10, 1000), (10, 100), (3, 250)):
        of = {"partition": f"{partitions}-{clusters}", "partition_kind": "k-means", "embedding": "codes"}
        about = {"dataset": "a", "learner": "protonets", "learner_kind": "protonets", "embedding_kind": "pca"}
        accuracy = partitions / 100 + clusters / 2000 + np.zeros((1, 2, 5))
        made.append(on_episodes(accuracy, **about, **of, partitions=partitions, clusters=clusters))
    write_netcdf(summarise(made), tmp_path / "numbers.nc")
    return tmp_path / "numbers.nc"


DRAWN_FROM = {
    "unseen_architectures": {"summary": "architectures"},
    "objective_mismatch": "recorded",
    "principal_components": {"features": "features", "datasets": "labelled"},
    "accuracy_over_meta_training": {"summary": "snapshots"},
    "accuracy_over_compute": {"histories": "history"},
    "meta_training_curves": {"histories": "history"},
    "first_layer_filters": {"features": "features"},
    "accuracy_on_episodes": {"summary": "episodes"},
    "permuted_inputs": {"summary": "permuted"},
    "pseudo_classes": "partitioned",
    "embedding_health": "trained",
    "accuracy_over_partitions": {"summary": "numbers"},
    "learning_curves": "trainings",
}
"""Fixtures of the options of a figure, or of each of its inputs; others are drawn from `summary`."""


def of_options(options):
    return {name: [Path(path)] for name, path in (text.split("=") for text in options)}


@pytest.mark.parametrize("figure", FIGURES)
def test_equal_results_give_equal_files(figure, request, tmp_path):
    made_of = DRAWN_FROM.get(figure, {"summary": "summary"})
    if isinstance(made_of, str):
        options = request.getfixturevalue(made_of)
    else:
        options = [f"{name}={request.getfixturevalue(fixture)}" for name, fixture in made_of.items()]
    # What differs shows in the SVG already, which is drawn sooner.
    suffixes = {"one": (".svg", ".png"), "two": (".svg", ".png") if figure == FIGURES[0] else (".svg",)}
    drawn = []
    for folder, of_both in suffixes.items():
        outputs = [tmp_path / folder / f"{figure}{suffix}" for suffix in of_both]
        draw_figure(options, figure, outputs)
        drawn.append([path.read_bytes() for path in outputs])
    first, second = drawn
    assert second == first[: len(second)]
    assert first[0].startswith(b"<?xml")
    assert first[1].startswith(b"\x89PNG")
    assert min(map(len, first)) > 5000


def test_bars_of_permuted_inputs_stand_below_those_of_intact_ones(permuted, episodes):
    figure = permuted_inputs.draw([permuted])
    panel, *_ = figure.axes
    assert [label.get_text() for label in panel.get_yticklabels()] == ["ProtoNets", "nearest neighbours on\nOja's rule"]
    widths = {round(bar.get_y() + bar.get_height() / 2): bar.get_width() for bar in panel.patches}
    assert widths[0] > widths[1] + 0.3
    assert [text.get_text() for text in figure.legends[0].get_texts()][:2] == ["as-is", "mixed, inputs permuted"]
    assert "give a dataset as it is and one with `permuted` inputs" in refused(permuted_inputs.draw, [episodes])


def test_an_embedding_is_shown_with_its_losses_its_rank_and_what_lies_near(trained, recorded, features):
    inputs = of_options(trained)
    losses, variance, neighbours = embedding_health.draw(**inputs).axes
    curves = {line.get_label(): line.get_ydata() for line in losses.lines}
    assert list(curves) == ["loss", "critic"]
    assert (curves["loss"][0], curves["loss"][-1]) == (200, np.arange(1, 101).mean())
    assert losses.lines[0].get_color() == style.look("code", "acai").colour
    # Collapsed to a line, whose share is all.
    np.testing.assert_allclose(variance.lines[0].get_ydata(), [1, 0, 0], atol=1e-12)
    assert variance.get_title() == "effective rank 1 of 3"
    # The first pixel of each image names it; a line lies between images.
    shown = np.round(neighbours.images[0].get_array()[::5, ::5] * 255 / 10).astype(int)
    near = {row[0]: row[1:].tolist() for row in shown}
    assert near == {4: [5, 6, 7, 0], 5: [4, 6, 7, 0], 6: [7, 5, 4, 0], 7: [6, 5, 4, 0]}
    with pytest.raises(InputError, match="of dataset 'mnist', which is not among those given"):
        embedding_health.draw(of_options(recorded)["features"], inputs["datasets"])
    with pytest.raises(InputError, match="holds no training_loss; give the features of an embedding that is trained"):
        embedding_health.draw([features], inputs["datasets"])


def test_training_curves_end_beside_the_accuracy_on_episodes(trainings, permuted):
    histories, summary = [Path(text.split("=")[1]) for text in trainings[:-1]], Path(trainings[-1].split("=")[1])
    losses, accuracies, tests = learning_curves.draw(histories, [summary]).axes
    assert losses.get_ylim() != accuracies.get_ylim() == tests.get_ylim()
    np.testing.assert_allclose(losses.lines[0].get_xydata(), [[1, 4], [2, 3], [3, 3], [4, 2.5]])
    np.testing.assert_allclose(accuracies.lines[0].get_ydata(), [0.2, 0.3, 0.4, 0.5])
    # One embedding and none, three learners, each as its dots look.
    looks = [(line.get_color(), line.get_linestyle()) for line in losses.lines]
    assert [colour for colour, _ in looks] == [style.look("codes", "pca").colour] * 2 + ["#c8c8c8"]
    assert len({dashes for _, dashes in looks}) == len({line.get_marker() for line in tests.lines}) == 3
    assert [line.get_color() for line in tests.lines] == [colour for colour, _ in looks]
    dots = np.stack([line.get_xydata() for line in tests.lines])
    np.testing.assert_allclose(dots[:, :, 1], [[0.6, 0.6], [0.7, 0.7], [0.8, 0.8]])
    np.testing.assert_array_equal(dots[:, :, 0].round(), [[0, 1]] * 3)
    assert np.unique(dots[:, 0, 0]).size == 3
    with pytest.raises(InputError, match=r"maml\.zarr: of a learner or a dataset that is not in the summary"):
        learning_curves.draw(histories, [permuted])


def test_curves_over_partitions_and_clusters_differ_in_one_number_alone(numbers, trainings):
    over_partitions, over_clusters = accuracy_over_partitions.draw([numbers]).axes
    assert over_partitions.get_title() == "a, 5-way, 500 clusters"
    assert over_clusters.get_title() == "a, 5-way, 10 partitions"
    for axes, expected in (
        (over_partitions, [[1, 0.26], [10, 0.35], [30, 0.55]]),
        (over_clusters, [[100, 0.15], [500, 0.35], [1000, 0.6]]),
    ):
        one_shot, *_ = axes.containers
        np.testing.assert_allclose(one_shot.lines[0].get_xydata(), expected)
        assert len(axes.containers) == 2
        assert axes.get_xscale() == "log"
        np.testing.assert_allclose(axes.lines[-1].get_ydata(), 0.2)
    assert [label.get_text() for label in over_clusters.get_xticklabels()] == ["100", "500", "1,000"]
    with pytest.raises(InputError, match=r"trainings\.nc: give a learner 3 numbers of partitions or of clusters"):
        accuracy_over_partitions.draw([Path(trainings[-1].split("=")[1])])


def test_effective_rank_counts_the_dimensions_that_vary():
    assert effective_rank(np.array([0.25, 0.25, 0.25, 0.25, 0])) == pytest.approx(4)
    # Of singular values 2 to 1: shares 0.8 and 0.2.
    assert effective_rank(np.array([0.8, 0.2])) == pytest.approx(np.exp(-(2 / 3 * np.log(2 / 3) + np.log(1 / 3) / 3)))
    assert effective_rank(np.zeros(3)) == 0


def test_filters_are_put_back_into_pixel_order():
    pixels, permutation = np.arange(9.0), np.random.default_rng(1).permutation(9)
    images = filter_images(pixels[permutation][:, None], permutation, [3, 3, 1])
    np.testing.assert_array_equal(images[0], pixels.reshape(3, 3))
    colour = np.repeat(pixels[:4], 3)[:, None]
    np.testing.assert_array_equal(filter_images(colour, np.arange(12), [2, 2, 3])[0], [[0, 1], [2, 3]])
    # 192 inputs are 16 x 12 pixels here, though they might be 8 x 8 of three colours.
    assert filter_images(np.ones((192, 2)), np.arange(192), [16, 12, 1]).shape == (2, 16, 12)
    assert refused(image_shape, xr.Dataset(), Path("x.zarr")).startswith("x.zarr: of data that are no images")
    old = xr.Dataset(attrs={"modality": "image"})
    assert refused(image_shape, old, Path("x.zarr")).startswith("x.zarr: of an earlier version, which tells no shape")


def test_runs_are_drawn_side_by_side_over_the_arithmetic_they_took_where_they_watch_the_same(history, tmp_path):
    other = written_history(tmp_path / "other", "other", dataset=np.array(["digits", "words"], dtype=object))
    (panel,) = [axes for axes in draw([history, other]).axes if axes.get_visible()]
    assert panel.get_title() == "digits"
    lines = {line.get_label(): line.get_xydata().tolist() for line in panel.lines}
    # 30 meta-steps of 8 tasks x 10 inner steps of 0.5 GFLOP are 1.2 TFLOP.
    assert lines == {"run": [[0, 0.4], [1.2, 0.5]], "other": [[0, 0.5], [1.2, 0.6]]}
    stranger = written_history(tmp_path / "stranger", "stranger", dataset=np.array(["x", "y"], dtype=object))
    assert "watches nothing that the other runs watch" in refused(draw, [history, stranger])


def test_curves_of_runs_lie_over_one_another_and_none_is_cut_off(history, tmp_path):
    other = written_history(tmp_path / "other", "other", dataset=np.array(["digits", "words"], dtype=object))
    figure = meta_training_curves.draw([history, other])
    panels = {axes.get_title(): axes for axes in figure.axes if axes.get_visible()}
    drawn = {title: [line.get_label() for line in axes.lines] for title, axes in panels.items()}
    assert [drawn[name] for name in ("letters (training)", "digits", "words")] == [["run"], ["run", "other"], ["other"]]
    assert len({axes.get_xlim() for axes in panels.values()}) == 1
    for axes in panels.values():
        low, high = axes.get_ylim()
        assert all(low <= y <= high for line in axes.lines for y in line.get_ydata())


def test_a_single_inner_step_is_a_level(tmp_path):
    write_netcdf(summarise([evaluation("oja", "digits", 0.7, steps=(200,))]), tmp_path / "summary.nc")
    (axes,) = accuracy_over_inner_steps.draw([tmp_path / "summary.nc"]).axes
    np.testing.assert_allclose(axes.lines[0].get_ydata(), 0.7, rtol=1e-6)


def test_networks_are_shown_along_one_line_of_each_way_to_vary_them(tmp_path):
    shapes = {
        "b": (1, 16, "relu"),
        "a": (4, 16, "relu"),
        "w": (1, 128, "relu"),
        "v": (1, 10_000, "relu"),
        "lone": (8, 32, "tanh"),
        "s": (4, 16, "sine"),
    }
    write_netcdf(of_shapes(shapes), tmp_path / "summary.nc")
    depth, width, activation, *over_steps = unseen_architectures.draw([tmp_path / "summary.nc"]).axes
    assert depth.get_title() == "mnist, 16 units per layer, ReLU"
    np.testing.assert_allclose(depth.lines[0].get_xydata(), [[1, 0.8], [4, 0.81]], rtol=1e-6)
    np.testing.assert_allclose(depth.lines[1].get_xydata(), [[1, 0.5], [4, 0.51]], rtol=1e-6)
    # Hollow marks are of the first inner step after 0, here the last too; its draws are others.
    assert [line.get_fillstyle() for line in depth.lines] == ["full", "full", "full", "none", "none", "full"]
    np.testing.assert_allclose(depth.lines[3].get_xydata(), [[1, 0.8], [4, 0.81]], rtol=1e-6)
    # Depth 8 has but one network of its width.
    np.testing.assert_allclose(width.lines[0].get_xydata(), [[16, 0.8], [128, 0.82], [10_000, 0.83]], rtol=1e-6)
    assert [label.get_text() for label in activation.get_yticklabels()] == ["ReLU", "sine"]
    labels = [[line.get_label() for line in axes.lines[:-1]] for axes in over_steps]
    assert labels == [["1", "4"], ["16", "128", "10,000"], ["ReLU", "sine"]]


def test_the_peak_of_accuracy_is_marked_beside_the_loss(recorded):
    above, below = objective_mismatch.draw(**of_options(recorded)).axes
    curve, star = [line for line in above.lines if line.get_color() == above.lines[1].get_color()][:2]
    np.testing.assert_allclose(curve.get_xydata(), [[0, 0.5], [2, 0.8], [4, 0.7]], rtol=1e-6)
    np.testing.assert_allclose(star.get_xydata(), [[2, 0.8]], rtol=1e-6)
    assert above.get_title() == "mnist\nvariational autoencoder: largest 80.0% after 2 steps, 70.0% after 4"
    np.testing.assert_allclose(below.lines[0].get_xydata(), [[1, 4.5], [2, 4], [3, 3.5], [4, 3]])
    assert below.lines[1].get_xdata() == [2, 2]


def test_the_loss_begins_where_its_window_is_whole(recorded, monkeypatch):
    monkeypatch.setattr(objective_mismatch, "WINDOW", 3)
    _, below = objective_mismatch.draw(**of_options(recorded)).axes
    np.testing.assert_allclose(below.lines[0].get_ydata(), [np.nan, np.nan, 3.5, 2.5])


def test_a_peak_needs_the_history_of_a_training(recorded, features):
    assert "holds no training_loss" in refused(objective_mismatch.draw, of_options(recorded)["summary"], [features])


def test_snapshots_are_drawn_in_the_order_of_meta_training(snapshots, summary):
    (axes,) = accuracy_over_meta_training.draw([snapshots]).axes
    curve, drawn, chance = axes.lines
    np.testing.assert_allclose(curve.get_xydata(), [[0, 0.5], [10, 0.7], [20, 0.8]], rtol=1e-6)
    np.testing.assert_allclose([*drawn.get_ydata(), *chance.get_ydata()], [0.4, 0.4, 0.1, 0.1], rtol=1e-6)
    assert (axes.get_title(), axes.get_ylabel()) == ("run mine, 2 seeds", "test accuracy with 10 labels per class (%)")
    assert axes.get_xticks().tolist() == [0, 10, 20]
    assert "summary.nc: no rule in it is a snapshot of a run" in refused(accuracy_over_meta_training.draw, [summary])


def test_principal_components_are_those_of_centred_features():
    rng = np.random.default_rng(0)
    axis = np.array([0.6, 0.8])
    features = (
        np.array([3, -7]) + 5 * rng.normal(size=(400, 1)) * axis + rng.normal(size=(400, 1)) * axis[::-1] * [1, -1]
    )
    found = principal_components.components(features)
    centred = features - features.mean(0)
    np.testing.assert_allclose(found.scores.var(0), np.linalg.eigvalsh(np.cov(centred.T, ddof=0))[::-1], rtol=1e-6)
    np.testing.assert_allclose(found.shares, found.scores.var(0) / centred.var(0).sum(), rtol=1e-6)
    assert abs(np.corrcoef(found.scores[:, 0], centred @ axis)[0, 1]) > 0.99
    assert not principal_components.components(np.ones((5, 3))).shares.any()


def test_components_are_of_a_dataset_that_is_given(features, labelled, tmp_path):
    before, after, variance = principal_components.draw([features], [labelled]).axes
    titles = [axes.get_title() for axes in (before, after)]
    assert titles == ["before learning\ntiny", "after 10 inner steps\nOja's rule"]
    # Two of the four examples are for testing.
    assert len(before.collections[0].get_offsets()) == 2
    assert [line.get_label() for line in variance.lines] == ["before learning", "after 10 inner steps"]
    stranger = read_zarr(labelled).assign_attrs(name="other")
    write_zarr(stranger, tmp_path / "other.zarr", spec={}, code="")
    with pytest.raises(InputError, match="of dataset 'tiny', which is not among those given"):
        principal_components.draw([features], [tmp_path / "other.zarr"])


def test_seconds_stand_beside_accuracies_and_none_where_there_are_none(summary):
    accuracy, seconds, _, others = accuracy_and_seconds.draw([summary]).axes
    assert [bar.get_width() for bar in accuracy.patches] == pytest.approx([0.7, 0.6, 0.5])
    assert [label.get_text() for label in accuracy.get_yticklabels()][1] == "raw input"
    assert [bar.get_width() for bar in seconds.patches] == [12.3, 0.01, 1]
    texts = [[text.get_text() for text in axes.texts] for axes in (seconds, others)]
    assert texts == [["12", "0", "1"], ["456", "0.001"]]


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
    few = style.looks({"pca": "pca"})
    many = style.looks({"a": "meta-trained", "b": "raw", "components": "pca", "c": "new"})
    assert few["pca"] == many["components"] == ("PCA", many["components"].colour)
    assert len({look.colour for look in many.values()}) == len(many)
    assert many["c"].label == "c"


def test_methods_of_one_kind_are_told_apart():
    first, second = style.looks({"early": "meta-trained", "late": "meta-trained"}).values()
    assert (first.label, second.label) == ("rule meta-trained here: early", "rule meta-trained here: late")
    assert first.colour != second.colour


def test_bad_requests_are_named(summary, tmp_path):
    for figure in ("bars", "style", "../style"):
        with pytest.raises(InputError, match=f"^--figure: '{figure}' is not a module of figures$"):
            draw_figure([f"summary={summary}"], figure, [tmp_path / "x.svg"])
    assert "is not NAME=PATH" in refused(draw_figure, [str(summary)], "few_shot_bars", [tmp_path / "x.svg"])
    assert "neither" in refused(style.save, Figure(), tmp_path / "x.pdf")
