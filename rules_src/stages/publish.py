"""The command `python -m rules_src.stages.publish`, which no rule of the workflow runs: see `tools/publish.py`."""

from rules_src.stages.command import run
from rules_src.tools.publish import publish

if __name__ == "__main__":
    run(publish)
