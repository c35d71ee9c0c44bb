"""The experiments of Metz et al. 2019 that a study may be."""

from typing import Literal, get_args

Experiment = Literal[
    "objective-mismatch",
    "permuted-inputs",
    "over-meta-training",
    "unseen-datasets",
    "supervised",
    "unseen-modality",
    "unseen-architectures",
    "how-it-learns",
]

EXPERIMENTS: tuple[Experiment, ...] = get_args(Experiment)
