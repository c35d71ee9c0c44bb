"""Checks that a release is what it says, for `make release`, then builds it into dist/ and tags it.

The version stands in pyproject.toml and its date in CHANGELOG.md; CITATION.cff is brought in line with both.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def released() -> tuple[str, str]:
    """Return the version of the project and the date that the changelog gives it; end if it gives none."""
    version = str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])
    found = re.search(r"^## \[(\d[^]]*)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    if not found or found[1] != version or not re.fullmatch(r"\d{4}-\d\d-\d\d", found[2]):
        sys.exit(f"error: CHANGELOG.md: its first release is not {version} with a date; write its entry")
    return version, found[2]


def cited(text: str, version: str, date: str) -> str:
    """Return the text of CITATION.cff with a version and a date."""
    text = re.sub(r"^version: .*$", f"version: {version}", text, flags=re.MULTILINE)
    return re.sub(r"^date-released: .*$", f"date-released: {date}", text, flags=re.MULTILINE)


def git(*arguments: str) -> str:
    """Return what git prints."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    version, date = released()
    citation = ROOT / "CITATION.cff"
    citation.write_text(cited(citation.read_text(), version, date))
    if git("status", "--porcelain"):
        sys.exit("error: there are changes that are not committed; commit them, then make release again")
    if git("tag", "--list", f"v{version}"):
        sys.exit(f"error: tag v{version} is there already; raise the version in pyproject.toml")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", "dist"], cwd=ROOT, check=True)
    git("tag", "-a", f"v{version}", "-m", f"metaplastic {version}")
    print(f"v{version} is tagged and built into dist/; publish it: git push origin v{version}")
