"""Meta-learned unsupervised update rules, and few-shot learning without labels.

The names below are imported when they are first used, so that `import metaplastic` is quick and imports no JAX.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metaplastic.apply import apply_rule as apply_rule
    from metaplastic.embeddings.base import Unlabelled as Unlabelled
    from metaplastic.estimator import LearnedRule as LearnedRule
    from metaplastic.features import read_features as read_features
    from metaplastic.few_shot import episode_accuracy as episode_accuracy
    from metaplastic.few_shot import episodes as episodes
    from metaplastic.few_shot import partitions as partitions
    from metaplastic.few_shot import readout_accuracy as readout_accuracy
    from metaplastic.few_shot.learners.base import Learner as Learner
    from metaplastic.few_shot_classifier import FewShotClassifier as FewShotClassifier
    from metaplastic.io.storage import read_netcdf as read_netcdf
    from metaplastic.io.storage import read_zarr as read_zarr
    from metaplastic.learned_rule.fitted import FittedRule as FittedRule
    from metaplastic.meta_train.objective import meta_objective as meta_objective
    from metaplastic.meta_train.run import meta_training as meta_training
    from metaplastic.meta_train.spec import MetaTrain as MetaTrain
    from metaplastic.results import intervals as intervals
    from metaplastic.training.loop import Folder as Folder
    from metaplastic.training.loop import resumed as resumed
    from metaplastic.update_rules.base import UpdateRule as UpdateRule
    from metaplastic.update_rules.pretrained import pretrained_file as pretrained_file
    from metaplastic.update_rules.spec import Apply as Apply
    from metaplastic.update_rules.spec import BaseModel as BaseModel
    from metaplastic.update_rules.theta import save_theta as save_theta
    from metaplastic.update_rules.theta import trained_rule as trained_rule

_HOMES = {
    "estimator": ["LearnedRule"],
    "learned_rule.fitted": ["FittedRule"],
    "few_shot_classifier": ["FewShotClassifier"],
    "update_rules.base": ["UpdateRule"],
    "update_rules.theta": ["save_theta", "trained_rule"],
    "update_rules.pretrained": ["pretrained_file"],
    "update_rules.spec": ["Apply", "BaseModel"],
    "apply": ["apply_rule"],
    "meta_train.spec": ["MetaTrain"],
    "meta_train.run": ["meta_training"],
    "meta_train.objective": ["meta_objective"],
    "training.loop": ["Folder", "resumed"],
    "embeddings.base": ["Unlabelled"],
    "few_shot.learners.base": ["Learner"],
    "features": ["read_features"],
    "io.storage": ["read_netcdf", "read_zarr"],
}
"""The public names of each module."""
_MODULES = {"few_shot": ["episode_accuracy", "episodes", "partitions", "readout_accuracy"], "results": ["intervals"]}
"""Public names that are modules themselves, by their package."""
_READS = {"read_features": "zarr", "read_netcdf": "h5netcdf", "read_zarr": "zarr"}
"""Packages that xarray reads files by, which it would not name."""

_HOME_OF = {name: home for homes in (_HOMES, _MODULES) for home, names in homes.items() for name in names}

__all__ = list(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'metaplastic' has no attribute {name!r}")
    from metaplastic.io.errors import extras_named

    path = f"{__name__}.{_HOME_OF[name]}"
    with extras_named(f"metaplastic.{name}"):
        if name in _READS:
            import_module(_READS[name])
        return import_module(f"{path}.{name}") if _HOME_OF[name] in _MODULES else getattr(import_module(path), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
