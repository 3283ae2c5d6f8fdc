"""A training step (forward, backward, AdamW) against PyTorch, against the plain composition, and against bare
products.

    python benchmarks/step.py [--config small medium] [--dtype float32] [--restarts 5]

One core, in turns, medians of fresh processes: see README.md beside this file. Runs without PyTorch too, and
says so.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from statistics import median
from unittest import mock

import numpy as np
from products import bare_products
from turns import in_fresh_processes, measure, milliseconds, ratios

import minipar as mp
from minipar.autograd import fused, plain_gelu
from minipar.malloc import keep_freed_memory
from minipar.nn import gpt, layers, region
from minipar.optim import AdamW, Flat

CONFIGS = {                                                         # name -> model, batch, rounds
    "small": (mp.ModelConfig(vocabulary=65, context=64, layers=4, heads=4, width=128), 12, 40),
    "medium": (mp.ModelConfig(vocabulary=256, context=128, layers=6, heads=6, width=384), 8, 10),
}
RATE, DECAY = 1e-3, 0.1
OURS = "minipar"

Step = Callable[[], object]  # one step of training; models return the loss before it


def text(config: mp.ModelConfig, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens and targets [B, T]."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, config.vocabulary, (batch, config.context + 1))
    return tokens[:, :-1].copy(), tokens[:, 1:].copy()


def minipar_step(config: mp.ModelConfig, batch: int, dtype: str) -> Step:
    tokens, targets = text(config, batch)
    model = mp.GPT(config, dtype=dtype)
    flat = Flat(model.parameters())
    optimizer = AdamW(flat, weight_decay=DECAY)

    def step() -> float:
        flat.zero_grad()
        loss = model.loss(tokens, targets)
        mp.backward(loss)
        optimizer.step(RATE)
        return loss.item()

    return step


def plain_add_bias(x: mp.Tensor, b: mp.Tensor, residual: mp.Tensor) -> mp.Tensor:
    return x + b + residual


@contextmanager
def plain_forms() -> Iterator[None]:
    """Inside, a model is made of small ops, one node on the tape for each."""
    with (mock.patch.multiple(layers, linear=fused.plain_linear, add_bias=plain_add_bias,
                              layernorm=fused.plain_layernorm,
                              embedding=fused.plain_embedding, unembedding=fused.plain_unembedding),
          mock.patch.multiple(gpt, causal_attention=fused.plain_causal_attention, gelu=plain_gelu),
          mock.patch.multiple(region, cross_entropy=fused.plain_cross_entropy)):
        yield


def torch_step(config: mp.ModelConfig, batch: int, dtype: str, **form: bool) -> Step:
    import torch

    from tests.torch_gpt import TorchGPT

    torch.set_num_threads(1)
    tokens, targets = map(torch.from_numpy, text(config, batch))
    model = TorchGPT(config).to(getattr(torch, dtype))
    optimizer = model.adamw(RATE, DECAY, **form)

    def step() -> float:
        optimizer.zero_grad()
        loss = model.loss(tokens, targets)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def products_step(config: mp.ModelConfig, batch: int, dtype: str) -> Step:
    products = bare_products(config, batch, dtype)
    return lambda: [product() for product in products]


def torch_products_step(config: mp.ModelConfig, batch: int, dtype: str) -> Step:
    """The same products on PyTorch's BLAS, which may be faster or slower than NumPy's on this processor."""
    import torch

    calls = [[torch.from_numpy(array) for array in (*product.args, product.keywords["out"])]
             for product in bare_products(config, batch, dtype)]
    return lambda: [torch.matmul(a, b, out=out) for a, b, out in calls]


def contenders(config: mp.ModelConfig, batch: int, dtype: str) -> dict[str, Step]:
    steps = {OURS: minipar_step(config, batch, dtype),
             "plain composition": plain_forms()(minipar_step(config, batch, dtype)),
             "bare products": products_step(config, batch, dtype)}
    if dtype != "float32":
        steps["minipar, float32"] = minipar_step(config, batch, "float32")
    if find_spec("torch"):
        steps["bare products, PyTorch"] = torch_products_step(config, batch, dtype)
        steps["PyTorch, foreach AdamW"] = torch_step(config, batch, dtype, foreach=True)
        steps["PyTorch, fused AdamW"] = torch_step(config, batch, dtype, fused=True)
    return steps


def report(name: str, arguments: argparse.Namespace) -> None:
    options = ["--dtype", arguments.dtype, "--once", name]
    runs = in_fresh_processes(__file__, options, arguments.restarts)
    print(f"\n{name}, {arguments.dtype}, {arguments.restarts} runs of {CONFIGS[name][2]} rounds")
    print(f"{'':24}{'ms per step':>12}   minipar's time relative to it: median of the runs (lowest to "
          "highest)")
    for other in runs[0]:
        r = ratios(runs, OURS, other)
        print(f"{other:24}{milliseconds(runs, other):12.1f}   {median(r):.3f}  ({r[0]:.3f} to {r[-1]:.3f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", nargs="+", choices=CONFIGS, default=list(CONFIGS))
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32",
                        help="float64 is also put against float32")
    parser.add_argument("--restarts", type=int, default=5, help="fresh processes")
    parser.add_argument("--once", choices=CONFIGS,
                        help="measure one configuration in this process and print the times as JSON")
    arguments = parser.parse_args()
    if arguments.once:
        config, batch, rounds = CONFIGS[arguments.once]
        keep_freed_memory()
        print(json.dumps(measure(contenders(config, batch, arguments.dtype), rounds)))
        return
    if not find_spec("torch"):
        print("PyTorch is not installed here: minipar is measured without it")
    for name in arguments.config:
        report(name, arguments)


if __name__ == "__main__":
    main()
