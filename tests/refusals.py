from collections.abc import Callable
from typing import Any

import pytest
from metaplastic.io.errors import InputError


def refused(
    call: Callable[..., object],
    *arguments: Any,
    error: type[BaseException] | tuple[type[BaseException], ...] = InputError,
    **keys: Any,
) -> str:
    """What one line says of input that is refused."""
    with pytest.raises(error) as caught:
        call(*arguments, **keys)
    assert "\n" not in str(caught.value)
    return str(caught.value)
