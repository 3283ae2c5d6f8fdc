# %% [markdown]
# # 08 · Nonlinear quantisation: a sigmoid needs a gain
#
# Covers: F7 A20
#
# Weights are not spread evenly: most are small, a few are large. Codes should lie where the numbers are. Document 002 (4.1.2)
# proposes, in words (非线性量化):
#
# | | where | as written | verdict |
# |---|---|---|---|
# | F7 | 002, 4.1.2 | a sigmoid, then linear codes: `u = σ(x)`, `q = round(u (N − 1))` | imprecise: no gain, no way back |
# | A20 | 002, 3.1, 4.1.2 | squash, then linear | useless on weights as they are (erratum R14) |
#
# The way back is the logit: `x̂ = ln(û/(1 − û))`. What is missing is a gain k in front: `u = σ(k x)`. A sigmoid bends where
# its argument is about 1, and weights are about 0.02: for them it is a straight line, of which they use a short piece.
#
# The claim: as written it is hundreds of times worse than linear codes on weights; with k = 1/std it is better than they are.
#
# Run me: `python lessons/08_nonlinear_quantisation.py`, or cell by cell in an editor.

# %%
import math

import numpy as np
from minipar.lessons.plots.nonlinear_quantisation import draw_nonlinear_quantisation
from minipar.lessons.support.lesson import Lesson

from minipar.compress.quantize import Coded, Scheme, quantile_codes, quantize, sigmoid_codes
from minipar.malloc import keep_freed_memory
from minipar.rng import stream

lesson = Lesson("08_nonlinear_quantisation", ranks=1)
keep_freed_memory()  # many arrays of one size, one after the other
DRAWS = 30
NORMAL = [stream(seed, "normal").normal(size=100_000) for seed in range(DRAWS)]
LINEAR = Scheme(8, symmetric=False)

# %% [markdown]
# ## 1 · The formula and its way back
#
# **Predict before you run:** how many of the 256 codes do numbers between −0.1 and 0.1 use? And from which x on is the code
# 255, whose û = 1 has no logit?
#
# **Break it on purpose:** below, in `back`, forget half of the logit: return `np.log(u) / k`. Which line stops you?

# %%
def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def f7(x: np.ndarray, k: float = 1.0, N: int = 256) -> np.ndarray:
    return np.rint(sigmoid(k * x) * (N - 1))


def back(q: np.ndarray, k: float = 1.0, N: int = 256) -> np.ndarray:
    with np.errstate(divide="ignore"):
        u = q / (N - 1)
        return np.log(u / (1 - u)) / k


spread = np.linspace(-3, 3, 10_001)
there = sigmoid(back(f7(spread)))
assert abs(there - sigmoid(spread)).max() < 0.5 / 255 + 1e-9, (
    "F7: in u the error is half a step, as linear codes have it in x"
)
narrow = f7(np.linspace(-0.1, 0.1, 10_001))
assert (narrow.min(), narrow.max(), len(np.unique(narrow))) == (121, 134, 14), (
    "F7: -0.1 to 0.1 has 14 codes, 121 to 134"
)
lesson.say(f"1 · -0.1 to 0.1 has {len(np.unique(narrow))} codes; the code 255, from {math.log(509):.3f} on, "
           "comes back as inf", "")
assert f"{math.log(509):.3f}" == "6.232", "F7: u rounds to 1 from ln 509 = 6.232 on"
edge = np.array([math.log(509) - 1e-9, math.log(509) + 1e-9])
assert np.isfinite(back(f7(edge))).tolist() == [True, False], "F7: and there the way back is infinite"
library = sigmoid_codes(spread, 8, gain=1.0, unit=True)
assert np.array_equal(library.codes,
                      f7(spread)), "A20: sigmoid_codes computes F7, with unit=True as the document has it"
assert np.allclose(library.dequantize(), back(f7(spread)), rtol=1e-9, atol=0), "A20: and its way back"

# %% [markdown]
# ## 2 · As written, on numbers of several sizes
#
# The mean squared error relative to linear codes over the same numbers, for normal numbers of standard deviation 0.02 to 3.
# `[0, 1]` is the whole range of the sigmoid; `its own` stretches the codes over the range of u that occurs. What decodes to
# an infinity is counted, and left out of the mean.

# %%
SIZES = (0.02, 0.1, 0.33, 1.0, 2.0, 3.0)
# found once, with draws that were not recorded
UNIT = dict(zip(SIZES, (502, 19, 2.3, 0.42, 3.7, 7.1), strict=True))
OWN = dict(zip(SIZES, (1.00, 0.98, 0.80, 0.40, 29.8, 1770), strict=True))


def squared_error(x: np.ndarray, coded: Coded) -> float:
    there = coded.dequantize()
    finite = np.isfinite(there)
    return float(((there - x)[finite] ** 2).mean())


def against_linear(x: np.ndarray, gain: float, unit: bool) -> float:
    linear = float(((quantize(x, LINEAR).dequantize() - x) ** 2).mean())
    return squared_error(x, sigmoid_codes(x, 8, gain, unit=unit)) / linear


rows, levels = [], [len(np.unique(f7(0.02 * x))) for x in NORMAL]
infinite = [int(np.isinf(back(f7(3 * x))).sum()) for x in NORMAL]
for std in SIZES:
    unit, own = ([against_linear(std * x, 1.0, whole) for x in NORMAL] for whole in (True, False))
    rows.append((std, *(f"{min(found):.3g} to {max(found):.3g}" for found in (unit, own))))
    assert min(unit) < UNIT[std] < max(unit), (
        f"F7: over [0, 1], std {std}: {UNIT[std]} times linear, by the draw"
    )
    assert min(own) - 0.005 < OWN[std] < max(own) + 0.005, (
        f"F7: over its own range, std {std}: {OWN[std]} times linear"
    )
lesson.say(f"2 · squared error relative to linear codes, {DRAWS} draws of 100,000 numbers")
lesson.table(("std", "sigmoid over [0, 1]", "over its own range"), *rows)
lesson.say(f"  codes used at std 0.02: {min(levels)} to {max(levels)} of 256",
           f"  infinite at std 3: {min(infinite)} to {max(infinite)}", "")
assert min(levels) == 12 and max(levels) <= 14, (
    "A20: weights of size .02 use 12 levels of 256, or one or two more"
)
assert min(infinite) < 3822 < max(infinite), "F7: at std 3 some 3822 of 100,000 come back infinite"

# %% [markdown]
# ## 3 · With a gain
#
# With k = 1/std all sizes of numbers look alike to the sigmoid.
#
# **Predict:** which gain, in units of 1/std, is best: a half, 1 or 2? What goes wrong on the other side?

# %%
GAINS = np.array([0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0])
by_gain = {unit: np.array([[against_linear(x, k, unit) for k in GAINS] for x in NORMAL[:6]]).mean(0)
           for unit in (True, False)}
by_draw = {k: [against_linear(0.02 * x, k / 0.02, False) for x in NORMAL] for k in (1.0, 2.0)}
lesson.say("3 · the same by gain, mean of 6 draws")
lesson.table(("gain x std", *map(str, GAINS)), ("over [0, 1]", *by_gain[True].tolist()),
             ("over its own range", *by_gain[False].tolist()))
assert GAINS[by_gain[False].argmin()] == GAINS[by_gain[True].argmin()] == 1, (
    "A20: a gain of about 1/std is best"
)
assert min(by_draw[1.0]) < 0.37 < max(by_draw[1.0]) < 0.5, (
    "F7: with k = 1/std the error is .37 times that of linear codes"
)
assert min(by_draw[2.0]) < 31 < max(by_draw[2.0]), (
    "F7: at k = 2/std it is 31 times as large: the tails have too few codes"
)

# %% [markdown]
# So a sigmoid with the right gain is worth 10 log10(1/0.4), some 4 dB or two thirds of a bit. It has a price: products of
# such codes are not products of numbers, so each must be decoded first, and 0 has no code of its own.

# %%
weights = 0.02 * NORMAL[0]
gained = sigmoid_codes(weights)
assert not (gained.levels == 0).any(), "A20: 0 comes back as something else"
assert quantize(np.append(weights, 0.0),
                LINEAR).dequantize()[-1] == 0, "A20: linear codes with a zero-point keep it"
densities = {"linear": quantize(weights, LINEAR).grid.scale.item() * np.ones(255),
             "sigmoid, k = 1/std": np.diff(gained.levels),
             "quantiles": np.diff(quantile_codes(weights).levels)}
places = {"linear": np.linspace(weights.min(), weights.max(), 255), "sigmoid, k = 1/std": gained.levels[1:],
          "quantiles": quantile_codes(weights).levels[1:]}

# %% [markdown]
# **Exercise.** `quantile_codes` puts its levels so that each code is used equally often. Compare its mean squared error with
# that of linear codes, for normal numbers in 8 bits and in 3. Then compare what each code tells: the entropy of the codes, in
# bits. Why do the two rankings differ?

# %%
lesson.picture(draw_nonlinear_quantisation(GAINS, {"over [0, 1]": by_gain[True],
                                                   "over its own range": by_gain[False]}, weights,
                                           {name: (places[name], 1 / densities[name] / 256)
                                            for name in densities}))
