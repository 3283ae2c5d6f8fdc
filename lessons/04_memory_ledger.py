# %% [markdown]
# # 04 · The memory ledger: what fills a device
#
# Covers: A5 A18 A47 N1 N2 N3 N9 N10 N20 N21 N34 N59 N60 E16 E48
#
# Four of the five documents promise to save memory (内存, of a GPU 显存), and none says how much of it holds what. Yet each
# technique works on some of it and not on the rest. So this lesson opens an account with four lines:
#
#     weights        what the model computes with                     参数
#     gradients      one number per weight                            梯度
#     optimizer      Adam: two moments per weight                     优化器状态
#     activations    what backward needs of the forward pass          激活值
#
# The claim: all four follow from the sizes of the model, exactly, and with them one sees at once which of the documents'
# statements can be right. Read beside: `minipar/plan/memory.py` and `minipar/plan/activations.py`.
#
# Errors of the documents that turn up here: R12, R20, R23 (see ERRATA.md).
#
# Run me: `python lessons/04_memory_ledger.py`, or cell by cell in an editor.

# %%
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
from minipar.lessons.plots.memory_ledger import draw_memory_ledger
from minipar.lessons.support.allocation import allocation
from minipar.lessons.support.lesson import Lesson
from minipar.lessons.support.memory_pool import chain, extent, most_alive, place

import minipar as mp
from minipar.compress.prune.sparse import csr_bytes
from minipar.nn.counts import computed_pairs, parameter_count, parameter_counts, training_flops
from minipar.optim import Adam, Flat
from minipar.plan.activations import published, tape
from minipar.plan.memory import FLOAT32_ADAM, MIXED_ADAM, MemoryLedger, state, training_memory
from minipar.rng import stream

lesson = Lesson("04_memory_ledger", ranks=1)
GB, GIB = 10**9, 2**30

# %% [markdown]
# ## 1 · Four lines, to the byte
#
# 004 (1.2) says that parameters and activations (参数和激活值) take much memory. That is right, and no other document names
# activations at all. Two lines are missing.
#
# Take a GPT small enough to look into, allocate one thing after the other, and count the bytes of all arrays that are alive.
# Then compute the same numbers from the sizes alone.
#
# **Predict before you run:** 160 thousand weights in float32, 4 samples of 128 tokens. Which of the four lines is the largest,
# and by how much?
#
# **Break it on purpose:** attention keeps only scores of keys that a query may see. In the line `expected = ...` below, count
# all T x T of them: write `lambda T: T * T` for `computed_pairs`. By how many bytes is the ledger off?

# %%
TOY = mp.ModelConfig(vocabulary=96, context=128, layers=3, heads=4, width=64)
SAMPLES = 4


def forward(model: mp.GPT, samples: int) -> mp.Tensor:
    """A loss; behind it is the tape, with all that backward needs."""
    text = stream(0, "text").integers(0, TOY.vocabulary, (samples, TOY.context + 1))
    return model.loss(text[:, :-1], text[:, 1:])


forward(mp.GPT(TOY), 1)  # what is made once and kept: masks, rows of ones
with allocation() as used:
    model = mp.GPT(TOY)
    weights = used.now
    flat = Flat(model.parameters())  # the weights move into one array; gradients get another
    gradients = used.now - weights
    optimizer = Adam(flat)
    moments = sum(array.nbytes for array in optimizer.state.values())
    before = used.now
    loss = forward(model, SAMPLES)
    measured = MemoryLedger(weights, gradients, moments, used.now - before)
expected = training_memory(TOY, mp.TrainConfig(batch=SAMPLES, optimizer="adam"), mp.Layout(), 0, computed_pairs)
lesson.say(f"1 · a GPT of {parameter_count(TOY):,} weights, {SAMPLES} samples of {TOY.context} tokens: bytes")
lesson.table(("line", "allocated", "from the sizes"),
             *((line, f"{value:,}", f"{getattr(expected, line):,}") for line,
               value in vars(measured).items()))
assert measured == expected, (
    "N60: weights, gradients, optimiser and activations are what is allocated, to the byte"
)
assert MIXED_ADAM.optimizer / MIXED_ADAM.total == 12 / 16 and expected.optimizer == 2 * expected.weights, \
    "N60: 004 leaves out the optimiser, which has 12 of 16 bytes per weight in mixed precision"

# %% [markdown]
# Where do the activations come from? Most papers use one formula (Korthikanti et al. 2022): for L layers, T tokens, b samples,
# width D, a heads, in 16 bits,
#
#     L T b D (34 + 5 a T / D)   bytes
#
# and twice that in 32 bits. Here it comes out otherwise, and every term has its reason (`plan/activations.py` has the table):
# LayerNorm keeps the normalised rows, GELU its slope, attention one array of scores where others keep three, and of those
# only the part below the diagonal.

# %%
kinds = tape(TOY, SAMPLES, 4, computed_pairs)
by_formula = float(published(TOY.layers, TOY.width, TOY.heads, TOY.context, SAMPLES, itemsize=4))
inside = sum(kinds.values()) - kinds["logits"] - kinds["tokens"]
lesson.say("    the activations, by what they are")
lesson.table(("kind", "bytes"), *((kind, f"{nbytes:,}") for kind, nbytes in kinds.items()))
lesson.say(f"    without logits and tokens {inside:,} bytes; the published formula gives {by_formula:,.0f}",
           "")
assert inside < by_formula, (
    "a tape that keeps one array of scores is smaller than the formula's, which keeps three"
)

# %% [markdown]
# ## 2 · How many weights?
#
# A Transformer block has 12 D^2 weights: 3 D^2 for q, k and v, D^2 for the projection, 8 D^2 for the MLP. The documents give
# sizes without a formula. 001 (1.1) says 175e9 for GPT-3, which is right, and that this is several orders of magnitude
# (数个数量级) more than the models before it, which is not: R23. What a large model is, they cannot agree on: 1e9 to 1e11
# weights in 000 (1.2, 数十亿甚至数百亿), 1e9 to 1e12 in 002 and 004, 1.75e11 in 001.

# %%
GPT3 = mp.ModelConfig(vocabulary=50257, context=2048, layers=96, heads=96, width=12288)


def bert(vocabulary: int, L: int, D: int, F: int, positions: int = 512) -> int:
    """Weights of a BERT: embeddings of tokens, places and segments, blocks, LayerNorms with biases, a pooling
    layer.
    """
    norm, linear = 2 * D, lambda inputs, outputs: (inputs + 1) * outputs
    block = 4 * linear(D, D) + linear(D, F) + linear(F, D) + 2 * norm
    return (vocabulary + positions + 2) * D + norm + L * block + linear(D, D)


BERTS = {"base, cased": bert(28996, 12, 768, 3072), "base, uncased": bert(30522, 12, 768, 3072),
         "large, uncased": bert(30522, 24, 1024, 4096)}
matrices = sum(count for kind, count in parameter_counts(replace(GPT3, bias=False)).items()
               if kind != "norms")
earlier = {"GPT-1": 117e6, "GPT-2": 1.5e9, "Megatron-LM": 8.3e9, "Turing-NLG": 17e9}
lesson.say("2 · weights")
lesson.table(("model", "weights"), *((f"BERT {name}", f"{count:,}") for name, count in BERTS.items()),
             ("GPT-3, blocks and embeddings", f"{matrices:,}"),
             ("GPT-3 with all biases and LayerNorms", f"{parameter_count(GPT3):,}"),
             *((f"175e9 is {name} times", f"{175e9 / count:.0f}") for name, count in earlier.items()))
assert list(BERTS.values()) == [108_310_272, 109_482_240,
                                335_141_888], "N9: BERT's sizes, of which base is 000's 1e8"
assert matrices == 12 * 96 * 12288**2 + (50257 + 2048) * 12288, "N20: 12 L D^2 and the embeddings"
assert f"{matrices / 1e9:.2f}" == "174.59" and round(parameter_count(GPT3) / 1e9) == 175, \
    "N20 E16: GPT-3 from its config has 174.59e9 weights in matrices, 174.60e9 in all: 175e9 is right"
assert [round(175e9 / count) for count in earlier.values()] == [1496, 117, 21,
                                                                10], "N21: how much larger GPT-3 is"
assert round(math.log10(175e9 / 1.5e9), 1) == 2.1 and round(math.log10(175e9 / 17e9), 1) == 1.0, \
    "N21: 2.1 orders above GPT-2 and 1.0 above Turing-NLG, not several (R23)"

# %% [markdown]
# ## 3 · 16 bytes per weight, in either precision
#
# Adam in 32 bits keeps 4 bytes of weight, 4 of gradient, 4 and 4 of moments. Mixed precision (混合精度) keeps 2 of weight and 2
# of gradient, but then a copy of the weights in 32 bits, and both moments: 2 + 2 + 4 + 4 + 4. 000, 001 and 002 say that it
# saves memory (R12). Of this *state* (all but activations) it saves nothing; what halves is activations.
#
# 000 (4.3) tells of a BERT with 1e8 weights that cannot be loaded on a GPU (R20). It is pruned to 5e7, so that each GPU can
# load it, and then its weights are split over several GPUs all the same.
#
# **Predict:** how many GB does training that BERT take, without the activations?

# %%
case, pruned = state(10**8, FLOAT32_ADAM), state(5 * 10**7, FLOAT32_ADAM)
short, long = (float(published(12, 768, 12, T, 16, itemsize=4)) for T in (128, 512))
GPU = 80 * GB
lesson.say("3 · 000's BERT, in GB")
lesson.table(("weights", "loaded", "trained by Adam", "activations, 16 x 128", "16 x 512"),
             ("1e8", case.weights / GB, case.total / GB, short / GB, long / GB),
             ("5e7", pruned.weights / GB, pruned.total / GB, "the same", "the same"))
assert FLOAT32_ADAM.total == MIXED_ADAM.total == 16, "both precisions keep 16 bytes per weight (R12)"
assert (case.weights / GB, case.total
        / GB) == (0.40, 1.60), "N9: 0.40 GB to load, 1.60 GB to train: it fits (R20)"
assert f"{short / GB:.1f} {long / GB:.1f}" == "1.7 11.2", (
    "N9: what grows large are activations, 1.7 and 11.2 GB"
)
assert (pruned.weights / GB, pruned.total / GB) == (0.20, 0.80) and case.total - pruned.total == 0.8 * GB, \
    "N10: pruning to half saves 0.8 GB of state, and no activation"
dense = 1024 * 1024 * 4
assert f"{dense / 2**20:.2f} {csr_bytes((1024, 1024), 1024 * 1024 // 2) / 2**20:.2f}" == "4.00 4.00", \
    "N10: half of the weights zero saves nothing: 4.00 MiB dense, 4.00 MiB as CSR"
assert case.total + long < GPU / 6, (
    "A5: nothing has to be pruned, let alone split: state and activations are a sixth of 80 GB"
)
sizes = [10**9, 10**11]
assert [2 * n // GB for n in sizes] == [2, 200] and [state(n, MIXED_ADAM).total // GB for n in sizes] == [
    16,
    1600,
], (
    "N1: 1e9 to 1e11 weights are 2 to 200 GB in 16 bits and 16 GB to 1.6 TB in training: no one number says 'large'"
)
whole = state(175 * 10**9, MIXED_ADAM)
assert whole.weights == 350 * GB and math.ceil(whole.weights
                                               / GPU) == 5 and math.ceil(whole.total / GPU) == 35, \
    "N2: 175e9 weights are 350 GB: 5 devices of 80 GB to hold them, 35 to train"

# %% [markdown]
# ## 4 · Which technique changes which line
#
# 002 (1.3) sorts the ways to save memory into compression (模型压缩), memory management (内存管理: accumulation, mixed
# precision) and distribution (分布式训练). The ledger shows it better than words. Take a GPT of 6.7e9 weights, 8 samples of 2048
# tokens, and 8 devices.
#
# **Predict:** data parallelism over 8 devices. Which of the four lines gets smaller?

# %%
L, D, HEADS, T = 32, 4096, 32, 2048  # GPT-3 6.7B (Brown et al. 2020, table 2.1)
N = parameter_count(mp.ModelConfig(vocabulary=50257, context=T, layers=L, heads=HEADS, width=D))


def activations(samples: int, itemsize: int = 2, tp: int = 1) -> int:
    return int(published(L, D, HEADS, T, samples, itemsize=itemsize, tp=tp, sequence_parallel=tp > 1))


mixed = state(N, MIXED_ADAM)
ledger = {
    "32 bits": replace(state(N, FLOAT32_ADAM), activations=activations(8, itemsize=4)),
    "mixed precision": replace(mixed, activations=activations(8)),
    "accumulation, 8 pieces": replace(mixed, activations=activations(1)),
    "data parallel, 8 ranks": replace(mixed, activations=activations(1)),
    "data parallel and ZeRO-1": replace(state(N, MIXED_ADAM, zero=1, dp=8), activations=activations(1)),
    "data parallel and ZeRO-2": replace(state(N, MIXED_ADAM, zero=2, dp=8), activations=activations(1)),
    "data parallel and ZeRO-3": replace(state(N, MIXED_ADAM, zero=3, dp=8), activations=activations(1)),
    "tensor parallel, 8 ranks": replace(state(N, MIXED_ADAM, parts=8), activations=activations(8, tp=8)),
    "8-bit weights, inference": MemoryLedger(N, 0, 0),
}


def changed(one: MemoryLedger, other: MemoryLedger) -> set[str]:
    return {line for line, value in vars(one).items() if value != getattr(other, line)}


lesson.say(f"4 · {N:,} weights, 8 samples of {T} tokens: GB on one device")
lesson.table(("technique", *vars(mixed), "total"),
             *((name, *(f"{value / GB:.1f}" for value in (*vars(memory).values(), memory.total)))
               for name, memory in ledger.items()))
whole_batch, rows = ledger["mixed precision"], list(ledger.values())
assert sum(vars(state(N, FLOAT32_ADAM)).values()) == mixed.total and activations(8) * 2 == activations(
    8, itemsize=4
), "A18: mixed precision halves activations, and leaves the sum of the other three lines as it was"
assert changed(ledger["accumulation, 8 pieces"],
               whole_batch) == {"activations"}, "A18: accumulation changes activations alone"
assert changed(ledger["data parallel, 8 ranks"], whole_batch) == {"activations"}, \
    "A18 N34: data parallelism shares the batch, so activations, and none of the state"
assert [changed(one, other) for one,
        other in pairwise(rows[3:7])] == [{"optimizer"}, {"gradients"}, {"weights"}], \
    "A18 N34: ZeRO shares one line of the state after the other"
assert changed(ledger["tensor parallel, 8 ranks"],
               whole_batch) == set(vars(mixed)), "A18: tensor parallelism shares all four"

# And the trainings of minipar, whose ledger was held against what is allocated in section 1:
batch = mp.TrainConfig(batch=8, optimizer="adam")
own = {name: training_memory(TOY, train, layout, 0, computed_pairs) for name, train, layout in (
    ("whole", batch, mp.Layout()), ("pieces", replace(batch, micro_batches=8), mp.Layout()),
    ("data", batch, mp.Layout(dp=8)), ("tensor", batch, mp.Layout(tp=4)))}
assert changed(own["pieces"], own["whole"]) == changed(own["data"], own["whole"]) == {"activations"}, \
    "A18 N34: minipar's accumulation and data parallelism change activations alone, too"
assert all(part < whole for part, whole in zip(vars(own["tensor"]).values(), vars(own["whole"]).values(),
                                               strict=True)), \
    "A18: minipar's tensor parallelism has less of all four lines on each rank"

# %% [markdown]
# 002 (1.3, 2.3) says that distributed training shares out the load of memory (分担内存压力). It depends. For 7.5e9 weights, the
# example of the ZeRO paper:

# %%
BIG = 7_500_000_000
RANKS = [1, 2, 4, 8, 16, 32, 64]
shares = {
    "data parallel": {p: state(BIG, MIXED_ADAM, dp=p).total for p in RANKS},
    **{f"ZeRO-{stage}": {p: state(BIG, MIXED_ADAM, zero=stage, dp=p).total for p in RANKS}
       for stage in (1, 2, 3)},
}
grid = state(BIG, MIXED_ADAM, parts=8 * 8).total
lesson.say("    7.5e9 weights: GB of state per rank")
lesson.table(("", *RANKS), *((name, *(f"{nbytes / GB:.3g}" for nbytes in row.values())) for name,
                             row in shares.items()))
assert set(shares["data parallel"].values()) == {120 * GB}, (
    "N34: plain data parallelism keeps 120 GB on every rank, whatever p"
)
assert [f"{shares[f'ZeRO-{stage}'][64] / GB:.3g}"
        for stage in (1, 2, 3)] == ["31.4", "16.6", "1.88"], "N34: ZeRO on 64 ranks"
assert f"{grid / GB:.3g}" == "1.88", "N34: 8-way tensor and 8-way pipeline parallelism share as ZeRO-3 does"

# %% [markdown]
# ## 5 · Time and energy
#
# 004 (1.2): training takes weeks or months (数周甚至数月). 000 (1.2): energy rises sharply (急剧上升) with the weights.
# Training takes about 6 FLOPs per weight and token. At 40 % of the peak of an A100 (312e12 per second) and 400 W:

# %%


def training(weights: float, tokens: float) -> tuple[float, float, float]:
    """FLOPs, days of one A100, MWh."""
    flops = 6 * weights * tokens
    days = flops / (0.4 * 312e12) / 86400
    return flops, days, days * 24 * 400 / 1e6


flops, days, energy = training(175e9, 300e9)
counted = sum(training_flops(GPT3, 1, 2048).values()) / 2048
lesson.say(f"5 · GPT-3, 300e9 tokens: {flops:.3g} FLOPs; {days:,.0f} days of one device, {days / 1024:.1f} "
           "of 1024; "
           f"{energy:.0f} MWh",
           f"    (counted product by product, attention included: {counted / (6 * 175e9):.3f} of 6 N per "
           "token)", "")
assert f"{flops:.3g}" == "3.15e+23" and f"{days:.0f}" == "29213", "N59: 29 213 days of one A100"
assert f"{days / 1024:.1f}" == "28.5", "N59: 28.5 days of 1024 of them: weeks it is"
assert f"{energy:.0f}" == "280" and math.isclose(training(350e9, 300e9)[2], 2 * energy), (
    "N3: 280 MWh; twice the weights take twice the energy: it rises linearly, not sharply, unless the data grow too"
)
assert math.isclose(training(350e9, 600e9)[2], 4
                    * energy), "N3: twice the weights and twice the tokens take four times as much"

# %% [markdown]
# ## 6 · A pool, planned ahead
#
# 002 (7.1) expects dynamic allocation and memory pools (内存池). Their point: arrays that are never alive at the same time may
# lie in the same place. Take a chain of five, of which each is computed from the one before:
#
# **Predict:** the sizes are 4, 8, 8, 2, 6. How large must the pool be, if an array may go as soon as the next one is computed?

# %%
SIZES = [4, 8, 8, 2, 6]
arrays = chain(SIZES)
starts = place(arrays)
block = np.empty(extent(arrays, starts))
pooled = [block[start : start + size] for start, size in zip(starts, SIZES, strict=True)]
apart = [np.empty(size) for size in SIZES]
products = [stream(0, "product", step).normal(size=(after, before)) for step,
            (before, after) in enumerate(pairwise(SIZES))]
for places in (pooled, apart):
    places[0][:] = 1
    for product, (source, target) in zip(products, pairwise(places), strict=True):
        np.matmul(product, source, out=target)
lesson.say(f"6 · arrays of {SIZES}: {sum(SIZES)} apart, {block.size} in a pool, at {starts}", "")
assert sum(SIZES) == 28 and block.size == 16 == most_alive(arrays), (
    "A47 E48: 28 apart, 16 in a pool, and less is not possible"
)
assert np.array_equal(pooled[-1], apart[-1]), "E48: computed in the pool, the result has the same bits"
kept = [replace(array, dies=len(SIZES)) for array in arrays]        # backward reads every one of them again
assert most_alive(kept) == 28, (
    "A47: in training all activations wait for backward, and a pool saves none of them"
)

# %% [markdown]
# ## The picture

# %%
lesson.picture(draw_memory_ledger(ledger, GPU, shares))

# %% [markdown]
# **Exercise.** Let a GPT have L layers of width 128 L with heads of width 128, and a vocabulary of 50,257. It is trained on
# samples of 2048 tokens. Find the largest L whose training fits into 80 GB: in 32 bits with 8 samples at once; in mixed
# precision; with micro-batches of one sample; with ZeRO-1 over 8 devices besides; with ZeRO-3. Which line of the ledger is it
# each time that stops you?
