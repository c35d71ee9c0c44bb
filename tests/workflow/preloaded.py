"""Parse the package once, in the process that runs of Snakemake are forked from; edited modules are parsed again."""

from pathlib import Path

from workflow import fingerprint

PACKAGE = Path(__file__).parents[2] / "rules_src/metaplastic"

for name, file in fingerprint._files(PACKAGE).items():
    fingerprint._read(file, name)
