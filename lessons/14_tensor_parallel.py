# %% [markdown]
# # 14 · Tensor parallel: split every weight, add up the activations
#
# The weight matrices of GPT-3 take 348 GB in 16 bits. An accelerator has 80 GB. Data
# parallelism (lesson 13) does not help: there each rank holds *all* weights. How
# can several ranks compute one layer, if no rank can hold it?
#
#     y = x W       W is split by columns       W is split by rows
#
#                       rank 0 | rank 1             rank 0
#                       W[:,a] | W[:,b]             W[a,:]
#                                                   ------
#                                                   rank 1
#                                                   W[b,:]
#
#     (a: the first half of the columns or rows; b: the second half)
#
# In **tensor parallelism** each weight matrix is split over the ranks. Each rank
# multiplies by its part, its *shard*, and the ranks put the results together.
# Weights never travel. What travels is *activations*: x, y, and their gradients.
#
# You need lesson 0 and the chain rule. The core path takes 40 minutes; sections
# marked "(optional)" do not belong to it.
#
# Run me: `minipar lesson teach 14` (step by step), `minipar lesson run 14` (at
# once), or under `mpirun -n 4 python lessons/14_tensor_parallel.py`.

# %%
import numpy as np
from minipar.lessons.plots.tensor_parallel import (
    draw_held,
    draw_sent,
    draw_shards,
)
from minipar.lessons.support.dense import (
    SAMPLES,
    G,
    X,
    error,
    gpt,
    own,
    pair,
    vocabulary_loss,
)
from minipar.lessons.support.differences import slopes
from minipar.lessons.support.lesson import Lesson

# %%
import minipar as mp
from minipar.autograd import cross_entropy, gelu, linear
from minipar.comm.collectives import all_gather, broadcast
from minipar.comm.wrappers.counting import Counting
from minipar.compress.quantize import Scheme, quantize
from minipar.errors import CommError
from minipar.nn import MLP, Start
from minipar.parallel import TensorRegion
from minipar.parallel.operators import (
    copy_to_region,
    gather_from_region,
    reduce_from_region,
    scatter_to_region,
    shares,
)
from minipar.parallel.vocabulary import vocab_parallel_cross_entropy
from minipar.plan.collectives import ring_all_gather, ring_all_reduce
from minipar.rng import stream

lesson = Lesson("14_tensor_parallel")
p = lesson.size
assert p > 1, "this lesson needs two ranks or more: mpirun -n 4"

# %% [markdown]
# ## 1 · Two ways to split a product
#
# One sample x with 3 inputs, one weight matrix with 4 outputs:
#
#                       [1  4  7  10]
#     x = (1, -1, 2)    [2  5  8  11]     y = x W = (5, 11, 17, 23)
#                       [3  6  9  12]
#
# **By columns** (column-parallel): rank 0 has columns 0 and 1. It needs all of
# x, and it makes y[0] and y[1]. Rank 1 makes y[2] and y[3].
#
# **By rows** (row-parallel): rank 0 has rows 0 and 1. It needs x[0] and x[1]
# only. But now it makes four numbers, and none of them is y:
#
#     rank 0:  1 · (1, 4, 7, 10) - 1 · (2, 5, 8, 11)  =  (-1, -1, -1, -1)
#     rank 1:  2 · (3, 6, 9, 12)                      =  ( 6, 12, 18, 24)

# %%
W = np.arange(1.0, 13).reshape(4, 3).T          # [inputs, outputs]
x = np.array([1.0, -1, 2])
columns = [x @ W[:, :2], x @ W[:, 2:]]          # on rank 0, on rank 1
rows = [x[:2] @ W[:2], x[2:] @ W[2:]]
lesson.predict("What must the ranks do with their results?",
               ["columns: side by side; rows: sum",
                "columns: sum; rows: side by side"])
side_by_side, total = np.concatenate(columns), rows[0] + rows[1]
lesson.reveal("columns: side by side; rows: sum")
lesson.table(("split by", "rank 0", "rank 1", "together"),
             ("columns", *columns, side_by_side), ("rows", *rows, total))
lesson.picture(draw_shards(p))
assert side_by_side.tolist() == total.tolist() == (x @ W).tolist(), \
    "both are x W: look at what each rank multiplies"

# %% [markdown]
# Putting the parts side by side is an all-gather; the sum is an all-reduce.

# %% [markdown]
# ## 2 · Backward
#
# Let L be the loss, and write dW for dL/dW, dx for dL/dx and g for dL/dy. The
# vectors x, y and g are rows. The chain rule says dW = x^T g and dx = g W^T. Look at
# what each rank needs for *its* shard:
#
#     split by    dW of the shard    dx
#     columns     x^T g_i            sum of all g_i W_i^T         all-reduce
#     rows        x_i^T g            all g W_i^T side by side     all-gather
#
# Here W_i is the shard of rank i, and g_i and x_i are its parts of g and x. So the
# gradient of a shard is complete on its rank: it has the shape of the shard, and no
# other rank has a part of it. It never travels.
#
# Compare with forward. By columns there is no sum forward, but one backward. By rows
# there is a sum forward, and none backward. We check this with L = sum of sin(y),
# and compare with differences: (L(w + h) - L(w - h)) / 2h for a small h.

# %%


def loss(weight, input_):
    return float(np.sin(input_ @ weight).sum())


g = np.cos(x @ W)                               # the derivative of sin
dW = slopes(lambda w: loss(w, x), W)            # by differences
dx = slopes(lambda v: loss(W, v), x)
found = {
    "dW, by columns": np.outer(x, g[:2]) - dW[:, :2],
    "dW, by rows": np.outer(x[:2], g) - dW[:2],
    "dx, by columns": g[:2] @ W[:, :2].T + g[2:] @ W[:, 2:].T - dx,
    "dx, by rows": np.concatenate([g @ W[:2].T, g @ W[2:].T]) - dx,
}
lesson.table(("formula", "off from differences"),
             *((name, float(abs(off).max()))
               for name, off in found.items()))
assert all(abs(off).max() < 2e-9 for off in found.values()), \
    "each formula gives the gradient: look at which part of g or x it takes"

# %% [markdown]
# ## 3 · The two layers on real ranks
#
# Now each rank really holds only its shard. A *region* is a part of the model in
# which the ranks have different numbers. Four operators stand where a region begins
# or ends. Each does what is needed there, forward *and* backward:
#
#     operator               forward           backward
#     copy_to_region         nothing           all-reduce        called f
#     reduce_from_region     all-reduce        nothing           called g
#     gather_from_region     all-gather        takes its part
#     scatter_to_region      takes its part    all-gather
#
# "Nothing" means that the numbers pass unchanged. The names f and g are those of the
# Megatron paper. From here on, g is this operator, and the gradient is dL/dy.

# %%
B, IN, OUT = SAMPLES, 2 * p + 1, 3 * p - 2      # nothing divides by p
# own(comm, n): the slice of n columns that this rank has
# shares(n, comm): how many columns each rank has
X0, W0, G0 = (stream(0, name).normal(size=shape) for name, shape in
              (("x", (B, IN)), ("W", (IN, OUT)), ("dL/dy", (B, OUT))))


def tensor(values):
    return mp.Tensor(values.copy(), requires_grad=True)


def by_columns(comm):                           # linear(x, w) is x @ w
    mine = slice(None), own(comm, OUT)
    x, w = tensor(X0), tensor(W0[mine])                     # [IN, o]
    part = linear(copy_to_region(x, comm, "dx"), w)         # [B, o]
    y = gather_from_region(part, comm, "y", shares(OUT, comm))
    return x, w, y, mine


def by_rows(comm):
    mine = own(comm, IN), slice(None)
    x, w = tensor(X0), tensor(W0[mine])                     # [i, OUT]
    part = linear(scatter_to_region(x, comm, "dx", shares(IN, comm)), w)
    return x, w, reduce_from_region(part, comm, "y"), mine  # [B, OUT]


# %%
def against_dense(comm, layer):
    """How y, dW, dx travel; how far they are from the unsplit layer's."""
    counting = Counting(comm)                   # counts what is sent
    x, w, y, mine = layer(counting)
    mp.backward(y, G0)                          # starts with dL/dy = G0
    # label of a message -> the collective that sent it
    moved = {label: op.split()[0]
             for label, op in counting.traffic.by("label", "op")}
    others = moved.keys() - {"y forward", "dx backward"}
    return ([moved.get("y forward", "nothing"),
             "travels" if others else "stays",
             moved.get("dx backward", "nothing")],
            [error(y.data, X0 @ W0), error(w.grad, (X0.T @ G0)[mine]),
             error(x.grad, G0 @ W0.T)])


lesson.predict("How many of y, dW and dx travel, in each of the layers?")
table, wrong = [], []
for layer in (by_columns, by_rows):
    ranks = lesson.run(against_dense, layer)
    off = [max(errors[k] for _, errors in ranks) for k in range(3)]
    table.append((layer.__name__, *ranks[0][0], *off))
    wrong += [f"{what} of {layer.__name__}" for what, amount in
              zip(("y", "dW", "dx"), off, strict=True) if amount > 1e-13]
lesson.reveal(sum("all" in word for word in table[0][1:4]))
lesson.table(("layer", "y", "dW", "dx", "y off", "dW off", "dx off"),
             *table)
assert not wrong, \
    f"compare with the unsplit layer. Wrong here: {', '.join(wrong)}"
assert [row[1:4] for row in table] == [
    ("all_gather", "stays", "all_reduce"),
    ("all_reduce", "stays", "all_gather")], \
    "y travels forward, dx backward, dW never: look at the labels"

# %% [markdown]
# **Break it.** In `by_columns`, leave out `copy_to_region`: the first argument of
# `linear` is then `x` itself. y stays right, and so does dW. What is wrong, and on
# how many ranks?

# %% [markdown]
# ## 4 · A pair of layers needs half
#
# In a transformer two such layers follow each other. In the MLP they are called
# *up* and *down*. In attention they are *qkv*, which makes queries, keys and
# values, and *out*. Split the first by columns and the second by rows. Then the
# first would gather its result, and the second would scatter it again. Leave out
# both:
#
#     x --f--> up (columns) --> gelu --> down (rows) --g--> y
#
# Between them is gelu, an activation function like ReLU. It works on each number by
# itself. So each rank can apply it to its own numbers.

# %%
HIDDEN = 4 * p
UP, DOWN = (stream(1, name).normal(size=shape) for name, shape in
            (("up", (IN, HIDDEN)), ("down", (HIDDEN, OUT))))


def split_mlp(comm):
    counting = Counting(comm)
    mine = own(comm, HIDDEN)
    x, up, down = tensor(X0), tensor(UP[:, mine]), tensor(DOWN[mine])
    h = gelu(linear(copy_to_region(x, counting, "dx"), up))     # [B, h]
    y = reduce_from_region(linear(h, down), counting, "y")
    mp.backward(y, G0)
    return y.data, x.grad, counting.traffic.by("op")


lesson.predict("How many all-reduces does the MLP need, forward and "
               "backward together?")
whole_y = linear(gelu(linear(mp.Tensor(X0), mp.Tensor(UP))),
                 mp.Tensor(DOWN)).data
results = lesson.run(split_mlp)
calls = [sum(tally.calls for tally in moved.values())
         for *_, moved in results]
lesson.reveal(calls[0])
assert all(error(y, whole_y) < 1e-12 for y, *_ in results), \
    "up by columns, down by rows, one sum: look at the two slices"
assert calls == [2] * p, "one all-reduce forward (g), one backward (f)"

# %% [markdown]
# One forward (g) and one backward (f): half of what two single layers need.
# minipar's own MLP and attention do this (`minipar/nn`). In attention, each rank has
# some of the heads, and a head is never split. `pair` (`support/dense.py`) compares
# both with unsplit ones, with all their gradients.
#
# The other order does not work. After a split by rows each rank has *parts of a
# sum*, and gelu(a) + gelu(b) is not gelu(a + b). The cell below shows this with ReLU.

# %%
for kind, (first, second) in {"MLP": ("up", "down"),
                              "attention": ("qkv", "out")}.items():
    ranks, name = lesson.run(pair, kind), kind.lower()
    off = max(value for _, value in ranks)
    lesson.say(f"  {kind}: all-reduce after {second} forward, "
               f"after {first} backward; off by {off:.1e}")
    assert all(moved == [(f"{name}.{second} forward", "all_reduce sum", 1),
                         (f"{name}.{first} backward", "all_reduce sum", 1)]
               for moved, _ in ranks), \
        "a pair has one all-reduce forward, one backward, and nothing else"
    assert off < 1e-12, "a split pair computes what the unsplit pair does"
parts = [X0[:, :3] @ W0[:3], X0[:, 3:] @ W0[3:]]
relu_off = error(sum(np.maximum(part, 0) for part in parts),
                 np.maximum(X0 @ W0, 0))
lesson.say(f"  ReLU of parts, then the sum, is off by {relu_off:.2f}")
assert relu_off > 0.1, \
    "ReLU must come after the sum: relu(a) + relu(b) is not relu(a + b)"

# %% [markdown]
# ## 5 · The mistake that no forward pass shows
#
# The class `TensorRegion` puts f and g around each pair of a GPT. It also puts an f
# in front of the last layer, the *head*. (The head and the token embedding share one
# table of weights.) The method that applies f is called `enter`. In the forward pass
# it does nothing. Here is a region without f, in a GPT with two blocks.

# %%


class WithoutF(TensorRegion):
    def enter(self, x, label):
        return x


lesson.predict("Without f, what is still right?",
               ["the loss, and the last block's gradients",
                "the loss, and no gradient", "nothing"])
summary = {}
for name, region in (("TensorRegion", TensorRegion),
                     ("without f", WithoutF)):
    ranks = lesson.run(gpt, region)
    off = {key: max(errors[key] for _, errors in ranks)
           for key in ranks[0][1]}
    summary[name] = (max(loss_off for loss_off, _ in ranks),
                     sum(value < 1e-12 for value in off.values()), len(off))
without = summary["without f"]
lesson.reveal("the loss, and no gradient" if without[1] == 0
              else f"the loss, and {without[1]} gradients")
lesson.table(("region", "loss off by", "right gradients", "of"),
             *((name, *row) for name, row in summary.items()))
assert summary["TensorRegion"][0] < 1e-13, \
    "the loss is that of one process"
assert summary["TensorRegion"][1] == summary["TensorRegion"][2], \
    "with f and g, all gradients are those of one process"
assert without[0] < 1e-13 and without[1] == 0, \
    "the loss needs no f, and each gradient does: look at `enter`"

# %% [markdown]
# Why is no gradient right? Backward begins at the head. There the missing f leaves
# each rank with a part of the sum, and this wrong gradient goes on to all layers.
#
# So a correct loss proves nothing. Compare *gradients* with one process; this
# is what `minipar verify` does.

# %% [markdown]
# ## 6 · What it costs
#
# Memory is the gain: each rank holds 1/p of the weights. The price, per block and
# step: four all-reduces (two pairs, forward and backward) of b T D numbers. Here b
# is the number of sequences, T the number of tokens in each, and D the width. On a
# ring each rank sends 2 (p - 1)/p times as many numbers, in each all-reduce.
#
# Example: b = 1, T = 4, D = 10, p = 2. One all-reduce is of 40 numbers, and each
# rank sends 2 · 1/2 · 40 = 40. Four of them are 160 numbers per block.
#
# GPT-3: 96 blocks, D = 12288; one sequence of 2048 tokens, 2 bytes per number. The
# cell also computes what a pipeline (lesson 15) would send between two ranks.

# %%
D, T, LAYERS = 12288, 2048, 96


def activations_gb(ranks):
    return 4 * LAYERS * ring_all_reduce(ranks, 0, T * D).elements * 2 / 1e9


def gathered_gb(ranks):
    """GB sent if every rank got all 12 D^2 weight gradients of a block."""
    # 12 D^2: qkv 3, out 1, up 4, down 4
    parts = [12 * D * D // ranks] * ranks
    return LAYERS * ring_all_gather(ranks, 0, parts).elements * 2 / 1e9


def held_gb(ranks):
    return LAYERS * 12 * D * D * 2 / 1e9 / ranks


boundary_mb = 2 * T * D * 2 / 1e6
lesson.predict("GPT-3 on 8 ranks: how many GB does a rank send per step?")
lesson.reveal(round(activations_gb(8), 1), "GB")
SIZES = [2, 4, 8, 16, 32]
lesson.table(("ranks", "activations sent, GB", "weights held, GB"),
             *((n, activations_gb(n), held_gb(n)) for n in SIZES))
lesson.say(f"  a pipeline sends between two ranks, both ways: "
           f"{boundary_mb:.1f} MB", "")
lesson.picture(draw_held({n: held_gb(n) for n in SIZES}), "_memory")
assert held_gb(8) == held_gb(1) / 8, "each rank holds 1/8 of the weights"

# %% [markdown]
# 34 GB in each step is a lot. So tensor parallelism is used inside one machine,
# where links are fast. Between machines the model is split by layers: a pipeline
# (lesson 15) sends 0.1 GB between two neighbours.

# %% [markdown]
# ## 7 · Exercises
#
# Chapter 5 of `minipar exercise list`:
#
# * `column_row_pair`: the pair of section 4, forward and backward;
# * `attention_heads`: the same with heads;
# * `vocab_parallel_loss`: the loss of logits that nobody holds whole;
# * `sequence_parallel`: between the pairs, split the tokens;
# * `the_row_bias`: find the fault in a layer split by rows;
# * `predict_what_travels`: the traffic of a whole GPT.
#
# And `f_and_g` of chapter 3 writes the two operators.

# %% [markdown]
# ## 8 · A loss that no rank can see whole (optional)
#
# The last layer, the head, is split by columns, too: each rank has some columns
# of the *logits*, the scores of the V words. Below, `gathered_loss` gathers them,
# so V numbers per token travel. `thrifty_loss` sends three numbers per token. The
# loss of a token is the log of the sum of all exp(logit), minus the target's logit.
# Three numbers are reduced over the ranks. The first is the largest logit, which is
# subtracted before exp, so that exp does not overflow. The second is the sum of the
# exponentials. The third is the target's logit: one rank has it, and the others add
# zero. You write this function in `minipar exercise start vocab_parallel_loss`
# (chapter 5). The library's version is `minipar/parallel/vocabulary.py`.

# %%
V = 4 * p + 3


def gathered_loss(part, targets, comm, vocabulary):
    """This rank's logits [B, T, v], targets [B, T]: the mean loss."""
    counts = shares(vocabulary, comm)
    logits = gather_from_region(part, comm, "logits", counts)
    return cross_entropy(logits, targets)


def thrifty_loss(part, targets, comm, vocabulary):
    mine = own(comm, vocabulary)
    return vocab_parallel_cross_entropy(part, targets, None, comm, mine,
                                        vocabulary)


tries = {function.__name__: lesson.run(vocabulary_loss, function, V)
         for function in (gathered_loss, thrifty_loss)}
lesson.table(("function", "loss off", "gradient off", "sent per token"),
             *((name, *(max(column) for column in zip(*ranks, strict=True)))
               for name, ranks in tries.items()))
assert all(off < 1e-12 and slope < 1e-12 for ranks in tries.values()
           for off, slope, _ in ranks), \
    "loss and gradient are those of whole logits: look at the largest logit"
assert all(sent <= 3 * p for *_, sent in tries["thrifty_loss"]), \
    "three numbers per token, summed over the ranks, are enough"

# %% [markdown]
# ## 9 · What the documents say (optional)
#
# Covers: F3 F4 F5 A12 A17 N22 N24 N25 N26 E32
#
# Document 001 (3.1 and 4.1) describes tensor parallelism (张量并行) in six steps
# (A12) and with formulas (A17), and makes four mistakes, R1 to R4. It writes
# y = W x with x a column, so its *rows* of W are our columns:
#
#     document               splits         here
#     by rows (按行)         the outputs    column-parallel
#     by columns (按列)      the inputs     row-parallel
#
# Its third way, by "feature dimension" (按特征维度), is one of these two. R1 to R4 are
# rows of ERRATA.md; F4 and the like are ids of INDEX.md.
#
# * F3, as written: `y = W x`. Right.
# * F4, as written: "W is split by rows, `y = sum_i W_i x`". Wrong (R1): the
#   pieces of y are put side by side. Corrected: rows, y = (W_1 x, W_2 x, ...);
#   *columns*, y = sum_i W_i x_i.
# * F5, as written: `dL/dW_i = dL/dy x^T`. Wrong (R2): this is the gradient of the
#   whole W. Corrected: rows, (dL/dy)_i x^T; columns, dL/dy x_i^T.

# %%
printed_W = W.T                                 # [outputs, inputs]
blocks = [printed_W[:2] @ x, printed_W[2:] @ x]
single_rows = sum(row @ x for row in printed_W)
lesson.table(("001, 4.1", "result"), ("y = W x", printed_W @ x),
             ("as written, two blocks of rows added", sum(blocks)),
             ("as written, four single rows added", single_rows),
             ("side by side", np.concatenate(blocks)),
             ("blocks of columns added", total))
assert (printed_W @ x).tolist() == np.concatenate(blocks).tolist() \
    == total.tolist() == [5, 11, 17, 23], \
    "F3 F4: row blocks side by side, or the sum over column blocks (R1)"
assert sum(blocks).tolist() == [22, 34] and single_rows == 56, \
    "F4: as written, the sum over row blocks is not y"
assert [part.tolist() for part in rows] == [
    [-1, -1, -1, -1], [6, 12, 18, 24]], "F4: the parts of the right sum"
as_written = np.outer(np.cos(printed_W @ x), x)
assert as_written.shape == (4, 3) != printed_W[:2].shape, \
    "F5: as written, a shard's gradient has the shape of the whole W (R2)"
assert all(abs(off).max() < 2e-9 for off in found.values()), \
    "F5: corrected, it is that of differences"

# %% [markdown]
# If the rows do not divide evenly, the sum of F4 does not even exist. An example is
# 2 p + 1 rows on p ranks. minipar raises an error on every rank, before it sends any
# number:

# %%


def sum_of_pieces(comm):
    every = np.ones((2 * comm.size + 1, 3))
    mine = np.array_split(every, comm.size)[comm.rank]
    try:
        mp.all_reduce(comm, mine @ x, label="y = sum_i W_i x")
    except CommError as refusal:
        return str(refusal)
    return ""


refusals = lesson.run(sum_of_pieces)
lesson.wrapped(refusals[0])
assert all("elements" in refusal for refusal in refusals), \
    "F4: pieces of unequal size have no sum; every rank raises the error"

# %% [markdown]
# ### What travels
#
# * A17, A12 and E32 (tensor parallelism): with these corrections, loss and gradients
#   are those of one process.
# * N26, in steps 5 and 6 of 3.1 to 3.3: gather *all* weight gradients. Wrong
#   (R3): the gradient of a shard stays. What a step sends does not even depend on
#   the hidden width. Gathering would undo the split.
# * N24 (3.1): it overcomes the limit of one device's memory, and costs traffic.
#   Right.

# %%


def mlp_bytes(comm, hidden):
    """Bytes sent by an MLP, and bytes of its sharded gradients."""
    counting = Counting(comm)
    config = mp.ModelConfig(width=24, heads=6, hidden=hidden)
    mlp = MLP("mlp", config, Start(std=0.02), TensorRegion(counting))
    mp.backward(mlp(tensor(X.astype(np.float32))), G.astype(np.float32))
    return (counting.traffic.total().bytes,
            sum(q.grad.nbytes for q in mlp.parameters() if q.is_sharded))


narrow, wide = (lesson.run(mlp_bytes, hidden)[0]
                for hidden in (8 * p, 80 * p))
gradient_mib = 4096 * 16384 * 4 / 2**20         # of one matrix in float32
lesson.table(("hidden width", "bytes sent by rank 0", "bytes of its dW"),
             (8 * p, *narrow), (80 * p, *wide))
lesson.table(("ranks", "activations, GB", "gathered gradients, GB"),
             *((n, activations_gb(n), gathered_gb(n)) for n in SIZES))
costs = {"activations": {n: activations_gb(n) for n in SIZES},
         "weight gradients, if gathered":
             {n: gathered_gb(n) for n in SIZES}}
lesson.picture(draw_sent(costs), "_traffic")

# %%
assert not wrong and [row[2] for row in table] == ["stays", "stays"], \
    "A17: y forward and dx backward are communicated, and never dW"
assert summary["TensorRegion"][0] < 1e-13 \
    and summary["TensorRegion"][1] == summary["TensorRegion"][2], \
    "A12 E32: a GPT on p ranks has the loss and gradients of one process"
assert all(off < 1e-12 for ranks in tries.values() for off, *_ in ranks), \
    "E32: and so has a loss whose logits are split"
assert narrow[0] == wide[0] and wide[1] == 10 * narrow[1], \
    "N26: ten times the weight gradients, not a byte more to send (R3)"
assert (gradient_mib / 8, gradient_mib) == (32, 256), \
    "N26: gathering one gradient would undo the split: 32 -> 256 MiB"
assert round(activations_gb(8), 1) == 33.8 \
    and round(boundary_mb, 1) == 100.7, \
    "N24: 33.8 GB per step; at a pipeline's boundary 100.7 MB"

# %% [markdown]
# ### A wrapper for replicas destroys shards (R4)
#
# N25 (3.1, step 2): set tensor parallelism up with PyTorch's DDP or TensorFlow's
# strategies. These are for *replicas*. So they begin by making all ranks equal:
# they broadcast rank 0's parameters. After that every rank has rank 0's shard.
# Corrected: a group of ranks, and explicit collectives.

# %%


def wrapped(comm):
    """Change of this shard, error of y, whether all shards are equal."""
    block = IN // comm.size                     # equal, or it does not fit
    inputs = slice(comm.rank * block, (comm.rank + 1) * block)
    used = slice(0, comm.size * block)
    shard = W0[inputs].copy()
    broadcast(comm, shard, label="rank 0's parameters", out=shard)
    y = mp.all_reduce(comm, X0[:, inputs] @ shard, label="y")
    everyones = all_gather(comm, shard[None], label="shards")
    return (error(shard, W0[inputs]), error(y, X0[:, used] @ W0[used]),
            bool((everyones == everyones[0]).all()))


moves = lesson.run(wrapped)
lesson.table(("rank", "shard changed by", "y is wrong by", "shards equal"),
             *((r, *move) for r, move in enumerate(moves)))
assert moves[0][0] == 0 and moves[0][1] > 0.5 and all(
    change > 0.1 and equal for change, _, equal in moves[1:]), \
    "N25: all shards but the first are overwritten, and y is wrong (R4)"

# %% [markdown]
# ### A word in the title
#
# N22: 001's title says 模型量. That is the beginning of 模型量化, quantisation
# (lesson 07). Meant is 模型并行, model parallelism. Both make the model on one
# device smaller. Quantisation keeps every weight, rounded. Model parallelism
# keeps some of the weights, exactly.

# %%
rounded = quantize(W0, Scheme(8)).dequantize()
held = lesson.run(lambda comm: W0[own(comm, IN)])
assert rounded.shape == W0.shape and 0 < error(rounded, W0) < 0.01, \
    "N22: quantised, all weights are there, and rounded"
assert max(len(part) for part in held) < IN and np.array_equal(
    np.concatenate(held), W0), \
    "N22: in parallel, all shards together are the weights, to the last bit"
