"""The command `python -m rules_src.stages.check_results`, run by no rule: see `tools/check_results.py`."""

from rules_src.stages.command import run
from rules_src.tools.check_results import check

if __name__ == "__main__":
    run(check)
