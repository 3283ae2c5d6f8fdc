# %% [markdown]
# # 20 · The whole course in one run: seven steps from a text to a small model
#
# You have a text and four ranks. At the end you want a model that fits on a
# telephone. Which steps, in which order, and what does each of them change?
#
#     text -> 1 preprocess -> 2 initialise -> 4 Adam ----------+
#                                             5 dp x tp        | one
#                                             6 hardware       | training
#                                             7 mixed precision+
#                                                   |
#             a small file  <-  3 compress  <-  trained model
#
# The numbers are those of a document of this course, which lists seven steps. But
# steps 4 to 7 do not follow one another: they are properties of *one* training. And
# step 3 comes after the training. You will see what happens if it comes before.
#
# You need lessons 4, 6, 9, 10 and 16. The core path takes 45 minutes; sections
# marked "(optional)" do not belong to it.
#
# Run me: `minipar lesson teach 20` (step by step), `minipar lesson run 20` (at
# once, four threads), or `mpirun -n 4 python lessons/20_capstone.py`.

# %%
import re
import tempfile
from dataclasses import replace
from functools import cache
from importlib.metadata import metadata, requires
from math import log
from pathlib import Path

import numpy as np
from minipar.lessons.plots.capstone import draw_front, draw_map
from minipar.lessons.support.differences import slopes
from minipar.lessons.support.lesson import Lesson

import minipar as mp
from minipar import lessons
from minipar.autograd import no_grad
from minipar.checkpoint.archive import load, save
from minipar.classroom.cells import read_lesson
from minipar.comm.collectives import select
from minipar.comm.wrappers.counting import Counting
from minipar.compress import prune, quantize
from minipar.compress.distill.student import take_layers
from minipar.compress.halving import Measured, successive_halving
from minipar.compress.pipeline import pack_sparse, unpack_sparse
from minipar.compress.tune import fine_tune
from minipar.data.batches import Batches, EvaluationBatches, split
from minipar.data.text import load_text
from minipar.data.tokenizer import CharTokenizer
from minipar.nn.counts import computed_pairs
from minipar.optim import AdamW, Flat
from minipar.plan.amounts import differences
from minipar.plan.machine import machine
from minipar.plan.memory import training_memory
from minipar.plan.models import MODELS
from minipar.plan.search import Task, candidate_from, evaluate
from minipar.plan.traffic import step_traffic
from minipar.plots.loss import draw_loss
from minipar.rng import stream
from minipar.schedules.footprint import peak_activations
from minipar.training.run_folder import read_metrics

# %%
lesson = Lesson("20_capstone", ranks=4)
assert lesson.size >= 4, "the mesh below needs 4 ranks: mpirun -n 4"

# %% [markdown]
# ## 1 · Preprocess and initialise
#
# We take a real text: the documentation of Python. *Preprocess*: keep its letters, in
# lower case, and give each character a number. We train on nine tenths and validate
# on the rest. Encoding loses nothing: the numbers decode to the text.
#
# *Initialise*: random weights. Let V be the number of different characters. A model
# that knows nothing gives each one the probability 1/V. So its loss is about
# -log(1/V) = log V, with the natural logarithm.

# %%
TEXT = re.sub("[^a-z]+", " ", load_text()[:100_000].lower())
LETTERS = CharTokenizer.from_text(TEXT)
TOKENS = LETTERS.encode(TEXT)
assert LETTERS.decode(TOKENS.tolist()) == TEXT, "no character is lost"
MODEL = mp.ModelConfig(vocabulary=LETTERS.vocab_size, context=32, layers=2,
                       heads=2, width=32)
training_part, validation_part = split(TOKENS)
# windows of 32 characters, 64 in a batch: few (8) for section 5, else 128
windows = {count: EvaluationBatches(validation_part, MODEL.context, 64,
                                    count) for count in (8, 128)}


def validate(model, count=128):
    """The mean loss per character, over this number of windows."""
    with no_grad():
        return float(np.mean([model.loss(*batch).item()
                              for batch in windows[count]]))


lesson.predict(f"V is {LETTERS.vocab_size}. The loss of random weights?")
lesson.reveal(round(log(LETTERS.vocab_size), 2))
start = mp.GPT(MODEL, seed=0)
lesson.say(f"  the model's loss at its start: {validate(start):.2f}")
assert abs(validate(start) - log(LETTERS.vocab_size)) < 0.1, \
    "random weights know nothing: their loss is log V, in natural logs"

# %% [markdown]
# ## 2 · One training: Adam, on dp x tp ranks, with 16 bits
#
# Adam is step 4, the mesh is step 5, the number format is step 7. All are options
# of the same training. The mesh does not change the loss; we show this in float64.
# Then we train in bfloat16, and write the loss of each step to a file, the log.

# %%
STEPS = 50 if lesson.fast else 300
TRAIN = mp.TrainConfig(batch=8, steps=STEPS, lr=5e-3, warm_up=10,
                       optimizer="adamw", validation_windows=32,
                       validate_every=STEPS)
MESH = mp.Layout(dp=2, tp=2)


def training(comm, train, layout, folder=None):
    """Losses, state, this rank's Adam bytes, unexpected messages."""
    counted = Counting(comm)
    trainer = mp.Trainer(MODEL, train, LETTERS, TOKENS,
                         mp.Grid(counted, layout))
    counted.traffic.tallies.clear()
    first = trainer.step().loss
    wrong = differences(                        # planned against counted
        step_traffic(MODEL, train, layout, comm.rank, select),
        counted.traffic.by("group", "op", "label"))
    log_of_run = None
    if folder is not None:
        log_of_run = mp.RunFolder(folder, writes=comm.rank == 0)
        log_of_run.create({"layout": "dp 2 x tp 2"})
    result = mp.fit(trainer, log_of_run)
    losses = [first, *(step.loss for step in result.steps)]
    slots = sum(array.nbytes for array in trainer.optimizer.state.values())
    return losses, trainer.state()[0], slots, wrong


# %%
lesson.predict("Five steps in float64, on one rank and on the mesh. How "
               "far do the losses differ?",
               choices=("below 1e-10", "about 1e-5", "about 1 %"))
SHORT = replace(TRAIN, steps=5, dtype="float64")
one = lesson.run(training, SHORT, mp.Layout(), ranks=1)[0]
four = lesson.run(training, SHORT, MESH, ranks=4)
off = max(abs(np.array(losses) - one[0]).max() for losses, *_ in four)
lesson.reveal("below 1e-10" if off < 1e-10 else "more")
assert off < 1e-10, "the mesh changes no loss: look at `MESH` and the seed"
assert all(rank[3] == [] for rank in four), \
    "each message is in the ledger, to the byte: print rank[3]"

# %% [markdown]
# A rank holds four numbers per weight: the weight, its gradient, and Adam's m and v.
# The ledger of lesson 4 predicts their bytes. We compare it with each rank.

# %%
with tempfile.TemporaryDirectory() as folder:
    run = Path(folder, "run")
    AMP = replace(TRAIN, precision="bfloat16")      # mixed precision
    ranks = lesson.run(training, AMP, MESH, run, ranks=4)
    logged = list(read_metrics(run / "metrics.jsonl"))
    shared = lesson.run(lambda comm: logged)[0]     # rank 0 has the file
losses, state = ranks[0][:2]
gpt = mp.GPT(MODEL)
gpt.load_state_dict({name.removeprefix("weights/"): array
                     for name, array in state.items()
                     if name.startswith("weights/")})
trained = validate(gpt)
lesson.say(f"  loss: {losses[0]:.2f} at the start, {losses[-1]:.2f} at the "
           f"end; validation {trained:.2f}")
lines = [training_memory(MODEL, TRAIN, MESH, rank, computed_pairs)
         for rank in range(4)]
assert [rank[2] for rank in ranks] == [line.optimizer for line in lines], \
    "m and v are what the ledger says, on each rank"
assert trained < validate(start) - 0.5, \
    "the model has learnt: see the losses"

# %% [markdown]
# *The log.* Each step writes one line at once, so a killed run keeps its lines. We
# check that the log *reloads*: the numbers that we read back are those of the
# training, in every digit. (Our first step ran before the log was opened.)

# %%
reloaded = [line["loss"] for line in shared if "loss" in line]
lesson.say(f"  first line of the log: step {shared[0]['step']}, loss "
           f"{shared[0]['loss']:.3f}")
log_picture = draw_loss(shared)
lesson.picture(log_picture, "_log")
assert reloaded == losses[1:], \
    "what is read is what was logged: compare step by step"

# %% [markdown]
# ## 3 · Hardware: a model of the machine
#
# Step 6 means: know the machine. Our model of a machine has FLOPs per second, a
# memory, and two kinds of links: fast ones within a node, slow ones between nodes.
# Here is GPT-3 on 128 A100s, eight to a node. Tensor parallelism sends most bytes
# (lesson 16). In the names of layouts, micro is the number of samples in a
# micro-batch, and sp is sequence parallelism (lesson 16).

# %%
GPT3 = Task(MODELS["gpt3-175b"],
            mp.TrainConfig(batch=128, precision="bfloat16"),
            machine("a100-80g"))
OPTIONS = ("dp=1,tp=8,pp=16,micro=1,sp", "dp=1,tp=16,pp=8,micro=1,sp",
           "dp=128,tp=1,pp=1,micro=1")
outcomes = {text: evaluate(GPT3, candidate_from(text)) for text in OPTIONS}
lesson.predict("tp 8 or tp 16: which step is shorter?",
               choices=("tp 8", "tp 16"))
inside, across, whole = outcomes.values()
lesson.reveal("tp 8" if inside.seconds < across.seconds else "tp 16")
lesson.table(("layout", "seconds", "GiB per rank"), *(
    (text, f"{outcome.seconds:.1f}", f"{outcome.memory.total / 2**30:.0f}")
    for text, outcome in outcomes.items()))
assert inside.seconds < across.seconds, \
    "tp 16 leaves the node, and its messages take slow links"
assert whole.limit == "memory", \
    "with data parallelism alone each rank holds all: look at GiB per rank"

# %% [markdown]
# ## 4 · Compress, after the training
#
# Prune, fine-tune under the mask, quantise, store (lessons 10, 7 and 12). What if
# pruning comes *before* the training? Then the training updates all weights, also
# those that are zero.

# %%
batches = Batches(training_part, MODEL.context, 8, seed=1)
TUNING = STEPS // 3


def copy(model):
    twin = mp.GPT(model.config)
    twin.load_state_dict(model.state_dict())
    return twin


def pruned(model, ratio, masked=True):
    """A copy, with this ratio of its linear weights pruned, fine-tuned."""
    twin = copy(model)
    mask = prune.magnitude_mask(prune.linear_weights(twin), ratio)
    optimizer = AdamW(Flat(twin.parameters()))
    pruner = prune.Masked(optimizer, mask)
    fine_tune(twin.loss, pruner if masked else optimizer,
              batches.get, TUNING, 1e-3)
    return twin


def zeros(model):
    """The fraction of the linear weights that is zero."""
    weights = prune.linear_weights(model).values()
    return float(sum((w == 0).sum() for w in weights)
                 / sum(w.size for w in weights))


# %% [markdown]
# **Break it.** The first line below makes two models. Fine-tune the second one
# without a mask, too: `pruned(gpt, 0.8, masked=False)`. Which assert stops you?

# %%
before, after = pruned(start, 0.8, masked=False), pruned(gpt, 0.8)
lesson.predict("80 % pruned, then trained by plain Adam: how many percent "
               "of the weights are zero at the end?")
lesson.reveal(round(100 * zeros(before)), "%")
small = copy(after)
quantize.quantize_weights(small)                # int8, zero stays zero
back = copy(gpt)
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "model.npz")
    save(path, gpt.state_dict(), {})
    large_bytes = path.stat().st_size
    packed = pack_sparse(small)
    save(path, *packed)
    small_bytes = path.stat().st_size
    unpack_sparse(back, *load(path))
# the file has one bit for each weight: 0 if the weight is zero
no_bits = 1 - float(np.unpackbits(packed[0]["nonzero"]).mean())
lesson.table(("model", "zeros", "bytes", "loss"),
             ("trained", zeros(gpt), large_bytes, f"{trained:.3f}"),
             ("compressed", no_bits, small_bytes,
              f"{validate(back):.3f}"))
assert no_bits >= zeros(after) - 1e-3, \
    "zeros stay zeros when quantised: look at the zeros in the table"
assert zeros(after) > 0.79, "under the mask, zeros stay zeros"
assert zeros(before) < 0.01, "without it, the training fills them again"
assert small_bytes < large_bytes / 2, \
    "the file has less than half of the bytes: look at the table"

# %% [markdown]
# The next table shows what each of the seven steps changes in the ledger. Steps 5 and
# 7 are given for one rank and one training step. Step 6 is a training step on the
# laptop that `minipar plan` knows.

# %%
mine = lines[0]                         # rank 0 of the mesh
only = training_memory(MODEL, TRAIN, mp.Layout(), 0, computed_pairs)
sent = sum(total.bytes for total in
           step_traffic(MODEL, TRAIN, MESH, 0, select).values())
laptop = [evaluate(Task(MODEL, train, machine("laptop")),
                   candidate_from("dp=2,tp=2,micro=4"))
          for train in (TRAIN, AMP)]
halves = [outcome.memory.weights for outcome in laptop]
lesson.table(
    ("step", "line", "bytes"),
    ("1 preprocess", "tokens", TOKENS.nbytes),
    ("2 initialise", "weights", only.weights),
    ("4 Adam", "optimiser", f"+ {only.optimizer}"),
    ("5 dp x tp", "weights of a rank", f"{mine.weights}"),
    ("", "activations", f"{only.activations} to {mine.activations}"),
    ("", "traffic", f"+ {sent}"),
    ("6 hardware", "time", f"{1000 * laptop[0].seconds:.1f} ms"),
    ("7 16 bits", "computed weights", f"x {halves[1] / halves[0]:g}"),
    ("3 compress", "file", f"{large_bytes} to {small_bytes}"))
assert only.optimizer == 2 * only.weights, "m and v for each weight"
assert only.weights / 2 < mine.weights < only.weights, \
    "tp 2 halves the matrices, and not the LayerNorms"
assert mine.activations < only.activations / 2, \
    "dp halves the samples, and tp halves most arrays of a layer"

# %% [markdown]
# ## 5 · Search: bits x sparsity x layers
#
# How many bits, how many zeros, how many layers? There is no best answer, but
# there are bad ones: a model is **dominated** if another is no larger, no worse,
# and better in one of the two. What remains is the **Pareto front**.
#
# A candidate is a number of layers (the last ones are kept), a part of zeros, and a
# number of bits. To measure it, we compress, fine-tune, and validate on a number of
# windows. With more windows the loss is more exact, and costs more.

# %%
GRID = [(layers, ratio, bits) for layers in (1, 2)
        for ratio in (0.0, 0.8, 0.95) for bits in (2, 3, 4, 6, 8)]


@cache
def tuned(layers, ratio):
    """The last layers of the trained model, pruned and fine-tuned."""
    return pruned(take_layers(gpt, range(MODEL.layers)[-layers:]), ratio)


def bytes_of(model, bits):
    """One bit for each weight, and `bits` for each that stays."""
    weights = sum(w.size for w in prune.linear_weights(model).values())
    stay = weights * (1 - zeros(model))
    return (weights + bits * stay) / 8


def measure(candidate, count):
    """Bytes and loss of a candidate, over this number of windows."""
    layers, ratio, bits = candidate
    model = tuned(layers, ratio)
    twin = copy(model)
    quantize.quantize_weights(twin, quantize.Scheme(bits=bits))
    return bytes_of(model, bits), validate(twin, count)


# %% [markdown]
# **Successive halving**: measure all candidates on few windows, and drop the worst
# ones, often half; here we keep 60 %. Measure the others on more windows, and so on.
# We have two aims, size and loss. So "worst" means the largest *gap*: the loss minus
# the best loss of a model that is no larger. On the front the gap is 0, so halving
# keeps the front.
#
# Brute force measures all candidates on all windows. We compare with it.

# %%
def named(point):
    layers, ratio, bits = point.candidate
    return f"{layers} x {bits} bits, {100 * ratio:.0f} %", *point[1:]


def dominated(one, by):
    return by[1] <= one[1] and by[2] <= one[2] and by[1:] != one[1:]


lesson.predict(f"{len(GRID)} candidates: how many are on the front?",
               choices=("at most 4", "5 to 15", "more"))
search = successive_halving(GRID, measure, budgets=[8, 128], keep=0.6)
found = len(search.front)
lesson.reveal("at most 4" if found < 5 else "5 to 15" if found < 16
              else "more")
points = [named(Measured(candidate, *measure(candidate, 128)))
          for candidate in GRID]
front = [named(point)[0] for point in search.front]
by_pairs = {name for name, *rest in points if not any(
    dominated((name, *rest), other) for other in points)}
lesson.say(f"  {search.cost} windows, brute force {search.brute_force}; "
           "the front:")
lesson.table(("layers, bits, zeros", "bytes", "loss"), *(
    (name, f"{size:.0f}", f"{loss:.3f}")
    for name, size, loss in map(named, search.front)))
assert set(front) == by_pairs and len(front) < len(points), \
    "halving finds the front that brute force finds: look at `keep`"
assert search.cost < 0.7 * search.brute_force, \
    "halving needs less than 70 % of the windows: look at `budgets`"
lesson.picture(draw_front(points, front), "_front")

# %% [markdown]
# Suppose that a telephone has a certain number of bytes free. Then take the *largest
# model of the front that fits*. No other model that fits has a smaller loss.

# %%
ROOM = sorted(size for _, size, _ in points)[len(points) // 2]
fitting = [each for each in points if each[1] <= ROOM]
chosen = [name for name in front
          if name in [fit[0] for fit in fitting]][-1]
assert chosen == min(fitting, key=lambda each: each[2])[0], \
    "the last of the front that fits is the best of all that fit"

# %% [markdown]
# ## 6 · What it costs: the map of the techniques
#
# The next table is a map of the whole course. A row is a technique. A column is a
# line of the ledger of GPT-2 on A100s. A cell is the factor by which the technique
# changes this line, compared with one rank; "-" means no change. One rank sends
# nothing, so traffic is given in multiples of the gradient's bytes. "dp 4 to 2" is a
# training that goes on with two ranks (lesson 17). The file is that of section 4.

# %%
GPT2 = Task(MODELS["gpt2"], mp.TrainConfig(batch=32), machine("a100-80g"))
TECHNIQUES = {
    "one rank": (GPT2, "micro=32"),
    "accumulate": (GPT2, "micro=1"),
    "16 bits": (GPT2._replace(
        train=replace(GPT2.train, precision="bfloat16")), "micro=32"),
    "recompute": (GPT2, "micro=32,recompute=full"),
    "dp 4": (GPT2, "dp=4,micro=8"),
    "dp 4 to 2": (GPT2, "dp=2,micro=16"),
    "dp 4, ZeRO 3": (GPT2, "dp=4,micro=8,zero=3"),
    "tp 4": (GPT2, "tp=4,micro=32"),
    "pp 4": (GPT2, "pp=4,micro=8"),
}


def ledger(task, text):
    outcome = evaluate(task, candidate_from(text))
    held = outcome.memory
    sent = outcome.sent
    return {"weights": held.weights, "gradients": held.gradients,
            "optimiser": held.optimizer, "activations": held.activations,
            "time": outcome.seconds, "traffic": sent.total}


# %%
baseline = ledger(*TECHNIQUES.pop("one rank"))
unit = baseline | {"traffic": baseline["gradients"]}
factors = {name: {line: value / unit[line]
                  for line, value in ledger(*how).items()
                  if value != baseline[line]}       # only what changes
           for name, how in TECHNIQUES.items()}
factors["compress"] = {"file": small_bytes / large_bytes}
lesson.predict("Which technique changes only activations and time?",
               choices=("16 bits", "accumulate", "ZeRO 3"))
lesson.reveal("accumulate")
COLUMNS = (*baseline, "file")
lesson.table(("", *COLUMNS), *(
    (name, *(f"{row[line]:.2f}" if line in row else "-"
             for line in COLUMNS)) for name, row in factors.items()))
assert set(factors["accumulate"]) == {"activations", "time"}, \
    "accumulation saves activations, and costs time: look at its row"
assert all(factors.values()), \
    "each technique changes something: look for a row without numbers"
lesson.picture(draw_map(factors, COLUMNS))

# %% [markdown]
# ## 7 · The mathematics of layers and pipelines (optional)
#
# A model is a chain of p layers, x[i] = f_i(x[i - 1], W_i). Here x[i] is the output
# of layer i, and W_i are its weights. Let g[i] be the gradient of the loss L with
# respect to x[i]. The chain rule has two parts:
#
#     g[i - 1] = (∂f_i / ∂x)ᵀ g[i]         needs W_i, x[i - 1] and g[i]
#     ∂L/∂W_i  = (∂f_i / ∂W)ᵀ g[i]         needs x[i - 1] and g[i]
#
# So rank i receives x[i - 1] from rank i - 1, and g[i] from rank i + 1. No weight and
# no weight gradient travels: that is **layer parallelism**. Example: f = tanh(x W).
# Write d = g[i] · (1 - x[i]²), element by element. Then
#
#     g[i - 1] = d Wᵀ,     ∂L/∂W_i = x[i - 1]ᵀ d
#
# **Pipeline parallelism** splits the batch into m micro-batches. The loss is a
# sum over samples, so L = L_1 + ... + L_m, and the gradient of a sum is the sum of
# gradients. Each stage adds up m terms; no formula above changes.
#
# Time: let a stage need the time t for a micro-batch, forward and backward together.
# Each stage works m t. Filling and emptying the pipeline take (p - 1) t more:
#
#     time = (m + p - 1) t     work = m t     idle share = (p - 1) / (m + p - 1)
#
# Memory: with 1F1B, stage s (counted from 0) has begun p - s micro-batches when the
# gradient of the first one arrives. So it keeps min(m, p - s) micro-batches.

# %%
STAGES, SAMPLES, D = 4, 8, 5
WEIGHTS = [stream(stage, "layer").normal(size=(D, D)) / 2
           for stage in range(STAGES)]
INPUT = stream(9, "input").normal(size=(SAMPLES, D))


def stage_gradient(comm, m):
    """∂L/∂W of this rank's layer; L is half the mean square of x[p]."""
    me, W, last = comm.rank, WEIGHTS[comm.rank], comm.size - 1
    kept, gradient = [], np.zeros((D, D))
    for x in np.split(INPUT, m):
        if me > 0:
            x = comm.recv(np.empty_like(x), me - 1, label="x")
        y = np.tanh(x @ W)
        kept.append((x, y))
        if me < last:
            comm.send(y, me + 1, label="x")
    for x, y in kept:
        g = (y / SAMPLES if me == last
             else comm.recv(np.empty_like(y), me + 1, label="g"))
        d = g * (1 - y**2)
        gradient += x.T @ d
        if me > 0:
            comm.send(d @ W.T, me - 1, label="g")
    return gradient


# %%
def whole_loss(stage, W):
    x = INPUT
    for number, own in enumerate(WEIGHTS):
        x = np.tanh(x @ (W if number == stage else own))
    return float((x**2).sum() / 2 / SAMPLES)


by_layers, by_pipeline = (lesson.run(stage_gradient, m, ranks=STAGES)
                          for m in (1, 4))
layer_error = max(
    abs(slopes(lambda W, stage=stage: whole_loss(stage, W),
               WEIGHTS[stage]) - gradient).max()
    for stage, gradient in enumerate(by_layers))
pipe_error = max(abs(one - other).max() for one, other
                 in zip(by_layers, by_pipeline, strict=True))
lesson.say(f"  layers against differences: {layer_error:.0e}; pipeline "
           f"against layers: {pipe_error:.0e}")
assert layer_error < 1e-8, \
    "both parts of the chain rule agree with differences: look at d"
assert pipe_error < 1e-14, \
    "the gradient of a sum is the sum of gradients: look at `gradient`"
for p, m in ((2, 1), (4, 4), (4, 12), (8, 3)):
    order = mp.schedule("1f1b", p, m)
    assert mp.simulate(order).bubble() * (m + p - 1) == p - 1, \
        "idle = (p - 1) / (m + p - 1), as an exact fraction"
    assert peak_activations(order) == [min(m, p - s) for s in range(p)], \
        "stage s keeps min(m, p - s) micro-batches"

# %% [markdown]
# ## 8 · Three applications, as toys (optional)
#
# *A surge.* Count the bad messages of each hour. Alert if there are more than
# the mean of the day before, plus four standard deviations. (A count of rare
# events with mean c has the standard deviation √c.)

# %%
bad = stream(0, "bad messages").poisson(9, size=240)
bad[150:153] += 30                      # something happens at hour 150


def alerts(counts):
    means = [counts[hour - 24:hour].mean()
             for hour in range(24, len(counts))]
    return [hour for hour, mean in enumerate(means, 24)
            if counts[hour] > mean + 4 * mean**0.5]


lesson.say(f"  alerts at the hours {alerts(bad)}")
assert alerts(bad)[0] == 150, "the surge, and nothing before it"

# %% [markdown]
# *Retrieval.* A new question gets the answer of the stored question whose words
# are most alike. Rare words count more: if n of N questions have a word, its weight
# is log(N / n). If no stored question is alike, a person answers.

# %%
STORED = {"how do i change my password": "Settings, Password.",
          "where is my parcel": "Orders, Tracking.",
          "how do i return a parcel": "Orders, Return.",
          "do you ship to norway": "Yes, in six days."}


def answer(question, least=0.3):
    words = {text: set(text.split()) for text in STORED}
    asked = set(question.split())
    rarity = {word: log(len(STORED) / sum(word in other for other
                                          in words.values()))
              for word in set().union(*words.values())}

    def size(some):
        return sum(rarity.get(word, log(len(STORED))) ** 2
                   for word in some) ** 0.5

    alike = {text: size(asked & there) ** 2 / (size(asked) * size(there))
             for text, there in words.items()}
    best = max(alike, key=alike.__getitem__)
    return STORED[best] if alike[best] > least else "a person answers"


found = [answer(text) for text in (
    "please where is the parcel", "can i return this parcel",
    "what is the meaning of life")]
lesson.say(*(f"  {text}" for text in found))
assert found == ["Orders, Tracking.", "Orders, Return.",
                 "a person answers"], \
    "two questions have a stored one that is alike, the third has none"

# %% [markdown]
# *Re-ranking.* A cheap score chooses candidates, an expensive one sorts them.
# Here: real pieces of the text, and the same letters shuffled. Counting letters
# cannot tell the two apart. The trained model can: its loss is smaller on English
# text.

# %%
def interest(text):
    codes = LETTERS.encode(text)[None]
    with no_grad():
        return -gpt.loss(codes[:, :-1], codes[:, 1:]).item()


PIECE = MODEL.context + 1
real = [LETTERS.decode(validation_part[at:at + PIECE].tolist())
        for at in range(0, 4000, 500)]
shuffled = ["".join(stream(number, "shuffle").permutation(list(piece)))
            for number, piece in enumerate(real)]
ranked = sorted(real + shuffled, key=interest, reverse=True)
on_top = sum(piece in real for piece in ranked[:len(real)])
lesson.say(f"  {on_top} of the first {len(real)} are real text")
assert sorted("".join(real)) == sorted("".join(shuffled)), "same letters"
assert on_top > 0.7 * len(real), "the model knows more than letters"

# %% [markdown]
# ## 9 · Exercises
#
# `minipar exercise start capstone` (chapter 9) is section 2, written by you: a
# training step on dp x tp ranks. `choose_a_layout` (chapter 9) is section 3.
#
# Close the file, and write section 7 yourself: `minipar exercise start
# chain_rule_over_ranks` (chapter 6) is both parts of the chain rule, what travels,
# and the sum over micro-batches. `predict_bubble` is the bubble and the memory.

# %% [markdown]
# ## 10 · What the documents say (optional)
#
# Covers: A6 A26 A29 A46 C11 C12 N12 N16 N17 N18 N19 N51 E15 E43 E44 E45 E46
# Covers: E47 E50 E51
#
# * **A26**: 003 (3.2) lists seven steps (算法步骤): preprocess, initialise, compress,
#   choose an optimiser, distribute, accelerate by hardware, mixed precision. The
#   third comes last, else training undoes it; 4 to 7 are one training.
# * **N51, C12, N16, E51**: four diagrams (流程图) of 000 and 003. In one of them *text*
#   flows into compression, but compression acts on weights. In others no arrow leaves
#   pruning. The text of 000 says that its diagram shows dynamic axis configuration,
#   but it does not. Section 6 draws one map instead; its row "dp 4 to 2" is a change
#   of an axis (lesson 17).
# * **A6, C11, N12, E46**: an environment (开发环境) in shell commands, twice the same:
#   conda, Python 3.8, PyTorch, transformers. Today's libraries refuse that Python
#   (R28), and nothing in it starts a second process. Here: three packages, and a
#   first message between ranks as the check.
# * **A29**: applications (实际应用): customer service, watching financial news,
#   recommendation, in procedures without code. Section 8 has the core of each.
# * **A46, E47**: choose a method by application, hardware and performance; automated
#   optimisation (自动化优化). The documents give no method. Section 5 is one.

# %% [markdown]
# * **N18**: 000, 001 and 003 break off in the middle of a sentence. 001 (4) promises
#   the mathematics of layers and pipelines, and ends before them. Section 7 has it.
# * **N19** (R22 in ERRATA.md): 001 (1.1) dates the Transformer to 2018. It is of
#   2017; GPT and BERT are of 2018, and are built from it.
# * **N17, E50**: "foundational papers" (相关论文): one on Hessian-free optimisation is
#   said to introduce dynamic axis configuration. It does not: it finds a minimum by
#   products H v. This course does not use the documents' lists of papers. It cites
#   papers only for formulas that it has run.
# * **E15**: a BERT of a library. Its number of weights follows from its sizes.
# * **E43, E44**: logging and plotting by services. Here the log is a file of lines.
#   `minipar runs` lists and compares runs, and writes them for TensorBoard.
# * **E45**: notebooks. Each lesson is a script of cells that opens as a notebook.

# %%
assert zeros(before) < 0.01 < 0.79 < zeros(after), \
    "A26: compression comes after the training, or the training undoes it"
assert off < 1e-10 and trained < validate(start) - 0.5, \
    "A26: steps 4 to 7 are properties of one training, which learns"
assert np.array_equal(LETTERS.encode(TEXT), TOKENS) \
    and small_bytes < large_bytes / 2, \
    "N51: compression changes the weights' bytes, and no token of the text"
dead_ends = [name for name, row in factors.items() if not row]
assert not dead_ends and set().union(*factors.values()) == set(COLUMNS), \
    "C12: each technique changes a line, each line is changed"
assert factors["dp 4 to 2"]["time"] > factors["dp 4"]["time"], \
    "N16: the map has a change of an axis"
drawn = draw_map(factors, COLUMNS).axes[0].texts
assert len(drawn) == sum(map(len, factors.values())), \
    "E51: the map is drawn from numbers, each in its cell"
greetings = lesson.run(lambda comm: mp.all_reduce(comm, np.ones(1))[0])
assert greetings == [lesson.size] * lesson.size, \
    "A6 C11: the environment is checked by a message between all ranks"
needed = requires("minipar") or []
oldest = [int(re.search(r">=3\.(\d+)",
                        metadata(name)["Requires-Python"])[1])
          for name in ("minipar", "numpy")]
assert min(oldest) > 8, "N12 R28: today's packages refuse Python 3.8"
assert all(any(line.startswith(name) for line in needed)
           for name in ("numpy", "matplotlib", "mpi4py")), \
    "E46: arrays, pictures, and MPI"

# %%
assert alerts(bad)[0] == 150 and found[1] == "Orders, Return." \
    and on_top > 0.7 * len(real), \
    "A29: an alert, a match, and a ranking"
assert set(front) == by_pairs, \
    "E47: halving finds the front, checked by all pairs of all candidates"
assert all(size > ROOM or loss >= min(each[2] for each in fitting)
           for _, size, loss in points) and chosen in front, \
    "A46: given the room, the front has the choice"
assert layer_error < 1e-8 and pipe_error < 1e-14, \
    "N18: the missing mathematics, against differences"
YEARS = {"Attention Is All You Need": 2017, "GPT": 2018, "BERT": 2018}
assert min(YEARS, key=YEARS.__getitem__).startswith("Attention"), \
    "N19 R22: what GPT and BERT are built from is older than they"
V, T, H = 30522, 512, 768               # BERT-base: words, positions, width
bert = (V + T + 2) * H + 2 * H + 12 * (12 * H * H + 13 * H) + H * H + H
assert bert == 109_482_240, "E15: BERT-base, from its sizes"
assert reloaded == losses[1:], "E43: the log reloads, in every digit"
assert log_picture.axes[0].lines[0].get_ydata().tolist() == reloaded, \
    "E44: the picture shows the log's numbers"
scripts = [read_lesson(path) for path
           in sorted(Path(lessons.__path__[0]).glob("[0-9]*.py"))]
assert len(scripts) > 15 and all(len(one.sections) > 3
                                 for one in scripts), \
    "E45: each lesson is a script of cells"

# %% [markdown]
# For N17: Newton's step solves H d = -g. Hessian-free optimisation solves it with
# products H v only, here by conjugate gradients. For a quadratic loss of n weights, n
# products are enough. Ranks and the axes of a mesh play no part in it.

# %%
AXES = 4
root = stream(3, "bowl").normal(size=(AXES, AXES))
hessian = root @ root.T + np.eye(AXES)
slope = stream(4, "bowl").normal(size=AXES)
step, residual = np.zeros(AXES), -slope
direction = residual
for _ in range(AXES):
    product = hessian @ direction       # the only use of H
    length = residual @ residual / (direction @ product)
    step = step + length * direction
    rest = residual - length * product
    direction = rest + (rest @ rest) / (residual @ residual) * direction
    residual = rest
assert np.allclose(hessian @ step, -slope, rtol=0, atol=1e-9), \
    "N17: Hessian-free optimisation is an optimiser, and no configuration"
bubble = mp.simulate(mp.schedule("gpipe", 4, 8)).bubble()
assert bubble * 11 == 3, \
    "E50: GPipe's paper is cited for a formula that we ran: 3/11"
