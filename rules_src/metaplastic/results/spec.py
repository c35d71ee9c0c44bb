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

FIGURES: dict[Experiment, str] = {
    "objective-mismatch": "figure_2",
    "permuted-inputs": "figure_2",
    "over-meta-training": "figure_3",
    "unseen-datasets": "figure_4",
    "supervised": "figure_4",
    "unseen-modality": "figure_4",
    "unseen-architectures": "figure_5",
    "how-it-learns": "figure_6",
}
"""The paper's figure that each is in, by the name of the workflow's rule that makes it."""
