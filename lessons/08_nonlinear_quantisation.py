# %% [markdown]
# # 08 · Nonlinear quantisation: a sigmoid needs a gain
#
# Lesson 7 spread 256 codes evenly over the range. But the weights of a trained
# model are not spread evenly: most are near 0, a few are far out. Codes at the
# edge are hardly used. Should there not be more codes where the numbers are?
#
#     weights        .   . ....:::||||||:::.... .   .
#     linear codes   |  |  |  |  |  |  |  |  |  |  |
#     better         |    |   |  | | | | |  |   |    |
#
# A natural idea: squash the numbers first, with a sigmoid, and use even codes for
# the result. It works, if you get one number right; else it is 500 times worse.
# After this lesson you know which number, and why.
#
# You need lesson 7. The core path takes 30 minutes; the section marked
# "(optional)" does not belong to it.
#
# Run me: `minipar lesson teach 8` (step by step) or `minipar lesson run 8`.

# %%
import math

import numpy as np
from minipar.lessons.plots.nonlinear_quantisation import (
    draw_codes,
    draw_gains,
)
from minipar.lessons.support.lesson import Lesson

from minipar.compress.quantize import (
    Coded,
    Scheme,
    quantile_codes,
    quantize,
    sigmoid_codes,
)
from minipar.malloc import keep_freed_memory
from minipar.rng import stream

lesson = Lesson("08_nonlinear_quantisation", ranks=1)
keep_freed_memory()     # many arrays of one size, one after the other
DRAWS = 30
NORMAL = [
    stream(seed, "normal").normal(size=100_000) for seed in range(DRAWS)
]
LINEAR = Scheme(8, symmetric=False)

# %% [markdown]
# ## 1 · Squash, round, and come back
#
# The sigmoid σ(x) = 1 / (1 + exp(-x)) takes any number to one between 0 and 1.
# Round that to 256 levels, q = round(255 σ(k x)). k is the **gain**; take k = 1
# first. The way back is the *logit*, ln(u / (1 - u)) / k. By hand, for x = 0.5:
#
#     σ(0.5) = 0.6225      q = round(158.7) = 159      u = 159/255 = 0.6235
#     back: ln(0.6235 / 0.3765) = 0.5045               error 0.0045

# %%
def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def codes_of(x: np.ndarray, k: float = 1.0, N: int = 256) -> np.ndarray:
    return np.rint(sigmoid(k * x) * (N - 1))


def back(q: np.ndarray, k: float = 1.0, N: int = 256) -> np.ndarray:
    with np.errstate(divide="ignore"):
        u = q / (N - 1)
        return np.log(u / (1 - u)) / k


lesson.predict("How many of 256 codes do numbers from -0.1 to 0.1 use?")
points = np.linspace(-3, 3, 10_001)
there = sigmoid(back(codes_of(points)))
narrow = codes_of(np.linspace(-0.1, 0.1, 10_001))
lesson.reveal(len(np.unique(narrow)))
lesson.table(("x", "code", "comes back as"), *(
    (value, int(codes_of(value)), float(back(codes_of(value))))
    for value in np.array([-2.0, -0.1, 0.1, 0.5, 2.0])))
assert abs(there - sigmoid(points)).max() < 0.5 / 255 + 1e-9, \
    "behind the sigmoid the error is half a step: look at the way back"
assert len(np.unique(narrow)) < 20, \
    "σ(-0.1) is 0.475 and σ(0.1) is 0.525: 5 % of the codes lie between"

# %% [markdown]
# **Break it.** In `back`, forget half of the logit: return `np.log(u) / k`.

# %% [markdown]
# ## 2 · Without a gain
#
# Weights have a standard deviation of about 0.02, not 1. For them the sigmoid is a
# straight line: it bends where its argument is about 1. They use only a dozen
# codes. Compare the squared error with that of linear codes, for numbers of many
# sizes (*std* is the standard deviation). "Own range": the levels are stretched
# over the part of the sigmoid that occurs.

# %%
SIZES = (0.02, 0.1, 0.33, 1.0, 2.0, 3.0)


def range_of(numbers: list[float]) -> str:
    return f"{min(numbers):.3g} to {max(numbers):.3g}"


def squared_error(x: np.ndarray, coded: Coded) -> float:
    """Over what comes back finite."""
    there = coded.dequantize()
    finite = np.isfinite(there)
    return float(((there - x)[finite] ** 2).mean())


def against_linear(x: np.ndarray, gain: float, unit: bool) -> float:
    """Squared error over that of linear codes; unit: over all of [0, 1]."""
    linear = float(((quantize(x, LINEAR).dequantize() - x) ** 2).mean())
    coded = sigmoid_codes(x, 8, gain, unit=unit)
    return squared_error(x, coded) / linear


lesson.predict(
    "Std 0.02, no gain: the error is that of linear codes times?",
    ["0.5", "1", "20", "500"])
relative = {
    (std, unit): [against_linear(std * x, 1.0, unit) for x in NORMAL]
    for std in SIZES
    for unit in (True, False)
}
lesson.reveal("500")
lesson.table(
    ("std", "sigmoid over [0, 1]", "over its own range"),
    *(
        (std, *(range_of(relative[std, unit]) for unit in (True, False)))
        for std in SIZES
    ),
)
assert (
    np.mean(relative[0.02, True]) > 400 > 1 > np.mean(relative[1.0, True])
), "the same codes are good for numbers of size 1: compare the rows"

# %% [markdown]
# ## 3 · With a gain
#
# So multiply first: σ(k x) with k = 1/std. Then numbers of any size look alike to
# the sigmoid. Too large a gain is bad, too: large numbers all come close to 1, and
# share the last few codes.

# %%
lesson.predict("Which gain is best, in units of 1/std?", ["0.5", "1", "2"])
GAINS = np.array([0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0])
by_gain = {unit: np.array([[against_linear(x, k, unit) for k in GAINS]
                           for x in NORMAL[:6]]).mean(0)
           for unit in (True, False)}
lesson.reveal(f"{GAINS[by_gain[False].argmin()]:g}")
lesson.table(("gain x std", *(f"{gain:g}" for gain in GAINS)),
             ("over [0, 1]", *by_gain[True].tolist()),
             ("own range", *by_gain[False].tolist()))
lesson.picture(draw_gains(GAINS, {"over [0, 1]": by_gain[True],
                                  "over its own range": by_gain[False]}))
assert (
    GAINS[by_gain[False].argmin()] == GAINS[by_gain[True].argmin()] == 1
), "the error is least where the sigmoid bends at one std"

# %% [markdown]
# Where do the codes lie then? *Quantiles* are a third way: each code stands for
# equally many weights.

# %%
weights = 0.02 * NORMAL[0]
gained, quantiles = sigmoid_codes(weights), quantile_codes(weights)
scale = quantize(weights, LINEAR).grid.scale.item()
densities = {"linear": scale * np.ones(255),
             "sigmoid, k = 1/std": np.diff(gained.levels),
             "quantiles": np.diff(quantiles.levels)}
positions = {"linear": np.linspace(weights.min(), weights.max(), 255),
             "sigmoid, k = 1/std": gained.levels[1:],
             "quantiles": quantiles.levels[1:]}
lesson.picture(draw_codes(weights, {
    name: (positions[name], 1 / densities[name] / 256)
    for name in densities}), "_codes")

# %% [markdown]
# **Break it.** Ask for 4 bits instead of 8 in `against_linear`. Is the gain worth
# more or less? (`LINEAR` must have 4 bits, too.)

# %% [markdown]
# ## 4 · What it brings, and what it costs
#
# 0.4 times the squared error is 10 log10(1/0.4) = 4 dB: two thirds of a bit. But
# products of such codes are not products of numbers: each must be decoded first.
# And 0 has no code of its own, so zeros of a pruned model would come back wrong.

# %%
lesson.predict("A squared error of 0.4 times is worth how many bits?")
lesson.reveal(round(math.log2(1 / 0.4) / 2, 2), "bits")
with_zero = quantize(np.append(weights, 0.0), LINEAR).dequantize()
assert not (gained.levels == 0).any() and with_zero[-1] == 0, \
    "no level of the sigmoid is 0; linear codes have one for it"

# %% [markdown]
# ## 5 · Exercises
#
# `minipar exercise start NAME` begins one of chapter 8, and checks it:
#
# * `quantile_levels`: levels where the numbers are;
# * `what_a_code_says`: compare the mean squared error and the entropy of linear
#   and quantile codes, for normal numbers in 3 bits and in 8. Why do the two
#   rankings differ?

# %% [markdown]
# ## 6 · What the documents say (optional)
#
# Covers: F7 A20
#
# Document 002 (4.1.2) proposes nonlinear quantisation (非线性量化) in words:
#
# | | where | as written | verdict |
# |---|---|---|---|
# | F7 | 002, 4.1.2 | a sigmoid, then linear: `u = σ(x)`, `q = round(u (N − 1))` | no gain, no way back |
# | A20 | 002, 3.1, 4.1.2 | squash, then linear | useless on weights as they are (R14) |
#
# The corrected form is section 3's: u = σ(k x) with k = 1/std, and
# x̂ = ln(û/(1 − û)) / k.

# %%
assert abs(there - sigmoid(points)).max() < 0.5 / 255 + 1e-9, \
    "F7: in u the error is half a step, as linear codes have it in x"
assert (narrow.min(), narrow.max(), len(np.unique(narrow))) == (
    121, 134, 14), "F7: -0.1 to 0.1 has 14 codes, 121 to 134"
assert f"{math.log(509):.3f}" == "6.232", \
    "F7: u rounds to 1 from ln 509 = 6.232 on"
edge = np.array([math.log(509) - 1e-9, math.log(509) + 1e-9])
assert np.isfinite(back(codes_of(edge))).tolist() == [True, False], \
    "F7: and there the way back is infinite"
library = sigmoid_codes(points, 8, gain=1.0, unit=True)
assert np.array_equal(library.codes, codes_of(points)), \
    "A20: sigmoid_codes computes F7, with unit=True as the document has it"
assert np.allclose(library.dequantize(), back(codes_of(points)), rtol=1e-9,
                   atol=0), "A20: and its way back"

# %%
# found once, with draws that were not recorded
UNIT = dict(zip(SIZES, (502, 19, 2.3, 0.42, 3.7, 7.1), strict=True))
OWN = dict(zip(SIZES, (1.00, 0.98, 0.80, 0.40, 29.8, 1770), strict=True))
for std in SIZES:
    unit, own = relative[std, True], relative[std, False]
    assert min(unit) < UNIT[std] < max(unit), \
        f"F7: over [0, 1], std {std}: {UNIT[std]} times linear, by the draw"
    assert min(own) - 0.005 < OWN[std] < max(own) + 0.005, \
        f"F7: over its own range, std {std}: {OWN[std]} times linear"
levels = [len(np.unique(codes_of(0.02 * x))) for x in NORMAL]
infinite = [int(np.isinf(back(codes_of(3 * x))).sum()) for x in NORMAL]
by_draw = {k: [against_linear(0.02 * x, k / 0.02, False) for x in NORMAL]
           for k in (1.0, 2.0)}
lesson.say(
    f"  codes used at std 0.02: {min(levels)} to {max(levels)} of 256",
    f"  infinite at std 3: {min(infinite)} to {max(infinite)}",
)
assert min(levels) == 12 and max(levels) <= 14, \
    "A20: weights of size .02 use 12 of 256 levels, or one or two more"
assert min(infinite) < 3822 < max(infinite), \
    "F7: at std 3 some 3822 of 100,000 come back infinite"
assert (
    GAINS[by_gain[False].argmin()] == GAINS[by_gain[True].argmin()] == 1
), "A20: a gain of about 1/std is best"
assert min(by_draw[1.0]) < 0.37 < max(by_draw[1.0]) < 0.5, \
    "F7: with k = 1/std the error is .37 times that of linear codes"
assert min(by_draw[2.0]) < 31 < max(by_draw[2.0]), \
    "F7: at k = 2/std it is 31 times as large: the tails have few codes"
assert not (gained.levels == 0).any(), "A20: 0 comes back as something else"
assert with_zero[-1] == 0, "A20: linear codes with a zero-point keep it"
