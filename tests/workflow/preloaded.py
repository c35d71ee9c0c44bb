"""Do once what every run of Snakemake does, in the process that they are forked from.

It looks for plugins among all packages that are installed, imports the plan and parses the package. Modules that a test
edits are parsed again, those of the plan imported again.
"""

import gc
from importlib import import_module
from pathlib import Path

from snakemake.cli import get_argument_parser

from workflow import fingerprint, plan_figures

PACKAGE = Path(__file__).parents[2] / "rules_src/metaplastic"

get_argument_parser()
for module in ("closing", "folders", "plan_evaluations", "plan_experiments", "plan_explore", "resources"):
    import_module(f"workflow.{module}")
for name, file in fingerprint._files(PACKAGE).items():
    fingerprint._read(file, name)
for figure in plan_figures.names(PACKAGE):
    plan_figures.declared(PACKAGE, figure)
# What is there already is garbage in no run.
gc.freeze()
