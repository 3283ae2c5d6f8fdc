# %% [markdown]
# # 16 · Combinations on a mesh: data, tensor and pipeline parallel at once
#
# You have eight ranks on two machines. Data parallelism (lesson 13) wants the
# whole model on each rank. Tensor parallelism (14) sends much. A pipeline (15)
# waits. Can you use all three, each where it is good?
#
#                  stage 0                 stage 1
#     replica 0    rank 0   rank 1         rank 4   rank 5
#     replica 1    rank 2   rank 3         rank 6   rank 7
#                  shard 0  shard 1        shard 0  shard 1
#
# The ranks form a **mesh** with three axes, dp x tp x pp, here 2 x 2 x 2. *dp*
# counts replicas, *tp* shards of each weight, *pp* stages. A rank belongs to
# three groups: with one it adds up gradients (dp), with one it adds up activations
# (tp), with one it exchanges activations at boundaries (pp).
#
# You need lessons 13 to 15. The core path takes 40 minutes; sections marked
# "(optional)" do not belong to it.
#
# Run me: `minipar lesson teach 16` (step by step), `minipar lesson run 16` (at
# once, eight threads), or under `mpirun -n 8 python lessons/16_mesh.py`. With
# `--fast` it trains less.

# %%
from contextlib import contextmanager
from dataclasses import replace
from itertools import product

from minipar.lessons.plots.mesh import draw_memory, draw_sent
from minipar.lessons.support.gpt3_on_64 import (
    GPT3,
    MEMORY,
    gigabytes,
    seconds,
)
from minipar.lessons.support.lesson import Lesson

import minipar as mp
from minipar.autograd.tape_bytes import held_bytes
from minipar.comm.collectives import select
from minipar.comm.wrappers.counting import Counting, Traffic
from minipar.data.markov import MarkovSource
from minipar.data.tokenizer import ByteTokenizer
from minipar.nn.counts import parameter_count
from minipar.plan.amounts import by_axis, differences
from minipar.plan.parameters import count, rank_shapes
from minipar.plan.stages import stages_of
from minipar.plan.traffic import step_traffic

# %%
lesson = Lesson("16_mesh", ranks=8)
p = lesson.size
assert p > 1, "a mesh needs two ranks or more: mpirun -n 8"
STEPS = 3 if lesson.fast else 30
SOURCE = MarkovSource.random(16, seed=3, concentration=0.3)
TEXT = SOURCE.sample(20_000, seed=0)            # SOURCE knows its best loss
MODEL = mp.ModelConfig(vocabulary=16, context=8, layers=4, heads=4,
                       width=32, dropout=0.1)
TRAIN = mp.TrainConfig(batch=8, micro_batches=4, steps=STEPS, lr=5e-3,
                       warm_up=2, dtype="float64")


def meshes(ranks):
    """All (dp, tp, pp) with that product, largest dp first."""
    return [(dp, tp, ranks // (dp * tp))
            for dp, tp in product(range(ranks, 0, -1), repeat=2)
            if ranks % (dp * tp) == 0]


LAYOUTS = {f"{dp} x {tp} x {pp}": mp.Layout(dp=dp, tp=tp, pp=pp)
           for dp, tp, pp in meshes(min(p, 4))}
BY_LAYERS = "1 x 2 x 2, layer parallel"         # without micro-batches
if p >= 4:
    LAYOUTS[BY_LAYERS] = mp.Layout(tp=2, pp=2, pipeline="naive")
if p >= 8:
    LAYOUTS["2 x 2 x 2"] = mp.Layout(dp=2, tp=2, pp=2)

# %% [markdown]
# ## 1 · A rank's number is its address
#
# The axis that talks most is the last digit of the address:
#
#     rank = (stage · dp + replica) · tp + shard
#
# For 2 x 2 x 2, rank 5 is (1 · 2 + 0) · 2 + 1: stage 1, replica 0, shard 1. Ranks
# that differ in one digit only form a group. With rank 4 it shares each weight
# (tp), with rank 1 it exchanges activations (pp).

# %%


def address(comm, layout):
    grid = mp.Grid(comm, layout)
    return grid.at, {axis: getattr(grid, axis).members
                     for axis in ("dp", "tp", "pp")}


lesson.predict("2 x 2 x 2: with which rank does rank 5 add up gradients?")
lesson.reveal((1 * 2 + 1) * 2 + 1)
name, cube = max(LAYOUTS.items(), key=lambda item: (
    item[1].ranks, min(item[1].tp, item[1].pp)))
found = lesson.run(address, cube, ranks=cube.ranks)
lesson.say(f"  the mesh {name}")
lesson.table(("rank", "replica", "shard", "stage", "dp group", "tp group",
              "pp group"),
             *((rank, at["dp"], at["tp"], at["pp"],
                *map(str, groups.values()))
               for rank, (at, groups) in enumerate(found)))
assert all(rank == (at["pp"] * cube.dp + at["dp"]) * cube.tp + at["tp"]
           for rank, (at, _) in enumerate(found)), \
    "the number is the address: look at the order of the axes"

# %% [markdown]
# ## 2 · One training
#
# Dropout, clipping, AdamW, four micro-batches; only the mesh changes. We compute
# in float64, because a sum in another order differs in its last digit.

# %%


def training(comm, layout, steps):
    """Losses; weights; sent in the last step; what is unexpected."""
    counting, train = Counting(comm), replace(TRAIN, seed=0)
    trainer = mp.Trainer(MODEL, train, ByteTokenizer(), TEXT,
                         mp.Grid(counting, layout))
    losses = []
    for _ in range(steps):
        counting.traffic.tallies.clear()
        losses.append(trainer.step().loss)
    sent = counting.traffic
    formulas = step_traffic(MODEL, TRAIN, layout, comm.rank, select)
    wrong = differences(formulas, sent.by("group", "op", "label"))
    return losses, trainer.flat.data.size, list(sent), wrong


lesson.predict("How far do the losses of the meshes differ, relatively?",
               ["below 1e-10", "about 1e-5", "about 1 %"])
((single, P, _, _),) = lesson.run(training, mp.Layout(), STEPS, ranks=1)
runs = {name: lesson.run(training, layout, STEPS, ranks=layout.ranks)
        for name, layout in LAYOUTS.items()}
off = {name: max(abs(mine - theirs) / theirs for losses, *_ in ranks
                 for mine, theirs in zip(losses, single, strict=True))
       for name, ranks in runs.items()}

# %%
lesson.reveal("below 1e-10" if max(off.values()) < 1e-10 else "more")
lesson.say(f"  one process: {single[0]:.3f} to {single[-1]:.3f}; best "
           f"possible: {SOURCE.entropy_rate:.3f}")
lesson.table(("dp x tp x pp", f"loss after {STEPS} steps", "largest off"),
             *((name, f"{ranks[0][0][-1]:.6f}", off[name])
               for name, ranks in runs.items()))
assert single[-1] < single[0], "the model learns"
assert max(off.values()) < 1e-10, \
    "every mesh has one process's losses: look at the seeds of the ranks"

# %% [markdown]
# **Break it.** Give each rank a seed of its own, `seed=comm.rank`. Shards of one
# layer then come from different layers, and the loss still falls. Which assert
# stops you?
#
# Try a learning rate of 1e-2, too: the loss then goes up and down, and 1e-15
# becomes 1e-11. A training that is nearly unstable also hides mistakes.

# %% [markdown]
# ## 3 · What a rank holds
#
# Data parallelism leaves the model whole: each replica has all P weights. Tensor
# and pipeline parallelism split it, to about P/(tp pp). *About*, because
# LayerNorms, positions and some biases are on every rank of tp, a tied token
# table is at both ends of the pipeline, and end stages have more than the others.
# The **ledger** (`minipar/plan`) knows each rank's weights from sizes alone.

# %%


def ledger(model, layout, rank):
    """Number of weights of a rank."""
    stage, shard = rank // (layout.dp * layout.tp), rank % layout.tp
    mine = stages_of(model, layout).of_rank(stage)
    return count(rank_shapes(model, layout.tp, shard, mine))


lesson.predict(f"P = {P:,}. About how many weights has a rank of "
               "1 x 2 x 2?")
lesson.reveal(P / 4)
held = {name: [weights for _, weights, _, _ in ranks]
        for name, ranks in runs.items()}
lesson.table(("dp x tp x pp", "P / (tp pp)", "most", "least"),
             *((name, f"{P / (layout.tp * layout.pp):,.0f}",
                f"{max(held[name]):,}", f"{min(held[name]):,}")
               for name, layout in LAYOUTS.items()))
assert all(held[name] == [ledger(MODEL, layout, rank)
                          for rank in range(layout.ranks)]
           for name, layout in LAYOUTS.items()), \
    "every rank holds what the ledger says, to the weight"
large = max(ledger(GPT3, mp.Layout(tp=8, pp=8), rank) for rank in range(64))
even = parameter_count(GPT3) / 64
lesson.say(f"  GPT-3, tp 8, pp 8: {large / 1e9:.3f}e9 weights on the "
           f"fullest rank; P/64 is {even / 1e9:.3f}e9")
assert even < large < 1.04 * even, \
    "on a large model P/(tp pp) is right to 4 %"

# %% [markdown]
# ## 4 · What a rank sends
#
#     dp    the gradients of its weights, once per step; less, if tp or pp
#           split the model
#     tp    activations, four times in each layer for each micro-batch
#     pp    activations at its boundaries, once each way for each micro-batch;
#           with a tied table also its gradient
#
# So dp does not depend on the batch, and the other two grow with it.

# %%


def by_axes(sent):
    """Bytes by axis, from bytes by group; the tied table counts as pp."""
    return {"dp": sent.get("dp", 0), "tp": sent.get("tp", 0),
            "pp": sent.get("pp", 0) + sent.get("tied", 0)}


def gpt3_axes(samples):
    train = mp.TrainConfig(batch=samples, micro_batches=samples // 2)
    layout = mp.Layout(dp=2, tp=2, pp=2)
    lines = step_traffic(GPT3, train, layout, 0, select)
    return by_axes({group: amount.bytes
                    for group, amount in by_axis(lines).items()})


lesson.predict("GPT-3 on 2 x 2 x 2, a batch of 64 samples: which axis "
               "sends most?", ["dp", "tp", "pp"])
order = {}
for samples in (8, 64):
    axes = gpt3_axes(samples)
    order[samples] = sorted(axes, key=axes.__getitem__, reverse=True)
lesson.reveal(order[64][0])
lesson.table(("GPT-3, GB per step", "dp", "tp", "pp"),
             *((f"{samples} samples", *(f"{nbytes / 1e9:.1f}" for nbytes
                                        in gpt3_axes(samples).values()))
               for samples in order))

# %%
sent = {name: [by_axes({group: tally.bytes for (group,), tally
                        in Traffic(entries).by("group").items()})
               for _, _, entries, _ in ranks]
        for name, ranks in runs.items()}
most = {name: {axis: max(rank[axis] for rank in ranks)
               for axis in ("dp", "tp", "pp")}
        for name, ranks in sent.items()}
lesson.say("  our model: bytes sent in a step, the most of any rank")
lesson.table(("dp x tp x pp", "dp", "tp", "pp"),
             *((name, *(f"{n:,}" for n in axes.values()))
               for name, axes in most.items()))
lesson.picture(draw_sent(most), "_sent")
assert all(wrong == [] for ranks in runs.values() for *_, wrong in ranks), \
    "every line of the traffic is what the formulas say, to the byte"
assert all((nbytes > 0) == (getattr(LAYOUTS[name], axis) > 1)
           for name, axes in most.items()
           for axis, nbytes in axes.items()), \
    "an axis of one rank sends nothing"

# %% [markdown]
# ## 5 · Which axis stays inside a machine?
#
# Links within a machine are about ten times as fast as between machines. So the
# axis that sends most must stay inside. This is the reason for the address of
# section 1: ranks that differ in the last digit are neighbours, and `mpirun` puts
# neighbours on one machine.
#
# Take 1 x 2 x 2 on two machines of two ranks. Then put rank 0 and 2 on the first
# machine, 1 and 3 on the second.

# %%
lesson.predict("How many times as much is sent between the machines, if tp "
               "goes between them?",
               ["as much", "twice", "over 5 times"])
entries = [entries for *_, entries, _ in
           mp.run(4, training, mp.Layout(tp=2, pp=2), 1)]
together = sum(map(Traffic, entries), Traffic())
between = {name: sum(tally.bytes for (one, other), tally
                     in together.between(nodes).items() if one != other)
           for name, nodes in {"inside": (0, 0, 1, 1),
                               "between": (0, 1, 0, 1)}.items()}
lesson.reveal("over 5 times"
              if between["between"] > 5 * between["inside"] else "less")
lesson.table(("tp is ... machines", "bytes between machines"),
             *between.items())
assert 5 * between["inside"] < between["between"], \
    "tp sends most, so it must stay inside a machine"

# %% [markdown]
# ## 6 · What it costs: memory, counted
#
# Weights, gradients and the optimiser's state follow from section 3: 8 bytes per
# weight for each of four numbers. Activations are what backward waits for:
#
# * dp splits the samples;
# * tp splits most arrays of each layer;
# * pp splits the layers. But 1F1B keeps up to pp micro-batches at once on stage
#   0, so its activations do not shrink at all.

# %%


def memory(comm, layout):
    """Bytes of this rank by line. Activations: the largest in a step."""
    held = [0]

    @contextmanager
    def watch(instruction, running):
        yield
        held.append(held_bytes(*running.tapes.values()))

    trainer = mp.Trainer(MODEL, TRAIN, ByteTokenizer(), TEXT,
                         mp.Grid(comm, layout), watch=watch)
    trainer.step()
    flat, moments = trainer.flat, trainer.optimizer.state.values()
    return {"weights": flat.data.nbytes, "gradients": flat.grad.nbytes,
            "optimizer": sum(array.nbytes for array in moments),
            "activations": max(held)}


# %%
lesson.predict("1 x 2 x 2: how many times the activations of layer "
               "parallel does stage 0 keep with 1F1B?")
lesson.reveal(2)
counted = {name: lesson.run(memory, layout, ranks=layout.ranks)
           for name, layout in LAYOUTS.items()}
fullest = {name: max(ranks, key=lambda rank: sum(rank.values()))
           for name, ranks in counted.items()}
lesson.table(("fullest rank, KiB", "weights", "gradients", "optimiser",
              "activations"),
             *((name, *(f"{lines[line] / 1024:.0f}" for line in (
                 "weights", "gradients", "optimizer", "activations")))
               for name, lines in fullest.items()))
lesson.picture(draw_memory(fullest))
assert all(lines["weights"] == lines["gradients"] == lines["optimizer"] // 2
           == 8 * ledger(MODEL, LAYOUTS[name], rank)
           for name, ranks in counted.items()
           for rank, lines in enumerate(ranks)), \
    "what splits the weights splits gradients and optimiser alike"
if p >= 4:
    kept, by_layers = (counted[name][0]["activations"]
                       for name in ("1 x 2 x 2", BY_LAYERS))
    assert kept == 2 * by_layers, \
        "1F1B keeps min(m, pp) = 2 micro-batches on stage 0, naive one"

# %% [markdown]
# ## 7 · Exercises
#
# `minipar exercise list`: `split_a_communicator` (chapter 1) makes the groups of
# section 1; `predict_what_travels` (5), `predict_bubble` (6),
# `ledger_of_a_7b_model` and `peak_activations` (7) are this lesson's predictions;
# `choose_a_layout` and `a_mesh_for_gpt3` (9) search for the fastest mesh.
# `minipar plan` prints all of them for a layout of your own.

# %% [markdown]
# ## 8 · GPT-3 on 64 devices (optional)
#
# A device has 80 GB and computes 150e12 FLOP/s. Eight devices are in a machine. Its
# links carry 300 GB/s, and the links between machines 25 GB/s. The module
# `minipar.lessons.support.gpt3_on_64` has two functions of a mesh dp x tp x pp:
#
# * `gigabytes`, the ledger of the first stage's rank: 16 bytes per weight (mixed
#   precision with Adam), and activations in 16 bits of min(m, pp) micro-batches of
#   one sample, with sequence parallelism and recompute of attention's scores;
# * `seconds`, a model of a step. Nothing overlaps, so the time has four parts: the
#   computing, multiplied by (m + pp - 1)/m; four all-reduces over tp per layer and
#   micro-batch; two messages per micro-batch at a boundary; and one all-reduce of
#   gradients over dp.
#
# Which mesh is the fastest of those that fit? Does the answer depend on the batch?
# What changes if ZeRO shards the optimiser's state over dp (`zero=1`)? You answer
# this in `minipar exercise start a_mesh_for_gpt3` (chapter 9). Here are two meshes to
# begin with: tensor parallelism over several machines, and eight replicas.

# %%
SAMPLES = 1536
lesson.table(("dp x tp x pp", "GB", "seconds"),
             *((" x ".join(map(str, mesh)), gigabytes(*mesh, SAMPLES),
                seconds(*mesh, SAMPLES))
               for mesh in ((1, 32, 2), (8, 8, 1))))
assert gigabytes(1, 32, 2, SAMPLES) < MEMORY \
    < gigabytes(8, 8, 1, SAMPLES), \
    "one replica fits, split over 64 ranks; eight do not"
assert seconds(1, 32, 2, SAMPLES) > 3 * seconds(8, 8, 1, SAMPLES), \
    "tensor parallelism over several machines waits for slow links"

# %% [markdown]
# ## 9 · What the documents say (optional)
#
# Covers: A7 A15 A16 N23 E36
#
# 001 (3.4) combines strategies (并行策略组合, E36): tensor with layer parallelism
# (A15), and tensor with pipeline parallelism (A16). There are no formulas.
#
# * A15 A16 E36: right. Every mesh computes the same training.
# * A7 (001, 2.1): four kinds of model parallelism, data parallelism among them.
#   They do combine, each with traffic of its own. But:
# * N23 (001, 2.1; 004, 2.2): data parallelism is a kind of model parallelism.
#   Wrong: it does nothing to the model; each replica has all P weights.

# %%
assert max(off.values()) < 1e-10, \
    "A15 A16 E36: every mesh has the loss curve of one process, to 1e-10"
assert all(rank == (at["pp"] * cube.dp + at["dp"]) * cube.tp + at["tp"]
           for rank, (at, _) in enumerate(found)), \
    "A15: with one replica, a rank is stage · tp + shard"
assert all(held[name] == [ledger(MODEL, layout, rank)
                          for rank in range(layout.ranks)]
           for name, layout in LAYOUTS.items()), \
    "A15 A16: every rank holds what the ledger says, about P/(tp pp)"
assert all((held[name] == [P] * layout.ranks)
           == (layout.tp * layout.pp == 1)
           for name, layout in LAYOUTS.items()), \
    "N23 A7: data parallelism leaves the model whole, the others split it"
assert even < large < 1.04 * even, "A16: P/(tp pp), to 4 % on GPT-3"
assert order == {8: ["dp", "tp", "pp"], 64: ["tp", "dp", "pp"]}, \
    "A16: tp and pp send for every sample, dp once per step"
assert all((nbytes > 0) == (getattr(LAYOUTS[name], axis) > 1)
           for name, axes in most.items()
           for axis, nbytes in axes.items()), \
    "A7: each kind has traffic of its own, and combines with the others"
assert p < 4 or kept == 2 * by_layers, \
    "A16: with micro-batches, stage 0 of two keeps two of them; A15: one"
