"""`minipar gradcheck`: compare every gradient of a small GPT with finite differences, element by element.

    minipar gradcheck --layers 1
"""

from __future__ import annotations

import argparse
from dataclasses import fields

import numpy as np

from minipar.autograd import gradcheck
from minipar.cli.options import SIZES, VOCABULARY, add_table
from minipar.config import ModelConfig, require_precise
from minipar.nn import GPT
from minipar.rng import stream

LIMIT = 1e-7  # largest relative error of a correct gradient
DEFAULTS = dict(vocabulary=11, context=5, layers=2, heads=2, width=8)


def add_options(parser: argparse.ArgumentParser) -> None:
    told = ", ".join(f"{name} {value}" for name, value in DEFAULTS.items())
    add_table(parser, f"model (default: {told})", {**VOCABULARY, **SIZES}, ModelConfig, notes=False)
    parser.add_argument("--seed", type=int, default=0, help="seed of the weights and the tokens (default 0)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    config = ModelConfig(**{**DEFAULTS, **{f.name: getattr(options, f.name) for f in fields(ModelConfig)
                                           if f.name in options}})
    require_precise(config)
    model, rng = GPT(config, seed=options.seed, dtype=np.float64), stream(options.seed, "gradcheck")
    for p in model.parameters():
        # make the biases nonzero, because zeros would hide mistakes in them
        p.data += 0.3 * rng.standard_normal(p.shape)
    inputs, targets = rng.integers(config.vocabulary, size=(2, 2, config.context))
    checks = gradcheck(lambda: model.loss(inputs, targets), {p.name: p for p in model.parameters()})
    print(f"{'parameter':<34}{'worst element':<16}{'backward':>18}{'differences':>18}{'relative error':>16}")
    for check in checks:
        index = "" if check.index is None else str(list(check.index))
        print(f"{check.name:<34}{index:<16}{check.exact:>18.10g}{check.numeric:>18.10g}{check.error:>16.1e}")
    wrong = [check for check in checks if not check.error <= LIMIT]
    elements = sum(p.size for p in model.parameters())
    print(f"{elements:,} elements of {len(checks) - 1} parameters: "
          + (f"WRONG in {', '.join(check.name for check in wrong)}" if wrong
             else f"all within {LIMIT:g} of the differences"))
    return 1 if wrong else 0
