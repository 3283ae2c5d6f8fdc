"""Memory is freed as soon as no formula needs it, without the garbage collector."""

import gc
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from minipar.autograd import (
    Tensor,
    add_bias,
    backward,
    exp,
    gelu,
    hessian_vector_product,
    linear,
    no_grad,
    record,
    sum,
    tanh,
)
from tests.autograd.cases import CASES, IDS, Op, leaves, scalar


@pytest.fixture(autouse=True, scope="module")
def without_collector() -> Iterator[None]:
    """Off; and what is there already is set aside, so that each look at what is new takes no time."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def leaf(*shape: int) -> Tensor:
    return Tensor(np.random.default_rng(0).standard_normal(shape), requires_grad=True)


def memory(t: Tensor) -> weakref.ref:
    """Of the array that owns a tensor's values, which may itself be a view."""
    return weakref.ref(t.data if t.data.base is None else t.data.base)


@pytest.mark.parametrize("name, op, shapes", CASES, ids=IDS)
def test_no_op_makes_a_cycle(name: str, op: Op, shapes: tuple) -> None:
    """Neither a tape that is used up nor one that is dropped leaves anything to the collector."""
    gc.collect()                                                    # what the test runner left
    inputs = leaves(shapes)
    backward(scalar(op, inputs))
    scalar(op, inputs)
    hessian_vector_product(lambda: scalar(op, inputs), list(inputs.values()),
                           [np.ones(shape) for shape in shapes])
    assert gc.collect() == 0


def test_a_cycle_would_be_seen() -> None:
    """An op that closes over its own result, as this engine's may not."""
    def doubled(x: Tensor) -> Tensor:
        out = record(x.data * 2, (x,), lambda g: (g * (out.data / x.data),))
        return out

    doubled(leaf(3))
    assert gc.collect() > 0


def test_what_no_formula_needs_is_freed_in_the_forward_pass() -> None:
    x, w = leaf(50, 4), leaf(4, 4)
    h = linear(x, w)
    y = gelu(h)                                                     # saves its slope, not its input
    freed, kept = memory(h), memory(y)
    del h
    assert freed() is None
    z = tanh(linear(y, w))                                          # needs y for the gradient of w
    del y
    assert kept() is not None
    backward(sum(z))
    del z
    assert kept() is None


def test_a_sum_keeps_none_of_its_terms() -> None:
    product, residual = linear(leaf(50, 4), leaf(4, 4)), gelu(leaf(50, 4))
    freed = memory(product), memory(residual)
    y = add_bias(product, leaf(4), residual)
    del product, residual
    assert [array() for array in freed] == [None, None] and y.node


def test_backward_frees_as_it_goes() -> None:
    """When the gradient reaches an early op, the arrays of all later ones are gone already."""
    x, alive = leaf(5), []
    early = exp(x)
    later = exp(early * 2.0)
    array = memory(later)                                 # exp keeps its result
    loss = sum(later)
    early.on_grad(lambda g: alive.append(array() is not None))
    del later
    assert array() is not None
    backward(loss)
    assert alive == [False]


def test_the_used_up_tape_holds_nothing_though_its_result_lives() -> None:
    x = leaf(5)
    y = exp(x)
    array = memory(y)
    loss = sum(y * y)
    del y
    backward(loss)
    assert array() is None and loss.node is not None


def test_no_grad_holds_nothing() -> None:
    x = leaf(5)
    with no_grad():
        y = exp(x)
        array = memory(y)
        y = y * 2.0
    assert array() is None
