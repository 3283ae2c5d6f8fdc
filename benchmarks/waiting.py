"""What do waiting ranks cost those that compute?    minipar launch -n 8 python benchmarks/waiting.py

On fewer cores than ranks, most ranks wait most of the time, and how they wait decides how fast the others
compute. Two questions, each asked of waits that block inside MPI and of ours, in turns; each figure is a
median:

* a training step on 2 x 2 x 2 ranks (data, pipeline, tensor), for several widths of the model and numbers of
  micro-batches. "At most" is what no way of waiting can beat: there, all cores compute all the time and
  waiting is free;
* one rank computes while all others wait for it.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np

import minipar as mp
from minipar.comm.backoff import cores
from minipar.comm.protocol import Request
from minipar.comm.wrappers.base import Wrapper
from minipar.proof.case import text_of

ROUNDS = 15
LAYOUT = mp.Layout(dp=2, pp=2, tp=2)
WIDTHS = (128, 256, 384)  # of the model; a batch has 16 samples of 64 tokens
LONE = "1 rank computes, all others wait"


class Blocking(Wrapper):
    """Waits inside MPI, as most programs do."""

    def wait(self, request: Request) -> np.ndarray:
        request.handle.Wait()
        request.done = True
        return request.array


class Ours(Wrapper):
    """Our waits. `waiting` adds up the CPU time in them, in seconds, over all groups of this rank."""

    waiting = 0.0

    def wait(self, request: Request) -> np.ndarray:
        began = time.thread_time()
        array = super().wait(request)
        Ours.waiting += time.thread_time() - began
        return array


def step(comm: mp.Communicator, width: int, micro_batches: int) -> Callable[[], object]:
    model = mp.ModelConfig(vocabulary=64, context=64, layers=4, heads=4, width=width)
    train = mp.TrainConfig(batch=16, micro_batches=micro_batches, clip=0)
    return mp.Trainer(model, train, *text_of(model.vocabulary), mp.Grid(comm, LAYOUT)).step


class Lone:
    """Rank 0 computes, the others wait for its word."""

    def __init__(self, comm: mp.Communicator) -> None:
        self.comm, self.x, self.word = comm, np.ones((400, 400), np.float32), np.empty(1)

    def __call__(self) -> None:
        if self.comm.rank:
            self.comm.recv(self.word, 0, label="word")
            return
        for _ in range(30):
            self.x @ self.x
        for rank in range(1, self.comm.size):
            self.comm.send(self.word, rank, label="word")


def compare(
    comm: mp.Communicator, what: str, make: Callable[[mp.Communicator], Callable[[], object]]
) -> None:
    ways = {"blocking": make(Blocking(comm)), "ours": make(Ours(comm))}
    times: dict[str, list[float]] = {name: [] for name in ways}
    computing = []  # seconds of CPU of all ranks in a step, without those in waits
    for round_ in range(ROUNDS + 1):
        for name, call in ways.items():
            comm.barrier(label="start")
            start, cpu = time.perf_counter(), time.thread_time()
            Ours.waiting = 0.0
            call()
            cpu = time.thread_time() - cpu - Ours.waiting
            comm.barrier(label="end")
            if round_:                                              # the first round warms up
                times[name].append(time.perf_counter() - start)
                if name == "ours":
                    computing.append(mp.all_reduce(comm, np.array([cpu]), label="computing").item())
    if comm.rank == 0:
        blocking, ours, least = (1e3 * statistics.median(each)
                                 for each in (times["blocking"], times["ours"], computing))
        most = f"   at most {blocking * cores() / least:4.2f} x" if what != LONE else ""
        print(f"{what:38} blocking {blocking:6.1f} ms   ours {ours:6.1f} ms   {blocking / ours:4.2f} x as "
              f"fast{most}", flush=True)


def main() -> None:
    with mp.job(checked=False) as comm:
        for width in WIDTHS:
            for pieces in (1, 2, 4):
                compare(comm, f"a step: width {width}, {pieces} micro-batch(es)",
                        partial(step, width=width, micro_batches=pieces))
        compare(comm, LONE, Lone)


if __name__ == "__main__":
    main()
