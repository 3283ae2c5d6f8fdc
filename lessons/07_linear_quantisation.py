# %% [markdown]
# # 07 · Linear quantisation: numbers as small integers
#
# You have a trained model of 7 billion weights. In float32 it takes 28 GB; your
# laptop has 8. You do not want to train again. Could each weight be stored in one
# byte, or in half a byte, without spoiling the answers?
#
# A byte is one of 256 integers, the **codes**. So choose 256 values on a line,
# and store for each weight the number of the nearest one:
#
#     weight     -0.9        0             1.234       2
#                 |..........|...............|.........|
#     code        0          79             188       255
#                  <- each step is s = 2.9/255 = 0.0114 ->
#
# This is *linear quantisation*. After this lesson you can quantise by hand, say
# how large the error is, and why one outlier among 100,000 weights spoils all.
#
# You need NumPy. The core path takes 35 minutes; sections marked "(optional)"
# do not belong to it.
#
# Run me: `minipar lesson teach 7` (step by step) or `minipar lesson run 7`.

# %%
import warnings

import numpy as np
from minipar.lessons.plots.linear_quantisation import (
    draw_linear_quantisation,
)
from minipar.lessons.support.lesson import Lesson, refusal

import minipar as mp
from minipar.autograd import no_grad
from minipar.compress.quantize import (
    Limits,
    Scheme,
    integer_matmul,
    minmax,
    quantize,
    quantize_dynamic,
    quantize_in_training,
    quantize_weights,
    quantized_weight,
    stored_bytes,
)
from minipar.compress.tune import fine_tune
from minipar.data.batches import Batches, EvaluationBatches, split
from minipar.data.markov import MarkovSource
from minipar.nn import Block, Linear, LinearLayer, Module
from minipar.optim import AdamW, Flat
from minipar.rng import stream

lesson = Lesson("07_linear_quantisation", ranks=1)
AFFINE = Scheme(8, symmetric=False, signed=False)
SYMMETRIC = Scheme(8)
MODEL = mp.ModelConfig(
    vocabulary=16, context=16, layers=2, heads=2, width=32
)

# %% [markdown]
# ## 1 · Three numbers by hand
#
# A code q stands for x̂ = s (q - z). The **scale** s is the size of a step. The
# **zero-point** z is the code of 0. Two kinds:
#
#     symmetric:  z = 0           s = largest |x| / 127     codes -127 ... 127
#     affine:     z = round(..)   s = (max - min) / 255     codes    0 ... 255
#
# For -0.9, 0 and 2, symmetric: s = 2/127 = 0.01575. Then -0.9 / s = -57.15, and
# the code is -57. It comes back as -57 s = -0.898. What lies outside the range is
# *clipped* to the last code.

# %%
THREE = np.array([-0.9, 0.0, 2.0])


def by_min_and_max(x: np.ndarray, N: int = 256) -> np.ndarray:
    """Codes 0 ... N - 1, without a rounded zero-point."""
    return np.round((x - x.min()) / (x.max() - x.min()) * (N - 1))


def by_scale(x: np.ndarray, s: float) -> np.ndarray:
    """Codes -128 ... 127, clipped."""
    q = np.round(x / s)
    return np.clip(q, -128, 127).astype(np.int64).astype(np.int8)


lesson.predict("With s = 0.1, what is the code of 20?")
clipped = by_scale(np.array(20.0), 0.1)
lesson.reveal(int(clipped))
step = (2.0 + 0.9) / 255
back = by_min_and_max(THREE) * step - 0.9
affine = quantize(THREE, AFFINE)
lesson.table(("", *THREE), ("code, min to max", *by_min_and_max(THREE)),
             ("stands for", *back),
             ("with a rounded zero-point", *affine.dequantize()),
             ("code, symmetric", *quantize(THREE, SYMMETRIC).codes))
assert clipped == 127, "200 is no code of 8 bits: clip, or it wraps to -56"
assert back[1] != 0 == affine.dequantize()[1], \
    "0 must stay 0 exactly: so the zero-point is rounded to a code"

# %% [markdown]
# **Break it.** In `by_scale`, leave the clip out: write `q` for
# `np.clip(q, -128, 127)`. 20 becomes -56: the worst error possible.

# %% [markdown]
# ## 2 · How large is the error?
#
# A number inside the range lies between two codes, s apart. Rounding takes the
# nearer one. So the error is at most half a step.

# %%
lesson.predict("100,000 numbers: the largest error, in steps s?")
x = stream(0, "uniform").uniform(-1, 3, 100_000)
spread = quantize(x, AFFINE)
error = abs(spread.dequantize() - x) / spread.grid.scale
lesson.reveal(round(float(error.max()), 3), "s")
assert 0.4999 < error.max() <= 0.5 + 1e-12, \
    "half a step: a number in the middle is as far from both codes"

# %% [markdown]
# One bit more halves s, and so the error: a factor of 4 in power. Engineers write
# it as 10 log10(4) = 6.02 *decibels* (dB) of the signal-to-noise ratio.

# %%
BITS = tuple(range(2, 17))


def sqnr(x: np.ndarray, bits: int) -> float:
    """Power of the numbers over that of the error, dB, min to max."""
    step = np.ptp(x) / (2**bits - 1)
    back = np.round((x - x.min()) / step) * step + x.min()
    return float(10 * np.log10((x**2).mean() / ((back - x) ** 2).mean()))


normal = [stream(seed, "normal").normal(size=100_000) for seed in range(10)]
decibels = {bits: [sqnr(x, bits) for x in normal] for bits in BITS}
lesson.predict("8 bits have about 40 dB. About how many dB have 16 bits?")
lesson.reveal(round(float(np.mean(decibels[16])), 1), "dB")
lesson.table(("bits", "lowest", "highest"), *(
    (bits, min(decibels[bits]), max(decibels[bits]))
    for bits in (2, 4, 8, 16)))
slope = np.polyfit(BITS[6:], [np.mean(decibels[bits])
                              for bits in BITS[6:]], 1)[0]
assert abs(slope - 20 * np.log10(2)) < 0.01, \
    "8 bits more are 8 times 6.02 dB: subtract two rows of the table"
line = np.linspace(-1.2, 2.4, 1801)
ranged = {"affine, −0.9 to 2": Scheme(3, symmetric=False),
          "symmetric, ±2": Scheme(3)}
stairs = {name: quantize(line, scheme, minmax(THREE, scheme)).dequantize()
          for name, scheme in ranged.items()}
lesson.picture(draw_linear_quantisation(line, stairs, {
    bits: float(np.mean(db)) for bits, db in decibels.items()}))

# %% [markdown]
# ## 3 · Who shares the range
#
# The step is the range over 255. One number of 2 among weights of size 0.02
# stretches it for all of them. The remedy: a scale of its own for each row.

# %%
DRAWS = 40


def squared_error(x: np.ndarray, scheme: Scheme,
                  limits: Limits | None = None) -> float:
    there = quantize(x, scheme, limits).dequantize()
    return float(((there - x) ** 2).mean())


def outlier(seed: int) -> float:
    w = stream(seed, "weights").normal(0, 0.02, 100_000)
    before = squared_error(w, AFFINE)
    w[0] = 2.0
    return squared_error(w, AFFINE) / before


def unequal_rows(seed: int) -> float:
    sizes = np.full((32, 1), 0.02)
    sizes[seed % 32] = 1.0                  # one row in 32 is large
    w = stream(seed, "rows").normal(size=(32, 1000)) * sizes
    own = Scheme(8, False, axis=0)
    return squared_error(w, AFFINE) / squared_error(w, own)


lesson.predict("One outlier: the squared error grows how many times?",
               ["hardly", "2 times", "over 100 times"])
outliers, rows = ([measure(seed) for seed in range(DRAWS)]
                  for measure in (outlier, unequal_rows))
lesson.reveal("over 100 times")
lesson.table(("", "lowest", "mean", "highest"),
             ("one outlier: times worse", min(outliers),
              np.mean(outliers), max(outliers)),
             ("a scale per row: times better", min(rows), np.mean(rows),
              max(rows)))
assert np.mean(outliers) > 100 and min(rows) > 25, \
    "the range grew 12 times, and the power of the error is its square"

# %% [markdown]
# ## 4 · A GPT in few bits
#
# A GPT of two layers has learned a text whose best possible loss is known. Round
# the weights of its linear layers, one scale for each column.

# %%
SOURCE = MarkovSource.random(16, seed=3, concentration=0.3)
TRAINING, VALIDATION = split(SOURCE.sample(20_000, seed=0))
BATCHES = Batches(TRAINING, 16, 16, seed=0)
WINDOWS = list(EvaluationBatches(VALIDATION, 16, batch=64, windows=64))


def tune(model: mp.GPT, steps: int, lr: float, first: int = 0) -> float:
    """Train, then the validation loss."""
    optimizer = AdamW(Flat(model.parameters()), weight_decay=0.1)
    fine_tune(model.loss, optimizer,
              lambda step: BATCHES.get(first + step), steps, lr)
    return validate(model)


def validate(model: mp.GPT) -> float:
    count = sum(targets.size for _, targets in WINDOWS)
    with no_grad():
        return sum(model.loss(*batch, count=1).item()
                   for batch in WINDOWS) / count


# %%
trained = mp.GPT(MODEL)
base, full = tune(trained, 300, 1e-2), stored_bytes(trained)
losses, sizes = {}, {}
for bits in (16, 8, 4, 3, 2):
    at_once, learned = mp.GPT(MODEL), mp.GPT(MODEL)
    for model in (at_once, learned):
        model.load_state_dict(trained.state_dict())
    quantize_weights(at_once, Scheme(bits, axis=1))
    losses[bits] = validate(at_once) - base
    sizes[bits] = stored_bytes(at_once)
lesson.predict("Least bits whose loss grows by less than 0.01 nats?",
               ["16", "8", "4", "2"])
lesson.reveal(min(bits for bits in (16, 8, 4, 2) if losses[bits] < 0.01))
quantize_in_training(learned, Scheme(2, axis=1), limits=minmax)
recovered = tune(learned, 60 if lesson.fast else 150, 3e-3, 1000) - base
lesson.say(f"  loss {base:.4f} in float32, {full:,} bytes; "
           f"best possible {SOURCE.entropy_rate:.4f}")
lesson.table(("bits", "loss grows by", "bytes", "smaller by"), *(
    (bits, f"{losses[bits]:+.4f}", f"{sizes[bits]:,}", full / sizes[bits])
    for bits in losses), ("2, trained with it", f"{recovered:+.4f}",
                          f"{sizes[2]:,}", full / sizes[2]))
assert losses[4] < 0.01 < losses[2] and recovered < losses[2] / 2, \
    "4 bits are enough here; at 2, training with the rounding helps"

# %% [markdown]
# The last row has learned with the rounding in place: lesson 9 shows how.

# %% [markdown]
# ## 5 · What it costs, and what it saves
#
# A layer of 512 x 512 weights: a byte for each, and a scale for each column.

# %%
large = Linear("large", 512, 512)
large.initialise()
floats = stored_bytes(large)
lesson.predict("512 x 512 weights: how many times smaller in 8 bits?")
quantize_dynamic(large)
lesson.reveal(round(floats / stored_bytes(large), 1), "times")
lesson.table(("", "bytes"), ("float32", f"{floats:,}"),
             ("int8 and scales", f"{stored_bytes(large):,}"))
assert 3.9 < floats / stored_bytes(large) < 4, \
    "a fourth, but for the scales and the bias, which stay floats"

# %% [markdown]
# ## 6 · Products of integers (optional)
#
# A product of two int8 matrices adds K terms of up to 127². Sixteen bits overflow
# from K = 3 on, so sums are kept in 32 bits. NumPy's float32 product is exact
# while no sum exceeds 2²⁴; `integer_matmul` splits longer sums.

# %%
K = 4999
ones = np.full((1, K), 127, np.int8), np.full((K, 1), 127, np.int8)
in_integers = integer_matmul(*ones).item()
in_floats = (ones[0].astype(np.float32) @ ones[1].astype(np.float32)).item()
lesson.table((f"{K} times 127 x 127", f"{127**2 * K:,}"),
             ("integer_matmul", f"{in_integers:,}"),
             ("float32", f"{in_floats:,.0f}"))
assert 2 * 127**2 <= 2**15 - 1 < 3 * 127**2, \
    "A19: sums of int8 products overflow 16 bits from K = 3 on"
assert in_integers == 127**2 * K, "A19: the largest sums, exact in int32"
assert in_floats != 127**2 * K, "A19: float32 alone loses the last bit"

# %% [markdown]
# ## 7 · Exercises
#
# `minipar exercise start NAME` begins one of chapter 8, and checks it:
#
# * `affine_quantisation`: quantise and come back, with a zero-point;
# * `clip_the_range`: `minmax` covers the largest number. Try narrower ranges, and
#   clip what lies outside. How much of the range is best for normal numbers in 4
#   bits, and how many dB does it bring? (The library's version is
#   `minipar.compress.quantize.mse`.)

# %% [markdown]
# ## 8 · What the documents say (optional)
#
# Covers: F2 F6 F18 F19 A19 C5 N5 N8 N31 N35 N39 N53 E17
#
# Quantisation is 量化, the zero-point 零点, affine 非对称, symmetric 对称, the
# signal-to-noise ratio 信噪比. Three documents write a formula, and each lacks a
# part:
#
# | | where | as written | what is missing |
# |---|---|---|---|
# | F2 | 000, 4.2 | `θ_q = quantize(θ)` | everything, and the way back |
# | F6 | 002, 4.1.1 | `q = round((x − x_min)/(x_max − x_min) × (N − 1))` | the way back, a code for 0 (R13) |
# | F18 | 004, 4.2 | `x_q = round(x/s)` | the way back, the clip, how to choose s (R13) |
# | F19, N8 | 000, 4.2; 002, 4.1.1 | 8 bits are [0, 255] | signed: [−128, 127] |
# | N53 | 004, 4.2 | 1.234 at s = 0.1 is 12 | nothing: right |
# | A19, N35 | 002, 3.1 | choose 8 or 16 bits, a method, convert | measure the loss |
# | C5, E17 | 002, 5.1 | `quantize_dynamic(Linear(10, 5))` | stays float (R17) |
# | N5, N31, N39 | 000, 2.1; 002, 2.1.1, 8.1 | much less memory, hardly a loss | at how many bits? |
#
# The corrected form of F2, F6 and F18 is x̂ = s (q − z), section 1.

# %%
assert by_scale(np.array(1.234), 0.1) == 12 \
    and round(1.234 - 0.1 * 12, 3) == 0.034, \
    "N53: 12.34 is 12, back it is 1.2, off by .034"
assert abs(1.234 - 0.1 * 12) <= 0.1 / 2, "N53: less than half a step"
wrapped = np.round(20 / 0.1).astype(np.int64).astype(np.int8)
assert wrapped == -56, "F18: as written, 200 wraps around to -56"
assert by_scale(np.array(20.0), 0.1) == 127 \
    and by_scale(np.array(-20.0), 0.1) == -128, "F18: 20 is clipped"
assert by_scale(np.array(12.7), 0.1) == by_scale(np.array(13.0), 0.1) \
    == 127, "F18: at s = .1 the codes end at 12.7"
assert by_min_and_max(THREE).tolist() == [0, 79, 255] \
    and affine.codes.tolist() == [0, 79, 255], "F6: codes 0, 79, 255"
assert quantize(THREE, SYMMETRIC).codes.tolist() == [-57, 0, 127], \
    "F18: codes -57, 0, 127 for the same numbers"
assert f"{back[1]:.5f}" == "-0.00157" and f"{0.9 / step:.2f}" == "79.14", \
    "F6: 0 comes back as -.00157"
assert affine.dequantize()[1] == 0, "F6: rounded, 0 is exactly 0"
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    assert np.isnan(by_min_and_max(np.full(3, 5.0))).all(), \
        "F6: equal numbers are 0/0"
assert np.allclose(quantize(np.full(3, 5.0), AFFINE).dequantize(), 5, 1e-15,
                   0), "F6: a range that includes 0 fixes that too"
halves = [int(by_scale(np.array(half), 0.1)) for half in (1.25, 0.25, 0.35)]
assert halves == [12, 2, 3], \
    "F18: halves go to the even neighbour, .35/.1 is 3.4999999999999996"

# %%
positive = np.maximum(stream(0, "activations").normal(size=10_000), 0)
assert quantize(positive, SYMMETRIC).codes.min() == 0 \
    and quantize(positive, AFFINE).codes.max() == 255, \
    "F18: what is never negative uses half of the symmetric codes"
assert (AFFINE.low, AFFINE.high, SYMMETRIC.low, SYMMETRIC.high,
        Scheme(8, False).low) == (0, 255, -127, 127, -128), \
    "F19 N8: 0 to 255 or -128 to 127; symmetric ones are -127 to 127"
assert 0.4999 < error.max() <= 0.5 + 1e-12 \
    and len(np.unique(spread.codes)) == 256, \
    "F2 F6: off by s/2 at most, all codes used"
refused = refusal(lambda: quantize(np.array([1, np.nan]), AFFINE, name="θ"))
assert refused.startswith("RangeError: θ holds nan"), \
    "F2: not every θ has codes"
assert min(outliers) < 128 < max(outliers), \
    "F6: an outlier of 2 makes the error 128 times as large, by the draw"
assert min(rows) > 25 and round(float(np.mean(rows)), -1) == 30, \
    "F6: scales of their own make unequal rows 30 times better"
for bits, db in ((16, 88.2), (8, 40.3), (4, 15.6), (2, 0.7)):
    assert min(decibels[bits]) < db < max(decibels[bits]), \
        f"N35: {bits} bits are about {db} dB, by the draw"
assert abs(slope - 20 * np.log10(2)) < 0.01, "N35: a bit is 6.02 dB"

# %% [markdown]
# 002 (5.1) quantises `Linear(10, 5)`, and gets it back as it was: the function
# looks for layers *inside* what it is given. Minipar's changes the layer itself.
# PyTorch saves 512 × 512 weights in 1,052,453 bytes, quantised in 266,781.

# %%
def as_in_002(model: Module) -> None:
    """Quantise what is inside the model, never the model itself."""
    for part in model.modules()[1:]:
        if isinstance(part, LinearLayer):
            quantize_dynamic(part)


bare, block = Linear("bare", 10, 5), Block("block", MODEL)
for layer in (bare, block):
    layer.initialise()
    as_in_002(layer)
assert hasattr(bare, "weight") and not hasattr(block.mlp.up, "weight"), \
    "C5: layers inside are quantised, a bare one is not"
row = mp.Tensor(np.ones((1, 10), np.float32))
before = bare(row).data
quantize_dynamic(bare)
weight = quantized_weight(bare)
assert weight is not None and weight.codes.dtype == np.int8 \
    and not hasattr(bare, "weight"), "C5: a bare layer becomes integers"
after = bare(row).data
assert 0 < abs(after - before).max() < 0.03 * abs(before).max(), \
    "E17: and computes nearly what it did"
assert f"{1_052_453 / 266_781:.1f}" \
    == f"{floats / stored_bytes(large):.1f}" == "3.9", \
    "N31 E17: a quarter, and the scales"
assert abs(losses[16]) < 1e-4 and abs(losses[8]) < 2e-3, \
    "N35 N39: 16 and 8 bits cost next to nothing"
assert abs(losses[4]) < 0.01 < losses[2] and losses[3] < losses[2], \
    "N5: true down to 4 bits here, not at 2"
assert recovered < losses[2] / 2, \
    "N39: and training that knows of 2 bits wins back more than half"
assert 1.5 < full / sizes[16] < 2 < full / sizes[8] < 4, \
    "N31: int8 is a fourth, less what stays in floats"
assert sorted(sizes, key=lambda bits: sizes[bits]) == [2, 3, 4, 8, 16], \
    "A19: fewer bits are smaller; what is lost is measured"
