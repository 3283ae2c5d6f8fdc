"""Is the bubble on a laptop that of a cluster?    minipar launch -n 4 python benchmarks/bubble.py

A step of 4 stages and 8 micro-batches under the clock that counts each rank's CPU time, executed on however
few cores there are. The bubble measured, the median of 5 steps with the least and the most; beside it the
simulation's with each stage's own times, and the published (p - 1)/(m + p - 1), which is for stages that take
equally long. The vocabulary is small: the head weighs little.
"""

from __future__ import annotations

from statistics import median

from turns import require_ranks

import minipar as mp
from minipar.comm.wrappers.network import Network
from minipar.malloc import keep_freed_memory
from minipar.proof.case import text_of
from minipar.schedules.closed_forms import closed_bubble
from minipar.trace.predict import predicted
from minipar.trace.step import trace_step

REPEATS, MICRO_BATCHES = 5, 8
MODEL = mp.ModelConfig(vocabulary=16, context=64, layers=8, heads=4, width=256)
TRAIN = mp.TrainConfig(batch=4 * MICRO_BATCHES, micro_batches=MICRO_BATCHES)
NETWORK = Network(1e-6, 1e-10)


def main() -> None:
    keep_freed_memory()
    message = 4 * MODEL.context * MODEL.width                       # bytes of a sample between two stages
    with mp.job(checked=False) as comm:
        require_ranks(comm, 2)
        for pipeline in ("gpipe", "1f1b", "zb-h1"):
            layout = mp.Layout(pp=comm.size, pipeline=pipeline)
            traces = [trace_step(comm, layout, MODEL, TRAIN, *text_of(MODEL.vocabulary), NETWORK)
                      for _ in range(REPEATS)]
            bubbles = [(float(trace.measured.bubble()), float(predicted(trace, NETWORK, message).bubble()))
                       for trace in traces if trace is not None]
            if comm.rank == 0:
                measured, simulated = (sorted(column) for column in zip(*bubbles, strict=True))
                published = float(closed_bubble(pipeline, comm.size, MICRO_BATCHES))
                print(f"{pipeline:6} measured {median(measured):.3f} ({measured[0]:.3f} to "
                      f"{measured[-1]:.3f})   "
                      f"simulated {median(simulated):.3f}   published {published:.3f}", flush=True)


if __name__ == "__main__":
    main()
