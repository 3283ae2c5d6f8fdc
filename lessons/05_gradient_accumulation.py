# %% [markdown]
# # 05 · Gradient accumulation: a large batch in small pieces
#
# A paper trains with batches of 16 samples. Your computer has memory for four
# samples at a time. Training with batches of four would give other results. Can you
# compute the gradient of 16 samples without ever computing 16 at once?
#
#     batch of 16 samples
#     piece 0   samples  0 to 3   -> gradient --+
#     piece 1   samples  4 to 7   -> gradient --+-- added up in one buffer
#     piece 2   samples  8 to 11  -> gradient --+       |
#     piece 3   samples 12 to 15  -> gradient --+       +-> one step
#
# The pieces are called **micro-batches**. They are computed one after the other.
# Each adds its gradient to the same array, the gradient buffer, and only after the
# last one the optimiser takes its step. This is **gradient accumulation**.
#
# You need lessons 1 (loss, gradient) and 2 (Adam). The core path takes 40 minutes;
# sections marked "(optional)" do not belong to it.
#
# Run me: `minipar lesson teach 5` (step by step), `minipar lesson run 5` (at
# once), or `python lessons/05_gradient_accumulation.py`.

# %%
import numpy as np
from minipar.lessons.plots.gradient_accumulation import (
    draw_descent,
    draw_pieces,
)
from minipar.lessons.support.allocation import allocation
from minipar.lessons.support.lesson import Lesson, refusal

import minipar as mp
from minipar.autograd import mean
from minipar.nn import Linear, Parameter, Start
from minipar.nn.counts import computed_pairs
from minipar.optim import SGD, Adam, Flat
from minipar.plan.activations import published, tape
from minipar.rng import stream

lesson = Lesson("05_gradient_accumulation", ranks=1)
GIB = 2**30

# %% [markdown]
# ## 1 · Four numbers in two pieces
#
# The gradient of a batch is the mean over its samples. Here are four samples,
# whose gradients are 1, 2, 3 and 10. Their mean is 16/4 = 4. We split them into two
# pieces:
#
#     piece 0: 1 2 3          piece 1: 10
#
# A first idea: take the mean of each piece, and then the mean of the two means.

# %%
FOUR = np.array([1.0, 2, 3, 10])
PIECES_OF_FOUR = np.split(FOUR, [3])
lesson.predict("What is the mean of the two pieces' own means?")
of_means = np.mean([piece.mean() for piece in PIECES_OF_FOUR])
over_all = sum(piece.sum() / len(FOUR) for piece in PIECES_OF_FOUR)
lesson.reveal(float(of_means))
lesson.table(("way", "result"), ("mean of the two means", of_means),
             ("each sum divided by 4, then added", over_all))
assert over_all == FOUR.mean() != of_means, \
    "look at the divisors: the one sample 10 counts as much as 1, 2 and 3"

# %% [markdown]
# So each piece adds up the gradients of its samples, and divides this sum by N, the
# number of samples of the *whole* batch. Then the pieces add up to the gradient of
# the batch, whatever their sizes:
#
#     gradient = sum over pieces i of [ 1/N (sum of the gradients in piece i) ]
#              = sum over pieces i of [ n_i g_i ] / N
#
# Here n_i is the number of samples in piece i, and g_i is the mean of their
# gradients.

# %% [markdown]
# ## 2 · The loop
#
# `mp.backward` does not overwrite a gradient, it *adds* to it. So the loop is
# short. The loss of a GPT is a mean over tokens, so what we divide by is a number of
# tokens. The argument `count` sets this divisor: here it is the number of tokens of
# the whole batch, `targets.size`.

# %%
TOY = mp.ModelConfig(vocabulary=32, context=24, layers=2, heads=2, width=32)
BATCH = 16
# stream(seed, name): random numbers that are the same in each run
text = stream(0, "text").integers(0, TOY.vocabulary,
                                  (BATCH, TOY.context + 1))
inputs, targets = text[:, :-1], text[:, 1:]     # [B, T]


def accumulated(pieces):
    model = mp.GPT(TOY, dtype=np.float64)
    flat = Flat(model.parameters())             # all gradients, one array
    for rows in pieces:
        mp.backward(model.loss(inputs[rows], targets[rows],
                               count=targets.size))
    return flat.gradient()


def mean_of_means(pieces):
    model = mp.GPT(TOY, dtype=np.float64)
    flat = Flat(model.parameters())
    for rows in pieces:                     # each divides by its own size
        own_mean = model.loss(inputs[rows], targets[rows])
        mp.backward(own_mean * (1 / len(pieces)))
    return flat.gradient()


def apart(one, other):
    """The largest difference, relative to the largest element."""
    return float(abs(one - other).max() / abs(other).max())


# %%
lesson.predict("16 samples in pieces of 6, 6 and 4: the mean of the three "
               "means is ...",
               ["the same but for rounding", "off by over 1 %"])
rows = np.arange(BATCH)
batch = accumulated([rows])
uneven = np.split(rows, [6, 12])                # 6, 6 and 4 samples
ways = {f"{k} of {BATCH // k}": np.split(rows, k) for k in (2, 4, 8, 16)}
ways["6, 6 and 4"] = uneven
found = {name: (apart(accumulated(pieces), batch),
                apart(mean_of_means(pieces), batch))
         for name, pieces in ways.items()}
lesson.reveal("off by over 1 %" if found["6, 6 and 4"][1] > 0.01
              else "the same but for rounding")
lesson.table(("pieces", "all tokens: off by", "mean of means: off by"),
             *((name, *off) for name, off in found.items()))
assert all(off < 1e-12 for off, _ in found.values()), \
    "the pieces add up to the batch: look at what each divides by"
assert found["2 of 8"][1] < 1e-12 and found["4 of 4"][1] < 1e-12, \
    "in pieces of equal size, the mean of means is right, too"
assert found["6, 6 and 4"][1] > 0.01, \
    "a piece of 4 samples counts as much as one of 6: look at `uneven`"

# %% [markdown]
# **Break it.** In `accumulated`, let each piece divide by its own tokens:
# `count=targets[rows].size`. Then the means of the pieces are added, and nothing
# divides by the number of pieces. By which factor is the gradient wrong?

# %% [markdown]
# ## 3 · Sum or mean: a learning rate in disguise
#
# Say you forget to divide, and *sum* the means of k pieces. Then the gradient is
# k times too large, and so is each step of SGD. The effect is the same as that of a
# learning rate k times as large as the one you chose.
#
# Small numbers: L = w^2/2, whose gradient is w. Start at w = 1, rate 0.5, k = 4.
#
#     mean   w = 1 - 0.5 ·     1  = 0.5
#     sum    w = 1 - 0.5 · 4 · 1  = ?

# %%
lesson.predict("With the sum, where is w after two steps?")
lesson.reveal((1 - 0.5 * 4) ** 2)

# %% [markdown]
# w is back at 1, and never comes nearer to 0. With a slightly larger rate it
# diverges. In general, take L = c w^2/2. The number c is called the curvature. The
# gradient is c w, so one step of SGD multiplies w by 1 - rate · c. This converges if
# |1 - rate · c| < 1, that is for rates below 2/c.
#
# Now the same for a model with two weights, fitted to 16 samples in 4 pieces. Its
# loss has one curvature for each weight. We choose 1.533 and 0.058. The larger one
# sets the limit: rates must be below 2/1.533 = 1.305. We take 0.5.

# %%
K, RATE, STEPS = 4, 0.5, 200
CURVATURES = np.array([1.533, 0.058])
# two columns at a right angle; X^T X / 16 has the curvatures as diagonal
directions, _ = np.linalg.qr(stream(0, "directions").normal(size=(16, 2)))
X = directions * np.sqrt(16 * CURVATURES)       # [16, 2]
assert np.allclose(X.T @ X / 16, np.diag(CURVATURES)), \
    "X is made to have these curvatures: look at the factor sqrt(16 c)"


def descent(divide, make, rate=RATE):
    """Distance from the best weights, 0, after each step."""
    theta = Parameter("theta", (2, 1), Start(mean=1.0))
    theta.initialise(0, np.float64)
    flat = Flat([theta])
    optimizer, distances = make(flat), []
    for _ in range(STEPS):
        flat.zero_grad()
        for piece in np.split(X, K):
            error = mp.Tensor(piece) @ theta
            loss = mean(error * error) * 0.5
            mp.backward(loss * (1 / K) if divide else loss)
        optimizer.step(rate)
        distances.append(float(abs(theta.data).max()))
    return distances


# %%
lesson.predict("SGD at rate 0.5, Adam at 0.01. The sum goes wrong with ...",
               ["SGD only", "Adam only", "both"])
averaged, added = descent(True, SGD), descent(False, SGD)
adam_averaged = descent(True, Adam, 0.01)
adam_added = descent(False, Adam, 0.01)
adam_apart = max(abs(one - other) for one, other
                 in zip(adam_averaged, adam_added, strict=True))
lesson.reveal("SGD only" if adam_apart < 1e-6 < 1 < added[-1] else "both")
limit = 2 / CURVATURES[0]
lesson.table((f"distance after {STEPS} steps", "mean", "sum"),
             ("SGD", averaged[-1], added[-1]),
             ("Adam, rate 0.01", adam_averaged[-1], adam_added[-1]),
             ("largest rate of SGD", limit, limit / K))
lesson.picture(draw_descent({"mean of the pieces": averaged,
                             "sum of the pieces": added}), "_rate")
assert averaged[-1] < 0.01 and added[-1] > 1e60, \
    "the sum is a rate of 4 · 0.5 = 2, and SGD needs less than 1.305"
assert adam_apart < 1e-6, \
    "Adam divides by the size of its gradients, and so hides the mistake"
for top, divide in ((limit, True), (limit / K, False)):
    assert descent(divide, SGD, 0.99 * top)[-1] < 1 \
        < descent(divide, SGD, 1.01 * top)[-1], \
        "SGD converges just below the rate 2 / curvature, diverges above"

# %% [markdown]
# ## 4 · A loop that leaks
#
# Many people write the following loop. It counts the batches of each epoch from 0,
# and adds up gradients. After every 4th batch it takes a step and sets the gradients
# to zero.
#
#     for epoch in 0 to 9:
#         for i, batch in enumerate(batches):
#             backward(loss(batch) / 4)
#             if (i + 1) is divisible by 4:
#                 optimizer.step(); zero_grad()
#
# With 8 batches per epoch the loop is right. What happens with 10? We train a linear
# layer with 10 inputs and 5 outputs, and note for each step how many batches its
# gradient contains. With `flush=True` the function repairs the loop: it also takes a
# step after the last batch of each epoch.

# %%


def leaky(batches, k=4, epochs=10, flush=False):
    """Batches in each update, batches left over, number of weights."""
    layer = Linear("layer", 10, 5)
    layer.initialise(0, np.float64)
    flat = Flat(layer.parameters())
    optimizer, updates, waiting = Adam(flat), [], 0
    for epoch in range(epochs):
        for i in range(batches):
            x, y = (stream(0, part, epoch, i).normal(size=(8, width))
                    for part, width in (("x", 10), ("y", 5)))
            error = layer(mp.Tensor(x)) - mp.Tensor(y)
            mp.backward(mean(error * error) * (1 / k))
            waiting += 1
            rest = flush and i == batches - 1   # the last of the epoch
            if (i + 1) % k == 0 or rest:
                # fewer than k batches were divided by k: correct that
                flat.grad *= k / waiting if rest else 1
                optimizer.step(1e-3)
                flat.zero_grad()
                updates.append(waiting)
                waiting = 0
    return updates, waiting, flat.data.size


# %%
lesson.predict("10 batches per epoch, 10 epochs, k = 4: how many updates?")
updates, left, weights = leaky(10)
even, none_left, _ = leaky(8)
repaired, rest, _ = leaky(10, flush=True)
lesson.reveal(len(updates))
lesson.say(f"  8 batches:  {even[:6]} ..., {len(even)} updates",
           f"  10 batches: {updates[:6]} ..., {len(updates)} updates, "
           f"{left} batches never used",
           f"  repaired:   {repaired[:6]} ..., {len(repaired)} updates")
assert set(even) == {4} and not none_left, \
    "4 divides 8: each update has 4 batches, and none is left over"
assert 6 in updates and left == 2, \
    "2 batches are left in the buffer, and join the next epoch's first step"
assert repaired == [4, 4, 2] * 10 and rest == 0, \
    "repaired, each batch is used in its own epoch: look at `flush`"

# %% [markdown]
# **Break it.** Take `leaky(10, k=5)`. Does it leak? For which k does it not?
#
# minipar's trainer cannot leak: it draws one batch first, and then splits it
# (`--micro-batches 4`). An update is always one batch.

# %% [markdown]
# ## 5 · What it saves, and what it costs
#
# For backward, a model keeps the results of its forward pass, the *activations*.
# They grow with the number of samples that are computed at once. With k pieces, this
# number is only N/k. The gradient buffer is as large as the weights, whatever k is.
#
# We count bytes in two ways. `allocation` measures what NumPy has allocated. `tape`
# is a formula. (The *tape* is the record of the forward pass that backward reads;
# the formula gets `computed_pairs`, which counts the pairs of tokens in attention.)

# %%


def held(k):
    """Bytes of activations of one piece, and of the gradient buffer."""
    piece = np.array_split(rows, k)[0]
    model = mp.GPT(TOY)
    flat = Flat(model.parameters())
    with allocation() as used:
        loss = model.loss(inputs[piece], targets[piece], count=targets.size)
        activations = used.now
    mp.backward(loss)
    return activations, flat.gradient().nbytes


lesson.predict("From k = 1 to k = 16, by which factor do activations fall?")
held(1)                 # a first call also makes arrays that stay
PIECES = [1, 2, 4, 8, 16]
bytes_held = {k: held(k) for k in PIECES}
formula = {k: sum(tape(TOY, BATCH // k, 4, computed_pairs).values())
           for k in PIECES}
lesson.reveal(round(bytes_held[1][0] / bytes_held[16][0], 1))
lesson.table(("k", "activations, bytes", "by formula", "gradient buffer"),
             *((k, *(f"{size:,}" for size in
                     (bytes_held[k][0], formula[k], bytes_held[k][1])))
               for k in PIECES))
lesson.picture(draw_pieces({k: size for k, (size, _) in bytes_held.items()},
                           formula, bytes_held[1][1]))
assert all(bytes_held[k][0] == formula[k] for k in PIECES), \
    "measured bytes equal the formula: compare the two columns of the table"
assert 15 < bytes_held[1][0] / bytes_held[16][0] < 16, \
    "activations fall nearly as 1/k"
assert len({gradient for _, gradient in bytes_held.values()}) == 1, \
    "the gradient buffer does not depend on k"

# %% [markdown]
# The cost: the k pieces together need as many multiplications as the batch at once.
# But a fast device is less efficient on small matrices, so choose the smallest k that
# fits into memory. The smallest piece is one sample. If even that does not fit,
# accumulation does not help.

# %% [markdown]
# ## 6 · Exercises
#
# `minipar exercise start NAME` begins one of chapter 4, and checks it:
#
# * `padded_pieces`: texts differ in length, and padding does not count. So two
#   pieces with the same number of samples can have different numbers of tokens.
#   The mean of the pieces' means is then wrong even if all pieces have 4 samples.
#   By what must each piece divide?
# * `average_or_sum`, `uneven_shards`, `accumulate_then_reduce`: the same question
#   on several ranks.
#
# `ledger_of_a_7b_model` and `peak_activations` of chapter 7 are about memory.

# %% [markdown]
# ## 7 · Does it slow convergence? (optional)
#
# Compared with the same batch at once: no, it is the same step (section 2).
# Compared with one update after *every* piece, at the same rate: there are fewer
# steps, but each has less noise. We measure which of the two effects wins, with 40
# linear regressions, pieces of 2 samples, and k = 4.

# %%
EPOCHS, SEEDS, PER_PIECE = 20, 40, 2


def excess(seed, every, rate=0.1):
    """Loss above the least possible one, after each epoch."""
    x = stream(seed, "x").normal(size=(128, 6))
    noise = stream(seed, "noise").normal(size=128)
    y = x @ stream(seed, "true").normal(size=6) + 0.5 * noise
    best = np.linalg.lstsq(x, y, rcond=None)[0]
    theta, losses = np.zeros(6), []
    for epoch in range(EPOCHS):
        order = stream(seed, "order", epoch).permutation(128)
        for block in order.reshape(-1, every * PER_PIECE):
            error = x[block] @ theta - y[block]
            theta = theta - rate * x[block].T @ error / len(block)
        losses.append((((x @ theta - y) ** 2).mean()
                       - ((x @ best - y) ** 2).mean()) / 2)
    return losses


lesson.predict("Nearer to the minimum after 20 epochs is: an update ...",
               ["after every piece", "after every 4 pieces"])
often, seldom = (np.array([excess(seed, every) for seed in range(SEEDS)])
                 for every in (1, K))           # [seeds, epochs]
lesson.reveal("after every 4 pieces"
              if seldom[:, -1].mean() < often[:, -1].mean()
              else "after every piece")
lesson.table(("epochs", "update after every piece", f"after every {K}"),
             *((epoch, often[:, epoch - 1].mean(),
                seldom[:, epoch - 1].mean()) for epoch in (1, 2, 5, 20)))

# %% [markdown]
# ## 8 · What the documents say (optional)
#
# Covers: F9 F21 A9 C7 N32 N37 N38 N41 E38
#
# Document 002 gives gradient accumulation (梯度累积, E38) of small batches (小批量)
# as a formula and as code, and the two differ. Ids such as F9 are rows of INDEX.md;
# R9 and the like are rows of ERRATA.md, the list of errors in the documents.
#
# * A9 (001, 2.3; 002, 2.2.1 and 3.3): choose k, for example 2 or 4 (N37); add up
#   k gradients; update once. Right, if all are taken at the same weights.
# * F9 (002, 4.3.1), as written: `G_t = Σ_{i=1..k} g_{t-i+1}`. Here g_t is the
#   gradient of step t. This is wrong in two ways (R9). First, it is a sum, which acts
#   as a rate k times as large. Second, it is defined for every t: applied at every
#   step it is a sliding window, which uses each gradient up to k times. Corrected:
#   G_t = 1/k Σ g, only where t is divisible by k.
# * F21 (002, 5.3), as written: `loss = loss / accumulation_steps`, and a step if
#   `(i + 1) % accumulation_steps == 0`. Right for pieces of equal size. Corrected:
#   each sum divided by N, the size of the whole batch.
# * C7 (002, 5.3): the loop of section 4, for 10 epochs (N37). It leaks (R30).

# %%
g = np.arange(1, 9)                             # gradients 1 to 8
G = np.array([g[max(t - K, 0):t].sum() for t in range(1, 9)])    # F9
lesson.say(f"  gradients {g.tolist()}; F9 gives {G.tolist()}",
           f"  applied at every step: {G.sum()}; at every {K}th: "
           f"{G[K - 1::K].sum()}; there are {g.sum()}")
assert all(off < 1e-12 for off, _ in found.values()), \
    "E38 A9: the pieces add up to the batch, to 1e-12"
assert found["2 of 8"][1] < 1e-12 and found["4 of 4"][1] < 1e-12, \
    "F21: right for pieces of equal size"
assert found["6, 6 and 4"][1] > 0.01, \
    "F21: wrong for 6, 6 and 4: samples must be weighted"
assert f"{averaged[-1]:.4f} {added[-1]:.0e}" == "0.0028 1e+63", \
    "F9: the mean arrives, the sum ends at 1e63 (R9)"
assert f"{limit:.3f} {limit / K:.3f}" == "1.305 0.326", \
    "F9: rates below 1.305 for the mean, below 0.326 for the sum"
assert adam_apart < 1e-6, "F9 F21: Adam does the same with either"
assert (G.sum(), G[K - 1::K].sum(), g.sum()) == (100, 36, 36), \
    "F9: a sliding window applies 100 where there are 36"
assert weights == 55 and len(even) == 20 and set(even) == {4}, \
    "N37: 55 weights; 8 batches, 20 updates of 4"
assert len(updates) == 20 and left == 2 \
    and updates == [4, 4] + [6, 4] * 9, \
    "C7 N37: 10 batches give 20 updates, not 25, and 2 are left over (R30)"
assert repaired == [4, 4, 2] * 10, "C7: repaired, nothing leaks"

# %% [markdown]
# ### Memory and speed
#
# * N32 (002, 2.2.1): less memory, because only the accumulated gradient is stored,
#   not that of each small batch. Wrong reason (R10): there is one gradient buffer
#   in either case. What shrinks is activations.
# * N38 (002, 6): so texts can be longer, and images larger. Wrong (R26): the
#   smallest piece is one sample, and its activations do not depend on k.
# * N41 (002, 8.3): it slows convergence a little, as updates are rarer. Compared
#   with an update after every piece: at first, and not in the end (section 7).
#
# A large model: 24 layers of width 4096, 16 samples of 1024 tokens, float32.

# %%
large = {k: float(published(24, 4096, 32, 1024, 16 // k, itemsize=4)) / GIB
         for k in (1, 4, 16)}
gradient_gib = 24 * 12 * 4096**2 * 4 / GIB
floor = {tokens: float(published(24, 4096, 32, tokens, 1, itemsize=4)) / GIB
         for tokens in (1024, 4096)}
refused = refusal(lambda: mp.TrainConfig(batch=BATCH,
                                         micro_batches=2 * BATCH))
lesson.table(("k", "activations, GiB", "gradient, GiB"),
             *((k, f"{size:.1f}", gradient_gib)
               for k, size in large.items()))
lesson.say(f"  one sample of 1024 tokens: {floor[1024]:.1f} GiB, of 4096: "
           f"{floor[4096]:.1f} GiB, at any k",
           "  smaller pieces? minipar says:")
lesson.wrapped(refused)

# %%
assert all(bytes_held[k][0] == formula[k] for k in PIECES), \
    "N32: activations are what the formula says, to the byte"
assert 15 < bytes_held[1][0] / bytes_held[16][0] < 16 \
    and len({gradient for _, gradient in bytes_held.values()}) == 1, \
    "N32: activations fall with k, the gradient buffer does not (R10)"
assert [f"{size:.1f}" for size in large.values()] \
    == ["222.0", "55.5", "13.9"] and gradient_gib == 18, \
    "N32: 222, 55.5, 13.9 GiB at k = 1, 4, 16; 18 GiB of gradient each time"
assert [f"{size:.1f}" for size in floor.values()] == ["13.9", "145.5"], \
    "N38: 13.9 and 145.5 GiB for one sample, at any k (R26)"
assert "leave some empty" in refused, \
    "N38: below one sample there is nothing to split"
assert seldom[:, 0].mean() > often[:, 0].mean(), \
    "N41: after one epoch rarer updates are behind"
assert seldom[:, -1].mean() < often[:, -1].mean() \
    and (seldom[:, -1] < often[:, -1]).mean() > 0.9, \
    "N41: after 20 epochs they are ahead, having less noise"
