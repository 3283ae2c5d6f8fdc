"""Recomputation: the same bits as without, whatever is inside; nothing kept but the inputs; and what it
refuses.
"""

import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from minipar.autograd import (
    Deferred,
    Tensor,
    backward,
    dropout,
    exp,
    gradcheck,
    linear,
    no_grad,
    recompute,
    sum,
    tanh,
)
from minipar.autograd.autocast_hook import casting
from minipar.autograd.recompute import is_second_run
from minipar.errors import GraphError
from tests.autograd.cases import CASES, IDS, Op, leaves, scalar
from tests.refusals import refused

Run = Callable[..., Tensor]  # run(function, *inputs): recompute, or plainly


def plainly(function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    return function(*inputs)


def leaf(*shape: int, seed: int = 0) -> Tensor:
    return Tensor(np.random.default_rng(seed).normal(0, 0.3, shape), requires_grad=True)


class Model:
    """Four weights, one of them used inside and outside of the function, and several times inside."""

    def __init__(self) -> None:
        self.leaves = {"x": leaf(6, 4), "w": leaf(4, 4, seed=1), "b": leaf(4, seed=2),
                       "scale": leaf(4, seed=3)}
        self.fired: list[str] = []
        for name, p in self.leaves.items():
            p.on_grad(lambda g, name=name: self.fired.append(name))

    def loss(self, run: Run) -> Tensor:
        x, w, b, scale = self.leaves.values()
        keep = np.random.default_rng(4).random((6, 4)) < 0.7

        def inside(h: Tensor, v: Tensor) -> Tensor:
            h = h + dropout(tanh(linear(h * scale, w, b)), keep, 0.3)
            return linear(h, v) + h * linear(h, w)

        h = tanh(linear(x, w))
        h = run(inside, h, w) + h * 0.5  # w as an input and from outside, h inside and after
        h = run(inside, h, w)
        return sum(linear(h, w, b) * h)

    def gradients(self) -> dict[str, bytes]:
        return {name: p.grad.tobytes() for name, p in self.leaves.items()}


def nested(function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    return recompute(lambda *again: recompute(function, *again), *inputs)


@pytest.mark.parametrize("run", [recompute, nested])
@pytest.mark.parametrize("later", [False, True])
def test_every_bit_and_every_hook_is_as_without(run: Run, later: bool) -> None:
    ours, plain = Model(), Model()
    for _ in range(2):                                              # the second time on top of what is there
        for model, how in ((ours, run), (plain, plainly)):
            deferred = Deferred() if later else None
            backward(model.loss(how), deferred=deferred)
            if deferred:
                deferred.run()
        assert ours.gradients() == plain.gradients()
        assert ours.fired == plain.fired
    assert sorted(ours.fired) == sorted(list(ours.leaves) * 2)


def test_all_weight_gradients_inside_are_put_off() -> None:
    counts = []
    for run in (recompute, plainly):
        model, deferred = Model(), Deferred()
        backward(model.loss(run), deferred=deferred)
        assert all(p.grad is None for p in model.leaves.values()) and not model.fired
        counts.append(len(deferred))
    assert counts[0] == counts[1] > 10


@pytest.mark.parametrize("name, op, shapes", CASES, ids=IDS)
def test_every_op_has_the_same_bits_inside(name: str, op: Op, shapes: tuple) -> None:
    ours, plain = leaves(shapes), leaves(shapes)
    backward(recompute(lambda *inputs: scalar(op, dict[Any, Any](enumerate(inputs))), *ours.values()))
    backward(scalar(op, plain))
    for key in plain:
        np.testing.assert_array_equal(ours[key].grad, plain[key].grad)


def test_against_differences() -> None:
    model = Model()
    for check in gradcheck(lambda: model.loss(recompute), model.leaves):
        assert check.error <= 1e-7, str(check)


def test_a_function_without_inputs_reaches_its_parameters() -> None:
    """Where the input asks for no gradient, the parameters inside still do."""
    w, x = leaf(4, 4), Tensor(np.ones((3, 4)))
    backward(sum(recompute(lambda: linear(x, w))))
    backward(sum(recompute(lambda x: linear(x, w), x)))
    np.testing.assert_array_equal(w.grad, np.full((4, 4), 6.0))


def test_what_an_enclosing_function_made_gets_its_gradient_too() -> None:
    """y is no argument, but a value from outside that the function finds in its closure."""
    def loss(run: Run, x: Tensor) -> Tensor:
        y = exp(x)
        return sum(run(lambda x: tanh(x * y) * y, x) + y)

    ours, plain = leaf(5), leaf(5)
    backward(loss(recompute, ours))
    backward(loss(plainly, plain))
    assert ours.grad.tobytes() == plain.grad.tobytes()


def test_only_the_inputs_are_kept() -> None:
    x, inner = leaf(50, 4), []

    def function(h: Tensor) -> Tensor:
        for _ in range(3):
            h = exp(h * 0.1)                                        # keeps its result
            inner.append(weakref.ref(h.data))
        return h

    y = x * 2.0
    array = weakref.ref(y.data)
    out = recompute(function, y)
    del y
    # the last: out itself
    assert array() is not None and [kept() is not None for kept in inner] == [False, False, True]
    loss = sum(out)
    del out
    assert inner[2]() is None
    backward(loss)
    assert array() is None and len(inner) == 6 and all(kept() is None for kept in inner)


def test_without_it_they_would_be_kept() -> None:
    x, inner = leaf(50, 4), []
    h = exp(x * 0.1)
    inner.append(weakref.ref(h.data))
    loss = sum(h * 1.0)
    del h
    assert inner[0]() is not None and loss.node is not None


def test_no_grad_and_functions_that_do_nothing() -> None:
    x = leaf(3)
    with no_grad():
        assert recompute(exp, x).node is None
    assert recompute(lambda x: x, x) is x
    assert recompute(exp, Tensor(np.ones(3))).node is None
    y = exp(x)
    assert recompute(lambda: y) is y


def test_observers_can_tell_the_second_run_and_hooks_fire_once() -> None:
    runs, seen, x = [], [], leaf(3)

    def function(x: Tensor) -> Tensor:
        runs.append(is_second_run())
        y = exp(x)
        for name, value in (("x", x), ("y", y)):
            value.on_grad(lambda g, name=name: seen.append((name, g.copy())))
        return y * 3.0

    loss = sum(recompute(function, x * 1.0))
    assert runs == [False] and not is_second_run()
    backward(loss)
    assert runs == [False, True] and not is_second_run()
    (first, y), (second, gradient) = seen
    assert (first, second) == ("y", "x")
    np.testing.assert_array_equal(y, np.full(3, 3.0))
    np.testing.assert_array_equal(gradient, x.grad)


def test_the_second_run_computes_as_the_first_did() -> None:
    """Though backward runs outside of `casting`, and inside no_grad."""
    called = []

    def rule(op: Callable[..., Tensor], *args: Tensor) -> Tensor:
        called.append(op.__name__)
        return op(*args)

    x, w = leaf(2, 3), leaf(3, 3)
    with casting(rule):
        loss = sum(recompute(linear, x, w))
    with no_grad():
        backward(loss)
    assert called == ["linear", "linear"] and x.grad is not None


def test_another_path_the_second_time_is_refused() -> None:
    x, w, v = leaf(2, 3), leaf(3, 3), leaf(3, 3)
    for other in (lambda x: linear(x, v), lambda x: linear(linear(x, w), w), lambda x: linear(x, w) + x,
                  lambda x: x):
        ways: Iterator[Callable[..., Tensor]] = iter([lambda x: linear(x, w), other])
        loss = sum(recompute(lambda x, ways=ways: next(ways)(x), x))
        with pytest.raises(GraphError, match="recorded other ops"):
            backward(loss)
    assert x.grad is None and w.grad is None


def test_backward_twice_is_an_error() -> None:
    loss = sum(recompute(exp, leaf(3)))
    backward(loss)
    with refused(GraphError, kind="used tape"):
        backward(loss)


def test_threads_recompute_at_the_same_time() -> None:
    models = [Model() for _ in range(4)]

    def train(model: Model) -> None:
        for _ in range(10):
            backward(model.loss(recompute))

    threads = [threading.Thread(target=train, args=(model,)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    alone = Model()
    for _ in range(10):
        backward(alone.loss(plainly))
    assert all(model.gradients() == alone.gradients() for model in models)
