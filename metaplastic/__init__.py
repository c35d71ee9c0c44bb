"""What one imports of the package; all else is in `rules_src`."""

from rules_src.estimator import LearnedRule

__all__ = ["LearnedRule"]
