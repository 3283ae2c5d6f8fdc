# %% [markdown]
# # 02 · "Adam" as written, and Adam
#
# You train a model by gradient descent. With a rate of 0.03 the loss explodes.
# With 0.01 it falls, but so slowly that you wait for days. A friend says: take
# Adam. You do, at 0.03, and it works. What did it do? And which of your settings
# mean something else now?
#
# The loss is often a long narrow valley, steep across and flat along:
#
#     gradient descent          Adam
#      \   /\   /\               \
#       \ /  \ /  \ ...           \________ ...
#     jumps from side to side   takes steps of the same size both ways
#
# After this lesson you can compute two steps of Adam by hand, say how far it
# moves a weight, choose between Adam and AdamW, and say why rates start small.
#
# You need lesson 1. The core path takes 35 minutes; the section marked
# "(optional)" does not belong to it.
#
# Run me: `minipar lesson teach 2` (step by step) or `minipar lesson run 2`.

# %%
from collections.abc import Callable

import numpy as np
from minipar.lessons.plots.adam import draw_adam
from minipar.lessons.support.lesson import Lesson

import minipar as mp
from minipar import autograd as ag
from minipar.nn import Parameter, Start
from minipar.optim import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Flat,
    Optimizer,
    constant,
    warm_up,
)
from minipar.rng import stream

lesson = Lesson("02_adam", ranks=1)
MakeOptimizer = Callable[[Flat], Optimizer]


# %%
def run(make: MakeOptimizer, loss: Callable[[mp.Tensor, int], mp.Tensor],
        start: np.ndarray, lr: Callable[[int], float],
        steps: int) -> np.ndarray:
    """The weights before and after each step [steps + 1, ...];
    loss(weights, step) is a scalar.
    """
    w = Parameter("w", start.shape, Start())
    w.data = start.astype(np.float64)
    flat = Flat([w])
    optimizer, visited = make(flat), [w.data.copy()]
    for step in range(steps):
        flat.zero_grad()
        mp.backward(loss(w, step))
        optimizer.step(lr(step))
        visited.append(w.data.copy())
    return np.array(visited)


# %% [markdown]
# ## 1 · Two steps of Adam, by hand
#
# *Gradient descent* (SGD) moves a weight by the rate times its gradient. *Adam*
# (Kingma and Ba 2015) keeps two running means for each weight, m of the gradient
# g and v of its square, and divides one by the root of the other:
#
#     m ← 0.9 m + 0.1 g             m' = m / (1 - 0.9^t)
#     v ← 0.999 v + 0.001 g²        v' = v / (1 - 0.999^t)
#     θ ← θ - η m' / (√v' + ε)
#
# Both means begin at zero, so at first they are too small; the division by
# 1 - β^t (the *bias correction*) fixes that. Take θ = 1, η = 0.1, and the
# gradient 2, twice:
#
# | t | m | v | m' | v' | step | θ |
# |---|---|---|---|---|---|---|
# | 1 | 0.2 | 0.004 | 2 | 4 | 0.1 | 0.9 |
# | 2 | 0.38 | 0.007996 | 2 | 4 | 0.1 | ? |

# %%
def adam_by_hand(gradients: np.ndarray, theta: np.ndarray, eta: float,
                 beta1: float = 0.9, beta2: float = 0.999,
                 eps: float = 1e-8) -> np.ndarray:
    """The formulas above, letter by letter: every θ after the first."""
    m, v, visited = np.zeros_like(theta), np.zeros_like(theta), []
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        corrected = (m / (1 - beta1**t)), (v / (1 - beta2**t))
        theta = theta - eta * corrected[0] / (np.sqrt(corrected[1]) + eps)
        visited.append(theta)
    return np.array(visited)


def along(gradient: np.ndarray) -> Callable[[mp.Tensor, int], mp.Tensor]:
    """A loss whose gradient is this array, everywhere."""
    return lambda w, step: ag.sum(w * mp.Tensor(gradient))


lesson.predict("What is θ after the second step?")
by_hand = adam_by_hand(np.array([2.0, 2.0]), np.array(1.0), 0.1)
minipars = run(Adam, along(np.array([2.0])), np.ones(1), constant(0.1), 2)
minipars = minipars[1:, 0]
lesson.reveal(round(float(by_hand[-1]), 6))
lesson.table(("t", "by hand", "minipar"), *(
    (t, *map(float, pair))
    for t, pair in enumerate(zip(by_hand, minipars, strict=True), 1)))
assert np.allclose(by_hand, [0.9, 0.8], rtol=1e-7), \
    "two steps of the rate: look at the correction of m and of v"
assert np.allclose(minipars, by_hand, rtol=1e-12, atol=0), \
    "the library computes what you computed by hand"

# %% [markdown]
# **Break it.** In `adam_by_hand`, leave the correction of m out: write `m` for
# `(m / (1 - beta1**t))`. Which θ do you get, and which line stops you?

# %% [markdown]
# ## 2 · How far does a weight move?
#
# In the table above the step was 0.1 = η, and the gradient of 2 cancelled: 2/√4.
# This is the point of Adam. Now three weights with gradients of 100, 1 and 0.01,
# at η = 0.1. Gradient descent moves them by 10, 0.1 and 0.001.

# %%
G = np.array([100.0, 1.0, 0.01])


def first_step(make: MakeOptimizer, gradient: np.ndarray) -> np.ndarray:
    zeros = np.zeros(len(gradient))
    visited = run(make, along(gradient), zeros, constant(0.1), 1)
    return visited[0] - visited[1]


lesson.predict(
    "Gradient 0.01, rate 0.1: how far does Adam move the weight?"
)
first = {"SGD": first_step(SGD, G), "Adam": first_step(Adam, G),
         "Adagrad": first_step(Adagrad, G)}
lesson.reveal(round(float(first["Adam"][2]), 6))
lesson.table(("first step for", "100", "1", "0.01"), *(
    (name, *map(float, step)) for name, step in first.items()))
assert np.allclose(first["Adam"], 0.1, rtol=2e-6), \
    "Adam steps by the rate, whatever the gradient: read its row"

# %% [markdown]
# So a rate means two things: for SGD a factor, for Adam a *length*. And Adam
# hides wrong scales: a gradient that is 1000 times too large changes nothing.
# (*Adagrad* divides by the root of the sum of all squares, without forgetting.)

# %% [markdown]
# ## 3 · The valley
#
# The bowl ½ (100 a² + b²) bends a hundred times more along a than along b. A step
# of gradient descent multiplies a by 1 - 100 η, and b by 1 - η (lesson 1). It
# needs η < 2/100, and then b is slow.

# %%
BOWL = mp.Tensor(np.array([50.0, 0.5]))


def bowl(w: mp.Tensor, step: int = 0) -> mp.Tensor:
    return ag.sum(BOWL * w * w)


def bowl_losses(visited: np.ndarray) -> np.ndarray:
    return (visited**2 * BOWL.data).sum(axis=1)


def with_momentum(flat: Flat) -> Optimizer:
    return SGD(flat, momentum=0.9)


lesson.predict("From (1, 1), 200 steps at 0.03: which ends nearer to 0?",
               ["SGD", "Adam", "both diverge"])
paths = {name: run(make, bowl, np.ones(2), constant(rate), 200)
         for name, make, rate in (
    ("SGD 0.03", SGD, 0.03), ("SGD 0.019", SGD, 0.019),
    ("Adam 0.03", Adam, 0.03), ("Adagrad 0.3", Adagrad, 0.3),
    ("SGD 0.0021, momentum 0.9", with_momentum, 0.0021))}
final = {name: float(bowl_losses(visited)[-1])
         for name, visited in paths.items()}
lesson.reveal("Adam")
lesson.table(("optimizer and rate", "loss after 200 steps"),
             *((name, f"{loss:.1e}") for name, loss in final.items()))
lesson.picture(draw_adam({
    name: (visited, bowl_losses(visited))
    for name, visited in paths.items()}, BOWL.data))
assert final["Adam 0.03"] < 1e-6 < 1e6 < final["SGD 0.03"], \
    "SGD multiplies a by -2 in each step; Adam's steps stay at 0.03"

# %% [markdown]
# **Break it.** Give SGD 0.0199, then 0.0201. One per cent decides.
#
# Adam is not a better gradient descent, it is another one. Its steps keep their
# size where the gradient gets small. So with a constant rate it never comes to
# rest once gradients are noisy. (Adagrad wins this race at ten times the rate,
# since nothing is noisy here. In a long training its steps get ever smaller.)

# %% [markdown]
# ## 4 · Weight decay: Adam and AdamW
#
# *Weight decay* pulls each weight a little towards zero. One way is a penalty,
# which adds λ w to the gradient. But Adam divides a gradient by its size! A
# weight whose only gradient is the penalty moves by the whole rate. *AdamW*
# (Loshchilov and Hutter 2019) shrinks the weight beside the gradient: by η λ w.
#
# Take a weight of 1 whose loss has no gradient at all, λ = 0.1, η = 0.001.

# %%
def decayed(make: MakeOptimizer) -> float:
    # a matrix, since vectors do not decay
    visited = run(make, lambda w, step: ag.sum(w * 0.0), np.ones((1, 1)),
                  constant(1e-3), 1)
    return float(visited[0, 0, 0] - visited[1, 0, 0])


lesson.predict("How far does AdamW move the weight in one step?")
l2 = decayed(lambda flat: Adam(flat, weight_decay=0.1))
decoupled = decayed(lambda flat: AdamW(flat, weight_decay=0.1))
lesson.reveal(round(decoupled, 12))
lesson.table(("", "moves by"), ("Adam with a penalty", f"{l2:.1e}"),
             ("AdamW", f"{decoupled:.1e}"))
assert abs(decoupled - 1e-3 * 0.1 * 1) < 1e-16, \
    "rate times decay times weight: with a penalty the decay cancels"

# %% [markdown]
# ## 5 · Warm-up
#
# Adam's first step has the full size in every direction, on the word of a single
# batch. So rates start small: a *schedule* multiplies the rate. The usual one
# rises from 0 to 1 in the *warm-up*, and falls to 0 in a straight line.

# %%
def linear_with_warm_up(warm: int, total: int) -> Callable[[int], float]:
    """The factor of the rate at each step."""
    return lambda step: (step / warm if step < warm
                         else (total - step) / (total - warm))


lesson.predict("Warm-up 10 of 100 steps: the factor at step 55?")
factors = [
    linear_with_warm_up(10, 100)(step) for step in (0, 5, 10, 55, 100)
]
lesson.reveal(factors[3])
ours = [warm_up(constant(1.0), 9)(step) for step in range(9)]
lesson.table(("step", 0, 5, 10, 55, 100), ("factor", *factors))
assert factors[0] == 0 and ours[0] > 0, \
    "its first step moves nothing; minipar's schedule is one step ahead"

# %% [markdown]
# ## 6 · What it costs
#
# Two means for each weight: Adam keeps 8 bytes where SGD keeps none. For a model
# of 7 billion weights that is a whole device. (Lesson 4 has the ledger, and how
# to share it out.)

# %%
lesson.predict("Adam's means, float32, 7e9 weights: how many GB?")
flat = Flat([Parameter("w", (1000,), Start())])
kept = sum(slot.nbytes for slot in Adam(flat).state.values())
lesson.reveal(kept * 7e9 / flat.data.size / flat.data.itemsize * 4 / 1e9,
              "GB")
assert kept == 2 * flat.data.nbytes, \
    "m and v: one array like the weights each"

# %% [markdown]
# ## 7 · Exercises
#
# `minipar exercise start NAME` begins one of chapter 8, and checks it:
#
# * `adam_step`: one step of Adam, with its bias correction;
# * `adam_comes_to_rest`: gradients get noise of standard deviation 1, so at a
#   constant rate Adam never rests (section 3). Find a schedule with which it
#   rests, with the same first rate and the same number of steps;
# * `loss_scaling` uses an optimiser, too.

# %% [markdown]
# ## 8 · What the documents say (optional)
#
# Covers: F11 E7 E8 E9 E10 E11
#
# 003 (4.1): suppose we have chosen the Adam optimiser (优化算法), with a learning
# rate (学习率) η; then the update is
#
#     θ ← θ - η ∇L(θ)                                          (F11)
#
# This is gradient descent (梯度下降), known since Cauchy (1847), and not Adam (R6).
# F11 also takes the gradient of all data; training takes that of a batch. The
# corrected form is section 1's.
#
# The documents name optimisers of PyTorch and TensorFlow; here they are
# `minipar.optim`: SGD (E9), Adagrad (E10), Adam (E7), AdamW (E8), and the
# schedule `get_linear_schedule_with_warmup` (E11), which 000 imports and never
# calls.

# %%
assert np.allclose(first["SGD"], [10, 0.1, 0.001], 1e-14, 0), \
    "F11 E9: gradient descent steps 10, .1, .001"
assert np.allclose(first["Adam"], [0.1, 0.1, 0.1], rtol=2e-6), \
    "F11 E7: Adam steps .1, .1, .1: the rate, whatever the gradient"
assert np.allclose(first["Adagrad"], 0.1 * np.sign(G), rtol=1e-7), \
    "E10: Adagrad's first step is the rate times the sign"
assert np.allclose(by_hand, [0.9, 0.8], rtol=1e-7) \
    and np.allclose(minipars, by_hand, rtol=1e-12, atol=0), \
    "F11 E7: two steps by hand end at .9 and .8, and minipar's too"
noise = stream(0, "gradients").normal(size=(300, 5)) * 10.0 ** np.arange(
    -2, 3
)


def on_noise(make: MakeOptimizer, factor: float = 1.0) -> np.ndarray:
    return run(make, lambda w, step: ag.sum(w * mp.Tensor(
        factor * noise[step])), np.zeros(5), constant(0.01), 300)[1:]


many, larger = on_noise(Adam), on_noise(Adam, 1000)
assert np.allclose(many, adam_by_hand(noise, np.zeros(5), 0.01),
                   rtol=1e-9, atol=1e-12), "E7: and 300 random gradients"
assert abs(larger - many).max() < 1e-4, \
    "E7: a gradient 1000 times too large changes nothing"
squares = np.cumsum(noise**2, axis=0)
assert np.allclose(
    on_noise(Adagrad), -np.cumsum(0.01 * noise / np.sqrt(squares), axis=0),
    rtol=1e-6), "E10: Adagrad sums all squares"

# %%
assert f"{final['SGD 0.03']:.0e}" == "1e+122", \
    "F11 E9: at .03 gradient descent ends at 1e122"
assert f"{final['Adam 0.03']:.1e}" == "3.6e-08", \
    "F11 E7: at .03 Adam ends at 3.6e-8"
below, above = (abs(run(SGD, bowl, np.ones(2), constant(rate), 200)[-1, 0])
                for rate in (0.0199, 0.0201))
assert below < 1 < above, \
    "E9: it converges below 2/lambda_max = .02 and diverges above"
assert abs(l2 - 1e-3) < 1e-9, \
    "E8: with L2 Adam moves by the whole rate, 1.0e-3, whatever the decay"
assert abs(decoupled - 1e-4) < 1e-16, \
    "E8: AdamW moves it by lr wd w = 1.0e-4, exactly"
assert factors == [0, 0.5, 1, 0.5, 0], \
    "E11: the factors are 0, .5, 1, .5, 0"
assert np.allclose(ours, [linear_with_warm_up(10, 100)(step + 1)
                          for step in range(9)]), \
    "E11: minipar's is one step ahead"
