import json

import pytest
from metaplastic.config.base import parse_spec
from metaplastic.few_shot.spec import Learner, Partition


@pytest.mark.parametrize(
    ("keys", "examples", "classes", "features"),
    [
        ({"kind": "k-means", "clusters": 10, "members": 7, "accepted": 0.75}, 53, ("clusters", 10), True),
        ({"kind": "k-means", "clusters": 10, "members": 1}, 10, ("clusters", 10), True),
        ({"kind": "hyperplanes", "way": 4}, 0, ("way", 4), True),
        ({"kind": "random", "clusters": 9}, 9, ("clusters", 9), False),
        ({"kind": "labels"}, 0, None, False),
    ],
)
def test_partitions_declare_what_they_need_and_what_they_are(keys, examples, classes, features):
    spec = parse_spec(Partition, json.dumps(keys))
    assert (spec.fewest_examples, spec.task_classes, spec.needs_features) == (examples, classes, features)
    assert (spec.found_clusters, spec.true_labels) == (keys["kind"] == "k-means", keys["kind"] == "labels")


@pytest.mark.parametrize(
    ("keys", "declared"),
    [
        ({"kind": "protonets"}, (True, True, 16, 0, None)),
        ({"kind": "maml", "tasks": {"way": 7}}, (True, True, 1, 0, 7)),
        ({"kind": "from-scratch"}, (True, False, 1, 0, None)),
        ({"kind": "linear"}, (False, False, 1, 0, None)),
        ({"kind": "cluster-matching", "clusters": 8}, (False, False, 1, 8, None)),
    ],
)
def test_learners_declare_what_they_need_and_what_they_are(keys, declared):
    spec = parse_spec(Learner, json.dumps(keys))
    found = (spec.takes_images, spec.meta_learned, spec.smallest, spec.fewest_examples, spec.most_ways)
    assert found == declared
