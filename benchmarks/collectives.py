"""Hand-written all-reduces against the MPI library's own.    minipar launch -n 2 python benchmarks/collectives.py [BYTES ...]

In place, float32, unchecked. One call of each contender makes a round, in an order that moves on by one each
round; a call lasts from a barrier until the last rank is done. Of the two figures, the first is the median
over rounds of (time of the library's own / time of this one) within a round: 2.0 is twice as fast as the
library. The second compares the best rounds of both: what they take when nothing else runs. Where other
programs share the cores, the library falls behind in the first, since its ranks spin while they wait.

`shared` works on an array made by shared_array, `staged` is the same algorithm on a plain one. `copy` is one
plain copy of the array on every rank: the least that anything could take.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from turns import require_ranks

import minipar as mp
from minipar.comm.collectives import shared_array

SIZES = [8, 4 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20]
ROUNDS = 101
SECONDS = 10.0  # for one size: long arrays get fewer rounds, but 3 at least
ALGORITHMS = ("ring", "segmented", "halving_doubling", "recursive_doubling")


def contenders(comm: mp.Communicator, nbytes: int) -> dict[str, Callable[[], object]]:
    """All on arrays of zeros, which stay zero however often they are added up."""
    def on(array: np.ndarray, algorithm: str) -> Callable[[], object]:
        return lambda: mp.all_reduce(comm, array, label="benchmark", out=array, algorithm=algorithm)

    plain, other = np.zeros(nbytes // 4, np.float32), np.zeros(nbytes // 4, np.float32)
    calls = {name: on(plain, name) for name in ("native", *ALGORITHMS)}
    calls["shared"] = on(shared_array(comm, plain.size, np.float32, label="benchmark"), "shared")
    calls["staged"] = on(plain, "shared")
    calls["copy"] = lambda: np.copyto(other, plain)
    return calls


def timed(comm: mp.Communicator, call: Callable[[], object]) -> float:
    """Seconds until the slowest rank is done."""
    comm.barrier(label="start")
    start = time.perf_counter()
    call()
    took = np.array([time.perf_counter() - start])
    return float(mp.all_reduce(comm, took, "max", label="slowest", algorithm="tree")[0])


def rounds(comm: mp.Communicator, nbytes: int) -> dict[str, list[float]]:
    """Seconds by contender, one per round; the first round warms up and is not counted."""
    calls = contenders(comm, nbytes)
    times: dict[str, list[float]] = {name: [] for name in calls}
    names, spent = list(calls), 0.0
    for number in range(ROUNDS + 1):
        for name in names:
            times[name].append(timed(comm, calls[name]))
            spent += times[name][-1]  # the same on all ranks, so all stop together
        names.append(names.pop(0))
        if spent > SECONDS and number >= 3:
            break
    return {name: seconds[1:] for name, seconds in times.items()}


def compared(native: list[float], mine: list[float]) -> str:
    return f"{median(a / b for a, b in zip(native, mine, strict=True)):.2f} {min(native) / min(mine):.2f}"


def width(name: str) -> int:
    return max(len(name), len("12.34 12.34"))


def human(nbytes: int) -> str:
    return (
        f"{nbytes} B"
        if nbytes < 1024
        else f"{nbytes >> 10} KiB"
        if nbytes < 1 << 20
        else f"{nbytes >> 20} MiB"
    )


def race(comm: mp.Communicator, sizes: list[int]) -> None:
    if comm.rank == 0:
        cores = len(os.sched_getaffinity(0))
        print(f"all-reduce in place, float32, {comm.size} ranks on {cores} cores: times as fast as the MPI "
              "library's (native)")
    for nbytes in sizes:
        times = rounds(comm, nbytes)
        if comm.rank == 0:
            native = times.pop("native")
            if nbytes == sizes[0]:
                print(f"{'':>8}  {'native':>10}  rounds  "
                      + "  ".join(f"{name:>{width(name)}}" for name in times))
            print(f"{human(nbytes):>8}  {median(native) * 1e6:>7.0f} us  {len(native):>6}  "
                  + "  ".join(f"{compared(native, mine):>{width(name)}}" for name, mine in times.items()),
                  flush=True)


if __name__ == "__main__":
    with mp.job(checked=False) as comm:
        require_ranks(comm, 2)
        race(comm, [int(size) for size in sys.argv[1:]] or SIZES)
