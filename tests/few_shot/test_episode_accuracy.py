import numpy as np
import pytest
from metaplastic.datasets.arrays import Inputs
from metaplastic.embeddings.base import unlabelled
from metaplastic.few_shot.episode_accuracy import evaluate, shared_episodes
from metaplastic.few_shot.learners import nearest_neighbours
from metaplastic.few_shot.spec import Episodes, NearestNeighbours
from metaplastic.io.errors import InputError
from metaplastic.results.intervals import score

SPEC = Episodes(ways=[2, 4], shots=[1, 3], queries=2, episodes=60)


@pytest.fixture
def data():
    """Twelve classes of six; the last eight are the test split."""
    labels = np.repeat(np.arange(12, dtype=np.int32), 6)
    inputs = np.random.default_rng(0).normal(size=(12, 5))[labels] + np.random.default_rng(1).normal(size=(72, 5))
    return Inputs(inputs.astype(np.float32), labels, (labels >= 4).astype(np.uint8))


class Oracle:
    """Knows everything, or gives the first class to all."""

    def __init__(self, knows: bool) -> None:
        self.knows, self.seen = knows, []

    def predict(self, support, query):
        self.seen.append((support, query))
        right = np.broadcast_to(np.arange(support.shape[1])[:, None], query.shape[:3])
        return right if self.knows else np.zeros_like(right)


def test_accuracy_is_the_share_of_right_answers(data):
    right, first = (evaluate(Oracle(knows), data, SPEC)["accuracy"] for knows in (True, False))
    assert right.dims == ("way", "shots", "episode")
    assert (right == 1).all()
    np.testing.assert_allclose(first.sel(way=2), 0.5)
    np.testing.assert_allclose(first.sel(way=4), 0.25)


def test_episodes_are_of_the_test_split_and_every_learner_gets_the_same(data):
    one, other = Oracle(True), Oracle(False)
    for learner in (one, other):
        evaluate(learner, data, SPEC)
    for (support, query), (again, queried) in zip(one.seen, other.seen, strict=True):
        np.testing.assert_array_equal(support, again)
        np.testing.assert_array_equal(query, queried)
    episodes = shared_episodes(data, SPEC, 4, 3)
    assert data.test[np.asarray(episodes.query)].all()
    numbers = Oracle(True)
    numbered = data._replace(inputs=np.arange(72, dtype=np.float32)[:, None])
    evaluate(numbers, numbered, SPEC.model_copy(update={"ways": [4], "shots": [3]}))
    np.testing.assert_array_equal(np.concatenate([s for s, _ in numbers.seen])[..., 0], episodes.support)


def test_intervals_are_1_96_standard_errors_and_paired_ones_narrower(data):
    learners = [
        nearest_neighbours.fit(NearestNeighbours(kind="nearest-neighbours", neighbours=k), unlabelled(data))
        for k in (1, 3)
    ]
    one, three = (evaluate(learner, data, SPEC)["accuracy"].sel(way=4) for learner in learners)
    mean, low, high = score(one).values()
    np.testing.assert_allclose(mean, one.mean("episode"), rtol=1e-6)
    np.testing.assert_allclose(high - low, 2 * 1.96 * one.std("episode") / 60**0.5, rtol=1e-3)
    _, low_three, high_three = score(three).values()
    difference, low_paired, high_paired = score(three - one).values()
    assert (difference != 0).any()
    unpaired = np.hypot(high - low, high_three - low_three)
    # At one shot a vote of three is one of three classes; at three shots the learners are alike.
    assert (high_paired - low_paired)[1] < 0.9 * unpaired[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ways": [9]}, r"^episodes\.way: 9 classes asked for, but split test has 8$"),
        ({"shots": [5]}, r"^episodes: 5 shots and 2 queries take 7 examples a class, but class 4 of split test has 6$"),
        ({"split": "validation"}, r"^episodes\.way: 2 classes asked for, but split validation has 0$"),
    ],
)
def test_too_few_classes_or_examples_are_one_line(data, changes, message):
    with pytest.raises(InputError, match=message):
        evaluate(Oracle(True), data, SPEC.model_copy(update=changes))
