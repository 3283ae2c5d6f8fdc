# %% [markdown]
# # 15 · Layer parallel and pipeline parallel: share out the layers
#
# A model does not fit on one machine. Lesson 14 splits every weight, but then each
# rank sends 34 GB per step, too much for the network between two machines. What
# can be split so that little travels?
#
# The *layers*. Rank 0 gets the first layers, rank 1 the next ones, and so on. The
# layers of one rank are called its **stage**:
#
#     rank 0          rank 1          rank 2          rank 3
#     layers 0, 1     layers 2, 3     layers 4, 5     layers 6, 7
#           -- activations ->  -- activations ->  -- activations ->  loss
#           <- gradient ------ <- gradient ------ <- gradient ------
#
# Only one tensor travels at each boundary, in each direction. But there is a
# problem, and this lesson is about it: how do you keep all ranks busy?
#
# You need lesson 0 (send, receive, deadlock). The core path takes 45 minutes;
# sections marked "(optional)" do not belong to it.
#
# Run me: `minipar lesson teach 15` (step by step), `minipar lesson run 15` (at
# once), or under `mpirun -n 4 python lessons/15_pipeline_parallel.py`.

# %%
from fractions import Fraction

import numpy as np
from minipar.lessons.plots.pipeline_parallel import (
    draw_bubbles,
    draw_executed,
    draw_schedules,
)
from minipar.lessons.support.dense import error
from minipar.lessons.support.lesson import Lesson, refusal
from minipar.lessons.support.pipelines import branches, pipelined

# %%
import minipar as mp
from minipar.comm.wrappers.counting import Counting
from minipar.comm.wrappers.network import Network
from minipar.data.tokenizer import ByteTokenizer
from minipar.parallel.stages import parts_of
from minipar.plan.collectives import ring_all_reduce
from minipar.rng import stream
from minipar.schedules.costs import Costs
from minipar.schedules.footprint import peak_activations
from minipar.schedules.generators import make_schedule
from minipar.schedules.instruction import Instruction, Schedule
from minipar.schedules.lower import Receive, Send, lower
from minipar.trace.predict import predicted
from minipar.trace.step import trace_step

lesson = Lesson("15_pipeline_parallel")
p = lesson.size
assert p > 1, "a pipeline needs two ranks or more: mpirun -n 4"

# %% [markdown]
# ## 1 · One after the other
#
# Four ranks with one stage each. A forward (F) takes 1 unit of time, a backward
# (B) takes 2. Stage 1 can start when stage 0 has sent its activations, and so on:
#
#     time     0  1  2  3  4  5  6  7  8  9  10 11
#     rank 0   F                             B  B
#     rank 1      F                    B  B
#     rank 2         F           B  B
#     rank 3            F  B  B
#
# This is **layer parallelism**. `mp.simulate` computes such a table from a list of
# what each rank does.

# %%
# 4 ranks, 1 piece of work; section 4 explains "gpipe".
# makespan: the time of the whole step; bubble(): the share spent waiting
by_layers = mp.simulate(make_schedule("gpipe", 4, 1))
lesson.predict("What percentage of the time does a rank compute?")
lesson.reveal(float(100 * (1 - by_layers.bubble())), "%")
lesson.say(f"  a step takes {by_layers.makespan} units; one process, 12")
assert by_layers.makespan == 12 == 4 * (1 + 2), \
    "four ranks are as slow as one: only one of them computes at a time"

# %% [markdown]
# The time in which ranks wait is called the **bubble**. Here it is 3/4. So layer
# parallelism saves memory, but no time.

# %% [markdown]
# ## 2 · Layer parallel by hand
#
# We need only send and receive. `parts_of` gives each rank its part of the layers,
# and `mp.GPT(..., part=part)` makes a model of these layers only. Only the last rank
# has a loss. The others start backward with the gradient that they receive:
# `mp.backward(out, gradient)`.
#
# There is one exception to "only one tensor travels". In this model the last
# layer, the head, uses the same table of weights as the first layer, the token
# embedding. We say they are *tied*. The first and the last rank both have that table.
# Its gradient is the sum of their two gradients.

# %%
N, T, D = max(8, 2 * p), 6, 12                  # samples, tokens, width
MODEL = mp.ModelConfig(vocabulary=17, context=T, layers=2 * p, heads=2,
                       width=D)
INPUTS, TARGETS = stream(0, "tokens").integers(
    0, MODEL.vocabulary, (2, N, T))


def layer_parallel(world):
    """The gradients of this rank's layers; bytes sent, by label."""
    comm = Counting(world)
    part = parts_of(MODEL.layers, comm.size)[comm.rank]
    model = mp.GPT(MODEL, dtype=np.float64, part=part)
    x, buffer = INPUTS, np.empty((N, T, D))
    if not part.first:
        comm.recv(buffer, comm.rank - 1, label="activations")
        x = mp.Tensor(buffer, requires_grad=True)
    if part.last:
        mp.backward(model.loss(x, TARGETS))
    else:
        out = model(x)
        comm.send(out.data, comm.rank + 1, label="activations")
        g = comm.recv(np.empty((N, T, D)), comm.rank + 1, label="gradient")
        mp.backward(out, g)
    if not part.first:
        comm.send(x.grad, comm.rank - 1, label="gradient")
    # a group of the first and the last rank; None on the others
    ends = comm.split(0 if part.first or part.last else None, label="ends")
    if ends is not None:
        (tied,) = [q for q in model.parameters()
                   if q.name == "tokens.weight"]
        tied.grad = mp.all_reduce(ends, tied.grad, label="tied table")
    sent = {label: tally.bytes for (label,), tally
            in comm.traffic.by("label").items() if label != "ends"}
    return {q.name: q.grad for q in model.parameters()}, sent


# %%
lesson.predict("At the end, which gradients of weights travel?",
               ["those of all weights", "only the tied table's"])
single = mp.GPT(MODEL, dtype=np.float64)
mp.backward(single.loss(INPUTS, TARGETS))
EXPECTED = {q.name: q.grad for q in single.parameters()}
by_hand = lesson.run(layer_parallel)
worst = max(error(grad, EXPECTED[name]) for grads, _ in by_hand
            for name, grad in grads.items())
lesson.reveal("only the tied table's")
LABELS = ("activations", "gradient", "tied table")
lesson.table(("bytes sent by", *LABELS),
             *((f"rank {r}", *(sent.get(label, 0) for label in LABELS))
               for r, (_, sent) in enumerate(by_hand)))
lesson.say(f"  {len(EXPECTED)} gradients, off by {worst:.1e} at most")
assert {name for grads, _ in by_hand for name in grads} == set(EXPECTED), \
    "each layer is on some rank: look at parts_of"
assert worst < 1e-12, \
    "all gradients are one process's: look at the table that two ranks have"
for r, (_, sent) in enumerate(by_hand):         # * (r > 0): 0 if r is 0
    assert sent.get("activations", 0) == 8 * N * T * D * (r < p - 1) \
        and sent.get("gradient", 0) == 8 * N * T * D * (r > 0) \
        and ("tied table" in sent) == (r in (0, p - 1)), \
        "one tensor each way at each boundary, and the table of the ends"

# %% [markdown]
# **Break it.** Leave out the sum for the tied table: replace the call of
# `mp.all_reduce` by `tied.grad`. Which gradients are wrong, and on which ranks?

# %% [markdown]
# ## 3 · Micro-batches
#
# The ranks wait because there is only one piece of work. So split the batch into
# m **micro-batches**: while stage 1 works on the first, stage 0 takes the second.
# Here are p = 4 ranks and m = 4 micro-batches. One character is one unit of time. A
# digit is the number of a micro-batch: 0123 are four forwards, 00112233 are four
# backwards of two units each. A dot means that the rank waits:
#
#     rank 0   0123.........00112233
#     rank 1   .0123......00112233..
#     rank 2   ..0123...00112233....
#     rank 3   ...012300112233......
#
# Each rank works for 3 m units. The last rank waits for p - 1 forwards before it
# starts. When it has finished, p - 1 backwards follow on the other ranks. So the step
# takes (p - 1) (1 + 2) = 3 (p - 1) units more than 3 m:
#
#     makespan (time of the step)    3 (m + p - 1)
#     busy (share of the makespan)   m / (m + p - 1)
#     bubble (the other share)       (p - 1) / (m + p - 1)

# %%
lesson.predict("Four stages: how many micro-batches keep ranks 90 % busy?")
lesson.reveal(next(m for m in range(1, 99) if 10 * m >= 9 * (m + 3)))
MS = (1, 4, 8, 32)
times = {m: mp.simulate(make_schedule("gpipe", 4, m)) for m in MS}
lesson.table(("micro-batches", "makespan", "busy", "speed-up"),
             *((m, t.makespan, float(1 - t.bubble()),
                float(12 * m / t.makespan)) for m, t in times.items()))
assert [1 - t.bubble() for t in times.values()] == [
    Fraction(m, m + 3) for m in MS], "busy is m / (m + p - 1), exactly"
assert all(t.makespan == 3 * (m + 3) for m, t in times.items()), \
    "p - 1 = 3 forwards and 3 backwards fill and empty the pipeline"

# %% [markdown]
# ## 4 · A schedule is a list
#
# A **schedule** says in which order each rank computes its forwards and backwards.
# It is a list of instructions for each rank. Two famous ones:
#
# * **GPipe** (Huang et al. 2019): all forwards, then all backwards;
# * **1F1B** (PipeDream, Narayanan et al. 2019): after a few forwards to warm up,
#   one backward follows each forward.
#
# Rank 2 of 4, with m = 4:
#
#     GPipe   F0 F1 F2 F3 B0 B1 B2 B3
#     1F1B    F0 F1 B0 F2 B1 F3 B2 B3
#
# From F of a micro-batch until its B, the rank must keep the activations of this
# micro-batch.

# %%


def gpipe(rank, m, p):
    return [Instruction("F", rank, i) for i in range(m)] + [
        Instruction("B", rank, i) for i in range(m)]


def one_f_one_b(rank, m, p):
    F, B = ([Instruction(kind, rank, i) for i in range(m)] for kind in "FB")
    warm = min(p - 1 - rank, m)
    order = F[:warm]
    for i in range(m - warm):
        order += [F[warm + i], B[i]]
    return order + B[m - warm:]


def schedule_of(name, order, p, m):
    return Schedule(name, m, stage_to_rank=tuple(range(p)),
                    orders=tuple(tuple(order(r, m, p)) for r in range(p)))


lesson.predict("1F1B, 4 ranks, m = 8: rank 0 keeps the activations of how "
               "many micro-batches at once?")
mine = {order.__name__: schedule_of(order.__name__, order, 4, 8)
        for order in (gpipe, one_f_one_b)}
lesson.reveal(peak_activations(mine["one_f_one_b"])[0])
lesson.table(("schedule", "makespan", "kept at once, ranks 0 to 3"),
             *((name, mp.simulate(s).makespan, peak_activations(s))
               for name, s in mine.items()))
assert all(mine[my].orders == make_schedule(its, 4, 8).orders for my, its in
           (("gpipe", "gpipe"), ("one_f_one_b", "1f1b"))), \
    "your lists are minipar's: compare the orders of one rank"
assert peak_activations(mine["gpipe"]) == [8] * 4, \
    "GPipe keeps all m: no backward frees any before the last forward"
assert peak_activations(mine["one_f_one_b"]) == [4, 3, 2, 1], \
    "1F1B keeps min(m, p - rank): look at `warm`"

# %% [markdown]
# ## 5 · Run them
#
# One function runs all schedules (`pipelined` in `support/pipelines.py`): it goes
# through the list of its rank, and sends and receives where a stage ends. Two more
# schedules to compare with:
#
# * **naive**: each micro-batch goes forward and back before the next one starts.
#   This is the layer parallelism of section 1;
# * **ZB-H1** (Qi et al. 2023): backward is split into B and W, of one unit each. B
#   computes the gradient of the input, for which the rank before waits. W computes
#   the gradient of the weights. No rank waits for it, so W can run in a bubble.

# %%
SCHEDULES = {name: make_schedule(name, p, 8)
             for name in ("naive", "gpipe", "1f1b", "zb-h1")}
lesson.predict("In what do GPipe and 1F1B differ?",
               ["gradients", "time", "memory", "bytes sent"])
runs = {name: lesson.run(pipelined, MODEL, INPUTS, TARGETS, schedule)
        for name, schedule in SCHEDULES.items()}
off = {name: max(error(grad, EXPECTED[key]) for grads, *_ in ranks
                 for key, grad in grads.items())
       for name, ranks in runs.items()}
sim = {name: mp.simulate(schedule) for name, schedule in SCHEDULES.items()}
kept = {name: [most for *_, most in ranks] for name, ranks in runs.items()}
lesson.reveal("memory" if kept["gpipe"] != kept["1f1b"] else "nothing")

# %%
lesson.table(("schedule", "makespan", "bubble", "off by", "kept, by rank",
              "bytes of rank 0"),
             *((name, sim[name].makespan, float(sim[name].bubble()),
                off[name], kept[name], ranks[0][1])
               for name, ranks in runs.items()))
lesson.picture(draw_schedules([mp.simulate(make_schedule(name, p, 6))
                               for name in SCHEDULES]))
assert max(off.values()) < 1e-12, \
    "every schedule computes one process's gradients"
assert all(np.array_equal(grad, other[key])
           for (grads, *_), (other, *_) in zip(runs["gpipe"], runs["1f1b"],
                                               strict=True)
           for key, grad in grads.items()), \
    "GPipe and 1F1B add in the same order, so that their bits are equal"
assert all(kept[name] == peak_activations(SCHEDULES[name])
           for name in SCHEDULES), \
    "each rank keeps what its list says: compare with peak_activations"
assert kept["1f1b"] == [min(8, p - s) for s in range(p)], \
    "1F1B keeps min(m, p - rank)"
assert sim["naive"].bubble() > sim["1f1b"].bubble() \
    > sim["zb-h1"].bubble(), "the schedule decides how long ranks wait"

# %% [markdown]
# ## 6 · What it costs
#
# * **Time**: the bubble, (p - 1)/(m + p - 1) with GPipe and 1F1B.
# * **Memory**: 1/p of the weights, and activations of up to p micro-batches.
# * **Messages**: at a boundary, b T D numbers each way (b samples of T tokens, width
#   D). Tensor parallelism sums as many numbers four times in *every layer*.
#
# And one request to the model (forward only) is not answered sooner. Say the
# model takes 24 ms on one device. Each of four devices has a quarter of the layers,
# and a message takes 0.1 ms.

# %%
lesson.predict("After how many ms do the four devices answer one request?")
costs = Costs(F=6, message=Fraction(1, 10))
one, full = (mp.simulate(make_schedule("inference", 4, n), costs)
             for n in (1, 1000))
lesson.reveal(float(one.makespan), "ms")
# tensor parallel: 8 bytes per number, 4 all-reduces per layer
tensor = 8 * 4 * MODEL.layers * ring_all_reduce(p, 0, N * T * D).elements
most_sent = max(sent for _, sent, _ in runs["1f1b"])
lesson.say(f"  1000 requests at once: {24_000 / float(full.makespan):.2f} "
           "times the throughput of one device",
           f"  bytes sent by a rank in our model: pipeline {most_sent}, "
           f"tensor parallel {tensor}", "")
MANY = (1, 2, 4, 8, 16, 32)                     # interleaved: section 9
bubbles = {name: {m: float(mp.simulate(make_schedule(name, p, m)).bubble())
                  for m in MANY}
           for name in ("naive", "gpipe", "1f1b", "interleaved", "zb-h1")}
lesson.picture(draw_bubbles(bubbles, p), "_bubble")
assert one.makespan > 24, \
    "a request passes four stages and three messages, one after the other"
assert 3.98 < 24_000 / full.makespan < 4, "a full pipeline keeps all busy"

# %% [markdown]
# ## 7 · The deadlock in 1F1B
#
# A send of MPI may return at once, or it may wait until the other rank receives.
# Small messages do the first, large ones the second. So a program that works on
# a toy can hang on a real model. In 1F1B, rank r sends its next activations to rank
# r + 1 while rank r + 1 sends a gradient to rank r. If both sends wait for a receive,
# both ranks wait for ever.
#
# Below we send the messages of a schedule, and compute nothing. `lower` adds sends
# and receives to the lists of section 4. With `wait=True`, each send waits for its
# receive. With `wait=False`, `isend` starts the send and lets the rank go on.
# `synchronous=True` makes threads treat small messages like large ones. `mp.lint`
# finds out from the list alone whether a schedule can hang: `safe_sync` is true if
# it ends even though all sends wait.

# %%


def plain_sends(comm, schedule, wait):
    open_sends = []
    for step in lower(schedule)[comm.rank]:
        if isinstance(step, Receive):
            comm.recv(np.empty(3), step.peer, label=str(step.message))
        elif isinstance(step, Send) and wait:
            comm.send(np.zeros(3), step.peer, label=str(step.message))
        elif isinstance(step, Send):
            open_sends.append(comm.isend(np.zeros(3), step.peer,
                                         label=str(step.message)))
    for request in open_sends:
        comm.wait(request)


def outcome(schedule, wait):
    """The error that stops the ranks, or "" if they all end."""
    return refusal(lambda: mp.run(p, plain_sends, schedule, wait,
                                  synchronous=True))


# %%
lesson.predict("Which schedule hangs, if sends wait?",
               ["GPipe", "1F1B", "both", "neither"])
told = {name: outcome(schedule, wait=True)
        for name, schedule in SCHEDULES.items()}
hangs = [bool(told["gpipe"]), bool(told["1f1b"])]
lesson.reveal(["neither", "1F1B", "GPipe", "both"][hangs[0] * 2 + hangs[1]])
lesson.table(("schedule", "lint: safe", "run: ends"),
             *((name, mp.lint(schedule).safe_sync, not told[name])
               for name, schedule in SCHEDULES.items()))
lesson.wrapped(told["1f1b"])
assert all((told[name] == "") == mp.lint(schedule).safe_sync
           for name, schedule in SCHEDULES.items()), \
    "lint and run agree on each schedule: compare the two columns"
assert told["gpipe"] == "" and "a cycle of waiting" in told["1f1b"], \
    "in 1F1B two neighbours send to each other at the same time"
assert outcome(SCHEDULES["1f1b"], wait=False) == "", \
    "with isend a rank goes on to its receive, and nobody waits for ever"

# %% [markdown]
# **Break it.** In `plain_sends`, put `comm.wait(request)` right behind the `isend`.
# Is `isend` then of any use?

# %% [markdown]
# ## 8 · Exercises
#
# Chapter 6 of `minipar exercise list`:
#
# * `gpipe_as_a_list`, `one_f_one_b`: the two lists of section 4;
# * `predict_bubble`: bubbles before you run;
# * `sends_that_wait`: find the deadlock of section 7;
# * `tied_embeddings`: the sum of section 2;
# * `interleaved`: two stages for each rank, as in section 9;
# * `fill_a_zero_bubble`: use W to fill bubbles;
# * `uneven_stages`: stages that are not equal, as in section 10.

# %% [markdown]
# ## 9 · Two stages for each rank (optional)
#
# Rank r gets stages r and p + r, each half as long. Filling the pipeline then
# takes half as long, too. The bubble falls to (p - 1)/(2 m + p - 1), for twice as
# many messages.
#
# The orders below are legal and slow. `minipar exercise start interleaved` (chapter
# 6) asks for better ones: they have that bubble, and rank 0 keeps at most 3 p - 1
# activations for any number of micro-batches m that p divides. You can try yours in
# the cell, too. Two good schedules have names: looped BFS has that bubble, and
# interleaved 1F1B has that bubble and also needs little memory.

# %%
def try_schedule(schedule):
    """The bubble, and what rank 0 keeps; an error if it is not legal."""
    mp.lint(schedule)
    for grads, _, _ in lesson.run(pipelined, MODEL, INPUTS, TARGETS,
                                  schedule):
        assert all(error(grad, EXPECTED[name]) < 1e-12
                   for name, grad in grads.items()), \
            "gradients are one process's: look for a missing instruction"
    return mp.simulate(schedule).bubble(), peak_activations(schedule)[0]


# %%
def two_stages_each(p, m):
    orders = [[Instruction(kind, stage, micro)
               for micro in range(m) for kind in "FB"
               for stage in ((r, p + r) if kind == "F" else (p + r, r))]
              for r in range(p)]
    return Schedule("mine", m, stage_to_rank=tuple(range(p)) * 2,
                    orders=tuple(map(tuple, orders)))


bubble, keeps = try_schedule(two_stages_each(p, 2 * p))
lesson.say(f"  bubble {float(bubble):.3f}, to become "
           f"{(p - 1) / (5 * p - 1):.3f}; rank 0 keeps {keeps}, "
           f"to become {3 * p - 1} at most")
assert bubble >= Fraction(p - 1, 5 * p - 1), \
    "no order of these stages has a smaller bubble; yours may reach it"

# %% [markdown]
# ## 10 · Is the simulator right? (optional)
#
# The simulator never sees a model. So let the executor run real training steps,
# with real messages, on ranks with a virtual clock. F takes 1 unit and B takes 2. In
# ZB-H1, B and W take 1 each. Every instruction must start exactly when the simulator
# says.

# %%
TEXT = stream(2, "text").integers(0, MODEL.vocabulary, 2000)
TRAIN = mp.TrainConfig(batch=N, micro_batches=8)


def as_simulated(comm, name):
    """On rank 0: True if a step took the simulated times. Else None."""
    units = {"F": 1, "B": 1 if SCHEDULES[name].split else 2, "W": 1}
    trace = trace_step(
        comm, mp.Layout(pp=comm.size, pipeline=name), MODEL, TRAIN,
        ByteTokenizer(), TEXT, Network(0, 0), 1.0,
        lambda instruction: units[instruction.kind])
    return trace and (trace.measured == mp.simulate(SCHEDULES[name]))


exact = {name: lesson.run(as_simulated, name)[0] for name in SCHEDULES}
lesson.table(("schedule", "executed, virtual clock: as simulated"),
             *exact.items())
assert all(exact.values()), \
    "simulated and executed times are equal, instruction by instruction"

# %% [markdown]
# Real stages are not equal: the last one has the head as well. The slowest stage
# sets the pace. Say one of four takes 3, and the others 1.

# %%
lesson.predict("Stages of 3, 1, 1 and 1: how many times as fast as one "
               "process can they be?")
uneven = Costs(F=[3, 1, 1, 1], B=[3, 1, 1, 1], W=[3, 1, 1, 1])
faster = {name: [18 * m / mp.simulate(
    make_schedule(name, 4, m), uneven).makespan for m in (1, 8, 1000)]
          for name in ("gpipe", "1f1b", "zb-h1")}
lesson.reveal(float(max(map(max, faster.values()))))
lesson.table(("schedule", "1 micro-batch", "8", "1000"),
             *((name, *map(float, found))
               for name, found in faster.items()))

BIG = mp.ModelConfig(vocabulary=256, context=16, layers=2 * p, heads=2,
                     width=32)
NETWORK = Network(alpha=2e-6, beta=1e-9)


def executed(comm):
    text = stream(2, "text").integers(0, BIG.vocabulary, 2000)
    return trace_step(comm, mp.Layout(pp=comm.size), BIG, TRAIN,
                      ByteTokenizer(), text, NETWORK, 1e9)


trace = lesson.run(executed)[0]
expected = predicted(trace, NETWORK, message=4 * BIG.context * BIG.width)
ran = trace.measured
lesson.table(("1F1B, a real model", "ms", "bubble"),
             *((name, 1e3 * float(t.makespan), float(t.bubble()))
               for name, t in (("predicted", expected),
                                 ("executed, virtual clock", ran))))
lesson.picture(draw_executed(ran), "_executed")

# %% [markdown]
# ## 11 · What the documents say (optional)
#
# Covers: A13 A14 A25 A38 N27 N28 N62 E33 E34 E35
#
# Model parallelism (模型并行) splits the model. 001 describes the split by layers
# twice: as layer parallelism (层并行, A13, 3.2) and as pipeline parallelism
# (管道并行, A14, 3.3; elsewhere 流水线并行), with the same six steps. Neither has
# micro-batches (微批次), without which there is no pipeline. There are no formulas.
#
# * A13 E33: all steps are right except the sixth, "sum the gradients of all
#   devices" (R3 in ERRATA.md). A layer's gradient is complete on its rank; only a
#   tied table's is a sum. Section 2.
# * A14 E34: without micro-batches, 3.3 describes the same as 3.2, and all schedules
#   are equal.
# * N27 (3.2): it "speeds inference up" (提高推理速度). Wrong (R5): a request takes
#   24.3 ms instead of 24. What grows is the throughput.
# * N28 (3.3): little traffic (通信开销相对较小), and waiting. This is right if you
#   compare with tensor parallelism. But a pipeline sends as many bytes as layer
#   parallelism (R5).
# * A38 N62 (004, 3.3.3): coordinate, to make best use of the devices
#   (协调…以最大限度地利用). Only 004 says that coordination is needed. A schedule
#   (流水线调度) does it. The rest of the time is the bubble (气泡).

# %%
makespans = [t.makespan for t in times.values()]
used = [1 - t.bubble() for t in times.values()]
assert worst < 1e-12 and len(EXPECTED) == len(
    {name for grads, _ in by_hand for name in grads}), \
    "A13 E33: layers on p ranks have the gradients of one process"
assert all(sent.get("activations", 0) == 8 * N * T * D * (r < p - 1)
           and sent.get("gradient", 0) == 8 * N * T * D * (r > 0)
           and ("tied table" in sent) == (r in (0, p - 1))
           for r, (_, sent) in enumerate(by_hand)), \
    "A13 E33: of the weight gradients only the tied table's travels (R3)"
assert all(make_schedule("gpipe", p, 1).orders
           == make_schedule(name, p, 1).orders
           for name in ("naive", "1f1b")), \
    "A14: with one micro-batch no schedule differs from any other"
assert one.makespan == Fraction(243, 10) \
    and 1 - one.bubble() == Fraction(240, 972), \
    "N27: latency 24 -> 24.3 ms, busy 1/4 less the messages' time (R5)"
assert 3.98 < 24_000 / full.makespan < 4, \
    "N27: throughput grows fourfold, while requests fill the pipeline"
assert makespans == [12, 21, 33, 105] \
    and f"{12 * 8 / makespans[2]:.2f}" == "2.91", \
    "N28: m = 1 gains nothing; with m = 8 four ranks are 2.91 times as fast"
assert used == [Fraction(m, m + 3) for m in MS] \
    and [f"{float(u):.3f}" for u in used] \
    == ["0.250", "0.571", "0.727", "0.914"], \
    "N62: busy is m / (m + p - 1): .25, .571, .727, .914"

# %%
assert all(sent == by_hand[r][1].get("activations", 0)
           + by_hand[r][1].get("gradient", 0) for ranks in runs.values()
           for r, (_, sent, _) in enumerate(ranks)), \
    "N28: a pipeline sends the bytes of layer parallelism in m pieces (R5)"
assert tensor > 10 * most_sent, \
    "N28: against tensor parallelism, pipelines send little"
assert max(off.values()) < 1e-12, \
    "E34: every schedule has the gradients of one process"
assert [mp.simulate(make_schedule("1f1b", 4, m)).makespan for m in MS] \
    == makespans, "E34: GPipe and 1F1B take the same time"
assert [peak_activations(make_schedule(name, 4, 8)) for name
        in ("gpipe", "1f1b")] == [[8, 8, 8, 8], [4, 3, 2, 1]], \
    "E34: GPipe keeps m, 1F1B min(m, p - rank)"
assert sim["naive"].bubble() > sim["1f1b"].bubble() \
    > sim["zb-h1"].bubble(), "A38: the schedule decides how long ranks wait"
assert all(exact.values()), \
    "N62: the simulated times are those of the executed step"
assert max(map(max, faster.values())) == faster["1f1b"][1] == 2.0, \
    "N62: stages of 3, 1, 1, 1 are twice as fast as one process, no more"

# %% [markdown]
# ### Parts side by side
#
# A25 E35 (004, 3.3.2; 002, 2.3.2): split the model into parts, "layers or modules"
# (层或模块), each device computes a part in parallel (并行计算), and data is passed
# on. Layers and modules are different here. A layer waits for the layer before it.
# Modules with the same input, here MLPs whose outputs are added, compute at the same
# time. (Attention heads are such modules: lesson 14.)

# %%
X, G = (stream(1, name).normal(size=(N, T, D)) for name in ("x", "dL/dy"))
((y, dx, weights),) = lesson.run(branches, MODEL, p, X, G, ranks=1)
side = max(error(got, right)
           for mine in lesson.run(branches, MODEL, p, X, G)
           for got, right in [(mine[0], y), (mine[1], dx),
                              *((grad, weights[name])
                                for name, grad in mine[2].items())])
lesson.say(f"  {p} modules side by side: off by {side:.1e} at most")
assert side < 1e-12, \
    "A25 E35: modules side by side compute at once; outputs are summed"
