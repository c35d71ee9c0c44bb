import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from metaplastic.io.errors import InputError
from metaplastic.io.storage import read_netcdf, write_netcdf
from metaplastic.results.published import architectures, episodes, few_shot
from metaplastic.results.scores import summarise
from metaplastic.results.tables import architectures_table, few_shot_table, markdown_table
from metaplastic.tools.publish import publish
from refusals import refused
from test_scores_of_episodes import evaluation as of_episodes
from test_scores_of_episodes import of, trained
from toy_scores import SHAPES, evaluation, of_shapes

ROOT = Path(__file__).parents[2]


def test_architectures_are_a_cube_of_what_was_trained():
    cube = architectures([of_shapes(SHAPES)])
    assert cube["accuracy"].dims == ("representation", "depth", "width", "activation")
    assert cube["accuracy_over_inner_steps"].dims[-1] == "inner_step"
    assert int(cube["accuracy"].notnull().sum()) == 2 * len(SHAPES)
    for number, (depth, width, activation) in enumerate(SHAPES.values()):
        network = cube.sel(depth=depth, width=width, activation=activation)
        np.testing.assert_allclose(network["accuracy"], [0.8 + number / 100, 0.5 + number / 100], rtol=1e-6)
        np.testing.assert_allclose(network["peak_mb"], 100 * (number + 1))
        # Three draws, standard deviation 0.02, two degrees of freedom.
        np.testing.assert_allclose(network["interval"], 4.302653 * 0.02 / np.sqrt(3), rtol=1e-6)
    along = cube["accuracy"].sel(representation="shipped", depth=1, activation="relu").dropna("width")
    assert along["width"].values.tolist() == [16, 10_000]
    assert (cube.attrs["dataset"], cube.attrs["shots"], cube["width"].attrs["long_name"][:5]) == ("mnist", 10, "units")


def test_of_networks_of_one_shape_the_first_counts():
    cube = architectures([of_shapes({"one": (1, 16, "relu"), "same": (1, 16, "relu")})])
    np.testing.assert_allclose(cube["accuracy"].squeeze(), [0.8, 0.5], rtol=1e-6)


def test_networks_and_representations_that_were_evaluated_later_join_published_architectures(tmp_path):
    write_netcdf(architectures([of_shapes(SHAPES)]), tmp_path / "first.nc")
    published = read_netcdf(tmp_path / "first.nc")
    late = of_shapes(SHAPES | {"e": (2, 16, "leaky_relu")}, methods=(("a-later-representation", 0.7),))
    cube = architectures([late, published, of_shapes({"f": (8, 16, "relu")})])
    assert cube["representation"].values.tolist() == ["a-later-representation", "shipped", "random-init"]
    assert int(cube["accuracy"].notnull().sum()) == 3 * len(SHAPES) + 1 + 2
    for name in published.data_vars:
        same = cube[name].sel({d: published[d] for d in published[name].dims})
        np.testing.assert_array_equal(same, published[name])
    of_late = cube["accuracy"].sel(representation="a-later-representation")
    assert of_late.sel(depth=2, width=16, activation="leaky_relu") == pytest.approx(0.74)
    assert cube["accuracy"].sel(representation="shipped", depth=8, width=16, activation="relu") == pytest.approx(0.8)
    assert cube["width"].attrs == published["width"].attrs
    assert cube.attrs == published.attrs
    longer = of_shapes({"f": (8, 16, "relu")})
    longer = longer.assign_coords(inner_step=[0, 500])
    fewer = of_shapes({"f": (8, 16, "relu")}).isel(shots=[0])
    for other in (of_shapes(SHAPES, "digits"), longer, fewer):
        with pytest.raises(InputError, match=r"^architectures are published of one dataset, one number of labels and"):
            architectures([published, other])


def test_what_was_measured_otherwise_does_not_join():
    first, other = of_shapes({"a": SHAPES["a"]}), of_shapes({"b": SHAPES["b"]})
    with pytest.raises(InputError, match=r"^summaries differ in draws of labels; "):
        architectures([first, other.assign_attrs(draws=4)])
    with pytest.raises(InputError, match=r"^summaries have different seeds of one representation; "):
        architectures([first, other.assign(seeds=other["seeds"] + 1)])
    assert refused(few_shot, [architectures([first])]).startswith("not accuracies by datasets and numbers of labels; ")
    assert refused(architectures, [few_shot([first])]).startswith("no depth, width and activation of base models; ")


def studies_of_episodes(accuracy: float = 0.6, queries: int = 5) -> list[xr.Dataset]:
    """Two studies with one learner in common; one of a learner that needs no embedding, one of another embedding."""
    clusters, acai = trained("clusters", "k-means"), of("acai")
    common = of_episodes("maml", 0.6, **clusters, **acai)
    again = of_episodes("maml", accuracy, **clusters, **acai)
    random = of_episodes("maml", 0.3, **trained("random", "random"), training_steps=40)
    pixels = of_episodes("maml", 0.4, **trained("small", "k-means"), **of("zca"))
    later = summarise([again, random, pixels])
    return [summarise([common, of_episodes("nearest-neighbours", 0.5, **acai)]), later.assign_attrs(queries=queries)]


def test_what_a_later_study_has_evaluated_joins_what_is_published():
    first, later = studies_of_episodes()
    joined = episodes([first, later])
    alone = summarise([of_episodes("maml", 0.3, **trained("random", "random"))])
    xr.testing.assert_identical(joined, episodes([joined, alone]))
    assert joined["embedding"].values.tolist() == ["acai", "zca"]
    assert joined["learner"].values.tolist() == ["maml", "nearest-neighbours", "maml-random", "maml-small"]
    assert joined["partition"].sel(learner="maml-small") == "small"
    xr.testing.assert_allclose(joined["accuracy"].sel(first["accuracy"].indexes), first["accuracy"])
    xr.testing.assert_allclose(joined["difference"].sel(first["difference"].indexes), first["difference"])
    for embedding in ("acai", "zca"):
        of_random = joined["accuracy"].sel(learner="maml-random", embedding=embedding)
        np.testing.assert_allclose(of_random, alone["accuracy"].squeeze("embedding").sel(learner="maml-random"))
        assert joined["training_steps"].sel(learner="maml-random", embedding=embedding) == 40
    lines = markdown_table(joined).splitlines()
    arms = [line.split(" | ")[:2] for line in lines if line.startswith("| maml-")]
    assert arms == [["| maml-random", "none"], ["| maml-small", "zca"]]


def test_a_learner_of_other_partitions_joins_under_both_names_though_its_study_has_no_others():
    first, later = studies_of_episodes()
    pixels = of_episodes("maml", 0.4, **trained("small", "k-means"), **of("zca"))
    alone = summarise([pixels])
    assert alone["learner"].values.tolist() == ["maml"]
    cell = {"learner": "maml-small", "embedding": "zca"}
    expected = episodes([first, later])["accuracy"].sel(cell)
    xr.testing.assert_identical(episodes([first, alone])["accuracy"].sel(cell), expected)
    # As read from a file, with text no longer than its longest.
    short = first.drop_sel(learner="nearest-neighbours")
    short = short.assign_coords({name: short[name].astype(str) for name in ("dataset", "embedding", "learner")})
    xr.testing.assert_identical(episodes([short, alone])["accuracy"].sel(cell), expected)


@pytest.mark.parametrize(
    ("changed", "message"), [({"accuracy": 0.7}, "different numbers of one learner"), ({"queries": 15}, "differ in")]
)
def test_studies_that_contradict_one_another_are_not_joined(changed, message):
    with pytest.raises(InputError, match=message):
        episodes(studies_of_episodes(**changed))


def test_table_of_architectures():
    lines = architectures_table(architectures([of_shapes(SHAPES)])).splitlines()
    assert lines[0] == "| Hidden layers | Units of each | Activation | shipped | random-init | Seconds | Peak MB |"
    assert lines[2] == "| 1 | 16 | relu | 80.0 ± 5.0 | 50.0 ± 5.0 | 2 | 100 |"
    assert lines[4] == "| 1 | 10,000 | relu | 81.0 ± 5.0 | 51.0 ± 5.0 | 2 | 200 |"
    assert len(lines) == 2 + len(SHAPES) + 2
    assert "after 10 inner steps; ± is half of the 95% interval over 2 seeds and 3 draws of labels." in lines[-1]


def test_few_shot_results_of_several_studies_are_one_table():
    images = summarise([evaluation("shipped", "mnist", 0.8), evaluation("raw", "mnist", 0.7, base_model=None)])
    text = summarise([evaluation("late", "imdb", 0.6), evaluation("raw", "imdb", 0.65, base_model=None)])
    joined = few_shot([images, text.assign_coords(shots=[10, 100])])
    assert joined["accuracy"].dims == ("dataset", "representation", "shots")
    assert joined["representation"].values.tolist() == ["shipped", "raw", "late"]
    assert joined["shots"].values.tolist() == [1, 10, 100]
    np.testing.assert_allclose(joined["accuracy"].sel(representation="raw"), [[0.7, 0.7, np.nan], [np.nan, 0.65, 0.65]])
    assert np.isnan(joined["interval"].sel(dataset="imdb", representation="shipped")).all()
    lines = few_shot_table(joined).splitlines()
    assert lines[0] == "| Method | mnist, 1 label | mnist, 10 labels | imdb, 10 labels | imdb, 100 labels |"
    assert lines[2:4] == [
        "| shipped | 80.0 ± 5.0 | 80.0 ± 5.0 | \N{EN DASH} | \N{EN DASH} |",
        "| raw | 70.0 ± 5.0 | 70.0 ± 5.0 | 65.0 ± 5.0 | 65.0 ± 5.0 |",
    ]
    assert joined["seconds"].sel(dataset="imdb", representation="late") == 1.5


def test_a_representation_that_was_evaluated_later_joins_a_published_file(tmp_path):
    write_netcdf(few_shot([summarise([evaluation("raw", "mnist", 0.7, base_model=None)])]), tmp_path / "raw.nc")
    published, later = read_netcdf(tmp_path / "raw.nc"), summarise([evaluation("polynomial", "mnist", 0.8)])
    joined = few_shot([published, later])
    # The second name is longer than all that the file holds.
    assert joined["representation"].values.tolist() == ["raw", "polynomial"]
    np.testing.assert_allclose(joined["accuracy"].sel(dataset="mnist"), [[0.7, 0.7], [0.8, 0.8]])
    assert refused(few_shot, [joined, later]) == "dataset 'mnist', representation 'polynomial': in two of the summaries"


@pytest.mark.parametrize(
    ("kind", "shapes", "message"),
    [
        ("few-shot", [SHAPES], "base models a, b, c, d: one is needed; publish one study of each"),
        ("few-shot", [{"a": SHAPES["a"]}] * 2, "dataset 'mnist', representation 'shipped': in two of the summaries"),
        (
            "architectures",
            [SHAPES, {"a": SHAPES["a"]}],
            "representation 'shipped', depth 1, width 16, activation 'relu': in two of the summaries",
        ),
        ("episodes", [SHAPES], "not accuracies of few-shot learners on episodes; publish it as what it is"),
        ("architecture", [SHAPES], "--kind: 'architecture' is none of few-shot, architectures, episodes"),
    ],
)
def test_what_cannot_be_published_is_refused(kind, shapes, message, tmp_path):
    paths = []
    for number, each in enumerate(shapes):
        paths.append(tmp_path / f"{number}.nc")
        write_netcdf(of_shapes(each), paths[-1])
    said = refused(publish, paths, kind, tmp_path / "out.nc")
    assert said.removeprefix(f"{', '.join(map(str, paths))}: ") == message
    assert not (tmp_path / "out.nc").exists()


def test_what_is_published_is_a_file_in_a_folder_that_need_not_be_there(tmp_path):
    write_netcdf(of_shapes(SHAPES), tmp_path / "summary.nc")
    publish([tmp_path / "summary.nc"], "architectures", tmp_path / "published/architectures.nc")
    cube = read_netcdf(tmp_path / "published/architectures.nc")
    assert cube["accuracy"].sel(representation="shipped", depth=4, width=16, activation="relu") == pytest.approx(0.82)


def test_cleaning_spares_what_is_published(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("results/published/a.nc", "results/.gitkeep", "results/datasets/x.zarr/zarr.json", "results/a.nc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True, capture_output=True)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"Makefile", "results/.gitkeep", "results/published/a.nc"}
