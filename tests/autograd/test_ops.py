"""Every op's gradient, every element, against central differences; and dtypes go through unchanged."""

import numpy as np
import pytest

import minipar.autograd as autograd
from minipar.autograd import Tensor, backward, gradcheck, no_grad
from minipar.errors import DataError, ShapeError
from tests.autograd.cases import CASES, IDS, Op, leaves, scalar

NOT_OPS = {"IGNORE", "Deferred", "GradientCheck", "Tensor", "backward", "gradcheck", "hessian_vector_product",
           "no_grad", "inlet", "record", "tokens_that_count"}


@pytest.mark.parametrize("name, op, shapes", CASES, ids=IDS)
def test_gradient_is_that_of_differences(name: str, op: Op, shapes: tuple) -> None:
    inputs = leaves(shapes)
    checks = gradcheck(lambda: scalar(op, inputs), inputs)
    assert len(checks) == len(shapes) + 1
    for check in checks:
        assert check.error <= 1e-7, str(check)


@pytest.mark.parametrize("name, op, shapes", CASES, ids=IDS)
def test_dtype_goes_through(name: str, op: Op, shapes: tuple) -> None:
    inputs, doubles, dtype = leaves(shapes, np.float32), leaves(shapes), np.float32
    result = op(*inputs.values())
    assert all(out.dtype == dtype for out in ([result] if isinstance(result, Tensor) else result))
    for of in (inputs, doubles):
        backward(scalar(op, of))
    for key, leaf in inputs.items():
        exact = doubles[key].grad
        assert leaf.grad.dtype == dtype and exact.dtype == np.float64 and leaf.grad.shape == leaf.shape
        np.testing.assert_allclose(leaf.grad, exact, rtol=0, atol=1e-5 * abs(exact).max() + 1e-6)


@pytest.mark.parametrize("name, op, shapes", CASES, ids=IDS)
def test_inputs_and_seed_gradient_are_left_alone(name: str, op: Op, shapes: tuple) -> None:
    inputs = leaves(shapes)
    before = {key: leaf.data.copy() for key, leaf in inputs.items()}
    result = op(*inputs.values())
    out = result if isinstance(result, Tensor) else result[0]
    g = np.random.default_rng(2).standard_normal(out.shape)
    g.setflags(write=False)                                         # a vjp that writes into g fails here
    for leaf in inputs.values():
        leaf.data.setflags(write=False)
    backward(out, g)
    for key, leaf in inputs.items():
        np.testing.assert_array_equal(leaf.data, before[key])


@pytest.mark.parametrize("name, op, shapes", CASES, ids=IDS)
def test_the_order_of_the_inputs_in_memory_changes_no_gradient(name: str, op: Op, shapes: tuple) -> None:
    plain, other = leaves(shapes), leaves(shapes)
    for leaf in other.values():
        leaf.data = np.repeat(leaf.data,
                              2)[::2].reshape(leaf.shape) if leaf.ndim < 2 else np.asfortranarray(leaf.data)
    for of in (plain, other):
        backward(scalar(op, of))
    for key, leaf in plain.items():
        np.testing.assert_allclose(other[key].grad, leaf.grad, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name, op, shapes", CASES, ids=IDS)
def test_recording_changes_no_value(name: str, op: Op, shapes: tuple) -> None:
    with no_grad():
        silent = scalar(op, leaves(shapes))
    assert silent.node is None
    assert silent.item() == scalar(op, leaves(shapes)).item()


def test_every_op_is_in_the_table() -> None:
    assert set(autograd.__all__) - NOT_OPS <= {name for name, _, _ in CASES}


def test_ties_of_max_share_and_maximum_prefers_the_first() -> None:
    a = Tensor(np.array([2.0, 1.0, 2.0]), requires_grad=True)
    b = Tensor(np.array([2.0, 1.0, 3.0]), requires_grad=True)
    backward(autograd.max(a) * 6)
    assert a.grad.tolist() == [3, 0, 3]
    a.zero_grad()
    backward(autograd.sum(autograd.maximum(a, b)))
    assert a.grad.tolist() == [1, 1, 0] and b.grad.tolist() == [0, 0, 1]


@pytest.mark.parametrize("op", [autograd.sigmoid, autograd.softmax, autograd.log_softmax, autograd.tanh,
                                autograd.gelu])
def test_large_values_do_not_overflow(op) -> None:
    a = Tensor(np.array([[-1e4, 0.0, 1e4]], np.float32), requires_grad=True)
    out = op(a)
    backward(out, np.ones_like(out.data))
    assert np.isfinite(out.data).all() and np.isfinite(a.grad).all()


def test_what_is_not_finite_shows_and_does_not_spread() -> None:
    a = Tensor(np.array([-np.inf, np.nan, np.inf, 1.0]), requires_grad=True)
    np.testing.assert_array_equal(autograd.relu(a).data, [0, np.nan, np.inf, 1])
    for one, other in ((a, 0.5), (0.5, a)):
        np.testing.assert_array_equal(autograd.maximum(one, other).data, [0.5, np.nan, np.inf, 1])


def test_powers_of_zero() -> None:
    """x ** 0 is 1 everywhere, so its slope is 0, at x = 0 too."""
    for exponent, slope in ((0, 0), (1, 1), (2, 0)):
        x = Tensor(np.zeros(3), requires_grad=True)
        backward(autograd.sum(x**exponent))
        assert x.grad.tolist() == [slope] * 3


def test_dropout_keeps_the_expectation() -> None:
    x = Tensor(np.ones((400, 500)))
    keep = np.random.default_rng(0).random(x.shape) >= 0.3
    assert autograd.dropout(x, keep, 0.3).data.mean() == pytest.approx(
        1, abs=5 * np.sqrt(0.3 / 0.7 / x.data.size)
    )


@pytest.mark.parametrize("wrong, error, message", [
    (lambda: Tensor(np.ones((2, 3))) + np.ones(2),                                      ShapeError,
     r"\(2, 3\) and \(2,\)"),
    (lambda: Tensor(np.ones((2, 3))) @ np.ones((2, 3)),                                 ShapeError, "matmul"),
    (lambda: Tensor(np.ones(3)) @ np.ones((3, 2)),                                      ShapeError, "matmul"),
    (lambda: autograd.sum(Tensor(np.ones((2, 3))), 2),                                  ShapeError,
     "axis 2 is not among the 2"),
    (lambda: autograd.max(Tensor(1.0), 0),                                              ShapeError,
     "axis 0 is not among the 0"),
    (lambda: Tensor(Tensor(1.0)),                                                       ShapeError,
     r"t\.data.* t\.grad"),
    (lambda: Tensor(np.arange(3), requires_grad=True),                                  ShapeError,
     "int64; give .* floats"),
    (lambda: autograd.split(Tensor(np.ones(4)), [1, 2]),                                ShapeError,
     "add up to 3"),
    (lambda: autograd.linear(Tensor(np.ones((2, 3))), Tensor(np.ones((2, 4)))),         ShapeError, "linear"),
    (lambda: autograd.linear(Tensor(np.ones(3)), Tensor(np.ones((3, 4))), Tensor([0.0])), ShapeError,
     r"b \(1,\); needs"),
    (lambda: autograd.linear(Tensor(1.0), Tensor(np.ones((3, 4)))),                     ShapeError,
     r"x \(\), w \(3, 4\); needs"),
    (lambda: autograd.add_bias(Tensor(np.ones((2, 3))), Tensor(np.ones(1))),            ShapeError,
     r"b \(1,\), residual None"),
    (lambda: autograd.add_bias(Tensor(np.ones((2, 3))), None, Tensor(np.ones(3))),      ShapeError,
     r"b None, residual \(3,\)"),
    (lambda: autograd.layernorm(Tensor(np.ones((2, 3))), Tensor(np.ones(1))),           ShapeError,
     r"scale \(1,\), shift None"),
    (lambda: autograd.causal_attention(Tensor(np.ones((1, 2, 8))), 3),                  ShapeError,
     "3 heads"),
    (lambda: autograd.embedding(np.array([0, 5]), Tensor(np.ones((5, 2)))),             DataError, "token 5"),
    (lambda: autograd.embedding(np.array([-1, 0]), Tensor(np.ones((5, 2)))),            DataError,
     "token -1"),
    (lambda: autograd.embedding(np.array([0.0]), Tensor(np.ones((5, 2)))),              ShapeError,
     "tokens are float64"),
    (lambda: autograd.cross_entropy(Tensor(np.ones((2, 3, 5))), np.ones((3, 2), int)),  ShapeError,
     r"\(3, 2\), the logits need"),
    (lambda: autograd.cross_entropy(Tensor(np.ones((2, 5))), np.ones(1, int)),          ShapeError,
     r"integers \(2,\)"),
    (lambda: autograd.cross_entropy(Tensor(np.ones((2, 5))), np.ones(2)),               ShapeError,
     "targets are float64"),
    (lambda: autograd.cross_entropy(Tensor(np.ones((1, 5))), np.array([5])),            DataError,
     "5, the vocabulary has 5"),
    (lambda: autograd.cross_entropy(Tensor(np.ones((1, 5))), np.array([-2])),           DataError, "from -2"),
    (lambda: autograd.cross_entropy(Tensor(np.ones((1, 5))), np.array([-1])),           DataError,
     "at least one"),
])
def test_wrong_shapes_and_tokens_are_named(wrong, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        wrong()
