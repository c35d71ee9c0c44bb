import numpy as np
import pytest
from metaplastic.few_shot.partitions import number_of_partitions, partitions, without_small
from metaplastic.few_shot.spec import Clusters, Hyperplanes, Labels, Neighbourhoods, Random
from metaplastic.io.errors import InputError

TRAIN = np.arange(90) % 10 > 0


def blobs(width: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Three clouds far apart, and which one each example is of."""
    rng, blob = np.random.default_rng(0), np.arange(90) % 3
    centres = np.array([[0, 0], [9, 0], [0, 9]])
    return np.pad(centres[blob] + rng.normal(size=(90, 2)), ((0, 0), (0, width - 2))).astype(np.float32), blob


def test_small_clusters_are_dropped_and_the_others_keep_their_numbers():
    clusters = np.array([0, 2, 2, 1, 2, 1, -1, 1])
    np.testing.assert_array_equal(without_small(clusters, 3), [-1, 2, 2, 1, 2, 1, -1, 1])
    np.testing.assert_array_equal(without_small(clusters, 4), np.full(8, -1))
    np.testing.assert_array_equal(without_small(clusters, 1), clusters)


def test_k_means_finds_clusters_of_the_training_examples_alone():
    features, blob = blobs()
    poisoned = np.where(TRAIN[:, None], features, np.float32(1e6))
    spec = Clusters(kind="k-means", clusters=3, partitions=1, members=10)
    (found,) = partitions(spec, TRAIN, features=poisoned)
    assert (found[~TRAIN] == -1).all()
    assert len(set(zip(found[TRAIN], blob[TRAIN], strict=True))) == 3


def test_further_partitions_have_metrics_of_their_own_and_fewer_are_the_first_of_more():
    features, _ = blobs(4)
    features[:, 2:] = np.random.default_rng(1).normal(scale=9, size=(90, 2))
    spec = Clusters(kind="k-means", clusters=4, partitions=6, members=2)
    six = np.stack(list(partitions(spec, TRAIN, features=features)))
    assert number_of_partitions(spec) == len(six) == 6
    three = list(partitions(spec.model_copy(update={"partitions": 3}), TRAIN, features=features))
    np.testing.assert_array_equal(six[:3], three)

    def same_pairs(a, b):
        return ((a[:, None] == a) == (b[:, None] == b)).mean()

    assert all(same_pairs(six[0], other) < 0.95 for other in six[1:])


def test_clusters_that_stay_too_small_are_one_line():
    features, _ = blobs()
    spec = Clusters(kind="k-means", clusters=27, members=6, attempts=2)
    with pytest.raises(
        InputError, match=r"^clusters: of 27 clusters of 81 examples only \d+% have 6 members, accepted is 75%"
    ):
        list(partitions(spec, TRAIN, features=features))


def test_neighbourhoods_are_examples_and_their_nearest_neighbours_that_no_other_has():
    # Fifteen groups of six, far from one another.
    rng, group = np.random.default_rng(0), np.arange(90) % 15
    features = (100 * rng.normal(size=(15, 4))[group] + rng.normal(size=(90, 4))).astype(np.float32)
    everywhere = np.ones(90, bool)
    spec = Neighbourhoods(kind="neighbourhoods", partitions=4, members=6)
    four = list(partitions(spec, everywhere, features=features))
    for found in four:
        assert len(set(zip(found, group, strict=True))) == 15, "each class is a group"
    # Of three members two classes a group, other ones in other orders.
    halves = list(partitions(spec.model_copy(update={"members": 3}), TRAIN, features=features))
    for found in halves:
        assert (found[~TRAIN] == -1).all()
        assert set(np.bincount(found[found >= 0])) == {3}
        assert all(len(set(group[found == number])) == 1 for number in range(found.max() + 1))
    assert any((halves[0] != other).any() for other in halves[1:])
    two = list(partitions(spec.model_copy(update={"partitions": 2}), everywhere, features=features))
    np.testing.assert_array_equal(four[:2], two)


def test_hyperplanes_leave_out_what_is_near_them_and_zones_that_are_small():
    features = np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32)
    train = np.ones(400, bool)
    spec = Hyperplanes(kind="hyperplanes", way=4, partitions=5, members=8, margin=0.2, side=2, candidates=40)
    found = np.stack(list(partitions(spec, train, features=features)))
    assert found.shape == (5, 400)
    for zones in found:
        _, counts = np.unique(zones[zones >= 0], return_counts=True)
        assert len(counts) == 4
        assert counts.min() >= 8
        assert (zones < 0).any()
    # Zones are convex: what lies in the middle of two members of one is of that zone or near a plane.
    members = features[found[0] == found[0].max()]
    nearest = np.linalg.norm(features[:, None] - (members[::2][:9] + members[1::2][:9]) / 2, axis=2).argmin(0)
    assert set(found[0][nearest]) <= {-1, found[0].max()}
    assert len({zones.tobytes() for zones in found}) > 1


def test_planes_are_drawn_until_as_many_as_candidates_have_enough_examples_on_either_side():
    features = np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32)
    few = Hyperplanes(kind="hyperplanes", way=2, partitions=60, members=8, margin=1.0, side=5, candidates=6)
    found = np.stack(list(partitions(few, np.ones(400, bool), features=features)))
    assert all(min((zones == 0).sum(), (zones == 1).sum()) >= 40 for zones in found)
    # Of six planes that are drawn once, fewer would be left to choose from.
    assert len({zones.tobytes() for zones in found}) == 6


def test_planes_beyond_the_data_are_one_line():
    spec = Hyperplanes(kind="hyperplanes", way=4, members=8, margin=99.0, attempts=3)
    with pytest.raises(InputError, match=r"^margin: only 0 of 3000 planes have 80 examples beyond a margin of 99\.0"):
        list(partitions(spec, TRAIN, features=blobs()[0]))


def test_random_clusters_know_nothing_and_labels_everything():
    labels = np.arange(90) % 3
    found = np.stack(list(partitions(Random(kind="random", clusters=4, partitions=3, members=1), TRAIN)))
    assert set(found[:, TRAIN].ravel()) == {0, 1, 2, 3}
    assert not np.array_equal(found[0], found[1])
    (oracle,) = partitions(Labels(kind="labels", members=1), TRAIN, labels=labels)
    np.testing.assert_array_equal(oracle, np.where(TRAIN, labels, -1))


@pytest.mark.parametrize("spec", [Clusters(kind="k-means", clusters=82), Random(kind="random", clusters=82)])
def test_more_clusters_than_examples_are_one_line(spec):
    with pytest.raises(InputError, match=r"^clusters: 82 are more than the 81 training examples; give fewer$"):
        list(partitions(spec, TRAIN, features=blobs()[0]))


def test_features_that_are_not_finite_are_one_line():
    with pytest.raises(InputError, match=r"^features that are not finite; their embedding may have diverged$"):
        list(partitions(Clusters(kind="k-means", clusters=3), TRAIN, features=np.full((90, 2), np.nan, np.float32)))
