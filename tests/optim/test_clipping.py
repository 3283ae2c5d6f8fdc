"""Clipping by the norm of the whole gradient."""

import numpy as np
import pytest

from minipar.optim import clip_by_global_norm, squared_norm
from minipar.optim.clipping import BLOCK


@pytest.mark.parametrize("n", [0, 1, 1000, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-6), (np.float64, 1e-14)])
def test_norm_of_any_length(n: int, dtype: type, tolerance: float) -> None:
    g = np.random.default_rng(0).standard_normal(n).astype(dtype)
    exact = np.linalg.norm(g.astype(np.longdouble))
    assert squared_norm(g) == pytest.approx(float(exact**2), rel=2 * tolerance)
    assert clip_by_global_norm(g, np.inf) == pytest.approx(float(exact), rel=tolerance)


def test_a_long_gradient_is_scaled_as_one() -> None:
    g = np.array([3.0, 0.0, -4.0])
    assert clip_by_global_norm(g, 2.5) == 5
    np.testing.assert_allclose(g, [1.5, 0, -2], rtol=1e-15)
    assert clip_by_global_norm(g, 2.5) == pytest.approx(2.5)


@pytest.mark.parametrize("limit", [5.0, 5.1, np.inf])
def test_a_short_gradient_keeps_its_bits(limit: float) -> None:
    g = np.array([3.0, 0.1, -4.0], np.float32)[[0, 2]]
    before = g.copy()
    assert clip_by_global_norm(g, limit) == 5
    np.testing.assert_array_equal(g, before)
    assert g.dtype == np.float32


def test_zero_and_not_a_number() -> None:
    g = np.zeros(4)
    assert clip_by_global_norm(g, 1.0) == 0 and (g == 0).all()
    assert np.isnan(clip_by_global_norm(np.array([1.0, np.nan]), 1.0))              # for the caller to see


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 7, 1000, 70_001])
def test_the_squared_norm_depends_on_values_and_not_on_where_they_lie(n: int, dtype: type) -> None:
    """Ranks of tp hold copies at other offsets in their flat gradients; they must clip by the same number."""
    values = np.random.default_rng(n).standard_normal(n).astype(dtype)
    found = set()
    for offset in range(17):
        buffer = np.empty(n + 17, dtype)
        buffer[offset:][:n] = values
        found.add(squared_norm(buffer[offset:][:n]))
    assert len(found) == 1
