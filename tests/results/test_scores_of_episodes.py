import numpy as np
import pytest
import xarray as xr
from metaplastic.datasets.schema import OMNIGLOT
from metaplastic.io.errors import InputError
from metaplastic.results.scores import summarise
from metaplastic.results.tables import markdown_table
from refusals import refused
from toy_scores import on_episodes

EPISODES = 50
OFFSETS = np.random.default_rng(0).normal(0, 0.05, EPISODES)


def evaluation(
    learner: str, mean: float, *, kind: str | None = None, episodes: int = EPISODES, **attributes: str | float
):
    """The same offset of an episode for every learner, so that differences are exact."""
    accuracy = mean + np.array([[0.0, 0.1]])[..., None] + OFFSETS[:episodes]
    about = {"dataset": "omniglot", "learner": learner, "learner_kind": kind or learner, "benchmark": OMNIGLOT}
    return on_episodes(accuracy, **about | attributes)


def of(embedding: str, kind: str | None = None) -> dict[str, str]:
    return {"embedding": embedding, "embedding_kind": kind or embedding}


def trained(partition: str, kind: str) -> dict[str, str]:
    return {"partition": partition, "partition_kind": kind}


@pytest.fixture
def summary():
    clusters, one = trained("clusters", "k-means"), trained("one", "k-means")
    return summarise(
        [
            evaluation("mine", 0.7, kind="maml", **clusters, **of("codes", "acai")),
            evaluation("maml", 0.6, **clusters, **of("codes", "acai")),
            evaluation("maml", 0.55, **one, **of("codes", "acai")),
            evaluation("maml", 0.8, **trained("truth", "labels")),
            evaluation("nearest-neighbours", 0.5, **of("codes", "acai")),
            evaluation("nearest-neighbours", 0.45, **of("raw")),
        ]
    )


def test_learners_are_called_after_what_trains_them(summary):
    assert summary["learner"].values.tolist() == ["mine", "maml", "maml-one", "oracle-maml", "nearest-neighbours"]
    assert summary["embedding_kind"].to_series().to_dict() == {"codes": "acai", "raw": "raw"}


def test_what_has_trained_a_learner_stands_beside_it():
    ten, one = {"partitions": 10, "clusters": 500}, {"partitions": 1, "clusters": 500}
    summary = summarise(
        [
            evaluation("maml", 0.5, **trained("one", "k-means"), **of("codes"), **one),
            evaluation("maml", 0.6, **trained("clusters", "k-means"), **of("codes"), **ten),
            evaluation("maml", 0.8, **trained("truth", "labels"), training_steps=40, training_seconds=2.5),
            evaluation("mlp", 0.4, **of("codes")),
            evaluation("mlp", 0.4, **of("raw")),
        ]
    )
    for embedding in ("codes", "raw"):
        oracle, mlp = (summary.sel(learner=name, embedding=embedding) for name in ("oracle-maml", "mlp"))
        assert (oracle["training_steps"], oracle["training_seconds"]) == (40, 2.5)
        assert np.isnan(mlp["training_steps"])
    names = ("learner_key", "partition", "partitions", "clusters")
    columns = [summary["accuracy"][name].values.tolist() for name in ("learner", *names)]
    assert list(zip(*columns, strict=True)) == [
        ("maml-one", "maml", "one", 1, 500),
        ("maml", "maml", "clusters", 10, 500),
        ("oracle-maml", "maml", "truth", 0, 0),
        ("mlp", "mlp", "none", 0, 0),
    ]


def test_means_intervals_and_paired_differences(summary):
    cell = summary.sel(dataset="omniglot", embedding="codes", learner="maml", way=5)
    np.testing.assert_allclose(cell["accuracy"], np.array([0.6, 0.7]) + OFFSETS.mean())
    np.testing.assert_allclose(cell["interval"], 1.959964 * OFFSETS.std() / EPISODES**0.5, rtol=1e-6)
    np.testing.assert_allclose(cell["difference"], 0.1)
    # Episodes that are easy for one learner are easy for the other.
    np.testing.assert_allclose(cell["difference_interval"], 0, atol=1e-12)
    assert np.isnan(summary["difference"].sel(learner="nearest-neighbours")).all()
    assert np.isnan(summary["accuracy"].sel(learner="maml", embedding="raw")).all()


def test_seeds_of_features_are_a_level_of_the_interval_and_clusters_are_the_first_s():
    means = [0.4, 0.5, 0.6]
    near = xr.concat([evaluation("nearest-neighbours", mean, **of("codes", "vae")) for mean in means], "seed")
    maml = evaluation("maml", 0.7, **trained("clusters", "k-means"), **of("codes", "vae"))
    linear = near.assign(accuracy=near["accuracy"] + 0.1).assign_attrs(learner="linear", learner_kind="linear")
    summary = summarise([maml, near, linear]).sel(dataset="omniglot", embedding="codes", way=5, shots=1)
    found = summary.sel(learner="nearest-neighbours")
    assert found["accuracy"] == pytest.approx(0.5 + OFFSETS.mean())
    # Seeds differ by far more than episodes do, so it is little below their own t interval: 4.303 errors of three.
    assert float(found["interval"]) == pytest.approx(4.303 * np.std(means, ddof=1) / 3**0.5, rel=0.05)
    np.testing.assert_allclose(summary["difference"].sel(learner="maml"), 0.3)
    np.testing.assert_allclose(summary["difference"].sel(learner="linear"), 0.1)
    assert "one training and up to 3 seeds of the features" in markdown_table(summarise([maml, near]))


def test_what_needs_no_embedding_stands_under_each_and_once_in_the_table(summary):
    oracle = summary["accuracy"].sel(learner="oracle-maml")
    np.testing.assert_array_equal(oracle.sel(embedding="codes"), oracle.sel(embedding="raw"))
    rows = [line for line in markdown_table(summary).splitlines() if line.startswith("| oracle-maml |")]
    assert len(rows) == 1
    assert rows[0].startswith("| oracle-maml | none | **")


def test_the_paper_s_numbers_stand_beside_ours_by_kind_of_embedding(summary):
    found = summary["reported"].sel(way=5, shots=1, dataset="omniglot")
    assert found.sel(embedding="codes", learner="maml") == pytest.approx(0.6884)
    assert found.sel(embedding="raw", learner="oracle-maml") == pytest.approx(0.9446)
    assert np.isnan(found.sel(embedding="codes", learner=["mine", "maml-one"])).all()
    assert "(68.8)" in markdown_table(summary)


@pytest.mark.parametrize("other", [{"benchmark": ""}, {"split": "validation"}])
def test_they_stand_beside_the_paper_s_own_data_and_split_alone(other):
    assert summarise([evaluation("maml", 0.6, **of("codes", "acai"), **other)])["reported"].isnull().all()


@pytest.mark.parametrize(("clusters", "known"), [(500, True), (100, False)])
def test_the_paper_s_numbers_are_of_its_number_of_clusters(clusters: int, known: bool):
    trained_on = trained("clusters", "k-means") | {"partitions": 10, "clusters": clusters}
    arm = evaluation("maml", 0.6, **trained_on, **of("codes", "acai"))
    assert summarise([arm])["reported"].notnull().any() == known


def test_what_does_not_belong_together_is_refused():
    first = evaluation("linear", 0.5, **of("raw"))
    assert refused(summarise, [first, first]) == "learner 'linear' was evaluated twice on 'omniglot', raw"
    with pytest.raises(InputError, match=r"^learner 'mlp' was evaluated on other episodes than the first"):
        summarise([first, evaluation("mlp", 0.5, episodes=40, **of("raw"))])
    assert "no evaluation to summarise" in refused(summarise, [])
