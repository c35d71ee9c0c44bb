import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from metaplastic.results.claims import CLAIMS, Results, comparison
from metaplastic.results.scores import summarise
from metaplastic.results.spec import EXPERIMENTS
from metaplastic.results.tables import MISSING
from test_scores_of_episodes import evaluation as episode_evaluation
from toy_scores import evaluation


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
    found: list[dict[str, str]] = []
    for row in values:
        if row[0]:
            found.append(dict(zip(names, row, strict=True)))
        else:
            assert [cell for cell in row if cell] == [row[2]]
            found[-1]["Here"] += f"; {row[2]}"
    return [row for row, claim in zip(found, CLAIMS, strict=True) if claim.experiment == experiment]


def verdicts(experiment: str, results: Results) -> list[str]:
    return [row["Verdict"] for row in rows(experiment, results)]


def test_what_was_not_run_is_not_tested_and_has_no_command():
    table = comparison({}, configured="--configfile mine.yaml")
    assert table.count(f"| {MISSING} | not tested | {MISSING} |") == len(CLAIMS)


@pytest.mark.parametrize(
    ("curve", "verdict", "ending"),
    [
        ((0.5, 0.76, 0.4), "reproduced", "after 1,000 (-36.0 ± 0.0)"),
        ((0.5, 0.76, 0.75), "reproduced", "after 1,000 (-1.0 ± 0.0)"),
        ((0.76, 0.5, 0.76), "not reproduced", "after 1,000 (+0.0 ± 0.0)"),
        ((0.5, 0.6, 0.7), "not tested", " after 1,000 steps, the last"),
    ],
)
def test_a_curve_falls_if_its_end_is_below_its_peak_seed_by_seed_and_draw_by_draw(curve, verdict: str, ending: str):
    made = of("vae", "letters", 0.0, kind="vae", base_model=None, steps=(10, 100, 1000))
    made["accuracy_over_inner_steps"] += np.array(curve)[None, :, None, None]
    (row,) = rows("objective-mismatch", Results(summarise([made])))
    assert row["Verdict"] == verdict
    assert row["Here"].startswith("vae on letters: 7")
    assert row["Here"].endswith(ending)


def test_the_draws_that_choose_a_peak_do_not_judge_it():
    made = of("vae", "letters", 0.0, kind="vae", base_model=None, steps=(10, 100, 1000))
    # The first draw has a peak that the second has not.
    made["accuracy_over_inner_steps"] += np.array([[0.5, 0.5], [0.8, 0.5], [0.6, 0.6]])[:, None]
    assert verdicts("objective-mismatch", Results(summarise([made]))) == ["not reproduced"]


def test_every_experiment_has_claims_in_the_figure_that_it_is_planned_for():
    assert list(dict.fromkeys(claim.experiment for claim in CLAIMS)) == list(EXPERIMENTS)
    for claim in CLAIMS:
        assert EXPERIMENTS[claim.experiment].figure == f"figure_{claim.place.split()[0]}"


def test_planning_reads_claims_without_what_is_slow_to_import():
    slow = {"jax", "scipy", "matplotlib", "pandas", "xarray"}
    code = f"import sys, workflow.plan_experiments; print({slow} & set(sys.modules))"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize(
    ("network", "rule", "verdict"),
    [(0.5, 0.8, "reproduced"), (0.5, 0.78, "reproduced"), (0.85, 0.8, "not reproduced"), (0.5, 0.76, "not reproduced")],
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
        ((0.3, 0.5, 0.7), (0.3, 0.5, 0.7), ["reproduced", "not tested"]),
        ((0.5, 0.5, 0.51), (0.3, 0.7, 0.69), ["reproduced", "reproduced"]),
        ((0.7, 0.5, 0.7), (0.6, 0.5, 0.6), ["not reproduced", "not reproduced"]),
    ],
)
def test_over_meta_training_images_rise_and_text_falls(images, text, expected: list[str]):
    evaluations = [
        of(f"after-{step}", dataset, mean, kind="meta-trained", modality=modality, run="mine", meta_step=step)
        for dataset, modality, means in (("digits", "image", images), ("reviews", "text", text))
        for step, mean in zip((0, 50, 100), means, strict=True)
    ]
    # Of another run there are too few snapshots to judge.
    evaluations.append(of("other", "digits", 0.99, kind="meta-trained", modality="image", run="other", meta_step=200))
    found = rows("over-meta-training", Results(summarise(evaluations)))
    assert [row["Verdict"] for row in found] == expected
    assert found[0]["Here"].startswith("digits: ")
    assert found[1]["Here"].startswith("reviews: ")


@pytest.mark.parametrize(
    ("vae", "raw", "verdict"), [(0.79, 0.5, "reproduced"), (0.5, 0.9, "reproduced"), (0.81, 0.5, "not reproduced")]
)
def test_only_what_the_paper_compares_with_is_a_rival(vae: float, raw: float, verdict: str):
    evaluations = [
        of("mine", "digits", 0.8, kind="pretrained"),
        of("random-init", "digits", 0.4),
        of("vae", "digits", vae, kind="vae", base_model=None),
        of("raw", "digits", raw, base_model=None),
        of("wider", "digits", 0.99, kind="vae", base_model=None),
    ]
    (row,) = rows("unseen-datasets", Results(summarise(evaluations)))
    assert row["Verdict"] == verdict
    # Of two autoencoders the first judges, the other stands beside.
    assert "wider 99.0 ± 5.0 (-19.0 ± 0.0)" in row["Here"]


def test_without_an_autoencoder_its_comparison_is_not_tested():
    both = [of(*place, kind="pretrained") for place in (("mine", "digits", 0.8), ("random-init", "digits", 0.4))]
    assert verdicts("unseen-datasets", Results(summarise(both))) == ["not tested"]


def test_seeds_that_only_one_side_has_do_not_count():
    ours, drawn = (
        of(*place, kind="pretrained") for place in (("mine", "digits", 0.8), ("random-init", "digits", 0.79))
    )
    few = drawn.isel(seed=[0])
    odd = ours.assign(accuracy=ours["accuracy"] + np.array([0.0, -0.5])[:, None]).assign_coords(seed=[1, 2])
    vae = of("vae", "digits", 0.4, kind="vae", base_model=None)
    assert verdicts("unseen-datasets", Results(summarise([ours, few, vae]))) == ["reproduced"]
    assert verdicts("unseen-datasets", Results(summarise([odd, drawn, vae]))) == ["reproduced"]


@pytest.mark.parametrize(("mean", "verdict"), [(0.6, "reproduced"), (0.58, "not reproduced"), (0.5, "not reproduced")])
def test_on_text_the_first_rule_is_judged_by_size(mean: float, verdict: str):
    evaluations = [
        of("other", "reviews", 0.9, kind="meta-trained", modality="text"),
        of("mine", "reviews", mean, kind="pretrained", modality="text"),
        of("random-init", "reviews", 0.5, modality="text"),
    ]
    (row,) = rows("unseen-modality", Results(summarise(evaluations)))
    assert row["Verdict"] == verdict
    assert row["Here"].startswith(f"reviews: mine {100 * mean:.1f}")


SHAPES = {
    "one": (1, 64, "relu"),
    "two": (2, 64, "relu"),
    "four": (4, 64, "relu"),
    "thin": (1, 16, "relu"),
    "wide": (1, 999, "relu"),
    "two-thin": (2, 16, "relu"),
    "two-wide": (2, 999, "relu"),
    "leaky": (1, 64, "leaky_relu"),
    "swish": (1, 64, "swish"),
    "step": (1, 64, "step"),
}
AS_FOUND = {
    "one": 0.8, "two": 0.8, "four": 0.6, "thin": 0.79, "wide": 0.8, "two-thin": 0.79, "two-wide": 0.81,
    "leaky": 0.79, "swish": 0.9, "step": 0.8,
}  # fmt: skip


@pytest.fixture(scope="module")
def of_networks():
    """A summary of networks that have 40% as they were drawn; accuracies are spread about zero."""
    evaluations = []
    for base_model, shape in SHAPES.items():
        named = dict(zip(("depth", "width", "activation"), shape, strict=True))
        at = {"kind": "pretrained", "base_model": base_model, **named}
        evaluations.append(of("mine", "digits", 0.0, steps=(0, 10, 30, 200), **at))
        evaluations.append(of("random-init", "digits", 0.4, **at))
    return summarise(evaluations)


@pytest.mark.parametrize(
    ("means", "missed"),
    [
        ({}, ()),
        ({"four": 0.39}, ("depth",)),
        ({"wide": 0.79, "one": 0.79, "two": 0.79, "leaky": 0.79}, ("width",)),
        # Both lines over width are judged.
        ({"two-wide": 0.79}, ("width",)),
        ({"thin": 0.39}, ("width",)),
        ({"step": 0.6}, ("activation",)),
        ({"swish": 0.76}, ("activation",)),
        ({"leaky": 0.39}, ("activation",)),
    ],
)
def test_networks_are_judged_along_every_line_early_and_late(of_networks, means: dict[str, float], missed):
    for early, late, found in (
        (means, means, "not reproduced"),
        ({}, means, "reproduced early"),
        (means, {}, "reproduced late"),
    ):
        summary = of_networks.copy(deep=True)
        for base_model in SHAPES:
            place = {"representation": "mine", "base_model": base_model}
            summary["accuracies"].loc[place] += (AS_FOUND | late)[base_model]
            summary["accuracies_over_inner_steps"].loc[place | {"inner_step": 10}] += (AS_FOUND | early)[base_model]
        expected = [found if varied in missed else "reproduced" for varied in ("depth", "width", "activation")]
        assert verdicts("unseen-architectures", Results(summary)) == expected


def test_networks_that_do_not_vary_test_nothing():
    shape = {"depth": 1, "width": 64, "activation": "relu"}
    alone = [of(name, "digits", 0.5, kind="pretrained", **shape) for name in ("mine", "random-init")]
    assert verdicts("unseen-architectures", Results(summarise(alone))) == ["not tested"] * 3


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
    assert filters["Command"] == "`snakemake figure_6 --cores 2`"
    assert apart["Verdict"] == "not reproduced"
    assert "(+0.0 ± 0.0)" in apart["Here"]
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
