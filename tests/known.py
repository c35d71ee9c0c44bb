from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]


def known() -> dict[str, Any]:
    """One study like the default one, with text, and a run that stays the same whatever that study meta-trains."""
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    letters = yaml.safe_load((ROOT / "tests/data/letters.yaml").read_text())
    study = {
        "datasets": ["mnist-5k", "digits", "movie-sentences"],
        "base_models": ["small"],
        "rules": ["shipped", "pinion", "learned", "untrained", "random-init", "polynomial", "oja", "hebb"],
        "embeddings": ["raw", "pca", "k-means", "isomap", "umap", "vae", "denoising-autoencoder"],
    }
    rules = {name: rule for name, rule in config["rules"].items() if "run" not in rule}
    return config | {
        "run": ["default"],
        "studies": {"default": study},
        "embeddings": config["embeddings"] | {"vae": {"kind": "vae"}},
        "rules": rules | letters["rules"],
        "meta_train": letters["meta_train"],
    }
