# %% [markdown]
# # 18 · Asynchronous updates, local steps, merged models
#
# Four workers train one model. One of them is slow, and data parallelism makes
# the others wait for it in every step. What if nobody waits?
#
#     waiting      worker 0  |==|......|==|......|==|
#                  worker 1  |========|========|====
#     not waiting  worker 0  |==|==|==|==|==|==|==|
#                  worker 1  |========|========|====      old gradients
#
# Three ways not to wait, and the price of each:
#
# * use gradients that are *old*: a parameter server (sections 1 and 2);
# * talk seldom: each worker makes many local steps (section 3);
# * talk once: train apart and *merge* the models (section 4).
#
# You need lesson 13. The core path takes 40 minutes; sections marked "(optional)"
# do not belong to it.
#
# Run me: `minipar lesson teach 18` (step by step), `minipar lesson run 18` (at
# once, four threads), or `mpirun -n 4 python lessons/18_asynchronous.py`.

# %%
import numpy as np
from minipar.lessons.plots.asynchronous import draw_drift, draw_limits
from minipar.lessons.support.lesson import Lesson

import minipar as mp
from minipar.asynchronous.local_sgd import Outer, train_locally
from minipar.asynchronous.merge import align, average
from minipar.asynchronous.parameter_server import (
    ServerOptions,
    sgd,
    train_with_server,
)
from minipar.asynchronous.staleness import delayed_descent, stability_limit
from minipar.autograd import mean, plain_gelu
from minipar.comm.wrappers.counting import Counting
from minipar.comm.wrappers.preferring import Preferring
from minipar.rng import stream
from minipar.training.server_training import train_gpt_with_server

lesson = Lesson("18_asynchronous", ranks=4)
p = lesson.size
assert p >= 3, "a server and two workers: mpirun -n 3 or more"

# %% [markdown]
# ## 1 · How old may a gradient be?
#
# The smallest training there is: one weight, the loss x²/2, its gradient x. The
# step is x - rate · gradient. Let the gradient be *d steps old*:
#
#     x[t + 1] = x[t] - rate · x[t - d]
#
# By hand, with rate 1 and d = 1, from x = 1 (the first gradient is that of the
# start): 1, 0, -1, -1, 0, 1, 1, ... It never ends. Without delay, the same rate
# ends in one step.
#
# The weight settles if the rate is below 2 sin(π / (2 (2d + 1))). Without delay
# this is 2 sin(π/2) = 2, and with d = 1 it is 2 sin(π/6) = 1.

# %%
by_hand = delayed_descent(1.0, delay=1, steps=6)
lesson.say(f"  rate 1, one step old: {by_hand}")
assert by_hand.tolist() == [1, 0, -1, -1, 0, 1, 1], \
    "each step subtracts the number before the last"
lesson.predict("Below which rate does x shrink, if the gradient is 8 steps "
               "old?")
lesson.reveal(round(stability_limit(8), 3))
DELAYS = (0, 1, 2, 4, 8)
limits = [stability_limit(d) for d in DELAYS]


def largest_stable_rate(delay: int) -> float:
    """By bisection: the largest rate whose run does not grow."""
    low, high = 0.0, 3.0
    for _ in range(14):
        rate = (low + high) / 2
        x = abs(delayed_descent(rate, delay, 4000))
        low, high = (rate, high) if x[-200:].max() < 1 else (low, rate)
    return low


simulated = [largest_stable_rate(d) for d in DELAYS]
lesson.table(("steps old", "2 sin(π/(2(2d + 1)))", "simulated"), *(
    (d, f"{limit:.3f}", f"{run:.3f}")
    for d, limit, run in zip(DELAYS, limits, simulated, strict=True)))
assert np.allclose(simulated, limits, atol=2e-3), \
    "the formula is the simulation: old gradients need small steps"
lesson.picture(draw_limits(DELAYS, limits, simulated))

# %% [markdown]
# ## 2 · A parameter server
#
# Rank 0 holds the weights, the others compute gradients. A worker *pulls* the
# weights, computes, and *pushes* its gradient; the server applies it at once. The
# **staleness** of a gradient is the number of updates since its pull.
#
# With w equal workers, each waits for no one, but w - 1 others push before its own
# push arrives.

# %%
WORKERS = p - 1
START = stream(0, "start").normal(size=20)


def bowl(worker: int, step: int, weights: np.ndarray) -> np.ndarray:
    """The gradient of |w - middle|²/2; each step has another middle."""
    return weights - stream(worker, f"middle {step}").normal(size=20)


def slow(worker: int, step: int) -> float:
    """Worker 0 takes four seconds per gradient, the others one."""
    return 4.0 if worker == 0 else 1.0


def serve(comm, rate, **options):
    counted = Counting(comm)
    weights, applied = train_with_server(
        counted, START, bowl, sgd(rate),
        ServerOptions(steps=30, **options))
    sent = counted.traffic.by("label")
    payload = sum(sent[key].bytes for key in (("push",), ("pull",))
                  if key in sent)
    return weights, applied, payload


lesson.predict(f"{WORKERS} equal workers: the staleness of most gradients?")
_, applied, _ = lesson.run(serve, 0.05)[0]
ages = [one.staleness for one in applied]
lesson.reveal(max(set(ages), key=ages.count))
assert set(ages[WORKERS:]) == {WORKERS - 1}, \
    "w - 1 others push between a pull and its push"

# %% [markdown]
# Now worker 0 is slow. Nobody waits: when does the last of the fast ones end, and
# how old are the slow worker's gradients? Compare with `synchronous=True`, where
# the server waits for all and makes one update: that is data parallelism.

# %%
lesson.predict("30 steps each, worker 0 four times slower: after how many "
               "seconds have the fast workers ended?")
loose = lesson.run(lambda comm: serve(comm, 0.05, seconds=slow))
strict = lesson.run(lambda comm: serve(comm, 0.05 / WORKERS, seconds=slow,
                                       synchronous=True))
end = {name: max(one.time for one in result[0][1] if one.worker != 0)
       for name, result in (("nobody waits", loose), ("all wait", strict))}
lesson.reveal(int(end["nobody waits"]), "s")
oldest = max(one.staleness for one in loose[0][1] if one.worker == 0)
lesson.table(("", "fast workers end after", "oldest gradient"),
             ("nobody waits", f"{end['nobody waits']:.0f} s",
              f"{oldest} updates"),
             ("all wait", f"{end['all wait']:.0f} s", "0 updates"))
assert end == {"nobody waits": 30, "all wait": 120}, \
    "30 steps of 1 s, or 30 steps of the slowest"
assert oldest == 4 * (WORKERS - 1), \
    "in the 4 s of a slow gradient, each fast worker pushes 4 times"

# %% [markdown]
# *A bound.* `bound=2` lets nobody be more than two steps ahead of the slowest
# (*stale synchronous parallel*): old gradients have an end, and so has the gain.
#
# *What it costs.* Per step, each worker sends n numbers and receives n; all of
# that passes the server: 2 w n. On a ring, a rank sends 2 (p - 1)/p n, and no
# rank more than another.
#
# **Break it.** In `growth`, make the rate 1.2 times larger: 0.9 times the limit
# is then above it.

# %%
def bounded(comm):
    return serve(comm, 0.05, seconds=slow, bound=2)


ahead = max(one.staleness for one in lesson.run(bounded)[0][1]
            if one.worker == 0)
lesson.say(f"  with bound=2 the oldest gradient is {ahead} updates old")
assert ahead < oldest, "a bound keeps gradients younger"
server, *workers = (result[2] for result in lesson.run(serve, 0.05))
n = 8 * START.size
assert server + sum(workers) == 30 * 2 * WORKERS * n, \
    "2 w n per step: count pushes and pulls"


def growth(factor: float) -> float:
    """The last weight, if every gradient is w - 1 updates old."""
    def one_weight(comm):
        return train_with_server(
            comm, np.ones(1), lambda worker, step, w: w,
            sgd(factor * stability_limit(WORKERS - 1)), ServerOptions(150))
    return abs(float(lesson.run(one_weight)[0][0][0]))


assert growth(0.9) < 0.01, \
    "below the limit of section 1 the weights settle: look at the rate"
assert growth(1.1) > 100, "and above it they explode"

# %% [markdown]
# *A GPT on the server.* `train_gpt_with_server` trains a GPT with a parameter
# server in place of the all-reduce. Each worker computes the gradient of its
# samples of the batch. The server makes the steps of the optimiser.
#
# If the server waits for all, it adds the gradients in the order of the workers.
# So does the `naive` all-reduce of lesson 13. Data parallelism needs no server,
# so the last rank is idle there.

# %%
TEXT = "to be, or not to be, that is the question. " * 30
letters = mp.make_tokenizer("char", TEXT)
MODEL = mp.ModelConfig(vocabulary=letters.vocab_size, context=8, layers=1,
                       heads=1, width=8)
CONFIG = mp.TrainConfig(batch=2 * WORKERS, steps=10, lr=0.2, warm_up=2,
                        optimizer="sgd", clip=0.0, validation_windows=2)


def served(comm, **options):
    return train_gpt_with_server(comm, MODEL, CONFIG, letters,
                                 letters.encode(TEXT), seconds=slow,
                                 **options)


def all_reduced(comm):
    group = comm.split(0 if comm.rank < WORKERS else None, label="workers")
    if group is None:
        return {}
    naive = Preferring(group, {"all_reduce": "naive"})
    trainer = mp.Trainer(MODEL, CONFIG, letters, letters.encode(TEXT),
                         mp.Grid(naive, mp.Layout(dp=WORKERS)))
    mp.fit(trainer)
    return trainer.flat.weights_by_name()


# %%
lesson.predict("The weights of the server that waits for all, and of data "
               "parallelism: how much do they differ?",
               choices=("not in one bit", "in the last digits", "much"))
waiting = lesson.run(lambda comm: served(comm, synchronous=True))[0]
same = all(np.array_equal(array, waiting.weights[name])
           for name, array in lesson.run(all_reduced)[0].items())
lesson.reveal("not in one bit" if same else "much")
assert same, "the same additions in the same order: look at the samples"
rushing = lesson.run(served)[0]
lesson.table(("", "first loss", "last loss", "oldest gradient"), *(
    (name, f"{run.losses[0]:.3f}", f"{run.losses[-1]:.3f}",
     max(one.staleness for one in run.applied))
    for name, run in (("all wait", waiting), ("nobody waits", rushing))))
again = lesson.run(served)[0]
assert again.applied == rushing.applied and all(
    np.array_equal(array, again.weights[name])
    for name, array in rushing.weights.items()), \
    "time is virtual, so a run without waiting repeats in every bit"

# %% [markdown]
# ## 3 · Talk seldom: local steps
#
# **Local SGD**: each rank makes H steps by itself, then all average their weights.
# With H = 1 and plain SGD that is data parallelism: the mean of w - rate · g_i is
# w - rate · mean(g_i). With larger H the ranks drift apart in between, and the
# average is another point.

# %%
RATE, STEPS = 0.1, 40


def local(comm, every, outer=None):
    def inner(weights, step):
        hill = np.tanh(weights) + 0.1 * weights
        weights -= RATE * (hill - stream(comm.rank, f"x {step}").normal(
            size=20))
    return train_locally(comm, START.copy(), inner, steps=STEPS,
                         every=every, outer=outer)


EVERY = (1, 2, 5, 10, 20, 40)
ends = {every: lesson.run(local, every)[0] for every in EVERY}
drift = {every: float(abs(ends[every] - ends[1]).max()) for every in EVERY}
lesson.predict("Averaging every 10 steps sends a tenth. By how much does a "
               "weight differ from that of data parallelism?",
               choices=("not at all", "by less than 0.1",
                        "by more than 0.1"))
lesson.reveal("by less than 0.1" if 0 < drift[10] < 0.1 else
              "not at all" if drift[10] == 0 else "by more than 0.1")
lesson.table(("average every", "messages", "distance"), *(
    (f"{every} steps", STEPS // every, f"{drift[every]:.1e}")
    for every in EVERY))
assert 0 < drift[10] < drift[40], "the longer apart, the further apart"
lesson.picture(draw_drift(drift), "_drift")

# %% [markdown]
# **DiLoCo** subtracts the average from the last common weights, and uses the result
# as gradient in a step of SGD with momentum: the *outer* step. Rate 1 without
# momentum gives the average. H = 500 steps per message are usual, so slow links
# suffice.

# %%
plain = lesson.run(lambda comm: local(comm, 10, Outer(1.0, 0.0)))[0]
pushed = lesson.run(lambda comm: local(comm, 10, Outer(0.7, 0.9)))[0]
assert np.array_equal(plain, ends[10]), \
    "outer rate 1 without momentum is the average, in every bit"
assert abs(pushed - plain).max() > 0.01, "momentum goes further"

# %% [markdown]
# ## 4 · Talk once: merge two models
#
# Train two models apart, then average their weights? Here are two networks that
# compute *the same function*; b has a's hidden units in another order.

# %%
H = 24
rng = stream(7, "merge")
a = {"up.weight": rng.normal(size=(3, H)), "up.bias": rng.normal(size=H),
     "down.weight": rng.normal(size=(H, 1)) / H**0.5}
order = rng.permutation(H)
b = {"up.weight": a["up.weight"][:, order], "up.bias": a["up.bias"][order],
     "down.weight": a["down.weight"][order]}
X = rng.normal(size=(500, 3))


def output(model):
    return np.tanh(X @ model["up.weight"]
                   + model["up.bias"]) @ model["down.weight"]


def error(model):
    """The mean squared difference from a."""
    return float(((output(model) - output(a)) ** 2).mean())


lesson.predict("a and b have error 0. Their average?",
               choices=("0", "larger"))
merged, fixed = average([a, b]), average([a, align(a, b, "up", "down")])
lesson.reveal("larger" if error(merged) > 0.01 else "0")
lesson.table(("model", "mean squared error"), ("b", f"{error(b):.3f}"),
             ("average", f"{error(merged):.3f}"),
             ("average, units in one order", f"{error(fixed):.3f}"))
assert error(b) < 1e-25 and error(merged) > 0.05, \
    "the average mixes units that have nothing to do with each other"
assert error(fixed) < 1e-25, "in one order, the average is the model again"

# %% [markdown]
# Models of *one* training, such as its last checkpoints, have their units in one
# order already; their average works without more.

# %% [markdown]
# ## 5 · One trunk, several tasks (optional)
#
# *Multi-task learning* is parallel, too: several losses share one trunk. Its
# gradient is the sum of the tasks' gradients, so each task can be computed on a
# rank of its own, and one all-reduce adds them up.

# %%
HEADS = [stream(task, "head").normal(size=(4, 2)) for task in range(p)]
INPUT = stream(0, "input").normal(size=(6, 4))


def trunk_gradient(tasks):
    trunk = mp.Tensor(stream(1, "trunk").normal(size=(4, 4)),
                      requires_grad=True)
    total = None
    for task in tasks:
        hidden = plain_gelu(mp.Tensor(INPUT) @ trunk)
        loss = mean(hidden @ mp.Tensor(HEADS[task]))
        total = loss if total is None else total + loss
    mp.backward(total)
    return trunk.grad


def one_task(comm):
    return mp.all_reduce(comm, trunk_gradient([comm.rank]), label="tasks")


together, apart = trunk_gradient(range(p)), lesson.run(one_task)[0]
assert np.allclose(together, apart, rtol=0, atol=1e-12), \
    "the gradient of a sum is the sum of the gradients"

# %% [markdown]
# ## 6 · Exercises
#
# Chapter 11 of `minipar exercise list`: `stale_gradients` (a server whose rate
# fits the age of a gradient) and `local_steps` (local SGD with an outer step).

# %% [markdown]
# ## 7 · What the documents say (optional)
#
# Covers: A31 A32 A34 E49
#
# 003 (6.4) names techniques of the future, without a formula:
#
# * A31: asynchronous updates (异步更新). They remove the waiting, and limit the
#   rate: 2, 1, .618, .347, .185 for gradients 0, 1, 2, 4 and 8 steps old.
# * A32: model merging (模型合并). Works along one training; across permuted units
#   it fails, unless the units are aligned.
# * A34: multi-task learning (多任务学习): a sum of gradients.
# * E49: all of these as systems. Dynamic pruning, its fourth, is in lesson 10.

# %%
assert [round(limit, 3) for limit in limits] \
    == [2, 1, 0.618, 0.347, 0.185], "A31: the largest stable rates"
assert error(fixed) < 1e-25 < error(merged), \
    "A32: the average of aligned models is the model, else it is not"
assert np.allclose(together, apart, rtol=0, atol=1e-12), \
    "A34: tasks that share a trunk add up their gradients"
assert end["nobody waits"] < end["all wait"] and drift[10] < drift[40], \
    "E49: not to wait saves time; to talk seldom costs exactness"
