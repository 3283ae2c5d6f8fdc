import numpy as np

from minipar.comm.collectives import all_gather, all_reduce, reduce_scatter
from minipar.comm.threads import run
from minipar.comm.wrappers.counting import Counting
from minipar.exercises import Exercise

N, RANKS = 8000, 4
NAMES = ("HELD_0", "HELD_1", "HELD_2", "HELD_3", "SENT_0", "SENT_1", "SENT_3")


def sent():
    """Bytes that rank 0 sends, counted: an all-reduce, a reduce-scatter and an all-gather of N float16."""
    def counted(comm):
        found = []
        for call, array in ((all_reduce, np.zeros(N, np.float16)), (reduce_scatter, np.zeros(N, np.float16)),
                            (all_gather, np.zeros(N // RANKS, np.float16))):
            counting = Counting(comm)
            call(counting, array, algorithm="ring")
            found.append(counting.traffic.total().bytes)
        return found
    return run(RANKS, counted)[0]


def reference(ranks, arguments):
    reduced, scattered, gathered = sent()
    held = [sum(bytes * N // (RANKS if stage >= sharded_from else 1)
                for bytes, sharded_from in ((12, 1), (2, 2), (2, 3))) for stage in range(4)]
    return [dict(zip(NAMES, [*held, reduced, scattered + gathered, scattered + 2 * gathered], strict=True))]


EXERCISE = Exercise(
    kind="predict", minutes=10, lesson="4", function=" ".join(NAMES), comm="",
    goal="know what each stage of ZeRO saves, and what it costs",
    prerequisites=("zero_1_step", "gather_and_free", "ledger_of_a_7b_model"),
    cases={"8000 parameters on 4 ranks": None}, inputs=lambda ranks, rng, size: [()], reference=reference,
    library="minipar/plan/memory.py")
