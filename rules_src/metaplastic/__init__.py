"""Meta-learned unsupervised update rules, and few-shot learning without labels.

Names are imported when they are first used, so that `import metaplastic` alone is quick and needs no JAX.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metaplastic.estimator import LearnedRule as LearnedRule

_HOMES = {"LearnedRule": "estimator"}
"""The module of each public name."""

__all__ = ["LearnedRule"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'metaplastic' has no attribute {name!r}")
    return getattr(import_module(f"metaplastic.{_HOMES[name]}"), name)
