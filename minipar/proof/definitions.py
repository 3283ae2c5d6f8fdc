"""Compares ops, optimisers and rules with their definitions.

The layout and the reference share this code. A mistake in it changes both in the same way, so a comparison of
the two cannot detect it. Each function of CHECKS computes the same numbers in another way, and returns the
name of the first wrong result, or "". The arrays are longer than the blocks of the code under test.
"""

# B: samples, T: tokens per sample, D: model width, V: size of the vocabulary, n: number of elements

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from minipar.autograd import IGNORE, Tensor, backward, dropout, fused, no_grad, plain_gelu
from minipar.autograd.fused.attention import QUERIES
from minipar.comm.solo import solo
from minipar.config import Layout
from minipar.data.batches import Batches, EvaluationBatches
from minipar.inference.requests import Sampling
from minipar.inference.sampling import weights
from minipar.nn import SERIAL, Dropout, Parameter, Start
from minipar.optim import OPTIMIZERS, Flat, Optimizer, clip, constant, cosine, norm_of, warm_up
from minipar.optim.optimizers import BLOCK
from minipar.parallel.codes import CODES
from minipar.parallel.grid import Grid
from minipar.precision import LossScale, format_of
from minipar.proof.case import make_trainer, uneven_case
from minipar.rng import stream

CLOSE = 1e-9                                                        # relative to the largest element
B, T, D, V, HEADS = 2, QUERIES + 5, 6, 7, 2
LR, DECAY, EPS = 0.1, 0.3, 1e-3                                     # a large eps shows where it is added
B1, B2 = 0.7, 0.8                                                   # the two decay rates of Adam


def wrong_definition() -> str:
    """Returns the name of the first op, optimiser or rule that differs from its definition, or ""."""
    return next(filter(None, (check() for check in CHECKS)), "")


def _close(got: object, want: object) -> bool:
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    if got.shape != want.shape:
        return False
    return not want.size or bool(np.abs(got - want).max() <= CLOSE * max(np.abs(want).max(), 1e-30))


def _numbers(name: str, *shape: int) -> np.ndarray:
    return np.asarray(stream(0, "definitions", name).standard_normal(shape))


def _ops() -> Iterator[tuple[str, Callable[..., Tensor], Callable[..., Tensor], list[np.ndarray]]]:
    """Yields (name, op, plain op, the arrays whose gradients are compared)."""
    x, w, b = _numbers("x", B, T, D), _numbers("w", D, D), _numbers("b", D)
    tokens = stream(0, "definitions", "tokens").integers(0, V, (B, T))
    targets = np.where(tokens == 2, IGNORE, tokens)
    table = _numbers("table", V, D)
    yield "linear", fused.linear, fused.plain_linear, [x, w, b]
    yield "add_bias", fused.add_bias, lambda x, b, y: x + b + y, [x, b, x[::-1].copy()]
    yield "layernorm", fused.layernorm, fused.plain_layernorm, [x, b + 3, b]
    yield "gelu", fused.gelu, plain_gelu, [x]
    yield ("attention", lambda a: fused.causal_attention(a, HEADS),
           lambda a: fused.plain_causal_attention(a, HEADS), [_numbers("qkv", B, T, 3 * D)])
    yield ("embedding", lambda w: fused.embedding(tokens, w),
           lambda w: fused.plain_embedding(tokens, w), [table])
    kept = tokens[..., None] != np.arange(D)
    yield "dropout", lambda x: dropout(x, kept, 0.2), lambda x: x * (kept / 0.8), [x]
    yield "unembedding", fused.unembedding, fused.plain_unembedding, [x, table]
    for name, divisor in (("cross-entropy", None), ("cross-entropy with a divisor", 5)):
        yield (name, lambda z, divisor=divisor: fused.cross_entropy(z, targets, divisor),
               lambda z, divisor=divisor: fused.plain_cross_entropy(z, targets, divisor),
               [_numbers("logits", B, T, V)])


def wrong_op() -> str:
    """Compares the values and gradients of each fused op with its plain form."""
    for name, op, plain, arrays in _ops():
        (value, *gradients), (right, *others) = _with_gradients(op, arrays), _with_gradients(plain, arrays)
        if not _close(value, right):
            return name
        if not all(map(_close, gradients, others)):
            return f"gradient of {name}"
    return ""


def _with_gradients(op: Callable[..., Tensor], arrays: list[np.ndarray]) -> list[np.ndarray | None]:
    leaves = [Tensor(array.copy(), requires_grad=True) for array in arrays]
    out = op(*leaves)
    backward(out, _numbers("gradient", *out.shape))
    return [out.data, *(leaf.grad for leaf in leaves)]


def wrong_optimizer() -> str:
    """Compares two steps of each optimiser with its formula, for a matrix and a vector. Only the matrix has
    weight decay.
    """
    for name, kind in OPTIMIZERS.items():
        options = {"sgd": {"momentum": B1}, "adagrad": {"eps": EPS}}.get(
            name, {"betas": (B1, B2), "eps": EPS})
        matrix, vector = (Parameter(label, shape, Start()) for label, shape
                          in (("matrix", (BLOCK + 3, 1)), ("vector", (5,))))
        for p in (matrix, vector):
            p.data = _numbers(p.name, *p.whole)
        right = {p.name: (p.data.copy(), decay) for p, decay in ((matrix, DECAY), (vector, 0.0))}
        flat = Flat([matrix, vector])
        optimizer: Optimizer = kind(flat, weight_decay=DECAY, **options)
        gradients = [{p.name: _numbers(f"{p.name} {step}", *p.whole) for p in (matrix, vector)}
                     for step in range(2)]
        for step in gradients:
            flat.load_state(flat.grad, step)
            for p in (matrix, vector):
                p.grad = p.grad_buffer
            optimizer.step(LR)
        for p in (matrix, vector):
            start, decay = right[p.name]
            if not _close(p.data, RULES[name](start, [step[p.name] for step in gradients], decay)):
                return f"optimiser {name}"
    return ""


def _sgd(p: np.ndarray, gradients: list[np.ndarray], decay: float) -> np.ndarray:
    velocity = np.zeros_like(p)
    for g in gradients:
        velocity = B1 * velocity + g + decay * p
        p = p - LR * velocity
    return p


def _adagrad(p: np.ndarray, gradients: list[np.ndarray], decay: float) -> np.ndarray:
    squares = np.zeros_like(p)
    for g in gradients:
        squares = squares + (g + decay * p) ** 2
        p = p - LR * (g + decay * p) / (np.sqrt(squares) + EPS)
    return p


def _adam(p: np.ndarray, gradients: list[np.ndarray], decay: float, decoupled: bool = False) -> np.ndarray:
    mean, squares = np.zeros_like(p), np.zeros_like(p)
    for t, g in enumerate(gradients, 1):
        g = g if decoupled else g + decay * p
        mean, squares = B1 * mean + (1 - B1) * g, B2 * squares + (1 - B2) * g**2
        move = (mean / (1 - B1**t)) / (np.sqrt(squares / (1 - B2**t)) + EPS)
        p = p - LR * move - (LR * decay * p if decoupled else 0)
    return p


def _adamw(p: np.ndarray, gradients: list[np.ndarray], decay: float) -> np.ndarray:
    return _adam(p, gradients, decay, decoupled=True)


RULES: dict[str, Callable[[np.ndarray, list[np.ndarray], float], np.ndarray]] = {
    "sgd": _sgd, "adagrad": _adagrad, "adam": _adam, "adamw": _adamw}


def wrong_rule() -> str:
    """Compares the clipping, the learning rates and the loss scale with their definitions."""
    gradient = _numbers("clipped", 2 * BLOCK + 3)
    norm = float(np.linalg.norm(gradient))
    clipped, untouched = gradient.copy(), gradient.copy()
    clip(clipped, norm, norm / 4)
    clip(untouched, norm, 2 * norm)
    if not (_close(norm_of(gradient), norm) and _close(clipped, gradient / 4)
            and np.array_equal(untouched, gradient)):
        return "clipping"
    rate = warm_up(cosine(1.0, 0.2, 4), 3)
    after = [0.2 + 0.4 * (1 + math.cos(math.pi * step / 4)) for step in range(5)]
    if not _close([rate(step) for step in range(9)], [0.25, 0.5, 0.75, *after, 0.2]):
        return "warm-up and cosine"
    if not _close([warm_up(constant(2.0), 1)(step) for step in range(3)], [1, 2, 2]):
        return "constant rate"
    scale, seen = LossScale(8.0, growth_every=2), []
    for finite in (True, True, True, False, True, True, True, True):
        seen.append((scale.update(finite), scale.scale, scale.skipped, scale.in_a_row))
    right = [(True, 8, 0, 0), (True, 16, 0, 0), (True, 16, 0, 0), (False, 8, 1, 1), (True, 8, 1, 0),
             (True, 16, 1, 0), (True, 16, 1, 0), (True, 32, 1, 0)]
    return "" if seen == right else "loss scale"


def wrong_data() -> str:
    """Checks the batches of a text in which each token is its own position. Batches of different steps and
    random streams of different names must differ. An evaluation without a number of windows must contain each
    target once.
    """
    text, context = np.arange(203), 4
    batches = Batches(text, context, 50, seed=0)
    pairs = [batches.get(step) for step in range(30)]
    if any(not np.array_equal(inputs + 1, targets) for inputs, targets in pairs):
        return "targets of a batch"
    starts = [tuple(inputs[:, 0].tolist()) for inputs, _ in pairs]
    if len(set(starts)) < len(starts) or batches.get(3)[0][:, 0].tolist() != list(starts[3]):
        return "batches of the steps"
    if {start for batch in starts for start in batch} != set(range(len(text) - context)):
        return "windows of the training text"
    targets = np.concatenate([batch.reshape(-1) for _, batch in EvaluationBatches(text, context, 7)])
    if not np.array_equal(targets, np.arange(1, 1 + len(text[1:]) // context * context)):
        return "windows of the validation text"
    keys: list[tuple[object, ...]] = [("a", 2, 1, 7)[:length] for length in range(1, 5)]
    keys += [("b",), ("a", 1), ("a", 2, 2), ("a", 2, 1, 8)]
    numbers = {stream(seed, *key).random() for seed in (0, 1) for key in keys}
    return "" if len(numbers) == 2 * len(keys) else "streams of random numbers"


def wrong_evaluation() -> str:
    """Checks that dropout keeps the mean of its input, and that validation has no dropout."""
    ones = Tensor(np.ones((B, T, D)))
    dropped = Dropout(0.25, 0, 1, np.arange(B)).on(slice(0, T), T).drop(ones, "layer").data
    kept = dropped != 0
    if not (0.6 < kept.mean() < 0.9 and _close(dropped[kept], np.full(kept.sum(), 4 / 3))):
        return "dropout layer"
    case = uneven_case(Layout(), dropout=0.25, layers=1, context=5)
    trainer = make_trainer(case, "SGD", Grid(solo(), case.layout), SERIAL)
    (model,) = trainer.stages.models
    with no_grad():
        losses = [model.loss(*batch, count=1).item() for batch in trainer.validation]
    count = sum(int((targets != IGNORE).sum()) for _, targets in trainer.validation)
    return "" if _close(trainer.validate(), math.fsum(losses) / count) else "validation loss"


def wrong_sampling() -> str:
    """Compares the weights of sampling with its definition. Some logits are equal."""
    logits = np.round(_numbers("sampling", 40), 1)
    order = np.argsort(-logits, kind="stable")
    for temperature, top_k, top_p, min_p in ((0.7, 0, 1, 0), (1, 5, 1, 0), (1, 39, 1, 0), (2, 0, 0.6, 0),
                                             (1, 0, 1, 0.2), (0.5, 9, 0.8, 0.1)):
        right = np.exp((logits - logits.max()) / temperature)
        right[order[top_k or len(logits):]] = 0
        before = np.cumsum(right[order]) - right[order]
        right[order[before >= top_p * right.sum()]] = 0
        right[right < min_p] = 0
        if not _close(weights(logits, Sampling(temperature, top_k, top_p, min_p), []), right):
            return f"sampling with top_k={top_k}, top_p={top_p}, min_p={min_p}"
    return ""


def wrong_rounding() -> str:
    """Compares the codes of compressed gradients and the 16-bit formats with their definitions."""
    values = _numbers("coded", 1003)
    values = np.concatenate([values, -values])                      # the largest value has both signs
    decoded = {name: code.decode(code.encode(values), len(values), values.dtype)
               for name, code in CODES.items()}
    if np.abs(decoded["int8"] - values).max() > np.abs(values).max() / 254 * (1 + CLOSE):
        return "code int8"
    if not _close(decoded["1bit"], np.sign(values) * np.abs(values).mean()):
        return "code 1bit"
    small = values.astype(np.float32)
    bits = small.view(np.uint32)
    bits = bits + 0x7FFF + ((bits >> 16) & 1) & np.uint32(0xFFFF0000)        # round half to even
    right = {"float16": small.astype(np.float16), "bfloat16": bits.view(np.float32)}
    return next((f"rounding to {name}" for name, array in right.items()
                 if not np.array_equal(format_of(name).round(small), array)), "")


CHECKS: tuple[Callable[[], str], ...] = (wrong_op, wrong_optimizer, wrong_rule, wrong_data, wrong_evaluation,
                                         wrong_sampling, wrong_rounding)
