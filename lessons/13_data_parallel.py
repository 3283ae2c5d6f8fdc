# %% [markdown]
# # 13 · Data parallel: share out the batch, add up the gradients
#
# You train a model. It fits on one machine, but one pass over the data takes a
# week, and you have four machines. How can four machines work on one training,
# and end with the *same* model as one machine, only sooner?
#
#     one batch of 11 samples      all ranks have the same weights
#
#     rank 0   samples 0  1  2  ->  gradient --+
#     rank 1   samples 3  4  5  ->  gradient --+-- sum (all-reduce)
#     rank 2   samples 6  7  8  ->  gradient --+     -> the same step on all
#     rank 3   samples 9 10     ->  gradient --+
#
# This is **data parallelism**. Each rank has a copy of the model, called a
# *replica*. Each computes the gradient of its own part of the batch, its
# *shard*. One sum over all ranks gives every rank the gradient of the whole batch.
# So all ranks take the same step, and all replicas stay equal.
#
# You need lesson 0 (rank, all-reduce). The core path takes 40 minutes; sections
# marked "(optional)" do not belong to it.
#
# Run me: `minipar lesson teach 13` (step by step), `minipar lesson run 13` (at
# once), or under `mpirun -n 4 python lessons/13_data_parallel.py`.

# %%
from dataclasses import replace

import numpy as np
from minipar.lessons.plots.data_parallel import (
    draw_buckets,
    draw_losses,
    draw_steps,
    draw_traffic,
)
from minipar.lessons.support.buckets import (
    ELEMENTS,
    FLOPS,
    NETWORK,
    RATE,
    overlapped,
)
from minipar.lessons.support.counted import (
    bytes_sent,
    one_step,
    sum_of_noise,
)
from minipar.lessons.support.lesson import Lesson
from minipar.lessons.support.line import (
    FEATURES,
    POINTS,
    adam_step,
    slope,
)

# %%
import minipar as mp
from minipar.comm.collectives import (
    all_gather,
    even_counts,
    reduce_scatter,
)
from minipar.comm.wrappers.counting import Counting
from minipar.config import GRADIENTS
from minipar.data.batches import Batches
from minipar.data.markov import MarkovSource
from minipar.data.tokenizer import ByteTokenizer
from minipar.optim import Flat
from minipar.plan.collective_times import Links, ring_all_reduce
from minipar.plan.collectives import naive_all_reduce
from minipar.plan.collectives import ring_all_reduce as ring_traffic
from minipar.rng import stream

lesson = Lesson("13_data_parallel")
p = lesson.size
assert 1 < p <= 8, "this lesson is for 2 to 8 ranks: mpirun -n 4"

# %% [markdown]
# ## 1 · Five numbers on two ranks
#
# The gradient of a batch is the mean over its samples. Here are five samples,
# whose gradients are 2, 4, 6, 8 and 10. Their mean is 30/5 = 6. Two ranks share
# them:
#
#     rank 0: 2 4 6                   rank 1: 8 10
#
# A first idea: each rank takes the mean of its own samples, and then the ranks take
# the mean of their two means.

# %%
FIVE = np.array([2.0, 4, 6, 8, 10])


def mean_of_means(comm):
    mine = np.array_split(FIVE, comm.size)[comm.rank]
    return mp.all_reduce(comm, np.array([mine.mean()]), "mean")[0]


def one_divisor(comm):
    mine = np.array_split(FIVE, comm.size)[comm.rank]
    part = np.array([mine.sum() / len(FIVE)])
    return mp.all_reduce(comm, part)[0]         # the default is "sum"


lesson.predict("What is the mean of the two ranks' own means?")
wrong, right = (lesson.run(way, ranks=2)[0]
                for way in (mean_of_means, one_divisor))
lesson.reveal(float(wrong))
lesson.table(("way", "result"), ("mean of the two means", wrong),
             ("each divides by 5, then a sum", right))
assert right == FIVE.mean() != wrong, \
    "look at the divisors: 8 and 10 count as much as the three 2, 4, 6"

# %% [markdown]
# A shard of two samples must not count as much as one of three. So each rank
# divides by the number of *all* samples, N, and the ranks **sum**:
#
#     L = 1/N sum_i l_i = sum over ranks r of [ 1/N sum of l_i on rank r ]
#
# Here l_i is the loss of sample i, and L is the loss of the batch. The same holds
# for the gradients of both sides. It is exact for shards of any sizes.

# %% [markdown]
# ## 2 · The whole idea in one loop
#
# We fit a linear model with 8 weights to 32 points. `slope(w, mine, count)` returns
# the gradient: a sum over the points `mine`, divided by `count`. Inside the loop,
# only one line communicates. Which one?

# %%


def fit(comm, steps=60):
    w = np.zeros(FEATURES)                      # equal on all ranks
    points = np.arange(POINTS)
    mine = np.array_split(points, comm.size)[comm.rank]
    for _ in range(steps):
        g = slope(w, mine, count=POINTS)        # of my shard, over N
        g = mp.all_reduce(comm, g, label="gradients")
        w = w - 0.05 * g                        # the same step on all
    return w


(on_one,), on_all = lesson.run(fit, ranks=1), lesson.run(fit)
lesson.say(f"  first weights on 1 rank:   {on_one[:3]}",
           f"  first weights on {p} ranks:  {on_all[0][:3]}", "")
assert all(np.array_equal(w, on_all[0]) for w in on_all), \
    "equal start and equal steps give equal w: does each rank use the sum?"
assert np.allclose(on_all[0], on_one, rtol=1e-12, atol=0), \
    "the sum over shards is the gradient of the batch: look at the count"

# %% [markdown]
# **Break it.** Leave out the all-reduce: each rank then takes its own steps, and
# the first assert stops you. Put it back. Then compute the mean of means: write
# `count=len(mine)`, and `"mean"` as third argument of the all-reduce. On 4 ranks no
# assert fails, because each rank has 8 points. On 3 ranks (`lesson.run(fit,
# ranks=3)`) one fails. A test on even shards does not see this mistake.

# %% [markdown]
# ## 3 · A real model
#
# Now a GPT, a batch of 11 samples, and all ranks. The loss of a GPT is a mean over
# tokens. Its argument `count` is the divisor: the number of tokens in the batch. We
# compare with the gradient that one process computes.

# %%
# a random text of 16 letters; the least possible loss of it is known
SOURCE = MarkovSource.random(16, seed=3, concentration=0.3)
TEXT = SOURCE.sample(20_000, seed=0)
MODEL = mp.ModelConfig(vocabulary=16, context=8, layers=1, heads=2,
                       width=16)
N = 11                                          # samples in each batch


def gradient(comm, own_mean=False):
    model = mp.GPT(MODEL, dtype=np.float64)
    flat = Flat(model.parameters())             # all gradients, one array
    batches = Batches(TEXT, MODEL.context, N, seed=0)
    inputs, targets = batches.get(0)            # the first batch, [N, T]
    mine = np.array_split(np.arange(N), comm.size)[comm.rank]
    count = targets[mine].size if own_mean else targets.size
    mp.backward(model.loss(inputs[mine], targets[mine], count=count))
    return mp.all_reduce(comm, flat.gradient(),
                         "mean" if own_mean else "sum", label="gradients")


def apart(one, other):
    """The largest difference, relative to the largest element."""
    return float(abs(one - other).max() / abs(other).max())


# %%
lesson.predict("The gradient by the mean of the ranks' own means is ...",
               ["the same", "off by rounding, 1e-16", "off by over 1 %"])
(single,) = lesson.run(gradient, ranks=1)
same_count, own_mean = lesson.run(gradient), lesson.run(gradient, True)
lesson.reveal("off by over 1 %" if apart(own_mean[0], single) > 0.01
              else "off by rounding, 1e-16")
lesson.table(("each rank divides by", "and then", "off by"),
             ("tokens of all ranks", "sum", apart(same_count[0], single)),
             ("its own tokens", "mean", apart(own_mean[0], single)))
assert apart(same_count[0], single) < 1e-12, \
    "all divide by the same number, so shards add up: look at `count`"
assert all(np.array_equal(g, same_count[0]) for g in same_count), \
    "an all-reduce gives each rank the same bits"
assert apart(own_mean[0], single) > 1e-2, \
    "11 samples do not split evenly: a mean of means weights them unequally"

# %% [markdown]
# ## 4 · The same gradient is the same training
#
# `mp.Trainer` does all of this. The layout says how many ranks share the batch:
# `mp.Layout(dp=4)`. `mp.Grid` gives each rank its part in a layout. We train on
# 1, 2 and 4 ranks for 60 steps, in float32.
#
# A sum over ranks adds in another order than one process does, so the last digits
# may differ. This is so in the mode `gradients="flat"`: one all-reduce of all
# gradients. The mode `gradients="bitwise"` adds in one fixed order, a tree, in all
# layouts. Then not even the last bit differs.

# %%
STEPS = 60


def training(comm, layout, steps, model=MODEL, dtype="float32"):
    """Losses by step, the final weights, this rank's samples."""
    train = mp.TrainConfig(batch=N, steps=STEPS, lr=1e-2, warm_up=5,
                           clip=0, seed=0, dtype=dtype)
    trainer = mp.Trainer(model, train, ByteTokenizer(), TEXT,
                         mp.Grid(comm, layout))
    losses = [trainer.step().loss for _ in range(steps)]
    return losses, trainer.flat.data.copy(), trainer.rows.tolist()


lesson.predict("Is the loss after 60 steps on more ranks ...",
               ["lower", "the same", "higher"])
flat_runs, tree_runs = {}, {}
for ranks in lesson.sizes:
    flat_runs[ranks] = lesson.run(
        training, mp.Layout(dp=ranks, gradients="flat"), STEPS, ranks=ranks)
    tree_runs[ranks] = lesson.run(
        training, mp.Layout(dp=ranks, gradients="bitwise"), STEPS // 4,
        ranks=ranks)

# %%
last = {ranks: runs[0][0][-1] for ranks, runs in flat_runs.items()}
spread = np.ptp(list(last.values()))
lesson.reveal("the same" if spread < 1e-3 else "another")
lesson.table(("ranks", "last loss", "weights off by", "in bitwise mode"),
             *((ranks, last[ranks],
                apart(flat_runs[ranks][0][1], flat_runs[1][0][1]),
                apart(tree_runs[ranks][0][1], tree_runs[1][0][1]))
               for ranks in lesson.sizes))
for runs in flat_runs.values():
    assert sorted(row for _, _, rows in runs for row in rows) \
        == list(range(N)), "each sample is on just one rank: look at `rows`"
    assert all(np.array_equal(w, runs[0][1]) for _, w, _ in runs), \
        "replicas are equal: same start, same steps; look at the seed"
    assert np.allclose(runs[0][0], flat_runs[1][0][0], rtol=1e-3), \
        "the same batches give the same losses"
for runs in tree_runs.values():
    assert runs[0][0] == tree_runs[1][0][0], \
        "in bitwise mode even the last bit of each loss is equal"
    assert np.array_equal(runs[0][1], tree_runs[1][0][1]), \
        "in bitwise mode even the last bit of each weight is equal"
curves = {f"{ranks} rank" + "s" * (ranks > 1): runs[0][0]
          for ranks, runs in flat_runs.items()}
lesson.picture(draw_losses(curves, SOURCE.entropy_rate))

# %% [markdown]
# **Break it.** In `training`, give each rank a seed of its own: `seed=comm.rank`
# for `seed=0`. Replicas then start from different weights. Which assert stops
# you? Would the curve of the loss have told you?

# %% [markdown]
# ## 5 · What travels
#
# Each step sums n gradients over p ranks. There are two plain ways:
#
#     main rank   all send to rank 0, which adds, and sends the sum to all
#     ring        each rank sends 1/p of the array to the next rank, 2 (p - 1)
#                 times: first p - 1 partial sums, each of one more rank than
#                 the one before, and then p - 1 finished sums
#
#     way            numbers sent by rank 0    by each other rank
#     main rank      (p - 1) n                 n
#     ring           2 (p - 1)/p n             2 (p - 1)/p n
#
# With 4 ranks and n = 100: the main rank sends 300 numbers and receives 300. On
# a ring each rank sends 2 · 3/4 · 100 = 150.

# %%
MILLION = 10**6
lesson.predict("A million float32 gradients, 16 ranks: how many MB does "
               "each rank of a ring send?")
lesson.reveal(2 * 15 / 16 * 4 * MILLION / 1e6, "MB")
n = 720_720                                     # divisible by 1 to 16
rings = lesson.run(bytes_sent, "ring", n)
mains = lesson.run(bytes_sent, "naive", n)
lesson.table(("rank", "ring: gradients sent", "main rank: sent"),
             *((r, ring / n / 4, main / n / 4) for r, (ring, main)
               in enumerate(zip(rings, mains, strict=True))))
traffic = {name: {ranks: count(ranks, 0, n).elements / n
                  for ranks in range(2, 17)} for name, count in
           (("ring, each rank", ring_traffic),
            ("main rank", naive_all_reduce))}
counted = {"ring, each rank": (p, max(rings) / n / 4),
           "main rank": (p, max(mains) / n / 4)}
lesson.picture(draw_traffic(traffic, counted), "_traffic")
assert rings == [2 * (p - 1) * n // p * 4] * p, \
    "on a ring all ranks send the same: 2 (p - 1)/p of the gradient"
assert mains == [4 * n * (p - 1)] + [4 * n] * (p - 1), \
    "rank 0 sends p - 1 gradients, each other rank one"

# %% [markdown]
# However many ranks there are, no rank of a ring sends more than 2 n numbers. A main
# rank sends more with each rank that joins. (The lesson *collectives* shows the ring
# step by step.)

# %% [markdown]
# ## 6 · What it costs
#
# Say computing a step takes the time C on one rank. Computing is shared: with p
# ranks it takes C/p. The time of the sum is added to it. On a ring the sum takes
#
#     2 (p - 1)/p · M · beta        M: bytes of the gradient; beta: seconds per byte
#
# (We leave out the latency of the messages.) Take 100 million gradients in float32,
# so M = 400 MB, and C = 100 ms. Our slow network has 10 Gb/s. These are bits: in
# bytes it is 1.25 GB/s, so 400 MB take 320 ms.
#
# With 2 ranks: 100/2 + 2 · 1/2 · 320 = 50 + 320 = 370 ms.

# %%
C, GRADIENT_BYTES = 100.0, 4 * 10**8
BANDWIDTHS = {"10 Gb/s": 10e9 / 8, "100 GB/s": 100e9}


def milliseconds(ranks, rate):
    links = Links(alpha=0, beta=1 / rate)
    return C / ranks + 1e3 * float(
        ring_all_reduce(ranks, GRADIENT_BYTES, links))


lesson.predict("On 10 Gb/s, how many ranks are the fastest: 1, 2, 4 or 8?")
step_ms = {name: {ranks: milliseconds(ranks, rate)
                  for ranks in (1, 2, 4, 8)}
           for name, rate in BANDWIDTHS.items()}
slow = step_ms["10 Gb/s"]
lesson.reveal(min(slow, key=slow.__getitem__))
lesson.table(("ms per step on", "1 rank", "2", "4", "8"),
             *((name, *times.values()) for name, times in step_ms.items()))
lesson.picture(draw_steps(step_ms), "_time")
assert list(slow.values()) == [100, 370, 505, 572.5], \
    "10 Gb/s: C/p + 2 (p - 1)/p · 320 ms: look at the unit of `rate`"
assert np.allclose(list(step_ms["100 GB/s"].values()),
                   [100, 54, 31, 19.5]), \
    "100 GB/s: eight ranks are 5 times as fast, not 8 times"

# %% [markdown]
# So data parallelism is worth it if computing a step takes long, compared with the
# sum. A larger batch takes longer to compute, but its gradient is no larger.
#
# Memory is the other price: *each* rank holds all weights, all gradients and the
# whole state of the optimiser. A model too large for one rank stays too large.
# Lessons 14 and 15 split the model.

# %% [markdown]
# ## 7 · Exercises
#
# Chapter 4 of `minipar exercise list`:
#
# * `average_or_sum`, `uneven_shards`: which divisor, as in section 1;
# * `clip_by_global_norm`: a norm that all ranks agree on;
# * `accumulate_then_reduce`: one all-reduce for several micro-batches;
# * `the_seed_that_differs`: find the fault of section 4's "Break it";
# * `buckets_that_overlap`: hide the sum behind backward, as in section 8.
#
# Chapter 10, *Sharding*, is about ZeRO, which section 10 introduces. It begins with
# `zero_1_step`.

# %% [markdown]
# ## 8 · Hide the sum behind backward (optional)
#
# Backward has the gradients of the last layers long before those of the first.
# So split the gradient into *buckets*, and start to sum each bucket as soon as
# it is complete, while backward goes on:
#
#     backward   | bucket 0 | bucket 1 | bucket 2 |
#     network               | sum of 0 | sum of 1 | sum of 2 |
#
# In `overlapped` (`support/buckets.py`), ranks have a virtual clock. A message
# takes 50 microseconds, its latency, and 8 nanoseconds per byte. With few buckets
# little of the sum overlaps with backward. With many buckets the latencies add up.

# %%
lesson.predict("Which number of buckets is fastest: 1, 8 or 64?")
bucket_ms = {buckets: max(lesson.run(overlapped,
                                     even_counts(ELEMENTS, buckets)))
             for buckets in (1, 2, 4, 8, 16, 32, 64)}
best = min(bucket_ms, key=bucket_ms.__getitem__)
lesson.reveal(min((1, 8, 64), key=bucket_ms.__getitem__))
computing = 1e3 * FLOPS / RATE
network = 1e3 * float(ring_all_reduce(
    p, 4 * ELEMENTS, Links(alpha=NETWORK.alpha, beta=NETWORK.beta)))
lesson.say(f"  backward takes {computing:g} ms, one all-reduce "
           f"{network:.3g} ms (executed, virtual clock)")
lesson.table(("buckets", "ms"), *bucket_ms.items())
lesson.picture(draw_buckets(bucket_ms, max(computing, network)), "_buckets")
assert abs(bucket_ms[1] - computing - network) < 1e-6, \
    "one bucket: nothing overlaps, so both times add up"
assert max(computing, network) < bucket_ms[best] < 0.9 * bucket_ms[1], \
    "some buckets hide time, but never more than the shorter of the two"
assert bucket_ms[best] < bucket_ms[64], "64 buckets pay 64 latencies"

# %% [markdown]
# Buckets need not be equal. The network has nothing to do while the first bucket is
# computed. The processor has nothing to do while the last one travels. So try it: on
# four ranks, find sizes for `overlapped` that beat the best of the equal ones.
#
# minipar has five ways to sum gradients: one all-reduce per parameter; one for
# all (flat); through memory that ranks share; in buckets; and bitwise.

# %%
by_mode = {mode: lesson.run(one_step, MODEL, TEXT, N, mode)[0]
           for mode in GRADIENTS}
lesson.table(("gradients", "messages of rank 0", "bytes"),
             *((name, *sent) for name, sent in by_mode.items()))
assert by_mode["parameter"][0] > by_mode["buckets"][0] \
    > by_mode["flat"][0], "larger pieces are fewer messages"
assert by_mode["shared"][1] < 100, \
    "through shared memory only the loss travels"

# %% [markdown]
# ## 9 · Average the weights instead? (optional)
#
# This sounds similar: each rank trains by itself, and now and then the ranks average
# their *weights*. This is **local SGD**. After one step of SGD, the average of p
# models is the model after one step along the average gradient. After two steps
# the two differ: the second gradients were taken at p different points. For Adam
# they differ after one step already, because Adam divides by the gradient's size.

# %%


def equal_shard(comm):
    points = np.arange(POINTS - POINTS % comm.size)
    return np.array_split(points, comm.size)[comm.rank]


def local_training(comm, optimizer, every, average):
    """This rank's weights after 60 steps on its own shard."""
    w, m, v = np.zeros(FEATURES), np.zeros(FEATURES), np.zeros(FEATURES)
    for step in range(1, 61):
        g = slope(w, equal_shard(comm))
        if average == "gradients":
            g = mp.all_reduce(comm, g, "mean", label="gradients")
        w = w - 0.05 * (adam_step(g, m, v, step) if optimizer == "adam"
                        else g)
        if average == "weights" and step % every == 0:
            w = mp.all_reduce(comm, w, "mean", label="weights")
    return w


def drift(optimizer, every):
    (reference, *_), (w, *_) = (
        lesson.run(local_training, optimizer, *how)
        for how in ((1, "gradients"), (every, "weights")))
    return float(abs(w - reference).max())


# %%
lesson.predict("Weights are averaged after every step. Which ends where "
               "the average of gradients ends?",
               ["SGD and Adam", "only SGD", "only Adam", "neither"])
sgd, sgd_every_10 = drift("sgd", 1), drift("sgd", 10)
sgd_never, adam = drift("sgd", 61), drift("adam", 1)
same = [name for name, off in (("SGD", sgd), ("Adam", adam)) if off < 1e-12]
lesson.reveal("only SGD" if same == ["SGD"] else same)
lesson.table(("optimizer", "weights averaged", "apart after 60 steps"),
             ("SGD", "every step", sgd),
             ("SGD", "every 10 steps", sgd_every_10),
             ("SGD", "never", sgd_never), ("Adam", "every step", adam))
assert sgd < 1e-14, "one step of SGD is linear in the gradient"
assert 1e-3 < sgd_every_10 < sgd_never and adam > 1e-3, \
    "the other three rows end elsewhere: look at `every` and at Adam"

# %% [markdown]
# ## 10 · Shard the optimiser's state: ZeRO-1 (optional)
#
# All ranks hold the same state of Adam, two numbers per weight. One copy would be
# enough. A ring all-reduce has two halves: a reduce-scatter, after which rank r has
# the sum of slice r of the gradient, and an all-gather, which collects all slices on
# every rank. Between the two, each rank can update *its slice* of the weights, with
# Adam's state for that slice only:
#
#     reduce-scatter gradients -> step on my slice -> all-gather weights
#
# This is ZeRO-1 (Rajbhandari et al. 2020).

# %%


def zero_1(comm):
    """Weights after 60 steps, size of Adam's state, bytes sent."""
    counting, w = Counting(comm), np.zeros(FEATURES)
    counts = even_counts(FEATURES, comm.size)
    own = np.array_split(np.arange(FEATURES), comm.size)[comm.rank]
    m, v = np.zeros(len(own)), np.zeros(len(own))
    for step in range(1, 61):
        g = reduce_scatter(counting, slope(w, equal_shard(comm)), "mean",
                           counts=counts, label="gradients",
                           algorithm="ring")
        mine = w[own] - 0.05 * adam_step(g, m, v, step)
        w = all_gather(counting, mine, counts=counts, label="weights",
                       algorithm="ring")
    return w, m.size + v.size, counting.traffic.total().bytes


lesson.predict("How many bytes more does a step send than with a ring "
               "all-reduce?")
sharded = lesson.run(zero_1)
whole = lesson.run(local_training, "adam", 1, "gradients")
state = sum(size for _, size, _ in sharded)
sent = sum(nbytes for *_, nbytes in sharded)
lesson.reveal(sent / 60 - 2 * (p - 1) * FEATURES * 8, "bytes")
lesson.table(("", "all ranks together"),
             ("weights", FEATURES), ("numbers of Adam's state", state))
assert all(np.allclose(w, whole[0], rtol=1e-12, atol=0)
           for w, *_ in sharded), \
    "sharded updates are the same training: look at the slice `own`"

# %% [markdown]
# ## 11 · What the documents say (optional)
#
# Covers: A1 A24 A37 A43 C2 C3 N4 N7 N13 N14 N47 N55 E2 E3 E4 E12 E29 E30 E31
#
# Five Chinese documents, 000 to 004, are the syllabus of this course. INDEX.md
# gives each claim an id, and ERRATA.md lists their errors as R1 to R30. On data
# parallelism (数据并行) they have no formula, but steps, code and claims.
#
# Right are:
#
# * A24 (002, 2.3.1): the whole model everywhere, gradients synchronised (梯度同步).
# * E2 E31: `DistributedDataParallel`, data parallelism: section 4.
# * E12: a loader of batches. It lacks the sampler that gives each rank its shard.
# * E30: all-reduce: one sum, whatever the algorithm.
# * N7 (000, 3.3): data parallelism costs synchronisation. Section 6 has the numbers.
#
# Wrong:
#
# * N4 (000, 2.1 and 3.3): "a better model". It is the same model (R27).

# %%
algorithms = ["ring", "naive", "tree", "recursive_doubling",
              "halving_doubling", "shared"] + ["native"] * lesson.mpi
sums = {name: lesson.run(sum_of_noise, name)[0] for name in algorithms}
assert apart(same_count[0], single) < 1e-12, \
    "A24 E31: p ranks with a shard each have the gradient of one process"
assert all(np.array_equal(w, runs[0][1]) for runs in flat_runs.values()
           for _, w, _ in runs), "E2: the wrapper's replicas stay equal"
assert all(sorted(row for *_, rows in runs for row in rows)
           == list(range(N)) for runs in flat_runs.values()), \
    "E12: the sampler gives each sample to one rank"
assert all(runs[0][0] == tree_runs[1][0][0] and np.array_equal(
    runs[0][1], tree_runs[1][0][1]) for runs in tree_runs.values()), \
    "N4: the model of p ranks is that of one, to the last bit (R27)"
assert all(np.allclose(total, sums["ring"], rtol=1e-12, atol=1e-12)
           for total in sums.values()), \
    "E30: every all-reduce gives the same sum"
assert min(slow, key=slow.__getitem__) == 1 \
    and step_ms["100 GB/s"][8] < 20, \
    "N7: its cost decides: on a slow network one rank is the fastest"

# %% [markdown]
# ### The main node and the parameter server
#
# A43 (000, 3.2.1): synchronise by a parameter server or by all-reduce. Both
# work. But 000 says of both that gradients are brought to a main node
# (汇聚到主节点). On a ring nobody is main (R25).
#
# A parameter server (参数服务器: E29; 000, 3.2.1; 003, 5.3) is a rank of its own.
# It keeps the weights; workers push gradients and pull weights. N47: 003 calls
# this model parallelism. Yet each worker has the whole model, and a shard of the
# data. (This server waits for all workers in each round.)

# %%
ROUNDS = 20


def served(comm):
    """The final weights, and gradients sent per round by this rank."""
    counting, w = Counting(comm), np.zeros(FEATURES)
    workers = range(1, comm.size)
    points = np.array_split(np.arange(POINTS), len(workers))
    for _ in range(ROUNDS):
        if comm.rank == 0:                      # the server
            w -= 0.05 * sum(
                counting.recv(np.empty(FEATURES), worker, label="push")
                for worker in workers)
            for worker in workers:
                counting.send(w, worker, label="pull")
        else:
            g = slope(w, points[comm.rank - 1], count=POINTS)
            counting.send(g, 0, label="push")
            counting.recv(w, 0, label="pull")
    return w, counting.traffic.total().bytes / w.nbytes / ROUNDS


# %%
by_server = lesson.run(served)
w = np.zeros(FEATURES)
for _ in range(ROUNDS):
    w -= 0.05 * slope(w, np.arange(POINTS))
assert all(np.allclose(theirs, w, rtol=1e-12, atol=0)
           for theirs, _ in by_server), \
    "E29 N47: a parameter server does what one process does: data parallel"
assert [sent for _, sent in by_server] == [p - 1] + [1] * (p - 1), \
    "A43 E29: per round a worker sends 1 gradient's size, the server p - 1"
assert mains[0] == 4 * n * (p - 1) and rings == [rings[0]] * p, \
    "A43: a main node sends p - 1 gradients; on a ring nobody is main (R25)"

# %% [markdown]
# ### "Distributed" training that is not (R16)
#
# C2 (000, 5.2) is a program, `train_distributed`. It asks for its rank and
# prints it. Then *every* rank walks through all of the data, and nothing in it
# communicates. The `DistributedDataParallel` of the text below it (N14) is never
# called. C3 calls the program for 4 GPUs, but no launcher such as mpirun starts four
# processes, so there is one. N13: 5 epochs, batches of 16, 4 GPUs. Started on four
# ranks, the program reads the data of 20 epochs.
#
# Three lines repair it: the same shuffle on all ranks, a shard of each global
# batch, and an all-reduce.

# %%
LOCAL = 4                               # samples of a rank in a step


def as_printed(comm, seed_by_rank):
    w, read = np.zeros(FEATURES), 0
    seed = comm.rank if seed_by_rank else 0
    for epoch in range(5):
        order = stream(seed, "shuffle", epoch).permutation(POINTS)
        for rows in order.reshape(-1, LOCAL):
            w, read = w - 0.1 * slope(w, rows), read + len(rows)
    return w, read


def repaired(comm, batch):
    w, read = np.zeros(FEATURES), 0
    for epoch in range(5):
        order = stream(0, "shuffle", epoch).permutation(POINTS)    # same
        for rows in np.array_split(order, POINTS // batch):
            mine = np.array_split(rows, comm.size)[comm.rank]      # shard
            g = slope(w, mine, count=len(rows))
            w = w - 0.1 * mp.all_reduce(comm, g, label="gradients")
            read += len(mine)
    return w, read


# %%
def models(runs):
    """Samples read by all ranks; how far replicas are apart."""
    return (sum(read for _, read in runs),
            max(float(abs(w - runs[0][0]).max()) for w, _ in runs))


redundant, diverged = (lesson.run(as_printed, own) for own in (False, True))
fixed = lesson.run(repaired, LOCAL * p)
unlaunched = lesson.run(as_printed, False, ranks=1)
(reference,) = lesson.run(repaired, LOCAL * p, ranks=1)
lesson.table(("program", "samples read", "replicas apart"),
             ("as printed, no launcher", *models(unlaunched)),
             ("as printed, one seed", *models(redundant)),
             ("as printed, a seed per rank", *models(diverged)),
             ("repaired", *models(fixed)))
assert models(unlaunched) == (5 * POINTS, 0.0), \
    "C3: without a launcher there is one process, whatever num_gpus says"
assert models(redundant) == (5 * p * POINTS, 0.0), \
    "C2 N13: p ranks do p times the same work (R16)"
assert models(diverged)[0] == 5 * p * POINTS \
    and models(diverged)[1] > 0.01, \
    "C2 N14: nothing is wrapped, so p ranks have p models"
assert models(fixed) == (5 * POINTS, 0.0) and np.allclose(
    fixed[0][0], reference[0], rtol=1e-12, atol=0), \
    "C2: with a shard each and an all-reduce it is one training"

# %% [markdown]
# ### Weights averaged, parameters split
#
# * A37 N55 (004, 3.3.1; also 001, 2.2): each device updates its own parameters,
#   and they are synchronised now and then (定期). That is local SGD, another
#   algorithm (R21): section 9. Corrected: sum the *gradients*, at every step.
# * A1 (000, 3.2.1): the parameters are split, too (参数分割), each part for one
#   device to update, and every device computes forward and backward on its own
#   (独立计算). With half of the weights one computes another gradient. What can be
#   split is the *update*: ZeRO-1, section 10.

# %%
assert sgd < 1e-14, \
    "N55 A37: after every step of SGD, both averages are the same"
assert 1e-3 < sgd_every_10 < sgd_never, \
    "N55 A37: now and then it is local SGD, and ends elsewhere (R21)"
assert adam > 1e-3, "A37: for Adam it is another algorithm at every step"
half = np.where(np.arange(FEATURES) < FEATURES // 2, whole[0], 0)
points = np.arange(POINTS)
assert apart(slope(half, points), slope(whole[0], points)) > 0.1, \
    "A1: half the weights have another gradient"
assert all(np.allclose(w, whole[0], rtol=1e-12, atol=0)
           for w, *_ in sharded), \
    "A1: sharded updates are the same training"
assert state == 2 * FEATURES, \
    "A1: Adam's two numbers per weight exist once, on all ranks together"
assert sent == 60 * 2 * (p - 1) * FEATURES * 8, \
    "A1: and what travels is a ring all-reduce, to the byte"

# %% [markdown]
# ### Groups and strategies
#
# * E3: a process group (进程组) is some of the ranks, numbered from 0 again. Its
#   all-reduce adds up among its own members. Right.
# * E4 (001, 3.1): TensorFlow calls the choice of layout a distribution
#   *strategy*. Here it is one line, `mp.Layout`. All strategies are the same
#   training: data (dp), tensor (tp, lesson 14) and pipeline (pp, lesson 15).

# %%


def in_group(comm):
    group = comm.split(comm.rank % 2, label="even or odd")
    total = mp.all_reduce(group, np.array([comm.rank]), label="numbers")
    return group.rank, group.members, int(total[0])


halves = [tuple(range(p))[first::2] for first in (0, 1)]
assert lesson.run(in_group) == [
    (rank // 2, halves[rank % 2], sum(halves[rank % 2]))
    for rank in range(p)], \
    "E3: a group numbers its ranks from 0, and adds up its own members"
DEEP = replace(MODEL, layers=p, heads=p, width=8 * p)
strategies = [mp.Layout(), mp.Layout(dp=p), mp.Layout(tp=p),
              mp.Layout(pp=p)]
ends = [lesson.run(training, layout, 5, DEEP, "float64",
                   ranks=layout.ranks)[0][0][-1] for layout in strategies]
assert all(abs(loss / ends[0] - 1) < 1e-10 for loss in ends), \
    "E4: one program, four layouts, one loss"
