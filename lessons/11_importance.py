# %% [markdown]
# # 11 · Importance: what would the loss miss?
#
# You must remove one of two weights, 0.2 or 1.0. Lesson 10 removes the smaller
# one. Here that is the wrong one:
#
#     loss  w0 is steep              loss  w1 is flat
#      2.0 |o                         2.0 |
#          | \                            |
#          |  \                           |
#      0.0 |   \_w0_/                0.05 |o---______w1______
#          +-----------                   +------------------
#          0    0.2                       0          1.0
#
# So do not ask how large a weight is. Ask: by how much does the loss rise if it
# goes? The slope cannot tell: where training ends, all slopes are zero. The
# *curvature* can. After this lesson you can compute three scores of importance,
# say what each costs, and let the other weights make up for the one that goes.
#
# You need lessons 1 and 10. The core path takes 40 minutes; the section marked
# "(optional)" does not belong to it.
#
# Run me: `minipar lesson teach 11` (step by step) or `minipar lesson run 11`.

# %%
import numpy as np
from minipar.lessons.plots.importance import draw_lasso, draw_predicted
from minipar.lessons.support import regression
from minipar.lessons.support.lesson import Lesson
from minipar.lessons.support.network import Landscape, agreement

import minipar as mp
from minipar.autograd import no_grad
from minipar.compress import prune
from minipar.compress.quantize import Scheme, quantize
from minipar.compress.tune import fine_tune
from minipar.data.batches import Batches
from minipar.data.markov import MarkovSource
from minipar.optim import Adam, Flat
from minipar.rng import stream

lesson = Lesson("11_importance", ranks=1)

# %% [markdown]
# ## 1 · The large weight is not the important one
#
# Near the weights w of a trained model the loss is nearly a bowl. Take a step δ
# away from w:
#
#     L(w + δ) - L(w)  ≈  g · δ + 1/2 δᵀ H δ
#
# g is the gradient. H is the *Hessian*, the matrix of second derivatives: H_ij
# says how the slope along weight i changes if weight j moves. Training has ended,
# so g is nearly 0. To remove weight i alone is the step δ_i = -w_i, so the loss
# rises by
#
#     1/2 H_ii w_i²
#
# This score is **Optimal Brain Damage** (OBD; LeCun, Denker and Solla 1990). For
# the picture above H_00 = 100 and H_11 = 0.1, with w = (0.2, 1):
#
#     remove w0:  1/2 · 100 · 0.04 = 2.0        remove w1:  1/2 · 0.1 · 1 = ?

# %%
def rise(hessian: np.ndarray, step: np.ndarray) -> float:
    """By how much the loss rises on a step away from its minimum."""
    return float(0.5 * step @ hessian @ step)


def without(w: np.ndarray, i: int) -> np.ndarray:
    """The step that removes weight i and leaves the others."""
    return np.where(np.arange(len(w)) == i, -w, 0)


steep, two = np.diag([100.0, 0.1]), np.array([0.2, 1.0])
lesson.predict("By how much does the loss rise if w1 goes?")
obd = prune.obd({"w": two}, {"w": np.diag(steep)})["w"]
by_magnitude, by_obd = int(np.argmin(abs(two))), int(np.argmin(obd))
lesson.reveal(rise(steep, without(two, 1)))
lesson.table(("score", "removes", "the loss rises by"), *(
    (name, f"w{i}", rise(steep, without(two, i)))
    for name, i in (("magnitude", by_magnitude), ("OBD", by_obd))))
assert (by_magnitude, by_obd) == (0, 1), \
    "the smaller weight is the more important one: compare both rows"
assert np.allclose(obd, [rise(steep, without(two, i)) for i in range(2)],
                   rtol=1e-14, atol=0), "1/2 H_ii w_i² is the rise"

# %% [markdown]
# ## 2 · Other weights can make up for it
#
# Now let both weights do nearly the same work: H = [[1, 0.9], [0.9, 1]]. OBD says
# that removing w0 = 0.5 costs 1/2 · 1 · 0.25 = 0.125. But w1 may move, too, and
# take over. Which step with δ_0 = -w0 is the cheapest? A short calculation
# (minimise 1/2 δᵀ H δ with δ_0 fixed) gives **Optimal Brain Surgeon** (OBS;
# Hassibi and Stork 1993):
#
#     δ = -(w_i / [H⁻¹]_ii) H⁻¹ e_i          the loss rises by w_i² / (2 [H⁻¹]_ii)
#
# e_i is 1 at index i, else 0. Here H⁻¹ has 1/0.19 = 5.26 on its diagonal. So w0
# costs 0.25 / (2 · 5.26) = 0.0237, a fifth of 0.125. For w = (0.5, 0.6):

# %%
H, w = np.array([[1.0, 0.9], [0.9, 1.0]]), np.array([0.5, 0.6])
inverse = np.linalg.inv(H)
lesson.predict("What does removing w1 = 0.6 cost, if w0 moves, too?")
predicted, steps = prune.obs(w, inverse), []
for i in range(2):
    step = -w[i] / inverse[i, i] * inverse[:, i]
    steps.append(step)
measured = [rise(H, step) for step in steps]
lesson.reveal(round(float(predicted[1]), 4))
lesson.table(("weight", "OBD", "OBS", "measured", "the other moves by"), *(
    (f"w{i}", 0.5 * H[i, i] * w[i] ** 2, float(predicted[i]), measured[i],
     float(steps[i][1 - i])) for i in range(2)))
assert all(abs((w + step)[i]) < 1e-15 for i, step in enumerate(steps)), \
    "the weight is gone: look at δ_i"
assert np.allclose(measured, predicted, rtol=1e-12, atol=0), \
    "the loss rises by what OBS says: look at how the other weight moves"
assert np.allclose(w + steps[0], prune.obs_remove(w, inverse, 0)[0]), \
    "the library takes the same step"

# %% [markdown]
# **Break it.** Let the other weight stay: `step = without(w, i)`. Which line
# stops you?

# %% [markdown]
# ## 3 · A network at its minimum
#
# Now a small network with 63 weights, trained until its gradient is nearly zero.
# We know four scores:
#
#     score         formula           costs
#     magnitude     |w_i|             nothing
#     gradient      |g_i w_i|         one backward pass
#     Fisher        1/2 F_ii w_i²     one backward pass for each sample
#     OBD           1/2 H_ii w_i²     n products H e_i, for n weights
#
# F_ii is the mean of g_i² over samples, the *Fisher information*. Near a good
# model it is close to H_ii, and large models can afford it. A product of H with a
# vector costs about two backward passes (`hessian_vector_product`).
#
# The network is so small that we can also remove each weight and measure.

# %%
bowl = Landscape()
untrained = prune.first_order(
    {"w": bowl.weights}, {"w": bowl.gradient()})["w"]
bowl.train(1500)
trained = bowl.weights
hessian = np.array([bowl.hessian_times(unit) for unit in np.eye(63)])
lowest = bowl.value(trained)
lesson.predict("Which score tells worst what a removed weight costs?",
               ["magnitude", "|g w|", "Fisher", "OBD"])
importance = {
    "magnitude": abs(trained),
    "|g w|": prune.first_order({"w": trained}, {"w": bowl.gradient()})["w"],
    "Fisher": prune.fisher({"w": trained},
                           {"w": bowl.fisher_diagonal()})["w"],
    "OBD": prune.obd({"w": trained}, {"w": np.diag(hessian)})["w"]}
actual = np.array([bowl.value(trained + without(trained, i)) - lowest
                   for i in range(63)])
orders = {name: agreement(scores, actual)
          for name, scores in importance.items()}
lesson.reveal(min(orders, key=lambda name: orders[name]))
before, after = float(untrained.mean()), float(importance["|g w|"].mean())
lesson.say(f"  mean |g w|: {before:.4f} before training, {after:.1e} after",
           "  agreement of orders: 1 is the same order, 0 is chance", "")
lesson.table(("score", "agreement with what is measured"), *orders.items())
assert before > 0.005 and after < 1e-3 * before, \
    "training makes the gradient vanish, and with it this score"
assert orders["OBD"] > orders["Fisher"] > orders["magnitude"] \
    > orders["|g w|"], "curvature ranks the weights best, the slope worst"

# %%
shown = {name: importance[name] for name in ("|g w|", "Fisher", "OBD")}
lesson.picture(draw_predicted(actual, shown))

# %% [markdown]
# ### Many weights at once
#
# A score judges one weight. If many go, the scores know nothing of each other:
# two weights that do the same work both look cheap. OBS lets the other weights
# move, and computes its scores again after each weight that goes.

# %%
RATIOS = (0.1, 0.2, 0.3, 0.5)


def cost(scores: np.ndarray, ratio: float) -> float:
    keep = prune.drop_lowest({"w": scores}, ratio).keep["w"]
    return bowl.value(np.where(keep, trained, 0)) - lowest


lesson.predict("10 % of the weights go. How many times less does OBS cost "
               "than OBD?", ["as much", "2 times", "8 times"])
costs = {name: {r: cost(scores, r) for r in RATIOS}
         for name, scores in importance.items()}
by_obs = {r: prune.obs_prune(trained, hessian, int(r * 63))
          for r in RATIOS}
costs["OBS"] = {r: bowl.value(pruned) - lowest
                for r, (pruned, _) in by_obs.items()}
lesson.reveal(f"{costs['OBD'][0.1] / costs['OBS'][0.1]:.0f} times")
lesson.say("  the loss rises by, if that many weights go:")
lesson.table(
    ("score", *(f"{r:.0%}" for r in RATIOS)),
    *((name, *rises.values()) for name, rises in costs.items()),
    ("OBS predicts", *(float(said) for _, said in by_obs.values())))
for r in (0.1, 0.2):
    assert costs["OBS"][r] < min(costs[name][r] for name in importance), \
        "weights that move make up for those that go"

# %% [markdown]
# Look at the last two rows. Up to 20 % the prediction is right. Beyond that the
# bowl is no bowl any more.

# %% [markdown]
# ## 4 · LASSO: let the training choose
#
# Another idea: add the penalty λ (|w_0| + |w_1| + ...) to the loss while you
# train. It pulls each weight towards 0 with the same force λ, however small the
# weight is; so many become exactly 0. At 0 it has no derivative. So after each
# gradient step comes the **soft threshold**:
#
#     w ← sign(w) max(|w| - λ, 0)          2 → 1.7, 0.2 → 0, -1 → -0.7   (λ = 0.3)
#
# (With a learning rate η, it is η λ in each step.)

# %%
NINE = np.array([[1.0, 0.5, 0.2], [0.8, 0.3, 0.1], [0.6, 0.4, 0.0]])
lesson.predict("1, .5, .2, .8, .3, .1, .6, .4, 0, soft threshold 0.3: "
               "how many zeros?")
soft = prune.lasso_prox(NINE, 0.3)
lesson.reveal(int((soft == 0).sum()))
lesson.table(("before", "after"), *(
    (" ".join(f"{v:.1f}" for v in a), " ".join(f"{v:.1f}" for v in b))
    for a, b in zip(NINE, soft, strict=True)))
assert np.allclose(soft[soft != 0], NINE[soft != 0] - 0.3), \
    "what survives has shrunk by the threshold, too"

# %% [markdown]
# Does it find the right zeros? The data below come from twenty weights, of which
# seventeen are 0 (`support/regression.py`).

# %%
STRENGTH = 0.1                                  # λ
truth = regression.TRUTH
step_size = 1 / np.linalg.eigvalsh(regression.GRAM)[-1]


def lasso(strength: float) -> np.ndarray:
    return prune.lasso(regression.gradient, np.zeros(len(truth)), strength,
                       step_size)


found = lasso(STRENGTH)
chosen = np.flatnonzero(found)
refitted = regression.refit(chosen)             # without the penalty
bias = (found - refitted)[chosen] * np.sign(truth[chosen])
lesson.table(("weight", "truth", "LASSO", "refitted"), *(
    (int(i), float(truth[i]), float(found[i]), float(refitted[i]))
    for i in chosen))
path = np.geomspace(0.003, 2.2, 40)
lesson.picture(draw_lasso(
    path, np.array([lasso(strength) for strength in path]), truth),
    "_lasso")
assert chosen.tolist() == np.flatnonzero(truth).tolist(), \
    "LASSO keeps the three weights that matter, and no other"
assert abs(refitted - truth).max() < 0.02, \
    "training on without the penalty (zeros stay) fixes the shrinking"

# %% [markdown]
# ## 5 · A schedule, and a smaller structure
#
# Two more ideas, on a GPT of one block. Its text is two random texts in turns: a
# letter depends on the last but one, so the model needs attention.
#
# * **A schedule** (Zhu and Gupta 2017): remove weights while training, much at
#   first, when most are redundant, little at the end. At step t of T the sparsity
#   is s (1 - (1 - t/T)³).
# * **Structured pruning**: remove whole hidden units and whole heads. What
#   remains is an ordinary, smaller GPT, and every library computes it faster.
#   Zeros spread over a matrix save no time.

# %%
TOTAL = 200 if lesson.fast else 900
SPARSITY = 0.9
source = MarkovSource.random(12, seed=3, concentration=0.2)
CONFIG = mp.ModelConfig(
    vocabulary=12, context=12, layers=1, heads=4, width=32)


def text(seed: int) -> np.ndarray:
    chains = [source.sample(15_000, seed=2 * seed + chain)
              for chain in range(2)]
    return np.stack(chains, axis=1).reshape(-1)


batches = Batches(text(0), CONFIG.context, 16, seed=0)
unseen = Batches(text(1), CONFIG.context, 128, seed=0).get(0)


def trained_gpt(final: float, model: mp.GPT | None = None,
                steps: int = TOTAL) -> mp.GPT:
    """The sparsity rises to `final` in the first two thirds of steps."""
    model = model or mp.GPT(CONFIG)
    optimizer = prune.Masked(Adam(Flat(model.parameters())), prune.Mask({}))
    pruner = prune.MagnitudePruner(
        optimizer, list(prune.linear_weights(model)), every=10,
        schedule=lambda step: prune.cubic_sparsity(
            step, final=final, steps=2 * steps // 3))
    fine_tune(model.loss, optimizer, batches.get, steps, 5e-3,
              after=pruner.step)
    return model


def size(model: mp.GPT) -> int:
    return sum(int(np.count_nonzero(p.data)) for p in model.parameters())


def unseen_loss(model: mp.GPT) -> float:
    with no_grad():
        return model.loss(*unseen).item()


# %%
lesson.predict("90 % of the weights go. Which model is worse?",
               ["pruned at once after training", "pruned by the schedule"])
gpts = {"dense": trained_gpt(0.0), "gradually 90 %": trained_gpt(SPARSITY)}
one_shot, small = mp.GPT(CONFIG), mp.GPT(CONFIG)
for model in (one_shot, small):
    model.load_state_dict(gpts["dense"].state_dict())
prune.magnitude_mask(prune.linear_weights(one_shot), SPARSITY).apply(
    prune.linear_weights(one_shot))
prune.shrink(small, units=0.5, heads=0.25)
gpts["at once 90 %"] = one_shot
gpts["half the units, 3 heads of 4"] = trained_gpt(0.0, small, TOTAL // 3)
losses = {name: unseen_loss(model) for name, model in gpts.items()}
lesson.reveal("pruned at once after training")
lesson.table(("model", "weights that are not 0", "loss on new text, nats"),
             *((name, size(model), losses[name])
               for name, model in gpts.items()))
assert losses["gradually 90 %"] - losses["dense"] \
    < 0.5 * (losses["at once 90 %"] - losses["dense"]), \
    "weights that stay have time to make up for those that go"
assert losses["half the units, 3 heads of 4"] - losses["dense"] < 0.1, \
    "a smaller structure, trained on for a while, is nearly as good"

# %% [markdown]
# ## 6 · Exercises
#
# 63 products gave the diagonal of the Hessian. For a large model that is too
# many. `minipar exercise start NAME` begins one of chapter 8, and checks it:
#
# * `hutchinson`: an estimate of the diagonal from a few products with random
#   vectors of signs;
# * `how_many_signs`: how many vectors you need until OBD ranks the weights nearly
#   as with the exact diagonal.

# %% [markdown]
# ## 7 · What the documents say (optional)
#
# Covers: F20 A22 A30 A42 N6 E26 E27
#
# | | where | as written | verdict |
# |---|---|---|---|
# | F20, A22 | 002, 4.2.2 | the eigenvalues (特征值) of the Hessian matrix (Hessian 矩阵) rank weights | they rank directions (R15) |
# | A35 | 004, 3.1 | pruning by gradient (基于梯度) | zero where training ends, which is where one prunes |
# | A42, E26 | 000, 3.2.2 | LASSO pruning | right; it also shrinks what stays |
# | A30 | 003, 6.4 | dynamic pruning (动态剪枝), better structures | no method is given; section 5 has two |
# | N6 | 000, 3.1 | trimming "by quantisation", quantisation "by weight pruning" | two different things (R25) |
#
# R15: section 2's H has the eigenvalues 0.1 and 1.9. Which of the two weights is
# important? The eigenvectors do not say: both weights are in each, equally.

# %%
eigenvalues, vectors = np.linalg.eigh(H)
lesson.table(("eigenvalue", "eigenvector"), *(
    (float(value), np.round(vector, 3))
    for value, vector in zip(eigenvalues, vectors.T, strict=True)))
assert np.allclose(abs(vectors), np.sqrt(0.5)) \
    and f"{abs(vectors[0, 0]):.3f}" == "0.707", \
    "F20 A22: eigenvectors are (.707, ±.707), so eigenvalues rank neither"
assert (by_magnitude, by_obd) == (0, 1) and np.allclose(
    obd, [rise(steep, without(two, i)) for i in range(2)], rtol=1e-14), \
    "A22 E27: OBD predicts the rise, and it is the other weight that can go"
assert abs(rise(steep, without(two, 0)) - 2.0) < 1e-12 \
    and abs(rise(steep, without(two, 1)) - 0.05) < 1e-12, \
    "F20: magnitude costs +2.0, OBD +.05"
assert [f"{p:.5f}" for p in predicted] == ["0.02375", "0.03420"] \
    and np.allclose(measured, predicted, rtol=1e-12, atol=0), \
    "F20 E27: OBS predicts .02375 and .03420, and so the loss rises"
assert np.allclose(hessian, hessian.T, atol=1e-14) \
    and np.linalg.eigvalsh(hessian)[0] > 0, "A22: it is a minimum"
assert before > 0.005 and after < 1e-3 * before, \
    "A22: the gradient's score vanishes where training ends"
assert orders["OBD"] > orders["Fisher"] > orders["magnitude"] \
    > orders["|g w|"] and orders["Fisher"] > 0.95, \
    "A22 E27: curvature ranks best, Fisher nearly as well, gradient worst"

# %%
assert all(abs((w + step)[i]) < 1e-15 for i, step in enumerate(steps)), \
    "E27: the weight is gone"
assert np.allclose(w + steps[0], prune.obs_remove(w, inverse, 0)[0]), \
    "E27: obs_remove takes this step"
for r in (0.1, 0.2):
    assert costs["OBS"][r] < min(costs[name][r] for name in importance), \
        "E27: weights that adapt make up for those that go"
    assert costs["|g w|"][r] > max(
        costs[name][r] for name in costs if name != "|g w|"), \
        "A22: at a minimum |g w| is noise"
assert abs(costs["OBS"][0.1] / by_obs[0.1][1] - 1) < 0.2 \
    < abs(costs["OBS"][0.5] / by_obs[0.5][1] - 1), \
    "E27: predicted is measured while the loss is a quadratic, no longer"
assert (soft == 0).sum() == 4 and soft[1, 1] == 0, \
    "A42: of 004's nine numbers the soft threshold .3 makes 4 zeros"
assert np.allclose(soft[soft != 0], NINE[soft != 0] - 0.3), \
    "A42: soft thresholding also shrinks the survivors, each by λ"
assert chosen.tolist() == [2, 5, 11], "E26: the support is recovered"
gap = prune.lasso_gap(found, regression.gradient(found), STRENGTH)
assert gap < 1e-8, "E26: the condition of optimality holds"
assert abs(bias + STRENGTH).max() < 0.2 * STRENGTH, \
    "E26 A42: the bias is about -λ"
assert abs(refitted - truth).max() < 0.02, \
    "A42: training on under the mask removes the bias"
plain = np.zeros(len(truth))
for _ in range(2000):
    plain -= step_size * (
        regression.gradient(plain) + STRENGTH * np.sign(plain))
assert (plain != 0).all(), \
    "E26: the penalty's plain gradient makes no zeros"

# %% [markdown]
# ### Two different things (R25), and the schedule
#
# Pruning leaves some weights out, and the others as they are. Quantisation (量化)
# leaves none out, and moves nearly all to one of a few levels.

# %%
numbers = stream(0, "numbers").normal(size=10_000)
keep = prune.magnitude_mask({"w": numbers}, 0.5).keep["w"]
kinds = {name: (int((v == 0).sum()), int((v == numbers).sum()),
                len(np.unique(v))) for name, v in (
    ("pruned to 50 %", np.where(keep, numbers, 0)),
    ("quantised to 8 bits", quantize(numbers, Scheme(8)).dequantize()))}
lesson.table(("of 10 000 weights", "zero", "unchanged", "different values"),
             *((name, *numbers_of) for name, numbers_of in kinds.items()))
assert kinds["pruned to 50 %"] == (5000, 5000, 5001), \
    "N6: pruning changes which weights are there, and no value that stays"
assert kinds["quantised to 8 bits"][1] < 10 \
    and kinds["quantised to 8 bits"][2] <= 255, \
    "N6: quantisation moves nearly every value, and prunes none on purpose"
curve = [prune.cubic_sparsity(t, final=SPARSITY, steps=100)
         for t in range(101)]
assert (curve[0], curve[100]) == (0, SPARSITY) and min(np.diff(curve)) > 0 \
    and abs(curve[50] - SPARSITY * 7 / 8) < 1e-12, \
    "A30: the schedule rises all the time, 7/8 of it in the first half"
assert losses["gradually 90 %"] - losses["dense"] \
    < 0.5 * (losses["at once 90 %"] - losses["dense"]), \
    "A30: gradually is better than at once"
assert losses["half the units, 3 heads of 4"] - losses["dense"] < 0.1, \
    "A30: a smaller structure can be tuned, too"
D, F, K = CONFIG.width, CONFIG.mlp_width, CONFIG.head_width
# up, its bias and down; q, k, v, their biases and out
fewer = CONFIG.layers * (F // 2 * (2 * D + 1) + K * (4 * D + 3))
assert sum(p.data.size for p in small.parameters()) == sum(
    p.data.size for p in gpts["dense"].parameters()) - fewer, \
    "A30: the matrices are smaller by the units and heads that went"
