"""The straight-through gradient, and products of integers."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipar.autograd import Tensor, backward, gradcheck, maximum, sum
from minipar.compress.quantize import (
    Limits,
    Scheme,
    fake_quantize,
    integer_linear,
    integer_matmul,
    minmax,
    mse,
    percentile,
    quantize,
)
from minipar.errors import ConfigError, RangeError, ShapeError
from minipar.rng import stream
from tests.refusals import refused

LIMITS = Limits(np.array([[-1.0]]), np.array([[1.5]]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bits", range(2, 17))
@pytest.mark.parametrize("options", [dict(), dict(axis=1), dict(axis=1, group=4),
                                    dict(symmetric=False, axis=0)], ids=str)
def test_fake_is_quantise_and_back_bit_for_bit(options: dict, bits: int, dtype: type) -> None:
    x, scheme = stream(0, "x").normal(size=(12, 5)).astype(dtype), Scheme(bits, **options)
    for limits in (None, mse(x, scheme)):
        y = fake_quantize(Tensor(x), scheme, limits)
        assert y.dtype == dtype and np.array_equal(y.data, quantize(x, scheme, limits).dequantize())


@pytest.mark.parametrize("lay_out", [np.asfortranarray, lambda x: x.copy().T,
                                     lambda x: np.repeat(x, 2, 0)[::2, ::-1]],
                         ids=["Fortran", "transposed", "strided"])
@pytest.mark.parametrize("sharing", [dict(), dict(axis=1), dict(axis=0, group=2)], ids=str)
def test_the_order_in_memory_changes_nothing(sharing: dict,
                                             lay_out: Callable[[np.ndarray], np.ndarray]) -> None:
    x, scheme = lay_out(stream(0, "x").normal(size=(6, 6))), Scheme(3, symmetric=False, **sharing)
    same = np.ascontiguousarray(x)
    for limits in (minmax, mse, percentile):
        found = limits(x, scheme)
        np.testing.assert_array_equal(found, limits(same, scheme))
        expected = quantize(same, scheme, found).dequantize()
        assert np.array_equal(quantize(x, scheme, found).dequantize(), expected)
        assert np.array_equal(fake_quantize(Tensor(x), scheme, found).data, expected)


def clipped(x: Tensor, low: float, high: float) -> Tensor:
    return -maximum(-maximum(x, low), -high)


@pytest.mark.parametrize("symmetric, low, high", [(True, -1.5, 1.5), (False, -1.0, 1.5)])
def test_the_gradient_is_that_of_the_clipped_line(symmetric: bool, low: float, high: float) -> None:
    """Its own differences are 0 between jumps, so they are taken of what rounding stands for."""
    # no number within a step of an end
    x = Tensor(np.linspace(-3, 3, 61)[:, None] + 0.013, requires_grad=True)
    scheme, weights = Scheme(8, symmetric), stream(0, "weights").normal(size=(61, 1))
    checks = gradcheck(lambda: sum(clipped(x, low, high) * weights), {"x": x})
    assert max(check.error for check in checks) < 1e-7
    backward(sum(clipped(x, low, high) * weights))
    expected = x.grad
    x.zero_grad()
    backward(sum(fake_quantize(x, scheme, LIMITS) * weights))
    assert 0.1 < np.mean(expected == 0) < 0.9
    assert np.array_equal(x.grad, expected)
    assert max(check.error for check in gradcheck(lambda: sum(fake_quantize(x, scheme, LIMITS) * weights),
                                                  {"x": x})) > 0.5


def test_inside_the_whole_range_every_gradient_passes() -> None:
    x = Tensor(stream(0, "x").normal(size=(7, 5)), requires_grad=True)
    g = stream(0, "g").normal(size=(7, 5))
    backward(fake_quantize(x, Scheme(2, symmetric=False)), g)
    assert np.array_equal(x.grad, g)


def test_fake_refuses_what_quantise_refuses() -> None:
    for limits in (None, LIMITS):
        with refused(RangeError, item="up"):
            fake_quantize(Tensor(np.array([[1.0, np.nan]])), Scheme(), limits, name="up")


# Products of integers.

def exact(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("nk,km->nm", a.astype(np.int64), b.astype(np.int64))


@given(st.integers(0, 4), st.integers(0, 3000), st.integers(0, 4),
       st.sampled_from([1, 7, 127, 128, 181, 255, 700]))
@settings(max_examples=150, deadline=None)
def test_integer_products_are_exact(n: int, K: int, m: int, largest: int) -> None:
    rng = stream(n, K, m, largest)
    a, b = (rng.integers(-largest, largest + 1, shape, np.int16) for shape in ((n, K), (K, m)))
    y = integer_matmul(a, b)
    assert y.dtype == np.int32 and np.array_equal(y, exact(a, b))


@pytest.mark.parametrize("K", [1040, 1041, 1056, 5000, 133_144])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_sums_are_exact(K: int, sign: int) -> None:
    """133,144 terms of 127 x 127 are the most that 32 bits hold. Odd terms are the ones that float32 would
    round.
    """
    a, b = np.full((2, K), 127, np.int8), np.full((K, 3), sign * 127, np.int8)
    a[:, 0] = 126
    assert np.array_equal(integer_matmul(a, b), exact(a, b))


def test_without_the_bound_float32_would_be_wrong() -> None:
    # the sum is odd, and above 2 ** 24
    a, b = np.full((1, 4999), 127, np.int8), np.full((4999, 1), 127, np.int8)
    assert (
        int((a.astype(np.float32) @ b.astype(np.float32)).item())
        != exact(a, b).item()
        == integer_matmul(a, b).item()
    )


def test_a_sum_that_may_overflow_is_refused() -> None:
    a, b = np.full((1, 133_145), 127, np.int8), np.full((133_145, 1), 127, np.int8)
    with refused(RangeError, "133145 products", "16129", "133144"):
        integer_matmul(a, b)
    with refused(ShapeError, "int8 (2, 3) and int8 (2, 3)"):
        integer_matmul(np.zeros((2, 3), np.int8), np.zeros((2, 3), np.int8))
    with pytest.raises(ShapeError, match=r"float64 \(2, 3\) and int8"):
        integer_matmul(np.full((2, 3), 0.5), np.zeros((3, 2), np.int8))


@pytest.mark.parametrize("x_scheme", [Scheme(8), Scheme(8, symmetric=False, signed=False),
                                      Scheme(5, False, axis=-2)], ids=str)
@pytest.mark.parametrize("w_scheme", [Scheme(8), Scheme(8, axis=-1), Scheme(4, axis=1, group=6),
                                      Scheme(3, False)], ids=str)
def test_integer_linear_is_the_product_of_what_the_codes_stand_for(x_scheme: Scheme,
                                                                   w_scheme: Scheme) -> None:
    x, w = stream(0, "x").normal(size=(7, 18)) + 1, stream(0, "w").normal(size=(18, 5))
    qx, qw = quantize(x, x_scheme), quantize(w, w_scheme)
    np.testing.assert_allclose(integer_linear(qx, qw), qx.dequantize() @ qw.dequantize(), rtol=0, atol=1e-12)
    assert integer_linear(quantize(x[:0], x_scheme), qw).shape == (0, 5)


def test_scales_that_differ_along_the_sum_are_refused() -> None:
    x, w = np.ones((4, 6)), np.ones((6, 4))
    with pytest.raises(ConfigError, match="must share their scales"):
        integer_linear(quantize(x, Scheme(axis=1)), quantize(w, Scheme()))
    with refused(ConfigError, item="axis"):
        integer_linear(quantize(x, Scheme()), quantize(w, Scheme(axis=0)))


def test_the_smallest_range_there_is() -> None:
    assert minmax(np.zeros((0, 3)), Scheme(axis=1)).low.shape == (1, 3)
    assert quantize(np.zeros(4), Scheme(symmetric=False)).dequantize().tolist() == [0.0] * 4
