# %% [markdown]
# # Collectives: how p ranks add up an array
#
# Every rank holds an array of n bytes, and every rank wants the sum of all of them: the *all-reduce*, which ends each step of
# data-parallel training and both halves of each tensor-parallel layer. The result is one and the same; what it costs ranges
# from 2 (p - 1) n bytes through one rank to 2 (p - 1)/p n on each.
#
# A message of n bytes costs alpha + n beta: a fixed time to get going, and a time per byte. Short arrays want few messages,
# long ones want few bytes, and no algorithm is best for both.
#
# Read beside: `minipar/comm/collectives/`, first `naive.py`, then `tree.py`, `ring.py`, `halving_doubling.py`.
# Run me: `python lessons/collectives.py` (four threads), under `mpirun -n 4`, or cell by cell in an editor.

# %%
import time
from fractions import Fraction
from statistics import median

import numpy as np
from minipar.lessons.plots.collectives import draw_all_reduces, draw_ring
from minipar.lessons.support.lesson import Lesson

import minipar as mp
from minipar.comm.collectives.algorithms.ring import all_reduce as ring_steps
from minipar.comm.collectives.channel import Channel
from minipar.comm.wrappers.clock import Clock
from minipar.comm.wrappers.counting import Counting
from minipar.comm.wrappers.network import Network
from minipar.doctor.smoke import measure_links
from minipar.errors import CommError
from minipar.plan import collective_times as seconds
from minipar.plan import collectives as traffic
from minipar.plan.collective_times import Links

lesson = Lesson("collectives")
p = lesson.size
assert p > 1, "a collective needs two ranks or more: mpirun -n 2"

# %% [markdown]
# ## 1 · A ring, step by step
#
# Cut the array into p chunks. Each rank passes one chunk on to its right-hand neighbour and adds the one that it gets from the
# left. After p - 1 steps each rank has one chunk complete (*reduce-scatter*); p - 1 steps more carry the complete chunks
# around (*all-gather*).
#
# **Predict before you run:** after p - 1 steps, which chunk is complete on rank r? After one step, how many chunks of rank 0
# differ from what they were?
#
# In minipar an algorithm is a generator that stops at each message. So we drive a real one by hand and look into its buffer
# whenever it stops. Rank r brings 2^r in every element; then the bits of a sum say whose shares are in it.

# %%


def watched(comm: mp.Communicator) -> np.ndarray:
    """This rank's buffer at the start and after each step of a ring: int64 [steps + 1, p]."""
    buffer = np.full(comm.size, 1 << comm.rank)                     # chunks of one element
    tag = comm.entering("all_reduce sum", buffer.shape, buffer.dtype, label="watched")
    seen = [buffer.copy()]
    for message in ring_steps(Channel(comm, "watched", tag), buffer, buffer, np.add):
        comm.wait(message)
        if message.kind == "send":                                  # the last message that a step waits for
            seen.append(buffer.copy())
    return np.array(seen)


history = np.stack(lesson.run(watched), axis=1)                     # [step, rank, chunk]
ALL = (1 << p) - 1
assert len(history) == 2 * (p - 1) + 1
assert np.array_equal(history[0], np.repeat(1 << np.arange(p), p).reshape(p, p)), "at first, everyone's own"
assert all((history[p - 1, rank] == ALL).tolist() == [chunk == rank for chunk in range(p)]
           for rank in range(p)), \
    "half-way, rank r has chunk r complete, and no other"
assert np.all(history[-1] == ALL)
assert all(np.count_nonzero(after != before) == p for before,
           after in zip(history, history[1:], strict=False)), \
    "each step changes one chunk on each rank"
lesson.say(f"1 · a ring of {p}: complete on rank 0 after each step:",
           "    " + ", ".join(f"{np.count_nonzero(row == ALL)} of {p}" for row in history[:, 0]), "")
who = [[[frozenset(np.flatnonzero(chunk >> np.arange(p) & 1).tolist()) for chunk in row] for row in step]
       for step in history]
lesson.picture(draw_ring(who), "_ring")

# %% [markdown]
# ## 2 · What it sends
#
# In 2 (p - 1) steps each rank sends one chunk of n/p: 2 (p - 1)/p n, less than 2 n on however many ranks. No algorithm does
# with less (Patarasuk and Yuan 2009): in the reduce-scatter, p - 1 of the p shares in a chunk have to move.
#
# **Predict:** the array has n bytes. How many leave rank 0 when everything goes through it? When it is the root of a tree?
# And which of the four algorithms sends the fewest messages?

# %%
ALGORITHMS = ("naive", "tree", "ring", "halving_doubling")
N = 1000 * p                                                        # float64 elements


def counted(comm: mp.Communicator, algorithm: str) -> tuple[int, int]:
    """Messages and bytes that this rank sends."""
    counting = Counting(comm)
    mp.all_reduce(counting, np.ones(N), label="counted", algorithm=algorithm)
    total = counting.traffic.total()
    return total.messages, total.bytes


formulas = {"naive": traffic.naive_all_reduce, "tree": traffic.tree_all_reduce,
            "ring": traffic.ring_all_reduce, "halving_doubling": traffic.halving_doubling_all_reduce}
books = {name: lesson.run(counted, name) for name in ALGORITHMS}
for name, book in books.items():
    for rank, (messages, sent) in enumerate(book):
        assert (messages,
                sent // 8) == formulas[name](p, rank, N), f"{name}, rank {rank}: counted is predicted"
assert all(sent == 2 * (p - 1) * (8 * N) // p for _, sent in books["ring"])
lesson.say(f"2 · {p} ranks, the busiest of them sends")
lesson.table(("algorithm", "messages", "times the array"),
             *((name, max(m for m, _ in book), max(b for _, b in book) / (8 * N)) for name,
               book in books.items()))

# %% [markdown]
# ## 3 · Tree against ring against halving-doubling
#
# With alpha and beta, and log for log2 p (p a power of two):
#
#     tree               2 log     (alpha + n beta)             few messages, each with everything
#     ring               2 (p - 1) (alpha + n/p beta)           few bytes, many messages
#     halving-doubling   2 log alpha + 2 (p - 1)/p n beta       both, but its partners are far away
#
# Tree and ring take equally long at n* = alpha/beta (p - 1 - log) / (log - (p - 1)/p).
#
# **Predict:** with twice the alpha, does n* go up or down? At p = 2, where is it?
#
# The clock needs no cluster: each rank carries virtual time, and a collective costs what its messages cost.

# %%
ALPHA, BETA = Fraction(10, 10**6), Fraction(1, 10**9)               # 10 us per message, 1 GB/s
LINKS = Links(ALPHA, BETA, Fraction(0))
TIMES = {"tree": seconds.tree_all_reduce, "ring": seconds.ring_all_reduce,
         "halving_doubling": seconds.halving_doubling_all_reduce}


def clocked(comm: mp.Communicator, algorithm: str, elements: int) -> Fraction:
    """Virtual seconds until this rank is done."""
    clock = Clock(comm, Network(ALPHA, BETA), flops_per_second=1e9)
    mp.all_reduce(clock, np.ones(elements), label="clocked", algorithm=algorithm)
    return clock.now


def last(algorithm: str, elements: int) -> Fraction:
    return max(lesson.run(clocked, algorithm, elements))


log = (p - 1).bit_length()
crossing = ALPHA / BETA * (p - 1 - log) / (log - Fraction(p - 1, p))             # bytes
lengths = [p, 10 * p, 100 * p, 1000 * p, 10_000 * p]
by_clock = {name: {8 * length: float(last(name, length)) for length in lengths} for name in TIMES}
for length in lengths:
    assert last("ring", length) == 2 * (p - 1) * (ALPHA + Fraction(8 * length, p) * BETA), (
        "exactly, on any number of ranks"
    )
if p & (p - 1) == 0:
    for name, formula in TIMES.items():
        assert all(last(name, length) == formula(p, Fraction(8 * length), LINKS) for length in lengths), name
    near = int(crossing) // (8 * p) * p                             # elements, just below the crossing
    if near:
        assert last("tree", near) <= last("ring", near), "below, the tree is faster"
    assert last("tree", near + 2 * p) > last("ring", near + 2 * p), "above, the ring"
lesson.say(f"3 · alpha 10 us, beta 1 ns: tree and ring cross at {float(crossing):,.0f} bytes on {p} ranks")
lesson.table(("bytes", *TIMES), *((f"{nbytes:,}",
                                   *(f"{1e6 * by_clock[name][nbytes]:.0f} us" for name in TIMES))
                                  for nbytes in by_clock["ring"]))

# %% [markdown]
# By this model halving-doubling beats the ring everywhere, if p is a power of two. If not, some ranks must first hand
# their whole array to a partner and take the result back, 2 n beta more, and the ring wins. On three ranks:

# %%
LONG = Fraction(1 << 24)
three = {name: formula(3, LONG, LINKS) for name, formula in TIMES.items()}
assert min(three, key=three.__getitem__) == "ring"
assert min(TIMES, key=lambda name: TIMES[name](4, LONG, LINKS)) == "halving_doubling"
lesson.say("    16 MiB, by the formulas")
lesson.table(("ranks", *TIMES), *((ranks, *(f"{1e3 * float(formula(ranks, LONG, LINKS)):.1f} ms"
                                            for formula in TIMES.values()))
                                  for ranks in (3, 4)))

# %% [markdown]
# ## 4 · On this machine
#
# Measure alpha and beta with a ping-pong between two ranks, let the formulas say where tree and ring cross, then race them.
#
# The formulas know of p links that do not disturb each other. Ranks on one machine share its memory, threads moreover share
# the interpreter, and more ranks than cores wait for one another. So look at how far the crossing has moved, and in which
# direction.
#
# **Predict:** the fitted alpha is for one message between two idle ranks. Will the real ring be slower or faster than its
# formula, and for short arrays or for long ones?

# %%
links = lesson.run(measure_links, ranks=2)[0]
fitted = Links(links["alpha"], links["beta"], links["gamma"])
assert fitted.alpha > 0 and fitted.beta > 0


def raced(comm: mp.Communicator, sizes: list[int]) -> dict[str, dict[int, float]]:
    """Median seconds by algorithm and bytes, in turns; a call lasts until the slowest rank is done."""
    times: dict[str, dict[int, float]] = {name: {} for name in TIMES}
    for nbytes in sizes:
        array = np.zeros(nbytes // 8)
        turns: dict[str, list[float]] = {name: [] for name in TIMES}
        for _ in range(7):
            for name, taken in turns.items():
                comm.barrier(label="start")
                start = time.perf_counter()
                mp.all_reduce(comm, array, label="race", out=array, algorithm=name)
                mine = np.array([time.perf_counter() - start])
                taken.append(float(mp.all_reduce(comm, mine, "max", label="slowest", algorithm="tree")[0]))
        for name, taken in turns.items():
            times[name][nbytes] = median(taken)
    return times


SIZES = [1 << power for power in range(6, 23, 2)]                   # 64 bytes to 4 MiB
race = lesson.run(raced, SIZES)[0]
faster = [nbytes for nbytes in SIZES if race["ring"][nbytes] < race["tree"][nbytes]]
expected = float(fitted.alpha) / float(fitted.beta) * (p - 1 - log) / (log - (p - 1) / p)
place = f"{p} {'processes' if lesson.mpi else 'threads'}"
lesson.say(f"4 · {place}: alpha {1e6 * links['alpha']:.1f} us, beta {1e9 * links['beta']:.2f} ns per byte",
           f"    the ring should overtake the tree at {expected:,.0f} bytes; of the sizes raced it was "
           "faster at "
           + (", ".join(f"{nbytes:,}" for nbytes in faster) or "none"))
lesson.table(("bytes", *TIMES), *((f"{nbytes:,}", *(f"{1e6 * race[name][nbytes]:.0f} us" for name in TIMES))
                                  for nbytes in SIZES))

# %% [markdown]
# ## 5 · Break it on purpose
#
# A ring with blocking calls: send to the right, then receive from the left. It works, until one day the arrays are larger. MPI
# copies a small message away, so that its send returns; a large one waits until it is received. Then all ranks are sending,
# and nobody receives. `synchronous=True` makes every message a large one, so that the mistake shows on the first day.
#
# **Break it:** below, let all ranks receive first (`sends_first` false). Then repair it with one rank that sends first: how
# many messages are in flight at a time now, and what does that do to the time of the ring?

# %%


def blocking_ring(comm: mp.Communicator, sends_first: bool = True) -> float:
    """One step of a ring with blocking calls: what arrived from the left."""
    right, left = (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size
    mine, got = np.full(1, float(comm.rank)), np.empty(1)
    if sends_first:
        comm.send(mine, right, label="ring")
    comm.recv(got, left, label="ring")
    if not sends_first:
        comm.send(mine, right, label="ring")
    return float(got[0])


lucky = mp.run(4, blocking_ring)  # on threads in any case: their deadlocks are found at once
try:
    mp.run(4, blocking_ring, synchronous=True)
    verdict = ""
except CommError as error:
    verdict = str(error)
assert lucky == [3, 0, 1, 2]
assert "deadlock" in verdict or "waits" in verdict, "small messages hid it"
lesson.say("5 · small messages: fine. Large ones:", f"    {verdict}", "")
even_ones_first = mp.run(4, lambda comm: blocking_ring(comm, comm.rank % 2 == 0), synchronous=True)
assert even_ones_first == lucky, "if every other rank receives first, all is well"

# %% [markdown]
# **Exercise.** A broadcast along a chain: rank 0 sends to 1, 1 to 2, and so on, the array cut into k segments that follow each
# other. On the clock it should take (p - 2 + k) (alpha + n/k beta). Write it with `comm.irecv` and `comm.isend`, check it
# against `minipar.comm.collectives.broadcast` on 5 ranks, and find the best k for n = 1 MB. Then compare with the formula of
# "ring" in `minipar/plan/collective_times.py`: for which p does the chain win?

# %% [markdown]
# ## The picture

# %%
names = list(ALGORITHMS)
sent = {name: {ranks: max(formulas[name](ranks, rank, 5040) for rank in range(ranks)).elements / 5040
               for ranks in range(2, 10)}
        for name in names}
busiest = {name: (p, max(b for _, b in book) / (8 * N)) for name, book in books.items()}
grid = [float(nbytes) for nbytes in np.geomspace(8 * lengths[0], 8 * lengths[-1], 60)]
model = {name: {nbytes: float(formula(p, Fraction(nbytes), LINKS)) for nbytes in grid} for name,
         formula in TIMES.items()}
lesson.picture(draw_all_reduces(sent, busiest, model, by_clock, float(crossing), race, place))
