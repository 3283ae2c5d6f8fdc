"""Autocast: which ops are rounded, that both directions are, that float32 stays, and what is counted."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from minipar.autograd import (
    Tensor,
    backward,
    causal_attention,
    cross_entropy,
    layernorm,
    linear,
    matmul,
    no_grad,
)
from minipar.config import ModelConfig
from minipar.nn import GPT
from minipar.precision import BFLOAT16, FLOAT16, FLOAT32, IN_16_BITS, Autocast, Format, RoundingTally

SHORT = pytest.mark.parametrize("format", [FLOAT16, BFLOAT16], ids=lambda format: format.name)


def values(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def leaf(*shape: int, seed: int = 0) -> Tensor:
    return Tensor(values(*shape, seed=seed), requires_grad=True)


@SHORT
def test_a_product_by_its_definition(format: Format) -> None:
    """Operands and result rounded, sums in float32; the same for both gradients."""
    x, w, g, r = leaf(5, 7), leaf(7, 3, seed=1), values(5, 3, seed=2), format.round
    with Autocast(format)():
        y = linear(x, w)
    backward(y, g)
    assert np.array_equal(y.data, r(r(x.data) @ r(w.data))) and not np.array_equal(y.data, x.data @ w.data)
    assert x.grad is not None and np.array_equal(x.grad, r(r(g) @ r(w.data).T))
    assert w.grad is not None and np.array_equal(w.grad, r(r(x.data).T @ r(g)))


def test_sums_are_float32_sums() -> None:
    """4096 ones: a sum kept in float16 stands still at 2048; this one does not."""
    with Autocast(FLOAT16)():
        total = matmul(Tensor(np.ones((1, 4096), np.float32)), Tensor(np.ones((4096, 1), np.float32))).item()
    running = np.float16(0)
    for _ in range(4096):
        running += np.float16(1)
    assert total == 4096 and running == 2048


@SHORT
def test_what_must_not_lose_digits_stays_in_float32(format: Format) -> None:
    x, scale, targets = leaf(4, 6), leaf(6, seed=1), np.array([0, 5, 2, 3])
    autocast = Autocast(format)
    with autocast():
        normal, loss = layernorm(x, scale), cross_entropy(x, targets)
    assert np.array_equal(normal.data,
                          layernorm(x, scale).data) and loss.item() == cross_entropy(x, targets).item()
    assert not autocast.counts


@SHORT
def test_attention_takes_and_gives_16_bits(format: Format) -> None:
    qkv = leaf(2, 5, 12)
    with Autocast(format)():
        out = causal_attention(qkv, 2)
    assert np.array_equal(out.data, format.round(causal_attention(Tensor(format.round(qkv.data)), 2).data))


def test_float32_is_as_if_it_were_not_there() -> None:
    model, autocast = GPT(ModelConfig(vocabulary=11, layers=1, width=8, heads=2,
                                      context=6)), Autocast(FLOAT32)
    tokens = np.arange(6)[None] % 11
    with autocast(), no_grad():
        inside = model(tokens).data
    with no_grad():
        assert np.array_equal(inside, model(tokens).data) and not autocast.counts


def test_a_whole_gpt_goes_by_the_table() -> None:
    """Every op of the table that a GPT has is met, and just those in 16 bits are rounded, in both
    directions.
    """
    model, autocast = GPT(ModelConfig(vocabulary=11, layers=2, width=8, heads=2,
                                      context=6)), Autocast(BFLOAT16)
    tokens = np.arange(12).reshape(2, 6) % 11
    with autocast():
        loss = model.loss(tokens, tokens)
    forward = {op for op, kind in autocast.counts if kind == "values"}
    backward(loss)
    assert forward == {op for op, low in IN_16_BITS.items() if low} - {"matmul"}
    assert forward == {op for op, kind in autocast.counts if kind == "gradients"}
    assert all(p.grad is not None and p.grad.dtype == np.float32 for p in model.parameters())
    # x, the table, the logits
    assert autocast.counts["unembedding", "values"].numbers == 12 * 8 + 11 * 8 + 12 * 11


def test_outside_and_on_other_threads_nothing_is_rounded() -> None:
    x, w = leaf(5, 7), leaf(7, 3, seed=1)
    plain = linear(x, w).data
    elsewhere: list[np.ndarray] = []
    with Autocast(BFLOAT16)():
        thread = threading.Thread(target=lambda: elsewhere.append(linear(x, w).data))
        thread.start()
        thread.join()
        with Autocast(FLOAT32)():
            nested = linear(x, w).data
        again = linear(x, w).data
    assert np.array_equal(elsewhere[0],
                          plain) and np.array_equal(nested, plain) and not np.array_equal(again, plain)
    with pytest.raises(ZeroDivisionError), Autocast(BFLOAT16)():
        _ = 1 / 0
    assert np.array_equal(linear(x, w).data, plain)


def test_overflow_and_underflow_are_counted() -> None:
    autocast = Autocast(FLOAT16)
    x = Tensor(np.array([1e6, -1e6, 1e-9, 0, np.inf, 1, 2**-24], np.float32), requires_grad=True)
    y = autocast.cast(x, "here")
    backward(y, np.array([1e-8, 1e-8, 70000, 1, 0, 1, 1], np.float32))
    assert autocast.counts["here", "values"] == RoundingTally(7, overflows=2, underflows=1)
    assert autocast.counts["here", "gradients"] == RoundingTally(7, overflows=1, underflows=2)
    autocast.cast(x, "there")
    assert (
        autocast.total("values") == RoundingTally(14, 4, 2)
        and autocast.total("gradients") == autocast.counts["here", "gradients"]
    )


def test_what_is_rounded_is_not_rounded_again() -> None:
    """Between two ops in 16 bits there is one cast, so that numbers are counted once; another format's does
    not pass for it.
    """
    x, autocast = leaf(3, 4), Autocast(BFLOAT16)
    once = autocast.cast(x, "one")
    assert autocast.cast(once, "two") is once and list(autocast.counts) == [("one", "values")]
    assert Autocast(FLOAT16).cast(once, "two") is not once
