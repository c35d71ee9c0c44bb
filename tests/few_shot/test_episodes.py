import jax
import numpy as np
import pytest
from metaplastic.few_shot.episodes import draw_many, pool
from metaplastic.few_shot.spec import Shape
from refusals import refused

SHAPE = Shape(way=3, shots=2, queries=2)
PARTITIONS = np.stack([np.arange(60) % 5, np.arange(60) // 10, np.where(np.arange(60) < 40, np.arange(60) // 8, -1)])


def drawn(partitions=PARTITIONS, eligible=None, *, seed=0, count=400, shape=SHAPE):
    eligible = np.ones(60, bool) if eligible is None else eligible
    return draw_many(jax.random.key(seed), pool(partitions, eligible, shape, place="tasks"), shape, count)


def test_classes_are_clusters_of_one_partition_and_nothing_is_drawn_twice():
    support, query = map(np.asarray, drawn(eligible=np.arange(60) != 7))
    assert (support.shape, query.shape) == ((400, 3, 2), (400, 3, 2))
    used = set()
    for members in np.concatenate([support, query], 2):
        assert len(np.unique(members)) == 12
        labels = PARTITIONS[:, members]
        fits = [p for p in range(3) if (labels[p] == labels[p][:, :1]).all() and len(set(labels[p][:, 0])) == 3]
        assert any((labels[p] >= 0).all() for p in fits)
        used.update(fits[:1] if len(fits) == 1 else [])
    assert used == {0, 1, 2}
    assert 7 not in np.concatenate([support, query], 2)


def test_every_cluster_and_member_is_as_likely_in_every_place():
    support, _ = drawn(PARTITIONS[:1], count=4000)
    first = np.bincount(np.asarray(support)[:, 0, 0], minlength=60)
    # 4,000 draws of 60: mean 67, standard deviation 8.
    assert first.min() > 30
    assert first.max() < 110


def test_the_same_key_gives_the_same_episodes_and_more_begin_with_fewer():
    many, few, other = drawn(count=20), drawn(count=5), drawn(count=5, seed=1)
    np.testing.assert_array_equal(many.support[:5], few.support)
    np.testing.assert_array_equal(many.query[:5], few.query)
    assert not np.array_equal(few.support, other.support)


def test_episodes_are_the_same_however_many_are_drawn_at_once(monkeypatch):
    whole = drawn(count=23)
    # Four of three classes that have 12 members at most.
    monkeypatch.setattr("metaplastic.few_shot.episodes.NUMBERS", 4 * 3 * 12)
    draw_many.clear_cache()
    np.testing.assert_array_equal(drawn(count=23).query, whole.query)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"way": 6}, "tasks.way: 6 classes asked for, but partition 0 has 5"),
        ({"queries": 7}, "tasks: 2 shots and 7 queries take 9 examples a class, but class 0 of partition 2 has 8"),
    ],
)
def test_too_few_clusters_or_members_are_one_line(changes, message):
    assert refused(drawn, shape=SHAPE.model_copy(update=changes)) == message
