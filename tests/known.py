from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]


def known() -> dict[str, Any]:
    """The default study alone, and a meta-training run that stays the same whatever that study meta-trains."""
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    letters = yaml.safe_load((ROOT / "tests/data/letters.yaml").read_text())
    return config | {
        "run": ["default"],
        "studies": {"default": config["studies"]["default"]},
        "rules": config["rules"] | letters["rules"],
        "meta_train": letters["meta_train"],
    }
