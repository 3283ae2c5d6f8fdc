"""What a training cost each rank: memory by what holds it, and traffic by axis."""

from __future__ import annotations

import resource
import sys

import numpy as np

from minipar.comm.collectives import all_gather
from minipar.comm.counting import Counting
from minipar.train import Trainer

MIB = 1 << 20
COLUMNS = ("weights MiB", "gradients MiB", "optimiser MiB", "process peak MiB",
           "dp MiB", "dp messages", "pp MiB", "pp messages", "tp MiB", "tp messages")


def costs_per_rank(trainer: Trainer, world: Counting) -> str:
    """A table with a line per rank, on every rank; all ranks call it. Traffic is all that a rank sent along an axis."""
    flat = trainer.flat
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    state = sum(buffer.nbytes for buffer in trainer.optimizer.state.values())
    mine = [flat.data.nbytes / MIB, flat.grad.nbytes / MIB, state / MIB, peak / MIB]
    sent = world.traffic.by("group")
    for axis in ("dp", "pp", "tp"):
        tally = sent.get((axis,))
        mine += [tally.bytes / MIB, tally.messages] if tally else [0.0, 0.0]
    rows = all_gather(world, np.array([mine]), why="summary")       # [ranks, columns]
    lines = ["rank  " + "  ".join(COLUMNS)]
    for rank, row in enumerate(rows):
        cells = (f"{value:>{len(name)},.{2 * name.endswith('MiB')}f}" for name, value in zip(COLUMNS, row, strict=True))
        lines.append(f"{rank:4}  " + "  ".join(cells))
    return "\n".join(lines)
