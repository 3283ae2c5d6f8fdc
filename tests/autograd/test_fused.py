"""Each fused op equals its plain composition, in value and in every gradient, for both dtypes and at awkward
sizes.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minipar.autograd import IGNORE, Tensor, backward, fused, gelu, gradcheck, plain_gelu
from minipar.autograd.fused import attention
from minipar.autograd.fused.gelu import BLOCK
from tests.autograd.cases import Case, leaves, scalar

rng = np.random.default_rng(0)
MANY = rng.integers(0, 7, (3, 50))
SOME = np.where(rng.random((3, 50)) < 0.3, IGNORE, MANY)

# name, fused, plain, shapes of the leaves
PAIRS = [
    ("linear",        fused.linear,        fused.plain_linear,        ((3, 5, 7), (7, 4), (4,))),
    ("linear",        fused.linear,        fused.plain_linear,        ((6, 7), (7, 1))),
    ("linear",        fused.linear,        fused.plain_linear,        ((2, 1, 3, 1), (1, 5), (5,))),
    ("linear, no rows", fused.linear,      fused.plain_linear,        ((2, 0, 3), (3, 5), (5,))),
    ("layernorm",     fused.layernorm,     fused.plain_layernorm,     ((4, 5, 8), (8,), (8,))),
    ("layernorm",     fused.layernorm,     fused.plain_layernorm,     ((9, 3), (3,))),
    ("layernorm",     fused.layernorm,     fused.plain_layernorm,     ((5,), (5,), (5,))),
    ("layernorm, no rows", fused.layernorm, fused.plain_layernorm,    ((0, 5), (5,), (5,))),
    ("gelu",          gelu,                plain_gelu,                ((3, 5, 7),)),
    ("gelu",          gelu,                plain_gelu,                ((),)),
    ("gelu, nothing", gelu,                plain_gelu,                ((0, 3),)),
    ("gelu, two blocks and a bit", gelu,   plain_gelu,                ((2, BLOCK + 3),)),
    ("cross_entropy", lambda z: fused.cross_entropy(z, MANY),
     lambda z: fused.plain_cross_entropy(z, MANY), ((3, 50, 7),)),
    ("cross_entropy", lambda z: fused.cross_entropy(z, SOME),
     lambda z: fused.plain_cross_entropy(z, SOME), ((3, 50, 7),)),
    ("cross_entropy", lambda z: fused.cross_entropy(z, SOME, 99),
     lambda z: fused.plain_cross_entropy(z, SOME, 99), ((3, 50, 7),)),
    ("embedding",     lambda t: fused.embedding(MANY, t),         lambda t: fused.plain_embedding(MANY, t),
     ((7, 4),)),
    ("embedding",     lambda t: fused.embedding(MANY[0], t),      lambda t: fused.plain_embedding(MANY[0], t),
     ((9, 1),)),
    ("embedding, a shard", lambda t: fused.embedding(MANY, t, slice(2, 6)),
     lambda t: fused.plain_embedding(MANY, t, slice(2, 6)), ((4, 4),)),
    ("embedding, a shard of small tokens",
     lambda t: fused.embedding(MANY.astype(np.uint8), t, slice(300, 304)),
     lambda t: fused.plain_embedding(MANY, t, slice(300, 304)), ((4, 4),)),
    ("embedding, no tokens", lambda t: fused.embedding(MANY[:0], t),
     lambda t: fused.plain_embedding(MANY[:0], t),  ((7, 4),)),
    ("unembedding",   fused.unembedding,   fused.plain_unembedding,   ((3, 5, 4), (7, 4))),
    ("unembedding, no rows", fused.unembedding, fused.plain_unembedding, ((3, 0, 4), (7, 4))),
    ("add_bias",      fused.add_bias,      lambda x, b: x + b,        ((3, 5, 4), (4,))),
    ("add_bias",      fused.add_bias,      lambda x, b, r: x + b + r, ((3, 5, 4), (4,), (3, 5, 4))),
    *[(f"attention, {B} sequences of {T}, {heads} heads", lambda x,
       heads=heads: fused.causal_attention(x, heads),
       lambda x, heads=heads: fused.plain_causal_attention(x, heads), ((B, T, 12 * heads),))
      for B, T, heads in [(2, 1, 3), (3, 2, 1), (1, 63, 1), (2, 64, 2), (1, 65, 1), (2, 128, 1), (2, 150, 2),
                          (0, 3, 2)]],
]
TOLERANCE: dict[Any, float] = {
    np.float32: 5e-6,
    np.float64: 1e-13,
}  # relative to the largest value: a few roundings


def close(found: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    scale = abs(expected).max() if expected.size else 1.0
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale, strict=True)


@pytest.mark.parametrize("name, fast, plain, shapes", PAIRS, ids=[f"{p[0]}-{p[3]}" for p in PAIRS])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fused_is_plain(name: str, fast: Callable, plain: Callable, shapes: tuple, dtype: type) -> None:
    fast_inputs, plain_inputs = leaves(shapes, dtype), leaves(shapes, dtype)
    fast_out, plain_out = fast(*fast_inputs.values()), plain(*plain_inputs.values())
    close(fast_out.data, plain_out.data, TOLERANCE[dtype])
    g = np.random.default_rng(1).standard_normal(fast_out.shape).astype(dtype)
    for out in (fast_out, plain_out):
        backward(out, g)
    for key in fast_inputs:
        close(fast_inputs[key].grad, plain_inputs[key].grad, TOLERANCE[dtype])


@pytest.mark.parametrize("name, fast, plain, shapes", PAIRS, ids=[f"{p[0]}-{p[3]}" for p in PAIRS])
def test_fused_writes_into_the_gradient_buffer(name: str, fast: Callable, plain: Callable,
                                               shapes: tuple) -> None:
    """The same bits with a buffer as without one; a second backward adds to it."""
    alone, buffered = leaves(shapes), leaves(shapes)
    for leaf in buffered.values():
        leaf.grad_buffer = np.full(leaf.shape, np.nan)  # old values are to be overwritten, not added to
    for inputs in (alone, buffered):
        backward(scalar(fast, inputs))
    for key, leaf in buffered.items():
        assert leaf.grad is leaf.grad_buffer
        np.testing.assert_array_equal(leaf.grad, alone[key].grad)
    backward(scalar(fast, buffered))
    for key, leaf in buffered.items():
        assert leaf.grad is leaf.grad_buffer
        np.testing.assert_array_equal(leaf.grad, 2 * alone[key].grad)


@pytest.mark.parametrize("queries", [1, 2, 3, 5, 7])
def test_attention_in_blocks_of_any_size(queries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven tokens, from one block per token to a single block: every element of the gradient."""
    monkeypatch.setattr(attention, "QUERIES", queries)
    op: Case = ("attention", lambda x: fused.causal_attention(x, 2), ((2, 7, 12),))
    inputs = leaves(op[2])
    for check in gradcheck(lambda: scalar(op[1], inputs), inputs):
        assert check.error <= 1e-7, str(check)


def test_attention_never_looks_ahead() -> None:
    """The output at token t, and its gradient, know nothing of later tokens: exactly nothing."""
    T, cut = 130, 70
    (x,) = leaves(((1, T, 6),)).values()
    changed = Tensor(x.data.copy(), requires_grad=True)
    changed.data[:, cut:] *= 1e5                                    # scores that no finite mask could hide
    before, after = fused.causal_attention(x, 2), fused.causal_attention(changed, 2)
    # blocks before the change: same bits
    np.testing.assert_array_equal(before.data[:, :64], after.data[:, :64])
    np.testing.assert_allclose(before.data[:, 64:cut], after.data[:, 64:cut], rtol=1e-13, atol=0)
    g = np.zeros(before.shape)
    g[:, cut - 1] = 1
    backward(before, g)
    assert abs(x.grad[:, cut - 1]).max() > 0
    assert (x.grad[:, cut:] == 0).all()


def test_attention_with_huge_scores() -> None:
    x = Tensor(np.full((1, 70, 6), 1e3, np.float32), requires_grad=True)
    out = fused.causal_attention(x, 1)
    backward(out, np.ones_like(out.data))
    np.testing.assert_allclose(out.data, 1e3, rtol=1e-6)
    assert np.isfinite(x.grad).all()


def test_cross_entropy_of_pieces_adds_up() -> None:
    """Pieces of a batch, each divided by the global number of tokens, sum to the whole; one piece has no
    target at all.
    """
    targets = np.where(np.arange(150).reshape(3, 50) < 50, IGNORE, SOME)
    count = int((targets != IGNORE).sum())
    (whole,), (cut,) = leaves(((3, 50, 7),)).values(), leaves(((3, 50, 7),)).values()
    loss = fused.cross_entropy(whole, targets)
    backward(loss)
    losses = [fused.cross_entropy(cut[i : i + 1], targets[i : i + 1], count) for i in range(3)]
    for piece in losses:
        backward(piece)
    assert losses[0].item() == 0
    assert sum(piece.item() for piece in losses) == pytest.approx(loss.item(), rel=1e-14)
    np.testing.assert_allclose(cut.grad, whole.grad, rtol=1e-14, atol=0)


def test_cross_entropy_is_right_where_probabilities_underflow() -> None:
    z = Tensor(np.array([[0.0, -1000.0, 500.0]], np.float32), requires_grad=True)
    loss = fused.cross_entropy(z, np.array([1]))
    backward(loss)
    assert loss.item() == 1500
    np.testing.assert_array_equal(z.grad, [[0, -1, 1]])


def test_an_ignored_token_costs_nothing_whatever_its_logits() -> None:
    """Its target stands for no class, not even for one of probability 0."""
    z = Tensor(np.array([[-np.inf, 0.0, 1.0], [1.0, 2.0, 3.0]]), requires_grad=True)
    loss = fused.cross_entropy(z, np.array([IGNORE, 2]))
    backward(loss)
    assert loss.item() == fused.cross_entropy(Tensor(z.data[1:]), np.array([2])).item()
    assert not z.grad[0].any() and z.grad[1].all()


def test_uniform_logits_cost_the_logarithm_of_the_vocabulary() -> None:
    loss = fused.cross_entropy(Tensor(np.zeros((2, 3, 65))), np.ones((2, 3), int))
    assert loss.item() == pytest.approx(np.log(65), rel=1e-15)
