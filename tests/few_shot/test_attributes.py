from itertools import combinations, product

import numpy as np
import pytest
from metaplastic.datasets.arrays import Attributes, Inputs
from metaplastic.few_shot.attributes import Contrast, contrasts, sides
from metaplastic.few_shot.episode_accuracy import shared_episodes
from metaplastic.few_shot.partitions import number_of_partitions, partitions
from metaplastic.few_shot.spec import Episodes, Labels
from metaplastic.io.errors import InputError
from refusals import refused

VALUES = np.random.default_rng(0).random((300, 9)) < 0.4
SPLIT = np.repeat(np.array([0, 2, 1], np.uint8), 100)
ATTRIBUTES = Attributes(VALUES, np.repeat(np.array([0, 2, 1], np.uint8), 3 * [3]))


def test_contrasts_are_patterns_and_complements_of_three_attributes():
    expected = set()
    for chosen in combinations(range(9), 3):
        for rest in product([False, True], repeat=2):
            pattern = np.array([False, *rest])
            has = VALUES[:, chosen]
            one, other = (has == pattern).all(1), (has != pattern).all(1)
            if min(one.sum(), other.sum()) >= 30:
                expected.add((chosen, tuple(np.where(one, 0, np.where(other, 1, -1)))))
    found = contrasts(VALUES, 30)
    assert {(contrast.attributes, tuple(sides(VALUES, contrast))) for contrast in found} == expected
    assert len(found) == len(expected) > 50
    assert sides(np.array([[0, 1, 1], [1, 0, 0], [1, 1, 1]], bool), Contrast((0, 1, 2), 3)).tolist() == [0, 1, -1]


@pytest.mark.parametrize(("name", "code"), [("test", 1), ("validation", 2)])
def test_evaluation_episodes_differ_in_three_attributes_of_their_split(name, code):
    data = Inputs(np.zeros((300, 1), np.float32), np.zeros(300, np.int32), SPLIT, attributes=ATTRIBUTES)
    spec = Episodes(split=name, ways=[2], shots=[2], queries=1, episodes=40)
    support, query = map(np.asarray, shared_episodes(data, spec, 2, 2))
    members = np.concatenate([support, query], 2)
    assert (SPLIT[members] == code).all()
    own, others = (VALUES[members][..., ATTRIBUTES.split == of] for of in (code, 0))
    # All of a class have the same, and of the other class the opposite.
    assert (own == own[:, :, :1]).all()
    assert (own[:, 0, 0] != own[:, 1, 0]).all()
    assert not (others == others[:, :, :1]).all()
    # Classes come in either order.
    assert 0 < own[:, 0, 0, 0].mean() < 1


def test_too_few_on_either_side_are_one_line():
    data = Inputs(np.zeros((300, 1), np.float32), np.zeros(300, np.int32), SPLIT, attributes=ATTRIBUTES)
    spec = Episodes(ways=[2], shots=[60], queries=1, episodes=4)
    message = refused(shared_episodes, data, spec, 2, 60)
    assert message == "episodes: no three attributes of split test part 61 of its examples from 61 others"
    with pytest.raises(InputError, match=r"^episodes\.way: 5 classes asked for, but split test, attributes"):
        shared_episodes(data, spec, 5, 1)
    message = refused(lambda: list(partitions(Labels(kind="labels", members=61), SPLIT == 0, attributes=ATTRIBUTES)))
    assert message == "members: no three attributes part 61 training examples from 61 others; give fewer"


def test_the_oracle_s_partitions_are_of_training_attributes_and_examples():
    spec, labels = Labels(kind="labels", members=2, partitions=3), np.zeros(300, np.int32)
    found = np.stack(list(partitions(spec, SPLIT == 0, labels=labels, attributes=ATTRIBUTES)))
    assert found.shape == (3, 300)
    assert number_of_partitions(spec, ATTRIBUTES) == 3
    assert number_of_partitions(spec) == 1
    assert (found[:, 100:] == -1).all()
    for sides_of in found:
        one, other = (np.unique(VALUES[sides_of == side][:, :3], axis=0) for side in (0, 1))
        assert len(one) == len(other) == 1
        assert (one != other).all()
    assert len({sides_of.tobytes() for sides_of in found}) == 3
