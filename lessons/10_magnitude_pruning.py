# %% [markdown]
# # 10 · Magnitude pruning and fine-tuning
#
# Your model has 10 million weights, and most of them are nearly zero. You set
# half of them to zero, and the answers stay as good. Fine: but the file is as
# large as before, it computes as slowly, and after an hour of further training
# hardly a zero is left. What did you forget?
#
#     weights     1.0  0.5  0.2        1.0  0.5  0
#                 0.8  0.3  0.1   ->   0.8  0.3  0       threshold 0.3
#                 0.6  0.4  0.0        0.6  0.4  0
#
# This is *pruning by magnitude*. Choosing the weights is the easy half. Keeping
# them at zero, and storing less for it, is the other. After this lesson you can
# do all three.
#
# You need lesson 1. The core path takes 30 minutes; the section marked
# "(optional)" does not belong to it.
#
# Run me: `minipar lesson teach 10` (step by step) or `minipar lesson run 10`.

# %%
import io

import numpy as np
from minipar.lessons.plots.magnitude_pruning import draw_magnitude_pruning
from minipar.lessons.support.classifier import Classifier, accuracy, train
from minipar.lessons.support.lesson import Lesson
from minipar.lessons.support.timing import fastest

from minipar.compress import prune
from minipar.errors import ConfigError
from minipar.nn import Module
from minipar.optim import Adam, Flat
from minipar.rng import stream

lesson = Lesson("10_magnitude_pruning", ranks=1)
SEEDS = 1 if lesson.fast else 3

# %% [markdown]
# ## 1 · A threshold, and a ratio
#
# A weight goes if its *magnitude* |w| is below the threshold τ. With τ = 0.3,
# three of the nine weights above are zero: 0.2, 0.1, and 0.0. (0.3 stays: it is
# not *below* 0.3.)
#
# Usually you are given a **ratio** r instead: "prune 50 %". Of n weights
# ⌊r n⌋ go, the smallest. τ is then the smallest magnitude that stays:
#
#     sorted:  0  .1  .2  .3 | .4  .5  .6  .8  1       50 % of 9: 4 go, τ = 0.4
#
# If several weights are as large as τ, no threshold can decide between them. The
# library lets the first of them go, by index, so that exactly ⌊r n⌋ go.

# %%
PAGE = np.array([[1.0, 0.5, 0.2], [0.8, 0.3, 0.1], [0.6, 0.4, 0.0]])


def by_threshold(w: np.ndarray, tau: float) -> np.ndarray:
    return np.where(abs(w) >= tau, w, 0)


lesson.predict("80 % of these nine weights: how many go?")
mask_80 = prune.magnitude_mask({"w": PAGE}, 0.8)
lesson.reveal(mask_80.dropped)
lesson.table(
    ("", "zeros of 9", "threshold"),
    ("by threshold", int((by_threshold(PAGE, 0.3) == 0).sum()), 0.3),
    *(
        (
            f"by ratio {ratio:.0%}",
            prune.magnitude_mask({"w": PAGE}, ratio).dropped,
            prune.ratio_threshold({"w": PAGE}, ratio),
        )
        for ratio in (0.5, 0.8)
    ),
)
assert mask_80.dropped == 7 and (by_threshold(PAGE, 0.3) == 0).sum() == 3, \
    "7.2 weights cannot go: the ratio is rounded down"

# %% [markdown]
# ## 2 · Zeros do not last without a mask
#
# Now prune a trained network, and train it on. Pruning is an assignment, w ← 0.
# What keeps w there? Nothing: its gradient is not zero, and Adam moves each weight
# by about the rate, however small the gradient (lesson 2). A **mask** remembers
# which weights went, and sets them to zero after each step.

# %%
SEED, TARGET = 0, 0.8


def sparsity_of(model: Module) -> float:
    """The share of zeros in the linear layers."""
    matrices = list(prune.linear_weights(model).values())
    stay = sum(np.count_nonzero(w) for w in matrices)
    return 1 - stay / sum(w.size for w in matrices)


def after_50_steps(masked: bool) -> float:
    """The sparsity that is left."""
    model = Classifier(SEED)
    flat = Flat(model.parameters())
    train(model, Adam(flat), SEED, 300)
    mask = prune.magnitude_mask(prune.linear_weights(model), TARGET)
    mask.apply(prune.linear_weights(model))
    plain = Adam(flat)
    optimizer = prune.Masked(plain, mask) if masked else plain
    train(model, optimizer, SEED, 50)
    return sparsity_of(model)


lesson.predict("80 % zeros, then 50 steps of Adam without a mask: % zeros?")
with_mask, without = after_50_steps(True), after_50_steps(False)
lesson.reveal(round(100 * without, 1), "%")
lesson.table(("", "zeros after 50 steps"), ("with a mask", with_mask),
             ("without", without))
assert without < 0.1 < with_mask, \
    "the first step already moves every weight: look at Adam's step"

# %% [markdown]
# ## 3 · What pruning costs, and what fine-tuning brings back
#
# A small network sorts ten clusters of points into five classes. Four ways:
#
#     random        any weights go
#     magnitude     the smallest go, over all layers together
#     tuned         the same, and 150 more steps under the mask
#     gradual       the mask grows within these steps

# %%
RATIOS = (
    (0.5, 0.8, 0.95) if lesson.fast else (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
)


def at_random(
    model: Classifier, flat: Flat, seed: int, ratio: float
) -> None:
    matrices = prune.linear_weights(model)
    scores = {name: stream(seed, "random scores", name).random(w.shape)
              for name, w in matrices.items()}
    prune.drop_lowest(scores, ratio).apply(matrices)


def by_magnitude(model: Classifier, flat: Flat, seed: int,
                 ratio: float) -> None:
    matrices = prune.linear_weights(model)
    prune.magnitude_mask(matrices, ratio).apply(matrices)


def tuned(model: Classifier, flat: Flat, seed: int, ratio: float) -> None:
    mask = prune.magnitude_mask(prune.linear_weights(model), ratio)
    mask.apply(prune.linear_weights(model))
    optimizer = prune.Masked(Adam(flat), mask)
    train(model, optimizer, seed, 150)


def gradual(model: Classifier, flat: Flat, seed: int, ratio: float) -> None:
    optimizer = prune.Masked(Adam(flat), prune.Mask({}))
    schedule = [prune.cubic_sparsity(step, final=ratio, steps=100)
                for step in range(151)]
    pruner = prune.MagnitudePruner(
        optimizer, list(prune.linear_weights(model)), schedule.__getitem__,
        every=10)
    train(model, optimizer, seed, 150, after=pruner.step)


# %% [markdown]
# **Break it** after the run: in `tuned`, leave the mask out of the optimiser. The
# accuracy does not complain. Which assert does?

# %%
METHODS = {"random": at_random, "magnitude": by_magnitude, "tuned": tuned,
           "gradual": gradual}
dense = []
found = {name: np.zeros((SEEDS, len(RATIOS))) for name in METHODS}
for seed in range(SEEDS):
    model = Classifier(seed)
    flat = Flat(model.parameters())
    train(model, Adam(flat), seed, 300)
    trained = model.state_dict()
    dense.append(accuracy(model, seed))
    for name, method in METHODS.items():
        for column, ratio in enumerate(RATIOS):
            model.load_state_dict(trained)
            method(model, flat, seed, ratio)
            found[name][seed, column] = accuracy(model, seed)
            assert abs(sparsity_of(model) - ratio) < 1e-3, \
                f"the weights that went are gone after '{name}', too (A35)"
base = float(np.mean(dense))
means = {name: dict(zip(RATIOS, values.mean(axis=0).tolist(), strict=True))
         for name, values in found.items()}
half, most, nearly_all = ({name: means[name][ratio] for name in METHODS}
                          for ratio in (0.5, 0.8, 0.95))

# %%
SIDE, MIB = 1024, 2**20


def sparse_bytes(sparsity: float) -> tuple[int, int]:
    """By the formulas of section 4: in CSR, and as a bitmap."""
    stays = int((1 - sparsity) * SIDE**2)
    return (prune.csr_bytes((SIDE, SIDE), stays),
            prune.bitmap_bytes(SIDE**2, stays))


lesson.predict("80 % zeros: which way is nearest to the dense network?",
               list(METHODS))
lesson.reveal(max(most, key=most.__getitem__))
lesson.say(f"  right answers on new points, dense {base:.3f}")
lesson.table(("zeros", *METHODS), *(
    (f"{ratio:.0%}", *(means[name][ratio] for name in METHODS))
    for ratio in RATIOS))
axis = np.linspace(0, 1, 101)
stored = np.array([(4 * SIDE * SIDE, *sparse_bytes(sparsity))
                   for sparsity in axis]) / MIB
lesson.picture(draw_magnitude_pruning(base, means, 100 * axis, dict(zip(
    ("dense", "CSR", "bitmap"), stored.T, strict=True))))
assert most["tuned"] > base - 0.08 > most["magnitude"] > most["random"], \
    "which weights go matters; at 80 % fine-tuning matters more"

# %% [markdown]
# ## 4 · What it saves: bytes
#
# An array of float32 takes 4 bytes for each number, zero or not. Two ways to
# store only what is there:
#
#     CSR       4 bytes per value, 4 for its column, 4 per row
#     bitmap    4 bytes per value, and one *bit* for each position
#
# With a share d of values that are not zero, CSR takes 8 d n, a bitmap
# (4 d + 1/8) n, dense 4 n. So CSR pays below d = 1/2.

# %%
weights = stream(0, "matrix").normal(size=(SIDE, SIDE)).astype(np.float32)
sizes: dict[float, tuple[float, float, float]] = {}
for sparsity in (0.3, 0.5, 0.8, 0.9):
    sparse = {"w": weights.copy()}
    ratio = 1 - int((1 - sparsity) * SIDE**2) / SIDE**2
    prune.magnitude_mask(sparse, ratio).apply(sparse)
    csr, bitmap = prune.CSR.of(sparse["w"]), prune.Bitmap.of(sparse["w"])
    assert np.array_equal(csr.dense(), sparse["w"]) \
        and np.array_equal(bitmap.dense(), sparse["w"]), "A11: none is lost"
    assert (csr.nbytes, bitmap.nbytes) == sparse_bytes(sparsity), \
        "N30: the bytes are those of the formulas"
    sizes[sparsity] = (sparse["w"].nbytes / MIB, csr.nbytes / MIB,
                       bitmap.nbytes / MIB)
lesson.predict("1024 x 1024, 4 MiB dense. With 50 % zeros as CSR: MiB?")
lesson.reveal(round(sizes[0.5][1], 2), "MiB")
lesson.table(("zeros", "dense", "CSR", "bitmap"), *(
    (f"{s:.0%}", *(f"{x:.2f}" for x in row)) for s, row in sizes.items()))
assert round(sizes[0.5][1], 2) == 4 == sizes[0.5][0], \
    "half of the values, but each with its column: nothing is saved"

# %% [markdown]
# ## 5 · What it costs: time
#
# A product with a masked dense matrix takes as long as any other: nobody skips
# the zeros. Selecting the weights costs little, and happens rarely.

# %%
lesson.predict("80 % zeros: the product takes how long?",
               ["a fifth of the time", "half", "about the same"])
big = stream(0, "big").normal(size=(512, 512)).astype(np.float32)
holes = {"w": big.copy()}
prune.magnitude_mask(holes, 0.8).apply(holes)
masked_product, product, selecting = fastest(
    lambda: big @ holes["w"], lambda: big @ big,
    lambda: prune.magnitude_mask({"w": big}, 0.8))
training = 3 * product      # a batch of 512: forward, and two backward
lesson.reveal("about the same")
lesson.say(
    f"  {masked_product / product:.2f} times as long; selecting once "
    f"in ten steps adds {selecting / training / 10:.1%}"
)
assert 0.5 < masked_product / product < 2 and selecting < 10 * training, \
    "zeros save no time, and selecting costs little (N40)"

# %% [markdown]
# ## 6 · Exercises
#
# `minipar exercise start NAME` begins one of chapter 8, and checks it:
#
# * `masks_that_survive`: a fine-tuning that loses its zeros; find why;
# * `fewer_neurons`: *structured* pruning. Remove whole neurons, so that the
#   network really is smaller, and computes what the old one computes with these
#   neurons' weights set to zero. (`prune.shrink` does it for a GPT.)

# %% [markdown]
# ## 7 · What the documents say (optional)
#
# Covers: F8 F17 F25 A11 A21 A35 C6 C9 N30 N36 N40 N52 N61 N63 E24
#
# Pruning is 剪枝, the ratio 剪枝比例, an order statistic 次序统计量, a sparse store
# 稀疏存储, structured pruning 结构化剪枝, fine-tuning 微调.
#
# | | where | as written | verdict |
# |---|---|---|---|
# | F8 | 002, 4.2.1 | `w_ij` stays if `\|w_ij\| ≥ τ`, otherwise 0 | right |
# | F17 | 004, 4.1 | `θ'_ij = 0` if `\|θ_ij\| < τ`, otherwise `θ_ij` | right, the same |
# | N52 | 004, 4.1 | an example, τ = 0.3, in which 0.3 becomes 0 | not its formula (R8) |
# | F25 | 002, 3.2.1 | a ratio of 50 % or 80 % | which τ is it? `τ = \|w\|_(⌊r n⌋ + 1)` |
# | A11, N30 | 001, 2.3 | zeros save size and memory | not in a dense array (R24) |
# | A21 | 002, 3.2 | ratio, method, remove | fine-tuning is missing |
# | A35 | 004, 3.1 | train, identify, remove, fine-tune | right, with a mask |
# | C6, C9 | 002, 5.2; 004, 5.1 | TensorFlow programs | neither prunes (R18) |
# | N40 | 002, 8.2 | pruning slows training slightly | right |
# | N36, N61, N63 | 002; 004 | how much can go; sizes; parameters | below |

# %%
PRINTED = np.array([[1.0, 0.5, 0.0], [0.8, 0.0, 0.0], [0.6, 0.4, 0.0]])


def f17(w: np.ndarray, tau: float) -> np.ndarray:
    return np.where(abs(w) < tau, 0, w)


def energy(w: np.ndarray) -> float:
    """How much of the sum of squares is left of PAGE."""
    return float((w * w).sum() / (PAGE * PAGE).sum())


# many ties with any threshold
noise = np.append(stream(0, "noise").normal(size=10_000).round(2), 0.3)
for tau in (0.0, 0.3, 1.28):
    pruned = {"w": noise.copy()}
    prune.threshold_mask(pruned, tau).apply(pruned)
    assert np.array_equal(pruned["w"], by_threshold(noise, tau)), \
        "F8: keep |w| >= tau, as minipar does"
    assert np.array_equal(f17(noise, tau), by_threshold(noise, tau)), \
        "F17: the same rule as F8"
rule = by_threshold(PAGE, 0.3)
lesson.table(("004's example", "zeros of 9", "energy kept"),
             ("by its rule", (rule == 0).sum(), f"{energy(rule):.4f}"),
             ("printed", (PRINTED == 0).sum(), f"{energy(PRINTED):.4f}"))
assert rule.tolist() == [[1, 0.5, 0], [0.8, 0.3, 0], [0.6, 0.4, 0]] \
    and (rule == 0).sum() == 3 and (PRINTED == 0).sum() == 4, \
    "N52: the rule keeps 0.3: 3 zeros of 9, not 4"
assert f"{energy(rule):.4f} {energy(PRINTED):.4f}" == "0.9804 0.9451", \
    "N52: .9804 of the energy is kept, not .9451"
assert np.array_equal(np.where(abs(PAGE) <= 0.3, 0, PAGE), PRINTED) \
    and np.array_equal(f17(PAGE, 0.4), PRINTED), \
    "N52: what is printed is the rule <=, or a tau in (0.3, 0.4]"
assert not (0.1 + 0.2 < 0.3 or 1 - 0.7 < 0.3 or np.float32(0.3) < 0.3) \
    and 3 * 0.1 == 0.30000000000000004 != 0.3, \
    "N52: what equals tau on paper may not equal it in binary"

# %%
for ratio, zeros, tau in ((0.5, 4, 0.4), (0.8, 7, 0.8)):
    assert prune.magnitude_mask({"w": PAGE}, ratio).dropped == zeros \
        and prune.ratio_threshold({"w": PAGE}, ratio) == tau, \
        "F25: 50 % of nine: 4 zeros, tau .4; 80 %: 7 zeros, tau .8"
assert [f"{np.quantile(PAGE, q):.2f}" for q in (0.5, 0.8)] == [
    "0.40", "0.68"], "F25: np.quantile interpolates: .40 and .68"
equal = np.array([1.0, 1, 1, 1, 2])
tau = prune.ratio_threshold({"w": equal}, 0.5)
by_index = prune.magnitude_mask({"w": equal}, 0.5).keep["w"]
assert ((equal < tau).sum(), (equal <= tau).sum(), by_index.tolist()) == (
    0, 4, [False, False, True, True, True]), \
    "F25: among ties, < removes 0, <= removes 4, by index exactly 2"
assert {row[0] for row in sizes.values()} == {4.0}, \
    "A11: zeros in a dense array save nothing; a sparse store is needed"
assert [f"{row[1]:.2f}" for row in sizes.values()] == [
    "5.60", "4.00", "1.60", "0.80"], "N30: CSR, 5.60/4.00/1.60/.80 MiB"
assert [f"{row[2]:.2f}" for row in sizes.values()] == [
    "2.92", "2.12", "0.92", "0.52"], "N30: bitmap, 2.92/2.12/.92/.52 MiB"
csr_pays = [sparse_bytes(s)[0] < weights.nbytes for s in (0.5, 0.501)]
bitmap_pays = [sparse_bytes(s)[1] < weights.nbytes for s in (0.031, 0.032)]
assert csr_pays == bitmap_pays == [False, True], \
    "N30: CSR pays above 50 %, a bitmap above 3.1 %"
assert base - half["magnitude"] < 0.1 < base - half["random"], \
    "N36: half of the weights can go, if they are the smallest"
assert half["tuned"] > base - 0.02 and most["tuned"] > base - 0.08 \
    > most["magnitude"] > most["random"], \
    "N36 A21: at 80 % removing is not enough; with fine-tuning it nearly is"
assert most["gradual"] > most["tuned"] - 0.02 and nearly_all["gradual"] \
    > nearly_all["tuned"] > nearly_all["random"], \
    "A21: many small cuts, each with fine-tuning, are better than one"
assert nearly_all["magnitude"] < base / 2 \
    and nearly_all["tuned"] < base - 0.2, \
    "A35: too much costs accuracy, and fine-tuning does not fix it all"
assert f"{with_mask:.3f}" == "0.800" and without < 0.1, \
    "A35: step 4 revives what step 3 removed, unless a mask is kept"

# %% [markdown]
# 002 (5.2) trains with the callback `UpdatePruningStep`, on a model that was never
# wrapped in `prune_low_magnitude`: the callback finds nothing to prune. (And
# `tfmot` is never imported, its data never defined.) 004 (5.1) wraps the model
# and leaves the callback out: InvalidArgumentError. Its wrapper shares the layers
# with the original, so the "base model" is pruned as well. `MagnitudePruner` has
# the same two halves, and the same ways of being forgotten.

# %%
NAMES = ["first.weight", "second.weight", "third.weight"]
programs = {"002: nothing wrapped": ([], True),
            "004: step() left out": (NAMES, False),
            "both halves": (NAMES, True)}
traces: dict[str, list[float]] = {name: [] for name in programs}
refusals: dict[str, str] = {}
for name, (wrapped, stepped) in programs.items():
    model = Classifier(SEED)
    optimizer = prune.Masked(Adam(Flat(model.parameters())), prune.Mask({}))
    pruner = prune.MagnitudePruner(
        optimizer, wrapped,
        lambda step: prune.cubic_sparsity(step, final=0.5, steps=40))
    for _epoch in range(5):
        train(model, optimizer, SEED, 10,
              after=pruner.step if stepped else lambda: None)
        traces[name].append(sparsity_of(model))
    try:
        pruner.stripped()
    except ConfigError as error:
        refusals[name] = str(error)
expected = [prune.cubic_sparsity(10 * epoch, final=0.5, steps=40)
            for epoch in range(1, 6)]
lesson.table(("sparsity after epoch", *range(1, 6)),
             *((name, *trace) for name, trace in traces.items()))
lesson.wrapped("; ".join(f"{n}: {text}" for n, text in refusals.items()))
assert traces["002: nothing wrapped"] == [0.0] * 5, \
    "C6: a callback without wrapped layers prunes nothing"
assert np.allclose(traces["both halves"], expected, atol=1e-3), \
    "E24: the sparsity measured is the schedule's, in every epoch"
assert list(refusals) == ["004: step() left out"] \
    and "step() was called 0 times" in refusals["004: step() left out"], \
    "C9 E24 N63: without step() the ratio and frequency do nothing"

# %% [markdown]
# 002 saves an .h5 file, as large as that of any other model: an array of zeros is
# an array. (TensorFlow wrote 30 776 bytes before and after for a small network,
# and 50 796 with the wrapper.) A packed file is smaller; so is a zipped one. 004's
# model has layers of 128 and 10 units: on images of 784 pixels 101 770 parameters.

# %%
shapes = {"hidden": (784, 128), "hidden.bias": (128,), "out": (128, 10),
          "out.bias": (10,)}
base_model = {name: stream(SEED, name).normal(size=shape).astype(np.float32)
              for name, shape in shapes.items()}
count = sum(w.size for w in base_model.values())
as_int8 = sum(w.size if w.ndim == 2 else w.nbytes
              for w in base_model.values())
assert (count, 4 * count, as_int8) == (101_770, 407_080, 102_184), \
    "N61: 101 770 parameters, 407 080 bytes, 102 184 in int8"
before = {name: w.copy() for name, w in base_model.items()}
wrapped = dict(base_model)      # other names for the same arrays
matrices = {name: w for name, w in wrapped.items() if w.ndim == 2}
prune.magnitude_mask(matrices, 0.5).apply(matrices)
assert [np.mean(m["hidden"] == 0).round(2)
        for m in (before, base_model)] == [0, 0.5], \
    "C9: the base model is pruned as well, unless it was copied before"
packed = prune.pack(wrapped)
assert all(np.array_equal(w, wrapped[name])
           for name, w in prune.unpack(packed).items()), \
    "C9: packing loses nothing"


def file_bytes(arrays: dict[str, np.ndarray], zipped: bool = False) -> int:
    file = io.BytesIO()
    (np.savez_compressed if zipped else np.savez)(file, **arrays)
    return file.tell()


files = {name: (file_bytes(arrays), file_bytes(arrays, zipped=True))
         for name, arrays in (("dense", before), ("half zeros", wrapped),
                              ("packed", packed))}
lesson.table(("file of 101 770 float32", "bytes", "zipped"),
             *((name, *pair) for name, pair in files.items()))
assert files["dense"][0] == files["half zeros"][0], \
    "C9: zeros make the file of a dense array no smaller"
assert files["half zeros"][1] < files["dense"][1] \
    and files["packed"][0] < 0.6 * files["dense"][0], \
    "C9: a zipped file is smaller, and a packed one"
