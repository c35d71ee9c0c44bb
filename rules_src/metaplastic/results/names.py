"""What tables and figures call methods."""

from collections import Counter
from collections.abc import Mapping

NAMES = {
    "pretrained": "pretrained rule",
    "meta-trained": "rule meta-trained here",
    "compact": "compact rule before meta-training",
    "published": "published rule before meta-training",
    "polynomial": "polynomial rule before meta-training",
    "identity": "random initialisation",
    "oja": "Oja's rule",
    "hebb": "Hebb's rule",
    "sanger": "Sanger's rule",
    "bcm": "BCM rule",
    "competing": "competing units",
    "soft-hebb": "SoftHebb",
    "raw": "raw input",
    "pca": "PCA",
    "k-means": "k-means features",
    "isomap": "Isomap",
    "umap": "UMAP",
    "vae": "variational autoencoder",
    "denoising-autoencoder": "denoising autoencoder",
    "blurred": "blurred pixels",
    "zca": "whitened pixels",
    "acai": "ACAI",
    "bigan": "BiGAN",
    "infogan": "InfoGAN",
    "contrastive": "contrastive",
}
"""Names of methods by kind, so that a method has the same name whatever a user calls it."""


def names(kinds: Mapping[str, str]) -> dict[str, str]:
    """Return the name of each method from its kind, with its key beside it if several are alike, or else its key."""
    alike = Counter(kinds.values())
    named = {method: NAMES.get(kind, method) for method, kind in kinds.items()}
    return {
        method: name if alike[kinds[method]] == 1 or name == method else f"{name}: {method}"
        for method, name in named.items()
    }
