# %% [markdown]
# # 04 · The memory ledger: what fills a device
#
# Your model has 1.6 billion weights. In 16 bits they take 3.2 GB, and your GPU
# has 80 GB. You start a training, and it stops: *out of memory*. Where did 80 GB
# go, and which of the twenty tricks that people recommend would help?
#
# Open an account with four lines:
#
#     weights      ██          what the model computes with
#     gradients    ██          one number for each weight
#     optimizer    ████        Adam: two running means for each weight
#     activations  ███████?    what forward keeps, since backward needs it
#
# The first three depend on the number of weights only. We call their sum the
# **state**. The fourth grows with the samples that you train on at once.
#
# After this lesson you can compute all four for any transformer, and say of each
# trick which line it shrinks. Read beside: `minipar/plan/memory.py`.
#
# You need lesson 1. The core path takes 35 minutes; sections marked
# "(optional)" do not belong to it.
#
# Run me: `minipar lesson teach 4` (step by step) or `minipar lesson run 4`.

# %%
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
from minipar.lessons.plots.memory_ledger import draw_memory_ledger
from minipar.lessons.support.allocation import allocation
from minipar.lessons.support.lesson import Lesson
from minipar.lessons.support.memory_pool import (
    chain,
    extent,
    most_alive,
    offsets,
)

import minipar as mp
from minipar.comm.wrappers.counting import Counting
from minipar.compress.prune.sparse import csr_bytes
from minipar.data.tokenizer import ByteTokenizer
from minipar.nn.counts import (
    computed_pairs,
    parameter_count,
    parameter_counts,
    training_flops,
)
from minipar.optim import Adam, Flat
from minipar.plan.activations import published, tape
from minipar.plan.memory import (
    FLOAT32_ADAM,
    MIXED_ADAM,
    MemoryLedger,
    state,
    training_memory,
)
from minipar.rng import stream

lesson = Lesson("04_memory_ledger", ranks=1)
GB = 10**9

# %%
LINES = ("weights", "gradients", "optimizer", "activations")


def lines(memory: MemoryLedger) -> dict[str, int]:
    return {line: getattr(memory, line) for line in LINES}


# %% [markdown]
# ## 1 · One layer, by hand
#
# A layer with 100 inputs and 100 outputs has 10,000 weights (we leave the bias
# out). Each number in float32 takes 4 bytes:
#
#     weights      10,000 * 4          =  40,000 bytes
#     gradients    10,000 * 4          =  40,000
#     optimizer    10,000 * (4 + 4)    =  80,000     Adam's m and v (lesson 2)
#                                        160,000     16 bytes for each weight
#
# The layer's input must stay until backward has used it: for 8 samples, 8 * 100
# numbers, 3,200 bytes. That is one line of the activations.

# %%
lesson.predict("100 million weights, float32, Adam: GB of state?")
case = state(10**8, FLOAT32_ADAM)
lesson.reveal(case.total / GB, "GB")
lesson.table(("line", "GB"), *((line, value / GB)
                               for line, value in lines(case).items()))
assert case.total == 16 * 10**8, \
    "16 bytes for each weight: look at the optimizer, it is half of them"

# %% [markdown]
# ## 2 · To the byte
#
# Is that all? Take a GPT small enough to look into: 160 thousand weights. Make
# one thing after the other, and count the bytes of all arrays that are alive.
# Then compute the same numbers from the sizes alone (`training_memory`).

# %%
TOY = mp.ModelConfig(vocabulary=96, context=128, layers=3, heads=4,
                     width=64)
SAMPLES = 4
TRAIN = mp.TrainConfig(batch=SAMPLES, optimizer="adam")


def forward(model: mp.GPT, samples: int) -> mp.Tensor:
    """A loss; behind it is the tape, with all that backward needs."""
    text = stream(0, "text").integers(
        0, TOY.vocabulary, (samples, TOY.context + 1))
    return model.loss(text[:, :-1], text[:, 1:])


forward(mp.GPT(TOY), 1)         # what is made once and kept, such as masks
with allocation() as used:
    model = mp.GPT(TOY)
    weights = used.now
    flat = Flat(model.parameters())     # one array; a second for gradients
    gradients = used.now - weights
    optimizer = Adam(flat)
    moments = sum(array.nbytes for array in optimizer.state.values())
    before = used.now
    loss = forward(model, SAMPLES)
    measured = MemoryLedger(weights, gradients, moments, used.now - before)
expected = training_memory(TOY, TRAIN, mp.Layout(), 0, computed_pairs)

# %% [markdown]
# **Break it** after the run: attention keeps only the scores of keys that a query
# may see. In the line above, count all T x T of them: write `lambda T: T * T` in
# place of `computed_pairs`. By how many bytes is the ledger off?

# %%
lesson.predict("4 samples of 128 tokens: which line is the largest?",
               list(lines(measured)))
lesson.reveal(max(lines(measured), key=lines(measured).__getitem__))
lesson.table(("line", "allocated", "from the sizes"), *(
    (line, f"{value:,}", f"{getattr(expected, line):,}")
    for line, value in lines(measured).items()))
assert measured == expected, \
    "the ledger is what is allocated, to the byte: compare line by line"
assert measured.activations > sum((weights, gradients, moments)), \
    "even 4 short samples keep more than all of the state"

# %% [markdown]
# ## 3 · Where activations come from (optional)
#
# Most papers use one formula (Korthikanti et al. 2022): for L layers, T tokens,
# b samples, width D, a heads, in 16 bits (twice that in 32),
#
#     L T b D (34 + 5 a T / D)   bytes
#
# Here it comes out smaller, and each term has its reason (a table in
# `plan/activations.py`): LayerNorm keeps the normalised rows, GELU its slope,
# attention one array of scores where others keep three, and of those only the
# part below the diagonal.

# %%
kinds = tape(TOY, SAMPLES, 4, computed_pairs)
by_formula = float(published(TOY.layers, TOY.width, TOY.heads, TOY.context,
                             SAMPLES, itemsize=4))
inside = sum(kinds.values()) - kinds["logits"] - kinds["tokens"]
lesson.table(("kind", "bytes"), *((kind, f"{nbytes:,}")
                                  for kind, nbytes in kinds.items()))
lesson.say(f"  without logits and tokens {inside:,} bytes",
           f"  the published formula    {by_formula:,.0f} bytes")
assert inside < by_formula, \
    "one array of scores is smaller than three: look at the row of scores"

# %% [markdown]
# ## 4 · 16 bits: half of everything?
#
# *Mixed precision* computes in 16 bits (lesson 6). Weights and gradients then
# take 2 bytes each. But the optimizer needs a copy of the weights in 32 bits, the
# *master weights*, since small updates would be rounded away:
#
#     float32:   weight 4 + gradient 4              + m 4 + v 4
#     mixed:     weight 2 + gradient 2 + master 4   + m 4 + v 4

# %%
lesson.predict("100 million weights in mixed precision: GB of state?")
half = state(10**8, MIXED_ADAM)
lesson.reveal(half.total / GB, "GB")
assert FLOAT32_ADAM.total == MIXED_ADAM.total == 16, \
    "add up both lines above: what two lines save, the master takes"

# %% [markdown]
# So mixed precision saves nothing of the state. What halves is activations.

# %% [markdown]
# ## 5 · Which technique changes which line
#
# Take a GPT of 6.7e9 weights, 8 samples of 2048 tokens, and 8 devices. Words:
#
# * *accumulation*: 8 pieces of one sample, one after the other (lesson 5);
# * *data parallel*: each device has the whole model and one sample (lesson 13);
# * *ZeRO-1, 2, 3*: besides, each device keeps only an eighth of the optimizer,
#   then of the gradients, then of the weights;
# * *tensor parallel*: each device has an eighth of each layer (lesson 14).

# %%
L, D, HEADS, T = 32, 4096, 32, 2048     # GPT-3 6.7B, Brown et al. 2020
N = parameter_count(mp.ModelConfig(vocabulary=50257, context=T, layers=L,
                                   heads=HEADS, width=D))


def activations(samples: int, itemsize: int = 2, tp: int = 1) -> int:
    return int(published(L, D, HEADS, T, samples, itemsize=itemsize, tp=tp,
                         sequence_parallel=tp > 1))


def with_activations(ledger: MemoryLedger, kept: int) -> MemoryLedger:
    return replace(ledger, activations=kept)


def changed(one: MemoryLedger, other: MemoryLedger) -> set[str]:
    return {line for line, value in lines(one).items()
            if value != getattr(other, line)}


mixed, one_sample = state(N, MIXED_ADAM), activations(1)
ledger = {
    "32 bits": with_activations(state(N, FLOAT32_ADAM),
                                activations(8, itemsize=4)),
    "mixed precision": with_activations(mixed, activations(8)),
    "accumulation, 8 pieces": with_activations(mixed, one_sample),
    "data parallel, 8 ranks": with_activations(mixed, one_sample),
    **{f"data parallel, ZeRO-{zero}": with_activations(
        state(N, MIXED_ADAM, zero=zero, dp=8), one_sample)
       for zero in (1, 2, 3)},
    "tensor parallel, 8 ranks": with_activations(
        state(N, MIXED_ADAM, parts=8), activations(8, tp=8)),
    "8-bit weights, inference": MemoryLedger(N, 0, 0),
}

# %%
BIG, RANKS = 7_500_000_000, [1, 2, 4, 8, 16, 32, 64]
shares = {"data parallel": {p: state(BIG, MIXED_ADAM, dp=p).total
                            for p in RANKS},
          **{f"ZeRO-{zero}": {p: state(BIG, MIXED_ADAM, zero=zero,
                                       dp=p).total for p in RANKS}
             for zero in (1, 2, 3)}}
GPU = 80 * GB
lesson.predict("Data parallel on 8 devices: which line gets smaller?",
               ["all four", "activations", "weights", "none"])
whole_batch, rows = ledger["mixed precision"], list(ledger.values())
by_data = changed(ledger["data parallel, 8 ranks"], whole_batch)
lesson.reveal(", ".join(by_data))
lesson.say(f"  {N:,} weights, 8 samples of {T} tokens: GB on a device")
lesson.table(("technique", "weights", "grad", "optim", "activ", "total"), *(
    (name, *(f"{value / GB:.1f}"
             for value in (*lines(memory).values(), memory.total)))
    for name, memory in ledger.items()))
lesson.picture(draw_memory_ledger(ledger, GPU, shares))
assert by_data == {"activations"}, \
    "each device still has the whole model: only its samples are fewer"
assert [changed(one, other) for one, other in pairwise(rows[3:7])] == [
    {"optimizer"}, {"gradients"}, {"weights"}], \
    "ZeRO shares one more line at each stage: read the table downwards"

# %% [markdown]
# ## 6 · State on 64 devices
#
# A second example: 7.5e9 weights, 120 GB of state. Data parallel alone keeps all
# of it on every rank. ZeRO-1 divides the optimizer's 12 bytes by p:
#
#     (2 + 2 + 12 / p) * 7.5e9 bytes

# %%
lesson.predict("ZeRO-1 on 64 ranks: how many GB of state has each rank?")
lesson.reveal(shares["ZeRO-1"][64] / GB, "GB")
lesson.table(("ranks", *RANKS), *(
    (name, *(f"{nbytes / GB:.3g}" for nbytes in row.values()))
    for name, row in shares.items()))
assert set(shares["data parallel"].values()) == {120 * GB}, \
    "look at the first row: more ranks, and not a byte less on each"

# %% [markdown]
# **Break it.** Above, give the four rows `FLOAT32_ADAM` for `MIXED_ADAM`. The
# first row is the same; ZeRO-1 gets worse. Why? (8 bytes can be shared, not 12.)

# %% [markdown]
# ## 7 · What it costs: time and energy
#
# Training takes about 6 floating-point operations for each weight and token: 2
# forward, 4 backward (lesson 1). An A100 has a peak of 312e12 per second. At 40 %
# of it, and 400 W:

# %%
def training(weights: float, tokens: float) -> tuple[float, float, float]:
    """FLOPs, days of one A100, MWh."""
    flops = 6 * weights * tokens
    days = flops / (0.4 * 312e12) / 86400
    return flops, days, days * 24 * 400 / 1e6


lesson.predict("GPT-3, 175e9 weights, 300e9 tokens, 1024 A100: days?")
flops, days, energy = training(175e9, 300e9)
lesson.reveal(days / 1024, "days")
lesson.table(("FLOPs", "days of one", "days of 1024", "MWh"),
             (flops, f"{days:,.0f}", days / 1024, energy))
assert math.isclose(training(350e9, 600e9)[2], 4 * energy), \
    "twice the weights and twice the tokens: the product is four times"

# %% [markdown]
# ## 8 · A pool, planned ahead (optional)
#
# Arrays that are never alive at the same time may lie in the same bytes. Take a
# chain of five, each computed from the one before; an array may go as soon as
# the next one is there. Sizes 4, 8, 8, 2, 6: the largest two neighbours decide.

# %%
SIZES = [4, 8, 8, 2, 6]
arrays = chain(SIZES)
starts = offsets(arrays)
block = np.empty(extent(arrays, starts))
lesson.predict(f"Sizes {SIZES}: how large must the pool be?")
lesson.reveal(block.size)
pooled = [block[start : start + size]
          for start, size in zip(starts, SIZES, strict=True)]
apart = [np.empty(size) for size in SIZES]
products = [stream(0, "product", step).normal(size=(after, before))
            for step, (before, after) in enumerate(pairwise(SIZES))]
for buffers in (pooled, apart):
    buffers[0][:] = 1
    for product, (source, target) in zip(products, pairwise(buffers),
                                         strict=True):
        np.matmul(product, source, out=target)
kept = [replace(array, dies=len(SIZES)) for array in arrays]
assert sum(SIZES) == 28 and block.size == 16 == most_alive(arrays), \
    "A47 E48: 28 apart, 16 in a pool: 8 and 8 are alive together"
assert np.array_equal(pooled[-1], apart[-1]), \
    "E48: computed in the pool, the result has the same bits"
assert most_alive(kept) == 28, \
    "A47: in training all wait for backward, and a pool saves nothing"

# %% [markdown]
# ## 9 · ZeRO on real ranks (optional)
#
# Section 5 computed what ZeRO holds. Now four ranks train the GPT of section 2,
# with each stage of ZeRO, and we add up the arrays of each rank. There is one more
# line, *gathered*: in stages 2 and 3 a rank needs whole gradients or weights of a
# block for a short time. They are in buffers. All blocks share two of them.

# %%
STAGES = (0, 1, 2, 3)
TEXT = stream(0, "ranks").integers(0, TOY.vocabulary, 2000)


def train_sharded(comm, layout):
    """Bytes of this rank's arrays by line, and bytes that it sent."""
    counting = Counting(comm)
    trainer = mp.Trainer(TOY, TRAIN, ByteTokenizer(), TEXT,
                         mp.Grid(counting, layout))
    before = counting.traffic.total().bytes
    trainer.step()
    moments = sum(array.nbytes
                  for array in trainer.optimizer.state.values())
    return ({**trainer.store.held(), "optimizer": moments},
            counting.traffic.total().bytes - before)


# %%
lesson.predict("ZeRO-3 on 4 ranks: a rank holds how much of the state?",
               ["less than a quarter", "a quarter", "more than a quarter"])
on_ranks = {zero: mp.run(4, train_sharded, mp.Layout(dp=4, zero=zero))
            for zero in STAGES}
from_sizes = {zero: [training_memory(TOY, TRAIN, mp.Layout(dp=4, zero=zero),
                                     rank, computed_pairs)
                     for rank in range(4)] for zero in STAGES}
in_all = {zero: sum(on_ranks[zero][0][0].values()) for zero in STAGES}
lesson.reveal("more than a quarter" if in_all[3] > in_all[0] / 4
              else "a quarter")
STATE = ("weights", "gradients", "optimizer", "gathered")
lesson.table(("stage", *STATE, "in all", "sent"), *(
    (zero, *(f"{arrays[line]:,}" for line in STATE), f"{in_all[zero]:,}",
     f"{sent:,}") for zero, ((arrays, sent), *_) in on_ranks.items()))
assert all(nbytes == getattr(from_sizes[zero][rank], line)
           for zero in STAGES
           for rank, (arrays, _) in enumerate(on_ranks[zero])
           for line, nbytes in arrays.items()), \
    "every rank holds what the ledger says, to the byte: compare the lines"
assert 1.49 < on_ranks[3][0][1] / on_ranks[0][0][1] < 1.51, \
    "ZeRO-3 gathers the weights twice: half as much again is sent"

# %% [markdown]
# Here the buffers take nearly all that stages 2 and 3 save. This model has only three
# blocks, and its table of words has a buffer of its own. With 32 blocks of equal
# size, two buffers are a sixteenth of the weights.

# %% [markdown]
# ## 10 · Exercises
#
# `minipar exercise start NAME` begins one of chapter 7, and checks it:
#
# * `ledger_of_a_7b_model`: predict the four lines;
# * `the_largest_model`: a GPT of L layers has width 128 L. How large can L be on a
#   device of 80 GB, in 32 bits, in mixed precision, with micro-batches of one
#   sample, with ZeRO? Which line of the ledger stops you each time?
# * `where_to_checkpoint`: which activations to keep, which to compute again;
# * `a_memory_pool`: a plan of your own for arrays of any lifetime.
#
# `predict_zero` of chapter 10: what each stage of ZeRO holds and sends.

# %% [markdown]
# ## 11 · What the documents say (optional)
#
# Covers: A5 A18 A47 N1 N2 N3 N9 N10 N20 N21 N34 N59 N60 E16 E48
#
# In the documents memory is 内存, of a GPU 显存. The lines are 参数, 梯度,
# 优化器状态, 激活值. Four documents promise to save memory, none has a ledger.
#
# | | where | as written | verdict |
# |---|---|---|---|
# | N60 | 004, 1.2 | parameters and activations (参数和激活值) take it | two lines missing |
# | N1 | 000, 1.2 | large: 1e9 to 1e11 weights (数十亿甚至数百亿) | 002, 004: up to 1e12 |
# | N2 | 001 | 1.75e11 weights | 350 GB in 16 bits |
# | N20 | 001, 1.1 | GPT-3 has 175e9 weights | right |
# | N21 | 001, 1.1 | several orders (数个数量级) above others | 1.0 to 2.1: R23 |
# | A5 | 000, 4.3 | a BERT of 1e8 weights fits no GPU | it does, R20 |
# | N10 | 000, 4.3 | pruned to 5e7, then each GPU loads it | saves .8 GB of state |
# | A18 | 002, 1.3 | compression, management (内存管理), distribution | see section 5 |
# | N34 | 002, 1.3, 2.3 | distribution shares memory (分担内存压力) | it depends |
# | N59 | 004, 1.2 | weeks or months (数周甚至数月) | right |
# | N3 | 000, 1.2 | energy rises sharply (急剧上升) | linearly |
# | A47 | 002, 7.1 | memory pools (内存池) will help | not in training |
#
# 000, 001 and 002 say that mixed precision (混合精度) saves memory: R12, half true.

# %%
assert measured == expected, \
    "N60: weights, gradients, optimiser, activations are what is allocated"
assert MIXED_ADAM.optimizer / MIXED_ADAM.total == 12 / 16 \
    and expected.optimizer == 2 * expected.weights, \
    "N60: 004 leaves out the optimiser, 12 of 16 bytes in mixed precision"
pruned = state(5 * 10**7, FLOAT32_ADAM)
short, long = (float(published(12, 768, 12, tokens, 16, itemsize=4))
               for tokens in (128, 512))
lesson.table(
    ("weights", "loaded", "by Adam", "activ. 16 x 128", "16 x 512"),
    ("1e8", case.weights / GB, case.total / GB, short / GB, long / GB),
    ("5e7", pruned.weights / GB, pruned.total / GB, "the same", "the same"))
assert (case.weights / GB, case.total / GB) == (0.40, 1.60), \
    "N9: 0.40 GB to load, 1.60 GB to train: it fits (R20)"
assert f"{short / GB:.1f} {long / GB:.1f}" == "1.7 11.2", \
    "N9: what grows large are activations, 1.7 and 11.2 GB"
assert (pruned.weights / GB, pruned.total / GB) == (0.20, 0.80) \
    and case.total - pruned.total == 0.8 * GB, \
    "N10: pruning to half saves 0.8 GB of state, and no activation"
dense, sparse = 1024 * 1024 * 4, csr_bytes((1024, 1024), 1024 * 1024 // 2)
assert f"{dense / 2**20:.2f} {sparse / 2**20:.2f}" == "4.00 4.00", \
    "N10: half of the weights zero: 4.00 MiB dense, 4.00 MiB as CSR"
assert case.total + long < GPU / 6, \
    "A5: nothing has to be pruned or split: a sixth of 80 GB is enough"

# %%
sizes = [10**9, 10**11]
assert [2 * n // GB for n in sizes] == [2, 200] and [
    state(n, MIXED_ADAM).total // GB for n in sizes] == [16, 1600], \
    "N1: 2 to 200 GB in 16 bits, 16 GB to 1.6 TB in training"
whole = state(175 * 10**9, MIXED_ADAM)
assert whole.weights == 350 * GB and math.ceil(whole.weights / GPU) == 5 \
    and math.ceil(whole.total / GPU) == 35, \
    "N2: 350 GB are 5 devices of 80 GB to hold them, 35 to train"
assert sum(lines(state(N, FLOAT32_ADAM)).values()) == mixed.total \
    and activations(8) * 2 == activations(8, itemsize=4), \
    "A18: mixed precision halves activations, and none of the state"
assert changed(ledger["accumulation, 8 pieces"], whole_batch) == {
    "activations"}, "A18: accumulation changes activations alone"
assert by_data == {"activations"}, \
    "A18 N34: data parallelism shares the batch, and none of the state"
assert [changed(one, other) for one, other in pairwise(rows[3:7])] == [
    {"optimizer"}, {"gradients"}, {"weights"}], \
    "A18 N34: ZeRO shares one line of the state after the other"
assert changed(ledger["tensor parallel, 8 ranks"], whole_batch) == set(
    lines(mixed)), "A18: tensor parallelism shares all four"
assert set(shares["data parallel"].values()) == {120 * GB}, \
    "N34: plain data parallelism keeps 120 GB on every rank"
assert [f"{shares[f'ZeRO-{zero}'][64] / GB:.3g}" for zero in (1, 2, 3)] == [
    "31.4", "16.6", "1.88"], "N34: ZeRO on 64 ranks"
assert f"{state(BIG, MIXED_ADAM, parts=8 * 8).total / GB:.3g}" == "1.88", \
    "N34: 8-way tensor and 8-way pipeline parallelism share as ZeRO-3"

# %% [markdown]
# The same for the trainings of minipar, whose ledger section 2 held against what
# is allocated. And the sizes of models: a block has 12 D² weights, 3 D² for q, k
# and v, D² for the projection, 8 D² for the MLP.

# %%
batch = mp.TrainConfig(batch=8, optimizer="adam")
own = {name: training_memory(TOY, train, layout, 0, computed_pairs)
       for name, train, layout in (
    ("whole", batch, mp.Layout()), ("data", batch, mp.Layout(dp=8)),
    ("pieces", replace(batch, micro_batches=8), mp.Layout()),
    ("tensor", batch, mp.Layout(tp=4)))}
assert changed(own["pieces"], own["whole"]) == changed(
    own["data"], own["whole"]) == {"activations"}, \
    "A18 N34: minipar's accumulation and data parallelism, too"
held = [arrays for (arrays, _), *_ in on_ranks.values()]
assert [[line for line in STATE[:3] if arrays[line] < held[0][line]]
        for arrays in held] == [[], ["optimizer"],
                                ["gradients", "optimizer"],
                                ["weights", "gradients", "optimizer"]], \
    "N34: so does minipar's ZeRO, executed on four ranks"
assert all(part < total for part, total in zip(
    lines(own["tensor"]).values(), lines(own["whole"]).values(),
    strict=True)), "A18: minipar's tensor parallelism has less of all four"


def bert(vocabulary: int, L: int, D: int, F: int) -> int:
    """Weights of a BERT of 512 positions, with biases and a pooler."""
    norm = 2 * D

    def linear(inputs: int, outputs: int) -> int:
        return (inputs + 1) * outputs

    block = 4 * linear(D, D) + linear(D, F) + linear(F, D) + 2 * norm
    return (vocabulary + 512 + 2) * D + norm + L * block + linear(D, D)


BERTS = {"base, cased": bert(28996, 12, 768, 3072),
         "base, uncased": bert(30522, 12, 768, 3072),
         "large, uncased": bert(30522, 24, 1024, 4096)}
assert list(BERTS.values()) == [108_310_272, 109_482_240, 335_141_888], \
    "N9: BERT's sizes, of which base is 000's 1e8"

# %%
GPT3 = mp.ModelConfig(vocabulary=50257, context=2048, layers=96, heads=96,
                      width=12288)
counts = parameter_counts(replace(GPT3, bias=False))
matrices = sum(count for kind, count in counts.items() if kind != "norms")
earlier = {"GPT-1": 117e6, "GPT-2": 1.5e9, "Megatron-LM": 8.3e9,
           "Turing-NLG": 17e9}
lesson.table(
    ("model", "weights"),
    *((f"BERT {name}", f"{count:,}") for name, count in BERTS.items()),
    ("GPT-3, blocks and embeddings", f"{matrices:,}"),
    ("GPT-3 with biases, LayerNorms", f"{parameter_count(GPT3):,}"),
    *((f"175e9 is {name} times", f"{175e9 / count:.0f}")
      for name, count in earlier.items()))
assert matrices == 12 * 96 * 12288**2 + (50257 + 2048) * 12288, \
    "N20: 12 L D^2 and the embeddings"
assert f"{matrices / 1e9:.2f}" == "174.59" \
    and round(parameter_count(GPT3) / 1e9) == 175, \
    "N20 E16: 174.59e9 weights in matrices, 174.60e9 in all: 175e9 it is"
assert [round(175e9 / count) for count in earlier.values()] == [
    1496, 117, 21, 10], "N21: how much larger GPT-3 is"
assert round(math.log10(175e9 / 1.5e9), 1) == 2.1 \
    and round(math.log10(175e9 / 17e9), 1) == 1.0, \
    "N21: 2.1 orders above GPT-2, 1.0 above Turing-NLG: not several (R23)"
counted = sum(training_flops(GPT3, 1, 2048).values()) / 2048
lesson.say(f"  by products, with attention: {counted / (6 * 175e9):.3f} "
           "of 6 N for each token")
assert f"{flops:.3g}" == "3.15e+23" and f"{days:.0f}" == "29213", \
    "N59: 29 213 days of one A100"
assert f"{days / 1024:.1f}" == "28.5", "N59: 28.5 days of 1024: weeks it is"
assert f"{energy:.0f}" == "280" \
    and math.isclose(training(350e9, 300e9)[2], 2 * energy), \
    "N3: 280 MWh; twice the weights take twice the energy: linear"
assert math.isclose(training(350e9, 600e9)[2], 4 * energy), \
    "N3: twice the weights and twice the tokens take four times as much"
