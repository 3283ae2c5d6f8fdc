"""What do waiting ranks cost those that compute?    minipar launch -n 8 python benchmarks/waiting.py

On fewer cores than ranks, most ranks wait most of the time, and how they wait decides how fast the others compute. Two questions,
each asked of waits that block inside MPI and of ours, in turns; each figure is a median:

* a stand-in for a training step on 2 x 2 x 2 ranks (data, tensor, pipeline): two stages pass micro-batches forward and back, each
  sums activations over its tensor ranks, and at the end gradients over its data ranks; for several sizes of the micro-batch;
* one rank computes while all others wait for it.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np

from minipar.comm.collectives import all_reduce
from minipar.comm.protocol import Communicator, Request
from minipar.comm.start import job
from minipar.comm.wrapper import Wrapper

ROUNDS, MICRO_BATCHES = 15, 4
WIDTH, HIDDEN = 128, 512                                            # of the model's share on one tensor rank


class Blocking(Wrapper):
    """Waits inside MPI, as most programs do."""

    def wait(self, request: Request) -> np.ndarray:
        request.handle.Wait()
        request.done = True
        return request.array


class Step:
    """One rank's part of a training step on micro-batches of so many tokens."""

    def __init__(self, comm: Communicator, tokens: int) -> None:
        rank = comm.rank                                            # the tensor rank runs fastest, then data, then the stage
        self.tp = comm.split(rank // 2, why="tensor")
        self.dp = comm.split(rank % 2 + 2 * (rank // 4), why="data")
        self.pp = comm.split(rank % 4, why="pipeline")
        random = np.random.default_rng(rank)
        self.x, self.up, self.down = (random.standard_normal(shape).astype(np.float32)
                                      for shape in ((tokens, WIDTH), (WIDTH, HIDDEN), (HIDDEN, WIDTH)))

    def compute(self, x: np.ndarray, layers: int) -> np.ndarray:
        for _ in range(layers):
            x = all_reduce(self.tp, x @ self.up @ self.down, why="activations", algorithm="recursive_doubling")
            x /= np.abs(x).max()
        return x

    def __call__(self) -> None:
        first, other = self.pp.rank == 0, 1 - self.pp.rank
        got = np.empty_like(self.x)
        for _ in range(MICRO_BATCHES):
            if first:
                self.pp.send(self.compute(self.x, layers=2), other, why="forward")
            else:
                self.compute(self.pp.recv(got, other, why="forward"), layers=2)
        for _ in range(MICRO_BATCHES):
            if first:
                self.compute(self.pp.recv(got, other, why="backward"), layers=4)
            else:
                self.pp.send(self.compute(self.x, layers=4), other, why="backward")
        all_reduce(self.dp, self.up, why="gradients", algorithm="ring")


class Lone:
    """Rank 0 computes, the others wait for its word."""

    def __init__(self, comm: Communicator) -> None:
        self.comm, self.x, self.word = comm, np.ones((400, 400), np.float32), np.empty(1)

    def __call__(self) -> None:
        if self.comm.rank:
            self.comm.recv(self.word, 0, why="word")
            return
        for _ in range(30):
            self.x @ self.x
        for rank in range(1, self.comm.size):
            self.comm.send(self.word, rank, why="word")


def compare(comm: Communicator, what: str, make: Callable[[Communicator], Callable[[], None]]) -> None:
    ways = {"blocking": make(Blocking(comm)), "ours": make(comm)}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(ROUNDS + 1):
        for name, call in ways.items():
            comm.barrier(why="start")
            start = time.perf_counter()
            call()
            comm.barrier(why="end")
            if round_:                                              # the first round warms up
                times[name].append(time.perf_counter() - start)
    if comm.rank == 0:
        blocking, ours = (1e3 * statistics.median(times[name]) for name in ("blocking", "ours"))
        print(f"{what:44} blocking {blocking:6.1f} ms   ours {ours:6.1f} ms   {blocking / ours:4.2f} x as fast", flush=True)


def main() -> None:
    with job(checked=False) as comm:
        for tokens in (64, 128, 256):
            compare(comm, f"a step on {comm.size} ranks, {tokens} tokens each",
                    lambda ours, tokens=tokens: Step(ours, tokens))
        compare(comm, f"1 rank computes, {comm.size - 1} wait", Lone)


if __name__ == "__main__":
    main()
