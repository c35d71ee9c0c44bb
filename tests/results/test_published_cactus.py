"""What Hsu et al. 2019 found, held against the results on Omniglot that git keeps, exceptions included."""

from itertools import product
from math import inf
from pathlib import Path

import numpy as np
import pytest
from metaplastic.io.storage import read_netcdf

PUBLISHED = Path(__file__).parents[2] / "results/published/cactus.nc"
BASELINES = ("nearest-neighbours", "linear", "mlp", "cluster-matching")
KINDS = ("protonets", "maml")
SCRATCH, RANDOM, PIXELS = "acai/from-scratch", "acai/protonets-random", "zca/protonets-small-clusters"
ROUNDS = "blurred/protonets-rounds-neighbourhoods"
TEN = "acai/protonets-partitions-10"

ABOVE = [
    # What needs no training is above ACAI, and with five labels above what learns from its clusters.
    ("blurred/nearest-neighbours", "acai/nearest-neighbours", {}),
    ("untrained-encoder/nearest-neighbours", "acai/nearest-neighbours", {}),
    ("blurred/nearest-neighbours", "acai/protonets", {"shots": 5}),
    ("untrained-encoder/linear", "acai/protonets", {"shots": 5}),
    ("acai/maml", "blurred/nearest-neighbours", {"way": 5, "shots": 1}),
    # Learners are above the baselines on the features that their tasks come from.
    *(("acai/protonets", f"acai/{baseline}", {}) for baseline in BASELINES),
    *((f"{e}/maml", f"{e}/{baseline}", {}) for e, baseline in product(("acai", "bigan"), BASELINES)),
    *(("bigan/protonets", f"bigan/{baseline}", {"shots": 1}) for baseline in BASELINES),
    ("quill/protonets", "quill/nearest-neighbours", {}),
    # Features.
    ("acai/protonets", "quill/protonets", {}),
    ("acai/protonets", PIXELS, {}),
    ("quill/protonets", PIXELS, {}),
    # Jitter, rounds of neighbours.
    ("contrastive/protonets-jittered", "contrastive/nearest-neighbours", {"shots": 1}),
    (ROUNDS, "contrastive/protonets-jittered", {}),
    # The learner that knows all labels of the same images, and sees no jitter.
    (ROUNDS, "blurred/oracle-protonets", {"way": 20, "shots": 1}),
    # Where tasks come from.
    (TEN, "acai/protonets-clusters-100", {}),
    (TEN, "acai/protonets-hyperplanes", {}),
    ("acai/maml-short", "acai/maml-one-partition", {"way": 20}),
    ("acai/maml-short", "acai/maml-hyperplanes", {}),
    *(("acai/maml", "acai/maml-short", at) for at in ({"shots": 1}, {"way": 20})),
    ("acai/maml-short", "acai/maml-random", {}),
    *((f"acai/{kind}", f"acai/{kind}-random", {}) for kind in KINDS),
    *(
        (f"acai/{kind}-{tasks}", f"acai/{kind}-random", {})
        for kind, tasks in product(KINDS, ("one-partition", "hyperplanes"))
    ),
    *((f"acai/oracle-{kind}", f"{e}/{kind}", {}) for kind, e in product(KINDS, ("acai", "bigan"))),
    # Random tasks, and clusters of pixels, against an episode alone.
    (SCRATCH, "acai/maml-random", {}),
    (SCRATCH, RANDOM, {"way": 5, "shots": 5}),
    (RANDOM, SCRATCH, {"way": 20, "shots": 1}),
    (SCRATCH, PIXELS, {"way": 5, "shots": 5}),
    (PIXELS, SCRATCH, {"shots": 1}),
    (PIXELS, RANDOM, {"shots": 1}),
]
"""Arms whose intervals are apart, the higher first, and where."""

LEVEL = [
    *(("blurred/nearest-neighbours", "acai/maml", at) for at in ({"shots": 5}, {"way": 20})),
    (TEN, "acai/protonets-clusters-1000", {}),
    ("bigan/protonets", "bigan/mlp", {"shots": 5}),
    ("bigan/protonets", "bigan/linear", {"way": 20, "shots": 5}),
    (RANDOM, SCRATCH, {"way": 5, "shots": 1}),
    (RANDOM, SCRATCH, {"way": 20, "shots": 5}),
    (PIXELS, SCRATCH, {"way": 20, "shots": 5}),
    (PIXELS, RANDOM, {"shots": 5}),
    (ROUNDS, "blurred/oracle-protonets", {"way": 5}),
    (ROUNDS, "blurred/oracle-protonets", {"shots": 5}),
]
"""Arms whose intervals overlap."""

HIGHER = [
    ("bigan/protonets", "quill/protonets", {}),
    (TEN, "acai/protonets-clusters-250", {}),
    ("acai/maml-short", "acai/maml-one-partition", {}),
]
"""Arms of which the first has the higher mean."""


@pytest.fixture(scope="module")
def results():
    return read_netcdf(PUBLISHED).sel(dataset="omniglot")


def cell(results, arm: str, at: dict[str, int]):
    embedding, learner = arm.split("/")
    found = results.sel(at | {"embedding": embedding, "learner": learner})
    assert found["accuracy"].notnull().all()
    return found


def ends(results, arm: str, at: dict[str, int]):
    found = cell(results, arm, at)
    return found["accuracy"] - found["interval"], found["accuracy"] + found["interval"]


@pytest.mark.parametrize(("higher", "lower", "at"), ABOVE)
def test_intervals_are_apart(results, higher: str, lower: str, at: dict[str, int]):
    assert (ends(results, higher, at)[0] > ends(results, lower, at)[1]).all()


@pytest.mark.parametrize(("one", "other", "at"), LEVEL)
def test_intervals_overlap(results, one: str, other: str, at: dict[str, int]):
    (low, high), (other_low, other_high) = ends(results, one, at), ends(results, other, at)
    assert ((low < other_high) & (other_low < high)).all()


@pytest.mark.parametrize(("higher", "lower", "at"), HIGHER)
def test_means_are_apart(results, higher: str, lower: str, at: dict[str, int]):
    assert (cell(results, higher, at)["accuracy"] > cell(results, lower, at)["accuracy"]).all()


@pytest.mark.parametrize(
    ("arm", "at", "least", "most"),
    [
        ("acai/nearest-neighbours", {}, -0.02, inf),
        ("acai/protonets", {}, -0.01, 0.01),
        ("acai/maml", {}, -0.0225, -0.01),
        ("bigan/protonets", {}, 0.025, 0.045),
        ("bigan/maml", {"shots": 5}, -0.001, inf),
        ("bigan/maml", {"shots": 1}, -0.025, -0.01),
    ],
)
def test_it_is_as_far_above_the_paper_as_the_pages_say(
    results, arm: str, at: dict[str, int], least: float, most: float
):
    found = cell(results, arm, at)
    gain = found["accuracy"] - found["reported"]
    assert ((gain > least) & (gain < most)).all()


def test_what_needs_no_label_reaches_what_was_aimed_at(results):
    five, twenty = {"way": 5, "shots": 1}, {"way": 20, "shots": 1}
    assert ends(results, "contrastive/protonets-jittered", five)[0] > 0.90
    assert ends(results, "contrastive/protonets-jittered", twenty)[0] > 0.75
    assert ends(results, ROUNDS, five)[1] > 0.97
    assert ends(results, ROUNDS, twenty)[0] > 0.90


def test_one_partition_of_acai_costs_protonets_about_a_point_and_a_hundred_bring_no_more_than_thirty(results):
    few, many = (cell(results, f"acai/protonets-{name}", {})["accuracy"] for name in ("one-partition", "partitions-30"))
    assert ((many - few > 0.005) & (many - few < 0.0125)).all()
    assert (ends(results, "acai/protonets", {})[0] < ends(results, "acai/protonets-partitions-30", {})[1]).all()


def test_it_says_what_the_paper_reports(results):
    reported = cell(results, "acai/maml", {})["reported"].values
    np.testing.assert_allclose(reported, [[0.6884, 0.8778], [0.4809, 0.7336]])
