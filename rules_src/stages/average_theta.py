"""The command `python -m rules_src.stages.average_theta`, which no rule runs: see `tools/average_theta.py`."""

from rules_src.stages.command import run
from rules_src.tools.average_theta import average

if __name__ == "__main__":
    run(average)
