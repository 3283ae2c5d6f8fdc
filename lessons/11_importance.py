# %% [markdown]
# # 11 · Importance: gradient, Hessian, LASSO, schedule
#
# Covers: F20 A22 A30 A42 N6 E26 E27
#
# Magnitude pruning (lesson 10) asks how large a weight is. The question should be: how much would the loss miss it? Around
# trained weights w, with the step -w_i along weight i and nothing else,
#
#     L(w - w_i e_i) - L(w)  =  -g_i w_i  +  1/2 H_ii w_i²  -  ...         g the gradient, H the Hessian (Hessian 矩阵)
#
# | | where | as written | verdict |
# |---|---|---|---|
# | F20, A22 | 002, 4.2.2 | the Hessian's eigenvalues (特征值) assess importance | not of parameters: of directions (R15) |
# | A35 | 004, 3.1 | gradient-based (基于梯度) pruning | zero where training ends, which is where one prunes |
# | A42 | 000, 3.2.2 | LASSO pruning | right; it also shrinks what stays |
# | A30 | 003, 6.4 | dynamic pruning (动态剪枝), optimising the structure | no method is given |
# | N6 | 000, 3.1 | trimming "by pruning and quantisation", quantisation "by weight pruning" | two different things (R25) |
#
# The claim: the second derivative tells what removing a weight costs, and what the other weights can make up for.
#
# Run me: `python lessons/11_importance.py`, or cell by cell in an editor.

# %%
import numpy as np
from minipar.lessons.plots.importance import draw_importance
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
# A loss 1/2 (w - w*)ᵀ H (w - w*) at its minimum w*, where weights are trained. One weight has to go.
#
# - magnitude: the smaller |w_i|
# - Optimal Brain Damage (OBD): the smaller 1/2 H_ii w_i², which is what the loss rises by if the others stay
#
# **Predict before you run:** for H = diag(100, 0.1) and w* = (0.2, 1), which one goes, and what does it cost?

# %%


def rise(hessian: np.ndarray, step: np.ndarray) -> float:
    """By how much the loss rises on a step away from its minimum."""
    return float(0.5 * step @ hessian @ step)


def without(w: np.ndarray, i: int) -> np.ndarray:
    """The step that removes weight i and leaves the others."""
    return np.where(np.arange(len(w)) == i, -w, 0)


H, w = np.diag([100.0, 0.1]), np.array([0.2, 1.0])
scores = prune.obd({"w": w}, {"w": np.diag(H)})["w"]
by_magnitude, by_obd = int(np.argmin(abs(w))), int(np.argmin(scores))
lesson.say("1 · one of two weights goes")
lesson.table(("score", "removes weight", "the loss rises by"),
             *((name, i, rise(H, without(w, i))) for name,
               i in (("magnitude", by_magnitude), ("OBD", by_obd))))
assert (by_magnitude, by_obd) == (0, 1) and np.allclose(scores, [rise(H, without(w, i)) for i in range(2)],
                                                        rtol=1e-14, atol=0), \
    "A22 E27: OBD predicts what the loss rises by, and it is the other weight that can go"
assert abs(rise(H, without(w, 0)) - 2.0) < 1e-12 and abs(rise(H, without(w, 1)) - 0.05) < 1e-12, \
    "F20: magnitude costs +2.0, OBD +.05"

# %% [markdown]
# ## 2 · Eigenvalues belong to directions, and weights can stand in for each other
#
# With H = [[1, .9], [.9, 1]] the eigenvalues are 0.1 and 1.9. Which of the two weights is important? The eigenvectors do not
# say: each has both weights in it, equally.
#
# What counts is that the other weight may adapt. Optimal Brain Surgeon (OBS) takes the cheapest step with δw_i = -w_i:
#
#     δw = -(w_i / [H⁻¹]_ii) H⁻¹ e_i,        and the loss rises by  w_i² / (2 [H⁻¹]_ii)
#
# **Predict:** for w* = (0.5, 0.6): removing weight 0 costs 1/2 · 1 · 0.25 = 0.125 by OBD. How much of it can weight 1 save?
#
# **Break it on purpose:** below, let the other weight stay: `step = without(w, i)`.

# %%
H, w = np.array([[1.0, 0.9], [0.9, 1.0]]), np.array([0.5, 0.6])
eigenvalues, vectors = np.linalg.eigh(H)
inverse = np.linalg.inv(H)
predicted = prune.obs(w, inverse)
steps = []
for i in range(2):
    step = -w[i] / inverse[i, i] * inverse[:, i]
    steps.append(step)
measured = [rise(H, step) for step in steps]
lesson.say("2 · the loss rises by")
lesson.table(("weight", "OBD", "OBS", "measured with OBS's step"),
             *((i, 0.5 * H[i, i] * w[i] ** 2, float(predicted[i]), measured[i]) for i in range(2)))
assert np.allclose(abs(vectors), np.sqrt(0.5)) and f"{abs(vectors[0, 0]):.3f}" == "0.707", \
    "F20 A22: eigenvectors are (.707, ±.707): both weights load equally on each, so eigenvalues rank neither"
assert [f"{p:.5f}" for p in predicted] == ["0.02375", "0.03420"] and np.allclose(
    measured, predicted, rtol=1e-12, atol=0
), "F20 E27: OBS predicts .02375 and .03420, and that is what the loss rises by"
assert all(abs((w + step)[i]) < 1e-15 for i, step in enumerate(steps)), "E27: the weight is gone"
assert np.allclose(w + steps[0], prune.obs_remove(w, inverse,
                                                  0)[0]), "E27: minipar's obs_remove takes this step"

# %% [markdown]
# ## 3 · A network at its minimum
#
# Now a small network with 63 weights (`support/network.py`), trained until its gradient is nearly zero. The exact Hessian
# takes 63 products H e_i, each about as dear as a backward pass (`minipar.autograd.hessian_vector_product`). The Fisher
# information (Fisher 信息), the mean of g_i² over samples, takes one backward pass per sample, and no products. On large models
# it is what one can afford.
#
# **Predict:** mean |g_i w_i| is about 0.01 before training. And after?

# %%
bowl = Landscape()
untrained = prune.first_order({"w": bowl.weights}, {"w": bowl.gradient()})["w"]
bowl.train(1500)
trained, hessian = bowl.weights, np.array([bowl.hessian_times(unit) for unit in np.eye(63)])
lowest = bowl.value(trained)
importance = {"magnitude": abs(trained),
              "|g w|": prune.first_order({"w": trained}, {"w": bowl.gradient()})["w"],
              "Fisher": prune.fisher({"w": trained}, {"w": bowl.fisher_diagonal()})["w"],
              "OBD": prune.obd({"w": trained}, {"w": np.diag(hessian)})["w"]}
actual = np.array([bowl.value(trained + without(trained, i)) - lowest for i in range(63)])
before, after = float(untrained.mean()), float(importance["|g w|"].mean())
orders = {name: agreement(scores, actual) for name, scores in importance.items()}
lesson.say(f"3 · mean |g w| is {before:.4f} before training, {after:.1e} after; the order in which scores "
           "put the weights")
lesson.table(("score", "agreement with what they really cost"), *orders.items())
assert np.allclose(hessian, hessian.T,
                   atol=1e-14) and np.linalg.eigvalsh(hessian)[0] > 0, "A22: it is a minimum"
assert before > 0.005 and after < 1e-3 * before, "A22: the gradient's score vanishes where training ends"
assert orders["OBD"] > orders["Fisher"] > orders["magnitude"] > orders["|g w|"] and orders["Fisher"] > 0.95, \
    "A22 E27: curvature ranks weights best, Fisher nearly as well, and the gradient worst"

# %% [markdown]
# A score is one thing; dropping many weights at once is another. The terms beyond the second begin to count, and the scores
# know nothing of each other: magnitude does about as well as OBD here. OBS adapts the weights that stay, and computes its scores
# anew after each weight that goes.

# %%
RATIOS = (0.1, 0.2, 0.3, 0.5)
costs = {name: {r: bowl.value(np.where(prune.drop_lowest({"w": scores}, r).keep["w"], trained, 0)) - lowest
                for r in RATIOS}
         for name, scores in importance.items()}
by_obs = {r: prune.obs_prune(trained, hessian, int(r * 63)) for r in RATIOS}
costs["OBS"] = {r: bowl.value(pruned) - lowest for r, (pruned, _) in by_obs.items()}
lesson.say("the loss rises by, if that many weights go")
lesson.table(("score", *(f"{r:.0%}" for r in RATIOS)),
             *((name, *found.values()) for name, found in costs.items()),
             ("OBS predicts", *(float(predicted) for _, predicted in by_obs.values())))
for r in (0.1, 0.2):
    assert costs["OBS"][r] < min(costs[name][r]
                                 for name in importance), "E27: weights that adapt make up for those that go"
    assert costs["|g w|"][r] > max(costs[name][r] for name in costs
                                   if name != "|g w|"), "A22: at a minimum |g w| is noise"
assert abs(costs["OBS"][0.1] / by_obs[0.1][1] - 1) < 0.2 < abs(costs["OBS"][0.5] / by_obs[0.5][1] - 1), \
    "E27: predicted is measured while the loss is a quadratic, and no longer"

# %% [markdown]
# ## 4 · LASSO
#
# A penalty λ |w|₁ in the loss drives weights to exactly zero while they are trained. Its gradient does not exist at zero, so it
# gets its own step after the gradient's: the soft threshold (软阈值), `sign(w) max(|w| - λ, 0)`. (With a learning
# rate η, it is η λ in each step.)
#
# **Predict:** the hard threshold 0.3 makes 3 zeros of 004's nine numbers. How many does the soft one make, and what becomes
# of 1.0?

# %%
PAGE = np.array([[1.0, 0.5, 0.2], [0.8, 0.3, 0.1], [0.6, 0.4, 0.0]])
soft = prune.lasso_prox(PAGE, 0.3)
assert (soft == 0).sum() == 4 and soft[1, 1] == 0, "A42: zeros 4, including .3"
assert np.allclose(soft[soft != 0],
                   PAGE[soft != 0] - 0.3), "A42: soft thresholding also shrinks the survivors, each by λ"

STRENGTH = 0.1  # λ; in `support/regression.py` three weights of twenty matter
truth, step_size = regression.TRUTH, 1 / np.linalg.eigvalsh(regression.GRAM)[-1]


def lasso(strength: float) -> np.ndarray:
    return prune.lasso(regression.gradient, np.zeros(len(truth)), strength, step_size)


found = lasso(STRENGTH)
support = np.flatnonzero(found)
refitted = regression.refit(support)                                # without the penalty, under the mask
bias = (found - refitted)[support] * np.sign(truth[support])
lesson.say("4 · LASSO, three true weights of twenty")
lesson.table(("weight", "truth", "LASSO", "refitted"),
             *((int(i), float(truth[i]), float(found[i]), float(refitted[i])) for i in support))
assert support.tolist() == [2, 5, 11], "E26: the support is recovered"
assert prune.lasso_gap(found, regression.gradient(found),
                       STRENGTH) < 1e-8, "E26: the condition of optimality holds"
assert abs(bias + STRENGTH).max() < 0.2 * STRENGTH, "E26 A42: the bias is about -λ"
assert abs(refitted
           - truth).max() < 0.02, "A42: training on under the mask, without the penalty, removes the bias"
plain = np.zeros(len(truth))
for _ in range(2000):
    plain -= step_size * (regression.gradient(plain) + STRENGTH * np.sign(plain))
assert (plain != 0).all(), "E26: the penalty's plain gradient makes no zeros; the soft threshold is needed"

# %% [markdown]
# ## 5 · Two different things
#
# 000 (3.1) lists quantisation as a way of trimming, and weight pruning as a way of quantising. Pruning leaves some weights out
# and the others as they are. Quantisation (量化) leaves none out, and moves nearly all to one of a few levels.

# %%
numbers = stream(0, "numbers").normal(size=10_000)
pruned = np.where(prune.magnitude_mask({"w": numbers}, 0.5).keep["w"], numbers, 0)
rounded = quantize(numbers, Scheme(8)).dequantize()
kinds = {name: (int((v == 0).sum()), int((v == numbers).sum()), len(np.unique(v))) for name, v in
         (("pruned to 50 %", pruned), ("quantised to 8 bits", rounded))}
lesson.say("5 · of 10 000 weights")
lesson.table(("", "zero", "unchanged", "different values"),
             *((name, *counts) for name, counts in kinds.items()))
assert kinds["pruned to 50 %"] == (5000, 5000, 5001), (
    "N6: pruning changes which weights are there, and no value that stays"
)
assert kinds["quantised to 8 bits"][1] < 10 and kinds["quantised to 8 bits"][2] <= 255, \
    "N6: quantisation changes nearly every value to one of 255, and prunes none on purpose"

# %% [markdown]
# ## 6 · Dynamic: a schedule, and a smaller structure
#
# 003 (6.4) names dynamic pruning and the optimisation of the structure as the future. The first is a schedule today,
#
#     s(t) = s_final (1 - (1 - t/T)³)              (Zhu and Gupta 2017)
#
# much at first, while most weights are redundant, little at the end. The second is leaving out whole hidden units and attention
# heads: what remains is an ordinary, smaller GPT. Both on a GPT now. Its text is two Markov chains in turns: the next token
# depends on the last but one, so that attention is needed.
#
# **Exercise:** 63 products gave the diagonal of the Hessian above. For a large model that is too many. Hutchinson's estimate is
# the mean of z ∘ (H z) over random vectors z of signs ±1. Write `hutchinson(count)` with `hessian_vector_product`; how many
# vectors do you need until OBD ranks the weights as well as with the exact diagonal? (`bowl.hessian_times(z)` is H z.)

# %%
TOTAL = 300 if lesson.fast else 900
SPARSITY = 0.9
source = MarkovSource.random(12, seed=3, concentration=0.2)
CONFIG = mp.ModelConfig(vocabulary=12, context=12, layers=1, heads=4, width=32)


def text(seed: int) -> np.ndarray:
    return np.stack([source.sample(15_000, seed=2 * seed + chain) for chain in range(2)], axis=1).reshape(-1)


batches = Batches(text(0), CONFIG.context, 16, seed=0)
unseen = Batches(text(1), CONFIG.context, 128, seed=0).get(0)


def trained_gpt(final: float, model: mp.GPT | None = None, steps: int = TOTAL) -> mp.GPT:
    """Trained while the sparsity rises to `final` within the first two thirds of the steps."""
    model = model or mp.GPT(CONFIG)
    optimizer = prune.Masked(Adam(Flat(model.parameters())), prune.Mask({}))
    pruner = prune.MagnitudePruner(
        optimizer,
        list(prune.linear_weights(model)),
        every=10,
        schedule=lambda step: prune.cubic_sparsity(step, final=final, steps=2 * steps // 3),
    )
    fine_tune(model.loss, optimizer, batches.get, steps, 5e-3, after=pruner.step)
    return model


def unseen_loss(model: mp.GPT) -> float:
    with no_grad():
        return model.loss(*unseen).item()


def size(model: mp.GPT) -> int:
    return sum(int(np.count_nonzero(p.data)) for p in model.parameters())


curve = [prune.cubic_sparsity(step, final=SPARSITY, steps=100) for step in range(101)]
assert curve[0] == 0 and curve[100] == SPARSITY and abs(curve[50] - SPARSITY * 7
                                                        / 8) < 1e-12 and min(np.diff(curve)) > 0, \
    "A30: the schedule rises all the time, 7/8 of it in the first half"
gpts = {"dense": trained_gpt(0.0), "gradually 90 %": trained_gpt(SPARSITY)}
one_shot = mp.GPT(CONFIG)
one_shot.load_state_dict(gpts["dense"].state_dict())
prune.magnitude_mask(prune.linear_weights(one_shot), SPARSITY).apply(prune.linear_weights(one_shot))
small = mp.GPT(CONFIG)
small.load_state_dict(gpts["dense"].state_dict())
prune.shrink(small, units=0.5, heads=0.25)
gpts |= {"at once 90 %": one_shot, "half the units, 3 heads of 4": trained_gpt(0.0, small, TOTAL // 3)}
losses = {name: unseen_loss(model) for name, model in gpts.items()}
lesson.say(f"6 · a GPT of one block after {TOTAL} steps")
lesson.table(("", "weights that are not 0", "loss on new text (nats per token)"),
             *((name, size(model), losses[name]) for name, model in gpts.items()))
assert losses["gradually 90 %"] - losses["dense"] < 0.5 * (losses["at once 90 %"] - losses["dense"]), \
    "A30: gradually is better than at once"
assert losses["half the units, 3 heads of 4"] - losses["dense"] < 0.1, (
    "A30: a smaller structure can be tuned, too"
)
D, F, K = CONFIG.width, CONFIG.mlp_width, CONFIG.head_width
# up, its bias and down; q, k, v, their biases and out
fewer = CONFIG.layers * (F // 2 * (2 * D + 1) + K * (4 * D + 3))
assert sum(p.data.size for p in small.parameters()) == sum(p.data.size
                                                           for p in gpts["dense"].parameters()) - fewer, \
    "A30: the matrices are smaller by exactly the units and heads that went"

# %% [markdown]
# ## The picture

# %%
path = np.geomspace(0.003, 2.2, 40)
lesson.picture(draw_importance(actual, {name: importance[name] for name in ("|g w|", "Fisher", "OBD")}, path,
                               np.array([lasso(strength) for strength in path]), truth))
