# %% [markdown]
# # Collectives: how p ranks add up an array
#
# Every rank has an array, and every rank wants the sum of all of them: the
# **all-reduce** of lesson 0. Data parallelism ends each step with it, and tensor
# parallelism needs four in each layer. If all arrays go through rank 0, this rank
# has to send p - 1 arrays, and all others wait for it. Can the work be shared so
# that nobody waits?
#
#     rank 0 -> rank 1        each rank passes a part of its array on to its
#        ^         |          right-hand neighbour, and gets a part from the
#        |         v          left-hand one: a ring
#     rank 3 <- rank 2
#
# You need lesson 0. The core path takes 35 minutes; the section marked
# "(optional)" does not belong to it.
#
# Run me: `minipar lesson teach collectives` (step by step), `minipar lesson run
# collectives` (at once), or under `mpirun -n 4 python lessons/collectives.py`.
# Read beside: `minipar/comm/collectives/`.

# %%
import time
from fractions import Fraction
from statistics import median

import numpy as np
from minipar.lessons.plots.collectives import (
    draw_race,
    draw_ring,
    draw_sent,
    draw_times,
)
from minipar.lessons.support.lesson import Lesson

import minipar as mp
from minipar.comm.collectives.algorithms import ring
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
assert p > 1, "a collective needs two ranks or more: mpirun -n 4"

# %% [markdown]
# ## 1 · A ring by hand
#
# Split the array into p *chunks*. In each step a rank sends one chunk to the
# right, and adds the one that comes from the left. Three ranks, whose chunks are
# a, b and c (the digits say whose are in the sum):
#
#     start             step 1             step 2
#     a0   b0   c0      a0   b02  c0       all  b02  c0
#     a1   b1   c1      a1   b1   c01      a1   all  c01
#     a2   b2   c2      a12  b2   c2       a12  b2   all
#
# After p - 1 steps each rank has one chunk that is complete. This half is called
# **reduce-scatter**. In p - 1 more steps the complete chunks go around: the
# **all-gather**.

# %%


def ring_by_hand(comm, array):
    p, r = comm.size, comm.rank
    right, left = (r + 1) % p, (r - 1) % p
    chunks = [chunk.copy() for chunk in np.array_split(array, p)]
    for step in range(p - 1):                   # reduce-scatter
        out, into = (r - step - 1) % p, (r - step - 2) % p
        got = np.empty_like(chunks[into])
        comm.sendrecv(chunks[out], right, got, left)
        chunks[into] += got
    for step in range(p - 1):                   # all-gather
        out, into = (r - step) % p, (r - step - 1) % p
        comm.sendrecv(chunks[out], right, chunks[into], left)
    return np.concatenate(chunks)


lesson.predict("How many chunks of a rank are complete after half of it?")
sums = lesson.run(lambda comm: ring_by_hand(
    comm, np.arange(2.0 * p) + 100 * comm.rank))
lesson.say(f"  on rank 0: {sums[0]}")
expected = p * np.arange(2.0 * p) + 100 * sum(range(p))
assert all(np.array_equal(total, expected) for total in sums), \
    "every rank has the sum: look at which chunk goes out in which step"

# %% [markdown]
# Now look into the buffers of minipar's own ring. There an algorithm is a
# generator that stops at each message, so we can look whenever it stops. Rank r
# has 2^r in every element; so the bits of a sum say whose numbers are in it.

# %%


def watched(comm):
    """This rank's buffer at the start and after each step."""
    buffer = np.full(comm.size, 1 << comm.rank)     # chunks of one element
    tag = comm.entering("all_reduce sum", buffer.shape, buffer.dtype,
                        label="watched")
    seen = [buffer.copy()]
    channel = Channel(comm, "watched", tag)
    for message in ring.all_reduce(channel, buffer, buffer, np.add):
        comm.wait(message)
        if message.kind == "send":              # the last one of a step
            seen.append(buffer.copy())
    return np.array(seen)


history = np.stack(lesson.run(watched), axis=1)     # [step, rank, chunk]
ALL = (1 << p) - 1
who = [[[frozenset(np.flatnonzero(chunk >> np.arange(p) & 1).tolist())
         for chunk in row] for row in step] for step in history]
complete = [np.count_nonzero(row == ALL) for row in history[:, 0]]
lesson.reveal(complete[p - 1])
lesson.say(f"  complete on rank 0, step by step: {[*map(int, complete)]}")
lesson.picture(draw_ring(who), "_ring")

# %%
assert len(history) == 2 * (p - 1) + 1, "p - 1 steps for each half"
assert np.array_equal(history[0], np.repeat(
    1 << np.arange(p), p).reshape(p, p)), "at first, everyone has its own"
assert all((history[p - 1, rank] == ALL).tolist()
           == [chunk == rank for chunk in range(p)] for rank in range(p)), \
    "half-way, rank r has chunk r complete, and no other"
assert np.all(history[-1] == ALL), "at the end, all have all"
assert all(np.count_nonzero(after != before) == p for before, after
           in zip(history, history[1:], strict=False)), \
    "each step changes one chunk on each rank"

# %% [markdown]
# ## 2 · What it sends
#
# The ring has 2 (p - 1) steps, and in each a rank sends one chunk of n/p bytes:
# 2 (p - 1)/p n, less than 2 n on however many ranks. No algorithm needs less
# (Patarasuk and Yuan 2009). Three others:
#
# * **naive**: all send to rank 0, which sends the sum to all;
# * **tree**: pairs add up, then pairs of pairs, and the sum goes the same way
#   back: few messages, each with the whole array;
# * **halving-doubling**: as the tree, but partners exchange halves, quarters, ...

# %%
ALGORITHMS = ("naive", "tree", "ring", "halving_doubling")
N = 1000 * p                                    # float64 elements


def counted(comm, algorithm):
    """Messages and bytes that this rank sends."""
    counting = Counting(comm)
    mp.all_reduce(counting, np.ones(N), label="counted",
                  algorithm=algorithm)
    total = counting.traffic.total()
    return total.messages, total.bytes


formulas = {"naive": traffic.naive_all_reduce,
            "tree": traffic.tree_all_reduce,
            "ring": traffic.ring_all_reduce,
            "halving_doubling": traffic.halving_doubling_all_reduce}
lesson.predict(f"Naive, {p} ranks: how many arrays does rank 0 send?")
books = {name: lesson.run(counted, name) for name in ALGORITHMS}
lesson.reveal(books["naive"][0][1] / (8 * N))
busiest = {name: (p, max(sent for _, sent in book) / (8 * N))
           for name, book in books.items()}
lesson.table(("busiest rank of", "messages", "times the array"),
             *((name, max(messages for messages, _ in book),
                busiest[name][1])
               for name, book in books.items()))
sent = {name: {ranks: max(formulas[name](ranks, rank, 5040)
                          for rank in range(ranks)).elements / 5040
               for ranks in range(2, 10)} for name in ALGORITHMS}
lesson.picture(draw_sent(sent, busiest), "_sent")

# %%
assert all((messages, nbytes // 8) == formulas[name](p, rank, N)
           for name, book in books.items()
           for rank, (messages, nbytes) in enumerate(book)), \
    "counted is what the formulas say, for every rank"
assert all(nbytes == 2 * (p - 1) * (8 * N) // p
           for _, nbytes in books["ring"]), "2 (p - 1)/p of the array"

# %% [markdown]
# ## 3 · What it costs: tree or ring?
#
# A message of n bytes takes alpha + n beta (lesson 0). With log for log2 p (p a
# power of two):
#
#     tree               2 log     (alpha + n beta)        few messages
#     ring               2 (p - 1) (alpha + n/p beta)      few bytes
#     halving-doubling   2 log alpha + 2 (p - 1)/p n beta  both
#
# Short arrays want few messages, long ones want few bytes. Tree and ring take
# equally long at
#
#     n* = alpha/beta (p - 1 - log) / (log - (p - 1)/p)
#
# With alpha = 10 us, beta = 1 ns and p = 4: 10,000 · 1 / 1.25 = 8,000 bytes.

# %%
ALPHA, BETA = Fraction(10, 10**6), Fraction(1, 10**9)
LINKS = Links(ALPHA, BETA, Fraction(0))
TIMES = {"tree": seconds.tree_all_reduce, "ring": seconds.ring_all_reduce,
         "halving_doubling": seconds.halving_doubling_all_reduce}


def clocked(comm, algorithm, elements):
    """Virtual seconds until this rank has the sum."""
    clock = Clock(comm, Network(ALPHA, BETA), flops_per_second=1e9)
    mp.all_reduce(clock, np.ones(elements), label="clocked",
                  algorithm=algorithm)
    return clock.now


def last(algorithm, elements):
    return max(lesson.run(clocked, algorithm, elements))


lesson.predict("With twice the alpha, where do tree and ring cross?",
               ["at more bytes", "at fewer bytes", "at the same"])
lesson.reveal("at more bytes")
log = (p - 1).bit_length()
crossing = ALPHA / BETA * (p - 1 - log) / (log - Fraction(p - 1, p))
lengths = [p, 10 * p, 100 * p, 1000 * p, 10_000 * p]
exact = {name: {length: last(name, length) for length in lengths}
         for name in TIMES}
by_clock = {name: {8 * length: float(t) for length, t in times.items()}
            for name, times in exact.items()}
lesson.say(f"  tree and ring cross at {float(crossing):,.0f} bytes on {p} "
           "ranks; executed, virtual clock, us:")
lesson.table(("bytes", *TIMES),
             *((f"{nbytes:,}", *(f"{1e6 * by_clock[name][nbytes]:.0f}"
                                 for name in TIMES))
               for nbytes in by_clock["ring"]))

# %%
grid = [float(n) for n in np.geomspace(8 * lengths[0], 8 * lengths[-1], 60)]
model = {name: {nbytes: float(formula(p, Fraction(nbytes), LINKS))
                for nbytes in grid} for name, formula in TIMES.items()}
lesson.picture(draw_times(model, by_clock, float(crossing)))
assert all(t == 2 * (p - 1) * (ALPHA + Fraction(8 * length, p) * BETA)
           for length, t in exact["ring"].items()), \
    "the ring's formula is exact, on any number of ranks"
if p & (p - 1) == 0:
    assert all(t == TIMES[name](p, Fraction(8 * length), LINKS)
               for name, times in exact.items()
               for length, t in times.items()), "and so are all three"
    near = int(crossing) // (8 * p) * p         # elements, just below
    assert near == 0 or last("tree", near) <= last("ring", near), \
        "below the crossing the tree is faster"
    assert last("tree", near + 2 * p) > last("ring", near + 2 * p), \
        "above it the ring is"

# %% [markdown]
# So halving-doubling is best, if p is a power of two. If not, some ranks must
# first hand their whole array to a partner, and get the result back: 2 n beta
# more, and for long arrays the ring wins.

# %%
LONG = Fraction(1 << 24)                        # 16 MiB
lesson.table(("16 MiB, ms, by formula", *TIMES),
             *((f"{ranks} ranks",
                *(f"{1e3 * float(formula(ranks, LONG, LINKS)):.1f}"
                  for formula in TIMES.values())) for ranks in (3, 4)))
fastest = {ranks: min(TIMES, key=lambda name: TIMES[name](
    ranks, LONG, LINKS)) for ranks in (3, 4)}
assert fastest == {3: "ring", 4: "halving_doubling"}, \
    "three is no power of two"

# %% [markdown]
# ## 4 · Break it: a ring that hangs
#
# A ring with blocking calls: send to the right, then receive from the left. It
# works, until one day the arrays are larger. MPI stores a small message, so that
# its send returns. A large one waits until it is received. Then all ranks are
# sending, and nobody receives. `synchronous=True` treats each message as a large
# one, so that the mistake shows on the first day.

# %%


def blocking_ring(comm, sends_first=True):
    """One step of a ring; what comes from the left."""
    right, left = (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size
    mine, got = np.full(1, float(comm.rank)), np.empty(1)
    if sends_first:
        comm.send(mine, right, label="ring")
    comm.recv(got, left, label="ring")
    if not sends_first:
        comm.send(mine, right, label="ring")
    return float(got[0])


lesson.predict("All send first. With small messages, then with large ones?",
               ["works, works", "works, hangs", "hangs, hangs"])
lucky = mp.run(4, blocking_ring)                # as threads in any case
try:
    mp.run(4, blocking_ring, synchronous=True)
    verdict = ""
except CommError as error:
    verdict = str(error)
lesson.reveal("works, hangs" if verdict else "works, works")
lesson.wrapped(verdict)
mixed = mp.run(4, lambda comm: blocking_ring(comm, comm.rank % 2 == 0),
               synchronous=True)
assert lucky == [3, 0, 1, 2], "each gets its left neighbour's number"
assert "deadlock" in verdict or "waits" in verdict, "small messages hid it"
assert mixed == lucky, "if every other rank receives first, all is well"

# %% [markdown]
# **Break it.** Let all ranks receive first (`sends_first=False`). Then repair it
# with *one* rank that sends first. How many messages are in flight at a time, and
# what does that do to the time of the ring?

# %% [markdown]
# ## 5 · Exercises
#
# Chapter 2 of `minipar exercise list`: `ring_reduce_scatter`, `ring_all_gather`,
# `tree_broadcast`, `recursive_doubling`, `all_to_all`; `chunk_order_bug` (find
# it); `predict_traffic`; and three that must be fast, `fast_at_8_bytes`,
# `fast_at_1_megabyte` and `chain_broadcast`.
#
# In `chain_broadcast`, rank 0 sends to rank 1, rank 1 to rank 2, and so on. The array
# is split into k segments that follow one another. This takes the time
# (p - 2 + k) (alpha + n/k beta): you find the best k. For 1 MB, this is faster than
# the broadcast "ring" of minipar from 3 to 26 ranks.

# %% [markdown]
# ## 6 · On this machine (optional)
#
# Measure alpha and beta with a ping-pong between two ranks, let the formulas say
# where tree and ring cross, then race them. These are seconds of a real clock.
#
# The formulas assume p links that do not disturb each other. But ranks on one
# machine share its memory, threads share the interpreter, too, and more ranks
# than cores wait for one another. So look how far the crossing has moved.

# %%
links = lesson.run(measure_links, ranks=2)[0]
fitted = Links(links["alpha"], links["beta"], links["gamma"])
assert fitted.alpha > 0 and fitted.beta > 0, "every message takes time"


def raced(comm, sizes):
    """Median seconds by algorithm and bytes, of the slowest rank."""
    times = {name: {} for name in TIMES}
    for nbytes in sizes:
        array, turns = np.zeros(nbytes // 8), {name: [] for name in TIMES}
        for _ in range(7):
            for name, taken in turns.items():
                comm.barrier(label="start")
                start = time.perf_counter()
                mp.all_reduce(comm, array, label="race", out=array,
                              algorithm=name)
                mine = np.array([time.perf_counter() - start])
                slowest = mp.all_reduce(comm, mine, "max", label="slowest",
                                        algorithm="tree")
                taken.append(float(slowest[0]))
        for name, taken in turns.items():
            times[name][nbytes] = median(taken)
    return times


# %%
SIZES = [1 << power for power in range(6, 23, 2)]   # 64 bytes to 4 MiB
race = lesson.run(raced, SIZES)[0]
faster = [n for n in SIZES if race["ring"][n] < race["tree"][n]]
ranks = f"{p} {'processes' if lesson.mpi else 'threads'}"
at = float(fitted.alpha / fitted.beta) * (p - 1 - log) / (log - (p - 1) / p)
lesson.say(f"  {ranks}: alpha {1e6 * links['alpha']:.1f} us, beta "
           f"{1e9 * links['beta']:.2f} ns per byte",
           f"  the ring should overtake the tree at {at:,.0f} bytes",
           "  it was faster at "
           + (", ".join(f"{n:,}" for n in faster) or "none"))
lesson.table(("bytes", *(f"{name}, us" for name in TIMES)),
             *((f"{n:,}", *(f"{1e6 * race[name][n]:.0f}" for name in TIMES))
               for n in SIZES))
lesson.picture(draw_race(race, ranks), "_race")
