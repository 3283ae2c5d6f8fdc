"""Rounding to 16 bits is what the formats' definition says, and what NumPy's own float16 does, bit for
bit.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from minipar.errors import ConfigError, ShapeError
from minipar.precision import BFLOAT16, FLOAT16, FLOAT32, Format, format_of
from tests.refusals import refused

SHORT = pytest.mark.parametrize("format", [FLOAT16, BFLOAT16], ids=lambda format: format.name)
ANYTHING = arrays(np.float32, array_shapes(min_dims=0, min_side=0), elements=st.floats(width=32))
BITS = {"float16": np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32),
        # every number of the format
        "bfloat16": (np.arange(1 << 16, dtype=np.uint32) << 16).view(np.float32)}


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """The same bits, signs of zero too; any NaN equals any other."""
    return bool(((one.view(np.uint32) == other.view(np.uint32)) | (np.isnan(one) & np.isnan(other))).all())


def numbers(format: Format) -> np.ndarray:
    """All finite numbers of the format from 0 up, in order."""
    all_of_them = BITS[format.name]
    return np.unique(abs(all_of_them[np.isfinite(all_of_them)]))


@SHORT
def test_every_number_of_the_format_stays_itself(format: Format) -> None:
    assert same(format.round(BITS[format.name]), BITS[format.name])


@SHORT
def test_the_facts_of_the_format_are_those_of_its_numbers(format: Format) -> None:
    grid = numbers(format)
    assert (grid[1], grid[-1]) == (format.smallest, format.largest)
    assert grid[np.searchsorted(grid, 1) + 1] - 1 == 2.0**-format.digits
    full = grid[grid >= format.smallest_normal]
    assert (
        np.diff(full[: 2**format.digits]).max() == format.smallest == np.diff(grid[: 2**format.digits]).min()
    )


@SHORT
def test_between_two_numbers_it_is_the_nearer_and_the_even_one_of_a_tie(format: Format) -> None:
    grid = numbers(format)[:-1]
    low, high = grid[:-1].astype(np.float64), grid[1:].astype(np.float64)
    middle = ((low + high) / 2).astype(np.float32)                  # exact in float32: one digit more
    # numbers count up as their bits do
    even = np.where(np.arange(len(low)) % 2 == 0, low, high).astype(np.float32)
    for sign in (np.float32(1), np.float32(-1)):
        assert same(format.round(sign * middle), sign * even)
        assert same(format.round(sign * np.nextafter(middle, np.float32(np.inf))), sign
                    * high.astype(np.float32))
        assert same(format.round(sign * np.nextafter(middle, np.float32(0))), sign * low.astype(np.float32))


def test_float16_is_numpys() -> None:
    edges = np.array([65519.996, 65520, 65536, 131072, 3e38, 2**-25, 2**-25 * 1.0001, 1e-45, -1e-30, -0.0],
                     np.float32)
    rng = np.random.default_rng(0)
    x = np.concatenate([edges, -edges, rng.integers(0, 2**32, 10**6, dtype=np.uint32).view(np.float32)])
    with np.errstate(all="ignore"):
        assert same(FLOAT16.round(x), x.astype(np.float16).astype(np.float32))


def test_beyond_the_range() -> None:
    x = np.array([65504, 65519, 65520, -1e9, np.inf, np.nan, 2**-24, 2**-25, -(2**-25)], np.float32)
    assert FLOAT16.round(x).tolist()[:5] == [65504, 65504, np.inf, -np.inf, np.inf]
    assert (
        np.isnan(FLOAT16.round(x)[5])
        and FLOAT16.round(x)[6:].tolist() == [2**-24, 0, 0]
        and np.signbit(FLOAT16.round(x)[8])
    )
    edge = np.array([BFLOAT16.largest, np.finfo(np.float32).max, 1e-45, np.nan], np.float32)
    assert BFLOAT16.round(edge).tolist()[:3] == [BFLOAT16.largest, np.inf,
                                                 0] and np.isnan(BFLOAT16.round(edge)[3])


def test_a_nan_of_any_digits_stays_one() -> None:
    # a carry would run into the sign
    bits = np.array([0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001, 0x7FC00000], np.uint32)
    assert all(np.isnan(format.round(bits.view(np.float32))).all() for format in (FLOAT16, BFLOAT16))


@SHORT
@given(x=ANYTHING)
def test_rounding_keeps_shape_and_input_and_is_done_once(format: Format, x: np.ndarray) -> None:
    before = x.copy()
    once = format.round(x)
    assert (
        once.shape == x.shape
        and once.dtype == np.float32
        and same(x, before)
        and not np.shares_memory(once, x)
    )
    assert same(format.round(once), once) and same(format.round(-x), -once)


@SHORT
@given(x=arrays(np.float32, 20, elements=st.floats(width=32, allow_nan=False)))
def test_rounding_keeps_the_order(format: Format, x: np.ndarray) -> None:
    rounded = format.round(np.sort(x))
    assert (rounded[1:] >= rounded[:-1]).all()


@SHORT
@given(x=st.floats(2.0**-14, 65504, width=32))
def test_the_relative_error_is_at_most_half_a_step(format: Format, x: float) -> None:
    assert abs(format.round(np.array(x, np.float32)).item() - x) <= 2.0 ** -(format.digits + 1) * x


def test_strides_and_float32() -> None:
    x = np.random.default_rng(0).normal(size=(6, 10)).astype(np.float32)
    for format in (FLOAT16, BFLOAT16, FLOAT32):
        assert same(format.round(x.T[::2]), format.round(np.ascontiguousarray(x.T[::2])))
    assert same(FLOAT32.round(x), x) and not np.shares_memory(FLOAT32.round(x), x)


def test_refusals() -> None:
    with refused(ShapeError, "float64", item="bfloat16"):
        BFLOAT16.round(np.zeros(3))
    with refused(ConfigError, "bfloat16", item="precision"):
        format_of("fp8")
