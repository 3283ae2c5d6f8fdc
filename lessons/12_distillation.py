# %% [markdown]
# # 12 · Distillation, and the compression pipeline
#
# You have a large model that answers well, and a telephone on which it does not
# fit. You train a small one on the same labels, and it is worse. Half of your
# labels are wrong, too. Could the large model teach the small one?
#
#     label:      cat                        one word
#     teacher:    cat 0.80  dog 0.19  car 0.01
#                           ^ looks a little like a dog, not at all like a car
#
# What a teacher thinks of the *wrong* classes is what it knows of their likeness.
# Letting a student match it is **distillation** (Hinton, Vinyals and Dean 2015).
# After this lesson you can write its loss, say what the temperature is for, and
# when a teacher helps; and you can put a whole compression pipeline together.
#
# You need lesson 1. The core path takes 35 minutes; the section marked
# "(optional)" does not belong to it.
#
# Run me: `minipar lesson teach 12` (step by step) or `minipar lesson run 12`.

# %%
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from minipar.lessons.plots.distillation import draw_distillation
from minipar.lessons.support.differences import slopes
from minipar.lessons.support.lesson import Lesson

import minipar as mp
from minipar import autograd as ag
from minipar.checkpoint.archive import load, save
from minipar.compress import prune, quantize
from minipar.compress.distill import soft_targets
from minipar.compress.pipeline import pack_sparse, unpack_sparse
from minipar.compress.tune import fine_tune
from minipar.data.batches import Batches, EvaluationBatches, split
from minipar.data.text import load_text
from minipar.data.tokenizer import CharTokenizer
from minipar.malloc import keep_freed_memory
from minipar.nn import Parameter, Start
from minipar.optim import Adam, AdamW, Flat
from minipar.rng import stream

lesson = Lesson("12_distillation", ranks=1)
keep_freed_memory()     # without it this lesson takes many times as long

# %% [markdown]
# ## 1 · Soft targets, by hand
#
# A model's last numbers are the *logits* z (lesson 1). Divide them by a
# **temperature** T before the softmax, and the probabilities get flatter:
#
#     z = (4, 2, 0)    T = 1:  0.867  0.117  0.016
#                      T = 4:  0.506  0.307  0.186
#
# The student's loss mixes the label y and the teacher's softened answer. KL is
# the Kullback-Leibler divergence, Σ p log(p/q): 0 if q = p, else positive.
#
#     loss = (1 - α) CE(z_s, y) + α T² KL( softmax(z_t / T) ‖ softmax(z_s / T) )
#
# Its gradient is short again, and this is why T² stands there:
#
#     d/dz_s  T² KL = T ( softmax(z_s / T) - softmax(z_t / T) )

# %%
CLASSES = 5
z_student, z_teacher = (
    stream(0, name).normal(scale=1.5, size=(50, CLASSES))
    for name in ("student", "teacher")
)


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def as_defined(z_s: np.ndarray, T: float) -> float:
    """T² KL(p_T of the teacher || p_T of the student), a mean of rows."""
    p, q = softmax(z_teacher / T), softmax(z_s / T)
    return float(T**2 * (p * np.log(p / q)).sum(axis=1).mean())


def gradient_formula(T: float) -> np.ndarray:
    return T * (softmax(z_student / T) - softmax(z_teacher / T)) \
        / len(z_student)


# %% [markdown]
# **Break it** after the run: leave the factor T out of `gradient_formula`. Which
# line stops you?

# %%
sizes = {}
lesson.predict("From T = 4 to 20, how does the gradient change with T²?",
               ["it falls 25 times", "it stays", "it grows 25 times"])
for T in (1.0, 2.0, 4.0, 8.0, 20.0):
    z = mp.Tensor(z_student, requires_grad=True)
    loss = soft_targets(z, z_teacher, T)
    mp.backward(loss)
    assert z.grad is not None
    assert abs(loss.item() - as_defined(z_student, T)) < 1e-13, \
        "the library's operation is the definition (A23)"
    assert abs(z.grad - gradient_formula(T)).max() < 1e-14, \
        "the gradient is T times the difference of the two softmaxes (A23)"
    sizes[T] = float(np.linalg.norm(z.grad))
lesson.reveal("it stays")
lesson.table(("T", "gradient with T²", "without"), *(
    (T, size, size / T**2) for T, size in sizes.items()))
assert max(sizes[4.0], sizes[20.0]) < 1.02 * min(sizes[4.0], sizes[20.0]), \
    "each softmax differs from flat by about z/T, and T times that stays"

# %% [markdown]
# ## 2 · When does a teacher help?
#
# Ten clusters of points, two to each of five classes. A teacher (32 hidden units)
# has seen 1000 points; a student (8 units) gets 150. Three cases: its labels are
# right; half of them are drawn at random; or it has 40 labels, and 1000 points
# without. Everything runs for many seeds side by side, as one array, since one
# seed proves nothing here.

# %%
SEEDS, DIMENSIONS, CLUSTERS, STEPS = (8 if lesson.fast else 16), 10, 10, 150
Net = tuple[list[Parameter], Callable[[np.ndarray], mp.Tensor]]


def points(count: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Points [SEEDS, count, DIMENSIONS] and classes [SEEDS, count]."""
    cluster = np.stack([
        stream(seed, name, "cluster").integers(CLUSTERS, size=count)
        for seed in range(SEEDS)])
    centres = np.stack([
        stream(seed, "centres").normal(scale=2, size=(CLUSTERS, DIMENSIONS))
        for seed in range(SEEDS)])
    noise = np.stack(
        [
            stream(seed, name, "noise").normal(
                scale=2, size=(count, DIMENSIONS)
            )
            for seed in range(SEEDS)
        ]
    )
    own = np.take_along_axis(centres, cluster[..., None], axis=1)
    return own + noise, cluster % CLASSES


def net(hidden: int) -> Net:
    """One hidden layer, SEEDS times over."""
    shapes = {"up": (SEEDS, DIMENSIONS, hidden),
              "down": (SEEDS, hidden, CLASSES)}
    up, down = (Parameter(f"{name} {hidden}", shape,
                          Start(std=shape[1] ** -0.5))
                for name, shape in shapes.items())
    for p in (up, down):
        p.initialise(0, np.dtype(np.float64))
    return [up, down], lambda x: ag.relu(mp.Tensor(x) @ up) @ down


# %%
def learn(hidden: int, x: np.ndarray,
          loss: Callable[[mp.Tensor], mp.Tensor]) -> Net:
    parameters, forward = net(hidden)
    fine_tune(
        lambda inputs, _: loss(forward(inputs)),
        Adam(Flat(parameters)),
        lambda step: (x, x),
        STEPS,
        1e-2,
    )
    return parameters, forward


def accuracy(model: Net, data: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """[SEEDS]."""
    with ag.no_grad():
        answers = model[1](data[0]).data.argmax(axis=-1)
    return (answers == data[1]).mean(axis=1)


def from_labels(y: np.ndarray) -> Callable[[mp.Tensor], mp.Tensor]:
    # every seed divides by its own number of points
    return lambda z: ag.cross_entropy(z, y, y.shape[1])


def from_both(y: np.ndarray, taught: np.ndarray, alpha: float = 0.9,
              T: float = 4.0) -> Callable[[mp.Tensor], mp.Tensor]:
    """The loss of section 1."""
    count = y.shape[1]
    return lambda z: (1 - alpha) * ag.cross_entropy(z, y, count) \
        + alpha * soft_targets(z, taught, T, count)


# %%
lesson.predict("For which student does the teacher help least?",
               ["correct labels", "noisy labels", "40 labels, 1000 points"])
many, few, unseen = (points(1000, "many"), points(150, "few"),
                     points(400, "unseen"))
mlp = learn(32, many[0], from_labels(many[1]))
with ag.no_grad():
    taught_few, taught_many = mlp[1](few[0]).data, mlp[1](many[0]).data
flipped = stream(1, "flips").random(few[1].shape) < 0.5
noisy = np.where(flipped, stream(2, "flips").integers(
    CLASSES, size=few[1].shape), few[1])
results = {}
for name, y in (("correct labels", few[1]), ("noisy labels", noisy)):
    results[name] = tuple(
        accuracy(learn(8, few[0], by), unseen)
        for by in (from_labels(y), from_both(y, taught_few))
    )
by_ear = learn(8, many[0], lambda z: soft_targets(
    z, taught_many, 4.0, many[1].shape[1]))
scarce = learn(8, few[0][:, :40], from_labels(few[1][:, :40]))
results["40 labels, 1000 points"] = (accuracy(scarce, unseen),
                                     accuracy(by_ear, unseen))
gain = {name: float((heard - own).mean())
        for name, (own, heard) in results.items()}
wins = {name: int((heard > own).sum())
        for name, (own, heard) in results.items()}
lesson.reveal(min(gain, key=gain.__getitem__))
lesson.say(f"  right answers, mean over {SEEDS} seeds; the teacher: "
           f"{accuracy(mlp, unseen).mean():.3f}")
lesson.table(("the student has", "labels alone", "teacher", "better in"), *(
    (name, float(own.mean()), float(heard.mean()),
     f"{wins[name]} of {SEEDS} seeds")
    for name, (own, heard) in results.items()))
assert gain["noisy labels"] > 4 * gain["correct labels"] > 0, \
    "right labels already say what the teacher says: compare the columns"

# %% [markdown]
# ## 3 · The pipeline
#
# Now everything at once. A GPT of four layers has learned to write like Python's
# documentation. We make it small, stage by stage:
#
#     1 prune       80 % of the linear weights go           (lesson 10)
#     2 fine-tune   under the mask
#     3 quantise    8 bits, symmetric: zero stays zero      (lesson 7)
#     4 store       one bit per weight, and a code for each that stays
#
# By hand, for 100 weights of 4 bytes: 400 bytes; then 20 * 1 + 100/8 = 33.

# %%
TRAINING, TUNING, BATCH, WIDTH = (
    (200, 50, 8, 32) if lesson.fast else (500, 120, 16, 48))
text = load_text()
tokenizer = CharTokenizer.from_text(text)
training, validation = split(tokenizer.encode(text))
CONFIG = mp.ModelConfig(vocabulary=tokenizer.vocab_size, context=32,
                        layers=4, heads=4, width=WIDTH)
batches = Batches(training, CONFIG.context, BATCH, seed=0)
windows = EvaluationBatches(validation, CONFIG.context, 64, 128)


def validate(model: mp.GPT) -> float:
    """Nats per token, over 2 batches of 64 windows."""
    with ag.no_grad():
        return float(np.mean([model.loss(*batch).item()
                              for batch in windows]))


def copy(model: mp.GPT) -> mp.GPT:
    twin = mp.GPT(model.config)
    twin.load_state_dict(model.state_dict())
    return twin


def pruned(model: mp.GPT, ratio: float, steps: int) -> mp.GPT:
    """A copy with a ratio of its linear weights gone, after some steps of
    fine-tuning under the mask.
    """
    twin = copy(model)
    mask = prune.magnitude_mask(prune.linear_weights(twin), ratio)
    optimizer = prune.Masked(AdamW(Flat(twin.parameters())), mask)
    fine_tune(twin.loss, optimizer,
              lambda step: batches.get(TRAINING + step), steps, 1e-3)
    return twin


# %%
gpt = mp.GPT(CONFIG, seed=0)
fine_tune(gpt.loss, AdamW(Flat(gpt.parameters())), batches.get, TRAINING,
          3e-3)
untuned, tuned = pruned(gpt, 0.8, 0), pruned(gpt, 0.8, TUNING)
small = copy(tuned)
quantize.quantize_weights(small)  # int8, symmetric, a scale per output
stages = {
    "trained": (gpt, (gpt.state_dict(), {})),
    "pruned": (untuned, (prune.pack(untuned.state_dict()), {})),
    "fine-tuned": (tuned, (prune.pack(tuned.state_dict()), {})),
    "quantised": (small, quantize.pack_model(small)),
    "quantised, zeros as bits": (small, pack_sparse(small))}
ledger, back = {}, copy(gpt)
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "model.npz")
    for stage, (model, packed) in stages.items():
        save(path, *packed)
        ledger[stage] = (path.stat().st_size, validate(model))
    unpack_sparse(back, *load(path))    # the last one
loss_of = {stage: loss for stage, (_, loss) in ledger.items()}
lesson.predict("Which stage costs most loss?", list(stages)[1:])
stage_costs = {stage: loss_of[stage] - loss_of[previous] for previous, stage
               in zip(list(stages), list(stages)[1:], strict=False)}
lesson.reveal(max(stage_costs, key=stage_costs.__getitem__))
lesson.table(("stage", "bytes", "of the first", "validation loss"), *(
    (stage, size, size / ledger["trained"][0], f"{loss:.3f}")
    for stage, (size, loss) in ledger.items()))
lesson.picture(draw_distillation(sizes, {
    name: tuple(map(float, np.mean(pair, axis=1)))
    for name, pair in results.items()}, ledger))
assert loss_of["pruned"] > loss_of["fine-tuned"], \
    "pruning costs, and fine-tuning brings much of it back: read the column"
assert ledger["quantised, zeros as bits"][0] < ledger["trained"][0] / 4, \
    "each stage multiplies: a fifth of the weights, a quarter of the bytes"

# %% [markdown]
# ## 4 · What it costs
#
# Distillation needs the teacher's forward pass for every batch: a third of its
# training step (lesson 1), and memory for both models. The pipeline needs the
# training data, and steps. And there is a limit. Press harder:

# %%
over = {"dense": loss_of["trained"],
        "dense, as many steps more": validate(pruned(gpt, 0.0, TUNING)),
        "95 % sparse": validate(pruned(gpt, 0.95, 0)),
        "95 % sparse, fine-tuned": validate(pruned(gpt, 0.95, TUNING))}
lesson.predict("95 % zeros, fine-tuned: as good as the dense model?",
               ["yes", "no"])
lesson.reveal("no")
lesson.table(("", "validation loss"),
             *((name, f"{loss:.3f}") for name, loss in over.items()))
assert over["95 % sparse, fine-tuned"] \
    > over["dense, as many steps more"] + 0.1, \
    "compare with the dense model that got the same steps"

# %% [markdown]
# ## 5 · Exercises
#
# `minipar exercise start NAME` begins one of chapter 8, and checks it:
#
# * `distillation_t_squared`: the loss and its gradient, with the right factor;
# * `start_or_soft_targets`: distil a GPT of four layers into one of two. A student
#   can start with two of the teacher's layers, and it can learn from the teacher's
#   soft targets. Which of the two helps more?

# %% [markdown]
# ## 6 · What the documents say (optional)
#
# Covers: A2 A23 N49 E25 E28
#
# * **A23**: 002 (2.1.3) and 004 (2.1) name knowledge distillation (知识蒸馏) in one
#   sentence: a small model learns the knowledge of a large one. None of the five
#   has a formula; section 1 has the usual one (E28).
# * **A2**: 000 (3.2.2) lists three steps of model compression (模型压缩): prune
#   parameters (剪枝, LASSO), quantise them (量化, dynamic range), and combine both
#   "with tools such as TensorFlow Model Compression" (**E25**; there is no tool of
#   that name, the Model Optimization Toolkit must be meant). Which weights, how
#   many, and the fine-tuning in between are left out.
# * **N49**: 003 (3.1) promises all this "without affecting performance", and says
#   (3.3) that over-compression costs accuracy. The second is right.

# %%
assert abs(gradient_formula(4.0) - slopes(
    lambda z: as_defined(z, 4.0), z_student)).max() < 1e-9, \
    "A23: the gradient is that of differences to 1e-9"
warm = [sizes[T] for T in (4.0, 8.0, 20.0)]
assert max(warm) < 1.02 * min(warm) and sizes[1.0] < 0.9 * min(warm), \
    "E28: with T^2 the gradient is flat from T = 4 on"
assert wins["noisy labels"] == wins["40 labels, 1000 points"] == SEEDS, \
    "E28: with noisy or scarce labels the teacher helps in every seed"
assert 0 < 4 * gain["correct labels"] < gain["noisy labels"] \
    and wins["correct labels"] < SEEDS, \
    "E28: with correct labels it helps little, and not in every seed"
weights = sum(w.size for w in prune.linear_weights(gpt).values())
stay = weights - int(0.8 * weights)
scales = sum(layer.bias.data.size for layer in quantize.linear_layers(gpt)
             if layer.bias)             # one per output
floats = sum(p.data.size for p in gpt.parameters()) - weights
arrays = pack_sparse(small)[0]
mask, codes = arrays["nonzero"].nbytes, arrays["codes"].nbytes
assert mask == weights // 8 and 0.97 * stay < codes <= stay, \
    "E25: a bit per weight, and a byte per weight that stays"
assert arrays["scales"].nbytes + arrays["floats"].nbytes \
    == 4 * (scales + floats), "E25: scales and all else are float32"
sample = validation[None, :32]
assert np.array_equal(back(sample).data, small(sample).data), \
    "E25: the file holds the same model"

# %%
by_size = [ledger[stage][0] for stage in (
    "trained", "fine-tuned", "quantised", "quantised, zeros as bits")]
assert by_size == sorted(by_size, reverse=True) \
    and by_size[-1] < by_size[0] / 4, "A2: each stage makes it smaller"
pruning_costs = loss_of["pruned"] - loss_of["trained"]
assert loss_of["pruned"] - loss_of["fine-tuned"] > 0.5 * pruning_costs \
    > 0.02, "A2: fine-tuning, which 000 leaves out, brings most of it back"
assert abs(loss_of["quantised"] - loss_of["fine-tuned"]) < 0.01, \
    "A2: after that 8 bits cost next to nothing"
assert over["95 % sparse"] > over["95 % sparse, fine-tuned"] \
    > over["dense, as many steps more"] + 0.1, \
    "N49: over-compression costs accuracy: 003's 3.3 is right, not its 3.1"
