# %% [markdown]
# # 10 · Magnitude pruning and fine-tuning
#
# Covers: F8 F17 F25 A11 A21 A35 C6 C9 N30 N36 N40 N52 N61 N63 E24
#
# Pruning (剪枝) sets weights to zero that the model can do without. Three documents describe it:
#
# | | where | as written | verdict |
# |---|---|---|---|
# | F8 | 002, 4.2.1 | `w_ij` stays if `\|w_ij\| ≥ τ`, otherwise 0 | right |
# | F17 | 004, 4.1 | `θ'_ij = 0` if `\|θ_ij\| < τ`, otherwise `θ_ij` | right, the same rule |
# | N52 | 004, 4.1 | an example with τ = 0.3, in which 0.3 becomes 0 | contradicts its own formula (erratum R8) |
# | F25 | 002, 3.2.1 | a pruning ratio (剪枝比例) of 50 % or 80 % | which τ belongs to it is missing |
# | A11, N30 | 001, 2.3 | zeros make the model smaller and save memory | in a dense array they save nothing (R24) |
# | A21 | 002, 3.2 | ratio, method, remove | fine-tuning (微调) is missing |
# | A35 | 004, 3.1 | train, identify, remove, fine-tune | right, if a mask is kept |
# | C6, C9 | 002, 5.2; 004, 5.1 | TensorFlow programs | neither prunes anything (R18) |
#
# The claim: choosing the weights is the easy half. Keeping them at zero, and storing less for it, is the other.
#
# Run me: `python lessons/10_magnitude_pruning.py`, or cell by cell in an editor.

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
# ## 1 · A threshold
#
# **Predict before you run:** in the matrix below, how many of the nine numbers does `|w| < 0.3 → 0` remove? And if you compute
# 0.3 as `0.1 + 0.2`, is it the same 0.3?

# %%
PAGE = np.array([[1.0, 0.5, 0.2], [0.8, 0.3, 0.1], [0.6, 0.4, 0.0]])
PRINTED = np.array([[1.0, 0.5, 0.0], [0.8, 0.0, 0.0], [0.6, 0.4, 0.0]])        # what 004 says comes out


def f8(w: np.ndarray, tau: float) -> np.ndarray:
    return np.where(abs(w) >= tau, w, 0)


def f17(w: np.ndarray, tau: float) -> np.ndarray:
    return np.where(abs(w) < tau, 0, w)


def energy(w: np.ndarray) -> float:
    """How much of the sum of squares is left of PAGE."""
    return float((w * w).sum() / (PAGE * PAGE).sum())


noise = np.append(stream(0, "noise").normal(size=10_000).round(2), 0.3)        # many ties with any threshold
for tau in (0.0, 0.3, 1.28):
    pruned = {"w": noise.copy()}
    prune.threshold_mask(pruned, tau).apply(pruned)
    assert np.array_equal(pruned["w"], f8(noise, tau)), "F8: keep |w| >= tau, as minipar does"
    assert np.array_equal(f17(noise, tau), f8(noise, tau)), "F17: the same rule as F8"
rule = f8(PAGE, 0.3)
lesson.say("1 · document 004's example at tau = 0.3")
lesson.table(("", "zeros of 9", "energy kept"),
             ("by its rule", int((rule == 0).sum()), f"{energy(rule):.4f}"),
             ("as printed", int((PRINTED == 0).sum()), f"{energy(PRINTED):.4f}"))
assert rule.tolist() == [[1, 0.5, 0], [0.8, 0.3, 0],
                         [0.6, 0.4, 0]] and (rule == 0).sum() == 3 and (PRINTED == 0).sum() == 4, \
    "N52: the rule keeps 0.3: 3 zeros of 9, not 4"
assert f"{energy(rule):.4f} {energy(PRINTED):.4f}" == "0.9804 0.9451", (
    "N52: .9804 of the energy is kept, not .9451"
)
assert np.array_equal(np.where(abs(PAGE) <= 0.3, 0, PAGE),
                      PRINTED) and np.array_equal(f17(PAGE, 0.4), PRINTED), \
    "N52: what is printed is the rule <=, or a tau in (0.3, 0.4]"
assert not (0.1 + 0.2 < 0.3 or 1 - 0.7 < 0.3
            or np.float32(0.3) < 0.3) and 3 * 0.1 == 0.30000000000000004 != 0.3, \
    "N52: a weight that equals tau on paper may not equal it in binary"

# %% [markdown]
# ## 2 · A ratio
#
# "Prune 50 %" says more than a threshold: τ is then an order statistic (次序统计量), the smallest magnitude that stays,
#
#     τ = |w|_(⌊r n⌋ + 1)        for the ratio r of n weights,
#
# and `np.quantile`, which interpolates, is not it. Where several weights are as large as τ, no threshold can cut between them;
# `drop_lowest` lets the first of them go, by index, so that exactly ⌊r n⌋ go.
#
# **Predict:** of magnitudes (1, 1, 1, 1, 2), how many does a ratio of 50 % remove by `<` τ, by `≤` τ, and by index?

# %%
for ratio, zeros, tau in ((0.5, 4, 0.4), (0.8, 7, 0.8)):
    assert (
        prune.magnitude_mask({"w": PAGE}, ratio).dropped == zeros
        and prune.ratio_threshold({"w": PAGE}, ratio) == tau
    ), "F25: 50 % of the nine are 4 zeros, tau .4; 80 % are 7 zeros, tau .8"
assert [f"{np.quantile(PAGE, q):.2f}"
        for q in (0.5, 0.8)] == ["0.40", "0.68"], "F25: np.quantile interpolates: .40 and .68"
equal = np.array([1.0, 1, 1, 1, 2])
tau = prune.ratio_threshold({"w": equal}, 0.5)
by_index = prune.magnitude_mask({"w": equal}, 0.5).keep["w"]
assert ((equal < tau).sum(), (equal <= tau).sum(),
        by_index.tolist()) == (0, 4, [False, False, True, True, True]), \
    "F25: among ties, < removes 0, <= removes 4, by index exactly 2"

# %% [markdown]
# ## 3 · Zeros take as much room as other numbers
#
# 001 (2.3) sets redundant weights to zero "and so reduces size and memory". An array of float32 takes 4 bytes per number,
# whatever the number. Two ways to store only what is there (稀疏存储), for a matrix of 1024 x 1024:
#
#     CSR       4 bytes per value, 4 for its column, 4 per row          less than dense above 50 % zeros
#     bitmap    4 bytes per value, and one bit per place                less than dense above 3.1 %

# %%
SIDE, MIB = 1024, 2**20


def sparse_bytes(sparsity: float) -> tuple[int, int]:
    """By the formulas: in CSR, and as a bitmap."""
    stays = int((1 - sparsity) * SIDE**2)
    return prune.csr_bytes((SIDE, SIDE), stays), prune.bitmap_bytes(SIDE**2, stays)


weights = stream(0, "matrix").normal(size=(SIDE, SIDE)).astype(np.float32)
sizes: dict[float, tuple[float, float, float]] = {}
for sparsity in (0.3, 0.5, 0.8, 0.9):
    sparse = {"w": weights.copy()}
    # as many as the formula says
    prune.magnitude_mask(sparse, 1 - int((1 - sparsity) * SIDE**2) / SIDE**2).apply(sparse)
    csr, bitmap = prune.CSR.of(sparse["w"]), prune.Bitmap.of(sparse["w"])
    assert np.array_equal(csr.dense(),
                          sparse["w"]) and np.array_equal(bitmap.dense(), sparse["w"]), "A11: nothing is lost"
    assert (csr.nbytes, bitmap.nbytes) == sparse_bytes(sparsity), "N30: the bytes are those of the formulas"
    sizes[sparsity] = sparse["w"].nbytes / MIB, csr.nbytes / MIB, bitmap.nbytes / MIB
lesson.say("3 · MiB of a 1024 x 1024 matrix")
lesson.table(("zeros", "dense", "CSR", "bitmap"),
             *((f"{s:.0%}", *(f"{x:.2f}" for x in row)) for s, row in sizes.items()))
assert {dense for dense, _,
        _ in sizes.values()} == {4.0}, "A11: zeros in a dense array save nothing; a sparse store is needed"
assert [f"{csr:.2f}" for _, csr, _ in sizes.values()] == ["5.60", "4.00", "1.60", "0.80"], \
    "N30: CSR takes 5.60/4.00/1.60/.80 MiB"
assert [f"{bitmap:.2f}" for _, _, bitmap in sizes.values()] == ["2.92", "2.12", "0.92", "0.52"], \
    "N30: a bitmap takes 2.92/2.12/.92/.52 MiB"
csr_pays = [sparse_bytes(sparsity)[0] < weights.nbytes for sparsity in (0.5, 0.501)]
bitmap_pays = [sparse_bytes(sparsity)[1] < weights.nbytes for sparsity in (0.031, 0.032)]
assert csr_pays == bitmap_pays == [False, True], "N30: CSR pays above 50 %, a bitmap above 3.1 %"

# %% [markdown]
# ## 4 · What pruning costs, and what fine-tuning brings back
#
# A small network sorts ten clusters of points into five classes (`support/classifier.py`). It is pruned in four ways, and
# measured on other points:
#
#     random        any weights go
#     magnitude     the smallest go, over all layers together
#     tuned         the same, and 150 more steps under the mask
#     gradual       the mask grows within these steps, along a cubic schedule
#
# **Predict:** which of the four at 50 %, at 80 % and at 95 % is about as good as the dense network?
#
# **Break it on purpose:** in `tuned`, leave the mask out: `optimizer = Adam(flat)`. The accuracy does not complain. What does?

# %%
RATIOS = (0.5, 0.8, 0.95) if lesson.fast else (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)


def sparsity_of(model: Module) -> float:
    matrices = list(prune.linear_weights(model).values())
    return 1 - sum(np.count_nonzero(w) for w in matrices) / sum(w.size for w in matrices)


def at_random(model: Classifier, flat: Flat, seed: int, ratio: float) -> None:
    matrices = prune.linear_weights(model)
    scores = {name: stream(seed, "random scores", name).random(w.shape) for name, w in matrices.items()}
    prune.drop_lowest(scores, ratio).apply(matrices)


def by_magnitude(model: Classifier, flat: Flat, seed: int, ratio: float) -> None:
    prune.magnitude_mask(prune.linear_weights(model), ratio).apply(prune.linear_weights(model))


def tuned(model: Classifier, flat: Flat, seed: int, ratio: float) -> None:
    mask = prune.magnitude_mask(prune.linear_weights(model), ratio)
    mask.apply(prune.linear_weights(model))
    optimizer = prune.Masked(Adam(flat), mask)
    train(model, optimizer, seed, 150)


def gradual(model: Classifier, flat: Flat, seed: int, ratio: float) -> None:
    optimizer = prune.Masked(Adam(flat), prune.Mask({}))
    schedule = [prune.cubic_sparsity(step, final=ratio, steps=100) for step in range(151)]
    pruner = prune.MagnitudePruner(optimizer, list(prune.linear_weights(model)), schedule.__getitem__,
                                   every=10)
    train(model, optimizer, seed, 150, after=pruner.step)


METHODS = {"random": at_random, "magnitude": by_magnitude, "tuned": tuned, "gradual": gradual}
dense, found = [], {name: np.zeros((SEEDS, len(RATIOS))) for name in METHODS}
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
            assert abs(sparsity_of(model) - ratio) < 1e-3, (
                f"A35: the weights that went are gone after '{name}', too"
            )
base = float(np.mean(dense))
means = {name: dict(zip(RATIOS, values.mean(axis=0).tolist(), strict=True)) for name, values in found.items()}
lesson.say(f"4 · accuracy on new points, dense {base:.3f} (mean over {SEEDS} networks)")
lesson.table(("zeros", *METHODS), *((f"{ratio:.0%}", *(means[name][ratio] for name in METHODS))
                                    for ratio in RATIOS))
half, most, nearly_all = ({name: means[name][ratio] for name in METHODS} for ratio in (0.5, 0.8, 0.95))
assert base - half["magnitude"] < 0.1 < base - half["random"], (
    "N36: half of the weights can go, if they are the smallest"
)
assert half["tuned"] > base - 0.02 and most["tuned"] > base - 0.08 > most["magnitude"] > most["random"], \
    "N36 A21: at 80 % removing alone is not enough; with fine-tuning it nearly is"
assert (
    most["gradual"] > most["tuned"] - 0.02
    and nearly_all["gradual"] > nearly_all["tuned"] > nearly_all["random"]
), "A21: many small cuts, each with fine-tuning, are better than one"
assert nearly_all["magnitude"] < base / 2 and nearly_all["tuned"] < base - 0.2, \
    "A35: over-compression loses accuracy, and fine-tuning does not bring it all back"

# %% [markdown]
# ## 5 · Without a mask the zeros do not last
#
# F8 and F17 are assignments: `w ← 0`. What keeps w there? Nothing: its gradient is not zero, and Adam's step is about one
# learning rate for any gradient, however small. 004's fourth step, "fine-tune on the original data", undoes its third.

# %%
SEED, TARGET = 0, 0.8


def after_50_steps(masked: bool) -> float:
    """The sparsity that is left."""
    model = Classifier(SEED)
    flat = Flat(model.parameters())
    train(model, Adam(flat), SEED, 300)
    mask = prune.magnitude_mask(prune.linear_weights(model), TARGET)
    mask.apply(prune.linear_weights(model))
    train(model, prune.Masked(Adam(flat), mask) if masked else Adam(flat), SEED, 50)
    return sparsity_of(model)


with_mask, without = after_50_steps(True), after_50_steps(False)
lesson.say(f"5 · sparsity after 50 steps of Adam: with a mask {with_mask:.3f}, without {without:.3f}")
assert f"{with_mask:.3f}" == "0.800" and without < 0.1, (
    "A35: step 4 revives what step 3 removed, unless a mask is kept"
)

# %% [markdown]
# ## 6 · Two programs that do not prune
#
# 002 (5.2) trains with the callback `UpdatePruningStep`, on a model that was never wrapped in `prune_low_magnitude`: the
# callback finds nothing to prune. (The program stops even earlier: `tfmot` is never imported, its data never defined.) 004 (5.1)
# wraps the model and leaves the callback out: the fit raises InvalidArgumentError. And the wrapper shares its layers with
# the original, so that the "base model" for the comparison is pruned as well. TensorFlow cannot run here; `MagnitudePruner` has
# the same two halves and the same ways of being forgotten.

# %%
NAMES = ["first.weight", "second.weight", "third.weight"]
programs = {"002: nothing wrapped": ([], True), "004: step() left out": (NAMES, False),
            "both halves": (NAMES, True)}
traces: dict[str, list[float]] = {name: [] for name in programs}
refusals: dict[str, str] = {}
for name, (wrapped, stepped) in programs.items():
    model = Classifier(SEED)
    optimizer = prune.Masked(Adam(Flat(model.parameters())), prune.Mask({}))
    pruner = prune.MagnitudePruner(optimizer, wrapped,
                                   lambda step: prune.cubic_sparsity(step, final=0.5, steps=40))
    for _epoch in range(5):
        train(model, optimizer, SEED, 10, after=pruner.step if stepped else lambda: None)
        traces[name].append(sparsity_of(model))
    try:
        pruner.stripped()
    except ConfigError as error:
        refusals[name] = str(error)
expected = [prune.cubic_sparsity(10 * epoch, final=0.5, steps=40) for epoch in range(1, 6)]
lesson.say("6 · sparsity after each epoch")
lesson.table(("", *range(1, 6)), *((name, *trace) for name, trace in traces.items()))
lesson.say(*(f"  {name}: {refusal}" for name, refusal in refusals.items()), "")
assert traces["002: nothing wrapped"] == [0.0] * 5, "C6: a callback without wrapped layers prunes nothing"
assert np.allclose(traces["both halves"], expected,
                   atol=1e-3), "E24: the sparsity measured is the schedule's, in every epoch"
assert (
    list(refusals) == ["004: step() left out"]
    and "step() was called 0 times" in refusals["004: step() left out"]
), "C9 E24 N63: the parameters set ratio and frequency, but without step() it raises"

# %% [markdown]
# 002 saves its model as an .h5 file, which is as large as that of any other: an array of zeros is an array. (For a small network
# TensorFlow wrote 30 776 bytes before and after, and 50 796 as long as the wrapper was not stripped off.) A packed file is
# smaller; so is a zipped one, since zeros are easy to guess.
#
# 004's model has layers of 128 and 10 units. On images of 784 pixels (004 does not say) it has 101 770 parameters; if every weight
# becomes one byte, it is a fourth.

# %%
base_model = {"hidden": (784, 128), "hidden.bias": (128,), "out": (128, 10), "out.bias": (10,)}
base_model = {name: stream(SEED, name).normal(size=shape).astype(np.float32) for name,
              shape in base_model.items()}
count = sum(w.size for w in base_model.values())
as_int8 = sum(w.size if w.ndim == 2 else w.nbytes for w in base_model.values())
assert (count, 4 * count, as_int8) == (101_770, 407_080,
                                       102_184), "N61: 101 770 parameters, 407 080 bytes, 102 184 in int8"
before = {name: w.copy() for name, w in base_model.items()}
wrapped = dict(base_model)  # other names for the same arrays, as the wrapper has them
matrices = {name: w for name, w in wrapped.items() if w.ndim == 2}
prune.magnitude_mask(matrices, 0.5).apply(matrices)
assert [np.mean(model["hidden"] == 0).round(2) for model in (before, base_model)] == [0, 0.5], \
    "C9: the base model is pruned as well, unless it was copied before"
packed = prune.pack(wrapped)
assert all(np.array_equal(w, wrapped[name]) for name,
           w in prune.unpack(packed).items()), "C9: packing loses nothing"


def file_bytes(arrays: dict[str, np.ndarray], zipped: bool = False) -> int:
    file = io.BytesIO()
    (np.savez_compressed if zipped else np.savez)(file, **arrays)
    return file.tell()


files = {name: (file_bytes(arrays), file_bytes(arrays, zipped=True))
         for name, arrays in (("dense", before), ("half zeros", wrapped), ("packed", packed))}
lesson.table(("file of 101 770 float32", "bytes", "zipped"), *((name, *pair) for name, pair in files.items()))
assert files["dense"][0] == files["half zeros"][0], "C9: zeros make the file of a dense array no smaller"
assert files["half zeros"][1] < files["dense"][1] and files["packed"][0] < 0.6 * files["dense"][0], \
    "C9: a zipped file is smaller, and a packed one"

# %% [markdown]
# ## 7 · What it costs in time
#
# 002 (8.2): pruning slows training down slightly, since the weights must be selected. That happens once per change of the
# mask. And a product with a masked dense matrix takes as long as any other: nobody skips the zeros.
#
# **Exercise:** so drop whole neurons instead (结构化剪枝): write `narrow(model, ratio)`, which returns a `Classifier` whose
# hidden layers really have fewer neurons, and show that (a) it computes what the old one computes with these neurons' weights
# set to zero, and (b) it is faster. Take the weakest neurons by the norm of their outgoing weights. (`minipar.compress.prune`
# does it for a GPT, in `shrink`.)

# %%
big = stream(0, "big").normal(size=(512, 512)).astype(np.float32)
holes = {"w": big.copy()}
prune.magnitude_mask(holes, 0.8).apply(holes)
masked_product, product, selecting = fastest(lambda: big @ holes["w"], lambda: big @ big,
                                             lambda: prune.magnitude_mask({"w": big}, 0.8))
training = 3 * product  # one layer, a batch of 512: forward, and two backward
lesson.say(f"7 · 80 % zeros: the product takes {masked_product / product:.2f} times as long as with none; "
           "selecting once in "
           f"ten steps adds {selecting / training / 10:.1%} to the step", "")
assert 0.5 < masked_product / product < 2 and selecting < 10 * training, (
    "N40: zeros save no time, and selecting costs little"
)

# %% [markdown]
# ## The picture

# %%
axis = np.linspace(0, 1, 101)
stored = np.array([(4 * SIDE * SIDE, *sparse_bytes(sparsity)) for sparsity in axis]) / MIB
lesson.picture(draw_magnitude_pruning(base, means, 100 * axis,
                                      dict(zip(("dense", "CSR", "bitmap"), stored.T, strict=True))))
