"""The experiments of Metz et al. 2019 that a study may be."""

from typing import Literal, NamedTuple

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


class Declared(NamedTuple):
    """Where the paper shows an experiment, and what it takes."""

    figure: str
    """The paper's figure, by the name of the rule that makes it."""
    needs: tuple[str, ...]
    """What its study must have, by the names in `config.needs`."""


EXPERIMENTS: dict[Experiment, Declared] = {
    "objective-mismatch": Declared("figure_2", ("training curve",)),
    "permuted-inputs": Declared(
        "figure_2", ("permuted inputs", "one training set", "meta-learned learner", "trained rule")
    ),
    "over-meta-training": Declared("figure_3", ("snapshots", "images")),
    "unseen-datasets": Declared("figure_4", ("trained rule", "random initialisation", "images")),
    "supervised": Declared("figure_4", ("linear and mlp", "trained rule", "raw input")),
    "unseen-modality": Declared("figure_4", ("trained rule", "random initialisation", "text")),
    "unseen-architectures": Declared("figure_5", ("trained rule", "random initialisation", "several networks")),
    "how-it-learns": Declared("figure_6", ("trained rule", "moons and images", "principal components")),
}
"""In the order of the paper."""
