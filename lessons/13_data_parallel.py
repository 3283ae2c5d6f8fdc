# %% [markdown]
# # 13 · Data parallel: share out the batch, add up the gradients
#
# Covers: A1 A24 A37 A43 C2 C3 N4 N7 N13 N14 N47 N55 E2 E3 E4 E12 E29 E30 E31
#
# In data parallelism (数据并行) p ranks hold the same weights. Each takes its own part of the batch and computes the gradient of
# that part. The step needs the sum over the whole batch, and that sum is all that ever travels.
#
# Document 002 (2.3.1) defines it so (梯度同步). The others say things that sound alike: gradients go to a main node (000, 3.2.1),
# parameters are averaged now and then (004, 3.3.1), parameters are cut as well (000), the model gets better by it (000, 3.3).
# Here each of them meets a number. Errors of the documents that turn up: R16, R21, R25 and R27.
#
# Run me: `python lessons/13_data_parallel.py` (four threads), under `mpirun -n 4`, or cell by cell in an editor.

# %%
from dataclasses import replace

import numpy as np
from minipar.lessons.plots.data_parallel import draw_data_parallel
from minipar.lessons.support.buckets import ELEMENTS, FLOPS, NETWORK, RATE, overlapped
from minipar.lessons.support.counted import bytes_sent, one_step, sum_of_noise
from minipar.lessons.support.lesson import Lesson
from minipar.lessons.support.line import FEATURES, POINTS, adam_step, slope

import minipar as mp
from minipar.comm.collectives import all_gather, even_counts, reduce_scatter
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
assert 1 < p <= 8, "this lesson is for two to eight ranks: mpirun -n 4"

SOURCE = MarkovSource.random(16, seed=3, concentration=0.3)         # its best possible loss is known exactly
TEXT = SOURCE.sample(20_000, seed=0)
MODEL = mp.ModelConfig(vocabulary=16, context=8, layers=1, heads=2, width=16)
N = 11  # samples per batch: they divide by nothing

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


def gradient(comm: mp.Communicator, own_mean: bool = False) -> np.ndarray:
    """The gradient of the whole batch as this rank has it in the end."""
    model = mp.GPT(MODEL, dtype=np.float64)
    flat = Flat(model.parameters())
    inputs, targets = Batches(TEXT, MODEL.context, N, seed=0).get(0)                      # [N, T]
    mine = np.array_split(np.arange(N), comm.size)[comm.rank]
    count = targets[mine].size if own_mean else targets.size
    mp.backward(model.loss(inputs[mine], targets[mine], count=count))
    return mp.all_reduce(comm, flat.gradient(), "mean" if own_mean else "sum", label="gradients")


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference, relative to the largest element."""
    return float(abs(one - other).max() / abs(other).max())


(alone,) = lesson.run(gradient, ranks=1)
same_count, own_mean = lesson.run(gradient), lesson.run(gradient, True)
lesson.say(f"1 · {N} samples over {p} ranks, the gradient against one process")
lesson.table(("each rank divides by", "and then", "off by"),
             ("the N of all ranks", "sum", apart(same_count[0], alone)),
             ("its own number of samples", "mean", apart(own_mean[0], alone)))
assert apart(same_count[0], alone) < 1e-12 and all(np.array_equal(g, same_count[0]) for g in same_count), (
    "A24 E2 E31: p ranks with a share each have the gradient of one with the batch, and all of them the same bits"
)
assert apart(own_mean[0], alone) > 1e-2, "the mean of means counts a sample of a small share for more"

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


def training(comm: mp.Communicator, layout: mp.Layout, steps: int, model: mp.ModelConfig = MODEL,
             dtype: str = "float32") -> tuple[list[float], np.ndarray, list[int]]:
    """Losses by step, the final weights, and which samples of each batch this rank takes."""
    train = mp.TrainConfig(batch=N, steps=STEPS, lr=1e-2, warm_up=5, clip=0, seed=0, dtype=dtype)
    trainer = mp.Trainer(model, train, ByteTokenizer(), TEXT, mp.Grid(comm, layout))
    losses = [trainer.step().loss for _ in range(steps)]
    return losses, trainer.flat.data.copy(), trainer.rows.tolist()


flat_runs = {ranks: lesson.run(training, mp.Layout(dp=ranks, gradients="flat"), STEPS, ranks=ranks)
             for ranks in lesson.sizes}
tree_runs = {ranks: lesson.run(training, mp.Layout(dp=ranks, gradients="bitwise"), STEPS // 4, ranks=ranks)
             for ranks in lesson.sizes}
curves = {f"{ranks} rank" + "s" * (ranks > 1): runs[0][0] for ranks, runs in flat_runs.items()}
lesson.say(f"2 · {STEPS} steps in float32; the best possible loss is {SOURCE.entropy_rate:.3f}")
lesson.table(("ranks", "last loss", "weights apart", "after 15 steps in bitwise mode"),
             *((ranks, flat_runs[ranks][0][0][-1], apart(flat_runs[ranks][0][1], flat_runs[1][0][1]),
                apart(tree_runs[ranks][0][1], tree_runs[1][0][1])) for ranks in lesson.sizes))
for ranks in lesson.sizes:
    assert sorted(row for _, _, rows in flat_runs[ranks]
                  for row in rows) == list(range(N)), "E12: each sample is on one rank"
    assert all(np.array_equal(weights, flat_runs[ranks][0][1]) for _, weights, _ in flat_runs[ranks]), \
        "E2: replicas are equal, since they start from the same weights and take the same steps"
    assert np.allclose(flat_runs[ranks][0][0], flat_runs[1][0][0],
                       rtol=1e-3), "N4: the same batches, the same losses"
    assert tree_runs[ranks][0][0] == tree_runs[1][0][0] and np.array_equal(
        tree_runs[ranks][0][1], tree_runs[1][0][1]
    ), (
        "N4: added in the same order, the model of p ranks is that of one, to the last bit: it cannot generalise better"
    )

# %% [markdown]
# The program does not know how many ranks there are, nor what they share. TensorFlow (001, 3.1) calls the choice a distribution
# *strategy*; here it is one line, the `Layout`, and all are the same training. (Tensor and pipeline parallelism: lessons 14, 15.)
# It cuts the ranks into process groups (进程组): each numbers its ranks from 0, and adds up among them alone.

# %%


def in_group(comm: mp.Communicator) -> tuple[int, tuple[int, ...], int]:
    """This rank's number among the even or the odd ranks, who they are, and the sum of their numbers in the
    world.
    """
    group = comm.split(comm.rank % 2, label="even or odd")
    assert group is not None
    return group.rank, group.members, int(mp.all_reduce(group, np.array([comm.rank]), label="numbers")[0])


halves = [tuple(range(p))[first::2] for first in (0, 1)]
assert lesson.run(in_group) == [(rank // 2, halves[rank % 2], sum(halves[rank % 2])) for rank in range(p)], \
    "E3: a group has ranks of its own, and its all-reduce adds up its own members alone"
DEEP = replace(MODEL, layers=p, heads=p, width=8 * p)               # so that there is something to cut
strategies = {"one process": mp.Layout(), "dp": mp.Layout(dp=p), "tp": mp.Layout(tp=p), "pp": mp.Layout(pp=p)}
ends = {name: lesson.run(training, layout, 5, DEEP, "float64", ranks=layout.ranks)[0][0][-1] for name,
        layout in strategies.items()}
assert all(abs(loss / ends["one process"] - 1) < 1e-10
           for loss in ends.values()), "E4: one program, four layouts, one loss"

# %% [markdown]
# ## 3 · What travels
#
# A sum of n numbers over p ranks can go through one rank: it receives p - 1 arrays, adds, and sends p - 1 arrays back. That is
# what "to the main node" means (汇聚到主节点, 000, 3.2.1), which 000 says of all-reduce, too. But on a ring nobody is main (R25):
#
#     main node        (p - 1) n in and (p - 1) n out on one rank, n on each other
#     ring             2 (p - 1)/p n on every rank: less than 2 n, however many ranks
#
# minipar sums gradients in five ways: one all-reduce for each parameter, which is the definition; one for all of them (flat);
# through memory that the ranks share; in buckets, which need not wait for the end of backward (section 9); and bitwise.
#
# **Predict:** for one million parameters in float32 on 16 ranks, how many megabytes leave the main node, and how many leave
# each rank of a ring?

# %%
n = 720_720                                                         # divides by every p up to 16
rings, mains = lesson.run(bytes_sent, "ring", n), lesson.run(bytes_sent, "naive", n)
lesson.say(f"3 · bytes sent, in units of the gradient's {4 * n:,}")
lesson.table(("rank", "ring", "main node", "formulas"),
             *((r, ring / n / 4, main / n / 4, f"{2 * (p - 1) / p:.3g} and {p - 1 if r == 0 else 1}")
               for r, (ring, main) in enumerate(zip(rings, mains, strict=True))))
assert mains == [4 * n * (p - 1)] + [4 * n] * (p - 1), "A43: a main node sends p - 1 gradients, others one"
assert rings == [2 * (p - 1) * n // p
                 * 4] * p, "A43 E30: on a ring each rank sends 2 (p - 1) / p of the gradient"
algorithms = ["ring", "naive", "tree", "recursive_doubling", "halving_doubling",
              "shared"] + ["native"] * lesson.mpi
sums = {name: lesson.run(sum_of_noise, name)[0] for name in algorithms}       # native: the MPI library's own
assert all(np.allclose(total, sums["ring"], rtol=1e-12, atol=1e-12) for total in sums.values()), \
    "E30: every all-reduce gives the same sum, with a main node and without"
steps = {gradients: lesson.run(one_step, MODEL, TEXT, N, gradients) for gradients in GRADIENTS}
lesson.table(("gradients", "messages of rank 0", "bytes"),
             *((name, *ranks[0]) for name, ranks in steps.items()))
assert (
    steps["parameter"][0][0] > steps["buckets"][0][0] > steps["flat"][0][0] and steps["shared"][0][1] < 100
), "fewer and larger messages, down to none: through shared memory only the loss travels"

# %% [markdown]
# ## 4 · The parameter server
#
# Here the main node is a rank of its own (参数服务器: 000, 3.2.1; 003, 5.3). It keeps the weights; workers push gradients and pull
# weights. 003 calls that model parallelism (N47), but each worker has the whole model, and a share of the data. (This one waits
# for all workers. One that does not wait is another algorithm, and has a lesson of its own later.)

# %%
ROUNDS = 20


def served(comm: mp.Communicator) -> tuple[np.ndarray, float]:
    """The weights in the end, and what this rank sends in a round, in gradients. Rank 0 is the server."""
    counting, w, workers = Counting(comm), np.zeros(FEATURES), range(1, comm.size)
    for _ in range(ROUNDS):
        if comm.rank == 0:
            w -= 0.05 * sum(counting.recv(np.empty(FEATURES), worker, label="push") for worker in workers)
            for worker in workers:
                counting.send(w, worker, label="pull")
        else:
            mine = np.array_split(np.arange(POINTS), len(workers))[comm.rank - 1]
            counting.send(slope(w, mine, count=POINTS), 0, label="push")
            counting.recv(w, 0, label="pull")
    return w, counting.traffic.total().bytes / w.nbytes / ROUNDS


by_server = lesson.run(served)
w = np.zeros(FEATURES)
for _ in range(ROUNDS):
    w -= 0.05 * slope(w, np.arange(POINTS))
assert all(np.allclose(theirs, w, rtol=1e-12, atol=0) for theirs, _ in by_server), (
    "E29 N47: workers with a share of the data each do what one process does: a parameter server is data parallel"
)
assert [sent for _, sent in by_server] == [p - 1] + [1] * (p - 1), \
    "A43 E29: per round a worker sends and gets one gradient's size, 2 n; the server 2 n for each worker"

# %% [markdown]
# ## 5 · "Distributed" training that is not
#
# 000 (5.2) prints a `train_distributed` (R16). It asks for its rank and prints it. Then every rank walks through the whole data,
# and nothing in it communicates: the `DistributedDataParallel` of the text below is never called. So p ranks read p N samples
# where N were to be read, and unless they shuffle alike, they end with p different models. It is called for 4 GPUs, with batch
# 16, but without a launcher, so that there is one process. With four, the global batch is 64.
#
# Three lines repair it: the same shuffle on all ranks, a share of each global batch, and an all-reduce.

# %%
LOCAL = 4                                                           # samples of a rank in one step


def as_printed(comm: mp.Communicator, seed_by_rank: bool) -> tuple[np.ndarray, int]:
    w, read = np.zeros(FEATURES), 0
    for epoch in range(5):
        order = stream(comm.rank if seed_by_rank else 0, "shuffle", epoch).permutation(POINTS)
        for rows in order.reshape(-1, LOCAL):
            w, read = w - 0.1 * slope(w, rows), read + len(rows)
    return w, read


def repaired(comm: mp.Communicator, batch: int) -> tuple[np.ndarray, int]:
    w, read = np.zeros(FEATURES), 0
    for epoch in range(5):
        order = stream(0, "shuffle", epoch).permutation(POINTS)  # the same on all ranks
        for rows in np.array_split(order, POINTS // batch):
            mine = np.array_split(rows, comm.size)[comm.rank]                             # its share
            g = mp.all_reduce(comm, slope(w, mine, count=len(rows)), label="gradients")
            w, read = w - 0.1 * g, read + len(mine)
    return w, read


def models(runs: list[tuple[np.ndarray, int]]) -> tuple[int, float]:
    """Samples read by all ranks, and the largest difference of a rank's model from rank 0's."""
    return sum(read for _, read in runs), max(float(abs(w - runs[0][0]).max()) for w, _ in runs)


redundant, diverged, mended = lesson.run(as_printed,
                                         False), lesson.run(as_printed, True), lesson.run(repaired, LOCAL * p)
unlaunched = lesson.run(as_printed, False, ranks=1)
(reference,) = lesson.run(repaired, LOCAL * p, ranks=1)
lesson.say(f"5 · five epochs over {POINTS} samples on {p} ranks")
lesson.table(("program", "samples read", "replicas apart"), ("as printed, no launcher", *models(unlaunched)),
             ("as printed, one seed", *models(redundant)),
             ("as printed, a seed per rank", *models(diverged)), ("repaired", *models(mended)))
assert models(unlaunched) == (5 * POINTS,
                              0.0), "C3: without a launcher there is one process, whatever num_gpus says"
assert models(redundant) == (5 * p * POINTS, 0.0), "C2 N13: p ranks do p times the same work"
assert models(diverged)[0] == 5 * p * POINTS and models(diverged)[1] > 0.01, (
    "C2 N14: nothing is wrapped: p ranks, p models"
)
assert models(mended) == (5 * POINTS, 0.0) and np.allclose(mended[0][0], reference[0], rtol=1e-12, atol=0), \
    "C2: with a share each and an all-reduce, it is the training of one process"

# %% [markdown]
# ## 6 · Averaging parameters is another algorithm
#
# R21: in 004 (3.3.1) and 001 (2.2) each device updates its own parameters, and now and then (定期) they are synchronised. That is
# *local SGD*. The average of p models after one SGD step each is the model after one step along the average gradient. After two
# steps it is not: the second gradients were taken at p different places. And for Adam not even after one.
#
# **Predict:** which of these four end where synchronous training ends: SGD averaged after every step, after every 10 steps,
# never; Adam averaged after every step?

# %%


def equal_share(comm: mp.Communicator) -> np.ndarray:
    return np.array_split(np.arange(POINTS - POINTS % comm.size), comm.size)[comm.rank]


def local_training(comm: mp.Communicator, optimizer: str, every: int, average: str) -> np.ndarray:
    """This rank's weights after 60 steps on its share; what is averaged, gradients or parameters, every so
    many steps.
    """
    w, m, v = np.zeros(FEATURES), np.zeros(FEATURES), np.zeros(FEATURES)
    for step in range(1, 61):
        g = slope(w, equal_share(comm))
        if average == "gradients":
            g = mp.all_reduce(comm, g, "mean", label="gradients")
        w = w - 0.05 * (adam_step(g, m, v, step) if optimizer == "adam" else g)
        if average == "parameters" and step % every == 0:
            w = mp.all_reduce(comm, w, "mean", label="parameters")
    return w


def drift(optimizer: str, every: int) -> float:
    synchronous = lesson.run(local_training, optimizer, 1, "gradients")[0]
    return float(abs(lesson.run(local_training, optimizer, every, "parameters")[0] - synchronous).max())


sgd, sgd_every_10, sgd_never, adam = drift("sgd", 1), drift("sgd", 10), drift("sgd", 61), drift("adam", 1)
lesson.say("6 · parameters averaged, against gradients averaged in every step: distance after 60 steps")
lesson.table(("optimizer", "averaged", "apart"), ("SGD", "every step", sgd),
             ("SGD", "every 10 steps", sgd_every_10),
             ("SGD", "never", sgd_never), ("Adam", "every step", adam))
assert sgd < 1e-14, "N55 A37: after every step of SGD, averaging parameters is averaging gradients"
assert 1e-3 < sgd_every_10 < sgd_never, "N55 A37: now and then it is local SGD, and ends elsewhere"
assert adam > 1e-3, "A37: for Adam it is another algorithm even after every step"

# %% [markdown]
# ## 7 · Cutting the parameters as well
#
# 000 (3.2.1) splits the parameters, too (参数分割), "each part for one device to update", and then lets every device compute
# forward and backward on its own (独立计算). That cannot be: with a part of the weights one computes another gradient. What can
# be cut is the *update*. Each rank sums up its slice of the gradient (reduce-scatter), steps there, with an optimiser's state
# for that slice alone, and hands the new weights round (all-gather). That is ZeRO-1 (Rajbhandari et al. 2020).
#
# **Predict:** how many more bytes does that take than an all-reduce?

# %%


def zero_1(comm: mp.Communicator) -> tuple[np.ndarray, int, int]:
    """The weights after 60 steps of Adam, the numbers of its state on this rank, and bytes sent."""
    counting, w, counts = Counting(comm), np.zeros(FEATURES), even_counts(FEATURES, comm.size)
    own = np.array_split(np.arange(FEATURES), comm.size)[comm.rank]
    m, v = np.zeros(len(own)), np.zeros(len(own))
    for step in range(1, 61):
        g = reduce_scatter(counting, slope(w, equal_share(comm)), "mean", counts=counts, label="gradients",
                           algorithm="ring")
        w = all_gather(counting, w[own] - 0.05 * adam_step(g, m, v, step), counts=counts, label="weights",
                       algorithm="ring")
    return w, m.size + v.size, counting.traffic.total().bytes


cut, whole = lesson.run(zero_1), lesson.run(local_training, "adam", 1, "gradients")
half = np.where(np.arange(FEATURES) < FEATURES // 2, whole[0], 0)
assert apart(slope(half, np.arange(POINTS)), slope(whole[0], np.arange(POINTS))) > 0.1, (
    "A1: half the weights, another gradient"
)
assert all(np.allclose(w, whole[0], rtol=1e-12, atol=0) for w, _,
           _ in cut), "A1: cut updates are the same training"
assert sum(state for _, state,
           _ in cut) == 2 * FEATURES, "A1: Adam's two numbers per weight exist once, on all ranks together"
assert sum(sent for *_, sent in cut) == 60 * 2 * (p - 1) * FEATURES * 8, (
    "A1: and what travels is a ring all-reduce, to the byte"
)

# %% [markdown]
# ## 8 · Does it pay?
#
# The work of a step is shared, C/p, but its all-reduce is not: on a ring it takes 2 (p - 1)/p n beta, for n bytes at beta
# seconds each. 000 (3.3) warns of the cost and gives no number. Take 100 million gradients in float32, and 100 ms of computing.
#
# **Predict:** on 10 Gb/s, how many ranks are the fastest?

# %%
C, GRADIENT_BYTES = 100.0, 4 * 10**8
BANDWIDTHS = {"10 Gb/s": 10e9 / 8, "100 GB/s": 100e9}
step_ms = {name: {ranks: C / ranks + 1e3 * float(ring_all_reduce(ranks, GRADIENT_BYTES,
                                                                 Links(alpha=0, beta=1 / rate)))
                  for ranks in (1, 2, 4, 8)} for name, rate in BANDWIDTHS.items()}
lesson.say("8 · milliseconds per step")
lesson.table(("network", "1 rank", "2", "4", "8"),
             *((name, *map(float, times.values())) for name, times in step_ms.items()))
assert list(step_ms["10 Gb/s"].values()) == [100, 370, 505,
                                             572.5], "N7: on a slow network one rank is the fastest"
assert np.allclose(list(step_ms["100 GB/s"].values()),
                   [100, 54, 31, 19.5]), "N7: on a fast one eight ranks are 5 times as fast"

# %% [markdown]
# ## 9 · Hide it
#
# Backward has the gradient of the last layers long before that of the first. Cut the gradient into buckets, and let each one
# travel as soon as it is complete, while backward goes on: `overlapped` in `support/buckets.py`. Its ranks carry a clock
# (`minipar/comm/wrappers/clock.py`): a message costs 50 us + 8 ns per byte, computing a fixed rate, as if each had its own machine.
#
# Few buckets overlap little; many pay latency for each. **Predict** the shape of the curve, and below what it cannot fall.
#
# **Exercise:** buckets need not be equal. While the first one is computed, the network idles; while the last one travels,
# backward has ended. On four ranks, find sizes for `overlapped` that beat the best of the equal ones.

# %%
bucket_ms = {buckets: max(lesson.run(overlapped, even_counts(ELEMENTS, buckets)))
             for buckets in (1, 2, 4, 8, 16, 32, 64)}
computing = 1e3 * FLOPS / RATE
network = 1e3 * float(ring_all_reduce(p, 4 * ELEMENTS, Links(alpha=NETWORK.alpha, beta=NETWORK.beta)))
lesson.say(f"9 · backward takes {computing:g} ms, one all-reduce {network:.3g} ms")
lesson.table(("buckets", "ms"), *bucket_ms.items())
best = min(bucket_ms, key=bucket_ms.__getitem__)
assert abs(bucket_ms[1] - computing
           - network) < 1e-6, "one bucket: nothing overlaps, and the formula is exact"
assert max(computing, network) < bucket_ms[best] < 0.9 * bucket_ms[1] and bucket_ms[best] < bucket_ms[64], \
    "a few buckets are better than one, and than many"

# %% [markdown]
# ## The picture

# %%
traffic = {"ring, each rank": {ranks: ring_traffic(ranks, 0, n).elements / n for ranks in range(2, 17)},
           "main node": {ranks: naive_all_reduce(ranks, 0, n).elements / n for ranks in range(2, 17)}}
counted = {"ring, each rank": (p, max(rings) / n / 4), "main node": (p, max(mains) / n / 4)}
lesson.picture(draw_data_parallel(curves, SOURCE.entropy_rate, traffic, counted, step_ms, bucket_ms,
                                  max(computing, network)))
