"""What is packed arrives; nonsense raises WireError and nothing else."""

from __future__ import annotations

import io
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipar.exercises import wire

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(),
    lambda inside: st.lists(inside) | st.tuples(inside, inside) | st.dictionaries(st.text(), inside),
    max_leaves=10,
)


def arrived(value: object) -> object:
    return wire.read(io.BytesIO(wire.pack(value)))


@given(PLAIN)
@settings(max_examples=60)
def test_plain_values_arrive(value: object) -> None:
    assert arrived(value) == value


@pytest.mark.parametrize(
    "array",
    [np.zeros((0, 3)), np.arange(6).reshape(2, 3)[:, ::2], np.float32(2), np.array(True), np.array([1 + 2j])],
)
def test_arrays_arrive_with_dtype_and_shape(array: np.ndarray) -> None:
    got = arrived((array, {"a": array}))[0]                         # type: ignore[index]
    assert type(got) is type(array) and got.dtype == array.dtype and np.array_equal(got, array)


def test_what_cannot_travel_is_known_by_its_type() -> None:
    assert arrived([object(), {1: 2}, np.array([object()])]) == [wire.Opaque("object"), wire.Opaque("dict"),
                                                                 wire.Opaque("ndarray")]
    assert arrived(10 ** 5000) == wire.Opaque("int")


def test_what_has_no_end_is_opaque() -> None:
    loop: list[object] = []
    loop.append(loop)
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (loop, deep):
        got = arrived(value)
        while isinstance(got, list):
            got = got[0]
        assert got == wire.Opaque("list")


@given(st.binary(max_size=200), st.integers(0, 300), st.integers(0, 255))
@settings(max_examples=200)
def test_nonsense_is_no_frame(noise: bytes, place: int, value: int) -> None:
    good = bytearray(wire.pack({"a": np.arange(3), "b": [1.5, "x", None]}))
    good[place % len(good)] = value
    for data in (noise, bytes(good)):
        with suppress(wire.WireError, EOFError):
            wire.read(io.BytesIO(data))


DEEP = '{"l": [' * 45 + '{"v": 0}' + "]}" * 45


@pytest.mark.parametrize("text", [
    '{"v": [1]}', '{"v": {}}', '{"v": ' + "[" * 900 + "]" * 900 + "}", '{"v": 1' + "0" * 400 + "}", DEEP,
    '{"l": [' + ",".join(['{"v": 0}'] * (wire.MOST_VALUES + 1)) + "]}", '{"a": ["<f8", [Infinity], false]}',
    '{"a": ["<f8", [0, 1' + "0" * 30 + '], false]}', '{"a": ["<f8", [NaN], false]}',
    '{"a": ["O", [1], false]}', '{"a": ["<f8", [1e300], false]}', '{"a": ["<f8", [-1], false]}',
    '{"a": ["<f8,<f8", [0], false]}', "[]", "{}", '{"d": 3}'])
def test_what_only_a_forger_sends(text: str) -> None:
    with pytest.raises(wire.WireError):
        wire.unpack(text.encode(), b"")


def test_what_the_grader_sends_is_small_enough() -> None:
    """A source of 1 MiB may need six characters of JSON for each byte."""
    wire.read(io.BytesIO(wire.pack({"source": "\x01" * (1 << 20)})))


class Lies(np.ndarray):
    shape = (10**9,)  # type: ignore[assignment,override]


def test_a_copy_is_plain() -> None:
    masked = np.ma.masked_array([1.0, 2.0], [True, False])
    assert type(wire.plain_copy(masked)) is np.ndarray
    with pytest.raises(wire.WireError):
        wire.plain_copy(np.zeros(3).view(Lies))
    with pytest.raises(wire.WireError):
        wire.plain_copy(np.zeros(wire.MOST_BYTES, np.int16))
