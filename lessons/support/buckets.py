"""Backward and the all-reduce of its gradient on ranks with a clock, for lesson 13: as many machines as there
are ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import minipar as mp
from minipar.comm.collectives import start_all_reduce
from minipar.comm.wrappers.clock import Clock
from minipar.comm.wrappers.network import Network

ELEMENTS = 240_000                                                  # of the gradient, float32
FLOPS, RATE = 2e8, 2e10                                             # of backward in all, and per second
NETWORK = Network(alpha=50e-6, beta=8e-9)                           # seconds per message, and per byte


def overlapped(comm: mp.Communicator, sizes: Sequence[int]) -> float:
    """Virtual milliseconds from the start of backward until the gradient is summed. sizes: of its buckets, in
    elements.
    """
    assert sum(sizes) == ELEMENTS, f"the buckets hold {sum(sizes)} elements; the gradient has {ELEMENTS}"
    clock = Clock(comm, NETWORK, flops_per_second=RATE)
    handles: list[Any] = []
    for number, size in enumerate(sizes):
        clock.compute(FLOPS * size / ELEMENTS, "backward")
        part = np.zeros(size, np.float32)
        handles.append(start_all_reduce(clock, part, label=f"gradients {number}", out=part, algorithm="ring"))
    for handle in handles:
        handle.wait()
    return 1e3 * float(clock.now)
