"""A file may hold sparse arrays whose parts do not fit together. Each such array is refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from minipar.compress.prune import CSR, pack, unpack
from minipar.errors import ShapeError
from tests.refusals import refused

INDEX = np.int32
SOUND = CSR.of(np.array([[1, 0, 2], [0, 3, 0]], np.float32))
UNSOUND = {
    "column beyond the width": {"columns": np.array([0, 3, 1], INDEX)},
    "negative column": {"columns": np.array([0, -1, 1], INDEX)},
    "column twice": {"columns": np.array([0, 0, 1], INDEX)},
    "columns fall": {"columns": np.array([2, 0, 1], INDEX)},
    "columns are floats": {"columns": np.array([0.0, 2.0, 1.0])},
    "columns are too few": {"columns": np.array([0, 2], INDEX)},
    "columns of two axes": {"columns": np.array([[0, 2, 1]], INDEX)},
    "starts fall": {"starts": np.array([0, 4, 3], INDEX)},
    "starts begin late": {"starts": np.array([1, 2, 3], INDEX)},
    "starts end late": {"starts": np.array([0, 2, 9], INDEX)},
    "starts end early": {"starts": np.array([0, 2, 2], INDEX)},
    "no starts": {"starts": np.array([], INDEX)},
    "starts of no axis": {"starts": np.array(3, INDEX)},
    "starts are int64": {"starts": np.array([0, 2, 3])},
    "values are too few": {"values": np.ones(2, np.float32)},
    "values of two axes": {"values": np.ones((3, 1), np.float32)},
    "values are objects": {"values": np.ones(3, object)},
    "values are strings": {"values": np.full(3, "1")},
    "negative width": {"width": -1},
    "width is a float": {"width": 3.0},
    "width is a text": {"width": "3"},
    "width of terabytes": {"width": 10**12},
    "width of no index": {"width": 10**400},
}


@pytest.mark.parametrize("parts", UNSOUND.values(), ids=UNSOUND)
def test_parts_that_are_no_csr_matrix_are_refused(parts: dict[str, Any]) -> None:
    with refused(ShapeError):
        replace(SOUND, **parts).dense()


def packed_state(**parts: np.ndarray) -> dict[str, np.ndarray]:
    return pack({"w": np.zeros(100, np.float32)}) | {f"w.{part}": array for part, array in parts.items()}


@pytest.mark.parametrize("packed", [
    packed_state(shape=np.array([0, 10**18, 10**18]), bits=np.zeros(0, np.uint8)),
    packed_state(shape=np.ones(70, np.int64), bits=np.zeros(1, np.uint8)),
    packed_state(shape=np.array([-10, -10])), packed_state(shape=np.array([105])),
    packed_state(shape=np.array([2**62, 2**62])), packed_state(shape=np.array(True)),
    packed_state(shape=np.array([10.0, 10.0])), packed_state(bits=np.zeros(13, np.int8)),
    packed_state(bits=np.array([0] * 12 + [1], np.uint8)), packed_state(bits=np.full(13, 240, np.uint8)),
    packed_state(values=np.zeros(1, np.float32)), packed_state(values=np.zeros((0, 1))),
    packed_state(values=np.zeros(0, "U5")), packed_state(values=np.zeros(0, object)),
    {"w": np.ones(1), **packed_state()}, {**packed_state(), "w": np.ones(1)},
], ids=lambda packed: ", ".join(f"{name[2:]} {array.dtype}{array.shape}" for name, array in packed.items()))
def test_parts_that_are_no_packed_array_are_refused(packed: dict[str, np.ndarray]) -> None:
    with refused(ShapeError):
        unpack(packed)
