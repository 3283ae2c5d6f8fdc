"""Measures the cost of a collective in a training step. `smoke.py` measures a ping-pong. The planner needs
these numbers: `plan.collective_costs`.

A training step differs from a ping-pong in two ways. A rank computes before it calls, so the ranks reach the
call at slightly different times, and the code and the data of the call have left the cache. All ranks send,
copy and add at the same time, so they share the memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from minipar.comm.collectives.reductions import all_reduce
from minipar.comm.protocol import Communicator
from minipar.comm.wrappers.checking import Checking

ROUNDS, BLOCK = 15, 10  # measured blocks, and the calls of a block
COMPUTED = 1 << 19  # elements of the computation before each call, which takes about half a millisecond
LONG, ARRAYS = 1 << 20, 4  # elements of an array of 4 MiB; the arrays together do not fit into a cache


def measure_calls(comm: Communicator) -> dict[str, float]:
    """Returns the overhead of a collective in a step. comm: two ranks, which measure at the same time.

    The fastest rounds count, because other programs can only increase a time.

    call: seconds that an all-reduce of one number adds to a computation, but at least the seconds of a call
    without a computation. One rank may compute more slowly than the other. Then the faster rank waits in each
    call. This wait is not a cost of the call, since a training step without calls takes as long.

    stream: seconds per byte of a long message, while both ranks send. memory_rate: bytes per second that a
    rank reads and writes, while both ranks copy.
    """
    checked = comm if comm.checked else Checking(comm)  # a training run compares its calls
    sources, targets = ([np.ones(LONG, np.float32) for _ in range(ARRAYS)] for _ in range(2))
    number = np.zeros(1)

    def exchange(turn: int) -> None:
        receiving = comm.irecv(targets[turn], 1 - comm.rank, label="stream")
        sending = comm.isend(sources[turn], 1 - comm.rank, label="stream")
        comm.wait(receiving)
        comm.wait(sending)

    def call() -> None:
        all_reduce(checked, number, label="call")

    stream, copy = (
        _fastest(comm, work) / sources[0].nbytes
        for work in (exchange, lambda turn: np.copyto(targets[turn], sources[turn]))
    )
    return {"call": _call_seconds(comm, call), "stream": stream, "memory_rate": 2 / copy}


def _call_seconds(comm: Communicator, call: Callable[[], None]) -> float:
    """Returns the seconds that a call adds to a computation, see `measure_calls`. Both ranks return the same.
    """
    numbers = np.linspace(-1, 1, COMPUTED, dtype=np.float32)

    def computation() -> None:
        np.exp(numbers)

    def both() -> None:
        computation()
        call()

    blocks = [[_block(comm, work) for work in (computation, both, call)] for _ in range(ROUNDS)]
    fastest = np.array([min(times) for times in zip(*blocks, strict=True)])
    computed, together, call_only = all_reduce(comm, fastest, "max", label="slowest rank")
    return float(max(together - computed, call_only))


def _block(comm: Communicator, work: Callable[[], None]) -> float:
    """Returns the mean seconds of `work` in a block that all ranks begin together."""
    comm.barrier(label="block")
    begin = time.perf_counter()
    for _ in range(BLOCK):
        work()
    return (time.perf_counter() - begin) / BLOCK


def _fastest(comm: Communicator, work: Callable[[int], object]) -> float:
    """Returns the seconds of one turn in the fastest of ROUNDS rounds of all arrays."""
    times = []
    for _ in range(ROUNDS):
        comm.barrier(label="turns")
        begin = time.perf_counter()
        for turn in range(ARRAYS):
            work(turn)
        times.append((time.perf_counter() - begin) / ARRAYS)
    return min(times)


def best_of(measured: list[dict[str, float]]) -> dict[str, float]:
    """Returns the best values of several measurements: the largest memory_rate, the smallest of each time."""
    better = {"memory_rate": max}
    return {name: better.get(name, min)(one[name] for one in measured) for name in measured[0]}
