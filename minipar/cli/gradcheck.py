"""`minipar gradcheck`: every gradient of a whole small GPT against differences, element by element."""

from __future__ import annotations

import argparse

import numpy as np

from minipar.autograd import gradcheck
from minipar.cli.ranks import require_one_process
from minipar.config import ModelConfig
from minipar.nn import GPT
from minipar.rng import stream

LIMIT = 1e-7                                                        # relative error that a right gradient stays below


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--heads", type=int, default=2)
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--context", type=int, default=5)
    parser.add_argument("--vocabulary", type=int, default=11)
    parser.add_argument("--tied", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--bias", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    require_one_process("minipar gradcheck")
    config = ModelConfig(vocabulary=options.vocabulary, context=options.context, layers=options.layers, heads=options.heads,
                         width=options.width, tied=options.tied, bias=options.bias)
    model, rng = GPT(config, seed=options.seed, dtype=np.float64), stream(options.seed, "gradcheck")
    for p in model.parameters():
        p.data += 0.3 * rng.standard_normal(p.shape)                # away from zero, where mistakes in biases would not show
    inputs, targets = rng.integers(config.vocabulary, size=(2, 2, config.context))
    checks = gradcheck(lambda: model.loss(inputs, targets), {p.name: p for p in model.parameters()})
    print(f"{'parameter':<34}{'worst element':<16}{'backward':>18}{'differences':>18}{'relative error':>16}")
    for check in checks:
        place = "" if check.index is None else str(list(check.index))
        print(f"{check.name:<34}{place:<16}{check.exact:>18.10g}{check.numeric:>18.10g}{check.error:>16.1e}")
    wrong = [check for check in checks if not check.error <= LIMIT]
    elements = sum(p.size for p in model.parameters())
    print(f"{elements:,} elements of {len(checks) - 1} parameters: "
          + (f"WRONG in {', '.join(check.name for check in wrong)}" if wrong else f"all within {LIMIT:g} of the differences"))
    return 1 if wrong else 0
