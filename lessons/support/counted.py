"""What one rank sends, counted, for lesson 13: in one all-reduce, and in one step of a training."""

from __future__ import annotations

import numpy as np

import minipar as mp
from minipar.comm.wrappers.counting import Counting
from minipar.data.tokenizer import ByteTokenizer
from minipar.rng import stream


def bytes_sent(comm: mp.Communicator, algorithm: str, n: int) -> int:
    """In one all-reduce of n float32."""
    counting = Counting(comm)
    mp.all_reduce(counting, np.zeros(n, np.float32), label="gradients", algorithm=algorithm)
    return counting.traffic.total().bytes


def sum_of_noise(comm: mp.Communicator, algorithm: str) -> np.ndarray:
    """The sum of 1000 random numbers per rank [1000], float64."""
    return mp.all_reduce(comm, stream(0, "noise", comm.rank).normal(size=1000), label="noise",
                         algorithm=algorithm)


def one_step(comm: mp.Communicator, model: mp.ModelConfig, text: np.ndarray, batch: int,
             gradients: str) -> tuple[int, int]:
    """Messages and bytes of one step of data parallelism. gradients: how they are summed, see
    minipar.config.GRADIENTS.
    """
    layout, counting = mp.Layout(dp=comm.size, gradients=gradients, bucket_bytes=8192), Counting(comm)
    trainer = mp.Trainer(model, mp.TrainConfig(batch=batch), ByteTokenizer(), text, mp.Grid(counting, layout))
    counting.traffic.tallies.clear()
    trainer.step()
    total = counting.traffic.total()
    return total.messages, total.bytes
