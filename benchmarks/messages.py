"""What does the protocol cost on one message?    minipar launch -n 2 python benchmarks/messages.py

Two ranks send an array of 8 bytes to 1 MiB to and fro: with bare mpi4py calls, through the engine, and
through the checks, with blocking sends and with `isend`. All take turns, in rounds so short that most of them
are not interrupted. Each figure is the time one way in the quickest tenth of the rounds.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
from turns import require_ranks

import minipar as mp

ROUNDS = 301
TRIPS = {8: 20, 1 << 10: 20, 1 << 16: 20, 1 << 20: 10}             # bytes -> trips in a round


def bare(comm: mp.Communicator, mine: np.ndarray, got: np.ndarray) -> Callable[[], None]:
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


def protocol(comm: mp.Communicator, mine: np.ndarray, got: np.ndarray) -> Callable[[], None]:
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


def nonblocking(comm: mp.Communicator, mine: np.ndarray, got: np.ndarray) -> Callable[[], None]:
    other = 1 - comm.rank

    def trip() -> None:
        """Both at once, so that it takes as long as one way."""
        receiving = comm.irecv(got, other, label="there")
        sending = comm.isend(mine, other, label="there")
        comm.wait(receiving)
        comm.wait(sending)

    return trip


def bare_nonblocking(comm: mp.Communicator, mine: np.ndarray, got: np.ndarray) -> Callable[[], None]:
    native, other = comm.native.intracomm, 1 - comm.rank

    def trip() -> None:
        receiving = native.Irecv(got, other)
        sending = native.Isend(mine, other)
        receiving.Wait()
        sending.Wait()

    return trip


def unchecked(comm: mp.Communicator) -> mp.Communicator:
    """The engine below the checks, without headers."""
    engine: mp.Communicator = comm.inner                            # type: ignore[attr-defined]
    return engine


def measure(comm: mp.Communicator, nbytes: int, trips: int) -> None:
    mine, got = np.ones(nbytes // 8), np.empty(nbytes // 8)
    contenders = {
        "send: bare": bare(comm, mine, got),
        "send: protocol": protocol(unchecked(comm), mine, got),
        "send: checked": protocol(comm, mine, got),
        "isend: bare": bare_nonblocking(comm, mine, got),
        "isend: protocol": nonblocking(unchecked(comm), mine, got),
        "isend: checked": nonblocking(comm, mine, got),
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, trip in contenders.items():
            comm.barrier(label="start")
            start = time.perf_counter()
            for _ in range(trips):
                trip()
            times[name].append((time.perf_counter() - start) / trips / (1 if name.startswith("isend") else 2))
    if comm.rank == 0:
        print(f"{nbytes} bytes")
        quick = {name: statistics.quantiles(seconds, n=10)[0] for name, seconds in times.items()}
        for name, seconds in quick.items():
            ratio = seconds / quick[name.split(":")[0] + ": bare"]
            print(f"  {name:16} {seconds * 1e6:8.2f} us one way, {ratio:4.2f} x bare")


if __name__ == "__main__":
    with mp.job() as comm:
        require_ranks(comm, 2, 2)
        for nbytes, trips in TRIPS.items():
            measure(comm, nbytes, trips)
