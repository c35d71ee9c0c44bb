"""Parameters of the scikit-learn estimators: checked, as files hold them, and read from a file again."""

import json
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state, check_scalar

from metaplastic.config.base import LARGEST
from metaplastic.io.errors import InputError

E = TypeVar("E", bound=BaseEstimator)


def with_parameters(kind: type[E], parameters: Mapping[str, Any], path: str | Path, what: str) -> E:
    """Return an estimator with the parameters that a file holds; raise InputError if they are wrong."""
    try:
        estimator = kind(**parameters)
        estimator.check_parameters()
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: not a readable {what} ({error}); save it again") from error
    return estimator


def plain_parameters(estimator: BaseEstimator) -> dict[str, Any]:
    """Return the parameters as JSON holds them; what it cannot hold, such as a generator of random numbers, is None."""
    return dict(json.loads(json.dumps(estimator.get_params(deep=False), default=plain)))


def plain(value: Any) -> Any:
    """Return what JSON does not know, such as a number of NumPy, as what it does; None for other objects."""
    if isinstance(value, Integral | Real):
        return int(value) if isinstance(value, Integral) else float(value)
    if isinstance(value, np.ndarray | np.bool_):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    return str(value) if isinstance(value, Path) else None


def seed_of(random_state: Any) -> int:
    """Return an integer as it is, and otherwise draw a seed by scikit-learn's rules."""
    is_seed = isinstance(random_state, Integral)
    return int(random_state if is_seed else check_random_state(random_state).randint(2**31 - 1))


def check_integer(value: Any, name: str, *, least: int = 1) -> None:
    """Raise TypeError or ValueError unless a parameter is an integer from `least` up that 32 bits hold."""
    check_no_bool(value, name)
    check_scalar(value, name, Integral, min_val=least, max_val=LARGEST)


def check_no_bool(value: Any, name: str) -> None:
    """Raise TypeError if a parameter is True or False."""
    # Python counts True and False as integers.
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} == {value}, must be a number.")
