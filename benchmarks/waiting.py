"""What do waiting ranks cost those that compute?    minipar launch -n 8 python benchmarks/waiting.py

A stand-in for a training step on 2 x 2 x 2 ranks (data, tensor, pipeline): two stages pass micro-batches forward and back, each
stage sums activations over its tensor ranks, and at the end gradients over its data ranks. Most ranks wait most of the time; on
fewer cores than ranks, how they wait decides how fast the others compute. The ways to wait take turns; each figure is a median.
On a machine that others use too, the processor time of all ranks is the steadier figure: ranks that spin take it from everyone.
"""

import statistics
import time

import numpy as np

from minipar.comm.collectives import all_reduce
from minipar.comm.protocol import Communicator, Request
from minipar.comm.start import job
from minipar.comm.wrapper import Wrapper

ROUNDS, MICRO_BATCHES = 15, 4
TOKENS, WIDTH, HIDDEN = 256, 256, 512                               # of one micro-batch on one tensor rank


class Blocking(Wrapper):
    """Waits inside MPI, as most programs do."""

    def wait(self, request: Request) -> np.ndarray:
        request.handle.Wait()
        request.done = True
        return request.array


class Step:
    """One rank's part of the step."""

    def __init__(self, comm: Communicator) -> None:
        rank = comm.rank                                            # the tensor rank runs fastest, then data, then the stage
        self.tp = comm.split(rank // 2, why="tensor")
        self.dp = comm.split(rank % 2 + 2 * (rank // 4), why="data")
        self.pp = comm.split(rank % 4, why="pipeline")
        random = np.random.default_rng(rank)
        self.x = random.standard_normal((TOKENS, WIDTH)).astype(np.float32)
        self.up, self.down = (random.standard_normal(shape).astype(np.float32) for shape in ((WIDTH, HIDDEN), (HIDDEN, WIDTH)))

    def compute(self, x: np.ndarray, layers: int = 2) -> np.ndarray:
        for _ in range(layers):
            x = all_reduce(self.tp, x @ self.up @ self.down, why="activations", algorithm="recursive_doubling")
            x /= np.abs(x).max()
        return x

    def __call__(self) -> None:
        first, other = self.pp.rank == 0, 1 - self.pp.rank
        got = np.empty_like(self.x)
        for _ in range(MICRO_BATCHES):
            if first:
                self.pp.send(self.compute(self.x), other, why="forward")
            else:
                self.compute(self.pp.recv(got, other, why="forward"))
        for _ in range(MICRO_BATCHES):
            if first:
                self.compute(self.pp.recv(got, other, why="backward"), layers=4)
            else:
                self.pp.send(self.compute(self.x, layers=4), other, why="backward")
        all_reduce(self.dp, self.up, why="gradients", algorithm="ring")


def measure(comm: Communicator) -> None:
    steps = {"blocking waits (MPI_Wait)": Step(Blocking(comm)), "ours: spin, then sleep": Step(comm)}
    times: dict[str, list[float]] = {name: [] for name in steps}
    processor: dict[str, list[float]] = {name: [] for name in steps}
    for round_ in range(ROUNDS + 1):
        for name, step in steps.items():
            comm.barrier(why="start")
            start, busy = time.perf_counter(), time.process_time()
            step()
            comm.barrier(why="end")
            taken = time.perf_counter() - start
            busy_all = all_reduce(comm, np.array([time.process_time() - busy]), why="processor time")
            if round_:                                              # the first round warms up
                times[name].append(taken)
                processor[name].append(float(busy_all[0]))
    if comm.rank == 0:
        wall, busy = ({name: statistics.median(seconds) for name, seconds in table.items()} for table in (times, processor))
        first = next(iter(steps))
        for name in steps:
            print(f"{comm.size} ranks  {name:26} {wall[name] * 1e3:7.1f} ms a step, {wall[first] / wall[name]:4.2f} x as fast; "
                  f"{busy[name] * 1e3:7.1f} ms of processor time, {busy[first] / busy[name]:4.2f} x less")


if __name__ == "__main__":
    with job(checked=False) as comm:
        measure(comm)
