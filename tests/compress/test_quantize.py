"""Numbers to integers and back: the error bound for every scheme, zero exact, the ends of what can be, bad
input by name.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from minipar.compress.quantize import FindLimits, Limits, Scheme, minmax, mse, percentile, quantize
from minipar.errors import ConfigError, RangeError, ShapeError
from minipar.rng import stream
from tests.refusals import refused

BITS = range(2, 17)
SHARING = [dict(), dict(axis=0), dict(axis=1), dict(axis=1, group=50), dict(axis=0, group=20)]
MILLION = stream(0, "a million numbers").normal(size=(1000, 1000)) * np.exp(
    stream(0, "sizes").normal(size=(1000, 1))
)


def per_number(scheme: Scheme, scales: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Each number's own scale."""
    return np.broadcast_to(scales, scheme.view(shape)).reshape(shape)


@pytest.mark.parametrize("sharing", SHARING, ids=str)
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", BITS)
def test_a_million_numbers_are_off_by_half_a_step_at_most(bits: int, symmetric: bool, sharing: dict) -> None:
    scheme = Scheme(bits, symmetric, **sharing)
    q = quantize(MILLION, scheme)
    error = abs(q.dequantize() - MILLION) / per_number(scheme, q.grid.scale, MILLION.shape)
    assert 0.49 < error.max() <= 0.5 + 1e-10
    assert q.codes.min() >= scheme.low and q.codes.max() <= scheme.high


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", BITS)
def test_in_float32_the_bound_holds_to_its_own_rounding(bits: int, symmetric: bool) -> None:
    x = MILLION.astype(np.float32)
    q = quantize(x, Scheme(bits, symmetric, axis=0))
    assert q.dequantize().dtype == np.float32
    error = abs(q.dequantize() - x.astype(float)) - q.grid.scale.astype(float) / 2
    assert (error <= 4 * np.finfo(np.float32).eps * abs(x).max(1, keepdims=True)).all()


@pytest.mark.parametrize("find", [mse, percentile])
@pytest.mark.parametrize("symmetric", [True, False])
def test_inside_narrower_limits_the_bound_holds_and_outside_the_nearest_end_is_taken(
    find, symmetric: bool
) -> None:
    scheme = Scheme(4, symmetric, axis=0)
    low, high = limits = find(MILLION, scheme)
    q = quantize(MILLION, scheme, limits)
    if symmetric:
        low, high = np.minimum(low, -high), np.maximum(-low, high)
    back, scale = q.dequantize(), np.broadcast_to(q.grid.scale, MILLION.shape)
    inside = (low <= MILLION) & (high >= MILLION)
    assert 0.5 < inside.mean() < 1
    assert (abs(back - MILLION)[inside] <= scale[inside] * (0.5 + 1e-10)).all()
    assert (q.codes[high < MILLION] == scheme.high).all() and (q.codes[low > MILLION] == scheme.low).all()


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
@pytest.mark.parametrize("sharing", SHARING, ids=str)
@pytest.mark.parametrize("symmetric", [True, False])
def test_signed_and_unsigned_codes_stand_for_the_same_numbers(bits: int, symmetric: bool,
                                                              sharing: dict) -> None:
    signed, unsigned = (quantize(MILLION[:100], Scheme(bits, symmetric, sign, **sharing))
                        for sign in (True, False))
    assert (signed.codes.dtype.kind, unsigned.codes.dtype.kind) == ("i", "u")
    assert np.array_equal(unsigned.codes.astype(int) - signed.codes,
                          np.full_like(signed.codes, 2 ** (bits - 1), int))
    assert np.array_equal(signed.dequantize(), unsigned.dequantize())
    assert np.array_equal(signed.centred_codes(), unsigned.centred_codes())


def test_codes_by_hand() -> None:
    x = np.array([-0.9, 0.0, 2.0])
    assert quantize(x, Scheme(8, symmetric=False, signed=False)).codes.tolist() == [0, 79, 255]
    assert quantize(x, Scheme(8)).codes.tolist() == [-57, 0, 127]
    assert quantize(x, Scheme(2)).codes.tolist() == [0, 0, 1]
    halves = np.array([0.5, 1.5, 2.5, 127.0])                       # s = 1: halves to the even neighbour
    assert quantize(halves, Scheme(8)).codes.tolist() == [0, 2, 2, 127]


def test_mse_is_never_worse_than_minmax_and_far_better_with_an_outlier() -> None:
    weights = stream(0, "weights").normal(0, 0.02, 4096)
    weights[7] = 2.0
    for bits in BITS:
        for symmetric in (True, False):
            scheme = Scheme(bits, symmetric)
            whole, best = (((quantize(weights, scheme,
                                      find(weights, scheme)).dequantize() - weights) ** 2).sum()
                           for find in (minmax, mse))
            assert best <= whole
    rest = np.delete(weights, 7)                                    # what clipping the outlier is for
    scheme = Scheme(4)
    whole, clipped = (((quantize(weights, scheme,
                                 limits).dequantize()[np.arange(4096) != 7] - rest) ** 2).mean()
                      for limits in (minmax(weights, scheme), percentile(weights, scheme, share=99.9)))
    assert clipped < whole / 10


def test_percentile_cuts_what_it_says() -> None:
    x = stream(0, "percentile").normal(size=(4, 10_000))
    limits = percentile(x, Scheme(8, axis=0), share=99)
    assert np.allclose((abs(x) <= limits.high).mean(1), 0.99, atol=1e-3)
    skewed = np.exp(x)
    limits = percentile(skewed, Scheme(8, symmetric=False, axis=0), share=98)
    assert np.allclose((skewed <= limits.high).mean(1), 0.99, atol=1e-3) and not limits.low.any()


# Any shape, any range.

SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5)
FLOATS = {np.float32: 2.0**100, np.float64: 2.0**1000}


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, Scheme]:
    dtype = draw(st.sampled_from(list(FLOATS)))
    shape = draw(SHAPES)
    largest = draw(st.sampled_from([1.0, 2.0**-120, FLOATS[dtype]]))
    constant = draw(st.booleans())
    elements = st.floats(-largest, largest, width=8 * dtype().itemsize)
    x = np.full(shape, draw(elements),
                dtype) if constant else draw(arrays.arrays(dtype, shape, elements=elements))
    axis = draw(st.one_of(st.none(), st.integers(-len(shape), len(shape) - 1))) if shape else None
    return x, Scheme(draw(st.integers(2, 16)), draw(st.booleans()), draw(st.booleans()), axis)


@given(cases())
@settings(max_examples=200, deadline=None)
def test_any_array_comes_back_within_half_a_step(case: tuple[np.ndarray, Scheme]) -> None:
    x, scheme = case
    q = quantize(x, scheme)
    back, scale = q.dequantize(), np.broadcast_to(q.grid.scale, x.shape)
    assert back.shape == x.shape and back.dtype == x.dtype and q.codes.dtype == scheme.dtype
    assert (q.codes >= scheme.low).all() and (q.codes <= scheme.high).all()
    rounding = 4 * np.finfo(x.dtype).eps * abs(x).max(initial=0)
    assert (abs(back.astype(np.longdouble) - x) <= scale.astype(np.longdouble) / 2 + rounding).all()
    assert not back[x == 0].any(), "zero stays zero, exactly"
    again = quantize(back, scheme, minmax(x, scheme))
    assert np.array_equal(again.codes, q.codes), "what is on the grid stays where it is"


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.sampled_from([0, 1]), st.booleans())
@settings(deadline=None)
def test_a_group_is_quantised_as_if_it_were_alone(runs: int, group: int, others: int, axis: int,
                                                  symmetric: bool) -> None:
    x = stream(runs, "groups", group, others).normal(size=(runs * group, others))
    x = x if axis == 1 else x.T.copy()
    back = quantize(x, Scheme(4, symmetric, axis=axis, group=group)).dequantize()
    alone = np.empty_like(x)
    for run in range(runs):
        part = np.s_[run * group : (run + 1) * group,
                     :] if axis == 1 else np.s_[:, run * group : (run + 1) * group]
        alone[part] = quantize(x[part], Scheme(4, symmetric, axis=axis)).dequantize()
    assert np.array_equal(back, alone)


@given(cases(), st.sampled_from([np.nan, np.inf, -np.inf]), st.data(), st.booleans())
@settings(max_examples=200, deadline=None)
def test_nan_and_infinity_are_refused_by_name(case: tuple[np.ndarray, Scheme], bad: float,
                                              data: st.DataObject, range_known: bool) -> None:
    x, scheme = case
    if not x.size:
        return
    limits = minmax(x, scheme) if range_known else None
    x.reshape(-1)[data.draw(st.integers(0, x.size - 1))] = bad
    with pytest.raises(RangeError, match=r"^the weight up holds -?(nan|inf)"):
        quantize(x, scheme, limits, name="the weight up")


@pytest.mark.parametrize("find", [minmax, mse, percentile])
def test_float16_is_computed_in_float32(find: FindLimits) -> None:
    x, scheme = stream(0, "half").normal(size=1000).astype(np.float16), Scheme(16, symmetric=False)
    wide = x.astype(np.float32)
    limits = find(x, scheme)
    assert limits.high.dtype == np.float32 and limits == find(wide, scheme)
    assert np.array_equal(quantize(x, scheme, limits).codes, quantize(wide, scheme, limits).codes)
    assert quantize(x, Scheme(12)).dequantize().dtype == np.float32


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("exponent", [-80, 90])
def test_the_best_range_does_not_depend_on_the_unit(exponent: int, symmetric: bool) -> None:
    """Squares of such numbers are below, or beyond, what float32 holds. An empty column has no best range,
    but a range.
    """
    x = stream(0, "unit").normal(size=(500, 3)).astype(np.float32)
    x[:, 1] = 0
    unit, scheme = np.float32(2.0**exponent), Scheme(3, symmetric, axis=1)
    one, other = mse(x, scheme), mse(x * unit, scheme)
    assert (one.high[0, [0, 2]] < x.max(0)[[0, 2]]).all()
    for end, same in zip(other, one, strict=True):
        assert np.array_equal(end, same * unit)


def test_numbers_too_large_for_their_neighbours_are_refused() -> None:
    with pytest.raises(RangeError, match="only finite numbers below 8.5e"):
        quantize(np.array([3e38], np.float32), Scheme())
    assert quantize(np.array([8e37], np.float32), Scheme()).codes == 127


@pytest.mark.parametrize("options, words", [
    (dict(bits=1), "bits is 1; choose 2 to 16"), (dict(bits=17), "bits is 17"),
    (dict(group=-1, axis=0), "group is -1"), (dict(group=8), "groups of 8 run along a matrix")])
def test_schemes_that_cannot_be(options: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Scheme(**options)


def test_arrays_that_do_not_fit() -> None:
    with refused(ShapeError, "axis 1", "(3,)"):
        quantize(np.zeros(3), Scheme(axis=1))
    with refused(ShapeError, "groups of 4", "axis 0", "(6, 2)"):
        quantize(np.zeros((6, 2)), Scheme(axis=1, group=4))
    with refused(ShapeError, "int64", item="tokens"):
        quantize(np.arange(3), Scheme(), name="tokens")
    with pytest.raises(ShapeError, match=r"up needs limits .*\(1, 3\)"):
        quantize(np.zeros((4, 3)), Scheme(axis=1), Limits(np.zeros(3), np.ones(3)), name="up")
    with refused(ConfigError, item="share"):
        percentile(np.zeros(3), Scheme(), share=0)


def test_bytes_are_counted_to_the_bit() -> None:
    x = np.zeros((6, 5), np.float32)
    assert quantize(x, Scheme(8)).nbytes == 30 + 4
    assert quantize(x, Scheme(3, axis=1)).nbytes == 12 + 5 * 4      # 90 bits
    assert quantize(x, Scheme(3, symmetric=False, axis=1, group=2)).nbytes == 12 + 15 * 4 + 6
    assert quantize(x.astype(float), Scheme(8)).nbytes == 30 + 8
