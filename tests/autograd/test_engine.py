"""The tape and its backward: accumulation, hooks, deferred weight gradients, no_grad, and what is refused."""

import threading

import numpy as np
import pytest

from minipar.autograd import (
    Deferred,
    Tensor,
    backward,
    embedding,
    exp,
    linear,
    matmul,
    no_grad,
    record,
    split,
    sum,
    tanh,
    unembedding,
)
from minipar.errors import GraphError, ShapeError

TOKENS = np.array([[0, 2, 2, 4], [1, 0, 4, 4]])


def leaf(*shape: int, seed: int = 0) -> Tensor:
    return Tensor(np.random.default_rng(seed).standard_normal(shape), requires_grad=True)


def tied(table: Tensor, w: Tensor) -> Tensor:
    """A small model that uses its table three times: in a plain op, for the look-up, and for the logits."""
    total = sum(table, 0)
    x = tanh(linear(embedding(TOKENS, table), w)) * total
    return sum(tanh(unembedding(x, table)))


def test_gradients_accumulate_until_cleared() -> None:
    x = leaf(3)
    backward(sum(x * x))
    once = x.grad.copy()
    np.testing.assert_array_equal(once, 2 * x.data)
    backward(sum(x * x))
    np.testing.assert_array_equal(x.grad, 2 * once)
    x.zero_grad()
    assert x.grad is None
    backward(sum(x * x))
    np.testing.assert_array_equal(x.grad, once)


def test_a_leaf_gradient_shares_memory_with_nothing() -> None:
    """The gradient of a sum of leaves is one array for all; adding to one may not change the other."""
    a, b = leaf(3), leaf(3, seed=1)
    g = np.ones(3)
    backward(a + b, g)
    backward(a * 2.0, g)
    np.testing.assert_array_equal([a.grad, b.grad, g], [[3, 3, 3], [1, 1, 1], [1, 1, 1]])


def test_a_value_used_often_gets_the_sum() -> None:
    x = leaf(3)
    y = exp(x)
    backward(sum(y * y + y + y * 3.0))
    np.testing.assert_allclose(x.grad, y.data * (2 * y.data + 4), rtol=1e-15)


def test_parts_that_are_not_used_have_gradient_zero() -> None:
    x = leaf(6)
    backward(sum(split(x, [1, 2, 3])[1]))
    np.testing.assert_array_equal(x.grad, [0, 1, 1, 0, 0, 0])


def test_constants_get_no_gradient() -> None:
    x, c = leaf(3), Tensor(np.ones(3))
    backward(sum(x * c))
    assert c.grad is None and c.node is None


def test_a_long_chain_needs_no_recursion() -> None:
    x = leaf(1)
    y = x
    for _ in range(20_000):
        y = y + 1.0
    backward(y)
    assert x.grad.tolist() == [1]


def test_backward_takes_a_gradient_for_any_output() -> None:
    x, g = leaf(2, 3), np.arange(6.0).reshape(2, 3)
    backward(x * 2.0, g)
    np.testing.assert_array_equal(x.grad, 2 * g)
    single = Tensor(np.ones((2, 3), np.float32), requires_grad=True)
    backward(single * 2.0, g)                                       # takes the output's dtype
    assert single.grad.dtype == np.float32


def test_backward_twice_is_an_error() -> None:
    x = leaf(3)
    middle = exp(x)
    loss = sum(middle)
    backward(loss)
    before = x.grad.copy()
    for used in (loss, middle, sum(middle * 2.0)):  # itself, a part of it, and what was built on that
        with pytest.raises(GraphError, match="already used this tape"):
            backward(used, np.ones_like(used.data))
    np.testing.assert_array_equal(x.grad, before)


@pytest.mark.parametrize("wrong, error, message", [
    (lambda x: backward(Tensor(1.0)),                      GraphError, "not made by an op"),
    (lambda x: backward(x),                                GraphError, "not made by an op"),
    (lambda x: backward(Tensor(1.0) * 2.0),                GraphError, "not made by an op"),
    (lambda x: backward(x * 2.0),                          ShapeError, r"\(3,\) is not a scalar"),
    (lambda x: backward(x * 2.0, np.ones(2)),              ShapeError, r"\(2,\), the output \(3,\)"),
    (lambda x: backward(record(x.data.sum(), (x,), lambda g: g * np.ones(3))),        GraphError, "must return a tuple"),
    (lambda x: backward(record(x.data.sum(), (x,), lambda g: None)),                  GraphError, "returns None"),
    (lambda x: Tensor(1.0).on_grad(print),                 GraphError, "constant"),
])
def test_misuse_is_named(wrong, error: type, message: str) -> None:
    x = leaf(3)
    with pytest.raises(error, match=message):
        wrong(x)
    assert x.grad is None


@pytest.mark.parametrize("inputs, gradients, message", [(2, 1, "too few"), (1, 2, "too many")])
def test_an_op_needs_one_gradient_for_each_input(inputs: int, gradients: int, message: str) -> None:
    x = leaf(3)
    with pytest.raises(GraphError, match=message):
        backward(record(x.data.sum(), (x,) * inputs, lambda g: (g * np.ones(3),) * gradients))


def test_hooks_fire_once_when_the_gradient_is_complete() -> None:
    table, w = leaf(5, 3), leaf(3, 3, seed=1)
    seen: list[tuple[str, np.ndarray]] = []
    table.on_grad(lambda g: seen.append(("table", g.copy())))
    w.on_grad(lambda g: seen.append(("w", g.copy())))
    for _ in range(2):                                            # the second time, on top of what is there
        seen.clear()
        backward(tied(table, w))
        assert sorted(name for name, _ in seen) == ["table", "w"]
        for name, g in seen:
            np.testing.assert_array_equal(g, {"table": table, "w": w}[name].grad)
    # the table's first use is the last that backward comes to
    assert [name for name, _ in seen] == ["w", "table"]


def test_hooks_of_results_see_their_whole_gradient() -> None:
    x, seen = leaf(3), []
    y = exp(x)
    y.on_grad(lambda g: seen.append(g.copy()))
    y.on_grad(lambda g: seen.append(-g))
    backward(sum(y * 2.0 + y * y))
    np.testing.assert_allclose(seen, [2 + 2 * y.data, -2 - 2 * y.data], rtol=1e-15)


def test_deferred_gives_the_same_bits_and_fires_the_same_hooks() -> None:
    at_once, later = (leaf(5, 3), leaf(3, 3, seed=1)), (leaf(5, 3), leaf(3, 3, seed=1))
    order: dict[str, list[str]] = {"at once": [], "later": []}
    for kind, leaves in (("at once", at_once), ("later", later)):
        for name, p in zip(("table", "w"), leaves, strict=True):
            p.on_grad(lambda g, kind=kind, name=name: order[kind].append(name))
    for _ in range(2):
        backward(tied(*at_once))
        deferred = Deferred()
        backward(tied(*later), deferred=deferred)
        done = len(order["later"])
        assert len(deferred) == 4                                   # three uses of the table, one of w
        deferred.run()
        assert len(deferred) == 0 and len(order["later"]) == done + 2
    for a, b in zip(at_once, later, strict=True):
        np.testing.assert_array_equal(a.grad, b.grad)
    assert order["at once"] == order["later"] == ["w", "table"] * 2


def test_deferred_work_of_several_backwards_runs_in_their_order() -> None:
    """A pipeline's micro-batches: activation gradients of all first, then all weight gradients."""
    x = [Tensor(np.random.default_rng(i).standard_normal((4, 3)), requires_grad=True) for i in range(3)]
    w, plain = leaf(3, 3), leaf(3, 3)
    deferred = Deferred()
    for part in x:
        backward(sum(tanh(linear(part * 1.0, w))), deferred=deferred)
        backward(sum(tanh(linear(part * 1.0, plain))))
    assert w.grad is None
    deferred.run()
    np.testing.assert_array_equal(w.grad, plain.grad)


def test_no_grad_records_nothing() -> None:
    x = leaf(3)
    with no_grad():
        y = exp(x)
        with no_grad():
            pass
        z = exp(x)                                                  # the inner block's end changes nothing
    assert y.node is None and z.node is None and exp(x).node is not None
    with pytest.raises(GraphError):
        backward(sum(y))
    with pytest.raises(RuntimeError), no_grad():
        raise RuntimeError
    assert exp(x).node is not None


def test_no_grad_is_per_thread() -> None:
    x, entered, leave, seen = leaf(3), threading.Event(), threading.Event(), []

    def other() -> None:
        with no_grad():
            entered.set()
            assert leave.wait(10)
            seen.append(exp(x).node)

    thread = threading.Thread(target=other)
    thread.start()
    assert entered.wait(10)
    assert exp(x).node is not None                                  # while the other thread is inside
    leave.set()
    thread.join(10)
    assert seen == [None]


def test_threads_differentiate_at_the_same_time() -> None:
    """Ranks may be threads: each gets the bits that it gets alone."""
    def gradients(seed: int) -> list[np.ndarray]:
        table, w = leaf(5, 3, seed=seed), leaf(3, 3, seed=seed + 100)
        for _ in range(20):
            backward(tied(table, w))
        return [table.grad, w.grad]

    found: dict[int, list[np.ndarray]] = {}
    threads = [threading.Thread(target=lambda seed=seed: found.update({seed: gradients(seed)}))
               for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for seed in range(4):
        for a, b in zip(found[seed], gradients(seed), strict=True):
            np.testing.assert_array_equal(a, b)


def test_arrays_and_numbers_mix_with_tensors() -> None:
    x = Tensor(np.ones((2, 3), np.float32), requires_grad=True)
    for y in (x * 2, 2.5 * x, np.float32(3) * x, x * np.int64(3), x / np.float64(3), 1 / x, x / 2, 1 - x, x
              - 1, x**2, -x, np.ones((2, 3), np.float32) * x, np.ones((4, 2), np.float32) @ x,
              matmul(x, np.ones((3, 2), np.float32)), np.ones(3, np.float32) + x):
        assert isinstance(y, Tensor) and y.dtype == np.float32 and y.node is not None
    assert (Tensor(np.arange(3)) * 0.5).data.tolist() == [0, 0.5, 1], "a number does not become an integer"
    assert repr(x) == "Tensor(leaf, shape=(2, 3), dtype=float32)"
    assert (
        repr(Tensor(2.5)).startswith("Tensor(2.5, constant")
        and "op result" in repr(x * 2)
        and "constant" in repr(Tensor(1.0))
    )
    assert Tensor(2.5).item() == 2.5 and x.ndim == 2
