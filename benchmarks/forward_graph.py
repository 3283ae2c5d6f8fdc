"""A forward pass as a graph: the time of each form, relative to the model itself.

    model               the forward of the GPT, without a tape
    captured            the same ops, run from a graph
    exact               after the passes that change no bit
    optimised           after all passes
    layouts             also with the order of each weight chosen by timing

"fused" has minipar's fused attention and GELU, "op by op" computes attention op by op.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from statistics import median

import numpy as np
from turns import in_fresh_processes, measure, ratios

import minipar as mp
from minipar.autograd import no_grad
from minipar.autograd.fused import plain_causal_attention
from minipar.graph import capture, choose_layouts, optimise

SMALL = mp.ModelConfig(vocabulary=65, context=64, layers=4, heads=4, width=128)
MEDIUM = mp.ModelConfig(vocabulary=256, context=128, layers=6, heads=6, width=384)
# name -> sizes, batch, rounds
CONFIGS = {"small": (SMALL, 12, 30), "medium": (MEDIUM, 8, 10), "small, one text": (SMALL, 1, 60),
           "medium, one text": (MEDIUM, 1, 20)}


def contenders(config: mp.ModelConfig, batch: int, op_by_op: bool) -> dict[str, Callable[[], np.ndarray]]:
    """Calls that each return the logits [B, T, V] of the same tokens, in float32."""
    model = mp.GPT(config)
    tokens = np.random.default_rng(0).integers(config.vocabulary, size=(batch, config.context))

    def forward(x: np.ndarray) -> mp.Tensor:
        return model(x, attend=lambda layer: plain_causal_attention) if op_by_op else model(x)

    def direct() -> np.ndarray:
        with no_grad():
            return forward(tokens).data

    captured = capture(forward, tokens)
    optimised = optimise(captured).graph
    graphs = {"captured": captured, "exact": optimise(captured, exact=True).graph, "optimised": optimised,
              "layouts": choose_layouts(optimised)[0]}
    return {"model": direct} | {
        name: lambda graph=graph: graph.run(tokens)[0] for name, graph in graphs.items()
    }


def report(name: str, restarts: int) -> None:
    for kind in ("fused", "op by op"):
        runs = in_fresh_processes(__file__, ["--once", name, "--kind", kind], restarts)
        ms = 1e3 * median(seconds for run in runs for seconds in run["model"])
        print(f"\n{name}, {kind}: {ms:.2f} ms; {restarts} runs, lowest to highest")
        for contender in ("captured", "exact", "optimised", "layouts"):
            found = ratios(runs, contender, "model")
            print(f"{contender:12}{median(found):6.2f}  ({found[0]:.2f} to {found[-1]:.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", nargs="+", choices=CONFIGS, default=list(CONFIGS))
    parser.add_argument("--restarts", type=int, default=5, help="fresh processes")
    parser.add_argument(
        "--once", choices=CONFIGS, help="measure in this process, and print the times as JSON"
    )
    parser.add_argument("--kind", choices=("fused", "op by op"), default="fused", help="with --once")
    arguments = parser.parse_args()
    if not arguments.once:
        for name in arguments.config:
            report(name, arguments.restarts)
        return
    config, batch, rounds = CONFIGS[arguments.once]
    print(json.dumps(measure(contenders(config, batch, arguments.kind == "op by op"), rounds)))


if __name__ == "__main__":
    main()
