"""Hessian-vector products: of every op against differences of its gradient, and symmetric as a Hessian is."""

import numpy as np
import pytest

from minipar.autograd import Tensor, backward, hessian_vector_product, sum
from minipar.errors import ShapeError
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
    vectors = [v / np.sqrt(np.sum([np.vdot(v, v) for v in vectors])) for v in vectors]      # short: no kink is crossed
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
    hu, hv = (hessian_vector_product(lambda: scalar(op, inputs, bend=True), list(inputs.values()), w) for w in (u, v))
    u_hv, v_hu = (float(np.sum([np.sum(a * b) for a, b in zip(x, y, strict=True)])) for x, y in ((u, hv), (v, hu)))
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


def test_a_vector_of_another_shape_is_refused() -> None:
    x = Tensor(np.ones(3), requires_grad=True)
    with pytest.raises(ShapeError, match=r"\(2,\) for a leaf of shape \(3,\)"):
        hessian_vector_product(lambda: sum(x), [x], [np.ones(2)])
