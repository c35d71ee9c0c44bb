"""Accuracies that Hsu et al. 2019 report on Omniglot, for comparison with ours: tables 8 and 9 and the poster."""

from metaplastic.datasets.schema import OMNIGLOT

SETTINGS = ((5, 1), (5, 5), (20, 1), (20, 5))
"""Way and shots of the columns below."""

REPORTED = {
    ("bigan", "nearest-neighbours"): (49.55, 68.06, 27.37, 46.70),
    ("bigan", "linear"): (48.28, 68.72, 27.80, 45.82),
    ("bigan", "mlp"): (40.54, 62.56, 19.92, 40.71),
    ("bigan", "cluster-matching"): (43.96, 58.62, 21.54, 31.06),
    ("bigan", "maml"): (58.18, 78.66, 35.56, 58.62),
    ("bigan", "protonets"): (54.74, 71.69, 33.40, 50.62),
    ("acai", "nearest-neighbours"): (57.46, 81.16, 39.73, 66.38),
    ("acai", "linear"): (61.08, 81.82, 43.20, 66.33),
    ("acai", "mlp"): (51.95, 77.20, 30.65, 58.62),
    ("acai", "cluster-matching"): (54.94, 71.09, 32.19, 45.93),
    ("acai", "maml"): (68.84, 87.78, 48.09, 73.36),
    ("acai", "protonets"): (68.12, 83.58, 47.75, 66.27),
    ("", "from-scratch"): (52.50, 74.78, 24.91, 47.62),
    ("", "oracle-maml"): (94.46, 98.83, 84.60, 96.29),
    ("", "oracle-protonets"): (98.35, 99.58, 95.31, 98.81),
}
"""Percent, by kind of embedding, if it takes one, and the learner's name in summaries."""


CLUSTERS = 500
"""Clusters of a partition in the paper."""


def reported(benchmark: str, embedding: str, learner: str, way: int, shots: int, *, clusters: int) -> float | None:
    """Return the accuracy of a learner in the paper, in [0, 1]; `clusters` is 0 for partitions that are no clusters.

    It is None if the paper reports none on the test split of this `benchmark`, or has other clusters.
    """
    row = REPORTED.get(("", learner)) or REPORTED.get((embedding, learner))
    if benchmark != OMNIGLOT or row is None or (way, shots) not in SETTINGS or clusters not in (0, CLUSTERS):
        return None
    return row[SETTINGS.index((way, shots))] / 100
