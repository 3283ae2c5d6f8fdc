"""What does the protocol cost on a message of 8 bytes?    minipar launch -n 2 python benchmarks/messages.py

Two ranks send one float64 to and fro: with bare mpi4py calls, through the engine, and through the checks. The
three take turns; each figure is the median over rounds of the time one way.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
from turns import require_ranks

from minipar.comm.job import job
from minipar.comm.protocol import Communicator
from minipar.comm.wrappers.checking import Checking

ROUNDS, TRIPS = 31, 1000


def bare(comm: Communicator, mine: np.ndarray, got: np.ndarray) -> Callable[[], None]:
    native, other = comm.native.intracomm, 1 - comm.rank
    if comm.rank == 0:
        def trip() -> None:
            native.Send(mine, other)
            native.Recv(got, other)
    else:
        def trip() -> None:
            native.Recv(got, other)
            native.Send(mine, other)
    return trip


def protocol(comm: Communicator, mine: np.ndarray, got: np.ndarray) -> Callable[[], None]:
    other = 1 - comm.rank
    if comm.rank == 0:
        def trip() -> None:
            comm.send(mine, other, label="there")
            comm.recv(got, other, label="back")
    else:
        def trip() -> None:
            comm.recv(got, other, label="there")
            comm.send(mine, other, label="back")
    return trip


def measure(comm: Communicator) -> None:
    mine, got = np.ones(1), np.empty(1)
    trips = {"bare mpi4py": bare(comm, mine, got), "protocol": protocol(comm, mine, got),
             "checked": protocol(Checking(comm), mine, got)}
    times: dict[str, list[float]] = {name: [] for name in trips}
    for _ in range(ROUNDS):
        for name, trip in trips.items():
            comm.barrier(label="start")
            start = time.perf_counter()
            for _ in range(TRIPS):
                trip()
            times[name].append((time.perf_counter() - start) / TRIPS / 2)
    if comm.rank == 0:
        base = statistics.median(times["bare mpi4py"])
        for name, seconds in times.items():
            middle = statistics.median(seconds)
            print(f"{name:12} {middle * 1e6:6.2f} us one way, {middle / base:4.2f} x bare (best round "
                  f"{min(seconds) * 1e6:.2f} us)")


if __name__ == "__main__":
    with job(checked=False) as comm:
        require_ranks(comm, 2, 2)
        measure(comm)
