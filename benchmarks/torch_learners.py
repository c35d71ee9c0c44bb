"""ProtoNets and MAML as one would write them in PyTorch: what the learners of this project are timed beside."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from metaplastic.few_shot.spec import Maml, MetaLearned
from torch.nn import functional

EPSILON, BLOCKS = 1e-5, 4


def trained(spec: MetaLearned, inputs: np.ndarray, members: int, steps: int, threads: int) -> Callable[[], None]:
    """What takes so many training steps on images `[example, row, column, channel]`, class after class."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    images = torch.from_numpy(np.ascontiguousarray(np.moveaxis(inputs, 3, 1)))
    learner = maml if isinstance(spec, Maml) else protonets
    weights = initial(spec, images.shape[1])
    adam = torch.optim.Adam(weights, lr=spec.learning_rate)

    def train() -> None:
        for _ in range(steps):
            adam.zero_grad()
            losses = [learner(weights, *task(images, members, spec), spec) for _ in range(spec.task_batch)]
            torch.stack(losses).mean().backward()
            adam.step()

    return train


def initial(spec: MetaLearned, channels: int) -> list[torch.Tensor]:
    """Kernels, shifts, and scales of the batch norm or, of MAML, the last layer."""
    widths = [channels, *[spec.filters] * BLOCKS]
    kernels = [torch.empty(above, below, 3, 3) for below, above in pairwise(widths)]
    for kernel in kernels:
        torch.nn.init.xavier_uniform_(kernel)
    shifts = [torch.zeros(spec.filters) for _ in kernels]
    way = spec.tasks.way
    others = [torch.randn(spec.filters, way), torch.zeros(way)]
    if not isinstance(spec, Maml):
        others = [torch.ones(spec.filters) for _ in kernels]
    return [weight.requires_grad_() for weight in [*kernels, *shifts, *others]]


def loss_and_gradient(
    spec: MetaLearned, learner: Any, support: np.ndarray, query: np.ndarray, image: tuple[int, int, int]
) -> tuple[float, list[float]]:
    """Loss on a task, and norms of the kernels' gradients, at the weights of a learner of this project.

    Its strided convolutions pad even sides after the last pixel, PyTorch before the first one: a mirror image.
    """
    flip = slice(None, None, -1 if isinstance(spec, Maml) else 1)
    network = learner.network
    arrays = [np.asarray(kernel)[flip, flip].transpose(3, 2, 0, 1) for kernel in network.kernels]
    arrays += [*network.shifts, *(network.scales or (learner.weights, learner.bias))]
    weights = [torch.tensor(np.array(array), requires_grad=True) for array in arrays]
    seen = [torch.tensor(x.reshape(-1, *image)[:, flip, flip].transpose(0, 3, 1, 2).copy()) for x in (support, query)]
    learner_there = maml if isinstance(spec, Maml) else protonets
    loss = learner_there(weights, seen[0], seen[1], spec)
    return float(loss.detach()), [float(slope.norm()) for slope in torch.autograd.grad(loss, weights[:BLOCKS])]


def task(images: torch.Tensor, members: int, spec: MetaLearned) -> tuple[torch.Tensor, torch.Tensor]:
    """Support and query, class after class."""
    shape, classes = spec.tasks, torch.randperm(len(images) // members)
    drawn = torch.stack([members * one + torch.randperm(members) for one in classes[: shape.way]])
    support, query = drawn[:, : shape.shots], drawn[:, shape.shots : shape.shots + shape.queries]
    return images[support.flatten()], images[query.flatten()]


def normalised(x: torch.Tensor, scale: torch.Tensor | None, shift: torch.Tensor) -> torch.Tensor:
    """Batch norm by the batch."""
    return functional.batch_norm(x, None, None, scale, shift, training=True, eps=EPSILON)


def protonets(
    weights: Sequence[torch.Tensor], support: torch.Tensor, query: torch.Tensor, spec: MetaLearned
) -> torch.Tensor:
    """The loss on the query."""
    way, shots = spec.tasks.way, spec.tasks.shots
    x = torch.cat([support, query])
    for kernel, shift, scale in zip(weights[:BLOCKS], weights[BLOCKS : 2 * BLOCKS], weights[2 * BLOCKS :], strict=True):
        x = functional.max_pool2d(torch.relu(normalised(functional.conv2d(x, kernel, padding=1), scale, shift)), 2)
    x = x.flatten(1)
    prototypes = x[: way * shots].reshape(way, shots, -1).mean(1)
    distances = torch.cdist(x[way * shots :], prototypes) ** 2
    return functional.cross_entropy(-distances, torch.arange(way).repeat_interleave(spec.tasks.queries))


def maml(weights: Sequence[torch.Tensor], support: torch.Tensor, query: torch.Tensor, spec: Any) -> torch.Tensor:
    """The loss on the query after the inner steps, of second order."""
    way, shots = spec.tasks.way, spec.tasks.shots
    shifts, classes = weights[BLOCKS : 2 * BLOCKS], torch.arange(way)
    fast = [*weights[:BLOCKS], *weights[2 * BLOCKS :]]
    for _ in range(spec.inner_steps):
        loss = functional.cross_entropy(
            logits(fast, shifts, support), classes.repeat_interleave(shots), reduction="sum"
        )
        slopes = torch.autograd.grad(loss / shots, fast, create_graph=True)
        fast = [weight - spec.inner_rate * slope for weight, slope in zip(fast, slopes, strict=True)]
    return functional.cross_entropy(logits(fast, shifts, query), classes.repeat_interleave(spec.tasks.queries))


def logits(fast: Sequence[torch.Tensor], shifts: Sequence[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Return the logits of the adapted network."""
    for kernel, shift in zip(fast[:BLOCKS], shifts, strict=True):
        x = torch.relu(normalised(functional.conv2d(x, kernel, stride=2, padding=1), None, shift))
    return x.mean((2, 3)) @ fast[BLOCKS] + fast[BLOCKS + 1]
