"""What does each trick bring?  One training step with all of them, and the same step with one of them taken back.

    python benchmarks/tricks.py [--config small medium] [--restarts 5]

The library has no switches for this: each trick is undone from outside, by putting a plain function or a huge
block size in its place. In turns, medians of fresh processes: see README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib import import_module
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
from step import CONFIGS, Step, minipar_step, plain_forms, products_step
from turns import in_fresh_processes, measure, ratios

import minipar as mp
from minipar.autograd import elementwise as functions
from minipar.autograd import fused
from minipar.autograd.tape import Contribution
from minipar.malloc import keep_freed_memory

ALL, PRODUCTS = "all tricks", "bare products"
ENDLESS = 1 << 40  # a block size that makes one block of everything

Undo = Callable[[], AbstractContextManager]


def put(module: str, **values: Any) -> Undo:
    return lambda: patch.multiple(import_module(f"minipar.{module}"), **values)


@contextmanager
def numpy_sums() -> Iterator[None]:
    """Inside, sums over rows and columns are NumPy's own reductions."""
    sums = {
        "column_sum": lambda a, out=None: np.sum(a, axis=0, out=out),
        "column_dot": lambda a, b, out=None: np.sum(a * b, axis=0, out=out),
        "row_mean": lambda a: np.mean(a, axis=1),
        "row_dot": lambda a, b: np.sum(a * b, axis=-1),
    }
    used = {"attention": ["row_dot"], "embedding": ["column_sum"], "linear": ["column_sum"],
            "layernorm": sums}
    with ExitStack() as stack:
        for op, kernels in used.items():
            stack.enter_context(put(f"autograd.fused.{op}", **{kernel: sums[kernel] for kernel in kernels})())
        yield


def copied_gradients() -> AbstractContextManager:
    """Weight gradients become arrays of their own, which are then copied to their place in the flat
    buffer.
    """
    original = mp.Tensor.accumulate

    def accumulate(self: mp.Tensor, contribution: Contribution) -> None:
        original(self, contribution(None) if callable(contribution) else contribution)

    return patch.object(mp.Tensor, "accumulate", accumulate)


def cube_gelu(x: mp.Tensor) -> mp.Tensor:
    """The plain GELU as it is mostly written down."""
    return 0.5 * x * (1 + functions.tanh(functions.GELU_SCALE * (x + functions.GELU_CUBIC * x**3)))


WITHOUT: dict[str, Undo] = {
    "two-dimensional products": put("nn.layers", linear=fused.plain_linear),
    "GELU in one node": put("nn.gpt", gelu=functions.plain_gelu),
    "GELU in one node, but x**3": put("nn.gpt", gelu=cube_gelu),
    "GELU in blocks": put("autograd.fused.gelu", BLOCK=ENDLESS),
    "attention in one node": put("nn.gpt", causal_attention=fused.plain_causal_attention),
    "q and g lie as [K, T]": put("autograd.fused.attention", _transposed=lambda a,
                                 scale: (a * scale).swapaxes(-1, -2)),
    "queries in blocks": put("autograd.fused.attention", QUERIES=ENDLESS),
    "LayerNorm in one node": put("nn.layers", layernorm=fused.plain_layernorm),
    "cross-entropy in one node": put("nn.region", cross_entropy=fused.plain_cross_entropy),
    "sums as products": numpy_sums,
    "gradients written in place": copied_gradients,
    "AdamW in blocks": put("optim.optimizers", BLOCK=ENDLESS),
    "any of the fused ops": plain_forms,
}


def step_without(undo: Undo, config: mp.ModelConfig, batch: int, dtype: str) -> Step:
    with undo():
        step = minipar_step(config, batch, dtype)

    def undone() -> object:
        with undo():
            return step()

    return undone


def report(name: str, restarts: int) -> None:
    runs = in_fresh_processes(__file__, ["--once", name], restarts)
    given_back = in_fresh_processes(__file__, ["--once", name, "--give-back"], restarts)
    print(f"\n{name}: time of a step without the trick, relative to all tricks; {restarts} runs, lowest to "
          "highest")
    kept = median(ratios(runs, ALL, PRODUCTS))
    # a matter of the whole process
    print_line("freed memory kept", [r / kept for r in ratios(given_back, ALL, PRODUCTS)])
    for trick in WITHOUT:
        print_line(trick, ratios(runs, trick, ALL))


def print_line(trick: str, found: list[float]) -> None:
    print(f"{trick:28}{median(found):6.2f}  ({found[0]:.2f} to {found[-1]:.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", nargs="+", choices=CONFIGS, default=list(CONFIGS))
    parser.add_argument("--restarts", type=int, default=5, help="fresh processes")
    parser.add_argument("--once", choices=CONFIGS,
                        help="measure one configuration in this process and print the times as JSON")
    parser.add_argument("--give-back", action="store_true",
                        help="with --once: do not keep freed memory; bare products alone")
    arguments = parser.parse_args()
    if not arguments.once:
        for name in arguments.config:
            report(name, arguments.restarts)
        return
    config, batch, rounds = CONFIGS[arguments.once]
    task = config, batch, "float32"
    steps = {ALL: minipar_step(*task), PRODUCTS: products_step(*task)}
    if not arguments.give_back:
        keep_freed_memory()
        steps |= {trick: step_without(undo, *task) for trick, undo in WITHOUT.items()}
    print(json.dumps(measure(steps, rounds)))


if __name__ == "__main__":
    main()
