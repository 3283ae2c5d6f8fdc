# %% [markdown]
# # 06 · Mixed precision
#
# Covers: A10 N29 N33 N48 N50 E5 E6 E37
#
# Four documents speak of mixed precision (混合精度), and each means something else by it (A10):
#
# | where | as written | verdict |
# |---|---|---|
# | 001, 2.3 | "part of the computation in lower precision, such as FP16 or INT8" (N29) | INT8 is another subject, R24 |
# | 002, 2.2.2 | "16-bit floats for the parameters, 32-bit floats for the gradients" (N33) | the wrong way round, R11 |
# | 003, 5.3 | 32 and 16 bits mixed; the code is said to do it: `model.train()`, `device` (N48) | there is none in the code |
# | 000, 5.2 | `autocast()`, called quantisation; no loss scale (E5, E6) | half of it |
#
# They say that it saves memory, or (003) resources (N50), which is half true (R12). What works (Micikevicius et al. 2018) has
# three parts, and each repairs a failure that a few lines of NumPy can show: products in 16 bits with sums in 32; *master
# weights* in 32 bits; a *loss scale* that keeps gradients in range.
#
# Run me: `python lessons/06_mixed_precision.py`, or cell by cell in an editor.

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
from minipar.precision import BFLOAT16, FLOAT16, FLOAT32, IN_16_BITS, Autocast, Format, LossScale

lesson = Lesson("06_mixed_precision", ranks=1)

# %% [markdown]
# ## 1 · Two ways to spend 16 bits
#
# float16 has 10 binary digits behind the leading one and a narrow range. bfloat16 is the upper half of a float32: its range,
# and 7 digits. NumPy multiplies float16 without BLAS, hundreds of times slower than float32, and has no bfloat16. So here a
# 16-bit number is the float32 that equals it (`minipar/precision/formats.py`): rounding is real, speed and memory are not.

# %%
lesson.say("1 · formats")
lesson.table(("", "next after 1", "least number", "all digits from", "largest"),
             *((f.name, f"1 + 2^-{f.digits}", f.smallest, f.smallest_normal, f.largest)
               for f in (FLOAT32, FLOAT16, BFLOAT16)))

# %% [markdown]
# ## 2 · 002's scheme: parameters in 16 bits
#
# Take a weight 1.0 and subtract 0.0001 a thousand times. **Predict before you run:** what is left in float16?
#
# And 003's rate is 2e-5 (lesson 2: about what Adam moves a weight per step). **Predict:** which weights can still move?

# %%


def after_updates(format: Format) -> float:
    """A weight of 1.0 that is stored in the format, after 1000 updates of -1e-4."""
    w = np.array([1.0], np.float32)
    for _ in range(1000):
        w = format.round(w - np.float32(1e-4))
    return w.item()


def moves(w: np.ndarray, update: float) -> np.ndarray:
    """Whether float16 numbers change by it."""
    return FLOAT16.round(w + np.float32(update)) != w


halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
positive = np.sort(halves[(halves > 2.0**-10) & (halves <= 1)])      # every float16 number between
grow, shrink = (positive[moves(positive, sign * 2e-5)].max() for sign in (1, -1))
lesson.say(f"2 · 1 - 1000 * 1e-4: float16 {after_updates(FLOAT16):g}, bfloat16 {after_updates(BFLOAT16):g}, "
           "float32 master "
           f"{after_updates(FLOAT32):.5f}",
           f"  the largest float16 weights that 2e-5 moves: up {grow:.5f}, down {shrink:.5f}", "")
assert after_updates(FLOAT16) == 1.0 == after_updates(BFLOAT16), (
    "N33: 1000 updates of -1e-4 leave a float16 weight at 1.0"
)
assert f"{after_updates(FLOAT32):.5f}" == "0.89998", "N33 A10: the float32 master weight ends at .89998"
assert grow < 0.0625 == shrink and not moves(positive[positive > 0.0625], 2e-5).any(), (
    "N33: at a rate of 2e-5 no float16 weight from .0625 up moves (.0625 itself still shrinks, as the grid below it is finer)"
)

# %% [markdown]
# ## 3 · 001's scheme: INT8
#
# Eight bits over [-1, 1] are a grid of 2/255 = 0.0078. What is smaller than half of it is lost. Integers can serve a trained
# model (quantisation, 量化, lesson 7); weights that are still to learn cannot live on them.

# %%
grid = 2 / 255
codes = np.round(np.linspace(-0.9, 0.9, 101) / grid)
moved = {update: int((np.round((codes * grid + update) / grid) != codes).sum()) for update in (1e-3, 5e-3)}
lesson.say(f"3 · on a grid of {grid:.4f} an update of 0.001 moves {moved[1e-3]} of {len(codes)} codes, 0.005 "
           f"{moved[5e-3]}", "")
assert f"{grid:.4f}" == "0.0078" and moved[1e-3] == 0, (
    "N29: an update of 1e-3 on an 8-bit grid of .0078 is lost"
)
assert moved[5e-3] == len(codes), "N29: one of more than half a step is not, and moves by a whole one"

# %% [markdown]
# ## 4 · Sums need 32 bits
#
# **Predict:** add 4096 ones, one after the other, in float16. The matrix units of accelerators multiply 16-bit numbers and
# add in 32 bits; so does `autocast` here.

# %%
running = np.float16(0)
for _ in range(4096):
    running += np.float16(1)
ones = mp.Tensor(np.ones((1, 4096), np.float32))
with Autocast(FLOAT16)():
    accumulated = matmul(ones, mp.Tensor(np.ones((4096, 1), np.float32))).item()
lesson.say(f"4 · 4096 ones: {running:g} in float16, {accumulated:g} with a float32 sum", "")
assert running == 2048 and accumulated == 4096, (
    "N50: 4096 ones are 2048 in float16: there the next number is 2050"
)

# %% [markdown]
# ## 5 · Range: what a loss scale is for
#
# A gradient below 2^-25 becomes zero in float16. Spread gradients evenly over the decades from 1e-10 to 1e-3: **predict** how
# many vanish, and how many if all are multiplied by 1024 first. Multiplying the loss multiplies every gradient, since
# backward is linear.
#
# Too large a scale makes infinities. Then the step is skipped, and the scale halved (E6; none of the documents has it).

# %%
decades = (10 ** np.linspace(-10, -3, 1_000_001)).astype(np.float32)
lost = {scale: float((FLOAT16.round(decades * np.float32(scale)) == 0).mean()) for scale in (1, 1024)}
scale = LossScale(2.0**30, growth_every=2)
weight, history = np.ones(1, np.float32), []
for _ in range(20):
    with np.errstate(over="ignore"):
        gradient = FLOAT16.round(np.array([1e-3 * scale.scale], np.float32))
    scale.unscale(gradient)
    history.append((scale.scale, bool(np.isfinite(gradient).all())))
    if scale.update(history[-1][1]):
        weight -= np.float32(0.1) * gradient
bad = [number for number, (_, finite) in enumerate(history) if not finite]
scales = " ".join(f"2^{np.log2(used):.0f}{'' if finite else '!'}" for used, finite in history)
lesson.say(f"5 · lost to zero: {lost[1]:.3f}, with the loss times 1024: {lost[1024]:g}",
           f"  scale by step: {scales}  (! skipped)", "")
assert f"{lost[1]:.3f}" == "0.353" and lost[1024] == 0, "E6: underflow falls from .353 to 0 at scale 1024"
assert 0 < len(bad) == scale.skipped < 20 and all(history[n + 1][0] == history[n][0] / 2 for n in bad
                                                  if n < 19), \
    "E6: a step with inf is skipped, and the scale halved"
assert abs(weight.item() - (1 - 1e-4 * (20 - len(bad)))) < 1e-6, (
    "E6: the steps that are taken have the unscaled gradient"
)

# %% [markdown]
# ## 6 · Autocast on a GPT
#
# Which ops compute in 16 bits is a table (`IN_16_BITS` in `minipar/precision/autocast.py`): matrix products and what lies
# between two of them do, in forward and backward. LayerNorm, softmax, cross-entropy and the residual stream do not.
#
# 003 (5.3) says that `model.train()`, `model.eval()` and `device` are its mixed precision. They choose dropout and a device.
# Our counterpart of a program without autocast is one without autocast: it rounds nothing.

# %%
SOURCES = [MarkovSource.random(16, seed=seed, concentration=0.3) for seed in (3, 4)]
TEXTS = [source.sample(30_000, seed=0) for source in SOURCES]
MODEL = mp.ModelConfig(vocabulary=16, context=16, layers=2, heads=2, width=32)
inputs, targets = Batches(TEXTS[0], MODEL.context, 16, seed=0).get(0)


def loss_in(format: Format) -> tuple[float, Counter, Autocast]:
    """The loss of a new model; how many numbers its ops hand on, by whether all of an op's fit the format;
    what was rounded.
    """
    autocast, handed = Autocast(format), Counter()

    def watched(op, *args, **kwargs):
        out = autocast.call(op, *args, **kwargs)
        handed[np.array_equal(FLOAT16.round(out.data), out.data)] += out.data.size
        return out

    with no_grad(), casting(watched if format is not FLOAT32 else None):
        return mp.GPT(MODEL).loss(inputs, targets).item(), handed, autocast


plain, half, brain = (loss_in(format) for format in (FLOAT32, FLOAT16, BFLOAT16))
with no_grad():
    untouched = mp.GPT(MODEL).loss(inputs, targets).item()
in_16, in_32 = half[1][True], half[1][False]
ratio = (2 * in_16 + 4 * in_32) / (4 * (in_16 + in_32))
lesson.say("6 · the loss of one batch")
lesson.table(("products in", "loss", "numbers rounded"),
             *((name, f"{loss:.6f}", autocast.total("values").numbers)
               for name, (loss, _, autocast) in zip(("float32", "float16", "bfloat16"), (plain, half, brain),
                                                    strict=True)))
lesson.say(f"  ops hand on {in_16:,} numbers that need 2 bytes and {in_32:,} that need 4: {ratio:.2f} of "
           "float32's bytes", "")
assert all(abs(loss / plain[0] - 1) < 1e-2 for loss, _,
           _ in (half, brain)), "E5: the loss is within 1e-2 of float32's"
assert half[0] != plain[0] and in_16 > 2 * in_32, (
    "E5: most activations, those of products, take half the bytes"
)
assert untouched == plain[0] and plain[2].total("values").numbers == 0, (
    "N48: without autocast not one number is rounded"
)
assert {op for op, _ in half[2].counts} == {op for op, low in IN_16_BITS.items() if low} - {"matmul"}, \
    "E5: only the products of the table, and GELU between them, are in 16 bits"

# %% [markdown]
# ### Does it save memory?
#
# Per parameter, with Adam:
#
#     float32     weight 4 + gradient 4 + m 4 + v 4                                = 16 bytes
#     mixed       weight 2 + gradient 2 + master weight 4 + m 4 + v 4              = 16 bytes
#
# So the state does not shrink at all. Activations do (by the ratio above; LayerNorm and the residual stream stay), and every
# byte that travels.

# %%
flat = Flat(mp.GPT(MODEL).parameters())
state = (flat.data.nbytes + flat.grad.nbytes + sum(slot.nbytes
                                                   for slot in Adam(flat).state.values())) / flat.data.size
mixed = state - flat.grad.itemsize + 2 * FLOAT16.bytes
assert state == mixed == 16, "N50: the state takes 16 bytes per parameter in both precisions"
assert 0.5 < ratio < 0.7, "N50: of the activations' bytes a bit more than half remains"

# %% [markdown]
# ## 7 · Fine-tuning, four ways and one more
#
# A GPT has learned one source and now gets another, at 003's rate of 2e-5. GPT-3's batches have 3.2 million tokens (Brown et al.
# 2020), and a mean over them divides the gradient by that; ours divides its few hundred by as many, so that the gradients
# have the size they have there. (Adam forgives the factor, lesson 2; its ε must be small beside it.)
#
# * float32;
# * 002's scheme: float32 gradients, weights stored in 16 bits, float16 or bfloat16;
# * float16 products without a loss scale: 000's `autocast()`;
# * mixed precision: float16 products, a dynamic loss scale that begins far too high, float32 master weights.
#
# **Predict:** the order of the losses in the end.
#
# **Break it on purpose:** take every step, the infinite ones too: `if scale.update(finite) or True`. Which line stops you?

# %%
TOKENS = 3_200_000
UNSCALED = {"growth_every": 0, "patience": 10**9}                    # a scale of 1 that never changes


@np.errstate(all="ignore")  # infinities are looked for, as in minipar/training/trainer.py
def train(text: np.ndarray, lr: float, steps: int, start: np.ndarray | None = None, *,
          products: Format = FLOAT32, stored: Format = FLOAT32, scale: LossScale
          | None = None) -> tuple[list[float], Flat, Autocast, LossScale]:
    """Losses in nats per token, weights and last gradient, what was rounded, the scale."""
    model, scale = mp.GPT(MODEL), scale or LossScale(1.0, **UNSCALED)
    flat, autocast, batches = (
        Flat(model.parameters()),
        Autocast(products),
        Batches(text, MODEL.context, 8, seed=0),
    )
    if start is not None:
        flat.data[...] = stored.round(start)
    optimizer, losses = Adam(flat, eps=1e-20), []
    for step in range(steps):
        inputs, targets = batches.get(step)
        flat.zero_grad()
        with autocast():
            loss = model.loss(inputs, targets, count=TOKENS)
        losses.append(loss.item() * TOKENS / targets.size)
        if np.isnan(losses[-1]):                                    # spoilt weights learn nothing any more
            break
        mp.backward(loss, np.full_like(loss.data, scale.scale))         # the same as multiplying the loss
        scale.unscale(flat.gradient())
        finite = bool(np.isfinite(flat.grad).all())
        if scale.update(finite):
            optimizer.step(lr)
            flat.data[...] = stored.round(flat.data)
    return losses, flat, autocast, scale


STEPS = 120 if lesson.fast else 500
first_losses, learned, _, _ = train(TEXTS[0], 3e-3, 100 if lesson.fast else 300)
SCHEMES = {
    "float32": {}, "002: float16 weights": {"stored": FLOAT16}, "002: bfloat16 weights": {"stored": BFLOAT16},
    "float16, no loss scale": {"products": FLOAT16},
    "float16, loss scale": {"products": FLOAT16, "scale": LossScale(2.0**36, growth_every=60)},
}
runs = {name: train(TEXTS[1], 2e-5, STEPS, learned.data, **scheme) for name, scheme in SCHEMES.items()}
ends = {name: float(np.mean(losses[-20:])) for name, (losses, _, _, _) in runs.items()}
lesson.say(f"7 · {STEPS} steps at 2e-5 on another source")
lesson.table(("scheme", "first loss", "last loss", "weights that moved", "gradients lost to zero",
              "skipped steps"),
             *((name, f"{losses[0]:.3f}", f"{ends[name]:.3f}",
                f"{(flat.data != SCHEMES[name].get('stored', FLOAT32).round(learned.data)).mean():.2f}",
                f"{tally.underflows / tally.numbers:.3f}" if (tally := autocast.total("gradients")).numbers
                else "-", scale.skipped)
               for name, (losses, flat, autocast, scale) in runs.items()))
gained = {name: float(np.mean(runs[name][0][:20])) - end for name, end in ends.items()}
with_scale, without = runs["float16, loss scale"], runs["float16, no loss scale"]
assert abs(ends["float16, loss scale"] - ends["float32"]) < 0.1 * gained["float32"], \
    "A10 E37: with master weights and a loss scale, float16 ends where float32 does"
assert ends["float32"] < ends["002: float16 weights"] < ends["002: bfloat16 weights"], \
    "N33 A10: weights stored in 16 bits learn less, and the fewer digits, the less"
assert ends["float16, no loss scale"] > ends["float32"] + 0.1 * gained["float32"], \
    "E6 A10: without a loss scale float16 learns less"
assert with_scale[3].skipped > 0 and np.isfinite(with_scale[1].data).all(), \
    "E6: the scale began too high: steps were skipped, no weight was spoilt"
share = [run[2].total("gradients").underflows / run[2].total("gradients").numbers
         for run in (without, with_scale)]
assert share[1] < share[0] / 5, "E6: the scale saves the gradients that float16 loses"

# %% [markdown]
# `minipar train --precision float16` does the same with a GPT on real text: over several ranks all skip the same step, since
# an infinity of one rank reaches the norm of the whole gradient, which every rank asks for; checkpoints hold the master
# weights and the scale. `--precision bfloat16` needs no scale: its range is that of float32.
#
# **Exercise:** write `truncated(x)`: bfloat16 by cutting off the lower 16 bits, one line with a view on np.uint32. How large
# is its error beside that of rounding to the nearest (`BFLOAT16.round`)? And its *mean* error? Add up 10 000 numbers of either
# kind: which sum would you train with?
#
# ## The picture

# %%
gradients = abs(train(TEXTS[1], 2e-5, 1, learned.data)[1].grad)
found = 2.0 ** round(np.log2(with_scale[3].scale))
lesson.picture(draw_mixed_precision(gradients[gradients > 0], found, FLOAT16,
                                    {name: run[0] for name, run in runs.items()}))
