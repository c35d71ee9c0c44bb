"""Pages of the site that lie elsewhere in the repository, where they are read too; a hook of MkDocs."""

import posixpath
import re
import tomllib
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {
    "index.md": "README.md",
    "config.md": "config/README.md",
    "architecture.md": "ARCHITECTURE.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    **{f"rules/{name}.md": f"data/pretrained/{name}.md" for name in ("generalist", "quill", "pinion", "barb")},
}
"""Files of the repository by their names in the site."""
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Say at the foot of every page which version it describes."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    config.copyright = f"metaplastic {project['version']}, {project['license']}"
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add them to the site."""
    for name, source in PAGES.items():
        files.append(File.generated(config, name, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links between files of the repository to their pages in the site."""
    name = page.file.src_uri
    source = PAGES.get(name, f"docs/{name}")
    site = {target: page for page, target in PAGES.items()}

    def led(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[1]))
        in_site = site.get(target, target.removeprefix("docs/"))
        return f"]({posixpath.relpath(in_site, posixpath.dirname(name) or '.')}"

    return LINK.sub(led, markdown)
