"""The command `metaplastic rules`: what comes with the package."""

import json
from pathlib import Path
from typing import Any

from metaplastic.stages.command import Json
from metaplastic.update_rules.pretrained import DEFAULT, pretrained_files


def rules(json_: Json = False) -> None:
    """List the update rules that come with the package, by the names that --rule takes."""
    found = [described(path) for path in pretrained_files().values()]
    if json_:
        print(json.dumps(found, indent=2))
        return
    widest = max((len(rule["name"]) for rule in found), default=0)
    for rule in found:
        of_kind = f"{rule['kind']}, {rule['numbers']:,} numbers{', the default' * rule['default']}"
        print(f"{rule['name']:{widest}}  {of_kind}. {rule['about']}")


def described(path: Path) -> dict[str, Any]:
    """Return what is known of the rule in a theta file, with the last sentence of its card's first paragraph."""
    # Other commands start sooner without JAX.
    import jax

    from metaplastic.update_rules.theta import trained_rule

    spec, rule = trained_rule(path)
    numbers = sum(leaf.size for leaf in jax.tree.leaves(rule))
    card = path.with_suffix(".md")
    paragraph = card.read_text(encoding="utf-8").split("\n\n")[1] if card.exists() else ""
    about = " ".join(paragraph.replace("*", "").split()).rstrip(".").split(". ")[-1]
    return {
        "name": path.stem,
        "default": path.stem == DEFAULT,
        "kind": spec.kind,
        "numbers": numbers,
        "about": f"{about}." if about else "",
        "file": str(path),
    }
