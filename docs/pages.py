"""Pages of the site that lie elsewhere in the repository, where they are read too; a hook of MkDocs."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = {
    "index.md": "README.md",
    "config.md": "config/README.md",
    "architecture.md": "ARCHITECTURE.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
"""Files of the repository by their names in the site."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add them to the site."""
    for name, source in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        # Links from one of them to another.
        for page, target in PAGES.items():
            text = text.replace(f"]({target})", f"]({page})")
        # And from the top to the site's own.
        text = text.replace("](docs/", "](")
        files.append(File.generated(config, name, content=text))
    return files
