"""The command `python -m rules_src.stages.replay`, which no rule of the workflow runs: see `tools/replay.py`."""

from rules_src.stages.command import run
from rules_src.tools.replay import replay

if __name__ == "__main__":
    run(replay)
