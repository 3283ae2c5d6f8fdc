# %% [markdown]
# # 02 · "Adam" as written, and Adam
#
# Covers: F11 E7 E8 E9 E10 E11
#
# 003 (4.1): suppose we have chosen the Adam optimiser (优化算法), with a learning rate (学习率) η; then the update is
#
#     θ ← θ - η ∇L(θ)                                          (F11)
#
# This is gradient descent (梯度下降), known since Cauchy (1847). Adam (Kingma and Ba 2015) keeps two running means per
# parameter, of the gradient and of its square, and divides one by the root of the other (R6):
#
#     m_t = β1 m_{t-1} + (1 - β1) g_t         m' = m_t / (1 - β1^t)
#     v_t = β2 v_{t-1} + (1 - β2) g_t^2       v' = v_t / (1 - β2^t)         θ ← θ - η m' / (√v' + ε)
#
# F11 also takes the gradient of the whole data set; training takes that of a batch. The claim of this lesson: the name matters.
# The two differ in the size of every step, in the rates at which they diverge, and in what weight decay does.
#
# The documents name the optimisers of PyTorch and TensorFlow; here they are `minipar.optim`: SGD (E9), Adagrad (E10), Adam
# (E7), AdamW (E8), and the schedule `get_linear_schedule_with_warmup` (E11), which 000 imports and never calls.
#
# Run me: `python lessons/02_adam.py`, or cell by cell in an editor.

# %%
from collections.abc import Callable

import numpy as np
from minipar.lessons.plots.adam import draw_adam
from minipar.lessons.support.lesson import Lesson

import minipar as mp
from minipar import autograd as ag
from minipar.nn import Parameter, Start
from minipar.optim import SGD, Adagrad, Adam, AdamW, Flat, Optimizer, constant, warm_up
from minipar.rng import stream

lesson = Lesson("02_adam", ranks=1)
MakeOptimizer = Callable[[Flat], Optimizer]


def run(make: MakeOptimizer, loss: Callable[[mp.Tensor, int], mp.Tensor], start: np.ndarray,
        lr: Callable[[int], float], steps: int) -> np.ndarray:
    """Every place that the weights visit [steps + 1, ...], from `start`; loss(weights, step) is a scalar."""
    w = Parameter("w", start.shape, Start())
    w.data = start.astype(np.float64)
    flat = Flat([w])
    optimizer, places = make(flat), [w.data.copy()]
    for step in range(steps):
        flat.zero_grad()
        mp.backward(loss(w, step))
        optimizer.step(lr(step))
        places.append(w.data.copy())
    return np.array(places)


# %% [markdown]
# ## 1 · The size of a step
#
# Three parameters with gradients of very different size: 100, 1 and 0.01, and η = 0.1.
#
# **Predict before you run:** how far does each of the three parameters move in the first step of F11, and how far in Adam's?

# %%
G = np.array([100.0, 1.0, 0.01])


def along(gradient: np.ndarray) -> Callable[[mp.Tensor, int], mp.Tensor]:
    """A loss whose gradient is this array, everywhere."""
    return lambda w, step: ag.sum(w * mp.Tensor(gradient))


def first_step(make: MakeOptimizer, gradient: np.ndarray) -> np.ndarray:
    places = run(make, along(gradient), np.zeros(len(gradient)), constant(0.1), 1)
    return places[0] - places[1]


first = {"F11 as written (SGD)": first_step(SGD, G), "Adam": first_step(Adam, G),
         "Adagrad": first_step(Adagrad, G)}
lesson.say("1 · the first step for gradients 100, 1 and 0.01, learning rate 0.1")
lesson.table(("optimizer", "100", "1", "0.01"), *((name, *map(float, step)) for name, step in first.items()))
assert np.allclose(first["F11 as written (SGD)"], [10, 0.1, 0.001], 1e-14,
                   0), "F11 E9: gradient descent steps 10, .1, .001"
assert np.allclose(first["Adam"], [0.1, 0.1, 0.1],
                   rtol=2e-6), "F11 E7: Adam steps .1, .1, .1: the rate, whatever the gradient"
assert np.allclose(first["Adagrad"], 0.1 * np.sign(G),
                   rtol=1e-7), "E10: Adagrad's first step is the rate times the sign"

# %% [markdown]
# ## 2 · Adam by hand
#
# One parameter, θ = 1, the gradient is 2 and 2 again, η = 0.1, β1 = 0.9, β2 = 0.999:
#
# | t | m | v | m' | v' | step | θ |
# |---|---|---|---|---|---|---|
# | 1 | 0.2 | 0.004 | 2 | 4 | 0.1 | 0.9 |
# | 2 | 0.38 | 0.007996 | 2 | 4 | 0.1 | 0.8 |
#
# The means begin at zero, so at first they are too small; the division by 1 - β^t mends that.
#
# **Break it on purpose:** leave the correction of m out of the line below. Which θ do you get, and which line stops you?

# %%
def adam_by_hand(gradients: np.ndarray, theta: np.ndarray, eta: float, beta1: float = 0.9,
                 beta2: float = 0.999, eps: float = 1e-8) -> np.ndarray:
    """The formulas of the first cell, letter by letter: every θ after the first."""
    m, v, places = np.zeros_like(theta), np.zeros_like(theta), []
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        theta = theta - eta * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)
        places.append(theta)
    return np.array(places)


by_hand = adam_by_hand(np.array([2.0, 2.0]), np.array(1.0), 0.1)
minipars = run(Adam, along(np.array([2.0])), np.ones(1), constant(0.1), 2)[1:, 0]
lesson.say(f"2 · by hand {by_hand}, minipar {minipars}", "")
assert np.allclose(by_hand, [0.9, 0.8], rtol=1e-7), "F11 E7: two steps by hand end at .9 and .8"
assert np.allclose(minipars, by_hand, rtol=1e-12, atol=0), "E7: minipar's Adam takes the same two steps"

noise = stream(0, "gradients").normal(size=(300, 5)) * 10.0 ** np.arange(-2, 3)
many = run(Adam, lambda w, step: ag.sum(w * mp.Tensor(noise[step])), np.zeros(5), constant(0.01), 300)[1:]
assert np.allclose(many, adam_by_hand(noise, np.zeros(5), 0.01), rtol=1e-9,
                   atol=1e-12), "E7: and 300 with random gradients"
larger = run(Adam, lambda w, step: ag.sum(w * mp.Tensor(1000 * noise[step])), np.zeros(5), constant(0.01),
             300)[1:]
assert abs(larger - many).max() < 1e-4, (
    "E7: a gradient 1000 times too large changes nothing: Adam hides wrong scales"
)

squares = np.cumsum(noise**2, axis=0)
adagrad = run(Adagrad, lambda w, step: ag.sum(w * mp.Tensor(noise[step])), np.zeros(5), constant(0.01), 300)[1:]
assert np.allclose(adagrad, -np.cumsum(0.01 * noise / np.sqrt(squares), axis=0),
                   rtol=1e-6), "E10: Adagrad sums all squares"

# %% [markdown]
# ## 3 · An ill-conditioned bowl
#
# ½ (100 a² + b²) bends a hundred times more along a than along b. Gradient descent with rate η multiplies a by 1 - 100 η and
# b by 1 - η in each step: it needs η < 2/100, and then b is slow. Adam steps alike in both directions.
#
# **Predict:** after 200 steps with η = 0.03 from (1, 1), how large is the loss of F11? (Each step multiplies a by -2.)

# %%
BOWL = mp.Tensor(np.array([50.0, 0.5]))


def bowl(w: mp.Tensor, step: int = 0) -> mp.Tensor:
    return ag.sum(BOWL * w * w)


def bowl_losses(places: np.ndarray) -> np.ndarray:
    return (places**2 * BOWL.data).sum(axis=1)


paths = {name: run(make, bowl, np.ones(2), constant(rate), 200) for name, make, rate in (
    ("SGD 0.03", SGD, 0.03), ("SGD 0.019", SGD, 0.019), ("Adam 0.03", Adam, 0.03),
    ("Adagrad 0.3", Adagrad, 0.3),
    ("SGD 0.0021, momentum 0.9", lambda flat: SGD(flat, momentum=0.9), 0.0021))}
final = {name: float(bowl_losses(places)[-1]) for name, places in paths.items()}
lesson.say("3 · (100 a^2 + b^2) / 2 after 200 steps from (1, 1)")
lesson.table(("optimizer and rate", "loss"), *((name, f"{loss:.1e}") for name, loss in final.items()))
assert f"{final['SGD 0.03']:.0e}" == "1e+122", "F11 E9: at .03 gradient descent ends at 1e122"
assert f"{final['Adam 0.03']:.1e}" == "3.6e-08", "F11 E7: at .03 Adam ends at 3.6e-8"
below, above = (abs(run(SGD, bowl, np.ones(2), constant(rate), 200)[-1, 0]) for rate in (0.0199, 0.0201))
assert below < 1 < above, "E9: gradient descent converges below 2/lambda_max = .02 and diverges above"

# %% [markdown]
# ## 4 · Weight decay
#
# An L2 penalty adds λ w to the gradient. Adam then divides it away with the rest of the gradient: a weight with a small
# gradient is pulled as hard as it is with a large one. AdamW (Loshchilov and Hutter 2019) shrinks the weight beside the
# gradient. Take a weight 1 whose loss has no gradient at all, decay 0.1 and η = 0.001.
#
# **Predict:** how far does it move in one step with each?

# %%
def decayed(make: MakeOptimizer) -> float:
    # a matrix: vectors do not decay
    places = run(make, lambda w, step: ag.sum(w * 0.0), np.ones((1, 1)), constant(1e-3), 1)
    return float(places[0, 0, 0] - places[1, 0, 0])


l2, decoupled = (
    decayed(lambda flat: Adam(flat, weight_decay=0.1)),
    decayed(lambda flat: AdamW(flat, weight_decay=0.1)),
)
lesson.say(f"4 · a weight without a gradient moves by {l2:.1e} with Adam and L2, by {decoupled:.1e} with "
           "AdamW", "")
assert abs(l2 - 1e-3) < 1e-9, (
    "E8: with L2 Adam moves the weight by the whole rate, 1.0e-3, whatever the decay"
)
assert abs(decoupled - 1e-4) < 1e-16, "E8: AdamW moves it by lr wd w = 1.0e-4, exactly"

# %% [markdown]
# ## 5 · Warm-up
#
# Adam's first step has the full size in every direction (section 1), on the word of a single batch. So rates start small: the
# schedule of 000 rises from 0 to 1 and falls back to 0 in straight lines. Its very first factor is 0: a step that moves
# nothing. `minipar.optim.warm_up` is one step ahead, and goes over into any other schedule.
#
# **Predict:** with 10 steps of warm-up of 100, the factors at steps 0, 5, 10, 55 and 100.

# %%
def linear_with_warm_up(warm: int, total: int) -> Callable[[int], float]:
    """What get_linear_schedule_with_warmup multiplies the rate by."""
    return lambda step: step / warm if step < warm else (total - step) / (total - warm)


factors = [linear_with_warm_up(10, 100)(step) for step in (0, 5, 10, 55, 100)]
ours = [warm_up(constant(1.0), 9)(step) for step in range(9)]
lesson.say(f"5 · factors at steps 0, 5, 10, 55, 100: {factors}", "")
assert factors == [0, 0.5, 1, 0.5, 0], "E11: the factors are 0, .5, 1, .5, 0"
assert np.allclose(ours, [linear_with_warm_up(10, 100)(step + 1)
                          for step in range(9)]), "E11: minipar's is one step ahead"

# %% [markdown]
# ## 6 · The picture
#
# Left: where the optimisers go; right: the loss. Adam is not a better gradient descent, it is another one: its steps keep
# their size where the gradient gets small, and so it cannot come to rest with a constant rate once gradients are noisy.
# (Adagrad wins this race at a rate ten times Adam's, since nothing is noisy here. It forgets no gradient: in a long training
# with noise its steps get smaller and smaller.)
#
# **Exercise:** show that. Add noise of standard deviation 1 to the bowl's gradient (`bowl` plus `along` a random array, a new
# one in each step). How near to the minimum does Adam come in 2000 steps at 0.03? Mend it with a schedule of
# `minipar.optim`, at the same first rate and in the same number of steps.

# %%
lesson.picture(draw_adam({name: (places, bowl_losses(places)) for name, places in paths.items()}, BOWL.data))
