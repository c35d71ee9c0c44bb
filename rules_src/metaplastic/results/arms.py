"""What results call learners, each trained on one of a study's partitions. The config asks too, without a library."""

from collections.abc import Mapping

ORACLE = "oracle"
"""Prefix of the names of learners that true labels train."""


def usual_partition(numbers: Mapping[str, int]) -> str | None:
    """Return the one of k-means partitions, with the number that each has, which names do not tell.

    As the paper has many, its numbers stand beside those of the most; the first counts if there are several.
    """
    return max(numbers, key=numbers.__getitem__, default=None)


def arm_name(learner: str, partition: str | None = None, *, usual: str | None = None, true_labels: bool = False) -> str:
    """Return the name of a learner, which tells its partition unless that is the usual one."""
    if true_labels:
        return f"{ORACLE}-{learner}"
    return learner if partition in (None, usual) else f"{learner}-{partition}"
