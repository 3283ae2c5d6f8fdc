"""A decoding step of 32 requests on two ranks: the speed relative to one rank.

    python benchmarks/serving_ranks.py

Wall-clock time between two barriers, in turns with rank 0 alone, as scaling.py does it for training.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

import numpy as np
from scaling import BASE, ranks_command, run, run_jobs
from serving import CONFIGS, GREEDY, prompts
from turns import ratios

import minipar as mp
from minipar.comm.solo import solo
from minipar.inference.replicas import ReplicatedEngine
from minipar.inference.stages import stages_of
from minipar.inference.stages_runner import StagesRunner

BATCH, PROMPT = 32, 8
LAYOUTS = {"tp 2": (mp.Layout(tp=2), 1), "pp 2, 2 micro-batches": (mp.Layout(pp=2), 2),
           "pp 2, 1 micro-batch": (mp.Layout(pp=2), 1), "dp 2": (mp.Layout(dp=2), 1)}


def step(config: mp.ModelConfig, weights: dict[str, np.ndarray], comm: mp.Communicator, layout: mp.Layout,
         micro_batches: int) -> Callable[[], object]:
    """A step in which each of 32 requests gets a token; under dp each replica has half of them."""
    options = mp.EngineOptions(batch=BATCH // layout.dp, rows=BATCH * PROMPT, share_prefixes=False)
    grid = mp.Grid(comm, layout)
    engine = mp.Engine(
        StagesRunner(stages_of(config, weights, grid), options, micro_batches), options=options
    )
    serving = ReplicatedEngine(engine, grid.dp)
    for prompt in prompts(config, BATCH, PROMPT):
        serving.add(mp.TextRequest(prompt, config.context, GREEDY))
    serving.step()                                                  # the prompts
    return serving.step


def contenders(name: str, world: mp.Communicator) -> dict[str, Callable[[], object]]:
    config = CONFIGS[name]
    weights = mp.GPT(config).state_dict()
    single = step(
        config, weights, solo(), mp.Layout(), 1
    )  # on both ranks, so that neither waits for its prompts
    return {BASE: lambda: world.rank or single(),                   # the other rank waits at the barrier
            **{key: step(config, weights, world, *what) for key, what in LAYOUTS.items()}}


def report(name: str, restarts: int) -> None:
    runs = [run_jobs(ranks_command(__file__, name)) for _ in range(restarts)]
    print(f"\n{name}: one rank takes {1e3 * median(runs[0][BASE]):.0f} ms per step of {BATCH} requests")
    for key in LAYOUTS:
        speed = [1 / ratio for ratio in reversed(ratios(runs, key, BASE))]
        print(f"  {key:24}{median(speed):.2f} times one rank's speed ({speed[0]:.2f} to {speed[-1]:.2f})")


if __name__ == "__main__":
    run(__doc__, contenders, lambda name: 8, report, restarts=2, configs=("gpt2", "small"))
