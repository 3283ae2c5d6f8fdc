# %% [markdown]
# # 07 · Linear quantisation: numbers as small integers
#
# Covers: F2 F6 F18 F19 A19 C5 N5 N8 N31 N35 N39 N53 E17
#
# Quantisation (量化) stores a number as an integer of a few bits. Three documents write a formula for it, and each lacks a
# part:
#
# | | where | as written | what is missing |
# |---|---|---|---|
# | F2 | 000, 4.2 | `θ_q = quantize(θ)` | everything: what `quantize` does, and the way back |
# | F6 | 002, 4.1.1 | `q = round((x − x_min)/(x_max − x_min) × (N − 1))` | the way back; a code for 0 (erratum R13) |
# | F18 | 004, 4.2 | `x_q = round(x/s)` | the way back, the clip, how to choose s (R13) |
# | F19, N8 | 000, 4.2; 002, 4.1.1 | 8 bits are the integers [0, 255] | signed codes are [−128, 127] |
# | N53 | 004, 4.2 | 1.234 at s = 0.1 is 12 | nothing: right |
# | A19, N35 | 002, 3.1 | choose 8 or 16 bits, choose a method, convert | measure what was lost |
# | C5, E17 | 002, 5.1 | `quantize_dynamic(Linear(10, 5))` | it gives back the same float layer (R17) |
# | N5, N31, N39 | 000, 2.1; 002, 2.1.1, 8.1 | much less memory, hardly any loss | how many bits? |
#
# Both formulas are one: **x̂ = s (q − z)**, with a scale s and a zero-point z (零点). Affine (非对称) codes choose z so that the
# codes cover x_min to x_max; symmetric (对称) ones fix it in the middle. The claim: inside the range the error is at most s/2.
# So everything depends on the range, and on how many numbers have to share it.
#
# Run me: `python lessons/07_linear_quantisation.py`, or cell by cell in an editor.

# %%
import warnings

import numpy as np
from minipar.lessons.plots.linear_quantisation import draw_linear_quantisation
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
AFFINE, SYMMETRIC = Scheme(8, symmetric=False, signed=False), Scheme(8)
MODEL = mp.ModelConfig(vocabulary=16, context=16, layers=2, heads=2, width=32)

# %% [markdown]
# ## 1 · The formulas as written
#
# **Predict before you run:** with s = 0.1 in 8 bits, what does F18 make of 20? And which number does F6's code for 0 stand
# for, when the numbers are −0.9, 0 and 2?
#
# **Break it on purpose:** below, take the clip out of `f18`: write `q` for `np.clip(q, -128, 127)`. Which line stops you?

# %%
THREE = np.array([-0.9, 0.0, 2.0])


def f6(x: np.ndarray, N: int = 256) -> np.ndarray:
    return np.round((x - x.min()) / (x.max() - x.min()) * (N - 1))


def f18(x: np.ndarray, s: float) -> np.ndarray:
    """With the clip that the document leaves out."""
    q = np.round(x / s)
    return np.clip(q, -128, 127).astype(np.int64).astype(np.int8)


assert f18(np.array(1.234), 0.1) == 12 and round(1.234 - 0.1 * 12,
                                                 3) == 0.034, "N53: 12.34 is 12, back it is 1.2, off by .034"
assert abs(1.234 - 0.1 * 12) <= 0.1 / 2, "N53: and that is less than half a step"
assert np.round(20 / 0.1).astype(np.int64).astype(np.int8) == -56, "F18: as written, 200 wraps around to -56"
assert f18(np.array(20.0), 0.1) == 127 and f18(np.array(-20.0),
                                               0.1) == -128, "F18: 20 is clipped to the largest code"
assert f18(np.array(12.7), 0.1) == f18(np.array(13.0), 0.1) == 127, "F18: at s = .1 the codes end at 12.7"
assert f6(THREE).tolist() == [0, 79, 255] and quantize(THREE, AFFINE).codes.tolist() == [0, 79, 255], (
    "F6: codes 0, 79, 255"
)
assert quantize(THREE, SYMMETRIC).codes.tolist() == [-57, 0, 127], (
    "F18: codes -57, 0, 127 for the same numbers"
)

step = (2.0 + 0.9) / 255
back = f6(THREE) * step - 0.9
lesson.say("1 · three numbers in 8 bits")
lesson.table(("", *THREE), ("code by F6", *f6(THREE)), ("which stands for", *back),
             ("with a rounded zero-point", *quantize(THREE, AFFINE).dequantize()),
             ("code by F18, s = 2/127", *quantize(THREE, SYMMETRIC).codes))
lesson.say(f"  20 at s = 0.1 is {f18(np.array(20.0), 0.1)}, not -56")
assert f"{back[1]:.5f}" == "-0.00157" and f"{0.9 / step:.2f}" == "79.14", "F6: 0 comes back as -.00157"
assert quantize(THREE, AFFINE).dequantize()[1] == 0, "F6: with a rounded zero-point 0 is exactly 0"
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    assert np.isnan(f6(np.full(3, 5.0))).all(), "F6: equal numbers are 0/0"
assert np.allclose(quantize(np.full(3, 5.0), AFFINE).dequantize(), 5, 1e-15,
                   0), "F6: a range that includes 0 mends that too"

# %% [markdown]
# Three details. NumPy rounds halves to the even neighbour, and 0.35/0.1 is not quite 3.5. Symmetric codes leave one of 256
# out, and half of them unused where nothing is negative, as after a ReLU. And in the range the error is s/2 at most.

# %%
assert (f18(np.array(1.25), 0.1), f18(np.array(0.25), 0.1), f18(np.array(0.35), 0.1)) == (12, 2, 3), \
    "F18: halves go to the even neighbour, and .35/.1 is 3.4999999999999996"
positive = np.maximum(stream(0, "activations").normal(size=10_000), 0)
assert quantize(positive, SYMMETRIC).codes.min() == 0 and quantize(positive, AFFINE).codes.max() == 255, \
    "F18: what is never negative uses half of the symmetric codes, 0 to 127"
assert (AFFINE.low, AFFINE.high, SYMMETRIC.low, SYMMETRIC.high,
        Scheme(8, False).low) == (0, 255, -127, 127, -128), \
    "F19 N8: 256 codes are 0 to 255 or -128 to 127; symmetric ones are -127 to 127"

x = stream(0, "uniform").uniform(-1, 3, 100_000)
affine = quantize(x, AFFINE)
error = abs(affine.dequantize() - x) / affine.grid.scale
assert 0.4999 < error.max() <= 0.5 + 1e-12 and len(np.unique(affine.codes)) == 256, (
    "F2 F6: off by s/2 at most, all codes used"
)
refused = refusal(lambda: quantize(np.array([1.0, np.nan]), AFFINE, name="θ"))
assert refused.startswith("RangeError: θ holds nan"), "F2: not every θ has codes"
lesson.say(f"  largest error of 100,000 numbers: {error.max():.5f} s", f"  a number that is none: {refused}",
           "")

# %% [markdown]
# ## 2 · Who shares the range
#
# One number of 2 among weights of size 0.02 stretches the range for all of them. And rows of unequal size share badly.
#
# **Predict:** how many times does one outlier among 100,000 weights multiply the mean squared error?

# %%
DRAWS = 40


def squared_error(x: np.ndarray, scheme: Scheme, limits: Limits | None = None) -> float:
    return float(((quantize(x, scheme, limits).dequantize() - x) ** 2).mean())


def outlier(seed: int) -> float:
    w = stream(seed, "weights").normal(0, 0.02, 100_000)
    before = squared_error(w, AFFINE)
    w[0] = 2.0
    return squared_error(w, AFFINE) / before


def unequal_rows(seed: int) -> float:
    sizes = np.full((32, 1), 0.02)
    sizes[seed % 32] = 1.0                                          # one row in 32 is large
    w = stream(seed, "rows").normal(size=(32, 1000)) * sizes
    return squared_error(w, AFFINE) / squared_error(w, Scheme(8, False, axis=0))


outliers, rows = ([measure(seed) for seed in range(DRAWS)] for measure in (outlier, unequal_rows))
lesson.say("2 · mean squared error at 8 bits")
lesson.table(("", "lowest", "mean", "highest"),
             ("one outlier: times worse", min(outliers), np.mean(outliers), max(outliers)),
             ("a scale per row: times better", min(rows), np.mean(rows), max(rows)))
assert min(outliers) < 128 < max(outliers), (
    "F6: an outlier of 2 makes the error 128 times as large, more or less by the draw"
)
assert min(rows) > 25 and round(float(np.mean(rows)),
                                -1) == 30, "F6: scales of their own make unequal rows 30 times better"

# %% [markdown]
# ## 3 · What a bit is worth
#
# One bit more halves s, and the error: a factor of 4 in power, or 6.02 dB in the signal-to-noise ratio (SQNR, 信噪比).

# %%
BITS = tuple(range(2, 17))


def sqnr(x: np.ndarray, bits: int) -> float:
    """Power of the numbers over that of the error, in dB, over the whole range as F6 has it."""
    step = np.ptp(x) / (2**bits - 1)
    back = np.round((x - x.min()) / step) * step + x.min()
    return float(10 * np.log10((x**2).mean() / ((back - x) ** 2).mean()))


normal = [stream(seed, "normal").normal(size=100_000) for seed in range(10)]
decibels = {bits: [sqnr(x, bits) for x in normal] for bits in BITS}
lesson.say("3 · signal-to-noise ratio of normal numbers, dB")
lesson.table(("bits", "lowest", "highest"), *((bits, min(decibels[bits]), max(decibels[bits]))
                                              for bits in (2, 4, 8, 16)))
for bits, db in ((16, 88.2), (8, 40.3), (4, 15.6), (2, 0.7)):
    assert min(decibels[bits]) < db < max(decibels[bits]), f"N35: {bits} bits are about {db} dB, by the draw"
slope = np.polyfit(BITS[6:], [np.mean(decibels[bits]) for bits in BITS[6:]], 1)[0]
assert abs(slope - 20 * np.log10(2)) < 0.01, "N35: each bit is worth 6.02 dB"

# %% [markdown]
# ## 4 · Products of integers
#
# A product of two int8 matrices adds K terms of up to 127². Sixteen bits overflow from K = 3 on, so sums are kept in 32 bits.
# NumPy's float32 product computes them exactly while no sum outgrows 2²⁴; `integer_matmul` cuts longer sums into such pieces.

# %%
assert 2 * 127**2 <= 2**15 - 1 < 3 * 127**2, "A19: sums of int8 products overflow 16 bits from K = 3 on"
K = 4999
ones = np.full((1, K), 127, np.int8), np.full((K, 1), 127, np.int8)
in_integers, in_floats = (
    integer_matmul(*ones).item(),
    (ones[0].astype(np.float32) @ ones[1].astype(np.float32)).item(),
)
lesson.say(f"4 · {K} products of 127 and 127: {127**2 * K:,}, by integer_matmul {in_integers:,}, in float32 "
           f"{in_floats:,.0f}", "")
assert in_integers == 127**2 * K, "A19: the largest sums, exact in int32"
assert in_floats != 127**2 * K, "A19: float32 alone loses the last bit"

# %% [markdown]
# ## 5 · One layer
#
# Document 002 (5.1) quantises `Linear(10, 5)`, and gets it back as it was: the function looks for linear layers *inside* what
# it is given, and swaps those. Minipar's changes the layer itself. PyTorch saves 512 × 512 weights in 1,052,453 bytes,
# quantised in 266,781.

# %%
def as_in_002(model: Module) -> None:
    """Quantise what is inside the model, as the function of C5 does; never the model itself."""
    for part in model.modules()[1:]:
        if isinstance(part, LinearLayer):
            quantize_dynamic(part)


bare, block = Linear("bare", 10, 5), Block("block", MODEL)
for model in (bare, block):
    model.initialise()
    as_in_002(model)
assert hasattr(bare, "weight") and not hasattr(block.mlp.up,
                                               "weight"), "C5: layers inside are quantised, a bare one is not"
before = bare(mp.Tensor(np.ones((1, 10), np.float32))).data
quantize_dynamic(bare)
weight = quantized_weight(bare)
assert weight is not None and weight.codes.dtype == np.int8 and not hasattr(bare, "weight"), (
    "C5: a bare layer becomes integers"
)
after = bare(mp.Tensor(np.ones((1, 10), np.float32))).data
assert 0 < abs(after - before).max() < 0.03 * abs(before).max(), "E17: and computes nearly what it did"

large = Linear("large", 512, 512)
large.initialise()
floats = stored_bytes(large)
quantize_dynamic(large)
lesson.say("5 · 512 x 512 weights",
           f"  {floats:,} bytes in float32, {stored_bytes(large):,} with int8 codes and a scale per column",
           "")
assert f"{1_052_453 / 266_781:.1f}" == f"{floats / stored_bytes(large):.1f}" == "3.9", (
    "N31 E17: a quarter, and the scales"
)

# %% [markdown]
# ## 6 · A GPT
#
# A GPT of two layers learns a text whose best possible loss is known. Its linear layers are quantised, one scale per column:
# at once (post-training, 训练后量化), and with some more steps that know of the rounding (quantisation-aware training, lesson 09).
#
# **Predict:** down to how many bits does the loss stay within 0.01 nats?

# %%
SOURCE = MarkovSource.random(16, seed=3, concentration=0.3)
TRAINING, VALIDATION = split(SOURCE.sample(20_000, seed=0))
BATCHES = Batches(TRAINING, 16, 16, seed=0)
WINDOWS = list(EvaluationBatches(VALIDATION, 16, batch=64, windows=64))


def tune(model: mp.GPT, steps: int, lr: float, first: int = 0) -> float:
    """Train, then the validation loss."""
    fine_tune(model.loss, AdamW(Flat(model.parameters()), weight_decay=0.1),
              lambda step: BATCHES.get(first + step), steps, lr)
    return validate(model)


def validate(model: mp.GPT) -> float:
    with no_grad():
        return sum(model.loss(*batch, count=1).item()
                   for batch in WINDOWS) / sum(targets.size for _, targets in WINDOWS)


trained = mp.GPT(MODEL)
base, full = tune(trained, 300, 1e-2), stored_bytes(trained)
losses, sizes = {}, {}
for bits in (16, 8, 4, 3, 2):
    at_once, learned = mp.GPT(MODEL), mp.GPT(MODEL)
    for model in (at_once, learned):
        model.load_state_dict(trained.state_dict())
    quantize_weights(at_once, Scheme(bits, axis=1))
    losses[bits], sizes[bits] = validate(at_once) - base, stored_bytes(at_once)
quantize_in_training(learned, Scheme(2, axis=1), limits=minmax)
recovered = tune(learned, 60 if lesson.fast else 150, 3e-3, first=1000) - base
lesson.say(f"6 · GPT, loss {base:.4f} in float32 (best possible {SOURCE.entropy_rate:.4f}), {full:,} bytes")
lesson.table(("bits", "loss grows by", "bytes", "smaller by"),
             *((bits, f"{losses[bits]:+.4f}", f"{sizes[bits]:,}", full / sizes[bits]) for bits in losses),
             ("2, trained with it", f"{recovered:+.4f}", f"{sizes[2]:,}", full / sizes[2]))
assert abs(losses[16]) < 1e-4 and abs(losses[8]) < 2e-3, "N35 N39: 16 and 8 bits cost next to nothing"
assert abs(losses[4]) < 0.01 < losses[2] and losses[3] < losses[2], "N5: true down to 4 bits here, not at 2"
assert recovered < losses[2] / 2, "N39: and training that knows of 2 bits wins back more than half"
assert 1.5 < full / sizes[16] < 2 < full / sizes[8] < 4, "N31: int8 is a fourth, less what stays in floats"
assert sorted(sizes, key=lambda bits: sizes[bits]) == [2, 3, 4, 8, 16], (
    "A19: fewer bits are smaller; what is lost is measured"
)

# %% [markdown]
# **Exercise.** `minmax` covers the largest number. Write a function that tries narrower ranges, clips what lies outside, and
# keeps the one with the smallest mean squared error; compare with `minipar.compress.quantize.mse`. For normal numbers in 4
# bits, how much of the range does it keep, and how many dB does that bring?

# %%
line = np.linspace(-1.2, 2.4, 1801)
ranged = {"affine, −0.9 to 2": Scheme(3, symmetric=False), "symmetric, ±2": Scheme(3)}
stairs = {name: quantize(line, scheme, minmax(THREE, scheme)).dequantize() for name, scheme in ranged.items()}
lesson.picture(draw_linear_quantisation(line, stairs,
                                        {bits: float(np.mean(db)) for bits, db in decibels.items()}))
