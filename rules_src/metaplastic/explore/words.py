"""What the page says of methods, in words for anybody."""

from collections.abc import Sequence

from metaplastic.embeddings.spec import Embedding
from metaplastic.explore.recorded import Panel
from metaplastic.figures.style import looks
from metaplastic.update_rules.spec import Rule

SENTENCES = {
    "identity": "No learning: the weights stay as they were drawn at random. Every rule starts here.",
    "oja": "A rule written by hand: a connection grows when both of its ends are active, and decays to stay bounded.",
    "hebb": "The oldest rule: a connection grows when both of its ends are active.",
    "pretrained": "A rule that was itself learned beforehand instead of written by hand. It comes with this package.",
    "untrained-encoder": "A network for images with its random weights: it has learned nothing.",
    "umap": "No rule: a method that needs all images at once, and places them so that neighbours stay neighbours.",
}
"""A sentence for each kind of method that says to anybody what it does; other kinds have their docstring."""
SOURCES = {
    "pretrained": ("Pretrained rule", "Its card, in the folder data/pretrained, says from what data it was learned."),
    "oja": ("Oja's rule", "The subspace rule of Oja (1989), at the best of several rates on MNIST."),
    "umap": ("UMAP", "McInnes, Healy and Melville (2018), computed by the library umap-learn."),
}
"""Where methods come from, by their kind."""


def titles(panels: Sequence[Panel]) -> list[str]:
    """Return the name of each panel's method, as in figures."""
    names = looks({panel.identity.method: panel.identity.kind for panel in panels}).values()
    return [name.label[:1].upper() + name.label[1:] for name in names]


def sentence(kind: str) -> str:
    """Say what a kind of method does."""
    return SENTENCES.get(kind) or str((Rule.kinds() | Embedding.kinds())[kind].__doc__)
