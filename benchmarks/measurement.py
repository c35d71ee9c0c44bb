"""One program, compiled: what it costs by XLA's own count, and how fast it runs beside a plain matrix product."""

import time
from collections.abc import Callable
from statistics import fmean, median
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

SIDE = 2048
"""Of the square float32 matrices whose product is the yardstick."""
PRODUCT_FLOPS = 2 * SIDE**3
COPIED = 2**26
"""Numbers in the float32 vector whose copy is the yardstick of memory: far more than caches hold."""

QUANTITIES = "flops", "bytes accessed"
"""What is counted, by the names of XLA's cost analysis."""


class Program(NamedTuple):
    """Something to measure."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    """Pytrees whose leaves are arrays."""
    inner_steps: int = 1
    """Inner steps that a call takes, of all its tasks together."""
    trips: int = 1
    """How often the bodies of its loops run."""
    around: tuple[Any, ...] = ()
    """Arguments of the same shapes that leave next to nothing inside the loops."""


class Measurement:
    """A compiled program, the seconds that calls of it took, and those of matrix products right before and after."""

    def __init__(self, program: Program, product: Callable[[], float]):
        """Compile `program`; `product` returns the seconds of the yardstick."""
        start, start_cpu = time.perf_counter(), time.process_time()
        self.compiled = compiled(program.function, *program.arguments)
        self.compile_seconds = time.perf_counter() - start
        self.compile_cpu_seconds = time.process_time() - start_cpu
        self.program = program
        counts = total(program, self.compiled)
        self.flops, self.bytes = counts["flops"], counts["bytes accessed"]
        self.product = product
        self.seconds: list[float] = []
        self.products: list[float] = []

    def call(self) -> None:
        """Run the program once."""
        jax.block_until_ready(self.compiled(*self.program.arguments))

    def beside(self) -> None:
        """Time a matrix product; to be called before and after each call that counts."""
        self.products.append(self.product())

    def round(self) -> None:
        """Run the program once and keep its time."""
        self.beside()
        self.seconds.append(seconds(self.call))
        self.beside()

    def numbers(self) -> dict[str, float]:
        """What is reported: medians over rounds."""
        pairs = zip(self.products[::2], self.products[1::2], strict=True)
        once = median(self.seconds)
        products = median(taken / fmean(pair) for taken, pair in zip(self.seconds, pairs, strict=True))
        return {
            "seconds": once,
            "inner_steps_per_second": self.program.inner_steps / once,
            "gflop": self.flops / 1e9,
            "gflop_per_second": self.flops / once / 1e9,
            # Seconds over those of a matrix product of the same moment: what other work on the machine changes least.
            "matrix_products": products,
            "share": self.flops / PRODUCT_FLOPS / products,
            "gigabytes_per_second": self.bytes / once / 1e9,
            "memory_mb": memory(self.compiled) / 1e6,
            "compile_seconds": self.compile_seconds,
            "compile_cpu_seconds": self.compile_cpu_seconds,
            "rounds": len(self.seconds),
            "product_gflop_per_second": PRODUCT_FLOPS / median(self.products) / 1e9,
        }


def matrix_product() -> Callable[[], float]:
    """The yardstick: how many seconds a product of two square float32 matrices takes now."""
    matrix = jax.random.normal(jax.random.key(0), (SIDE, SIDE))
    product = compiled(jnp.matmul, matrix, matrix)

    def once() -> float:
        return seconds(lambda: jax.block_until_ready(product(matrix, matrix)))

    once()
    return once


def copied_gigabytes_per_second() -> float:
    """The yardstick of memory: what a copy reads and writes a second, the best of a few."""
    vector = jnp.zeros(COPIED)
    copy = compiled(lambda vector: vector + 1, vector)
    best = min(seconds(lambda: jax.block_until_ready(copy(vector))) for _ in range(5))
    return 2 * vector.nbytes / best / 1e9


def seconds(call: Callable[[], Any]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def built(make: Callable[[], Program]) -> Program:
    """A program whose arguments one compiled function makes, rather than a hundred small ones."""
    made: list[Program] = []

    def arguments() -> tuple[Any, Any]:
        made.append(make())
        return made[0].arguments, made[0].around

    first, around = jax.jit(arguments)()
    return made[0]._replace(arguments=first, around=around)


def compiled(function: Callable[..., Any], *arguments: Any) -> jax.stages.Compiled:
    """The function, traced and compiled for arguments like these."""
    return jax.jit(function).lower(*arguments).compile()


def total(program: Program, whole: jax.stages.Compiled) -> dict[str, float]:
    """What a call takes: floating-point operations and bytes of memory traffic, by XLA's count of compiled programs.

    XLA counts a loop's body once. What is outside the loops is counted by compiling the same function with `around`;
    the rest is what runs `trips` times.
    """
    once = counted(whole)
    if program.trips == 1:
        return once
    outside = counted(compiled(program.function, *program.around))
    return {name: outside[name] + program.trips * (once[name] - outside[name]) for name in QUANTITIES}


def counted(program: jax.stages.Compiled) -> dict[str, float]:
    """XLA's counts, loop bodies counted once."""
    cost: Any = program.cost_analysis()
    return {name: float(cost[name]) for name in QUANTITIES}


def memory(program: jax.stages.Compiled) -> int:
    """Bytes that a call needs at its peak: arguments, results and everything between them."""
    sizes: Any = program.memory_analysis()
    held = sizes.argument_size_in_bytes + sizes.output_size_in_bytes - sizes.alias_size_in_bytes
    return int(held + sizes.temp_size_in_bytes)
