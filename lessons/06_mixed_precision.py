# %% [markdown]
# # 06 · Mixed precision
#
# Your accelerator multiplies 16-bit numbers several times as fast as 32-bit ones,
# and they take half the memory. So you store everything in float16, start the
# training again, and the loss hardly falls. What went wrong?
#
# Three things, and each has a remedy. A picture of float16's range:
#
#     0      6e-8           6e-5                      65504
#     |--//----|--------------|-------------------------|
#      lost    fewer digits        11 binary digits      infinite
#        ^^^^^^^^^^^^
#        many gradients are here
#
# * small *updates* are rounded away    -> **master weights** in 32 bits;
# * long *sums* stop growing            -> sums in 32 bits;
# * small *gradients* become zero       -> a **loss scale**.
#
# Together this is *mixed precision* (Micikevicius et al. 2018). After this lesson
# you can say which number needs how many bits, and write the loop.
#
# You need lessons 1 and 2. The core path takes 40 minutes; the section marked
# "(optional)" does not belong to it.
#
# Run me: `minipar lesson teach 6` (step by step) or `minipar lesson run 6`.

# %%
from collections import Counter

import numpy as np
from minipar.lessons.plots.mixed_precision import draw_mixed_precision
from minipar.lessons.support.lesson import Lesson

import minipar as mp
from minipar.autograd import matmul, no_grad
from minipar.autograd.autocast_hook import casting
from minipar.data.batches import Batches
from minipar.data.markov import MarkovSource
from minipar.optim import Adam, Flat
from minipar.precision import (
    BFLOAT16,
    FLOAT16,
    FLOAT32,
    IN_16_BITS,
    Autocast,
    Format,
    LossScale,
)

lesson = Lesson("06_mixed_precision", ranks=1)

# %% [markdown]
# ## 1 · Numbers have gaps
#
# A float16 has 10 binary digits behind the leading one. Near 1, the next number
# is 1 + 2^-10 = 1.00098. What lies between is rounded to one of the two:
#
#     1.0003 -> 1.0          1.0006 -> 1.00098
#
# **bfloat16** is the upper half of a float32: 7 digits, but the range of float32.
# NumPy is slow with float16 and has no bfloat16. So here a 16-bit number is the
# float32 that equals it: `FLOAT16.round(x)`. Rounding is real, speed is not.

# %%
lesson.table(("", "next after 1", "least number", "all digits from",
              "largest"), *(
    (f.name, f"1 + 2^-{f.digits}", f.smallest, f.smallest_normal, f.largest)
    for f in (FLOAT32, FLOAT16, BFLOAT16)))


def after_updates(format: Format) -> float:
    """A weight of 1.0 in this format, after 1000 updates of -1e-4."""
    w = np.array([1.0], np.float32)
    for _ in range(1000):
        w = format.round(w - np.float32(1e-4))
    return w.item()


lesson.predict(
    "A float16 weight of 1.0, 1000 updates of -0.0001: what is it?"
)
lesson.reveal(after_updates(FLOAT16))
lesson.table(("stored in", "ends at"), *(
    (f.name, f"{after_updates(f):.5f}")
    for f in (FLOAT16, BFLOAT16, FLOAT32)))
assert after_updates(FLOAT16) == 1.0 == after_updates(BFLOAT16), \
    "1 - 0.0001 rounds to 1, a thousand times: look at the gap below 1"

# %% [markdown]
# The update is lost every time, not only once. This is why training keeps master
# weights in float32: they add up small updates, and only their 16-bit copy is
# multiplied.
#
# **Break it.** Use 1e-3 for 1e-4. Now float16 moves, and ends near the right
# place, and bfloat16 still does not. Which update moves bfloat16?

# %% [markdown]
# ## 2 · Sums need 32 bits
#
# Add 4096 ones in float16, one after the other. Between 2048 and 4096 the gap is
# 2. So 2048 + 1 lies in the middle, and rounds back to 2048. Matrix units
# therefore multiply 16-bit numbers and add in 32 bits; so does `Autocast` here.

# %%
lesson.predict("What is the float16 sum of 4096 ones?")
running = np.float16(0)
for _ in range(4096):
    running += np.float16(1)
ones = mp.Tensor(np.ones((1, 4096), np.float32))
with Autocast(FLOAT16)():
    column = mp.Tensor(np.ones((4096, 1), np.float32))
    accumulated = matmul(ones, column).item()
lesson.reveal(float(running))
lesson.table(("sum in", "4096 ones"), ("float16", f"{running:g}"),
             ("float32", f"{accumulated:g}"))
assert running == 2048 and accumulated == 4096, \
    "at 2048 the gap is 2, so one more is lost: look at the sum's own size"

# %% [markdown]
# ## 3 · Small gradients: the loss scale
#
# Half of float16's least number, 2^-25 = 3e-8, and all below it becomes zero.
# Many gradients are smaller. The remedy is one multiplication: backward is linear
# in the loss. Multiply the *loss* by 1024, and every gradient is 1024 times as
# large. Divide again, in float32, before the update.
#
#     gradient 1e-8               -> float16: 0
#     1e-8 * 1024 = 1.02e-5       -> float16: 1.02e-5, / 1024 -> 1e-8

# %%
lesson.predict(
    "Gradients spread evenly over 1e-10 ... 1e-3: % lost to zero?"
)
decades = (10 ** np.linspace(-10, -3, 1_000_001)).astype(np.float32)
lost = {
    scale: float((FLOAT16.round(decades * np.float32(scale)) == 0).mean())
    for scale in (1, 1024)
}
lesson.reveal(100 * lost[1], "%")
lesson.table(("loss scale", "share lost"), *lost.items())
assert lost[1024] == 0 < lost[1], \
    "1e-10 * 1024 is over 3e-8: so nothing is lost any more"

# %% [markdown]
# Which scale? Too large a one makes infinities. A *dynamic* scale tries: if any
# gradient is infinite, skip the step and halve the scale; after some good steps,
# double it.

# %%
scale = LossScale(2.0**30, growth_every=2)
weight, history = np.ones(1, np.float32), []
for _ in range(20):
    with np.errstate(over="ignore"):
        gradient = FLOAT16.round(np.array([1e-3 * scale.scale], np.float32))
    scale.unscale(gradient)
    history.append((scale.scale, bool(np.isfinite(gradient).all())))
    if scale.update(history[-1][1]):
        weight -= np.float32(0.1) * gradient
skipped = [
    number for number, (_, finite) in enumerate(history) if not finite
]
scales = " ".join(f"2^{np.log2(used):.0f}{'' if finite else '!'}"
                  for used, finite in history)
lesson.wrapped(f"scale by step: {scales}  (! skipped)")
assert 0 < len(skipped) == scale.skipped < 20 and all(
    history[n + 1][0] == history[n][0] / 2 for n in skipped if n < 19), \
    "after each ! the scale is half: read the line from left to right"

# %% [markdown]
# ## 4 · All three in a training
#
# A GPT has learned one text, and is tuned on another, at a rate of 2e-5. (Large
# trainings take a mean over 3.2 million tokens, which makes gradients small; we
# divide by as many, so that ours have their size.) The loop, with all parts:

# %%
SOURCES = [MarkovSource.random(16, seed=seed, concentration=0.3)
           for seed in (3, 4)]
TEXTS = [source.sample(30_000, seed=0) for source in SOURCES]
MODEL = mp.ModelConfig(
    vocabulary=16, context=16, layers=2, heads=2, width=32
)
TOKENS = 3_200_000
FIXED = {"growth_every": 0, "patience": 10**9}      # a scale that stays 1


@np.errstate(all="ignore")      # infinities are looked for
def train(text: np.ndarray, lr: float, steps: int,
          start: np.ndarray | None = None, *, products: Format = FLOAT32,
          stored: Format = FLOAT32, scale: LossScale | None = None
          ) -> tuple[list[float], Flat, Autocast, LossScale]:
    """Losses (nats per token), weights, what was rounded, the scale."""
    model, scale = mp.GPT(MODEL), scale or LossScale(1.0, **FIXED)
    flat, autocast = Flat(model.parameters()), Autocast(products)
    batches = Batches(text, MODEL.context, 8, seed=0)
    if start is not None:
        flat.data[...] = stored.round(start)
    optimizer, losses = Adam(flat, eps=1e-20), []
    for step in range(steps):
        inputs, targets = batches.get(step)
        flat.zero_grad()
        with autocast():                            # products in 16 bits
            loss = model.loss(inputs, targets, count=TOKENS)
        losses.append(loss.item() * TOKENS / targets.size)
        if np.isnan(losses[-1]):                    # spoilt: stop
            break
        mp.backward(loss, np.full_like(loss.data, scale.scale))
        scale.unscale(flat.gradient())
        finite = bool(np.isfinite(flat.grad).all())
        if scale.update(finite):
            optimizer.step(lr)                      # of master weights
            flat.data[...] = stored.round(flat.data)
    return losses, flat, autocast, scale


# %% [markdown]
# **Break it** after the run: take every step, the infinite ones too: write
# `if scale.update(finite) or True:`. Which line stops you?

# %%
STEPS = 120 if lesson.fast else 500
learned = train(TEXTS[0], 3e-3, 100 if lesson.fast else 300)[1]
SCHEMES = {
    "float32": {}, "float16 weights": {"stored": FLOAT16},
    "bfloat16 weights": {"stored": BFLOAT16},
    "float16, no scale": {"products": FLOAT16},
    "float16, loss scale": {"products": FLOAT16,
                            "scale": LossScale(2.0**36, growth_every=60)},
}
lesson.predict("After float32, which learns most?", list(SCHEMES)[1:])
runs = {name: train(TEXTS[1], 2e-5, STEPS, learned.data, **scheme)
        for name, scheme in SCHEMES.items()}
ends = {name: float(np.mean(run[0][-20:])) for name, run in runs.items()}
lesson.reveal(min(list(ends)[1:], key=ends.__getitem__))


# %%
def moved_share(name: str) -> str:
    stored = SCHEMES[name].get("stored", FLOAT32)
    return (
        f"{(runs[name][1].data != stored.round(learned.data)).mean():.2f}"
    )


def lost_share(autocast: Autocast) -> str:
    tally = autocast.total("gradients")
    return (
        f"{tally.underflows / tally.numbers:.3f}" if tally.numbers else "-"
    )


lesson.table(("scheme", "first loss", "last", "weights moved",
              "gradients lost", "skipped"), *(
    (name, f"{losses[0]:.3f}", f"{ends[name]:.3f}", moved_share(name),
     lost_share(autocast), used.skipped)
    for name, (losses, _, autocast, used) in runs.items()))
gained = float(np.mean(runs["float32"][0][:20])) - ends["float32"]
with_scale, without = runs["float16, loss scale"], runs["float16, no scale"]
assert abs(ends["float16, loss scale"] - ends["float32"]) < 0.1 * gained, \
    "with all three parts float16 ends where float32 does: skip infinities"
assert (
    ends["float32"] < ends["float16 weights"] < ends["bfloat16 weights"]
), "the fewer digits a weight has, the fewer move: see 'weights moved'"
assert ends["float16, no scale"] > ends["float32"] + 0.1 * gained, \
    "without a scale most gradients are lost: see 'gradients lost'"
gradients = abs(train(TEXTS[1], 2e-5, 1, learned.data)[1].grad)
lesson.picture(draw_mixed_precision(
    gradients[gradients > 0], 2.0 ** round(np.log2(with_scale[3].scale)),
    FLOAT16, {name: run[0] for name, run in runs.items()}))

# %% [markdown]
# ## 5 · What it costs, and what it saves
#
# Not all operations compute in 16 bits. A table says which do (`IN_16_BITS`):
# matrix products and what lies between two of them. LayerNorm, softmax,
# cross-entropy and the residual stream do not. What a model hands on takes

# %%
inputs, targets = Batches(TEXTS[0], MODEL.context, 16, seed=0).get(0)


def loss_in(format: Format) -> tuple[float, Counter, Autocast]:
    """The loss of a new model; how many numbers its ops hand on, by whether
    all of an op's fit float16; what was rounded.
    """
    autocast, handed = Autocast(format), Counter()

    def watched(op, *args, **kwargs):
        out = autocast.call(op, *args, **kwargs)
        fits = np.array_equal(FLOAT16.round(out.data), out.data)
        handed[fits] += out.data.size
        return out

    hook = watched if format is not FLOAT32 else None
    with no_grad(), casting(hook):
        return mp.GPT(MODEL).loss(inputs, targets).item(), handed, autocast


plain, half, brain = (loss_in(f) for f in (FLOAT32, FLOAT16, BFLOAT16))
in_16, in_32 = half[1][True], half[1][False]
ratio = (2 * in_16 + 4 * in_32) / (4 * (in_16 + in_32))
lesson.table(("products in", "loss", "numbers rounded"), *(
    (name, f"{loss:.6f}", autocast.total("values").numbers)
    for name, (loss, _, autocast) in zip(
        ("float32", "float16", "bfloat16"), (plain, half, brain),
        strict=True)))
lesson.say(f"  {in_16:,} numbers of 2 bytes, {in_32:,} of 4: "
           f"{ratio:.2f} of float32's bytes")
assert 0.5 < ratio < 0.7, \
    "not quite a half: LayerNorm and the residual stream keep 4 bytes"

# %% [markdown]
# And what a weight takes, with Adam (lesson 4):
#
#     float32    weight 4 + gradient 4               + m 4 + v 4
#     mixed      weight 2 + gradient 2 + master 4    + m 4 + v 4

# %%
lesson.predict("Mixed precision: bytes for each weight, in all?")
flat = Flat(mp.GPT(MODEL).parameters())
moments = sum(slot.nbytes for slot in Adam(flat).state.values())
state = (flat.data.nbytes + flat.grad.nbytes + moments) / flat.data.size
mixed = state - flat.grad.itemsize + 2 * FLOAT16.bytes
lesson.reveal(mixed, "bytes")
assert state == mixed == 16, \
    "the same in both: the master weights take what the two lines saved"

# %% [markdown]
# So it saves time, traffic and activations, and nothing of the state.
#
# `minipar train --precision float16` does all this with a GPT on real text. Over
# several ranks, all skip the same step: an infinity of one rank reaches the norm
# of the whole gradient. `--precision bfloat16` needs no scale.

# %% [markdown]
# ## 6 · Exercises
#
# `minipar exercise start NAME` begins one of chapter 8, and checks it:
#
# * `loss_scaling`: write the dynamic loss scale yourself;
# * `truncate_or_round`: make bfloat16 numbers in two ways. Cutting off the lower 16
#   bits is one line with a view as np.uint32; rounding to the nearest needs more;
# * `the_bias_of_truncation`: predict the errors of both ways, their means, and by
#   how much a sum of 10,000 such numbers is off. Which sum would you train with?

# %% [markdown]
# ## 7 · What the documents say (optional)
#
# Covers: A10 N29 N33 N48 N50 E5 E6 E37
#
# Four documents speak of mixed precision (混合精度), and each means something
# else by it (A10):
#
# | | where | as written | verdict |
# |---|---|---|---|
# | N29 | 001, 2.3 | part in lower precision, "FP16 or INT8" | INT8 is another subject, R24 |
# | N33 | 002, 2.2.2 | parameters in 16 bits, gradients in 32 | the wrong way round, R11 |
# | N48 | 003, 5.3 | the code does it: `model.train()`, `device` | there is none in the code |
# | E5 E6 | 000, 5.2 | `autocast()`, called quantisation (量化) | half: no loss scale |
# | N50 | 003 | it saves memory, or resources | half true, R12 |
#
# `model.train()`, `model.eval()` and `device` choose dropout and a device. Our
# counterpart of a program without autocast is one without: it rounds nothing.

# %%
def moves(w: np.ndarray, update: float) -> np.ndarray:
    """Whether float16 numbers change by it."""
    return FLOAT16.round(w + np.float32(update)) != w


halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
halves = halves.astype(np.float32)                  # every float16 number
positive = np.sort(halves[(halves > 2.0**-10) & (halves <= 1)])
grow, shrink = (positive[moves(positive, sign * 2e-5)].max()
                for sign in (1, -1))
lesson.say(f"  the largest float16 weights that 2e-5 moves: up {grow:.5f}, "
           f"down {shrink:.5f}")
assert after_updates(FLOAT16) == 1.0 == after_updates(BFLOAT16), \
    "N33: 1000 updates of -1e-4 leave a float16 weight at 1.0"
assert f"{after_updates(FLOAT32):.5f}" == "0.89998", \
    "N33 A10: the float32 master weight ends at .89998"
assert grow < 0.0625 == shrink \
    and not moves(positive[positive > 0.0625], 2e-5).any(), \
    "N33: at 2e-5 no float16 weight over .0625 moves (it can still shrink)"
grid = 2 / 255
codes = np.round(np.linspace(-0.9, 0.9, 101) / grid)
moved = {update: int((np.round((codes * grid + update) / grid)
                      != codes).sum()) for update in (1e-3, 5e-3)}
lesson.say(f"  on a grid of {grid:.4f} an update of 0.001 moves "
           f"{moved[1e-3]} of {len(codes)} codes, 0.005 {moved[5e-3]}")
assert f"{grid:.4f}" == "0.0078" and moved[1e-3] == 0, \
    "N29: an update of 1e-3 on an 8-bit grid of .0078 is lost"
assert moved[5e-3] == len(codes), \
    "N29: one of more than half a step moves by a whole one"

# %%
with no_grad():
    untouched = mp.GPT(MODEL).loss(inputs, targets).item()
assert running == 2048 and accumulated == 4096, \
    "N50: 4096 ones are 2048 in float16: there the next number is 2050"
assert f"{lost[1]:.3f}" == "0.353" and lost[1024] == 0, \
    "E6: underflow falls from .353 to 0 at scale 1024"
assert 0 < len(skipped) == scale.skipped < 20 and all(
    history[n + 1][0] == history[n][0] / 2 for n in skipped if n < 19), \
    "E6: a step with inf is skipped, and the scale halved"
assert abs(weight.item() - (1 - 1e-4 * (20 - len(skipped)))) < 1e-6, \
    "E6: the steps that are taken have the unscaled gradient"
assert all(
    abs(loss / plain[0] - 1) < 1e-2 for loss, _, _ in (half, brain)
), "E5: the loss is within 1e-2 of float32's"
assert half[0] != plain[0] and in_16 > 2 * in_32, \
    "E5: most activations, those of products, take half the bytes"
assert untouched == plain[0] and plain[2].total("values").numbers == 0, \
    "N48: without autocast not one number is rounded"
assert {op for op, _ in half[2].counts} == {
    op for op, low in IN_16_BITS.items() if low} - {"matmul"}, \
    "E5: only products of the table, and GELU between them, are in 16 bits"
assert state == mixed == 16 and 0.5 < ratio < 0.7, \
    "N50: 16 bytes per parameter in both; of activations over half remains"

# %%
assert abs(ends["float16, loss scale"] - ends["float32"]) < 0.1 * gained, \
    "A10 E37: with master weights and a loss scale, as float32"
assert (
    ends["float32"] < ends["float16 weights"] < ends["bfloat16 weights"]
), "N33 A10: weights in 16 bits learn less, and the fewer digits, the less"
assert ends["float16, no scale"] > ends["float32"] + 0.1 * gained, \
    "E6 A10: without a loss scale float16 learns less"
assert (
    with_scale[3].skipped > 0 and np.isfinite(with_scale[1].data).all()
), "E6: the scale began too high: steps were skipped, no weight spoilt"
share = [
    run[2].total("gradients").underflows / run[2].total("gradients").numbers
    for run in (without, with_scale)
]
assert share[1] < share[0] / 5, \
    "E6: the scale saves the gradients that float16 loses"
