# %% [markdown]
# # 01 · Model, loss, gradient
#
# Your mailbox gets 200 letters a day, and half of them are advertisements. You
# want a program that puts them aside. You cannot write down the rules, but you
# have 60 letters that you sorted by hand. How can a program learn from them?
#
# It needs three things, and all of this course rests on them:
#
#     letter x ──> MODEL ──> p = 0.73 ──> LOSS ──> 1.31
#                    ^      "spam, 73 %"    ^     "how wrong"
#                 weights               label y = 0
#                    │                            │
#                    └─────────── GRADIENT <──────┘
#                            "which way is less wrong"
#
# After this lesson you can compute a loss and its gradient by hand, check a
# gradient that somebody else wrote, say why the formula of the textbooks breaks
# down on a computer, and choose a step that does not diverge.
#
# You need NumPy, and what a derivative is. The core path takes 45 minutes;
# sections marked "(optional)" do not belong to it.
#
# Run me: `minipar lesson teach 1` (step by step) or `minipar lesson run 1`.

# %%
import math
from collections.abc import Callable

import numpy as np
from minipar.lessons.plots.loss_and_gradient import draw_loss_and_gradient
from minipar.lessons.support.lesson import Lesson, refusal
from minipar.lessons.support.ops import OPS, matrix, scalar_of
from minipar.lessons.support.texts import (
    LabelledTexts,
    TextClassifier,
    batches,
    texts,
)

import minipar as mp
from minipar import autograd as ag
from minipar.optim import Adam, Flat
from minipar.rng import stream

lesson = Lesson("01_loss_and_gradient", ranks=1)

# %% [markdown]
# ## 1 · One letter, by hand
#
# A letter becomes a list of numbers x, its **features**: say, 3 exclamation
# marks and 1 word that you often use. The model has one **weight** θ for each
# feature: θ = (1, -2). It computes two things:
#
#     z = θ · x = 1 * 3 - 2 * 1 = 1               the *logit*, any number
#     p = σ(z) = 1 / (1 + exp(-z)) = 0.731        a probability
#
# The **label** y is what you said: 1 is spam, 0 is none. The **loss** is large
# if the model was sure and wrong (*cross-entropy*, in nats):
#
#     ℓ = -log p        if y = 1        -log 0.731 = 0.313
#     ℓ = -log (1 - p)  if y = 0        -log 0.269 = ?
#
# In one line: ℓ = -[y log p + (1 - y) log(1 - p)].

# %%
def sample_loss(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The cross-entropy of each sample: p and y [n] -> [n]."""
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


lesson.predict("The letter is no spam, y = 0. How large is its loss?")
logit = np.array([1.0, -2.0]) @ np.array([3.0, 1.0])
p_small = 1 / (1 + np.exp(-logit))
losses = [float(sample_loss(p_small, y)) for y in (1.0, 0.0)]
lesson.reveal(losses[1], "nats")
lesson.table(("label", "loss"), (1, losses[0]), (0, losses[1]))
assert abs(losses[1] - losses[0] - logit) < 1e-14, \
    "the two losses differ by just the logit: look at log p - log(1 - p)"

# %% [markdown]
# ## 2 · Many letters: the mean loss, and which way it falls
#
# Over N letters we take the mean, L(θ). Training looks for the weights whose
# mean loss is least. The **gradient** says how L changes with each weight, and
# for this model it is short. A letter pulls at weight k by
#
#     (p - y) x_k            for the letter above, y = 0: 0.731 * (3, 1)
#
# that is: the error, times the feature. The chain rule gives the same in two
# longer factors, dℓ/dp and dp/dθ_k = p (1 - p) x_k:
#
#     ∂L/∂θ_k = -mean( (y/p - (1 - y)/(1 - p)) · p (1 - p) x_k )
#
# How do we know that a formula is right? We ask the loss itself. Change one
# weight a little, see how much the loss changes, and divide: *differences*.

# %%
N, FEATURES = 60, 3
X = stream(0, "features").normal(size=(N, FEATURES))
Y = (stream(0, "labels").random(N) < 0.5).astype(float)   # coins
theta = mp.Tensor(stream(0, "theta").normal(size=(FEATURES, 1)),
                  requires_grad=True)


def probability(x: np.ndarray) -> mp.Tensor:
    """The model: x [n, FEATURES] -> p [n]."""
    return ag.reshape(ag.sigmoid(mp.Tensor(x) @ theta), (len(x),))


def risk(x: np.ndarray, y: np.ndarray) -> mp.Tensor:
    """The mean loss, of operations that know their derivative."""
    p = probability(x)
    right = mp.Tensor(y) * ag.log(p) + mp.Tensor(1 - y) * ag.log(1 - p)
    return ag.mean(right) * -1


def gradient_by_chain_rule(x: np.ndarray, y: np.ndarray,
                           p: np.ndarray) -> np.ndarray:
    """The second formula [FEATURES]."""
    slope = (p * (1 - p))[:, None] * x                  # dp/dθ_k
    return -np.mean((y / p - (1 - y) / (1 - p))[:, None] * slope, axis=0)


# %% [markdown]
# The third way is **autograd**: the program records every operation on a tape,
# and `mp.backward` walks it backwards, with one line of calculus per operation.
#
# **Break it** after the run: in `gradient_by_chain_rule`, make the inner minus a
# plus. It looks more natural, since the loss has a plus there. Which line stops
# you? (d/dp of log(1 - p) is -1/(1 - p).)

# %%
def differences(f: Callable[[np.ndarray], float], w: np.ndarray,
                h: float = 1e-3) -> np.ndarray:
    """The gradient of f at w [n], central, of fourth order in h."""
    return np.array([
        (8 * (f(w + d) - f(w - d)) - f(w + 2 * d) + f(w - 2 * d)) / (12 * h)
        for d in h * np.eye(len(w))])


lesson.predict("How many digits do differences and calculus share?",
               ["about 4", "about 8", "11 or more"])
outputs = probability(X).data
written = gradient_by_chain_rule(X, Y, outputs)
numeric = differences(
    lambda w: float(sample_loss(1 / (1 + np.exp(-X @ w)), Y).mean()),
    theta.data[:, 0])
mp.backward(risk(X, Y))
assert theta.grad is not None
shorter = ((outputs - Y)[:, None] * X).mean(axis=0)
lesson.reveal("11 or more")
lesson.table(("∂L/∂θ", "1", "2", "3"), *(
    (name, *(f"{value:.14f}" for value in gradient)) for name, gradient in (
        ("differences", numeric), ("chain rule", written),
        ("autograd", theta.grad[:, 0]), ("mean of (p-y) x", shorter))))
assert abs(written - numeric).max() < 1e-8, \
    "the chain rule gives what differences give: look at the signs"
assert abs(theta.grad[:, 0] - written).max() < 1e-14, \
    "autograd finds it by itself: compare its row with the one above"
assert abs(shorter - written).max() < 1e-14, \
    "p (1 - p) cancels: that is why error times feature is enough"

# %% [markdown]
# ## 3 · Sure and wrong: the formula breaks
#
# On paper p is never 0 or 1. In a computer it is. For z = 40, exp(-40) is so
# small that 1 + exp(-40) rounds to 1. Then the formula asks for log(0), and its
# gradient divides 0 by 0. The cure is to start from the logit:
#
#     ℓ = max(z, 0) - z y + log(1 + exp(-|z|))          dℓ/dz = σ(z) - y
#
# Try it by hand for z = 1, y = 0: 1 - 0 + log(1.368) = 1.313, as in section 1.

# %%
def naive(z: np.ndarray, y: float) -> tuple[np.ndarray, np.ndarray]:
    """Loss and its gradient by z, from p."""
    with np.errstate(all="ignore"):
        p = 1 / (1 + np.exp(-z))
        slope = -(y / p - (1 - y) / (1 - p)) * p * (1 - p)
        return sample_loss(p, np.full_like(z, y)), slope


def stable(z: np.ndarray, y: float) -> tuple[np.ndarray, np.ndarray]:
    """The same from the logit."""
    small = np.exp(-abs(z))
    sigma = np.where(z >= 0, 1 / (1 + small), small / (1 + small))
    return np.maximum(z, 0) - z * y + np.log1p(small), sigma - y


lesson.predict("y = 0 and z = 40: what is the loss, from the logit?")
forty = np.array([40.0])
answers = {y: (float(naive(forty, y)[0][0]), float(stable(forty, y)[0][0]))
           for y in (0.0, 1.0)}
lesson.reveal(answers[0.0][1], "nats")
lesson.table(("y", "from p", "from the logit"),
             *((f"{y:g}", *answer) for y, answer in answers.items()))
z = np.linspace(-60, 60, 481)
lesson.picture(draw_loss_and_gradient(z, naive(z, 0.0), stable(z, 0.0),
                                      naive(z, 1.0), stable(z, 1.0)))

# %%
GRID = np.arange(-800, 800.25, 0.25)
finite = [np.isfinite(naive(GRID, y)[part])
          for part in (0, 1) for y in (0.0, 1.0)]
unusable = GRID[~np.logical_and.reduce(finite)]
low, high = unusable[unusable < 0].max(), unusable[unusable > 0].min()
lesson.say(f"  from p nothing is finite for z >= {high:g} and z <= {low:g}")
near = abs(GRID) < 16
for y in (0.0, 1.0):
    assert np.isfinite(stable(GRID, y)).all(), \
        "from the logit every z has a loss: look at exp(-|z|), never over 1"
    for one, other in zip(naive(GRID[near], y), stable(GRID[near], y),
                          strict=True):
        assert np.allclose(one, other, rtol=1e-7, atol=1e-9), \
            "where both can be computed, they are the same function"

# %% [markdown]
# Libraries therefore take logits, not probabilities (`ag.cross_entropy`). With
# two classes they usually take *two* logits and their softmax. This is the same
# loss, at the difference z_1 - z_0.

# %%
two = stream(3, "two logits").normal(scale=3, size=(200, 2))
labels = stream(3, "labels").integers(2, size=200)
by_softmax = ag.cross_entropy(mp.Tensor(two), labels).item()
gap = two[:, 1] - two[:, 0]
by_formula = float(np.mean(np.where(labels == 1, stable(gap, 1.0)[0],
                                    stable(gap, 0.0)[0])))
lesson.table(("", "loss"), ("softmax of two", f"{by_softmax:.12f}"),
             ("sigmoid of z_1 - z_0", f"{by_formula:.12f}"))
assert abs(by_softmax - by_formula) < 1e-14, \
    "divide the softmax by exp(z_0): only the difference is left"

# %% [markdown]
# ## 4 · How large a step?
#
# Now go downhill: loss, gradient, update, again. θ becomes θ - η g, and η is the
# **learning rate**. Take a bowl with two directions, ½ (100 a² + b²). Along a,
# the gradient is 100 a. So one step makes of a
#
#     a - η 100 a = (1 - 100 η) a         η = 0.01:  0      η = 0.03:  -2 a
#
# In general: along a direction in which the loss bends by λ, a step multiplies
# the distance by 1 - η λ. It shrinks only if η < 2/λ, for the largest λ of all.
# And when do we stop? Here: when the gradient is shorter than 1e-10.

# %%
def descend(slope, start: np.ndarray, eta: float,
            limit: int) -> tuple[np.ndarray, int]:
    """Gradient descent until the gradient is below 1e-10 or over 1e12:
    where it ended, after how many steps.
    """
    w = start.copy()
    for step in range(limit):
        g = slope(w)
        if not 1e-10 <= np.linalg.norm(g) < 1e12:
            return w, step
        w -= eta * g
    return w, limit


lesson.predict("Which rates converge on this bowl?",
               ["both 0.03 and 0.019", "only 0.019", "neither"])
BEND = np.array([100.0, 1.0])
ends = {eta: descend(lambda w: BEND * w, np.ones(2), eta, 5000)
        for eta in (0.03, 0.019)}
lesson.reveal("only 0.019")
lesson.table(("rate", "steps", "ends at"), *(
    (eta, steps, np.array2string(w, precision=2))
    for eta, (w, steps) in ends.items()))
assert abs(ends[0.03][0]).max() > 1e9 \
    and abs(ends[0.019][0]).max() < 1e-9, \
    "2/100 is the border: look at the factor 1 - 100 η of each rate"

# %% [markdown]
# **Break it.** Set the first rate to 0.0199, then to 0.02. At 0.02 the factor is
# -1: a jumps from side to side for ever.
#
# The model of section 2 has a largest λ, too: p (1 - p) is at most 1/4, so no
# direction bends by more than a quarter of the largest eigenvalue of XᵀX/N.

# %%
def slope_of_risk(w: np.ndarray) -> np.ndarray:
    theta.data, theta.grad = w[:, None], None
    mp.backward(risk(X, Y))
    assert theta.grad is not None
    return theta.grad[:, 0]


bound = float(np.linalg.eigvalsh(X.T @ X / N).max()) / 4
found, steps = descend(slope_of_risk, theta.data[:, 0], 1 / bound, 5000)
lesson.say(f"  a step of 1 / {bound:.3f}: below 1e-10 in {steps} steps")
assert steps < 5000, "a step of 1/λ never overshoots, so the loop must end"

# %% [markdown]
# ## 5 · What it costs
#
# Let a layer multiply n samples of d features with weights [d, h]. Forward is one
# matrix product. Backward is two: one for the weights' gradient, one for the
# gradient that is handed on to the layer before.

# %%
lesson.predict("Backward takes how many times the work of forward?")
n, d, h = 60, 100, 40
forward_flops = 2 * n * d * h               # n h sums of d products
for_weights, for_inputs = 2 * d * n * h, 2 * n * h * d
lesson.reveal((for_weights + for_inputs) / forward_flops, "times")
assert for_weights + for_inputs == 2 * forward_flops, \
    "two products of the same three sizes: so training costs 3 forwards"

# %% [markdown]
# Differences cost two forwards or more *per weight*. So nobody trains with them;
# they are for checks. This is how minipar checks all its operations.

# %% [markdown]
# ## 6 · Every operation, checked (optional)
#
# A program of 40 operations needs 40 derivatives. `support/ops.py` has one call
# of each, and `mp.gradcheck` holds the tape against differences.

# %%
def op_error(name: str) -> float:
    """The largest relative error of any element of an op's gradient."""
    a = matrix(name)
    checks = mp.gradcheck(lambda: scalar_of(name, a), {"a": a})
    return max(check.error for check in checks)


errors = {name: op_error(name) for name in OPS}
worst = max(errors, key=errors.__getitem__)
lesson.say(f"  {len(OPS)} operations; the worst is {worst}, "
           f"relative error {errors[worst]:.1e}")
functions = {name for name in ag.__all__
             if callable(getattr(ag, name)) and name[0].islower()}
assert functions - set(OPS) == {
    "backward", "gradcheck", "hessian_vector_product", "inlet", "no_grad",
    "record", "tokens_that_count"}, \
    "E1: no operation is left out: these make, follow or check the tape"
assert errors[worst] < 1e-6, \
    "E1: look at the worst: its derivative is that of differences to 1e-6"

# %% [markdown]
# ## 7 · Train, develop, test
#
# A model may learn its letters by heart. So we keep some back. The
# **development set** is evaluated after each *epoch* (one pass over the training
# data), to choose rates and sizes. The **test set** is read once, at the end.
#
# Our letters are texts of two authors (`support/texts.py`): two Markov chains,
# and a small transformer that says which of them wrote one.

# %%
EPOCHS, BATCH = 5, 16
train_set, dev_set, test_set = texts(320, 0), texts(100, 1), texts(100, 2)


def evaluate(model: TextClassifier,
             dataloader: list[LabelledTexts]) -> tuple[float, float]:
    """Mean loss and accuracy over samples; the last batch may be short."""
    total, right, count = 0.0, 0, 0
    with ag.no_grad():
        for tokens, answers in dataloader:
            logits = model(tokens).logits
            total += ag.cross_entropy(logits, answers, 1).item()  # a sum
            right += int((logits.data.argmax(axis=1) == answers).sum())
            count += len(answers)
    return total / count, right / count


def train(lr: float
          ) -> tuple[TextClassifier, list[tuple[float, float]], float]:
    """The model, (loss, accuracy) on the development set after each epoch,
    and how far a weight moved at most.
    """
    model = TextClassifier()
    flat = Flat(model.parameters())
    optimizer, start, history = Adam(flat), flat.data.copy(), []
    for _epoch in range(EPOCHS):
        for tokens, answers in batches(train_set, BATCH):
            flat.zero_grad()
            loss = model(tokens, answers).loss
            assert loss is not None
            mp.backward(loss)
            optimizer.step(lr)
        history.append(evaluate(model, batches(dev_set)))
    return model, history, float(abs(flat.data - start).max())


# %%
lesson.predict("A model that knows nothing says p = 1/2. What is its loss?")
lesson.reveal(math.log(2), "nats")
model, history, moved = train(3e-3)
test_loss, test_accuracy = evaluate(model, batches(test_set))
lesson.table(("epoch", "development loss", "accuracy"),
             *((epoch, *values) for epoch, values in enumerate(history, 1)),
             ("test, once", test_loss, test_accuracy))
whole = ag.cross_entropy(model(dev_set[0]).logits, dev_set[1]).item()
assert abs(evaluate(model, batches(dev_set))[0] - whole) < 1e-14, \
    "every sample weighs the same, however the data are cut into batches"
assert history[-1][0] < history[0][0] and test_accuracy > 0.75, \
    "it has learned something that holds for texts it never saw"

# %% [markdown]
# ## 8 · Exercises
#
# `minipar exercise start NAME` begins one of chapter 3, and checks it:
#
# * `softmax_backward`, `layernorm_backward`: a derivative of your own;
# * `loss_of_nine_classes`: section 3 with nine classes instead of two, in NumPy
#   without a tape. Compare your gradient with `differences` of section 2;
# * `wrong_backward`: one of four derivatives is wrong, find it;
# * `a_check_that_can_fail`: a gradient check that catches every mutant.

# %% [markdown]
# ## 9 · What the documents say (optional)
#
# Covers: F1 F10 F12 F13 F14 F15 F16 F24 A27 A28 C8 N42 E1
#
# The course follows five documents in Chinese (000 to 004). They write ŷ = M_θ(x)
# for our p, with parameters (参数) θ:
#
# | | where | as written | verdict |
# |---|---|---|---|
# | F1 | 000, 4.1 | `y = M_θ(x)` "is training" | only the forward pass (前向传播) |
# | F10 | 003, 4.1 | minimise the empirical risk (经验风险) `L(θ)` | right |
# | F12 | 003, 4.2 | `ŷ = M_θ(x) ∈ [0, 1]`, `y ∈ {0, 1}` | without the ends 0, 1 |
# | F13 | 003, 4.2 | `ℓ = -[y log ŷ + (1 - y) log(1 - ŷ)]` | right; use the logit |
# | F14 | 003, 4.2 | `L(θ) = -1/N Σ_i [y_i log M_θ(x_i) + (1 - y_i) log(1 - M_θ(x_i))]` | right |
# | F15 | 003, 4.2 | `∂L/∂θ_k = -1/N Σ_i (y_i/M_θ(x_i) - (1 - y_i)/(1 - M_θ(x_i))) ∂M_θ(x_i)/∂θ_k` | right, sign included |
# | F16 | 003, 4.2 | "repeat until convergence (收敛)" | no rule, no step |
# | F24 | 003, 5.2 | `nn.CrossEntropyLoss` on two logits | the same as F13 |
#
# F10 is `argmin_θ L(θ)` over `D = {(x_i, y_i)}`. y is the output in 000 and the
# label in 003. N is the number of samples here, of levels in 002, of devices in
# 001. Backpropagation (反向传播) is left to PyTorch; A27 is the loop of loss,
# gradient, update; A28 the order of training, development (验证集), test.

# %%
before = theta.data.copy()
again = probability(X).data
assert np.array_equal(again, probability(X).data) \
    and np.array_equal(theta.data, before), \
    "F1: evaluating y = M(x) changes no parameter: it is not training"
each = sample_loss(again, Y)
parts = [risk(X[rows], Y[rows]).item() * len(rows) / N
         for rows in np.array_split(np.arange(N), 7)]
assert abs(risk(X, Y).item() - each.mean()) < 1e-14 \
    and abs(sum(parts) - each.mean()) < 1e-14, \
    "F10 F14: the risk is the mean of the losses, in batches of any size"
assert naive(forty, 0.0)[0] == np.inf and stable(forty, 0.0)[0] == 40, \
    "F13: y = 0, z = 40 is inf as written, 40 from the logit"
assert np.isnan(naive(forty, 1.0)[0]) \
    and f"{stable(forty, 1.0)[0][0]:.0e}" == "4e-18", \
    "F13: y = 1, z = 40 is NaN as written, and 4e-18"
assert (high, low) == (36.75, -710) and unusable.size == (
    (GRID >= high) | (GRID <= low)).sum(), \
    "F12 F15: with p of 0 or 1 nothing is finite from 36.75, to -710"
assert not ((two >= 0) & (two <= 1)).all(), "F12: logits are not in [0, 1]"
theta_now = theta.data[:, 0]
assert abs(gradient_by_chain_rule(X, Y, again) - differences(
    lambda w: float(sample_loss(1 / (1 + np.exp(-X @ w)), Y).mean()),
    theta_now)).max() < 1e-8, \
    "F15: as written it is the gradient of differences, sign included"
assert abs(by_softmax - by_formula) < 1e-14, \
    "F24: cross-entropy of two logits is F13 of their difference"
assert np.linalg.norm(slope_of_risk(found)) < 1e-10, \
    "F16: the rule to stop, which is missing, is a small gradient"
assert steps < 5000, "A27: loss, gradient, update, a small step: it ends"
assert history[-1][0] < history[0][0] and test_accuracy > 0.75, \
    "A28: an epoch, the development set; at the end, the test set"

# %% [markdown]
# 003's `evaluate` (5.2) calls the model without labels and then asks for
# `outputs.loss`, which the library leaves at None (R19). Our `evaluate` is the
# repaired one. And its data set is `...`.

# %%
def evaluate_as_written(model: TextClassifier,
                        dataloader: list[LabelledTexts]) -> float:
    eval_loss = 0
    for tokens, _labels in dataloader:
        outputs = model(tokens)
        loss = outputs.loss
        eval_loss += loss.item()
    return eval_loss / len(dataloader)


stopped = refusal(lambda: evaluate_as_written(model, batches(dev_set)))
no_data = refusal(lambda: evaluate_as_written(model, ...))
lesson.wrapped("evaluate() as written: " + stopped)
lesson.wrapped("with test_dataloader = ...: " + no_data)
assert stopped == \
    "AttributeError: 'NoneType' object has no attribute 'item'", \
    "C8: evaluate() asks None for its value"
assert "TypeError: 'ellipsis'" in no_data, \
    "C8: nor can one go through the data set `...`"
assert abs(evaluate(model, batches(dev_set))[0] - whole) < 1e-14, \
    "C8: repaired, the loss does not depend on the batches"

# %% [markdown]
# 003 trains with a rate of 2e-5, 2 labels, 5 epochs and batches of 16 (N42):
# usual values, *for fine-tuning*. Adam moves a weight by about the rate per step
# (lesson 2). In 100 steps that is 0.002, a tenth of the deviation with which
# weights begin. A model that knows nothing stays at ln 2.

# %%
_, tiny_history, tiny_moved = train(2e-5)
steps_taken = EPOCHS * len(batches(train_set, BATCH))
lesson.table(("rate", "a weight moves at most", "loss", "accuracy"),
             (3e-3, moved, *history[-1]),
             (2e-5, tiny_moved, *tiny_history[-1]))
assert tiny_moved < 2 * steps_taken * 2e-5 < 0.02 / 4, \
    "N42: at 2e-5 no weight moves by a fourth of its first deviation"
stays, falls = (abs(end[-1][0] - math.log(2))
                for end in (tiny_history, history))
assert stays < 0.01 < falls, "N42: from scratch 2e-5 stays at ln 2"
