# %% [markdown]
# # 09 · Quantisation after training, and in training
#
# Covers: A3 A36 A41 C4 C10 N15 N54 N58 E18 E19 E20 E21
#
# A trained model can be rounded as it is (post-training quantisation, 训练后量化), or be trained on while it sees the rounding
# (quantisation-aware training, 量化感知训练). What the documents say of both:
#
# | | where | as written | verdict |
# |---|---|---|---|
# | C4, N15 | 000, 5.2 | "quantised training": a function under `autocast` | no integer in it (erratum R16) |
# | A3, E18 | 000, 3.2.3 | quantise after training, optimise the graph, fit the hardware | three different things |
# | E19, E21, C10 | 000, 3.2.2; 004, 5.2 | dynamic-range quantisation, a file for small devices | only weights become integers |
# | A36, N54 | 004, 3.2 | quantise weights *and activations*, fine-tune | activations need data; integers have no gradient |
# | A41, N58 | 004, 2.4 | a quantised model computes less and needs less memory | the same products, of smaller numbers |
# | E20 | 004, 3.2 | fine-tuning brings the accuracy back | right, with a straight-through gradient |
#
# The claim: 8 bits need no training, 2 bits do; and more training without rounding in it does not help at all.
#
# Run me: `python lessons/09_quantisation_after_and_in_training.py`, or cell by cell in an editor.

# %%
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from minipar.lessons.plots.quantisation_and_training import draw_quantisation_and_training
from minipar.lessons.support.classifier import Classifier, accuracy, points, train
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

lesson = Lesson("09_quantisation_after_and_in_training", ranks=1)
SEEDS = 1 if lesson.fast else 5
BITS = (8, 4, 2) if lesson.fast else (8, 4, 3, 2)


def learn(model: Classifier, seed: int, steps: int) -> None:
    train(model, Adam(Flat(model.parameters())), seed, steps)


# %% [markdown]
# ## 1 · "Quantised" training that is not
#
# The subject of this lesson is a small network that sorts points into five classes (`support/classifier.py`).
#
# 000 (5.2) prints `train_distributed`, then `train_quantized`: but for the name they are the same lines, both under
# `autocast`. Under autocast products are computed from 16-bit floats (lesson 06). The weights stay floats, of as many values
# as before.

# %%


def train_quantized(model: Classifier) -> None:
    """As 000 has it, but for its processes and its data."""
    with Autocast(FLOAT16)():
        learn(model, seed=0, steps=20)


printed = Classifier(0)
train_quantized(printed)
rounded_after = printed.copy()
quantize_weights(rounded_after, Scheme(8))
kinds_of_floats = [len(np.unique(layer.weight.data)) / layer.weight.data.size
                   for layer in linear_layers(printed)]
kinds_of_codes = [len(np.unique(quantized_weight(layer).codes)) for layer in linear_layers(rounded_after)]
assert all(p.dtype == np.float32 for p in printed.parameters()) and min(kinds_of_floats) > 0.95, \
    "C4 N15: after autocast weights are float32, nearly all different: nothing is quantised"
assert max(kinds_of_codes) <= 255 and stored_bytes(rounded_after) < stored_bytes(printed) / 3, (
    "N15: this is quantised"
)

# %% [markdown]
# ## 2 · Rounding has no slope
#
# 004 (3.2) converts to integers, then fine-tunes. But a small change of a weight changes no integer: the derivative of
# `round` is 0. The straight-through estimator (直通估计) rounds on the way forward, and on the way back passes the gradient as if
# it had not.
#
# **Predict before you run:** of 1,000 weights, how many change the loss at all when they move by a millionth?
#
# **Break it on purpose:** in `slope`, leave out the rounding: write `y` for `quantize(y, SCHEME).dequantize()`. Which line
# stops you?

# %%
SCHEME = Scheme(4)
w = stream(0, "w").normal(size=1000)
aim = stream(0, "aim").normal(size=1000)


def slope(w: np.ndarray, number: int) -> float:
    """How the squared distance of the rounded weights to `aim` grows with one weight, by differences."""
    moved = w.copy()
    moved[number] += 1e-6
    before, after = (quantize(y, SCHEME).dequantize() for y in (w, moved))
    return float((((after - aim) ** 2).sum() - ((before - aim) ** 2).sum()) / 1e-6)


moving = [slope(w, number) for number in np.argsort(abs(w))[:-1]]   # but the largest, which sets the range
assert np.count_nonzero(moving) <= 2, \
    "A36: with rounding, a small change of a weight changes no integer, so there is nothing to follow"
leaf = mp.Tensor(w.copy(), requires_grad=True)
difference = fake_quantize(leaf, SCHEME) - mp.Tensor(aim)
mp.backward(sum(difference * difference))
rounded = quantize(w, SCHEME).dequantize()
assert np.array_equal(leaf.grad, 2 * (rounded - aim)), (
    "E20 A36: straight through, the gradient is that at the rounded weights"
)

# %% [markdown]
# ## 3 · After training, in training, and more training
#
# Symmetric codes with one scale per layer, over the whole range: the plainest there is.
#
#     after      the trained network, rounded
#     in         150 more steps that see the rounding, then rounded
#     longer     150 more steps that do not, then rounded
#
# **Predict:** which of the three is best at 8 bits, and which at 2?

# %%
base: list[float] = []
found: dict[str, np.ndarray] = {name: np.zeros((SEEDS, len(BITS))) for name in ("after", "in", "longer")}
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
        assert accuracy(within, seed) == seen, (
            "E20: what was trained with rounding is the quantised network, bit for bit"
        )
        for name, model in zip(found, (after, within, late), strict=True):
            found[name][seed, column] = accuracy(model, seed)
full = float(np.mean(base))
means = {name: dict(zip(BITS, values.mean(0).tolist(), strict=True)) for name, values in found.items()}
lesson.say(f"3 · accuracy on new points; in float32 {full:.3f} (mean over {SEEDS} networks)")
lesson.table(("bits", *means), *((bits, *(means[name][bits] for name in means)) for bits in BITS))
assert abs(means["after"][8] - full) < 0.01, "E18: 8 bits after training cost less than .01"
assert means["after"][8] + 0.005 > means["after"][4] > means["after"][2] + 0.2, "C4: fewer bits, fewer right"
assert (found["in"][:, -1] > found["after"][:, -1] + 0.1).all(), (
    "E20: at 2 bits training with the rounding wins on every seed"
)
assert all(means["in"][bits] > means["after"][bits] - 0.005
           for bits in BITS), "E20: and it is worse at no number of bits"
assert means["longer"][2] < means["after"][2] + 0.1 < means["in"][2], (
    "A36: more training in floats does not help at 2 bits"
)

# %% [markdown]
# ## 4 · Activations
#
# TensorFlow's converter (004, 5.2), as it is called there, turns weights into integers and nothing else: activations stay
# floats, and so do the products. For products of integers activations must be quantised too: by the range of each call
# (dynamic range), or by one found beforehand on calibration data (校准).
#
# **Predict:** what happens if the calibration data are ten times smaller than what comes later?

# %%


def levels_of_inputs(model: Classifier, x: np.ndarray) -> int:
    """Of how many values the second layer's inputs are, as its product sees them, in one call."""
    product = model.layers[1].product
    hidden = relu(model.layers[0](mp.Tensor(x))).data
    activations = getattr(product, "activations", None)
    if activations is not None:
        hidden = quantize(hidden, activations, product.limits).dequantize()
    return len(np.unique(hidden))


x, _ = points(0, "training", 500)
network = Classifier(0)
learn(network, 0, 300)
ways = {name: network.copy() for name in ("weights only", "dynamic", "static", "static, wrong data")}
quantize_weights(ways["weights only"])
quantize_dynamic(ways["dynamic"], activations=Scheme(8, symmetric=False))
quantize_static(ways["static"], lambda: ways["static"](mp.Tensor(x)))
quantize_static(ways["static, wrong data"], lambda: ways["static, wrong data"](mp.Tensor(x / 10)))
right = {"float32": accuracy(network, 0)} | {name: accuracy(model, 0) for name, model in ways.items()}
kinds = {name: levels_of_inputs(model, x) for name, model in ({"float32": network} | ways).items()}
lesson.say("4 · 8 bits, by what is done with activations")
lesson.table(("", "right answers", "values of inputs"), *((name, right[name], kinds[name]) for name in right))
assert kinds["weights only"] > 5000 and kinds["dynamic"] <= 256 and kinds["static"] <= 256, \
    "N54 C10: converted weights leave activations in floats; quantised ones are of at most 256 values"
assert all(abs(right[name] - right["float32"]) < 0.01 for name in ("weights only", "dynamic", "static")), \
    "E18 E19: all three cost less than .01"
assert right["static, wrong data"] < right["static"] - 0.1, "A36: activations need data like those to come"

errors = []
for seed in range(20):  # a product of int8 matrices, against floats
    a, b = stream(seed, "a").normal(size=(64, 64)), stream(seed, "b").normal(size=(64, 64))
    product = integer_linear(quantize(a, Scheme(8)), quantize(b, Scheme(8)))
    errors.append(float(np.linalg.norm(product - a @ b) / np.linalg.norm(a @ b)))
lesson.say(f"  error of an int8 product: {min(errors):.2%} to {max(errors):.2%} of its size", "")
assert round(float(np.mean(errors)),
             3) == 0.012 and max(errors) < 0.015, "A41: an int8 product is off by 1.2 %"

# %% [markdown]
# ## 5 · What is saved: bytes, not products
#
# A quantised layer multiplies as many numbers as before; each multiplication is cheaper where the processor has one for int8.
# NumPy has not: `integer_matmul` takes the float32 product where that is exact, and is as fast as it. Memory is what is saved
# everywhere.

# %%
macs = [int(np.prod(layer.weight.shape)) for layer in linear_layers(network)]
kept = [int(np.prod(quantized_weight(layer).codes.shape)) for layer in linear_layers(ways["dynamic"])]
smaller = stored_bytes(network) / stored_bytes(ways["dynamic"])
with TemporaryDirectory() as folder:
    paths = Path(folder, "float32.npz"), Path(folder, "int8.npz")
    save(paths[0], network.state_dict(), {})
    save(paths[1], *pack_model(ways["weights only"]))
    files = [path.stat().st_size for path in paths]
    again = Classifier(seed=1)
    unpack_model(again, *load(paths[1]))
lesson.say(f"5 · {stored_bytes(network):,} bytes become {stored_bytes(ways['dynamic']):,}: a factor of "
           f"{smaller:.2f}",
           f"  files: {files[0]:,} and {files[1]:,} bytes, names and checksums included", "")
assert macs == kept, "N58 A41: as many multiplications per row as before"
assert 3.1 < smaller < 3.9, "N58 C10: memory shrinks by 3.1 to 3.9, since biases and scales stay floats"
assert np.array_equal(again(mp.Tensor(x)).data,
                      ways["weights only"](mp.Tensor(x)).data), "E21: the file computes what the model did"
assert files[0] - files[1] > stored_bytes(network) - stored_bytes(ways["dynamic"]) - 4000, (
    "E21: and is the smaller for it"
)

# %% [markdown]
# 000 (3.2.3) names two more steps. *Graph optimisation* computes beforehand what does not depend on the input: two linear
# layers with nothing between them are one. *Hardware optimisation* takes the fastest of several programs that compute the
# same.

# %%
first, second = stream(0, "first").normal(size=(8, 16)), stream(0, "second").normal(size=(16, 4))
inputs = stream(0, "inputs").normal(size=(10, 8))
folded = first @ second
assert abs(inputs @ folded - inputs @ first @ second).max() < 1e-13, "A3: folded, the layers compute the same"
assert (first.size + second.size, folded.size) == (192, 32), "A3: with 32 multiplications in place of 192"
a, b = (stream(0, name).integers(-127, 128, (256, 256)).astype(np.int32) for name in "ab")
plain, by_floats = fastest(lambda: np.matmul(a, b), lambda: integer_matmul(a, b), rounds=3)
lesson.table(("256 x 256 x 256", "ms"), ("NumPy's integer product", 1e3 * plain),
             ("integer_matmul", 1e3 * by_floats))
assert np.array_equal(integer_matmul(a, b), a @ b), "A3: all kernels compute the same"
assert by_floats < plain, "A3: so take the faster"

# %% [markdown]
# **Exercise.** In training, the range is found once and kept. Let the scale learn as well (Esser et al. 2020, "Learned step
# size quantization"): for x̂ = s q with q = clip(round(x/s)), its gradient is q − x/s inside the range, straight through, and
# q where x was clipped. Where does the scale of normal weights in 2 bits come to rest, if they are to be as near as can be to
# what they were? Is that the best scale? And with q for a gradient everywhere, as if no code ever changed?

# %%
kib = {"float32": stored_bytes(network) / 1024}
for bits in BITS:
    packed = network.copy()
    quantize_weights(packed, Scheme(bits))
    kib[f"{bits} bits"] = stored_bytes(packed) / 1024
lesson.picture(draw_quantisation_and_training(full, means, kib))
