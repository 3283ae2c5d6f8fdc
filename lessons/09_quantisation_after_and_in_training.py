# %% [markdown]
# # 09 · Quantisation after training, and in training
#
# You have a trained network. At 8 bits (lesson 7) it answers as before. At 2 bits
# two of three answers are wrong. A colleague says: train it a little longer.
# You do, round it again, and it is as bad. What would help?
#
#     trained ──round──> 2 bits: bad              *after* training
#     trained ──150 steps──round──> 2 bits: bad   *longer*
#     trained ──150 steps that see the rounding──> 2 bits: good     *in* training
#
# The third way is *quantisation-aware training*. There is one obstacle: rounding
# is a staircase, and a staircase has no slope to follow. After this lesson you
# know the trick that gives it one, when you need it, and when you do not.
#
# You need lessons 1 and 7. The core path takes 30 minutes; the section marked
# "(optional)" does not belong to it.
#
# Run me: `minipar lesson teach 9` (step by step) or `minipar lesson run 9`.

# %%
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from minipar.lessons.plots.quantisation_and_training import (
    draw_quantisation_and_training,
)
from minipar.lessons.support.classifier import (
    Classifier,
    accuracy,
    points,
    train,
)
from minipar.lessons.support.lesson import Lesson
from minipar.lessons.support.timing import fastest

import minipar as mp
from minipar.autograd import relu, sum
from minipar.checkpoint.archive import load, save
from minipar.compress.quantize import (
    Scheme,
    convert,
    fake_quantize,
    integer_linear,
    integer_matmul,
    linear_layers,
    pack_model,
    quantize,
    quantize_dynamic,
    quantize_in_training,
    quantize_static,
    quantize_weights,
    quantized_weight,
    stored_bytes,
    unpack_model,
)
from minipar.optim import Adam, Flat
from minipar.precision import FLOAT16, Autocast
from minipar.rng import stream

# %%
lesson = Lesson("09_quantisation_after_and_in_training", ranks=1)
SEEDS = 1 if lesson.fast else 5
BITS = (8, 4, 2) if lesson.fast else (8, 4, 3, 2)


def learn(model: Classifier, seed: int, steps: int) -> None:
    train(model, Adam(Flat(model.parameters())), seed, steps)


# %% [markdown]
# ## 1 · Rounding has no slope
#
# With a step of 0.5, the weight 0.3 is stored as 0.5. Move it by a millionth:
#
#     0.300000 -> 0.5          0.300001 -> 0.5          slope: 0
#
# So the loss does not change, and gradient descent has nothing to follow. The
# *straight-through estimator* pretends: forward it rounds, and backward it passes
# the gradient on as if it had not rounded.
#
#     loss (ŵ - 1)², ŵ = 0.5:   dloss/dŵ = 2 (0.5 - 1) = -1,   taken as dloss/dw
#
# So the weight 0.3 moves up, and some steps later its code changes.

# %%
SCHEME = Scheme(4)
w = stream(0, "w").normal(size=1000)
aim = stream(0, "aim").normal(size=1000)


def slope(w: np.ndarray, number: int) -> float:
    """How the squared distance of the rounded weights to `aim` grows with
    one weight, by differences.
    """
    moved = w.copy()
    moved[number] += 1e-6
    before, after = (quantize(y, SCHEME).dequantize() for y in (w, moved))
    distances = [((there - aim) ** 2).sum() for there in (before, after)]
    return float((distances[1] - distances[0]) / 1e-6)


lesson.predict("Of 999 weights, about how many change the loss at all?")
# all but the largest, which sets the range
moving = [slope(w, number) for number in np.argsort(abs(w))[:-1]]
lesson.reveal(np.count_nonzero(moving))
assert np.count_nonzero(moving) <= 2, \
    "a millionth changes no code, unless a weight is just at a border"
leaf = mp.Tensor(w.copy(), requires_grad=True)
difference = fake_quantize(leaf, SCHEME) - mp.Tensor(aim)
mp.backward(sum(difference * difference))
at_codes = quantize(w, SCHEME).dequantize()
straight = leaf.grad
assert np.array_equal(straight, 2 * (at_codes - aim)), (
    "straight through: the gradient at the code, handed on as it is"
)

# %% [markdown]
# **Break it.** In `slope`, leave out the rounding: write `y for y in (w, moved)`.
# Now every weight has a slope, and the first assert stops you.

# %% [markdown]
# ## 2 · After training, in training, and longer
#
# A small network sorts points into five classes (`support/classifier.py`). We
# round it in the plainest way: symmetric, one scale for each layer. Always 150
# more steps, with the rounding or without.

# %%
base: list[float] = []
found = {name: np.zeros((SEEDS, len(BITS)))
         for name in ("after", "in", "longer")}
for seed in range(SEEDS):
    network = Classifier(seed)
    learn(network, seed, 300)
    longer = network.copy()
    learn(longer, seed, 150)
    base.append(accuracy(network, seed))
    for column, bits in enumerate(BITS):
        after, within, late = network.copy(), network.copy(), longer.copy()
        quantize_weights(after, Scheme(bits))
        quantize_weights(late, Scheme(bits))
        quantize_in_training(within, Scheme(bits))
        learn(within, seed, 150)
        seen = accuracy(within, seed)
        convert(within)
        assert accuracy(within, seed) == seen, \
            "E20: what was trained with rounding is the quantised network"
        for name, model in zip(found, (after, within, late), strict=True):
            found[name][seed, column] = accuracy(model, seed)
full = float(np.mean(base))
means = {name: dict(zip(BITS, values.mean(0).tolist(), strict=True))
         for name, values in found.items()}

# %%
lesson.predict("Which way is best at 2 bits?", list(found))
lesson.reveal(max(found, key=lambda name: means[name][2]))
lesson.say(f"  right answers on new points; in float32 {full:.3f} "
           f"(mean over {SEEDS} networks)")
lesson.table(("bits", *means),
             *((bits, *(means[name][bits] for name in means))
               for bits in BITS))
network = Classifier(0)
learn(network, 0, 300)
kib = {"float32": stored_bytes(network) / 1024}
for bits in BITS:
    packed = network.copy()
    quantize_weights(packed, Scheme(bits))
    kib[f"{bits} bits"] = stored_bytes(packed) / 1024
lesson.picture(draw_quantisation_and_training(full, means, kib))
assert abs(means["after"][8] - full) < 0.01, \
    "8 bits need no training: compare 'after' with float32"
assert means["longer"][2] < means["after"][2] + 0.1 < means["in"][2], \
    "at 2 bits only training that sees the rounding helps"

# %% [markdown]
# ## 3 · Activations need data
#
# So far only weights were rounded, and they are known. For products of integers
# the *activations* must be codes, too, and they depend on the input. Two ways:
#
# * **dynamic**: measure the range in each call;
# * **static**: find it beforehand, on *calibration data*.

# %%
def levels_of_inputs(model: Classifier, x: np.ndarray) -> int:
    """How many values the second layer's inputs have, in one call."""
    product = model.layers[1].product
    hidden = relu(model.layers[0](mp.Tensor(x))).data
    activations = getattr(product, "activations", None)
    if activations is not None:
        hidden = quantize(hidden, activations, product.limits).dequantize()
    return len(np.unique(hidden))


x, _ = points(0, "training", 500)
names = ("weights only", "dynamic", "static", "static, wrong data")
ways = {name: network.copy() for name in names}
quantize_weights(ways["weights only"])
quantize_dynamic(ways["dynamic"], activations=Scheme(8, symmetric=False))
quantize_static(ways["static"], lambda: ways["static"](mp.Tensor(x)))
wrong = ways["static, wrong data"]
quantize_static(wrong, lambda: wrong(mp.Tensor(x / 10)))
models = {"float32": network} | ways
right = {name: accuracy(model, 0) for name, model in models.items()}
kinds = {name: levels_of_inputs(model, x) for name, model in models.items()}
lesson.predict("Calibration data 10 times too small: what happens?",
               ["nothing", "a few more errors", "many more errors"])
lesson.reveal("many more errors")
lesson.table(("8 bits", "right answers", "values of inputs"),
             *((name, right[name], kinds[name]) for name in right))
assert right["static, wrong data"] < right["static"] - 0.1, \
    "what lies outside the range is clipped: here nearly everything"

# %% [markdown]
# ## 4 · What it costs, and what it saves
#
# Training with the rounding costs a rounding of each weight per step, and the
# training data. What is saved is bytes. The *number* of products stays; each is
# cheaper only where the processor has an instruction for it.

# %%
lesson.predict("After quantising: how many times fewer multiplications?")
macs = [
    int(np.prod(layer.weight.shape)) for layer in linear_layers(network)
]
kept = [int(np.prod(quantized_weight(layer).codes.shape))
        for layer in linear_layers(ways["dynamic"])]
smaller = stored_bytes(network) / stored_bytes(ways["dynamic"])
lesson.reveal(macs[0] / kept[0], "times")
lesson.table(("", "float32", "8 bits"),
             ("multiplications", np.sum(macs), np.sum(kept)),
             ("bytes", f"{stored_bytes(network):,}",
              f"{stored_bytes(ways['dynamic']):,}"))
assert macs == kept and smaller > 3, \
    "as many weights as before, each of a quarter of the bytes"

# %% [markdown]
# ## 5 · Exercises
#
# `minipar exercise start NAME` begins one of chapter 8, and checks it:
#
# * `straight_through`: forward and backward of rounding;
# * `a_scale_that_learns`: in section 2 the range is found once and kept. Let the
#   scale learn, too (Esser et al. 2020, "Learned step size quantization"). Where
#   does the scale of normal numbers in 2 bits come to rest? Is that the best
#   scale?

# %% [markdown]
# ## 6 · What the documents say (optional)
#
# Covers: A3 A36 A41 C4 C10 N15 N54 N58 E18 E19 E20 E21
#
# After training is 训练后量化, in training 量化感知训练, straight through 直通估计,
# calibration 校准.
#
# | | where | as written | verdict |
# |---|---|---|---|
# | C4, N15 | 000, 5.2 | "quantised training" under `autocast` | no integer in it (R16) |
# | A3, E18 | 000, 3.2.3 | quantise, optimise the graph, fit the hardware | three things |
# | E19, E21, C10 | 000, 3.2.2; 004, 5.2 | dynamic range, a file | only weights are integers |
# | A36, N54 | 004, 3.2 | quantise weights *and activations*, fine-tune | data; no gradient |
# | A41, N58 | 004, 2.4 | computes less, needs less memory | the same products |
# | E20 | 004, 3.2 | fine-tuning brings the accuracy back | right, straight through |
#
# 000 prints `train_distributed`, then `train_quantized`: but for the name they
# are the same lines, both under `autocast` (lesson 6).

# %%
def train_quantized(model: Classifier) -> None:
    """As 000 has it, but for its processes and its data."""
    with Autocast(FLOAT16)():
        learn(model, seed=0, steps=20)


printed = Classifier(0)
train_quantized(printed)
rounded_after = printed.copy()
quantize_weights(rounded_after, Scheme(8))
kinds_of_floats = [
    len(np.unique(layer.weight.data)) / layer.weight.data.size
    for layer in linear_layers(printed)
]
kinds_of_codes = [len(np.unique(quantized_weight(layer).codes))
                  for layer in linear_layers(rounded_after)]
assert all(p.dtype == np.float32 for p in printed.parameters()) \
    and min(kinds_of_floats) > 0.95, \
    "C4 N15: after autocast weights are floats, nearly all different"
assert max(kinds_of_codes) <= 255 \
    and stored_bytes(rounded_after) < stored_bytes(printed) / 3, \
    "N15: this is quantised"
assert np.count_nonzero(moving) <= 2, \
    "A36: a small change of a weight changes no integer"
assert np.array_equal(straight, 2 * (at_codes - aim)), \
    "E20 A36: straight through, the gradient is that at rounded weights"
assert abs(means["after"][8] - full) < 0.01, \
    "E18: 8 bits after training cost less than .01"
assert means["after"][8] + 0.005 > means["after"][4] \
    > means["after"][2] + 0.2, "C4: fewer bits, fewer right"
assert (found["in"][:, -1] > found["after"][:, -1] + 0.1).all(), \
    "E20: at 2 bits training with the rounding wins on every seed"
assert all(means["in"][bits] > means["after"][bits] - 0.005
           for bits in BITS), "E20: and it is worse at no number of bits"
assert means["longer"][2] < means["after"][2] + 0.1 < means["in"][2], \
    "A36: more training in floats does not help at 2 bits"

# %%
assert kinds["weights only"] > 5000 and kinds["dynamic"] <= 256 \
    and kinds["static"] <= 256, \
    "N54 C10: activations stay floats, unless they are quantised, too"
assert all(abs(right[name] - right["float32"]) < 0.01
           for name in ("weights only", "dynamic", "static")), \
    "E18 E19: all three cost less than .01"
assert right["static, wrong data"] < right["static"] - 0.1, \
    "A36: activations need data like those to come"
errors = []
for seed in range(20):                  # an int8 product, against floats
    a, b = (stream(seed, name).normal(size=(64, 64)) for name in "ab")
    product = integer_linear(quantize(a, Scheme(8)), quantize(b, Scheme(8)))
    errors.append(float(np.linalg.norm(product - a @ b)
                        / np.linalg.norm(a @ b)))
lesson.say(f"  error of an int8 product: {min(errors):.2%} to "
           f"{max(errors):.2%} of its size")
assert round(float(np.mean(errors)), 3) == 0.012 and max(errors) < 0.015, \
    "A41: an int8 product is off by 1.2 %"
with TemporaryDirectory() as folder:
    paths = Path(folder, "float32.npz"), Path(folder, "int8.npz")
    save(paths[0], network.state_dict(), {})
    save(paths[1], *pack_model(ways["weights only"]))
    files = [path.stat().st_size for path in paths]
    again = Classifier(seed=1)
    unpack_model(again, *load(paths[1]))
lesson.say(f"  files: {files[0]:,} and {files[1]:,} bytes, with checksums")
points_in = mp.Tensor(points(0, "training", 500)[0])
saved = stored_bytes(network) - stored_bytes(ways["dynamic"])
assert macs == kept, "N58 A41: as many multiplications per row as before"
assert 3.1 < smaller < 3.9, \
    "N58 C10: memory shrinks by 3.1 to 3.9; biases and scales stay floats"
assert np.array_equal(again(points_in).data,
                      ways["weights only"](points_in).data), \
    "E21: the file computes what the model did"
assert files[0] - files[1] > saved - 4000, "E21: and is smaller for it"

# %% [markdown]
# 000 (3.2.3) names two more steps. *Graph optimisation* computes beforehand what
# does not depend on the input: two linear layers with nothing between them are
# one. *Hardware optimisation* takes the fastest program of several.

# %%
first = stream(0, "first").normal(size=(8, 16))
second = stream(0, "second").normal(size=(16, 4))
inputs = stream(0, "inputs").normal(size=(10, 8))
folded = first @ second
assert abs(inputs @ folded - inputs @ first @ second).max() < 1e-13, \
    "A3: folded, the layers compute the same"
assert (first.size + second.size, folded.size) == (192, 32), \
    "A3: with 32 multiplications in place of 192"
a, b = (stream(0, name).integers(-127, 128, (256, 256)).astype(np.int32)
        for name in "ab")
plain, by_floats = fastest(lambda: np.matmul(a, b),
                           lambda: integer_matmul(a, b), rounds=3)
lesson.table(("256 x 256 x 256", "ms"),
             ("NumPy's integer product", 1e3 * plain),
             ("integer_matmul", 1e3 * by_floats))
assert np.array_equal(integer_matmul(a, b), a @ b), \
    "A3: all kernels compute the same"
assert by_floats < plain, "A3: so take the faster"
