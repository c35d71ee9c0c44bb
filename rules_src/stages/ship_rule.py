"""The command `python -m rules_src.stages.ship_rule`, which no rule of the workflow runs: see `tools/ship_rule.py`."""

from rules_src.stages.command import run
from rules_src.tools.ship_rule import ship

if __name__ == "__main__":
    run(ship)
