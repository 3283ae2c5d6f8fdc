# %% [markdown]
# # 15 · Layer parallel and pipeline parallel: share out the layers, then keep everyone busy
#
# Covers: A13 A14 A25 A38 N27 N28 N62 E33 E34 E35
#
# Model parallelism (模型并行) cuts the model. Lesson 14 cut every weight; here whole layers go to different ranks. Stage s has
# some consecutive layers, passes activations to stage s + 1, and gets a gradient back.
#
# 001 describes this twice: as layer parallelism (层并行, 3.2) and as pipeline parallelism (管道并行, 3.3; elsewhere 流水线并行),
# with the same six steps. What makes a pipeline of it is in neither: the batch is cut, too, into micro-batches (微批次). Of the
# five documents only 004 (3.3.3) says that somebody has to decide who works when: a schedule (流水线调度).
#
# Errors of the documents that turn up here: R5, and R3 once more.
#
# Run me: `python lessons/15_pipeline_parallel.py` (four threads), under `mpirun -n 4` or `-n 2`, or cell by cell in an editor.

# %%
from fractions import Fraction
from textwrap import fill

import numpy as np
from minipar.lessons.plots.pipeline_parallel import draw_pipeline_parallel
from minipar.lessons.support.dense import error
from minipar.lessons.support.lesson import Lesson, refusal
from minipar.lessons.support.pipelines import branches, pipelined

import minipar as mp
from minipar.comm.wrappers.counting import Counting
from minipar.comm.wrappers.network import Network
from minipar.data.tokenizer import ByteTokenizer
from minipar.parallel.stages import parts_of
from minipar.plan.collectives import ring_all_reduce
from minipar.plots.trace import draw_timelines
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
assert p > 1, "a pipeline needs two ranks or more: mpirun -n 2"

N, T, D = max(8, 2 * p), 6, 12                                      # samples, tokens, width
# its head is the token table: tied
MODEL = mp.ModelConfig(vocabulary=17, context=T, layers=2 * p, heads=2, width=D)
INPUTS, TARGETS = stream(0, "tokens").integers(0, MODEL.vocabulary, (2, N, T))


# %% [markdown]
# ## 1 · Parts side by side
#
# 004 (3.3.2) and 002 (2.3.2): split the model into parts, "layers or modules" (层或模块); each device computes a part, in
# parallel (并行计算); pass the data on. That is two different things. Modules that stand side by side, here MLPs whose outputs are
# added, really do compute at the same time. (Attention heads are such modules, so this is lesson 14 once more.) `branches` in
# `support/pipelines.py` runs them.

# %%
X, G = (stream(1, name).normal(size=(N, T, D)) for name in ("x", "dL/dy"))
((y, dx, of_branches),) = lesson.run(branches, MODEL, p, X, G, ranks=1)
worst = max(error(got, expected) for mine in lesson.run(branches, MODEL, p, X, G) for got, expected in
            [(mine[0], y), (mine[1], dx), *((grad, of_branches[name]) for name, grad in mine[2].items())])
lesson.say(f"1 · {p} modules side by side on {p} ranks: y, dx and all gradients are right to {worst:.1e}", "")
assert worst < 1e-12, "A25 E35: modules side by side are computed at once, and their outputs summed"

# %% [markdown]
# ## 2 · Parts in a row: layer parallel, by hand
#
# Layers stand one behind the other, and each needs what the one before it has made. Here are the six steps of 001 (3.2).
#
# Step 6 is R3 again: "sum the gradients of all devices". The gradient of a layer is complete on the rank that has the layer,
# and no other rank has a part of it. There is one exception, which 001 does not mention. Where the head is the token table, the
# first stage and the last both have that weight, and its gradient is the sum of theirs.
#
# **Break it on purpose:** leave that sum out: in the line `tied.grad = ...` below, write `tied.grad` for the all-reduce.

# %%


def layer_parallel(world: mp.Communicator) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """The gradients of this rank's layers, and what it sends: bytes by label."""
    comm = Counting(world)
    part = parts_of(MODEL.layers, comm.size)[comm.rank]             # steps 1 to 3: which layers
    model = mp.GPT(MODEL, dtype=np.float64, part=part)
    x = INPUTS
    if not part.first:                                              # step 4: forward, device to device
        x = mp.Tensor(comm.recv(np.empty((N, T, D)), comm.rank - 1, label="activations"), requires_grad=True)
    out = model.loss(x, TARGETS) if part.last else model(x)
    if part.last:
        mp.backward(out)
    else:
        comm.send(out.data, comm.rank + 1, label="activations")
        mp.backward(out, comm.recv(np.empty((N, T, D)), comm.rank + 1, label="gradient"))    # step 5: and back
    if not part.first:
        comm.send(x.grad, comm.rank - 1, label="gradient")
    ends = comm.split(0 if part.first or part.last else None, label="ends")
    if ends is not None:                                            # all that is left of step 6
        (tied,) = [q for q in model.parameters() if q.name == "tokens.weight"]
        tied.grad = mp.all_reduce(ends, tied.grad, label="tied table")
    sent = {label: tally.bytes for (label,), tally in comm.traffic.by("label").items() if label != "ends"}
    return {q.name: q.grad for q in model.parameters()}, sent


alone = mp.GPT(MODEL, dtype=np.float64)
mp.backward(alone.loss(INPUTS, TARGETS))
EXPECTED = {q.name: q.grad for q in alone.parameters()}
by_hand = lesson.run(layer_parallel)
worst = max(error(grad, EXPECTED[name]) for grads, _ in by_hand for name, grad in grads.items())
lesson.say(f"2 · layer parallel: {len(EXPECTED)} parameters have the gradients of one process to "
           f"{worst:.1e}; bytes sent:")
LABELS = ("activations", "gradient", "tied table")
lesson.table(("rank", *LABELS), *((r, *(sent.get(label, 0) for label in LABELS)) for r,
                                  (_, sent) in enumerate(by_hand)))
assert {name for grads, _ in by_hand for name in grads} == set(EXPECTED) and worst < 1e-12, \
    "A13 E33: layers on p ranks have the gradients of one process"
assert all(
    sent.get("activations", 0) == 8 * N * T * D * (r < p - 1)
    and sent.get("gradient", 0) == 8 * N * T * D * (r > 0)
    and ("tied table" in sent) == (r in (0, p - 1))
    for r, (_, sent) in enumerate(by_hand)
), "A13 E33: one tensor each way at each boundary; of the weight gradients only the tied table's travels (R3)"

# %% [markdown]
# ## 3 · R5: it is not faster
#
# 001 (3.2): layer parallelism "speeds inference up" (提高推理速度). A model takes 24 ms; four devices have a quarter of it each; a
# message takes 0.1 ms. **Predict** after how many milliseconds one request is answered. And how much of their time do the four
# devices work?

# %%
one = mp.simulate(make_schedule("inference", 4, 1), Costs(F=6, message=Fraction(1, 10)))
full = mp.simulate(make_schedule("inference", 4, 1000), Costs(F=6, message=Fraction(1, 10)))
lesson.say(
    f"3 · one request: 24 ms on one device, {float(one.makespan)} ms on four, which work "
    f"{float(1 - one.bubble()):.3f} of "
    f"the time\n    1000 requests at once: {24 * 1000 / float(full.makespan):.2f} times the throughput",
    "",
)
assert one.makespan == Fraction(243, 10) and 1 - one.bubble() == Fraction(240, 972), \
    "N27: latency goes from 24 to 24.3 ms, at a utilisation of 1/4 less the messages' time (R5)"
assert 3.98 < 24_000 / full.makespan < 4, (
    "N27: what grows is throughput, fourfold, and only while requests fill the pipeline"
)

# %% [markdown]
# ## 4 · Micro-batches
#
# So cut the batch into m micro-batches: while stage 1 works on the first one, stage 0 takes the second one. Training goes through
# the stages twice, backward taking twice as long as forward. Each rank works for 3 m units of time. The last one begins after
# p - 1 forwards of the others, and after its last backward p - 1 more follow:
#
#     makespan       3 (m + p - 1)
#     utilisation    m / (m + p - 1), and the rest is the bubble (气泡)
#
# (GPipe, Huang et al. 2019: all forwards, then all backwards.) m = 1 is layer parallelism: **predict** where m must be on four
# stages for a utilisation of 90 %.

# %%
rows, makespans, used = [], [], []
for m in (1, 4, 8, 32):
    timeline = mp.simulate(make_schedule("gpipe", 4, m))
    makespans.append(timeline.makespan)
    used.append(1 - timeline.bubble())
    rows.append((m, timeline.makespan, f"{float(used[-1]):.3f}", f"{12 * m / timeline.makespan:.2f}"))
lesson.say("4 · four stages, GPipe")
lesson.table(("micro-batches", "makespan", "utilisation", "speed-up over one process"), *rows)
assert used == [Fraction(m, m + 3) for m in (1, 4, 8, 32)] and [row[2] for row in rows] == [
    "0.250",
    "0.571",
    "0.727",
    "0.914",
], "N62: utilisation is m / (m + p - 1): .25, .571, .727, .914"
assert makespans == [12, 21, 33, 105] and (rows[0][3], rows[2][3]) == ("1.00", "2.91"), (
    "N28: m = 1 gains nothing; with 8 micro-batches waiting takes 3/11 of the time, and four ranks are 2.91 times as fast"
)
assert all(make_schedule("gpipe", p, 1).orders == make_schedule(name, p, 1).orders
           for name in ("naive", "1f1b")), \
    "A14: without micro-batches the six steps of 3.3 are those of 3.2, and no schedule differs from any other"

# %% [markdown]
# ## 5 · Schedules
#
# A38: "coordinate, to make best use of the devices" (协调…以最大限度地利用). A schedule is a list of F and B for each rank:
#
#     naive    a micro-batch goes forward and back before the next one starts
#     GPipe    all forwards, then all backwards
#     1F1B     as soon as a gradient is there, backward goes first: a tape is freed before the next one is made
#     ZB-H1    backward in two: B, the gradient of the input, which others wait for, and W, the weights', which nobody waits for
#
# They are data; one executor runs all of them (`pipelined` in `support/pipelines.py`). **Predict** which of these are the same for
# all four: gradients, time, memory, bytes.

# %%
SCHEDULES = {name: make_schedule(name, p, 8) for name in ("naive", "gpipe", "1f1b", "zb-h1")}
runs = {name: lesson.run(pipelined, MODEL, INPUTS, TARGETS, schedule) for name, schedule in SCHEDULES.items()}
off = {name: max(error(grad, EXPECTED[key]) for grads, *_ in ranks for key, grad in grads.items())
       for name, ranks in runs.items()}
lesson.say(f"5 · 8 micro-batches on {p} ranks: simulated, and run")
lesson.table(("schedule", "makespan", "bubble", "gradients off by", "tapes at once, by rank",
              "bytes sent by rank 0"),
             *((name, mp.simulate(schedule).makespan, float(mp.simulate(schedule).bubble()), off[name],
                str([tapes for *_, tapes in runs[name]]), runs[name][0][1]) for name,
               schedule in SCHEDULES.items()))
assert max(off.values()) < 1e-12, "E34: every schedule has the gradients of one process"
assert all(np.array_equal(grad, other[key]) for (grads, *_),
           (other, *_) in zip(runs["gpipe"], runs["1f1b"], strict=True)
           for key, grad in grads.items()), "E34: GPipe and 1F1B add in the same order: the same bits"
assert [mp.simulate(make_schedule("1f1b", 4, m)).makespan
        for m in (1, 4, 8, 32)] == makespans, "E34: and they take the same time"
assert [peak_activations(make_schedule(name, 4, 8))
        for name in ("gpipe", "1f1b")] == [[8, 8, 8, 8], [4, 3, 2, 1]] \
    and all([tapes for *_, tapes in runs[name]] == peak_activations(SCHEDULES[name]) for name in SCHEDULES) \
    and [tapes for *_, tapes in runs["1f1b"]] == [min(8, p - s)
                                                  for s in range(p)], "E34: 1F1B keeps min(m, p - s), GPipe m"
assert all(sent == by_hand[r][1].get("activations", 0) + by_hand[r][1].get("gradient", 0)
           for ranks in runs.values() for r, (_, sent, _) in enumerate(ranks)), \
    "N28: a pipeline sends the bytes of layer parallelism, in m pieces: nothing is smaller about it (R5)"
assert (
    mp.simulate(SCHEDULES["naive"]).bubble()
    > mp.simulate(SCHEDULES["1f1b"]).bubble()
    > mp.simulate(SCHEDULES["zb-h1"]).bubble()
), "A38: the schedule decides how long devices wait"

# %% [markdown]
# 001 (3.3) is right that this is little traffic (通信开销相对较小), if it is held against tensor parallelism: a boundary carries
# b T D numbers each way in a step; tensor parallelism carries as many through an all-reduce, four times for every layer.

# %%
tensor = 4 * MODEL.layers * ring_all_reduce(p, 0, N * T * D).elements
lesson.say(f"    the same model by tensor parallelism: {8 * tensor} bytes sent by rank 0, in its "
           f"{MODEL.layers} layers alone", "")
assert 8 * tensor > 10 * max(sent for _, sent,
                             _ in runs["1f1b"]), "N28: against tensor parallelism, pipelines send little"

# %% [markdown]
# ## 6 · As simulated, so executed
#
# The simulator never sees a model. So let the executor run real steps, with real messages, on ranks that carry a clock: F takes 1
# unit, a whole B takes 2, and W takes 1 where it is apart. Every instruction starts when the simulator says, to the last digit.

# %%
TEXT = stream(2, "text").integers(0, MODEL.vocabulary, 2000)
TRAIN = mp.TrainConfig(batch=N, micro_batches=8)


def executed(comm: mp.Communicator, name: str) -> bool | None:
    """Whether a training step went as simulated; on rank 0, None elsewhere."""
    units = {"F": 1, "B": 1 if SCHEDULES[name].split else 2, "W": 1}
    trace = trace_step(comm, mp.Layout(pp=comm.size, pipeline=name), MODEL, TRAIN, ByteTokenizer(), TEXT,
                       Network(0, 0), 1.0, lambda instruction: units[instruction.kind])
    return trace and (trace.measured == mp.simulate(SCHEDULES[name]))


exact = {name: lesson.run(executed, name)[0] for name in SCHEDULES}
lesson.say("6 · executed, every instruction when the simulator says: "
           + ", ".join(f"{n} {ok}" for n, ok in exact.items()), "")
assert all(exact.values()), (
    "N62: the simulated times are those of the executed step, instruction by instruction"
)

# %% [markdown]
# ## 7 · Stages that are not equal
#
# The slowest stage sets the pace. Of four stages one takes 3 and the others take 1. **Predict** the speed-up for very many
# micro-batches; for equal stages it is 4.

# %%
uneven = Costs(F=[3, 1, 1, 1], B=[3, 1, 1, 1], W=[3, 1, 1, 1])
faster = {name: [18 * m / mp.simulate(make_schedule(name, 4, m), uneven).makespan for m in (1, 8, 1000)]
          for name in ("gpipe", "1f1b", "zb-h1")}
lesson.say("7 · stages of 3, 1, 1, 1: speed-up")
lesson.table(("schedule", "1 micro-batch", "8", "1000"), *((name, *found) for name, found in faster.items()))
assert max(map(max, faster.values())) == faster["1f1b"][1] == 2.0, \
    "N62: unbalanced stages 3, 1, 1, 1: a speed-up of 2.0 and no more"

# %% [markdown]
# ## 8 · The deadlock
#
# Run 1F1B with plain sends. A send of MPI may return at once, or it may wait until the other rank receives: small messages do the
# one, large ones the other. So a program that works on the toy hangs on the real model. In 1F1B a rank sends its next
# activations while the rank behind it sends the gradient: each waits for the other to receive. The order alone tells (`lint`);
# on threads that wait at every send, it happens. The executor of section 5 does not wait before it goes on.

# %%


def plain_sends(comm: mp.Communicator, schedule: Schedule, wait: bool) -> None:
    """The messages of a schedule without the computing; wait: for each send before going on."""
    open_sends = []
    for step in lower(schedule)[comm.rank]:
        if isinstance(step, Send) and wait:
            comm.send(np.zeros(3), step.peer, label=str(step.message))
        elif isinstance(step, Send):
            open_sends.append(comm.isend(np.zeros(3), step.peer, label=str(step.message)))
        elif isinstance(step, Receive):
            comm.recv(np.empty(3), step.peer, label=str(step.message))
    for request in open_sends:
        comm.wait(request)


def outcome(schedule: Schedule, wait: bool) -> str:
    """What stops it; "" where nothing does."""
    return refusal(lambda: mp.run(p, plain_sends, schedule, wait, synchronous=True))


told = {name: outcome(schedule, wait=True) for name, schedule in SCHEDULES.items()}
lesson.say("8 · where a send waits for its receive")
lesson.table(("schedule", "safe, says lint", "it ends"),
             *((name, mp.lint(schedule).safe_sync, not told[name]) for name, schedule in SCHEDULES.items()))
lesson.say(fill(told["1f1b"], 120, initial_indent="  ", subsequent_indent="  "), "")
assert all((told[name] == "") == mp.lint(schedule).safe_sync for name,
           schedule in SCHEDULES.items()), "lint knows who gets stuck"
assert (
    told["gpipe"] == ""
    and "deadlock, a cycle of waiting" in told["1f1b"]
    and outcome(SCHEDULES["1f1b"], wait=False) == ""
), "1F1B with sends that wait is a deadlock; GPipe is none, and neither is 1F1B whose sends do not wait"

# %% [markdown]
# ## 9 · Exercise: two stages for each rank
#
# Rank r gets stages r and p + r, each half as long. Then filling the pipeline takes half as long, too, and the bubble falls from
# (p - 1)/(m + p - 1) to (p - 1)/(2 m + p - 1), for twice as many messages. The orders below are legal and slow. Write better ones:
# first any that reach that bubble; then such that rank 0 keeps at most 3 p - 1 tapes, however many micro-batches there are (let
# p divide m). Solution: `minipar/schedules/generators/virtual.py`; the names are looped BFS and interleaved 1F1B.

# %%


def two_stages_each(p: int, m: int) -> Schedule:
    orders = [[Instruction(kind, stage, micro) for micro in range(m) for kind in "FB"
               for stage in ((r, p + r) if kind == "F" else (p + r, r))] for r in range(p)]
    return Schedule("mine", m, stage_to_rank=tuple(range(p)) * 2, orders=tuple(map(tuple, orders)))


def try_schedule(schedule: Schedule) -> tuple[Fraction, int]:
    """Its bubble, and the tapes of rank 0. Raises ScheduleError where it is not legal, and checks its
    gradients by running it.
    """
    mp.lint(schedule)
    for grads, _, _ in lesson.run(pipelined, MODEL, INPUTS, TARGETS, schedule):
        assert all(error(grad, EXPECTED[name]) < 1e-12 for name, grad in grads.items())
    return mp.simulate(schedule).bubble(), peak_activations(schedule)[0]


bubble, _ = try_schedule(two_stages_each(p, 2 * p))
lesson.say(f"9 · bubble {float(bubble):.3f}, to become {(p - 1) / (5 * p - 1):.3f}, with at most {3 * p - 1} "
           "tapes on rank 0", "")
assert bubble >= Fraction(p - 1, 5 * p - 1), "no order of these stages has a smaller bubble; yours may reach it"

# %% [markdown]
# ## The pictures
#
# The first from the simulator. The second is measured: the model as it is, on ranks of 1 GFLOP/s. The last stage has the head as
# well, so stages are not equal, and the others wait for it.

# %%
ms = (1, 2, 4, 8, 16, 32)
bubbles = {name: {m: float(mp.simulate(make_schedule(name, p, m)).bubble()) for m in ms}
           for name in ("naive", "gpipe", "1f1b", "interleaved", "zb-h1")}
lesson.picture(draw_pipeline_parallel([mp.simulate(make_schedule(name, p, 6)) for name in SCHEDULES], bubbles))

BIG, NETWORK = mp.ModelConfig(vocabulary=256, context=16, layers=2 * p, heads=2,
                              width=32), Network(alpha=2e-6, beta=1e-9)


def measured(comm: mp.Communicator) -> object:
    text = stream(2, "text").integers(0, BIG.vocabulary, 2000)
    return trace_step(comm, mp.Layout(pp=comm.size), BIG, TRAIN, ByteTokenizer(), text, NETWORK, 1e9)


trace = lesson.run(measured)[0]
expected = predicted(trace, NETWORK, message=4 * BIG.context * BIG.width)
lesson.picture(draw_timelines(expected, trace.measured, "1F1B, a training step"), "_measured")
