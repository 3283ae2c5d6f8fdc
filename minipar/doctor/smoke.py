"""The program that `minipar doctor` runs on ranks: `python -m minipar.doctor.smoke hello|links|crossing`.

Rank 0 prints one line of JSON. If launcher and library belong to different MPIs, every process is rank 0 of a
job of 1 rank. Then every process prints such a line, with size 1.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from minipar.comm.collectives.reductions import all_reduce
from minipar.comm.protocol import Communicator
from minipar.doctor.collective_calls import measure_calls

SIZES = [8 << (2 * step) for step in range(10)]                     # sizes in bytes: 8, 32, ... 2 MiB
RACED = [1 << step for step in range(8, 22)]                        # sizes in bytes: 256 to 2 MiB


Answer = dict[str, Any]                                             # rank 0 prints the answer as JSON


def ping_pong(comm: Communicator, nbytes: int, rounds: int) -> float:
    """Returns the time in seconds of one message of `nbytes` bytes between ranks 0 and 1. This is half of the
    median time of a message and its answer.
    """
    array, times = np.zeros(nbytes, np.uint8), []
    for _ in range(rounds):
        begin = time.perf_counter()
        if comm.rank == 0:
            comm.send(array, 1, label="ping")
            comm.recv(array, 1, label="pong")
        else:
            comm.recv(array, 0, label="ping")
            comm.send(array, 0, label="pong")
        times.append(time.perf_counter() - begin)
    return median(times) / 2


def fit(sizes: list[int], seconds: list[float]) -> tuple[float, float]:
    """Fit alpha and beta in the formula: seconds = alpha + bytes * beta. The fit minimises the squares of the
    relative errors. With absolute errors, the short messages would have almost no influence.
    """
    weight = 1 / np.array(seconds)
    (alpha, beta), *_ = np.linalg.lstsq(np.stack([weight, np.array(sizes) * weight], axis=1),
                                        np.ones(len(sizes)), rcond=None)
    return float(alpha), float(beta)


def measure_links(comm: Communicator) -> Answer:
    """Measure alpha (seconds per message) and beta (seconds per byte) between ranks 0 and 1 of this machine,
    and gamma (seconds per byte of an addition).
    """
    alpha, beta = fit(SIZES, [ping_pong(comm, size, rounds=20 if size > 1 << 16 else 200) for size in SIZES])
    left, right, times = np.ones(1 << 18, np.float32), np.ones(1 << 18, np.float32), []
    for _ in range(20):
        begin = time.perf_counter()
        np.add(left, right, out=left)
        times.append(time.perf_counter() - begin)
    return {"alpha": alpha, "beta": beta, "gamma": median(times) / left.nbytes}


def race(comm: Communicator) -> Answer:
    """Measure an all-reduce by ring and by tree, alternately. Returns the number of bytes from which the ring
    is always faster; None if there is no such number.
    """
    ring_wins = []
    for nbytes in RACED:
        array = np.ones(nbytes // 4, np.float32)
        times: dict[str, list[float]] = {"tree": [], "ring": []}
        for _ in range(7):
            for algorithm, taken in times.items():
                comm.barrier(label="start")
                begin = time.perf_counter()
                all_reduce(comm, array, label="race", algorithm=algorithm)
                taken.append(time.perf_counter() - begin)
        ring_wins.append(median(times["ring"]) < median(times["tree"]))
    losses = [index for index, won in enumerate(ring_wins) if not won]
    start = losses[-1] + 1 if losses else 0
    return {"crossing": RACED[start] if start < len(RACED) else None}


TASKS: dict[str, Callable[[Communicator], Answer]] = {
    "hello": lambda comm: {},
    "links": lambda comm: measure_links(comm) | measure_calls(comm),
    "crossing": race,
}


def main(task: str) -> None:
    # MPI is imported only here, because the import starts it.
    from minipar.comm.mpi import world

    comm = world(timeout=20.0, checked=False)
    comm.barrier(label="hello")
    result = TASKS[task](comm) if comm.size > 1 else {}
    if comm.rank == 0:
        print(json.dumps({"size": comm.size, **result}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
