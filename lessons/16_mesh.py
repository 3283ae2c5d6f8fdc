# %% [markdown]
# # 16 · Combinations on a mesh: data, tensor and pipeline parallel at once
#
# Covers: A7 A15 A16 N23 E36
#
# 001 (3.4) combines (并行策略组合) tensor with layer parallelism, and tensor with pipeline parallelism: cut the weights, and cut
# the layers, too. Add data parallelism, and ranks form a mesh of three axes, dp x tp x pp. Every rank has one place on each axis,
# and belongs to three groups: one that adds up gradients with it (dp), one that adds up activations (tp), one that hands them
# on (pp). What 001 says of its two combinations is right; where data parallelism belongs is not (N23, section 3).
#
# The claim: each mesh computes the same training. What differs is what a rank holds, and what it sends: and both are known from
# formulas, exactly, before anything runs. So one can choose.
#
# Run me: `python lessons/16_mesh.py` (eight threads), under `mpirun -n 4` or `-n 8`, or cell by cell in an editor. `--fast` trains
# less.

# %%
from dataclasses import replace
from itertools import product

from minipar.lessons.plots.mesh import draw_mesh
from minipar.lessons.support.lesson import Lesson

import minipar as mp
from minipar.comm.collectives import select
from minipar.comm.wrappers.counting import Counting, Traffic
from minipar.comm.wrappers.network import Network
from minipar.data.markov import MarkovSource
from minipar.data.tokenizer import ByteTokenizer
from minipar.nn.counts import computed_pairs, parameter_count, training_flops
from minipar.plan.activations import TapeBytes
from minipar.plan.amounts import Amount, by_axis, differences
from minipar.plan.collectives import ring_all_reduce
from minipar.plan.memory import MIXED_ADAM, MemoryLedger, state
from minipar.plan.parameters import count, rank_shapes
from minipar.plan.stages import stages_of
from minipar.plan.traffic import step_traffic
from minipar.trace.step import trace_step

lesson = Lesson("16_mesh", ranks=8)
p = lesson.size
assert p > 1, "a mesh needs two ranks or more: mpirun -n 4"
STEPS = 3 if lesson.fast else 30

SOURCE = MarkovSource.random(16, seed=3, concentration=0.3)         # its best possible loss is known exactly
TEXT = SOURCE.sample(20_000, seed=0)
MODEL = mp.ModelConfig(vocabulary=16, context=8, layers=4, heads=4, width=32, dropout=0.1)
TRAIN = mp.TrainConfig(batch=8, micro_batches=4, steps=STEPS, lr=5e-3, warm_up=2, dtype="float64")
GPT3 = mp.ModelConfig(vocabulary=50257, context=2048, layers=96, heads=96, width=12288)


def meshes(ranks: int) -> list[tuple[int, int, int]]:
    """All (dp, tp, pp) with that product, data parallelism first."""
    return [(dp, tp, ranks // (dp * tp)) for dp, tp in product(range(ranks, 0, -1), repeat=2)
            if ranks % (dp * tp) == 0]


LAYOUTS = {f"{dp} x {tp} x {pp}": mp.Layout(dp=dp, tp=tp, pp=pp) for dp, tp, pp in meshes(min(p, 4))}
LAYERWISE = "1 x 2 x 2, layer parallel"                             # 001's first combination
LAYOUTS |= {LAYERWISE: mp.Layout(tp=2, pp=2, pipeline="naive")} if p >= 4 else {}
LAYOUTS |= {"2 x 2 x 2": mp.Layout(dp=2, tp=2, pp=2)} if p >= 8 else {}

# %% [markdown]
# ## 1 · A place on each axis
#
# A rank's number is its address, with the axis that talks most as the last digit: rank = (stage * dp + replica) * tp + shard.
# **Predict** for 2 x 2 x 2: which ranks have the same layers as rank 5? With whom does it add up gradients?

# %%


def places(comm: mp.Communicator, layout: mp.Layout) -> tuple[dict[str, int], dict[str, tuple[int, ...]]]:
    grid = mp.Grid(comm, layout)
    return grid.at, {axis: getattr(grid, axis).members for axis in ("dp", "tp", "pp")}


name, cube = max(LAYOUTS.items(), key=lambda item: (item[1].ranks, min(item[1].tp, item[1].pp)))
found = lesson.run(places, cube, ranks=cube.ranks)
lesson.say(f"1 · the mesh {name}")
lesson.table(("rank", "replica", "shard", "stage", "its dp group", "tp group", "pp group"),
             *((rank, at["dp"], at["tp"], at["pp"], *map(str, groups.values())) for rank,
               (at, groups) in enumerate(found)))
assert all(rank == (at["pp"] * cube.dp + at["dp"]) * cube.tp + at["tp"] for rank,
           (at, _) in enumerate(found)), \
    "A15: with one replica, a rank is stage * tp + shard"

# %% [markdown]
# ## 2 · One training
#
# Dropout, clipping, AdamW, four micro-batches per share, and only the mesh changes. Computed in float64, since sums in another
# order differ in the last digit. **Predict** how far that carries over 30 steps. (Then try a learning rate of 1e-2: the loss
# goes up and down, and what is 1e-15 becomes 1e-11. A training that is close to unstable also hides mistakes.)
#
# **Break it on purpose:** give each rank a seed of its own: below, `seed=comm.rank`. Then the shards of a layer come from different
# layers, and the loss still falls. Which line stops you?

# %%


def training(comm: mp.Communicator, layout: mp.Layout, steps: int) -> tuple[list[float], int, list, list[str]]:
    """Losses; this rank's number of weights; all that it sends in one more step; where that is not what the
    formulas say.
    """
    counting, train = Counting(comm), replace(TRAIN, seed=0)
    trainer = mp.Trainer(MODEL, train, ByteTokenizer(), TEXT, mp.Grid(counting, layout))
    losses = [trainer.step().loss for _ in range(steps)]
    counting.traffic.tallies.clear()
    trainer.step()
    sent = counting.traffic
    wrong = differences(step_traffic(MODEL, TRAIN, layout, comm.rank, select),
                        sent.by("group", "op", "label"))
    return losses, trainer.flat.data.size, list(sent), wrong


((alone, P, _, _),) = lesson.run(training, mp.Layout(), STEPS, ranks=1)
runs = {name: lesson.run(training, layout, STEPS, ranks=layout.ranks) for name, layout in LAYOUTS.items()}
off = {name: max(abs(mine - theirs) / theirs for losses, *_ in ranks for mine,
                 theirs in zip(losses, alone, strict=True))
       for name, ranks in runs.items()}
lesson.say(f"2 · {STEPS} steps; one process: {alone[0]:.3f} to {alone[-1]:.3f}; best possible loss "
           f"{SOURCE.entropy_rate:.3f}")
lesson.table(("dp x tp x pp", "last loss", "largest difference on the way"),
             *((name, f"{ranks[0][0][-1]:.6f}", off[name]) for name, ranks in runs.items()))
assert alone[-1] < alone[0] and max(off.values()) < 1e-10, \
    "A15 A16 E36: every mesh has the loss curve of one process, to 1e-10, layer by layer or in a pipeline"

# %% [markdown]
# ## 3 · What a rank holds
#
# N23: 001 (2.1) and 004 (2.2) list data parallelism among the kinds of model parallelism. Look at what it does to the model:
# nothing. Each replica has all P weights. Tensor and pipeline parallelism cut it, to about P / (tp pp). Not exactly: LayerNorms,
# positions and some biases stand on every rank of tp, a tied token table at both ends of the pipeline, and ends are heavier
# than the middle. The ledger knows, to the weight.

# %%


def ledger(model: mp.ModelConfig, layout: mp.Layout, rank: int) -> int:
    """Weights of a world rank, from sizes alone."""
    stage, shard = rank // (layout.dp * layout.tp), rank % layout.tp
    return count(rank_shapes(model, layout.tp, shard, stages_of(model, layout).of_rank(stage)))


held = {name: [weights for _, weights, _, _ in ranks] for name, ranks in runs.items()}
lesson.say(f"3 · weights per rank, of {P:,}")
lesson.table(("dp x tp x pp", "P / (tp pp)", "most on a rank", "by rank"),
             *((name, f"{P / (layout.tp * layout.pp):,.0f}", f"{max(held[name]):,}", str(held[name]))
               for name, layout in LAYOUTS.items()))
assert all(held[name] == [ledger(MODEL, layout, rank) for rank in range(layout.ranks)] for name,
           layout in LAYOUTS.items()), \
    "A15 A16: every rank holds what the ledger says, about P / (tp pp)"
assert all((held[name] == [P] * layout.ranks) == (layout.tp * layout.pp == 1) for name,
           layout in LAYOUTS.items()), \
    "N23 A7: data parallelism leaves the model whole on every rank, all other kinds cut it"

large = max(ledger(GPT3, mp.Layout(tp=8, pp=8), rank) for rank in range(64))
even = parameter_count(GPT3) / 64
lesson.say(f"    GPT-3 on tp = 8, pp = 8: {large / 1e9:.3f}e9 weights on the fullest rank; P / 64 is "
           f"{even / 1e9:.3f}e9", "")
assert even < large < 1.04 * even, "A16: on a large model P / (tp pp) is right to 4 %"

# %% [markdown]
# ## 4 · What a rank sends
#
#     dp    the gradients of its weights, once per step: less if the model is cut
#     tp    activations, four times in each of its layers for each micro-batch
#     pp    activations at its boundaries, once each way for each micro-batch; with a tied table, also its gradient
#
# **Predict** the order of the three for this model, for GPT-3 with a batch of 8, and for GPT-3 with a batch of 64.

# %%


def axes_of(amounts: dict[str, Amount]) -> dict[str, int]:
    """Bytes by axis, from amounts by group; what the two ends of a pipeline exchange counts as pp."""
    sent = {group: amount.bytes for group, amount in amounts.items()}
    return {"dp": sent.get("dp", 0), "tp": sent.get("tp", 0), "pp": sent.get("pp", 0) + sent.get("tied", 0)}


sent = {name: [axes_of({group: tally for (group,), tally in Traffic(entries).by("group").items()}) for _, _,
               entries, _ in ranks]
        for name, ranks in runs.items()}
most = {name: {axis: max(rank[axis] for rank in ranks) for axis in ("dp", "tp", "pp")} for name,
        ranks in sent.items()}
lesson.say("4 · bytes sent in a step, the most of any rank, by axis")
lesson.table(("dp x tp x pp", "dp", "tp", "pp"),
             *((name, *(f"{n:,}" for n in axes.values())) for name, axes in most.items()))
assert all(wrong == [] for ranks in runs.values() for *_,
           wrong in ranks), "every line of the traffic is the formulas', to the byte"
assert all((nbytes > 0) == (getattr(LAYOUTS[name], axis) > 1) for name, axes in most.items() for axis,
           nbytes in axes.items()), \
    "A7: each kind of parallelism has traffic of its own, and can be combined with the others"

ORDER = {}
for samples in (8, 64):
    lines = step_traffic(GPT3, mp.TrainConfig(batch=samples, micro_batches=samples // 2),
                         mp.Layout(dp=2, tp=2, pp=2), 0, select)
    axes = axes_of(by_axis(lines))
    ORDER[samples] = sorted(axes, key=axes.__getitem__, reverse=True)
    in_gb = ", ".join(f"{axis} {axes[axis] / 1e9:.1f} GB" for axis in ORDER[samples])
    lesson.say(f"    GPT-3 on 2 x 2 x 2, {samples} samples: {in_gb}")
assert ORDER == {8: ["dp", "tp", "pp"], 64: ["tp", "dp",
                                             "pp"]}, "A16: tp and pp send for every sample, dp once per step"

# %% [markdown]
# Links differ: within a machine they are ten times as fast as between machines. So the axis with the most traffic must stay
# within: that is why tp is the last digit of the address. Two machines of two ranks each, 1 x 2 x 2; then the same ranks dealt
# out to the machines in turns.

# %%
together: Traffic = sum((Traffic(entries) for *_, entries, _ in mp.run(4, training, mp.Layout(tp=2, pp=2), 0)),
                        Traffic())
between = {name: sum(tally.bytes for (one, other), tally in together.between(nodes).items() if one != other)
           for name, nodes in {"tp within a machine": (0, 0, 1, 1),
                               "tp between machines": (0, 1, 0, 1)}.items()}
lesson.say("", f"    bytes between two machines: {between}", "")
assert 5 * between["tp within a machine"] < between["tp between machines"], (
    "the same mesh, placed badly, sends 5 times as much"
)

# %% [markdown]
# ## 5 · Memory, measured
#
# Weights, gradients and optimiser follow from section 3: 8 bytes per weight for each of four numbers. Activations are what backward
# waits for: dp cuts the samples, tp most of each layer's arrays, pp the layers: but 1F1B keeps up to pp micro-batches at once,
# so it does not cut the first stage's at all.

# %%


def memory(comm: mp.Communicator, layout: mp.Layout) -> list[dict[str, int]] | None:
    """Of each rank, bytes by line, on rank 0."""
    trace = trace_step(comm, layout, MODEL, TRAIN, ByteTokenizer(), TEXT, Network(0, 0), 1e9)
    return trace and trace.memory


measured = {name: lesson.run(memory, layout, ranks=layout.ranks)[0] for name, layout in LAYOUTS.items()}
fullest = {name: max(ranks, key=lambda rank: sum(rank.values())) for name, ranks in measured.items()}
lesson.say("5 · bytes on the fullest rank")
lesson.table(("dp x tp x pp", *next(iter(fullest.values()))),
             *((name, *(f"{n:,}" for n in lines.values())) for name, lines in fullest.items()))
assert all(lines["weights"] == lines["gradients"] == lines["optimizer"] // 2 == 8
           * ledger(MODEL, LAYOUTS[name], rank)
           for name, ranks in measured.items() for rank, lines in enumerate(ranks)), \
    "A7: what cuts the model cuts weights, gradients and optimiser alike"
if p >= 4:
    kept = {name: measured[name][0]["activations"] for name in ("1 x 2 x 2", LAYERWISE)}
    assert kept["1 x 2 x 2"] == 2 * kept[LAYERWISE], (
        "A16: with micro-batches, stage 0 of two keeps two of them, layer parallel one"
    )
lesson.picture(draw_mesh(fullest, most))

# %% [markdown]
# ## 6 · Exercise: GPT-3 on 64 devices
#
# 80 GB each; eight to a machine, whose links carry 300 GB/s within and 25 GB/s between; 150e12 FLOP/s as they really run. Mixed
# precision with Adam takes 16 bytes per weight; activations are in 16 bits, with sequence parallelism, attention's scores
# computed again; micro-batches of one sample, 1F1B.
#
# `gigabytes` is the ledger, `seconds` a model of a step. Below is tensor parallelism alone, over all 64. Which mesh is the fastest
# of those that fit? Does the answer depend on the batch: 1536 samples, or 64? And what changes if ZeRO shares the optimiser's
# state over dp (`zero=1`)? Start with `meshes(64)`; no axis of tp can have more ranks than there are heads, and no pipeline
# more stages than layers.

# %%
WITHIN, BETWEEN, RATE = 300e9, 25e9, 150e12
T, D, L = GPT3.context, GPT3.width, GPT3.layers


def gigabytes(dp: int, tp: int, pp: int, samples: int, zero: int = 0) -> MemoryLedger:
    """The lines of the first stage's rank, which has the token table and the most micro-batches in flight."""
    share = stages_of(GPT3, mp.Layout(tp=tp, pp=pp)).of_rank(0)
    lines = state(count(rank_shapes(GPT3, tp, 0, share)), MIXED_ADAM, zero=zero, dp=dp)
    tape = TapeBytes(GPT3, 1, 2, computed_pairs, tp, 0, sequence_parallel=tp > 1, recompute="selective")
    kept = sum(tape.of(len(share.layers), share.first, share.last).values())
    return replace(lines, activations=min(samples // dp, pp) * kept)


def seconds(dp: int, tp: int, pp: int, samples: int) -> float:
    """A step: computing, stretched by the bubble, and messages, as if nothing overlapped."""
    m = samples // dp
    computing = sum(training_flops(GPT3, samples, T).values()) / 64 / RATE
    tensor = m * 4 * L / pp * ring_all_reduce(tp, 0, T * D).elements * 2 / (WITHIN if tp <= 8 else BETWEEN)
    boundary = m * 2 * T * D * 2 / BETWEEN * (pp > 1)
    gradients = ring_all_reduce(dp, 0, parameter_count(GPT3) // (tp * pp)).elements * 2 / BETWEEN
    return computing * (m + pp - 1) / m + tensor + boundary + gradients


start = (1, 64, 1)
lesson.say(f"6 · GPT-3 on {start}: {gigabytes(*start, 1536).total / 1e9:.1f} GB, {seconds(*start, 1536):.0f} "
           "s for 1536", "")
assert gigabytes(*start, 1536).total < 80e9 < gigabytes(8, 8, 1, 1536).total, (
    "one replica fits, cut 64 times; eight do not"
)
