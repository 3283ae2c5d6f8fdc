"""Hessian-vector products: of every op against differences of its gradient, and symmetric as a Hessian is."""

import numpy as np
import pytest

from minipar.autograd import Tensor, backward, hessian_vector_product, sum
from minipar.config import ModelConfig
from minipar.errors import GraphError, ShapeError
from minipar.nn import GPT
from minipar.optim import Flat
from tests.autograd.cases import CASES, IDS, Op, leaves, scalar

STEP = 1e-3


def gradient_at(op: Op, shapes: tuple, vectors: list[np.ndarray], h: float) -> list[np.ndarray]:
    inputs = leaves(shapes)
    for leaf, v in zip(inputs.values(), vectors, strict=True):
        leaf.data = leaf.data + h * v
    backward(scalar(op, inputs, bend=True))
    return [leaf.grad for leaf in inputs.values()]


@pytest.mark.parametrize("name, op, shapes", CASES, ids=IDS)
def test_product_is_the_difference_of_gradients(name: str, op: Op, shapes: tuple) -> None:
    rng = np.random.default_rng(3)
    vectors = [rng.standard_normal(shape) for shape in shapes]
    # short: no kink is crossed
    vectors = [v / np.sqrt(np.sum([np.vdot(v, v) for v in vectors])) for v in vectors]
    inputs = leaves(shapes)
    products = hessian_vector_product(lambda: scalar(op, inputs, bend=True), list(inputs.values()), vectors)
    at = {h: gradient_at(op, shapes, vectors, h * STEP) for h in (-2, -1, 1, 2)}
    scale = np.max([abs(p).max() for p in products])
    assert scale > 1e-3                                             # not a comparison of zeros
    for i, product in enumerate(products):
        expected = (8 * (at[1][i] - at[-1][i]) - (at[2][i] - at[-2][i])) / (12 * STEP)
        np.testing.assert_allclose(product, expected, rtol=0, atol=1e-7 * scale, strict=True)


@pytest.mark.parametrize("name, op, shapes", CASES, ids=IDS)
def test_hessian_is_symmetric(name: str, op: Op, shapes: tuple) -> None:
    """u . H v = v . H u to rounding, which differences could not show."""
    rng = np.random.default_rng(4)
    u, v = ([rng.standard_normal(shape) for shape in shapes] for _ in "uv")
    inputs = leaves(shapes)
    hu, hv = (hessian_vector_product(lambda: scalar(op, inputs, bend=True), list(inputs.values()), w)
              for w in (u, v))
    u_hv, v_hu = (float(np.sum([np.sum(a * b) for a, b in zip(x, y, strict=True)]))
                  for x, y in ((u, hv), (v, hu)))
    size = float(np.sum([np.sum(abs(a * b)) for a, b in zip(u, hv, strict=True)]))
    assert u_hv == pytest.approx(v_hu, rel=0, abs=1e-13 * size)


def test_a_known_hessian() -> None:
    """f = x' A x / 2 has the Hessian (A + A') / 2, to rounding: no difference is taken."""
    rng = np.random.default_rng(0)
    A, v = rng.standard_normal((5, 5)), rng.standard_normal((5, 1))
    x = Tensor(rng.standard_normal((5, 1)), requires_grad=True)
    (product,) = hessian_vector_product(lambda: sum(x * (A @ x)) * 0.5, [x], [v])
    np.testing.assert_allclose(product, (A + A.T) @ v / 2, rtol=1e-14, atol=1e-14)


def test_leaves_end_as_they_began() -> None:
    x, unused = (Tensor(np.arange(3.0), requires_grad=True) for _ in range(2))
    x.grad_buffer = x.grad = np.ones(3)
    data, buffer = x.data, x.grad_buffer
    products = hessian_vector_product(lambda: sum(x * x * x), [x, unused], [np.ones(3), np.ones(3)])
    np.testing.assert_array_equal(products, [6 * np.arange(3.0), np.zeros(3)])
    assert x.data is data and x.grad is x.grad_buffer is buffer
    assert unused.grad is None
    np.testing.assert_array_equal(buffer, np.ones(3))


@pytest.mark.parametrize("recompute", ["none", "full"])
def test_of_some_leaves_alone_it_is_that_block_of_the_whole(recompute: str) -> None:
    """Each parameter of a GPT in turn; the others are constants, keep their gradients and call no hook."""
    model = GPT(ModelConfig(vocabulary=7, context=4, layers=1, heads=2, width=4), dtype=np.float64,
                recompute=recompute)
    parameters, tokens = Flat(model.parameters()).parameters, np.arange(8).reshape(2, 4) % 7
    backward(model.loss(tokens, tokens))
    before = [p.grad.copy() for p in parameters]
    for p in parameters:
        p.on_grad(lambda g: pytest.fail("a hook was called"))
        vectors = [np.where(p is q, 1.0, 0.0) * np.random.default_rng(q.size).normal(size=q.shape)
                   for q in parameters]
        whole = hessian_vector_product(lambda: model.loss(tokens, tokens), parameters, vectors)
        own = next(number for number, q in enumerate(parameters) if p is q)
        (alone,) = hessian_vector_product(lambda: model.loss(tokens, tokens), [p], [vectors[own]])
        np.testing.assert_array_equal(alone, whole[own])
    for p, gradient in zip(parameters, before, strict=True):
        assert p.grad is p.grad_buffer and np.array_equal(p.grad, gradient)


def test_what_has_no_product_is_refused() -> None:
    x = Tensor(np.ones(3), requires_grad=True)
    with pytest.raises(ShapeError, match=r"\(2,\) for a leaf of shape \(3,\)"):
        hessian_vector_product(lambda: sum(x), [x], [np.ones(2)])
    with pytest.raises(GraphError, match="uses no leaf"):
        hessian_vector_product(lambda: Tensor(1.0) * 2, [x], [np.ones(3)])
