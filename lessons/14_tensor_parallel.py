# %% [markdown]
# # 14 · Tensor parallel: share out every weight, add up the activations
#
# Covers: F3 F4 F5 A12 A17 N22 N24 N25 N26 E32
#
# Data parallelism copies the model. When one layer no longer fits on a rank, its weight W has to be cut (张量并行), and then the
# ranks compute *together*: each multiplies by its part, and what travels is activations, never weights and never weight
# gradients.
#
# Document 001 (3.1 and 4.1) describes this with four mistakes, R1 to R4 below. Each is shown in numbers, and put right. Two
# smaller ones: its title has a wrong word (N22, section 3), and of its three ways to cut, by rows (按行), by columns (按列) and by
# "feature dimension" (按特征维度), the last is one of the others.
#
# The documents write y = W x, with x a column. Code writes y = x W, a sample per row, so their *rows* of W are our columns:
#
#     documents         splits          here
#     by rows           the outputs     column-parallel    (Megatron-LM's name too)
#     by columns        the inputs      row-parallel
#
# Run me: `python lessons/14_tensor_parallel.py` (four threads), under `mpirun -n 4`, or cell by cell in an editor.

# %%
from collections.abc import Callable
from textwrap import fill
from typing import Any

import numpy as np
from minipar.lessons.plots.tensor_parallel import draw_tensor_parallel
from minipar.lessons.support.dense import SAMPLES, G, X, error, gpt, own, pair, vocabulary_loss
from minipar.lessons.support.differences import slopes
from minipar.lessons.support.lesson import Lesson

import minipar as mp
from minipar.autograd import cross_entropy, linear
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
assert p > 1, "tensor parallelism needs two ranks or more: mpirun -n 2"

MIB = 1 << 20

# %% [markdown]
# ## 1 · R1: rows are put together, columns are added
#
# 001, 4.1: "W is split by rows, y = sum_i W_i x". **Predict** y for the numbers below, and then what that formula gives with
# two blocks of two rows, and with four single rows.

# %%
W = np.arange(1.0, 13).reshape(4, 3)  # [outputs, inputs], as the documents write it
x = np.array([1.0, -1, 2])
y = W @ x
blocks = [W[:2] @ x, W[2:] @ x]                                     # of two rows each
columns = [W[:, :2] @ x[:2], W[:, 2:] @ x[2:]]                      # of two and of one, and x is cut as well
lesson.say("1 · R1",
           f"  y = W x                             {y}",
           f"  row blocks W_i x                    {blocks[0]} {blocks[1]}",
           f"  as printed, their sum               {sum(blocks)}: two numbers, not four",
           f"  as printed, sum of 4 single rows    {sum(row @ x for row in W)}",
           f"  side by side (all-gather)           {np.concatenate(blocks)}",
           f"  column blocks W_i x_i               {columns[0]} {columns[1]}",
           f"  their sum (all-reduce)              {sum(columns)}")
assert y.tolist() == np.concatenate(blocks).tolist() == sum(columns).tolist() == [5, 11, 17, 23], \
    "F3 F4: y = W x is its row blocks' results side by side, and the sum over column blocks"
assert sum(blocks).tolist() == [22, 34] and sum(row @ x for row in W) == 56, (
    "F4: as printed, the sum over row blocks is not y"
)
assert [column.tolist() for column in columns] == [[-1, -1, -1, -1],
                                                   [6, 12, 18, 24]], "F4: the parts of the sum"

# %% [markdown]
# With 5 rows over 2 devices the pieces of y have 3 and 2 numbers, and there is no sum at all. Here are 2 p + 1 rows over p
# ranks. minipar refuses on every rank, before any number is sent:

# %%


def sum_of_pieces(comm: mp.Communicator) -> str:
    rows = np.array_split(np.ones((2 * comm.size + 1, 3)), comm.size)[comm.rank]
    try:
        mp.all_reduce(comm, rows @ x, label="y = sum_i W_i x")
    except CommError as refusal:
        return str(refusal)
    return ""


refusals = lesson.run(sum_of_pieces)
lesson.say(fill(refusals[0], 110, initial_indent="  ", subsequent_indent="  "), "")
assert all("elements" in refusal
           for refusal in refusals), "F4: pieces of unequal size have no sum, and every rank is told"

# %% [markdown]
# ## 2 · R2: the gradient of a shard has the shape of the shard
#
# 001, 4.1: dL/dW_i = dL/dy x^T. That is the gradient of the *whole* W. A shard's gradient is a part of it:
#
#     rows       dL/dW_i = (dL/dy)_i x^T          the rank's own part of the output gradient
#     columns    dL/dW_i = dL/dy (x_i)^T          the rank's own part of the input
#
# Not printed at all is the gradient of the input, and that is where the sum belongs that R1 put into the forward pass:
#
#     rows       dL/dx = sum_i W_i^T (dL/dy)_i
#     columns    dL/dx = W_i^T dL/dy, side by side

# %%


def loss(weight: np.ndarray, input_: np.ndarray) -> float:
    return float(np.sin(weight @ input_).sum())


g = np.cos(W @ x)                                                   # dL/dy for L = sum of sin(y)
dW, dx = slopes(lambda w: loss(w, x), W), slopes(lambda v: loss(W, v), x)
printed = np.outer(g, x)
found = {"dW, rows": np.outer(g[:2], x) - dW[:2], "dW, columns": np.outer(g, x[:2]) - dW[:, :2],
         "dx, rows": W[:2].T @ g[:2] + W[2:].T @ g[2:] - dx,
         "dx, columns": np.concatenate([W[:, :2].T @ g, W[:, 2:].T @ g]) - dx}
lesson.say(
    "2 · R2",
    f"  a shard of two rows has shape {W[:2].shape}; as printed its gradient has shape {printed.shape}",
)
lesson.table(("corrected formula", "largest difference from finite differences"),
             *((name, float(abs(difference).max())) for name, difference in found.items()))
assert printed.shape != W[:2].shape, "F5: as printed, a shard's gradient has the shape of the whole W"
assert all(abs(difference).max() < 2e-9
           for difference in found.values()), "F5: corrected, it is that of finite differences"

# %% [markdown]
# ## 3 · The two layers on real ranks
#
# Each rank holds its share, with its own gradient. The operators at the ends (`minipar/parallel/operators.py`) bring the
# communication, forward and backward. **Predict** the four collectives in the table before you run.
#
# **Break it on purpose:** in `split_outputs`, use `x` itself where `copy_to_region(x, ...)` stands. y stays right, and so does
# dW. What is wrong, and on how many ranks?

# %%
B, IN, OUT = SAMPLES, 2 * p + 1, 3 * p - 2  # samples, inputs, outputs: nothing has to divide
X0, W0, G0 = (stream(0, name).normal(size=shape) for name,
              shape in (("x", (B, IN)), ("W", (IN, OUT)), ("dL/dy", (B, OUT))))


def split_outputs(comm: mp.Communicator) -> tuple[mp.Tensor, mp.Tensor, mp.Tensor, tuple]:
    """Column-parallel (documents: by rows): this rank computes its own columns of y."""
    x, w = mp.Tensor(X0.copy(), requires_grad=True), mp.Tensor(W0[:, own(comm, OUT)].copy(),
                                                               requires_grad=True)      # [IN, o]
    part = linear(copy_to_region(x, comm, "dx"), w)                                       # [B, o]
    return x, w, gather_from_region(part, comm, "y", shares(OUT, comm)), (slice(None), own(comm, OUT))


def split_inputs(comm: mp.Communicator) -> tuple[mp.Tensor, mp.Tensor, mp.Tensor, tuple]:
    """Row-parallel (documents: by columns): this rank takes its own inputs, and the results are summed."""
    x, w = mp.Tensor(X0.copy(), requires_grad=True), mp.Tensor(W0[own(comm, IN)].copy(),
                                                               requires_grad=True)         # [i, OUT]
    part = linear(scatter_to_region(x, comm, "dx", shares(IN, comm)),
                  w)                   # [B, OUT], a part of the sum
    return x, w, reduce_from_region(part, comm, "y"), (own(comm, IN), slice(None))


def against_dense(comm: mp.Communicator, layer: Callable[..., Any]) -> tuple[list[str], list[float]]:
    """How y, dW and dx travel, and how far they are from the dense layer's."""
    counting = Counting(comm)
    x, w, y, mine = layer(counting)
    mp.backward(y, G0)
    assert x.grad is not None and w.grad is not None
    moved = {label: op.split()[0] for label, op in counting.traffic.by("label", "op")}
    others = moved.keys() - {"y forward", "dx backward"}            # of all that is sent
    return ([moved.get("y forward", "nothing"), "travels" if others else "stays",
             moved.get("dx backward", "nothing")],
            [error(y.data, X0 @ W0), error(w.grad, (X0.T @ G0)[mine]), error(x.grad, G0 @ W0.T)])


lesson.say("3 · one layer, cut in two ways, against the dense layer")
rows, wrong = [], []
for layer in (split_outputs, split_inputs):
    found_on_ranks = lesson.run(against_dense, layer)
    worst = [max(errors[k] for _, errors in found_on_ranks) for k in range(3)]
    rows.append((layer.__name__, *found_on_ranks[0][0], *worst))
    wrong += [f"{what} of {layer.__name__}" for what, off in zip(("y", "dW", "dx"), worst, strict=True)
              if off > 1e-13]
lesson.table(("", "y", "dW", "dx", "error of y", "of dW", "of dx"), *rows)
assert not wrong, f"A17: y, dW and dx are those of the dense layer, but here not: {', '.join(wrong)}"
assert [row[1:4] for row in rows] == [("all_gather", "stays", "all_reduce"),
                                      ("all_reduce", "stays", "all_gather")], \
    "A17: what is communicated is y forward and dx backward, and never dW"

# %% [markdown]
# N22: 001 calls this 模型量 in its title. That is the beginning of 模型量化, quantisation (lesson 07), which makes a model smaller
# as well; model parallelism is 模型并行. The one keeps every weight, roughly. The other keeps a share of them, exactly.

# %%
rounded = quantize(W0, Scheme(8)).dequantize()
held = lesson.run(lambda comm: W0[own(comm, IN)])
assert rounded.shape == W0.shape and 0 < error(rounded, W0) < 0.01, (
    "N22: quantised, all weights are there, and rounded"
)
assert max(len(part) for part in held) < IN and np.array_equal(np.concatenate(held), W0), (
    "N22: in parallel, each rank has a share of the weights, and all shares together are the weights to the last bit"
)

# %% [markdown]
# ## 4 · A pair needs half
#
# Two layers, the outputs of the first split and the inputs of the second: what the first would gather is just what the second
# would scatter, so neither does. One all-reduce forward (g, on leaving) and one backward (f, on entering), for an MLP as for
# attention, where the units that stay together are heads. The nonlinearity between them needs no help, as it works on columns
# one by one. The other way round it would meet parts of sums, and gelu(a) + gelu(b) is not gelu(a + b).
#
# `pair` (`support/dense.py`) runs a pair that is cut and one that is not, and counts what travels.

# %%
lesson.say("4 · pairs of layers")
for kind, (first, last) in {"MLP": ("up", "down"), "attention": ("qkv", "out")}.items():
    found_on_ranks = lesson.run(pair, kind)
    name = kind.lower()
    assert all(moved == [(f"{name}.{last} forward", "all_reduce sum", 1),
                         (f"{name}.{first} backward", "all_reduce sum", 1)]
               for moved, _ in found_on_ranks), "one all-reduce forward, one backward, and nothing else"
    worst_error = max(value for _, value in found_on_ranks)
    lesson.say(f"  {kind}: one all-reduce after {last} forward, one after {first} backward; largest error "
               f"{worst_error:.1e}")
    assert worst_error < 1e-12, (
        "E32: a pair of layers computes what the dense pair does, forward and backward"
    )
halves = [X0[:, :3] @ W0[:3], X0[:, 3:] @ W0[3:]]
wrong = error(sum(np.maximum(half, 0) for half in halves), np.maximum(X0 @ W0, 0))
lesson.say(f"  ReLU on parts of a sum, added afterwards, is off by {wrong:.2f}", "")
assert wrong > 0.1, "a nonlinearity on parts of a sum is another function"

# %% [markdown]
# ## 5 · R3: weight gradients stay where they are
#
# 001 (3.1 to 3.3, steps 5 and 6): gather *all* weight gradients from all devices. For a weight that is cut there is nothing to
# gather: section 3 showed dW complete on its rank. What a step sends along tp does not even depend on the hidden width.
# Gathering would undo the split:

# %%


def mlp_bytes(comm: mp.Communicator, hidden: int) -> tuple[int, int]:
    """Bytes that this rank sends in forward and backward of an MLP, and bytes of its weight gradients."""
    counting = Counting(comm)
    mlp = MLP("mlp", mp.ModelConfig(width=24, heads=6, hidden=hidden), Start(std=0.02), TensorRegion(counting))
    mp.backward(mlp(mp.Tensor(X.astype(np.float32), requires_grad=True)), G.astype(np.float32))
    return counting.traffic.total().bytes, sum(q.grad.nbytes for q in mlp.parameters() if q.grad is not None
                                               and q.is_sharded)


narrow, wide = lesson.run(mlp_bytes, 8 * p)[0], lesson.run(mlp_bytes, 80 * p)[0]
gradient_mib = 4096 * 16384 * 4 / MIB                               # of one matrix in float32
lesson.say("5 · R3")
lesson.table(("hidden width", "bytes sent by rank 0", "bytes of its dW"), (8 * p, *narrow), (80 * p, *wide))
lesson.say(f"  gathering the gradient of 4096 x 16384 weights on 8 ranks: {gradient_mib / 8:g} -> "
           f"{gradient_mib:g} MiB", "")
assert narrow[0] == wide[0] and wide[1] == 10 * narrow[1], (
    "N26: ten times the weight gradients, and not a byte more to send"
)
assert (gradient_mib / 8,
        gradient_mib) == (32, 256), "N26: gathering one gradient would undo the split: 32 -> 256 MiB"

# %% [markdown]
# ## 6 · R4: a data-parallel wrapper destroys shards
#
# 001 (3.1, step 2): set tensor parallelism up with PyTorch's DDP or TensorFlow's distribution strategies, which number the
# processes and connect them. A group of ranks does as much (lesson 13). A data-parallel wrapper does more: it is for *replicas*,
# so it begins by making the ranks equal, and broadcasts rank 0's parameters. On shards that is the end of all shards but the
# first. **Predict** what the layer then computes.

# %%


def wrapped(comm: mp.Communicator) -> tuple[float, float, bool]:
    """How far the wrapper moves this rank's shard and then y, relative to the largest element, and whether
    shards are equal.
    """
    block = IN // comm.size
    inputs = slice(comm.rank * block, (comm.rank + 1) * block)
    used = slice(0, comm.size * block)  # equal shards, or a broadcast would not even fit
    shard = W0[inputs].copy()
    broadcast(comm, shard, label="rank 0's parameters", out=shard)  # what a data-parallel wrapper does first
    y = mp.all_reduce(comm, X0[:, inputs] @ shard, label="y")
    everyones = all_gather(comm, shard[None], label="shards")
    return error(shard, W0[inputs]), error(y, X0[:, used] @ W0[used]), bool((everyones == everyones[0]).all())


moves = lesson.run(wrapped)
lesson.say("6 · R4: after a wrapper for replicas was put around shards")
lesson.table(("rank", "its shard changed by", "y is wrong by", "shards equal"),
             *((r, *move) for r, move in enumerate(moves)))
assert moves[0][0] == 0 and all(change > 0.1 and equal for change, _,
                                equal in moves[1:]) and moves[0][1] > 0.5, \
    "N25: a wrapper for replicas overwrites all shards but the first, and y is wrong"

# %% [markdown]
# ## 7 · f forgotten: the mistake that no forward pass shows
#
# `TensorRegion` puts f and g around each pair of a GPT; here its f, called `enter`, does nothing. **Predict** which of these are
# still right: the loss; the gradients of the last block; those of the first block; the token embedding's.

# %%


class WithoutF(TensorRegion):
    def enter(self, x: mp.Tensor, label: str) -> mp.Tensor:
        return x


lesson.say("7 · a GPT with 2 blocks against one process")
summary = {}
for name, region in (("TensorRegion", TensorRegion), ("without f", WithoutF)):
    per_rank = lesson.run(gpt, region)
    errors = {key: max(found[key] for _, found in per_rank) for key in per_rank[0][1]}
    summary[name] = max(off for off, _ in per_rank), [key for key, value in errors.items()
                                                      if value < 1e-12], errors
lesson.table(("region", "loss off by", "right gradients", "of"),
             *((name, off, len(right), len(errors)) for name, (off, right, errors) in summary.items()))
assert summary["TensorRegion"][0] < 1e-13 and len(summary["TensorRegion"][1]) == len(
    summary["TensorRegion"][2]
), "A12 E32: a GPT on p ranks has the loss and all the gradients of one process"
assert summary["without f"][0] < 1e-13 and summary["without f"][1] == [], \
    "forward knows nothing of f; backward meets the head's f first, and all that it feeds is wrong"

# %% [markdown]
# ## 8 · What it costs
#
# Memory is what it is for: each rank holds 1/p of the weights. The price, per block and step, is four all-reduces of
# b T D elements, on a ring 2 (p - 1)/p of that sent by each rank each time. GPT-3 on 8 ranks, one sequence of 2048 tokens, 2
# bytes per element: 96 blocks, D = 12288. **Predict** the gigabytes per step, against one pipeline boundary of b T D elements
# each way. And what would R3's gathering have sent?

# %%
D, T, LAYERS = 12288, 2048, 96


def tensor_gb(ranks: int) -> float:
    return 4 * LAYERS * ring_all_reduce(ranks, 0, T * D).elements * 2 / 1e9


def gathered_gb(ranks: int) -> float:
    """All weight gradients, 12 D^2 elements per block, to every rank."""
    shares_of_all = [12 * D * D // ranks] * ranks
    return LAYERS * ring_all_gather(ranks, 0, shares_of_all).elements * 2 / 1e9


boundary_mb = 2 * T * D * 2 / 1e6
sizes = [2, 4, 8, 16, 32]
lesson.say("8 · GPT-3, sent by each rank in one step")
lesson.table(("ranks", "activations, GB", "gathered gradients, GB", "weights held, GB"),
             *((n, tensor_gb(n), gathered_gb(n), LAYERS * 12 * D * D * 2 / 1e9 / n) for n in sizes))
lesson.say(f"  one pipeline boundary, forward and backward: {boundary_mb:.1f} MB", "")
assert round(tensor_gb(8), 1) == 33.8 and round(boundary_mb, 1) == 100.7, (
    "N24: the price of holding 1/8 of GPT-3: 33.8 GB per rank and step, against 100.7 MB at a pipeline's boundary"
)

# %% [markdown]
# ## 9 · Exercise: the loss of logits that nobody holds whole
#
# The head is cut by the vocabulary: each rank has the columns `rows` of the logits. Below is a loss that gathers them: V
# numbers per token travel. Write one that sends three per token, and passes the same check. You need the largest logit of all
# ranks, the sum of exponentials, and the target's logit; one rank has that one, the others may add zero. Solution:
# `minipar/parallel/vocabulary.py`.

# %%
V = 4 * p + 3


def gathered_loss(part: mp.Tensor, targets: np.ndarray, comm: mp.Communicator, vocabulary: int) -> mp.Tensor:
    """This rank's columns of the logits [B, T, v], and targets [B, T], to the mean loss."""
    return cross_entropy(gather_from_region(part, comm, "logits", shares(vocabulary, comm)), targets)


def thrifty_loss(part: mp.Tensor, targets: np.ndarray, comm: mp.Communicator, vocabulary: int) -> mp.Tensor:
    return vocab_parallel_cross_entropy(part, targets, None, comm, own(comm, vocabulary), vocabulary)


lesson.say(f"9 · {V} logits per token")
tries = {function.__name__: lesson.run(vocabulary_loss, function, V)
         for function in (gathered_loss, thrifty_loss)}
lesson.table(("function", "loss off by", "gradient off by", "numbers sent per token"),
             *((name, *(max(column) for column in zip(*found, strict=True))) for name,
               found in tries.items()))
assert all(off < 1e-12 and gradient < 1e-12 for found in tries.values() for off, gradient, _ in found), \
    "E32: the loss and the gradient of cut logits are those of whole ones"
assert all(sent <= 3 * p for _, _,
           sent in tries["thrifty_loss"]), "three numbers per token, added up over the ranks, are enough"

# %% [markdown]
# ## The picture

# %%
costs = {"activations, as it is done": {n: tensor_gb(n) for n in sizes},
         "weight gradients gathered, as 001 says": {n: gathered_gb(n) for n in sizes}}
lesson.picture(draw_tensor_parallel(p, costs, {n: LAYERS * 12 * D * D * 2 / 1e9 / n for n in sizes}))
