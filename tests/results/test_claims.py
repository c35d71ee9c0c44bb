import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from metaplastic.results.claims import CLAIMS, Results, comparison
from metaplastic.results.scores import summarise
from metaplastic.results.spec import EXPERIMENTS
from test_scores_of_episodes import evaluation as episode_evaluation
from toy_scores import evaluation

from workflow.plan_experiments import DECLARED


def of(method: str, dataset: str, mean: float, kind: str = "raw", **attributes):
    base_model = attributes.pop("base_model", "small")
    steps = attributes.pop("steps", (0,))
    modality = attributes.pop("modality", "image")
    made = evaluation(method, dataset, mean, kind=kind, base_model=base_model, steps=steps)
    return made.assign_attrs(modality=modality, **attributes)


def rows(experiment: str, results: Results) -> list[dict[str, str]]:
    """The rows of one experiment, by the head of the table."""
    head, _, *lines = comparison({experiment: results}).split("\n\n")[0].splitlines()
    names, *values = ([cell.strip() for cell in line.strip("|").split("|")] for line in (head, *lines))
    found = [dict(zip(names, row, strict=True)) for row in values]
    return [row for row, claim in zip(found, CLAIMS, strict=True) if claim.experiment == experiment]


def verdicts(experiment: str, results: Results) -> list[str]:
    return [row["Verdict"] for row in rows(experiment, results)]


def test_what_was_not_run_is_not_tested_and_every_row_has_its_command():
    table = comparison({}, configured="--configfile mine.yaml")
    assert table.count("| not tested |") == len(CLAIMS)
    assert "| `snakemake figure_5 --cores 2 --configfile mine.yaml` |" in table


@pytest.mark.parametrize(("end", "verdict"), [(0.4, "reproduced"), (0.75, "not reproduced")])
def test_mismatch_is_a_peak_with_intervals_apart(end: float, verdict: str):
    curve = of("vae", "letters", 0.0, kind="vae", base_model=None, steps=(10, 100, 1000))
    means = np.array([0.5, 0.76, end])[None, :, None, None]
    curve["accuracy_over_inner_steps"] = curve["accuracy_over_inner_steps"] + means
    (row,) = rows("objective-mismatch", Results(summarise([curve])))
    assert row["Verdict"] == verdict
    assert row["Here"].startswith("vae on letters: 76.0")
    assert row["Here"].endswith("after 1,000")


def test_a_curve_that_ends_at_its_best_says_so_once():
    curve = of("vae", "letters", 0.0, kind="vae", base_model=None, steps=(10, 100, 1000))
    curve["accuracy_over_inner_steps"] += np.array([0.5, 0.6, 0.7])[None, :, None, None]
    (row,) = rows("objective-mismatch", Results(summarise([curve])))
    assert row["Verdict"] == "not reproduced"
    assert row["Here"].endswith(" after 1,000 steps, the last")
    assert row["Here"].count("70.0") == 1


def test_an_experiment_needs_what_its_claims_need_in_their_order():
    assert DECLARED["how-it-learns"].needs == ("trained rule", "several datasets", "principal components")
    assert DECLARED["over-meta-training"].needs == ("snapshots", "images")
    assert all(DECLARED[experiment].needs for experiment in EXPERIMENTS)


def test_planning_reads_claims_without_what_is_slow_to_import():
    slow = {"jax", "scipy", "matplotlib", "pandas", "xarray"}
    code = f"import sys, workflow.plan_experiments; print({slow} & set(sys.modules))"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize(
    ("network", "rule", "verdict"),
    [(0.5, 0.8, "reproduced"), (0.85, 0.8, "not reproduced"), (0.5, 0.6, "not reproduced")],
)
def test_permuted_inputs_hurt_the_network_and_not_the_rule(network: float, rule: float, verdict: str):
    def on(dataset: str, permuted: int, network: float, rule: float) -> list[xr.Dataset]:
        features = {"embedding": "shipped", "embedding_kind": "pretrained"}
        made = [
            episode_evaluation("protonets", network, partition="labels", partition_kind="labels"),
            episode_evaluation("nearest-neighbours", rule, **features),
        ]
        return [each.assign_attrs(dataset=dataset, permuted=permuted) for each in made]

    summary = summarise([*on("as-is", 0, 0.9, 0.8), *on("mixed", 1, network, rule)])
    (row,) = rows("permuted-inputs", Results(summary))
    assert row["Verdict"] == verdict
    assert row["Here"].startswith("protonets: 90.")


@pytest.mark.parametrize(
    ("images", "text", "expected"),
    [
        ((0.3, 0.5, 0.7), (0.3, 0.5, 0.7), ["reproduced", "not reproduced"]),
        ((0.7, 0.5, 0.3), (0.3, 0.7, 0.5), ["not reproduced", "reproduced"]),
    ],
)
def test_over_meta_training_images_rise_and_text_falls(images, text, expected: list[str]):
    evaluations = [
        of(f"after-{step}", dataset, mean, kind="meta-trained", modality=modality, run="mine", meta_step=step)
        for dataset, modality, means in (("digits", "image", images), ("reviews", "text", text))
        for step, mean in zip((0, 50, 100), means, strict=True)
    ]
    found = rows("over-meta-training", Results(summarise(evaluations)))
    assert [row["Verdict"] for row in found] == expected
    assert found[0]["Here"].startswith("digits: ")
    assert found[1]["Here"].startswith("reviews: ")
    assert found[0]["Here"].endswith("after 100")


@pytest.mark.parametrize(
    ("vae", "raw", "verdict"), [(0.5, 0.5, "reproduced"), (0.5, 0.9, "reproduced"), (0.9, 0.5, "not reproduced")]
)
def test_only_what_the_paper_compares_with_is_a_rival(vae: float, raw: float, verdict: str):
    evaluations = [
        of("mine", "digits", 0.8, kind="pretrained"),
        of("random-init", "digits", 0.4),
        of("vae", "digits", vae, kind="vae", base_model=None),
        of("raw", "digits", raw, base_model=None),
    ]
    assert verdicts("unseen-datasets", Results(summarise(evaluations))) == [verdict]


@pytest.mark.parametrize(("late", "verdict"), [(0.55, "reproduced"), (0.7, "reproduced")])
def test_on_text_the_rule_that_was_meta_trained_least_is_judged(late: float, verdict: str):
    evaluations = [
        of("late", "reviews", late, kind="meta-trained", modality="text", run="mine", meta_step=100),
        of("early", "reviews", 0.65, kind="meta-trained", modality="text", run="mine", meta_step=50),
        of("random-init", "reviews", 0.5, modality="text"),
    ]
    (row,) = rows("unseen-modality", Results(summarise(evaluations)))
    assert row["Verdict"] == verdict
    assert row["Here"].startswith("reviews: early 65.0")


def test_on_text_one_rule_is_enough():
    evaluations = [
        of("mine", "reviews", 0.65, kind="pretrained", modality="text"),
        of("random-init", "reviews", 0.5, modality="text"),
    ]
    assert verdicts("unseen-modality", Results(summarise(evaluations))) == ["reproduced"]


def test_networks_are_judged_along_one_line_of_each_way_to_vary_them():
    shapes = {
        "one": (1, 64, "relu", 0.8),
        "two": (2, 64, "relu", 0.7),
        "four": (4, 64, "relu", 0.6),
        "thin": (1, 16, "relu", 0.7),
        "wide": (1, 999, "relu", 0.9),
        "bent": (1, 64, "tanh", 0.4),
        "soft": (1, 64, "softplus", 0.8),
    }
    evaluations = [
        of(
            name, "digits", mean if name == "mine" else 0.4, kind="pretrained", base_model=base_model,
            depth=depth, width=width, activation=activation,
        )
        for base_model, (depth, width, activation, mean) in shapes.items()
        for name in ("mine", "random-init")
    ]  # fmt: skip
    depth, width, activation = rows("unseen-architectures", Results(summarise(evaluations)))
    assert [row["Verdict"] for row in (depth, width, activation)] == ["reproduced", "reproduced", "not reproduced"]
    assert depth["Here"].startswith("digits, depth, mine (random-init): 1 80.0")
    assert "999 90.0" in width["Here"]
    assert "tanh 40.0" in activation["Here"]


def test_dimensions_are_components_of_most_of_the_variance():
    noise = np.random.default_rng(0).normal(size=(1, 1, 200, 8))
    flat = noise * np.array([5, 1, *[0.01] * 6])
    stores = [
        xr.Dataset({"features": (("seed", "inner_step", "example", "feature"), values)}, attrs={"dataset": name})
        for name, values in (("two-moons", flat), ("digits", noise))
    ]
    summary = summarise([of("mine", name, 0.5, kind="pretrained", steps=(0, 9)) for name in ("two-moons", "digits")])
    filters, apart, dimensions = rows("how-it-learns", Results(summary, stores))
    assert filters["Verdict"] == "not tested"
    assert apart["Verdict"] == "not reproduced"
    assert dimensions["Verdict"] == "reproduced"
    assert dimensions["Here"] == "components for 90% of the variance: two-moons 1.0, digits 7.0"


def test_the_network_trained_on_labels_is_the_rival_on_the_same_episodes():
    mine = {"embedding": "mine", "embedding_kind": "pretrained"}
    raw = {"embedding": "raw", "embedding_kind": "raw"}
    evaluations = [
        episode_evaluation("linear", 0.8, **mine),
        episode_evaluation("linear", 0.6, **raw),
        episode_evaluation("supervised", 0.7, kind="mlp", **mine),
        episode_evaluation("supervised", 0.6, kind="mlp", **raw),
    ]
    (row,) = rows("supervised", Results(summarise(evaluations)))
    assert row["Verdict"] == "reproduced"
    assert "linear on mine 90." in row["Here"]
    assert "supervised 70." in row["Here"]
