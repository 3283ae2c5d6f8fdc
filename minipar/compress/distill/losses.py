"""Defines four distances between a student model and its teacher. Each one is a scalar with a gradient.

    soft targets   T^2 KL(softmax(z_t / T) || softmax(z_s / T))        Hinton, Vinyals and Dean 2015
    logits         mean over V of (d - mean d)^2 / 2, d = z_s - z_t    Ba and Caruana 2014
    hidden states  mean over D of (h_s W - h_t)^2                      Romero et al. 2015 (FitNets)
    attention      KL(P_t || P_s) over the keys, per head and query    Jiao et al. 2020 (TinyBERT), Wang et
                                                                       al. 2020 (MiniLM)

z_s and z_t are the logits of student and teacher, h_s and h_t their hidden states, P_s and P_t their
attention weights. V is the vocabulary, D the width of the teacher, and W a trained projection.

The gradient of the first loss with respect to z_s is T (softmax(z_s / T) - softmax(z_t / T)). A high
temperature T makes both distributions flat, and their difference shrinks like 1 / T. Without the factor T^2,
the gradient would shrink like 1 / T^2. With the factor, the gradient has a similar size for every T, so T
does not change its weight relative to the loss of the labels. In the limit T -> infinity, the first loss
equals the second loss.

The teacher is a constant: its arrays have no gradient. Each loss is summed over rows (tokens) and divided by
`divisor`, which is the number of rows in the whole global batch. So the losses of parts of a batch can be
added, like in autograd's cross_entropy.

With tensor parallelism, the logits are sharded over the vocabulary. Then the caller passes `reduce`, which
reduces two maxima and three sums per token over tp (see minipar.compress.reduction). Backward needs no
communication.
"""

# V: size of the vocabulary, v: size of this rank's shard, n: number of rows (product of all leading axes)
# V -> I: the inputs vary from rank to rank, the result is equal. P -> I: the inputs are partial sums.

from __future__ import annotations

import math

import numpy as np

from minipar.autograd import Tensor, linear, log_softmax, record, softmax, sum, where
from minipar.autograd.fused.kernels import sum_of_parts
from minipar.compress.reduction import Reduce, single_process
from minipar.errors import ConfigError, RangeError, ShapeError


def plain_soft_targets(student: Tensor, teacher: np.ndarray, temperature: float = 1.0,
                       divisor: int | None = None) -> Tensor:
    """Computes the same loss as `soft_targets` on one rank, with small ops. Tests compare both.
    """
    p = softmax(Tensor(teacher * (1 / temperature))).data
    log_p = log_softmax(Tensor(teacher * (1 / temperature))).data
    possible = p > 0                                                # if p is 0, p log (p / q) is 0 for any q
    log_q = where(possible, log_softmax(student * (1 / temperature)), Tensor(np.zeros_like(p)))
    gap = Tensor(p) * (Tensor(np.where(possible, log_p, 0)) - log_q)
    return sum(gap) * (temperature**2 / (divisor or math.prod(student.shape[:-1])))


def soft_targets(student: Tensor, teacher: np.ndarray, temperature: float = 1.0, divisor: int | None = None,
                 reduce: Reduce = single_process) -> Tensor:
    """Returns T^2 KL(teacher || student) at temperature T, summed over rows and divided by `divisor`. It is a
    scalar in nats per token.

    student, teacher: logits [..., v], this rank's columns of [..., V]. The result is equal on every rank (V
    -> I). `reduce` is called twice: with maxima [2, n], and with sums [3, n]. Raises ShapeError if the shapes
    differ, ConfigError if T is not positive, RangeError if the largest logit of a row is not finite (a row
    with NaN or +inf, or with only -inf).

    A logit of -inf means a probability of 0. If the teacher has such a logit, it adds 0 to the loss. If only
    the student has it, the loss is infinite.
    """
    _require_alike("soft targets", student, teacher)
    if not 0 < temperature < math.inf:
        raise ConfigError(f"the temperature is {temperature}; it must be a positive number",
                          item="temperature")
    shape, T = student.shape, temperature
    wide = np.promote_types(student.dtype, np.float32)              # differences of float16 may overflow
    s = student.data.reshape(-1, shape[-1]).astype(wide) * (1 / T)  # [n, v]
    t = teacher.reshape(s.shape).astype(s.dtype) * (1 / T)
    divisor = divisor or len(s)
    largest = reduce(np.stack([s.max(axis=-1), t.max(axis=-1)]), "max")             # [2, n]
    _require_probabilities(largest)
    s -= largest[0][:, None]
    t -= largest[1][:, None]
    with np.errstate(invalid="ignore"):                             # -inf - -inf
        gap = t - s
        np.exp(s, out=s)
        np.exp(t, out=t)
        gap *= t
    np.copyto(gap, 0, where=t == 0)                                 # 0 log 0 = 0
    total_s, total_t, weighted = reduce(np.stack([s.sum(axis=-1), t.sum(axis=-1), gap.sum(axis=-1)]), "sum")
    divergence = weighted / total_t - np.log(total_t) + np.log(total_s)             # [n]
    s *= (T / divisor / total_s)[:, None]
    t *= (T / divisor / total_t)[:, None]
    s -= t                                                          # the gradient
    loss = sum_of_parts(divergence, lambda part: part * (T * T / divisor))
    return record(np.asarray(loss, student.dtype), (student,),
                  lambda g: ((s * g).reshape(shape).astype(student.dtype, copy=False),))


def logit_match(student: Tensor, teacher: np.ndarray, divisor: int | None = None,
                reduce: Reduce = single_process) -> Tensor:
    """Returns half the variance of z_s - z_t over the vocabulary, summed over rows and divided by `divisor`.
    It is a scalar.

    A constant that is added to all logits of a row changes neither the probabilities nor this loss. The loss
    is the limit of `soft_targets` for T -> infinity. Shapes, dtypes and errors are the same as for
    `soft_targets`. `reduce` is called twice, with sums [n + 1] and [n].
    """
    _require_alike("logits", student, teacher)
    shape = student.shape
    with np.errstate(invalid="ignore", over="ignore"):              # checked below
        d = student.data.reshape(-1, shape[-1]) - teacher.reshape(-1, shape[-1]).astype(student.dtype)
        sums = reduce(np.append(d.sum(axis=-1), d.dtype.type(shape[-1])), "sum")
    divisor = divisor or len(d)
    _require_finite("logits", sums[:-1])
    V = sums[-1]
    d -= (sums[:-1] / V)[:, None]
    squares = reduce(np.einsum("nv,nv->n", d, d), "sum")
    d *= 1 / (V * divisor)
    return record(np.asarray(squares.sum() / (2 * V * divisor), d.dtype), (student,),
                  lambda g: ((d * g).reshape(shape),))


def hidden_match(student: Tensor, teacher: np.ndarray, projection: Tensor | None = None,
                 divisor: int | None = None, reduce: Reduce = single_process) -> Tensor:
    """Returns the mean square of h_s W - h_t over D, summed over tokens and divided by `divisor`. It is a
    scalar.

    student: [B, T, d]. teacher: [B, T, D]. projection: W [d, D], which is trained with the student; None if d
    = D. The hidden states are equal on all ranks of tp, so `reduce` is not needed. With sequence parallelism
    each rank has a part of the tokens, and `reduce` sums the losses (P -> I). Raises ShapeError if d != D and
    there is no projection.
    """
    if projection is not None:
        student = linear(student, projection)
    _require_alike("hidden states", student, teacher)
    divisor = divisor or math.prod(student.shape[:-1])
    with np.errstate(invalid="ignore", over="ignore"):              # checked below
        d = student - Tensor(teacher.astype(student.dtype))
        loss = _summed(sum(d * d) * (1 / (student.shape[-1] * divisor)), reduce)
    _require_finite("hidden states", loss.data)
    return loss


def attention_match(student: Tensor, teacher: np.ndarray, rows: int | None = None,
                    reduce: Reduce = single_process) -> Tensor:
    """Returns KL(teacher || student) of the attention weights, summed over heads and queries, and divided by
    `rows`. It is a scalar.

    student, teacher: the scores [B, h, T, T] of this rank's heads before the softmax (see attention_scores).
    Heads are sharded over tp in the same way for both models. rows: B H T for all H heads. `reduce` sums the
    ranks' losses (P -> I).
    """
    return _summed(soft_targets(student, teacher, divisor=rows), reduce)


def _summed(loss: Tensor, reduce: Reduce) -> Tensor:
    """P -> I: sums over the ranks in forward, and does nothing in backward."""
    return record(reduce(loss.data, "sum"), (loss,), lambda g: (g,))


def _require_probabilities(largest: np.ndarray) -> None:
    """Raises RangeError unless all numbers are finite. largest: [2, n], the largest logit of each row of the
    student and of the teacher, equal on all ranks.
    """
    if not np.isfinite(largest).all():
        who, row = np.argwhere(~np.isfinite(largest))[0]
        raise RangeError(f"distillation: row {row} of the {('student', 'teacher')[who]}'s logits has the "
                         f"largest logit {largest[who, row]}, so it has no softmax; look for weights that "
                         "are not finite, or a mask over the whole row", row=int(row),
                         item=("student", "teacher")[who])


def _require_finite(what: str, sums: np.ndarray) -> None:
    """Raises RangeError unless all numbers are finite. sums: sums of differences, equal on all ranks."""
    if not np.isfinite(sums).all() and np.geterr()["invalid"] != "ignore":
        index = np.argwhere(~np.isfinite(sums))[0]
        row = f" in row {index[0]}" if len(index) else ""
        raise RangeError(f"distillation: {what} of student and teacher differ by {sums[tuple(index)]}{row}; "
                         "look for weights that are not finite; if a mask writes -inf, match probabilities "
                         "with soft_targets")


def _require_alike(what: str, student: Tensor, teacher: np.ndarray) -> None:
    if student.shape != teacher.shape:
        raise ShapeError(f"distillation: {what} of the student {student.shape}, of the teacher "
                         f"{teacher.shape}; they must be equal", item=what)
    if not student.data.size:
        raise ShapeError(f"distillation: {what} of shape {student.shape} have no elements, so there is no "
                         "mean", item=what)
