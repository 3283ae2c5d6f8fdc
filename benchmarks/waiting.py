"""What do waiting ranks cost those that compute?    minipar launch -n 8 python benchmarks/waiting.py

On fewer cores than ranks, most ranks wait most of the time, and how they wait decides how fast the others compute. Two questions,
each asked of waits that block inside MPI and of ours, in turns; each figure is a median:

* a training step on 2 x 2 x 2 ranks (data, pipeline, tensor), for several sizes of the model and the batch;
* one rank computes while all others wait for it.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from minipar.comm.protocol import Communicator, Request
from minipar.comm.start import job
from minipar.comm.wrapper import Wrapper
from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.parallel import Grid
from minipar.train import Trainer
from minipar.verify.case import text_of

ROUNDS = 15
LAYOUT = Layout(dp=2, pp=2, tp=2)
SIZES = ((128, 4), (128, 16), (256, 16), (384, 16))                 # width of the model, samples of 64 tokens in a batch


class Blocking(Wrapper):
    """Waits inside MPI, as most programs do."""

    def wait(self, request: Request) -> np.ndarray:
        request.handle.Wait()
        request.done = True
        return request.array


def step(comm: Communicator, width: int, batch: int) -> Callable[[], object]:
    model = ModelConfig(vocabulary=64, context=64, layers=4, heads=4, width=width)
    train = TrainConfig(batch=batch, micro_batches=4 if batch > 4 else 2, clip=0)
    return Trainer(model, train, *text_of(model.vocabulary), Grid(comm, LAYOUT)).step


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
        for width, batch in SIZES:
            compare(comm, f"a step: width {width}, {batch} samples", partial(step, width=width, batch=batch))
        compare(comm, f"1 rank computes, {comm.size - 1} wait", Lone)


if __name__ == "__main__":
    main()
