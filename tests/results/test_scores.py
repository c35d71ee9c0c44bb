import re

import numpy as np
import pytest
import xarray as xr
from metaplastic.results.names import named
from metaplastic.results.scores import summarise
from metaplastic.results.tables import headline, markdown_table
from refusals import refused
from toy_scores import evaluation


@pytest.fixture
def summary():
    return summarise(
        [
            evaluation("learned", "a", 0.7, steps=(0, 10)),
            evaluation("learned", "b", 0.4, steps=(0, 10)),
            evaluation("random-init", "a", 0.5, steps=(0, 10)),
            evaluation("random-init", "b", 0.45, steps=(0, 10)),
            evaluation("raw", "a", 0.995, seeds=1, base_model=None),
            evaluation("raw", "b", 0.45, seeds=1, base_model=None),
        ]
    )


def cell(summary, name, method, dataset):
    return summary[name].sel({"representation": method, "dataset": dataset, "base_model": "small"}).values


def test_means_and_intervals_land_in_their_cells(summary):
    np.testing.assert_allclose(cell(summary, "accuracy", "learned", "a"), 0.7)
    np.testing.assert_allclose(cell(summary, "accuracy", "random-init", "b"), 0.45)
    # Three draws, standard deviation 0.02, two degrees of freedom.
    half = 4.302653 * 0.02 / np.sqrt(3)
    np.testing.assert_allclose(cell(summary, "accuracy_low", "raw", "b"), 0.45 - half, rtol=1e-6)
    assert cell(summary, "accuracy_high", "raw", "a").max() == 1
    np.testing.assert_allclose(summary["chance"], 0.1)


def test_a_method_without_a_step_has_nan_there_alone(summary):
    curve = cell(summary, "accuracy_over_inner_steps", "raw", "a")
    np.testing.assert_array_equal(np.isnan(curve), [[False, True], [False, True]])
    assert np.isfinite(cell(summary, "accuracy_over_inner_steps", "learned", "a")).all()


def test_differences_are_paired_over_draws(summary):
    for end in ("", "_low", "_high"):
        # The draws' common offsets cancel, so the interval has no width.
        name = f"difference_to_random_init{end}"
        np.testing.assert_allclose(cell(summary, name, "learned", "a"), 0.2, atol=1e-9)
        np.testing.assert_allclose(cell(summary, name, "learned", "b"), -0.05, atol=1e-9)
        np.testing.assert_allclose(cell(summary, name, "raw", "b"), 0, atol=1e-9)


def test_table(summary):
    lines = markdown_table(summary).splitlines()
    assert lines[0] == "| Method | a | b |"
    assert lines[2].startswith("| learned | 70.0 ± ")
    assert lines[3].endswith(" |")
    assert "| **45.0 ± " in lines[3]
    assert "| **99.5 ± " in lines[4]
    assert "| **45.0 ± " in lines[4]
    assert lines[2].count("**") == 0


def test_table_of_the_fewest_labels_follows(summary):
    summary["accuracy"].loc[{"shots": 1}] -= 0.1
    first, _, last, _ = (part for part in markdown_table(summary).split("\n\n") if part.startswith("| "))
    assert first.splitlines()[2].startswith("| learned | 70.0 ± ")
    assert last.splitlines()[2].startswith("| learned | 60.0 ± ")
    assert "\n\nAs above, with 1 labelled example a class.\n" in markdown_table(summary)
    alone = markdown_table(summary.sel(shots=[10]))
    assert "As above" not in alone
    assert len([part for part in alone.split("\n\n") if part.startswith("| ")]) == 3


def test_two_base_models_have_columns_of_their_own():
    both = summarise([evaluation("oja", "a", 0.5, base_model=name) for name in ("small", "wide")])
    assert markdown_table(both).startswith("| Method | a, small | a, wide |\n")


def test_an_embedding_stands_beside_every_base_model():
    rules = [evaluation("oja", "a", 0.5, base_model=name) for name in ("small", "wide")]
    both = summarise([*rules, evaluation("raw", "a", 0.6, base_model=None)])
    assert both["base_model"].values.tolist() == ["small", "wide"]
    np.testing.assert_allclose(both["accuracy"].sel(representation="raw"), 0.6)
    alone = summarise([evaluation("raw", "a", 0.6, base_model=None)])
    assert alone["base_model"].values.tolist() == ["any"]
    assert markdown_table(alone).startswith("| Method | a |\n")


def test_base_models_are_told_apart_by_their_shapes_and_cost_what_was_measured():
    shapes = {"deep": (3, 16, "relu"), "wide": (1, 64, "sine")}
    made = [evaluation("oja", "a", 0.5, base_model=name) for name in shapes]
    for each, (depth, width, activation) in zip(made, shapes.values(), strict=True):
        each.attrs |= {"depth": depth, "width": width, "activation": activation, "peak_mb": 10.0 * width}
    summary = summarise([*made, evaluation("raw", "a", 0.6, base_model=None)])
    found = zip(*(summary[name].values.tolist() for name in ("depth", "width", "activation")), strict=True)
    assert dict(zip(summary["base_model"].values.tolist(), found, strict=True)) == shapes
    assert summary["peak_mb"].sel(representation="oja", dataset="a").values.tolist() == [160, 640]
    assert np.isnan(summary["peak_mb"].sel(representation="raw")).all()
    assert summary["width"].attrs["long_name"] == "units of the base model's widest hidden layer"


def test_gaps_are_shown_as_gaps():
    gaps = summarise(
        [
            evaluation("random-init", "a", 0.5),
            evaluation("oja", "a", 0.6, base_model="wide"),
            evaluation("oja", "b", 0.4),
        ]
    )
    assert np.isnan(gaps["accuracy"].sel(representation="oja", dataset="a", base_model="small")).all()
    # Nothing to compare them with.
    assert np.isnan(gaps["difference_to_random_init"].sel(representation="oja")).all()
    table = markdown_table(gaps)
    assert "| oja | \N{EN DASH} | **40.0 ± " in table
    assert "| random-init | **50.0 ± " in table
    assert "nan" not in table


def test_the_table_ends_with_chance_and_tells_the_time(summary):
    table = markdown_table(summary)
    assert table.count("\n| chance | 10.0 | 10.0 |\n") == 2
    assert "\n| Seconds | a | b |\n|---|---|---|\n| learned | 1.5 | 1.5 |\n" in table


def test_the_reference_is_known_by_its_kind_not_its_name():
    renamed = evaluation("drawn", "a", 0.5, kind="identity")
    impostor = evaluation("random-init", "a", 0.9)
    impostor.attrs["kind"] = "oja"
    table = markdown_table(summarise([renamed, impostor]))
    assert "| Points over drawn | a |" in table
    assert "| random-init | **+40.0 ± 0.0** |" in table


def test_meta_training_seeds_are_a_level_of_every_interval():
    runs = [evaluation("learned", "a", mean, kind="meta-trained") for mean in (0.6, 0.7, 0.75)]
    reference = evaluation("random-init", "a", 0.5)
    learned = xr.concat(runs, "meta_seed", combine_attrs="override")
    both = summarise([learned, reference])
    assert both["meta_seeds"].values.tolist() == [3, 0]
    half = 4.302653 * np.std([0.6, 0.7, 0.75], ddof=1) / np.sqrt(3)
    low, high = (cell(both, f"accuracy_{end}", "learned", "a") for end in ("low", "high"))
    # Draws add to the variance, and to the degrees of freedom.
    assert ((high - low) / 2 > 0.9 * half).all()
    # Offsets of draws cancel in differences, the spread of runs does not.
    ends = [cell(both, f"difference_to_random_init_{end}", "learned", "a") for end in ("low", "high")]
    np.testing.assert_allclose(
        ends, np.stack([np.full((2, 2), 2.05 / 3 - 0.5 + sign * half) for sign in (-1, 1)]), rtol=1e-4
    )
    table = markdown_table(both)
    note = "draws of labels (3 draws), of rules meta-trained here over 3 meta-training seeds too; best in bold."
    assert note in table
    one = markdown_table(summarise([learned.isel(meta_seed=[0]), reference]))
    assert "(3 draws), not over meta-training, which has one seed; best" in one


def test_repeated_or_mixed_evaluations_are_refused():
    full = [evaluation("raw", "a", 0.5), evaluation("pca", "a", 0.5)]
    assert "'raw' was evaluated twice" in refused(summarise, [*full, full[0]])
    assert "differ in 'draw'" in refused(summarise, [full[0], evaluation("pca", "a", 0.5, draws=4)])
    assert "no evaluation to summarise" in refused(summarise, [])


def test_all_tables_of_a_page_call_a_method_the_same(summary):
    table = markdown_table(named(summary))
    for name in ("raw input: learned", "random initialisation", "raw input"):
        points = 0 if name == "random initialisation" else 1
        assert table.count(f"\n| {name} | ") == 3 + points
    assert "| Points over random initialisation | a | b |" in table
    assert not re.search(r"^\| (learned|random-init|raw) \|", table, re.MULTILINE)


def test_the_headline_is_the_first_table_of_the_page(summary):
    head, *methods, chance = headline(summary)
    assert head == ["Method", *summary["dataset"].values]
    lines = markdown_table(summary).splitlines()
    assert lines[0] == f"| {' | '.join(head)} |"
    assert lines[2 : 2 + len(methods)] == [f"| {' | '.join(row)} |" for row in methods]
    assert chance[0] == "chance"
