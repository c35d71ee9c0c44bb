"""The interface of a source of tasks.

A task is a PRNG key. Everything that stays the same within the task is drawn from that key, everything else from
another one; so tasks of one source are drawn and shown under `vmap`, and replacing a task replaces its key.
"""

from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Array, Float, Int, PRNGKeyArray

from metaplastic.meta_train.tasks.spec import Tasks


class Shown(NamedTuple):
    """Examples as a task shows them."""

    inputs: Float[Array, "example input"]
    coefficients: Float[Array, "example coefficient"]
    """Jitter applied to each, at most of about unit variance; zero where there is none."""


@runtime_checkable
class Source(Protocol):
    """One kind of data; its arrays are leaves of a pytree, so that they are no constants of compiled code."""

    def show(self, key: PRNGKeyArray, task: PRNGKeyArray, classes: Int[Array, " example"], spec: Tasks) -> Shown:
        """Draw one example for each entry of `classes`, the task's numbers 0 to `spec.classes` - 1."""
