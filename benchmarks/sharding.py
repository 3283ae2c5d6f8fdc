"""What does sharding cost? A training step on two ranks with each stage of ZeRO, and with short messages,
against plain data parallelism with one flat message. Beside it, where PyTorch is installed, its FSDP over
gloo against its DDP.

    python benchmarks/sharding.py              # --config small medium, --restarts 5: as in scaling.py

In turns within one job, wall-clock time; see README.md beside this file. The table explains the ratio: bytes
sent and bytes held per rank and step, and the products of the copies that a stage adds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from statistics import median

import numpy as np
import scaling
from step import CONFIGS
from turns import ROOT, ratios

import minipar as mp
from minipar.comm.collectives import select
from minipar.nn.counts import computed_pairs
from minipar.plan.amounts import by_axis
from minipar.plan.memory import training_memory
from minipar.plan.traffic import step_traffic

BASE = "flat"
LAYOUTS = {
    BASE: mp.Layout(dp=2),
    "zero 1": mp.Layout(dp=2, zero=1),
    "zero 2": mp.Layout(dp=2, zero=2),
    "zero 3": mp.Layout(dp=2, zero=3),
    "zero 3, not resharded": mp.Layout(dp=2, zero=3, reshard_after_forward=False),
    "int8": mp.Layout(dp=2, gradients="int8"),
    "1bit": mp.Layout(dp=2, gradients="1bit"),
}
MIB = 1 << 20


def contenders(name: str, world: mp.Communicator) -> dict[str, Callable[[], object]]:
    return {key: scaling.trainer(name, world, layout, 2).step for key, layout in LAYOUTS.items()}


def amounts(name: str, layout: mp.Layout) -> tuple[float, float]:
    """MiB that rank 0 sends in a step, and MiB that it holds without activations."""
    model, batch, _ = CONFIGS[name]
    train = mp.TrainConfig(batch=2 * batch)
    sent = by_axis(step_traffic(model, train, layout, 0, select))["dp"].bytes
    held = training_memory(model, train, layout, 0, computed_pairs)
    return sent / MIB, (held.total - held.activations) / MIB


def report(name: str, restarts: int) -> None:
    runs = [scaling.run_jobs(scaling.ranks_command(__file__, name)) for _ in range(restarts)]
    print(f"\n{name}: {restarts} jobs of {CONFIGS[name][2]} rounds; {BASE} takes "
          f"{1e3 * np.median(runs[0][BASE]):.1f} ms per step")
    print(f"  {'':24}{'time / flat':>24}{'sent, MiB':>12}{'held, MiB':>12}")
    for key, layout in LAYOUTS.items():
        slower = ratios(runs, key, BASE)
        sent, held = amounts(name, layout)
        spread = f"{median(slower):.3f} ({slower[0]:.3f} to {slower[-1]:.3f})"
        print(f"  {key:24}{spread:>24}{sent:12.2f}{held:12.2f}")
    if find_spec("torch"):
        command = [sys.executable, str(ROOT / "benchmarks" / "torch_fsdp.py"), name]
        theirs = [scaling.run_jobs(command) for _ in range(restarts)]
        for key in list(theirs[0])[1:]:
            slower = ratios(theirs, key, "DDP")
            print(
                f"  PyTorch: {key:22}{median(slower):.3f} times its DDP ({slower[0]:.3f} to {slower[-1]:.3f})"
            )


if __name__ == "__main__":
    scaling.run(__doc__, contenders, lambda name: CONFIGS[name][2], report, restarts=5)
