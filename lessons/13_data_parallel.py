# %% [markdown]
# # 13 · Data parallel: share out the batch, add up the gradients
#
# Covers: A24 A37 A43 C2 C3 N4 N7 N13 N14 N47 N55 E2 E12 E30 E31
#
# p ranks hold the same weights. Each takes its own part of the batch and computes the gradient of that part. The step needs
# the sum over the whole batch, and that sum is all that ever travels.
#
# Document 002 (2.3.1) defines it so; 000, 001 and 004 say other things that sound alike: gradients go to a main node, or
# parameters are averaged now and then, or the model gets better by it. Here each of them meets a number.
#
# 000 (3.2.1) also splits the parameters and then lets every device compute alone, which cannot be. Read it as ZeRO, which cuts
# the optimiser's state: that, and parameter servers, have lessons of their own later.
#
# Run me: `python lessons/13_data_parallel.py` (four threads), under `mpirun -n 4`, or cell by cell in an editor.

# %%
from typing import Any

import numpy as np
from common import Lesson

from minipar.autograd import backward
from minipar.comm.clock import Clock
from minipar.comm.collectives import all_reduce, select, start_all_reduce
from minipar.comm.counting import Counting
from minipar.comm.network import Network
from minipar.comm.protocol import Communicator
from minipar.config import GRADIENTS, Layout, ModelConfig, TrainConfig
from minipar.data.batches import Batches
from minipar.data.markov import MarkovSource
from minipar.data.tokenizer import ByteTokenizer
from minipar.nn import GPT
from minipar.optim import Flat
from minipar.parallel import Grid
from minipar.plan.amounts import differences
from minipar.plan.collective_times import Links, ring_all_reduce
from minipar.plan.collectives import naive_all_reduce
from minipar.plan.collectives import ring_all_reduce as ring_traffic
from minipar.plan.traffic import step_traffic
from minipar.plots.data_parallel import draw_data_parallel
from minipar.rng import stream
from minipar.train import Trainer

lesson = Lesson("13_data_parallel")
p = lesson.size
assert p > 1, "data parallelism needs two ranks or more: mpirun -n 2"

SOURCE = MarkovSource.random(16, seed=3, concentration=0.3)         # its best possible loss is known exactly
TEXT = SOURCE.sample(20_000, seed=0)
MODEL = ModelConfig(vocabulary=16, context=8, layers=1, heads=2, width=16)
N = 11                                                              # samples per batch: they divide by nothing

# %% [markdown]
# ## 1 · Shares add up, if all divide by the same number
#
# The loss of a batch is a mean over its N samples. Written as a sum, it falls apart into one share per rank:
#
#     L = 1/N sum_i l_i = sum over ranks r of [ 1/N sum over i of rank r of l_i ]
#
# and so does its gradient. Each rank divides by the N of all ranks; then a plain sum is exact, for shares of any sizes.
#
# **Predict before you run:** 11 samples over 4 ranks are 3, 3, 3 and 2. If each rank takes the mean over its own samples
# instead, and the gradients are averaged over ranks, as most wrappers do: is the result the same, the same up to rounding, or
# visibly another one?

# %%


def gradient(comm: Communicator, own_mean: bool = False) -> np.ndarray:
    """The gradient of the whole batch as this rank has it in the end."""
    model = GPT(MODEL, dtype=np.float64)
    flat = Flat(model.parameters())
    inputs, targets = Batches(TEXT, MODEL.context, N, seed=0).get(0)                      # [N, T]
    mine = np.array_split(np.arange(N), comm.size)[comm.rank]
    count = targets[mine].size if own_mean else targets.size
    backward(model.loss(inputs[mine], targets[mine], count=count))
    return all_reduce(comm, flat.gradient(), "mean" if own_mean else "sum", why="gradients")


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference, relative to the largest element."""
    return float(abs(one - other).max() / abs(other).max())


(alone,) = lesson.run(gradient, ranks=1)
same_count, own_mean = lesson.run(gradient), lesson.run(gradient, True)
lesson.say(f"1 · {N} samples over {p} ranks, the gradient against one process")
lesson.table(("each rank divides by", "and then", "off by"),
             ("the N of all ranks", "sum", apart(same_count[0], alone)),
             ("its own number of samples", "mean", apart(own_mean[0], alone)))
assert apart(same_count[0], alone) < 1e-12, "A24 E2 E31: p ranks with a share each have the gradient of one with the batch"
assert apart(own_mean[0], alone) > 1e-2, "the mean of means counts a sample of a small share for more"
assert all(np.array_equal(g, same_count[0]) for g in same_count), "all ranks hold the same bits"

# %% [markdown]
# ## 2 · The same gradient is the same training
#
# Nothing is learned better on several ranks, and nothing worse (000 promises better generalisation: R27). The global batch is
# the same, so the model is. Up to rounding, that is: a sum over ranks adds in another order. The *bitwise* mode fixes the order
# once for all layouts, and then not even the last bit differs.
#
# **Break it on purpose:** below, give each rank a seed of its own, `seed=comm.rank`, so that replicas start from different
# weights. Which line stops you? Would the loss curve have told you?

# %%
STEPS = 60


def training(comm: Communicator, gradients: str, steps: int) -> tuple[list[float], np.ndarray, list[int]]:
    """Losses by step, the final weights, and which samples of each batch this rank takes."""
    train = TrainConfig(batch=N, steps=STEPS, lr=1e-2, warm_up=5, clip=0, seed=0)
    trainer = Trainer(MODEL, train, ByteTokenizer(), TEXT, Grid(comm, Layout(dp=comm.size, gradients=gradients)))
    losses = [trainer.step().loss for _ in range(steps)]
    return losses, trainer.flat.data.copy(), trainer.rows.tolist()


flat_runs = {ranks: lesson.run(training, "flat", STEPS, ranks=ranks) for ranks in lesson.sizes}
tree_runs = {ranks: lesson.run(training, "bitwise", STEPS // 4, ranks=ranks) for ranks in lesson.sizes}
curves = {f"{ranks} rank" + "s" * (ranks > 1): runs[0][0] for ranks, runs in flat_runs.items()}
lesson.say(f"2 · {STEPS} steps in float32; the best possible loss is {SOURCE.entropy_rate:.3f}")
lesson.table(("ranks", "last loss", "weights apart", "after 15 steps in bitwise mode"),
             *((ranks, flat_runs[ranks][0][0][-1], apart(flat_runs[ranks][0][1], flat_runs[1][0][1]),
                apart(tree_runs[ranks][0][1], tree_runs[1][0][1])) for ranks in lesson.sizes))
for ranks in lesson.sizes:
    assert sorted(row for _, _, rows in flat_runs[ranks] for row in rows) == list(range(N)), "E12: each sample is on one rank"
    assert all(np.array_equal(weights, flat_runs[ranks][0][1]) for _, weights, _ in flat_runs[ranks]), "replicas are equal"
    assert np.allclose(flat_runs[ranks][0][0], flat_runs[1][0][0], rtol=1e-3), "N4: the same batches, the same losses"
    assert tree_runs[ranks][0][0] == tree_runs[1][0][0] and np.array_equal(tree_runs[ranks][0][1], tree_runs[1][0][1]), \
        "N4: added in the same order, the model of p ranks is that of one, to the last bit: it cannot generalise better"

# %% [markdown]
# ## 3 · What travels
#
# A sum of n numbers over p ranks can go through one rank: it receives p - 1 arrays, adds, and sends p - 1 arrays back. That is
# the traffic of a parameter server (000, 3.2.1), and of the word "main node" (R25). On a ring nobody is main:
#
#     main node        (p - 1) n in and (p - 1) n out on one rank, n on each other
#     ring             2 (p - 1)/p n on every rank: less than 2 n, however many ranks
#
# **Predict:** for one million parameters in float32 on 16 ranks, how many megabytes leave the main node, and how many leave
# each rank of a ring?

# %%
n = 1000 * 16 * 9 * 5 * 7                                            # divides by all the p of the picture


def sent(comm: Communicator, algorithm: str) -> int:
    """Bytes that this rank sends in one all-reduce of n float32."""
    counting = Counting(comm)
    all_reduce(counting, np.zeros(n // 64, np.float32), why="gradients", algorithm=algorithm)
    return counting.traffic.total().bytes * 64


def through_memory(comm: Communicator, algorithm: str) -> np.ndarray:
    return all_reduce(comm, stream(0, "noise", comm.rank).normal(size=1000), why="noise", algorithm=algorithm)


rings, mains = lesson.run(sent, "ring"), lesson.run(sent, "naive")
lesson.say(f"3 · bytes sent, in units of the gradient's {4 * n:,}")
lesson.table(("rank", "ring", "main node", "formulas"),
             *((r, ring / n / 4, main / n / 4, f"{2 * (p - 1) / p:.3g} and {p - 1 if r == 0 else 1}")
               for r, (ring, main) in enumerate(zip(rings, mains, strict=True))))
assert mains == [naive_all_reduce(p, r, n).elements * 4 for r in range(p)], "A43: a main node sends p - 1 gradients, others one"
if n // 64 % p == 0:
    assert rings == [2 * (p - 1) * n // p * 4] * p, "A43 E30: on a ring each rank sends 2 (p - 1) / p of the gradient"
algorithms = ["ring", "naive", "tree", "recursive_doubling", "halving_doubling", "shared"] + ["native"] * lesson.mpi
sums = {name: lesson.run(through_memory, name)[0] for name in algorithms}       # native: the MPI library's own
assert all(np.allclose(total, sums["ring"], rtol=1e-12, atol=1e-12) for total in sums.values()), \
    "E30 N47: every all-reduce gives one sum, through a main node too: a parameter server is data parallel, not model parallel"

# %% [markdown]
# minipar sums gradients in five ways. They agree, and differ in how many messages they need, and when these can start. What
# each of them sends is known beforehand from formulas (`minipar/plan/traffic.py`); the counter agrees to the byte.

# %%


def one_step(comm: Communicator, gradients: str) -> tuple[int, int, list[str]]:
    """Messages and bytes of this rank in one step, and where they are not what the formulas say."""
    layout = Layout(dp=comm.size, gradients=gradients, bucket_bytes=8192)
    train = TrainConfig(batch=N)
    counting = Counting(comm)
    trainer = Trainer(MODEL, train, ByteTokenizer(), TEXT, Grid(counting, layout))
    counting.traffic.tallies.clear()
    trainer.step()
    total = counting.traffic.total()
    wrong = differences(step_traffic(MODEL, train, layout, comm.rank, select), counting.traffic.by("group", "op", "why"))
    return total.messages, total.bytes, wrong


steps = {gradients: lesson.run(one_step, gradients) for gradients in GRADIENTS}
lesson.table(("gradients", "messages of rank 0", "bytes"), *((name, *ranks[0][:2]) for name, ranks in steps.items()))
assert all(wrong == [] for ranks in steps.values() for _, _, wrong in ranks), "counted is predicted"
assert steps["parameter"][0][0] > steps["buckets"][0][0] > steps["flat"][0][0]
assert steps["shared"][0][1] < 100, "through shared memory only the loss travels"

# %% [markdown]
# ## 4 · "Distributed" training that is not
#
# 000 (5.2) prints a `train_distributed` (R16). It asks for its rank, prints it, and every rank walks through the whole data,
# and there is no collective in it anywhere (the `DistributedDataParallel` of the text around it is never called). So p ranks
# read p N samples where N were to be read, and unless they shuffle alike, they end with p different models. It is called for
# 4 GPUs, with batch 16, but without a launcher, so that one process is all there is; with one, the global batch is 64.
#
# Four lines repair it: the same shuffle on all ranks, a share of each global batch, and an all-reduce.

# %%
POINTS, LOCAL = 32, 4                                               # samples, and samples of a rank in one step
X = stream(0, "points").normal(size=(POINTS, 3))
Y = X @ np.array([1.0, -2.0, 0.5]) + stream(0, "errors").normal(size=POINTS)


def slope(w: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The gradient of the mean squared error of a linear model on some samples."""
    return X[rows].T @ (X[rows] @ w - Y[rows]) / len(rows)


def as_printed(comm: Communicator, seed_by_rank: bool) -> tuple[np.ndarray, int]:
    w, read = np.zeros(3), 0
    for epoch in range(5):
        order = stream(comm.rank if seed_by_rank else 0, "shuffle", epoch).permutation(POINTS)
        for rows in order.reshape(-1, LOCAL):
            w, read = w - 0.1 * slope(w, rows), read + len(rows)
    return w, read


def repaired(comm: Communicator, batch: int) -> tuple[np.ndarray, int]:
    w, read = np.zeros(3), 0
    for epoch in range(5):
        order = stream(0, "shuffle", epoch).permutation(POINTS)                           # the same on all ranks
        for rows in np.array_split(order, POINTS // batch):
            mine = np.array_split(rows, comm.size)[comm.rank]                             # its share
            g = slope(w, mine) * len(mine) / len(rows)
            w, read = w - 0.1 * all_reduce(comm, g, why="gradients"), read + len(mine)
    return w, read


def models(runs: list[tuple[np.ndarray, int]]) -> tuple[int, float]:
    """Samples read by all ranks, and the largest difference of a rank's model from rank 0's."""
    return sum(read for _, read in runs), max(float(abs(w - runs[0][0]).max()) for w, _ in runs)


redundant, diverged, mended = lesson.run(as_printed, False), lesson.run(as_printed, True), lesson.run(repaired, LOCAL * p)
unlaunched = lesson.run(as_printed, False, ranks=1)
(reference,) = lesson.run(repaired, LOCAL * p, ranks=1)
lesson.say(f"4 · five epochs over {POINTS} samples on {p} ranks")
lesson.table(("program", "samples read", "replicas apart"), ("as printed, no launcher", *models(unlaunched)),
             ("as printed, one seed", *models(redundant)),
             ("as printed, a seed per rank", *models(diverged)), ("repaired", *models(mended)))
assert models(unlaunched) == (5 * POINTS, 0.0), "C3: without a launcher there is one process, whatever num_gpus says"
assert models(redundant) == (5 * p * POINTS, 0.0), "C2 N13: p ranks do p times the same work"
assert models(diverged)[0] == 5 * p * POINTS and models(diverged)[1] > 0.01, "C2 N14: nothing is wrapped: p ranks, p models"
assert models(mended) == (5 * POINTS, 0.0) and np.allclose(mended[0][0], reference[0], rtol=1e-12, atol=0), \
    "C2: with a share each and an all-reduce, it is the training of one process"

# %% [markdown]
# ## 5 · Averaging parameters is another algorithm
#
# R21, 004 (3.3.1) and 001 (2.2): each device updates its own parameters, and now and then they are averaged. That is *local
# SGD*. The average of p models after one SGD step each is the model after one step along the average gradient, since the step
# is linear in the gradient. After two steps it is not: the second gradients were taken at p different places. And for Adam
# not even after one.
#
# **Predict:** which of these four end where synchronous training ends: SGD averaged after every step, after every 10 steps,
# never; Adam averaged after every step?

# %%


def local_training(comm: Communicator, optimizer: str, every: int, average: str) -> np.ndarray:
    """Rank 0's weights after 60 steps on shares of the data; what is averaged, gradients or parameters, every so many steps."""
    w, m, v = np.zeros(3), np.zeros(3), np.zeros(3)
    mine = np.array_split(np.arange(POINTS - POINTS % comm.size), comm.size)[comm.rank]  # equal shares
    for step in range(1, 61):
        g = slope(w, mine)
        if average == "gradients":
            g = all_reduce(comm, g, "mean", why="gradients")
        if optimizer == "adam":
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            g = m / (1 - 0.9**step) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
        w = w - 0.05 * g
        if average == "parameters" and step % every == 0:
            w = all_reduce(comm, w, "mean", why="parameters")
    return w


def drift(optimizer: str, every: int) -> float:
    synchronous = lesson.run(local_training, optimizer, 1, "gradients")[0]
    return float(abs(lesson.run(local_training, optimizer, every, "parameters")[0] - synchronous).max())


sgd, sgd_every_10, sgd_never, adam = drift("sgd", 1), drift("sgd", 10), drift("sgd", 61), drift("adam", 1)
lesson.say("5 · parameters averaged, against gradients averaged in every step: distance after 60 steps")
lesson.table(("optimizer", "averaged", "apart"), ("SGD", "every step", sgd), ("SGD", "every 10 steps", sgd_every_10),
             ("SGD", "never", sgd_never), ("Adam", "every step", adam))
assert sgd < 1e-14, "N55 A37: after every step of SGD, averaging parameters is averaging gradients"
assert 1e-3 < sgd_every_10 < sgd_never, "N55 A37: now and then it is local SGD, and ends elsewhere"
assert adam > 1e-3, "A37: for Adam it is another algorithm even after every step"

# %% [markdown]
# ## 6 · Does it pay?
#
# The work of a step is shared, C/p, but its all-reduce is not: on a ring it takes 2 (p - 1)/p n beta, for n bytes at beta
# seconds each. 000 (3.3) warns of the cost and gives no number. Take 100 million gradients in float32, and 100 ms of computing.
#
# **Predict:** on 10 Gb/s, how many ranks are the fastest?

# %%
C, GRADIENT_BYTES = 100.0, 4 * 10**8
BANDWIDTHS = {"10 Gb/s": 10e9 / 8, "100 GB/s": 100e9}
step_ms = {name: {ranks: C / ranks + 1e3 * float(ring_all_reduce(ranks, GRADIENT_BYTES, Links(alpha=0, beta=1 / rate)))
                  for ranks in (1, 2, 4, 8)} for name, rate in BANDWIDTHS.items()}
lesson.say("6 · milliseconds per step")
lesson.table(("network", "1 rank", "2", "4", "8"), *((name, *map(float, times.values())) for name, times in step_ms.items()))
assert list(step_ms["10 Gb/s"].values()) == [100, 370, 505, 572.5], "N7: on a slow network one rank is the fastest"
assert np.allclose(list(step_ms["100 GB/s"].values()), [100, 54, 31, 19.5]), "N7: on a fast one eight ranks are 5 times as fast"

# %% [markdown]
# ## 7 · Hide it
#
# Backward has the gradient of the last layers long before that of the first. Cut the gradient into buckets, and let each one
# travel as soon as it is complete, while backward goes on. Ranks here carry a clock (`minipar/comm/clock.py`) that charges
# 50 us + 8 ns per byte for a message, and a fixed rate for computing: eight machines on your two cores.
#
# Few buckets overlap little; many pay latency for each. **Predict** the shape of the curve, and below what it cannot fall.
#
# **Exercise:** buckets need not be equal. While the first one is computed, the network idles; while the last one travels,
# backward has ended. On four ranks, find sizes for `overlapped` that beat the best of the equal ones.

# %%
ELEMENTS, FLOPS, NETWORK = 240_000, 2e8, Network(alpha=50e-6, beta=8e-9)


def bucket_sizes(buckets: int) -> list[int]:
    return [len(part) for part in np.array_split(np.zeros(ELEMENTS), buckets)]


def overlapped(comm: Communicator, sizes: list[int]) -> float:
    """Virtual milliseconds from the start of backward to the complete gradient."""
    assert sum(sizes) == ELEMENTS
    clock = Clock(comm, NETWORK, flops_per_second=2e10)
    handles: list[Any] = []
    for number, size in enumerate(sizes):
        clock.compute(FLOPS * size / ELEMENTS, "backward")
        part = np.zeros(size, np.float32)
        handles.append(start_all_reduce(clock, part, why=f"gradients {number}", out=part, algorithm="ring"))
    for handle in handles:
        handle.wait()
    return 1e3 * float(clock.now)


bucket_ms = {buckets: max(lesson.run(overlapped, bucket_sizes(buckets))) for buckets in (1, 2, 4, 8, 16, 32, 64)}
computing = 1e3 * FLOPS / 2e10
network = 1e3 * float(ring_all_reduce(p, 4 * ELEMENTS, Links(alpha=NETWORK.alpha, beta=NETWORK.beta)))
lesson.say(f"7 · backward takes {computing:g} ms, one all-reduce {network:.3g} ms")
lesson.table(("buckets", "ms"), *bucket_ms.items())
best = min(bucket_ms, key=bucket_ms.__getitem__)
assert abs(bucket_ms[1] - computing - network) < 1e-6, "one bucket: nothing overlaps, and the formula is exact"
assert max(computing, network) < bucket_ms[best] < 0.9 * bucket_ms[1] and bucket_ms[best] < bucket_ms[64]

# %% [markdown]
# ## The picture

# %%
traffic = {"ring, each rank": {ranks: ring_traffic(ranks, 0, n).elements / n for ranks in range(2, 17)},
           "main node": {ranks: naive_all_reduce(ranks, 0, n).elements / n for ranks in range(2, 17)}}
counted = {"ring, each rank": (p, max(rings) / n / 4), "main node": (p, max(mains) / n / 4)}
lesson.picture(draw_data_parallel(curves, SOURCE.entropy_rate, traffic, counted, step_ms, bucket_ms, max(computing, network)))
