"""Every op of the engine, one line each: the table that the gradient, dtype and Hessian tests go through."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from minipar.autograd import (
    IGNORE,
    Tensor,
    absolute,
    add_bias,
    broadcast_to,
    causal_attention,
    concatenate,
    cross_entropy,
    dropout,
    embedding,
    exp,
    gelu,
    layernorm,
    linear,
    log,
    log_softmax,
    matmul,
    max,
    maximum,
    mean,
    plain_gelu,
    recompute,
    relu,
    reshape,
    sigmoid,
    softmax,
    split,
    sqrt,
    sum,
    swapaxes,
    tanh,
    transpose,
    unembedding,
    where,
)

Op = Callable[..., Tensor | Sequence[Tensor]]
Case = tuple[str, Op, tuple[tuple[int, ...], ...]]

TOKENS = np.array([[3, 1, 3, 0], [2, 3, 3, 1]])                     # 3 comes often, 4 never
TARGETS = np.array([[0, 4, IGNORE], [2, IGNORE, 2]])
FLAGS = np.array([[True, False, True], [False, False, True]])
ROWS, COLUMNS = np.array([0, 2, 0, 0]), np.array([1, 3, 1, 2])      # (0, 1) twice

# op, function of the leaves, shapes of the leaves
CASES: list[Case] = [
    ("add",         lambda a, b: a + b,                        ((2, 3), (2, 3))),
    ("add",         lambda a, b: a + b,                        ((2, 1, 3), (4, 1))),
    ("add",         lambda a: 2 + a + 1.5,                     ((2, 3),)),
    ("add",         lambda a: a + a,                           ((2, 3),)),
    ("sub",         lambda a, b: a - b,                        ((2, 3), (3,))),
    ("sub",         lambda a: 1 - a - 2,                       ((2, 3),)),
    ("mul",         lambda a, b: a * b,                        ((2, 3), (2, 1))),
    ("mul",         lambda a, b: a * b,                        ((), (2, 3))),
    ("mul",         lambda a: 3 * a * a,                       ((2, 3),)),
    ("neg",         lambda a: -a,                              ((2, 3),)),
    ("div",         lambda a, b: a / b,                        ((2, 3), (4, 2, 3))),
    ("div",         lambda a: 1 / a / 2,                       ((2, 3),)),
    ("power",       lambda a: a**3,                            ((2, 3),)),
    ("power",       lambda a: (a * a) ** -0.5,                 ((2, 3),)),
    ("matmul",      lambda a, b: a @ b,                        ((2, 3), (3, 4))),
    ("matmul",      matmul,                                    ((5, 2, 3), (5, 3, 4))),
    ("matmul",      matmul,                                    ((5, 2, 3), (3, 4))),
    ("matmul",      matmul,                                    ((2, 1, 3, 2), (4, 2, 3))),
    ("matmul",      lambda a: np.arange(6.0).reshape(3, 2).astype(a.dtype) @ a,   ((2, 3),)),
    ("matmul",      lambda a: a @ swapaxes(a, 0, 1),           ((2, 3),)),
    ("exp",         exp,                                       ((2, 3),)),
    ("log",         lambda a: log(a * a),                      ((2, 3),)),
    ("sqrt",        lambda a: sqrt(a * a + 1),                 ((2, 3),)),
    ("tanh",        tanh,                                      ((2, 3),)),
    ("sigmoid",     sigmoid,                                   ((2, 3),)),
    ("relu",        relu,                                      ((2, 3),)),
    ("absolute",    absolute,                                  ((2, 3),)),
    ("plain_gelu",  plain_gelu,                                ((2, 3),)),
    ("where",       lambda a, b: where(FLAGS, a, b),           ((2, 3), (2, 3))),
    ("where",       lambda a, b: where(FLAGS, a, b),           ((3,), (2, 1))),
    ("where",       lambda a: where(FLAGS, a, 0.5),            ((2, 3),)),
    ("maximum",     maximum,                                   ((2, 3), (2, 3))),
    ("maximum",     lambda a: maximum(a, 0.3),                 ((2, 3),)),
    ("dropout",     lambda a: dropout(a, FLAGS, 0.4),          ((2, 3),)),
    ("sum",         sum,                                       ((2, 3),)),
    ("sum",         lambda a: sum(a, 1),                       ((2, 3, 2),)),
    ("sum",         lambda a: sum(a, (0, -1), keepdims=True),  ((2, 3, 2),)),
    ("mean",        mean,                                      ((2, 3),)),
    ("mean",        lambda a: mean(a, -1, keepdims=True),      ((2, 3),)),
    ("mean",        lambda a: mean(a, (0, 2)),                 ((2, 3, 2),)),
    ("max",         max,                                       ((2, 3),)),
    ("max",         lambda a: max(a, 0),                       ((3, 2),)),
    ("max",         lambda a: max(a, (0, 2), keepdims=True),   ((2, 3, 2),)),
    ("softmax",     softmax,                                   ((2, 3),)),
    ("softmax",     lambda a: softmax(a, 0),                   ((3, 2),)),
    ("log_softmax", log_softmax,                               ((2, 3),)),
    ("log_softmax", lambda a: log_softmax(a, 1),               ((2, 3, 2),)),
    ("reshape",     lambda a: reshape(a, (3, -1)),             ((2, 3),)),
    ("transpose",   lambda a: transpose(a, (2, 0, 1)),         ((2, 3, 4),)),
    ("swapaxes",    lambda a: swapaxes(a, 0, -1),              ((2, 3, 4),)),
    ("broadcast_to", lambda a: broadcast_to(a, (4, 2, 3)),     ((2, 1),)),
    ("concatenate", lambda a, b: concatenate([a, b]),          ((2, 3), (1, 3))),
    ("concatenate", lambda a, b: concatenate([a, b, a], -1),   ((2, 3), (2, 2))),
    ("split",       lambda a: split(a, [1, 3, 2], -1),         ((2, 6),)),
    ("split",       lambda a: split(a, [2, 1])[1],             ((3, 2),)),
    ("take",        lambda a: a[1],                            ((2, 3),)),
    ("take",        lambda a: a[..., 1:, None, ::2],           ((2, 3, 4),)),
    ("take",        lambda a: a[::-1, -2],                     ((2, 3),)),
    ("take",        lambda a: a[ROWS],                         ((3, 4),)),
    ("take",        lambda a: a[ROWS, COLUMNS],                ((3, 4),)),
    ("take",        lambda a: a[:, ROWS],                      ((2, 3),)),
    ("take",        lambda a: a[FLAGS],                        ((2, 3),)),
    ("take",        lambda a: a[np.int64(1)],                  ((2, 3),)),
    ("linear",      linear,                                    ((2, 4, 3), (3, 5), (5,))),
    ("linear",      linear,                                    ((4, 3), (3, 5))),
    ("linear",      linear,                                    ((3,), (3, 5), (5,))),
    ("add_bias",    add_bias,                                  ((2, 4, 3), (3,))),
    ("add_bias",    add_bias,                                  ((2, 4, 3), (3,), (2, 4, 3))),
    ("add_bias",    lambda a, r: add_bias(a, None, r),         ((2, 3), (2, 3))),
    ("add_bias",    lambda a, b: add_bias(a, b, a),            ((2, 3), (3,))),
    ("gelu",        gelu,                                      ((3, 2, 4),)),
    ("layernorm",   layernorm,                                 ((2, 3, 5), (5,), (5,))),
    ("layernorm",   layernorm,                                 ((3, 4), (4,))),
    ("causal_attention", lambda a: causal_attention(a, 2),     ((2, 5, 12),)),
    ("causal_attention", lambda a: causal_attention(a, 1),     ((2, 1, 6),)),
    ("causal_attention", lambda a: causal_attention(a, 1),     ((1, 70, 3),)),  # two blocks of queries
    ("cross_entropy", lambda a: cross_entropy(a, TARGETS),     ((2, 3, 5),)),
    ("cross_entropy", lambda a: cross_entropy(a, TARGETS, 9),  ((2, 3, 5),)),
    ("embedding",   lambda a: embedding(TOKENS, a),            ((5, 3),)),
    ("recompute",   lambda a, b: recompute(lambda a: exp(a * b) * a, a),     ((2, 3), (3,))),
    ("unembedding", unembedding,                               ((2, 4, 3), (5, 3))),
]
IDS = [f"{name}-{'-'.join('x'.join(map(str, shape)) or 'scalar' for shape in shapes)}" for name, _,
       shapes in CASES]


def leaves(shapes: Sequence[tuple[int, ...]], dtype: type = np.float64, seed: int = 0) -> dict[str, Tensor]:
    """Leaves a, b, c in random order, of both signs, 0.1 away from 0 and (up to 140 of them) 0.01 apart: no
    kink is near.
    """
    rng = np.random.default_rng(seed)
    total = int(np.sum([np.prod(shape, dtype=int) for shape in shapes]))
    values = rng.permutation(np.linspace(0.1, 1.5, total) * np.resize([1, -1, 1], total))
    ends = np.cumsum([np.prod(shape, dtype=int) for shape in shapes])
    parts = np.split(values, ends[:-1])
    return {name: Tensor(part.reshape(shape).astype(dtype), requires_grad=True)
            for name, part, shape in zip("abc", parts, shapes, strict=False)}


def scalar(op: Op, inputs: Mapping[str, Tensor], bend: bool = False) -> Tensor:
    """A fixed random combination of all that the op returns; bend: of its tanh, so that linear ops have a
    Hessian too.
    """
    rng = np.random.default_rng(1)
    result = op(*inputs.values())
    total: Tensor | float = 0.0
    for out in [result] if isinstance(result, Tensor) else result:
        weights = Tensor(rng.standard_normal(out.shape).astype(out.data.real.dtype))
        total = total + sum((tanh(out) if bend else out) * weights)
    assert isinstance(total, Tensor)
    return total
