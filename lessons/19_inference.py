# %% [markdown]
# # 19 · Inference: one model, many readers
#
# The model is trained. Now people ask it for text: each sends a prompt, and waits
# for tokens that come one after the other.
#
#     prompt "to be or"   -> " not" -> " to" -> " be"
#              prefill       decode    decode    decode
#     4 tokens at once       1         1         1
#
# The *prefill* computes the whole prompt at once. Then each *decode* step computes
# one token. Four ideas make it fast, and none of them changes a token:
#
# * compute nothing twice: the KV cache (section 1);
# * read the weights once for many requests: batches (sections 2 and 3);
# * keep memory in small blocks, and weights in 8 bits (sections 4 and 5);
# * share the model or the requests among ranks (section 6).
#
# You need lessons 7, 14 and 15. The core path takes 45 minutes; sections marked
# "(optional)" do not belong to it.
#
# Run me: `minipar lesson teach 19` (step by step), `minipar lesson run 19` (at
# once, two threads), or `mpirun -n 2 python lessons/19_inference.py`.

# %%
from itertools import islice

import numpy as np
from minipar.lessons.plots.inference import (
    draw_arrivals,
    draw_batches,
    draw_rooflines,
    draw_waiting,
)
from minipar.lessons.support.lesson import Lesson
from minipar.lessons.support.timing import fastest

# %%
import minipar as mp
from minipar.autograd import layernorm, linear, no_grad, tanh
from minipar.comm.wrappers.counting import Counting
from minipar.compress.quantize.model import quantize_weights, stored_bytes
from minipar.compress.quantize.scheme import Scheme
from minipar.graph import (
    capture,
    choose_layouts,
    fold_constants,
    fold_norms,
    merge_common,
    merge_linears,
    optimise,
    remove_dead,
)
from minipar.inference.completion import complete
from minipar.inference.kv_cache import KVCache
from minipar.inference.queueing.latency import LatencyLimits, summary
from minipar.inference.queueing.policies import serving_policies
from minipar.inference.queueing.simulate import simulate_stream
from minipar.inference.queueing.step_time import RooflineTime
from minipar.inference.queueing.workload import TokenLengths, request_stream
from minipar.inference.replicas import ReplicatedEngine
from minipar.inference.stages import stages_of
from minipar.inference.stages_runner import StagesRunner
from minipar.plan.counts import forward_flops
from minipar.plan.machine import machine
from minipar.plan.models import find_model
from minipar.plots.graph import draw_graphs, draw_passes
from minipar.proof.serving import opinionated
from minipar.rng import stream

lesson = Lesson("19_inference", ranks=2)
assert lesson.size >= 2, "section 6 shares among two ranks: mpirun -n 2"
GREEDY = mp.Sampling(temperature=0)             # the most likely token
model = opinionated(64, heads=2, width=16)      # float64, context 64

# %% [markdown]
# ## 1 · Compute nothing twice
#
# In attention, each token has a query, a key and a value. The output of a token is a
# mean of the values of this and all earlier tokens. The weights of the mean are the
# softmax of its query times their keys. When a new token comes, its query is new,
# but the earlier keys and values stay the same. So keep them: this is the **KV
# cache**. Here is one head of attention, which gets one token at a time.

# %%
rng = stream(0, "head")
T, K = 10, 4                                    # tokens, width of the head
x = rng.normal(size=(T, K))                     # ten tokens
Wq, Wk, Wv = rng.normal(size=(3, K, K))


def softmax(scores):
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


hidden = np.triu(np.full((T, T), -np.inf), 1)   # no token sees a later one
full = softmax((x @ Wq) @ (x @ Wk).T + hidden) @ (x @ Wv)

keys, values, outputs = [], [], []
for token in x:
    keys.append(token @ Wk)
    values.append(token @ Wv)
    seen = slice(0, None)                       # all tokens so far
    scores = np.array(keys[seen]) @ (token @ Wq)
    outputs.append(softmax(scores) @ np.array(values[seen]))
assert np.allclose(outputs, full, rtol=0, atol=1e-12), \
    "the cache changes nothing: does each token see all earlier ones?"

# %% [markdown]
# **Break it.** Make `seen = slice(-4, None)`: each token sees only the newest four.
# That is a *sliding window*. It needs less memory, and it is another model.
#
# Now we run the whole model with `KVCache`, and compare its logits with those of a
# full forward pass for every token. Then we count the work: FLOPs, that is additions
# and multiplications. Take a model of the size of BERT (12 layers of width 768).
# Without a cache, the token after T others costs a forward pass of T tokens; with a
# cache it costs a forward pass of one token.

# %%
text = stream(1, "text").integers(11, size=(1, 48))
cache, off = KVCache(model), 0.0
with no_grad():
    cache.logits(text[:, :16])                              # prefill
    for end in range(17, 49):                               # decode
        new = cache.logits(text[:, end - 1 : end])
        again = model(text[:, :end]).data[:, -1]
        off = max(off, float(abs(new - again).max() / abs(again).max()))
lesson.say(f"  largest difference from a full forward pass: {off:.0e}")
assert off < 1e-12, "cached logits are those of the full text"

BERT = mp.ModelConfig(vocabulary=100, context=640, layers=12, heads=12,
                      width=768)


def flops(tokens, pairs):
    """FLOPs of a forward pass in all layers, without the head.

    pairs(tokens): how many products of a query and a key there are.
    """
    kinds = forward_flops(BERT, 1, tokens, pairs)
    return sum(kinds.values()) - kinds["head"]


lesson.predict("128 tokens after a prompt of 512: how many times fewer "
               "FLOPs with a cache?",
               choices=("about 2", "about 128", "about 577"))
LENGTHS = range(513, 641)
recomputed = sum(flops(T, lambda T: T * T) for T in LENGTHS)
cached = sum(flops(1, lambda _, T=T: T) for T in LENGTHS)
lesson.reveal(f"about {recomputed / cached:.0f}")
assert round(recomputed / cached) == 577, \
    "the texts have 513 to 640 tokens, and a cache computes one of them"
kept = 2 * BERT.layers * 640 * BERT.width * 4               # bytes
lesson.say(f"  price: {kept / 2**20:.0f} MiB of keys and values a request")
assert kept / 2**20 == 45, \
    "2 (keys and values) · 12 layers · 640 tokens · 768 numbers · 4 bytes"

# %% [markdown]
# ## 2 · Read the weights once, for many
#
# With a cache, decoding multiplies *one row* by each weight matrix. If b requests
# decode together, there are b rows. A product [b, n] @ [n, n] has 2 b n² FLOPs. In
# float32 it moves 4 (n² + 2 b n) bytes: n² weights, and b n inputs and outputs each.
#
#     FLOP per byte = 2 b n² / (4 (n² + 2 b n))        about b / 2, if b << n
#
# By hand, with b = 1 and a large n: about 2 n² / 4 n² = 0.5. The processor waits for
# memory. With b requests, the same weights are read once for all of them.

# %%
N, BATCHES = 4096, (1, 8, 64)


def intensity(b):
    """FLOP per byte of [b, N] @ [N, N] in float32."""
    return 2 * b * N * N / (4 * (N * N + 2 * b * N))


lesson.predict("FLOP per byte for b = 1 is 0.5. For b = 64?")
lesson.reveal(round(intensity(64), 1))
assert [round(intensity(b), 2) for b in BATCHES] == [0.50, 3.98, 31.03], \
    "FLOPs grow with b, and the bytes are almost all weights"

# %% [markdown]
# A **roofline** says how fast a product can be. A machine has a largest number of
# FLOPs per second and a largest number of bytes per second:
#
#     FLOP/s  =  min(largest FLOP/s, FLOP per byte · largest bytes per second)
#
# Both limits are equal at the *corner*: a certain number of FLOPs per byte. Below it
# memory is the limit, above it computing. We measure both limits of this machine, and
# then the products of our three batches. They stay below the roofline, because BLAS
# (the library behind `@`) also rearranges the weights before it multiplies.
#
# It does not matter where the rows come from. A prefill of one prompt of 64 tokens
# has 64 rows, as many as 64 requests that decode. So computing limits a prefill, and
# memory limits a small batch of decodes.

# %%
W = np.ones((N, N), np.float32)
square, copy = np.ones((768, 768), np.float32), np.empty_like(W)
rows = [np.ones((b, N), np.float32) for b in BATCHES]
copying, computing, *products = fastest(        # seconds of each
    lambda: np.copyto(copy, W), lambda: square @ square,
    *(lambda row=row: row @ W for row in rows), rounds=4)
BANDWIDTH = 2 * W.nbytes / copying              # read and written
PEAK = 2 * 768**3 / computing                   # FLOP/s
corner = PEAK / BANDWIDTH
speeds = [2 * b * N * N / seconds
          for b, seconds in zip(BATCHES, products, strict=True)]
lesson.table(("batch", "FLOP/byte", "GFLOP/s", "the limit is"), *(
    (b, f"{intensity(b):.2f}", f"{speed / 1e9:.1f}",
     "memory" if intensity(b) < corner else "computing")
    for b, speed in zip(BATCHES, speeds, strict=True)))
turn = next(b for b in range(1, N) if intensity(b) >= corner)
lesson.say(f"  from {turn} rows on, computing is the limit")
assert intensity(1) < corner, "one row waits for memory"
assert speeds[2] > 2 * speeds[0], "a batch makes better use of the machine"
lesson.picture(draw_rooflines(PEAK, BANDWIDTH, BATCHES,
                              [intensity(b) for b in BATCHES], speeds))

# %% [markdown]
# ## 3 · Nobody waits: continuous batching
#
# Requests have different lengths. A *static* batch ends when its longest request
# ends; the others have ended before, and their rows compute nothing. In **continuous
# batching** a waiting request takes the free row in the next step. Below, a letter
# is a request, a column is a step, and a dot is a row that computes nothing:
#
#     static       A A A A A A | D D D D        continuous    A A A A A A
#                  B B . . . . | E E . .                      B B D D D D
#                  C C C . . . | F . . .                      C C C E E F

# %%
COUNTS = [4, 30, 6, 8, 25, 5, 7, 12]            # tokens that each wants
prompts = [stream(2, f"prompt {i}").integers(11, size=3 + i).tolist()
           for i in range(len(COUNTS))]
requests = [mp.TextRequest(prompt, count, GREEDY)
            for prompt, count in zip(prompts, COUNTS, strict=True)]
# 4 requests at once, 32 tokens in a pass at most; blocks: section 4
OPTIONS = mp.EngineOptions(batch=4, rows=32, block_size=4)


def tokens_of(engine):
    """The tokens of each request, served together."""
    return [sample.tokens for (sample,) in complete(engine, requests)]


static = sum(max(COUNTS[i : i + 4]) for i in (0, 4))
lesson.predict(f"The requests want {COUNTS} tokens, four run at once. "
               f"Static batches need 30 + 25 = {static} steps. "
               "Continuous batching?")
engine = mp.Engine(model, options=OPTIONS)
together = tokens_of(engine)
lesson.reveal(engine.steps, "steps")
lesson.picture(draw_waiting(COUNTS, 4), "_waiting")
assert engine.steps == 30 < static, \
    "as many steps as the longest request has tokens: look at the picture"
one_by_one = [list(islice(mp.generate(model, prompt, temperature=0), count))
         for prompt, count in zip(prompts, COUNTS, strict=True)]
assert together == one_by_one, \
    "other requests in the batch change no token: compare `one_by_one`"

# %% [markdown]
# **Padding.** Models that read whole texts at once, such as classifiers, fill short
# texts up to the length of the longest text in the batch. If texts are sorted by
# length first (*buckets*), the texts of a batch are about equally long. minipar's
# engine puts the rows of all requests one below the other, and pads nothing.

# %%
def waste(lengths, batch=32):
    """The part of all rows that is padding."""
    padded = sum(batch * lengths[i : i + batch].max()
                 for i in range(0, len(lengths), batch))
    return 1 - lengths.sum() / padded


lengths = stream(1, "lengths").integers(1, 129, size=448)
mixed, sorted_first = waste(lengths), waste(np.sort(lengths))
lesson.say(f"  padding: {mixed:.2f} of all rows; in buckets "
           f"{sorted_first:.2f}")
assert (round(mixed, 2), round(sorted_first, 2)) == (0.47, 0.06), \
    "in a bucket the longest text is little longer than the mean"

# %% [markdown]
# *Latency and throughput.* Larger batches give more tokens per second in all, but
# each step takes longer, so each reader waits longer for a token.

# %%
SIZES = (1, 2, 4, 8, 16) if lesson.fast else (1, 2, 4, 8, 16, 32)
larger = mp.GPT(mp.ModelConfig(vocabulary=64, context=64, layers=2, heads=4,
                               width=384), dtype=np.float32)


def decoding(batch):
    """A function that runs one decode step of `batch` requests."""
    engine = mp.Engine(larger, options=mp.EngineOptions(batch=batch))
    for i in range(batch):
        engine.add(mp.TextRequest([i % 64, 1], 60, GREEDY))
    engine.step()                               # the prefill
    return engine.step


step_seconds = fastest(*(decoding(b) for b in SIZES), rounds=8)
rates = [b / s for b, s in zip(SIZES, step_seconds, strict=True)]
lesson.table(("batch", "ms per step", "tokens per second"), *(
    (b, f"{1e3 * s:.2f}", f"{rate:.0f}")
    for b, s, rate in zip(SIZES, step_seconds, rates, strict=True)))
assert rates[4] > 2 * rates[0], \
    "16 requests share one reading of the weights"
lesson.picture(draw_batches(SIZES, step_seconds, rates), "_batches")

# %% [markdown]
# *Arrivals.* Users come at random times, so some wait although the server is often
# idle. We simulate this: minipar's engine runs with a clock instead of a model. The
# clock takes the time of each step from the roofline of an A100, for a model of 7
# billion weights. 60 requests come; prompts and texts have 60 tokens on average.

# %%
# lengths are geometric: most are short, few are long; 400 at most
LLAMA, TEXTS = find_model("llama-7b"), TokenLengths("geometric", 60, 400)
A100 = RooflineTime(LLAMA, machine("a100-80g"))
POLICIES = serving_policies(batch=16, context=LLAMA.context, chunk=128)


def first_token(rate, name):
    """Median seconds to the first token, with `rate` arrivals a second."""
    arrivals = request_stream(rate, 60, TEXTS, TEXTS, vocabulary=256)
    times = simulate_stream(LLAMA, arrivals, POLICIES[name], A100).times
    return summary(times, LatencyLimits()).first_token.median


ARRIVALS = (2, 8, 32, 64)
waits = {name: [first_token(rate, name) for rate in ARRIVALS]
         for name in ("static", "continuous")}
lesson.table(("arrivals/s", *waits),
             *zip(ARRIVALS, *waits.values(), strict=True))
assert waits["static"][1] > 20 * waits["continuous"][1], \
    "static: a new request waits until the whole batch before it ends"
assert waits["continuous"][3] > 10 * waits["continuous"][1], \
    "64 arrivals/s are too many: the queue grows in both kinds of batches"
lesson.picture(draw_arrivals(ARRIVALS, waits), "_arrivals")

# %% [markdown]
# ## 4 · Memory in blocks
#
# The engine does not know how long a text will become. If it reserves memory for the
# longest possible text, the *context*, it wastes most of it. A *paged* cache gives a
# request small blocks, one at a time. Each request has a table with the numbers of
# its blocks, in the order of its text.
#
#     request 0: 10 tokens, blocks of 4:   table [7, 2, 5]   10 of 12 used
#
# *Equal beginnings.* Many requests begin with the same instructions. The keys and
# values of these tokens are equal, so the requests can use the *same* blocks. When
# memory is full, the cache drops the block whose last use is the longest time ago
# (*least recently used*).

# %%
system = list(stream(3, "system").integers(11, size=41))
engine = mp.Engine(model, options=OPTIONS)
complete(engine, [mp.TextRequest([*system, 0], 1, GREEDY)])
lesson.predict("A prompt of 41 tokens was served before, blocks have 4. "
               "How many tokens does the next such request not compute?")
complete(engine, [mp.TextRequest([*system, 5], 1, GREEDY)])
shared = engine.memory.shared_tokens
lesson.reveal(shared)
assert shared == 40, \
    "41 tokens are ten full blocks and one token; full blocks are shared"

engine, reserved, used = mp.Engine(model, options=OPTIONS), 0, 0
for request in requests:
    engine.add(request)
while engine.busy:
    engine.step()
    running = engine.scheduler.running
    tokens = sum(one.computed for one in running)
    blocks = engine.memory.pool.in_use
    assert 4 * blocks - tokens < 4 * max(len(running), 1), \
        "a request wastes less than one block"
    # 64: the context of the model
    reserved, used = reserved + 64 * len(running), used + tokens
lesson.say(f"  whole contexts would be filled to {used / reserved:.0%}")

# %% [markdown]
# ## 5 · Weights of 8 bits
#
# Decoding waits for weights. Weights of one byte instead of four (lesson 7) are read
# in a quarter of the time, on hardware that computes with them. The engine serves
# such a model without changes. We make two comparisons:
#
# * the 8-bit model in the engine and the same model by itself: the tokens are equal;
# * the 8-bit model and the original model: the logits are near, but not equal.

# %%
original = opinionated(64, heads=2, width=16, dtype=np.float32)
small = opinionated(64, heads=2, width=16, dtype=np.float32)
quantize_weights(small, Scheme(bits=8, axis=1))
served = tokens_of(mp.Engine(small, options=OPTIONS))
small_one_by_one = [list(islice(mp.generate(small, prompt, temperature=0),
                           count))
               for prompt, count in zip(prompts, COUNTS, strict=True)]
with no_grad():
    a, b = (m(text[:, :32]).data for m in (original, small))
off8 = float(abs(a - b).max() / abs(a).max())
lesson.table(("model", "bytes", "largest difference of logits"),
             ("float32", stored_bytes(original), "0"),
             ("8 bits", stored_bytes(small), f"{off8:.1%}"))
assert served == small_one_by_one, "the engine adds no error of its own"
assert 2 * stored_bytes(small) < stored_bytes(original), \
    "8 bits take less than half of the bytes: look at the table"
assert 0 < off8 < 0.2, "rounding changes logits a little: look at `bits`"

# %% [markdown]
# ## 6 · Several ranks
#
# The three ways to split a training also split inference:
#
# * *tensor parallel* (tp): each rank has a part of every layer, and of the cache;
# * *pipeline parallel* (pp): each rank has some layers. A token must pass all layers
#   in turn, so all ranks are busy only if there are several micro-batches;
# * *data parallel* (dp): each rank has the whole model, and takes requests from one
#   queue.
#
# What travels? With tp, two all-reduces per layer and token, as in lesson 14. With
# pp, one row of activations per token, from each rank to the next. With dp neither
# weights nor activations, only requests and tokens.

# %%
weights = model.state_dict()


def on_ranks(comm, layout):
    """The tokens of all requests, and the bytes that this rank sent."""
    counted = Counting(comm)
    if layout.dp > 1:
        local = mp.Engine(model, options=OPTIONS)
        engine = ReplicatedEngine(local, counted)
    else:
        stages = stages_of(model.config, weights, mp.Grid(counted, layout))
        engine = mp.Engine(StagesRunner(stages, OPTIONS), options=OPTIONS)
    counted.traffic.tallies.clear()             # count from here on
    return tokens_of(engine), counted.traffic.total().bytes


lesson.predict("Which of tp, pp and dp changes tokens?",
               choices=("tp", "pp", "dp", "none"))
LAYOUTS = {"tp": mp.Layout(tp=2), "pp": mp.Layout(pp=2),
           "dp": mp.Layout(dp=2)}
found = {name: lesson.run(on_ranks, layout, ranks=2)
         for name, layout in LAYOUTS.items()}
lesson.reveal("none")
lesson.table(("layout", "rank 0 sent"), *(
    (name, f"{results[0][1]:,} bytes") for name, results in found.items()))
assert all(tokens == one_by_one for results in found.values()
           for tokens, _ in results), \
    "every layout gives the tokens of one process, `one_by_one`"

# %% [markdown]
# ## 7 · Optimise the graph (optional)
#
# A forward pass is a *graph*: each node is one operation. The graph is the same for
# every request, so we make it smaller once, before the first request. `capture` runs
# a function, and writes down its operations as nodes. Three passes over the list of
# nodes change no bit of the result:
#
# * *constant folding*: a node that depends only on weights is computed beforehand;
# * *common subexpressions*: two equal nodes become one;
# * *dead code*: a node whose result is not used is left out.

# %%
W1, W2 = (mp.Tensor(stream(4, name).normal(size=size))
          for name, size in [("W1", (8, 16)), ("W2", (16, 4))])
rows = stream(4, "x").normal(size=(5, 8))


def wasteful(x):
    tanh(x @ (W1 @ W2))                         # the result is not used
    return tanh(x @ (W1 @ W2) + x @ (W1 @ W2))


graph = capture(wasteful, mp.Tensor(rows))
lesson.table(("node", "operation", "reads"), *(
    (node.name, node.op, ", ".join(node.inputs)) for node in graph.nodes))
lesson.predict("Nine nodes. How many are left after the three passes?")
folded = fold_constants(graph)                  # W1 @ W2, three times
once = merge_common(folded)                     # x @ (W1 @ W2), three times
optimised = remove_dead(once)                   # the first tanh
nodes = [len(one.nodes) for one in (graph, folded, once, optimised)]
lesson.reveal(nodes[-1], f"of {nodes}")
lesson.picture(draw_graphs(graph, optimised), "_graph")
before, after = (one.run(2 * rows)[0] for one in (graph, optimised))
assert nodes == [9, 6, 4, 3] and np.array_equal(before, after), \
    "each pass removes nodes, and no bit changes: look at the list of nodes"

# %% [markdown]
# *Fusion* makes one operation of two. Two linear layers without an activation
# function between them are one: (x W1) W2 = x (W1 W2). The weights of a LayerNorm can
# move into the next layer: (n g + b) W = n (g W) + b W. Here n is the normalised
# input, g and b are the weights of the LayerNorm, and g W multiplies row i of W by
# g[i]. Fusion changes the order of sums, so the last bits change.

# %%
g, shift = (mp.Tensor(row) for row in stream(5, "g").normal(size=(2, 8)))


def difference(graph, other, *inputs):
    """The largest difference of the results, relative to the largest."""
    a, b = (one.run(*inputs)[0] for one in (graph, other))
    return float(abs(a - b).max() / abs(a).max())


two = capture(lambda x: x @ W1 @ W2, mp.Tensor(rows))
single = merge_linears(two)
normed = capture(lambda x: linear(layernorm(x, g, shift), W1),
                 mp.Tensor(rows))
plain = fold_norms(normed)
linear_off, affine_off = (difference(two, single, rows),
                          difference(normed, plain, rows))
macs = tuple(sum(node.flops for node in graph.nodes) // 2 // len(rows)
             for graph in (two, single))           # multiply-adds per row
lesson.table(("fused", "multiply-adds per row", "largest difference"),
             ("two linear layers", f"{macs[0]} -> {macs[1]}",
              f"{linear_off:.0e}"),
             ("LayerNorm and linear", "", f"{affine_off:.0e}"))
assert max(linear_off, affine_off) < 1e-10, \
    "fused and not fused are equal but for rounding: look at the table"

# %% [markdown]
# In our model, each block has two LayerNorms in front of linear layers. A new
# LayerNorm has the weights g = 1 and b = 0, which would hide mistakes. So we set
# random weights, and then run all passes of `minipar/graph`. They also fuse
# neighbours: a linear layer with the GELU or with the residual sum behind it. A fused
# node does not write its intermediate result to memory. So it moves fewer bytes.

# %%
state = model.state_dict()
for name in [name for name in state if "norm" in name]:
    state[name] = stream(8, name).normal(size=16)
normal = opinionated(64, heads=2, width=16)
normal.load_state_dict(state)
captured = capture(normal, text)
smaller = optimise(captured)
lesson.table(("after", "removed", "nodes", "kB moved", "kFLOP"), *(
    (report.name, report.removed, report.nodes,
     f"{report.moved_bytes / 1e3:.0f}", f"{report.flops / 1e3:.0f}")
    for report in smaller.reports))
lesson.picture(draw_passes(smaller.reports), "_passes")
other = text[:, ::-1].copy()                  # a text that was not captured
with no_grad():
    direct = normal(other).data
assert np.array_equal(captured.run(other)[0], direct), \
    "a captured graph computes what the model computes, bit for bit"
whole = difference(captured, smaller.graph, other)
lesson.say(f"  the logits of the optimised graph differ by {whole:.0e}")
assert whole < 1e-10, "fewer nodes, fewer bytes, equal logits"
assert abs(direct - model(other).data).max() > 1, \
    "the random weights of LayerNorm change the logits: see `normal`"

# %% [markdown]
# Only a measurement shows what is faster. A matrix can lie in memory row by row or
# column by column. `choose_layouts` measures the products of the graph with both
# orders, in turns, and keeps the faster one. We also measure a fusion: one product
# replaces two, with fewer multiply-adds.

# %%
_, choices = choose_layouts(smaller.graph)
lesson.table(("rows x inputs x outputs", "µs by rows", "µs by columns",
              "chosen"), *(
    (" x ".join(map(str, choice.shape)),
     *(f"{1e6 * seconds:.1f}" for seconds in choice.seconds.values()),
     choice.chosen) for choice in choices))
wide = [mp.Tensor(stream(6, f"wide {i}").normal(size=size))
        for i, size in enumerate([(64, 256), (256, 1024), (1024, 64)])]
slower = capture(lambda x: x @ wide[1] @ wide[2], wide[0])
faster = merge_linears(slower)
two_products, one_product = fastest(lambda: slower.run(wide[0].data),
                                    lambda: faster.run(wide[0].data))
assert one_product < two_products, \
    "one product has 20 times fewer multiply-adds: look at both times"

# %% [markdown]
# *Hardware.* We compute the same product by three loops of Python and by BLAS, which
# uses the vector units and caches of the processor. A GPU would be faster still.

# %%
left, right = stream(7, "loops").normal(size=(2, 32, 32))


def by_loops():
    return [[sum(left[i, k] * right[k, j] for k in range(32))
             for j in range(32)] for i in range(32)]


slow, quick = fastest(by_loops, lambda: left @ right, rounds=3)
lesson.say(f"  by loops: {slow / quick:.0f} times the time of BLAS")
assert slow > 20 * quick and np.allclose(by_loops(), left @ right), \
    "equal results, and BLAS is over 20 times as fast: look at both times"

# %% [markdown]
# ## 8 · Exercises
#
# Chapter 12 of `minipar exercise list`: `kv_cache` (a head with a cache),
# `paged_table` (where a token stands in a paged cache), `continuous_batching` (which
# request computes in which step), `speculative_acceptance` (a small model guesses
# tokens, a large one accepts or rejects them) and `folding_pass` (section 7).

# %% [markdown]
# ## 9 · What the documents say (optional)
#
# Covers: A8 A39 A40 A44 A45 N56 N57 E22 E23 E40 E41
#
# Document 001 is about training and inference on many machines. Documents 000 and 004
# are about faster inference. They give no numbers; the numbers below are ours:
#
# * A8: distributed inference (分布式推理): replicas, or a model over several ranks.
# * A39, N56: batching: 0.50, 3.98 and 31.0 FLOP per byte for 1, 8 and 64 requests.
# * A40, N57: caching: 577 times fewer FLOPs, and equal logits.
# * A44, E22, E23: graph optimisation, as TensorRT and TensorFlow do it.
# * A45, E41: hardware: GPU, TPU, CUDA. A roofline says which limit holds.
# * E40: batching and caching as systems.

# %%
assert all(results[0][0] == one_by_one for results in found.values()), \
    "A8: tp, pp and dp serve the same tokens"
assert [f"{intensity(b):.3g}" for b in BATCHES] == ["0.5", "3.98", "31"], \
    "A39 N56: FLOP per byte grows with the batch"
assert mixed > 0.4 and sorted_first < 0.1, "A39: buckets save padding"
assert off < 1e-12 and round(recomputed / cached) == 577 and shared == 40, \
    "A40 N57: a cache changes nothing and saves almost everything"
assert macs == (192, 32) and max(linear_off, affine_off) < 1e-13, \
    "A44: fused linear layers; LayerNorm fused into a linear layer"
assert np.array_equal(before, after) and nodes[-1] < nodes[0], \
    "E23: fold_constants, common subexpressions and dead code"
assert whole < 1e-10 and one_product < two_products and len(choices) == 4 \
    and smaller.reports[-1].nodes < smaller.reports[0].nodes, \
    "E22: equal outputs, fewer operations, and the clock chooses"
assert intensity(1) < corner and slow > 20 * quick, \
    "A45 E41: the roofline says what limits; hardware decides the speed"
assert together == one_by_one and engine.steps < static, \
    "E40: batched and cached, the same tokens in fewer steps"
