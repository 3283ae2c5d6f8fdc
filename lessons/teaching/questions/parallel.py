"""Questions on collectives and lessons 13 and 14: sums over ranks, data and tensor parallel."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from minipar.lessons.teaching.questions.form import Collection

import minipar as mp
from minipar.comm.wrappers.counting import Counting, MessageTally
from minipar.data.tokenizer import ByteTokenizer
from minipar.plan import collective_times as times
from minipar.plan.collectives import ring_all_reduce
from minipar.plan.memory import MIXED_ADAM, state
from minipar.plan.pieces import log2_up

ALL = Collection()


def _sent(ranks: int, call: Callable[[mp.Communicator], object]) -> MessageTally:
    """What rank 0 sends in a collective."""
    def job(comm: mp.Communicator) -> MessageTally:
        counting = Counting(comm)
        call(counting)
        return counting.traffic.total()
    return mp.run(ranks, job)[0]


@ALL.ask(
    "collectives",
    "A ring all-reduce of 1,000 numbers on 4 ranks: how many numbers does each rank send?",
    wrong={1000: "2 (p - 1)/p of the array: there are two rounds", 3000: "each step sends a quarter only"},
)
def ring_sends() -> int:
    return _sent(4, lambda comm: mp.all_reduce(comm, np.zeros(1000), label="x", algorithm="ring")).bytes // 8


@ALL.ask(
    "collectives",
    "How many messages does each rank send in a ring all-reduce on 8 ranks?",
    wrong={7: "7 to sum, and 7 to spread"},
)
def ring_messages() -> int:
    return _sent(8, lambda comm: mp.all_reduce(comm, np.zeros(80), label="x", algorithm="ring")).messages


@ALL.ask(
    "collectives",
    "How many rounds does a tree broadcast take on 16 ranks?",
    wrong={15: "those who have the data help"},
)
def rounds_of_a_tree() -> int:
    return log2_up(16)


@ALL.ask(
    "collectives",
    "An all-reduce of 8 bytes on 16 ranks, alpha = 5 microseconds, beta = 1e-10 s: which is faster?",
    choices=["ring", "recursive doubling"],
    wrong={"ring": "30 latencies, against 4"},
)
def faster_for_few_bytes() -> str:
    net = times.Links(5e-6, 1e-10)
    found = {
        "ring": times.ring_all_reduce(16, 8, net),
        "recursive doubling": times.recursive_doubling_all_reduce(16, 8, net),
    }
    return min(found, key=lambda name: found[name])


@ALL.ask(
    "13",
    "A batch of 10 is split over 4 ranks as 3, 3, 2, 2. Which weight does rank 0's mean gradient get?",
    wrong={0.25: "then a sample of a small part counts for more"},
)
def weight_of_a_part() -> float:
    return 3 / sum([3, 3, 2, 2])


@ALL.ask(
    "13",
    "A model of 1,000,000 weights in float32 on 8 ranks: how many bytes does each rank send in the all-reduce of a step?",
    unit="MB",
    wrong={4: "2 (p - 1)/p times as much", 8: "2 (p - 1)/p is 1.75, not 2"},
)
def bytes_of_data_parallel() -> float:
    return ring_all_reduce(8, 0, 10**6).elements * 4 / 1e6


@ALL.ask(
    "13",
    "Mixed precision with Adam takes 16 bytes per weight, 12 of them in the optimiser. How many with ZeRO-1 on 8 ranks?",
    unit="bytes",
    wrong={2: "ZeRO-1 shards the optimiser's state only"},
)
def bytes_with_zero() -> float:
    return state(8000, MIXED_ADAM, zero=1, dp=8).total / 8000


@ALL.ask(
    "13",
    "The global batch is 64, dp = 4, a micro-batch has 2 samples. How many micro-batches does a rank compute in a step?",
    wrong={32: "these are those of all ranks"},
)
def micro_batches_of_a_rank() -> int:
    return 64 // 4 // 2


@ALL.ask(
    "13",
    "Each rank starts from weights of its own, and gradients are averaged in every step. Do the ranks' weights become equal?",
    choices=["yes", "no"],
    wrong={"yes": "equal steps keep the differences of the start"},
)
def different_starts() -> str:
    def job(comm: mp.Communicator) -> float:
        weight = float(comm.rank)
        for _ in range(50):
            weight -= (
                0.1 * float(mp.all_reduce(comm, np.array([weight - 5]), label="gradient")[0]) / comm.size
            )
        return weight
    weights = mp.run(2, job)
    return "yes" if abs(weights[0] - weights[1]) < 1e-6 else "no"


@ALL.ask(
    "14",
    "How many all-reduces does a transformer block need in a step of tensor parallelism, forward and backward together?",
    wrong={2: "attention and MLP each have one forward and one backward"},
)
def all_reduces_of_a_block() -> int:
    def calls(layers: int) -> int:
        def job(comm: mp.Communicator) -> int:
            counting = Counting(comm)
            model = mp.ModelConfig(vocabulary=10, context=4, layers=layers, heads=2, width=4)
            grid = mp.Grid(counting, mp.Layout(tp=2))
            mp.Trainer(
                model, mp.TrainConfig(batch=1, clip=0), ByteTokenizer(), np.zeros(50, int), grid
            ).step()
            return sum(tally.calls for (op,), tally in counting.traffic.by("op").items() if str(op).startswith("all_reduce"))
        return mp.run(2, job)[0]
    return calls(3) - calls(2)


@ALL.ask(
    "14",
    "After a layer that is split by rows over 4 ranks, every rank adds the whole bias before the sum. How often is it counted?",
    wrong={1: "the sum adds up what each rank has added"},
)
def bias_of_rows() -> float:
    def job(comm: mp.Communicator) -> float:
        return float(mp.all_reduce(comm, np.zeros(1) + 1.0, label="y")[0])
    return mp.run(4, job)[0]


@ALL.ask("14", "GPT-3 has 96 blocks and width 12288. A sequence has 2048 tokens of 2 bytes per number. Each block needs 4 all-reduces "
         "of T x D numbers. How much does each of 8 ranks send in a step?", unit="GB", wrong={19.3: "a ring sends 2 (p - 1)/p of it"})
def tensor_parallel_gigabytes() -> float:
    return 4 * 96 * ring_all_reduce(8, 0, 2048 * 12288).elements * 2 / 1e9


@ALL.ask(
    "14",
    "x W for W split by rows: what must the ranks do with their results?",
    choices=["put them side by side", "add them up"],
    wrong={"put them side by side": "that is for a split by columns"},
)
def after_rows() -> str:
    x, w = np.arange(4.0), np.arange(12.0).reshape(4, 3)
    parts = [x[:2] @ w[:2], x[2:] @ w[2:]]
    return "add them up" if np.allclose(sum(parts), x @ w) else "put them side by side"
