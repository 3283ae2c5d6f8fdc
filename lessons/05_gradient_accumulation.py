# %% [markdown]
# # 05 · Gradient accumulation: a large batch in small pieces
#
# Covers: F9 F21 A9 C7 N32 N37 N38 N41 E38
#
# A batch that does not fit into memory is computed in k pieces, the micro-batches (小批量), whose gradients are added up
# before one step of the optimiser (梯度累积). 002 gives the formula and the code, and they differ:
#
# | | where | as written | verdict |
# |---|---|---|---|
# | F9 | 002, 4.3.1 | `G_t = Σ_{i=1..k} g_{t-i+1}` | a sum, and defined for every t |
# | F21 | 002, 5.3 | `loss = loss / accumulation_steps`; step if `(i + 1) % accumulation_steps == 0` | a mean, over blocks |
# | A9 | 002, 3.3 | choose k, for example 2 or 4 (N37); accumulate; update | right, if all g are taken at one θ |
#
# The claim: the pieces are the batch, to the last digits, if each is divided by the size of the whole. The sum and the mean
# are two learning rates, and one of them diverges. What accumulation saves is activations, not gradients.
#
# Errors of the documents that turn up here: R9, R10, R26, R30 (see ERRATA.md).
#
# Run me: `python lessons/05_gradient_accumulation.py`, or cell by cell in an editor.

# %%
from collections.abc import Callable

import numpy as np
from minipar.lessons.plots.gradient_accumulation import draw_gradient_accumulation
from minipar.lessons.support.allocation import allocation
from minipar.lessons.support.lesson import Lesson, refusal

import minipar as mp
from minipar.autograd import mean
from minipar.nn import Linear, Parameter, Start
from minipar.nn.counts import computed_pairs
from minipar.optim import SGD, Adam, Flat, Optimizer
from minipar.plan.activations import published, tape
from minipar.rng import stream

lesson = Lesson("05_gradient_accumulation", ranks=1)
GIB = 2**30

# %% [markdown]
# ## 1 · The pieces are the batch
#
# The loss is a mean over the N tokens of the batch. If each piece divides its sum by that same N, then the pieces' losses add
# up to the loss of the batch, and gradients do too:
#
#     Ĝ = Σ_i n_i g_i / Σ_i n_i          (n_i samples in piece i, g_i the gradient of its own mean)
#
# F21 divides each piece's own mean by k instead. That is the same thing for pieces of equal size, and another one for others.
#
# **Predict before you run:** 16 samples in pieces of 6, 6 and 4. How far off is the mean of the three means: in the last
# digits, by a percent, or by more?
#
# **Break it on purpose:** below, let each piece divide by its own tokens: `count=targets[rows].size` for `count=targets.size`.
# That is F9 as written. Which line stops you, and by which factor is the gradient wrong?

# %%
TOY = mp.ModelConfig(vocabulary=32, context=24, layers=2, heads=2, width=32)
BATCH = 16
text = stream(0, "text").integers(0, TOY.vocabulary, (BATCH, TOY.context + 1))
inputs, targets = text[:, :-1], text[:, 1:]                         # [B, T]


def accumulated(pieces: list[np.ndarray]) -> np.ndarray:
    """The gradient of the batch, piece by piece at the same weights."""
    model = mp.GPT(TOY, dtype=np.float64)
    flat = Flat(model.parameters())
    for rows in pieces:
        mp.backward(model.loss(inputs[rows], targets[rows], count=targets.size))
    return flat.gradient()


def mean_of_means(pieces: list[np.ndarray]) -> np.ndarray:
    """F21: each piece's own mean, divided by the number of pieces."""
    model = mp.GPT(TOY, dtype=np.float64)
    flat = Flat(model.parameters())
    for rows in pieces:
        mp.backward(model.loss(inputs[rows], targets[rows]) * (1 / len(pieces)))
    return flat.gradient()


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference, relative to the largest element."""
    return float(abs(one - other).max() / abs(other).max())


rows = np.arange(BATCH)
batch = accumulated([rows])
uneven = np.split(rows, [6, 12])                                    # 6, 6 and 4 samples
cuts = {f"{k} of {BATCH // k}": np.split(rows, k) for k in (2, 4, 8, 16)} | {"6, 6 and 4": uneven}
lesson.say(f"1 · {BATCH} samples in pieces: the gradient against that of the whole batch")
lesson.table(("pieces", "divided by all tokens", "mean of means, F21"),
             *((name, apart(accumulated(cut), batch), apart(mean_of_means(cut), batch)) for name,
               cut in cuts.items()))
assert all(apart(accumulated(cut), batch) < 1e-12
           for cut in cuts.values()), "E38 A9: the pieces add up to the batch, to 1e-12"
assert all(apart(mean_of_means(np.split(rows, k)), batch) < 1e-12
           for k in (2, 4)), "F21: right for pieces of equal size"
assert apart(mean_of_means(uneven),
             batch) > 0.01, "F21: wrong, and not by rounding, for 6, 6 and 4: samples must be weighted"

# %% [markdown]
# ## 2 · Sum or mean: a learning rate in disguise
#
# F9 adds up (R9). With means g_i, its sum is k times the gradient of the batch, so the learning rate is k times what one
# believes it to be. Gradient descent on a bowl of curvature λ converges for rates below 2/λ. Least squares on 16 samples, whose
# curvatures are 1.533 and 0.058, in 4 pieces:
#
# **Predict:** at a rate of 0.5, which of the two diverges? And with Adam, which divides by the size of its gradients?

# %%
K, RATE, STEPS = 4, 0.5, 200
CURVATURES = np.array([1.533, 0.058])
directions, _ = np.linalg.qr(stream(0, "directions").normal(size=(16, 2)))
X = directions * np.sqrt(16 * CURVATURES)                           # [16, 2], X^T X / 16 = diag(curvatures)
assert np.allclose(X.T @ X / 16, np.diag(CURVATURES))


def descent(divide: bool, make: Callable[[Flat], Optimizer], rate: float = RATE) -> list[float]:
    """The distance from the best weights, 0, after each step: the gradients of K pieces are summed, or
    divided by K.
    """
    theta = Parameter("theta", (2, 1), Start(mean=1.0))
    theta.initialise(0, np.float64)
    flat = Flat([theta])
    optimizer, distances = make(flat), []
    for _ in range(STEPS):
        flat.zero_grad()
        for piece in np.split(X, K):
            error = mp.Tensor(piece) @ theta
            mp.backward(mean(error * error) * (0.5 / (K if divide else 1)))
        optimizer.step(rate)
        distances.append(float(abs(theta.data).max()))
    return distances


def converges(rate: float, divide: bool) -> bool:
    return descent(divide, SGD, rate)[-1] < 1


averaged, added = descent(True, SGD), descent(False, SGD)
adam_averaged, adam_added = descent(True, Adam, 0.01), descent(False, Adam, 0.01)
adam_apart = max(abs(one - other) for one, other in zip(adam_averaged, adam_added, strict=True))
limit = 2 / CURVATURES[0]
lesson.say(f"2 · distance from the minimum after {STEPS} steps, rate {RATE}")
lesson.table(("", "mean", "sum"), ("SGD", averaged[-1], added[-1]),
             ("Adam, rate 0.01", adam_averaged[-1], adam_added[-1]), ("SGD's largest rate", limit, limit / K))
assert f"{averaged[-1]:.4f}" == "0.0028" and f"{added[-1]:.0e}" == "1e+63", (
    "F9: the mean arrives, the sum ends at 1e63 (R9)"
)
assert f"{limit:.3f} {limit / K:.3f}" == "1.305 0.326", (
    "F9: rates must stay below 1.305 for the mean, 0.326 for the sum"
)
assert [converges(0.99 * top, divide) and not converges(1.01 * top, divide) for top, divide in
        ((limit, True),
         (limit / K, False))] == [True, True], "F9: and these limits are where SGD really turns over"
assert adam_apart < 1e-6, "F9 F21: Adam does the same with either, so that it would hide the mistake"

# %% [markdown]
# ## 3 · A block, not a window
#
# F9 is defined for every t: the sum of the last k gradients. Applied at every step it is a sliding window, and each gradient is
# used up to k times. Applied at every k-th step, t ≡ 0 (mod k), it is accumulation. With gradients 1 to 8 and k = 4:

# %%
g = np.arange(1, 9)
G = np.array([g[max(t - K, 0) : t].sum() for t in range(1, 9)])  # F9, with what there is for the first steps
lesson.say(f"3 · gradients {g.tolist()}: F9 gives {G.tolist()}",
           f"    applied at every step {G.sum()}, at every {K}th {G[K - 1 :: K].sum()}; there are {g.sum()}",
           "")
assert (G.sum(), G[K - 1 :: K].sum(),
        g.sum()) == (100, 36, 36), "F9: a sliding window applies 100 where there are 36"

# %% [markdown]
# ## 4 · The code of 002 leaks
#
# 002 (5.3) trains a layer of 10 by 5 for 10 epochs, k = 4 (C7). It counts batches anew in each epoch and clears gradients only
# after a step. If the number of batches does not divide by k, what is left over stays in the gradient and joins the first step
# of the next epoch: R30.
#
# **Predict:** 10 batches per epoch. How many updates are there in 10 epochs, and of how many batches is each?

# %%


def code_of_002(batches: int, k: int = 4, epochs: int = 10,
                flush: bool = False) -> tuple[list[int], int, int]:
    """C7 line by line: how many batches are in each update, how many are left over, and how many weights the
    layer has.

    flush: the repair. At the end of an epoch the rest takes a step of its own, with weight k / rest.
    """
    layer = Linear("layer", 10, 5)
    layer.initialise(0, np.float64)
    flat = Flat(layer.parameters())
    optimizer, updates, waiting = Adam(flat), [], 0

    def step(scale: float = 1.0) -> None:
        nonlocal waiting
        flat.grad *= scale
        optimizer.step(1e-3)
        flat.zero_grad()
        updates.append(waiting)
        waiting = 0

    for epoch in range(epochs):
        for i in range(batches):
            x, y = (stream(0, part, epoch, i).normal(size=(8, width)) for part,
                    width in (("x", 10), ("y", 5)))
            error = layer(mp.Tensor(x)) - mp.Tensor(y)
            mp.backward(mean(error * error) * (1 / k))
            waiting += 1
            if (i + 1) % k == 0:
                step()
        if flush and waiting:
            step(k / waiting)
    return updates, waiting, flat.data.size


updates, left, weights = code_of_002(10)
even, none_left, _ = code_of_002(8)
repaired, rest, _ = code_of_002(10, flush=True)
lesson.say("4 · batches per update of 002's loop, k = 4",
           f"    8 batches per epoch: {even[:6]} ..., {len(even)} updates",
           f"    10 batches:          {updates[:6]} ..., {len(updates)} updates, {left} batches never used",
           f"    repaired:            {repaired[:6]} ..., {len(repaired)} updates", "")
assert weights == 55 and len(even) == 20 and set(even) == {4} and not none_left, (
    "N37: 55 weights; 8 batches, 20 updates of 4"
)
assert len(updates) == 20 and updates == [4, 4] + [6, 4] * 9 and left == 2, (
    "C7 N37: 10 batches give 20 updates, not 25: 4, 4, 6, 4, 6, 4 ..., each batch weighted by 1/4, and 2 left over (R30)"
)
assert repaired == [4, 4, 2] * 10 and rest == 0, "C7: repaired, every batch is used in its own epoch"

# %% [markdown]
# minipar's trainer cannot leak: it draws the batch first and then cuts it, so that an update is one batch, whatever the number
# of pieces (`--micro-batches`).
#
# ## 5 · What it saves
#
# 002 (2.2.1): accumulation needs less memory because only the accumulated gradient is stored, not that of each mini-batch. But
# there is one gradient buffer in either case, as large as the weights (R10). What shrinks is activations: those of B/k samples
# are alive at a time.
#
# **Predict:** the batch has 16 samples. From k = 1 to k = 16, by which factor do activations fall? And from 16 to 32?

# %%


def held(k: int) -> tuple[int, int]:
    """Bytes alive for activations when the forward pass of the first of k pieces is done, and of the gradient
    buffer.
    """
    piece = np.array_split(rows, k)[0]
    model = mp.GPT(TOY)
    flat = Flat(model.parameters())
    with allocation() as used:
        loss = model.loss(inputs[piece], targets[piece], count=targets.size)
        activations = used.now
    mp.backward(loss)
    return activations, flat.gradient().nbytes


held(1)                                                             # what is made once and kept
PIECES = [1, 2, 4, 8, 16]
bytes_held = {k: held(k) for k in PIECES}
predicted = {k: sum(tape(TOY, BATCH // k, 4, computed_pairs).values()) for k in PIECES}
model_of_r10 = {k: float(published(24, 4096, 32, 1024, 16 // k, itemsize=4)) / GIB for k in (1, 4, 16)}
gradient_of_r10 = 24 * 12 * 4096**2 * 4 / GIB
floor = {s: float(published(24, 4096, 32, s, 1, itemsize=4)) / GIB for s in (1024, 4096)}
lesson.say("5 · bytes alive, measured; and by formula for 24 layers of width 4096, 16 samples of 1024 "
           "tokens, in GiB")
lesson.table(("k", "activations", "by formula", "gradient buffer", "large: activations", "gradient"),
             *((k, *(f"{nbytes:,}" for nbytes in (bytes_held[k][0], predicted[k], bytes_held[k][1])),
                *((f"{model_of_r10[k]:.1f}", gradient_of_r10) if k in model_of_r10 else ("", "")))
               for k in PIECES))
assert all(bytes_held[k][0] == predicted[k]
           for k in PIECES), "N32: activations are as the formula says, to the byte"
assert (
    15 < bytes_held[1][0] / bytes_held[16][0] < 16
    and len({gradient for _, gradient in bytes_held.values()}) == 1
), (
    "N32: activations fall with k, the gradient buffer does not: 002's reason is wrong (R10), its conclusion right"
)
assert [f"{value:.1f}" for value in model_of_r10.values()] == ["222.0", "55.5",
                                                               "13.9"] and gradient_of_r10 == 18, \
    "N32: 222, 55.5 and 13.9 GiB of activations at k = 1, 4, 16, and 18 GiB of gradient each time"

# %% [markdown]
# 002 (6) goes on: so one can process longer texts, and images of higher resolution. Only while there is something to cut. A
# piece has at least one sample, and its activations know nothing of k: R26.

# %%
refused = refusal(lambda: mp.TrainConfig(batch=BATCH, micro_batches=2 * BATCH))
lesson.say(f"    one sample of 1024 tokens needs {floor[1024]:.1f} GiB, of 4096 tokens {floor[4096]:.1f} "
           "GiB, at any k", f"    cut further? minipar says: {refused}", "")
assert [f"{value:.1f}" for value in floor.values()] == ["13.9", "145.5"], (
    "N38: 13.9 and 145.5 GiB for one sample, whatever k"
)
assert "leave some empty" in refused, "N38: below one sample there is nothing to cut"

# %% [markdown]
# ## 6 · Does it slow convergence?
#
# 002 (8.3): a little, as updates are rarer. Rarer than what? Against the same batch in one piece there is no difference at all
# (section 1). Against an update after every piece, with the same rate, there is: fewer steps, and less noise in each. 40 linear
# regressions, pieces of 2 samples, k = 4:
#
# **Predict:** which is nearer to the minimum after one epoch, and which after 20?

# %%
EPOCHS, SEEDS, PER_PIECE = 20, 40, 2


def excess(seed: int, every: int, rate: float = 0.1) -> list[float]:
    """Loss above the least possible one, after each epoch, with an update every `every` pieces."""
    x, noise = stream(seed, "x").normal(size=(128, 6)), stream(seed, "noise").normal(size=128)
    y = x @ stream(seed, "true").normal(size=6) + 0.5 * noise
    best, theta, losses = np.linalg.lstsq(x, y, rcond=None)[0], np.zeros(6), []
    for epoch in range(EPOCHS):
        for block in stream(seed, "order", epoch).permutation(128).reshape(-1, every * PER_PIECE):
            theta = theta - rate * x[block].T @ (x[block] @ theta - y[block]) / len(block)
        losses.append(((x @ theta - y) ** 2).mean() / 2 - ((x @ best - y) ** 2).mean() / 2)
    return losses


often, seldom = (np.array([excess(seed, every) for seed in range(SEEDS)])
                 for every in (1, K))         # [seeds, epochs]
lesson.say(f"6 · loss above the minimum, mean of {SEEDS} runs")
lesson.table(("epochs", "update after every piece", f"after every {K}"),
             *((epoch, often[:, epoch - 1].mean(), seldom[:, epoch - 1].mean()) for epoch in (1, 2, 5, 20)))
assert seldom[:, 0].mean() > often[:, 0].mean(), "N41: after one epoch rarer updates are behind"
assert seldom[:, -1].mean() < often[:, -1].mean() and (seldom[:, -1] < often[:, -1]).mean() > 0.9, \
    "N41: after 20 epochs they are ahead, having less noise"

# %% [markdown]
# ## The picture

# %%
lesson.picture(draw_gradient_accumulation({k: value[0] for k, value in bytes_held.items()}, predicted,
                                          bytes_held[1][1],
                                          {"mean": averaged, "sum, as F9 is written": added}))

# %% [markdown]
# **Exercise.** Texts differ in length. They are padded to 24 tokens, and the targets of padding are -1, which the loss ignores
# (`IGNORE` in `minipar/autograd/fused/cross_entropy.py`). Now pieces of equally many samples have different numbers of tokens.
# Draw a length for each of the 16 samples, and show that the mean of the pieces' means is off, in pieces of equal size too. By
# what does each piece have to divide, so that any cut gives the gradient of the whole batch again?
