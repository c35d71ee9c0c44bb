"""What is planned, without Snakemake."""

from pathlib import Path

import yaml
from metaplastic.config.load import load
from snakemake.utils import update_config

from workflow.plan import Plan

ROOT = Path(__file__).parents[2]


def plan_of(overlay: str = "{}", *configs: str) -> Plan:
    """The plan of the default config with others of the project laid over it, and then an overlay."""
    raw: dict[str, object] = {}
    for text in (*((ROOT / f"config/{name}.yaml").read_text() for name in ("config", *configs)), overlay):
        update_config(raw, yaml.safe_load(text))
    return Plan(load(raw), ROOT / "rules_src/metaplastic")
