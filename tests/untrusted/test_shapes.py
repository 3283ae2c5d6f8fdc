"""The shapes and the numbers that a file declares: a shape that NumPy cannot create, a name that occurs twice, or
bytes that two arrays share are one error in both formats, before an array is read.
"""

from __future__ import annotations

import json
import random
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minipar.checkpoint.gpt2 import load_gpt2, read_arrays
from minipar.errors import CheckpointError, MiniparError
from minipar.untrusted.arrays import is_possible
from tests.refusals import refused

IMPOSSIBLE = [(1,) * 65, (0,) * 65, (0,) * 20_000, (0, 2**70), (0, 2**62, 2**62), (2**32, 2**32), (-1, 8),
              (10**300,), (0, -1)]


def safetensors(path: Path, entries: Mapping[str, Any], data: bytes = b"") -> Path:
    header = json.dumps(entries).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)
    return path


def npz(path: Path, shape: tuple[int, ...]) -> Path:
    header = repr({"descr": "<f4", "fortran_order": False, "shape": shape}).encode()
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("wte.weight.npy", b"\x93NUMPY\2\0" + len(header).to_bytes(4, "little") + header)
    return path


@pytest.mark.parametrize("shape", IMPOSSIBLE, ids=lambda shape: str(shape)[:20])
@pytest.mark.parametrize("read", [lambda path: load_gpt2(path, 1), lambda path: read_arrays(path, "f", 10**6)],
                         ids=["load_gpt2", "read_arrays"])
def test_shapes_that_no_array_has(shape: tuple[int, ...], read: Any, tmp_path: Path) -> None:
    entry = {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}
    for path in (npz(tmp_path / "a.npz", shape), safetensors(tmp_path / "a.safetensors", {"wte.weight": entry})):
        with refused(CheckpointError, "damaged", path.name):
            read(path)


def test_possible_is_what_numpy_creates() -> None:
    seed = random.randrange(10**6)
    rng = random.Random(seed)
    for _ in range(500):
        shape = tuple(rng.choice([0, 1, 2, 2**20, 2**31, 2**40, 2**62]) for _ in range(rng.randrange(5)))
        dtype = np.dtype(rng.choice(["u1", "f4", "f8"]))
        try:
            np.broadcast_to(np.zeros((), dtype), shape)
            created = True
        except ValueError:
            created = False
        assert created or not is_possible(shape, dtype), f"seed {seed}: {shape} {dtype}"


@pytest.mark.parametrize("ending", [".safetensors", ".npz"])
def test_a_system_file_without_a_size(ending: str, tmp_path: Path) -> None:
    (tmp_path / f"a{ending}").symlink_to("/proc/self/status")
    with refused(CheckpointError, f"a{ending}"):
        read_arrays(tmp_path / f"a{ending}", "f", 10**6)


OFFSETS: list[Any] = [None, "x", [], [0], [0, 8, 16], [8, 0], [-8, 0], [0, 2**63], [0, 10**300], [0.0, 8.0],
                      [False, 8], [0, 4], [4, 12], [0, 16], {"begin": 0}]


@pytest.mark.parametrize("offsets", OFFSETS, ids=lambda offsets: str(offsets)[:20])
def test_offsets_that_do_not_fit(offsets: Any, tmp_path: Path) -> None:
    entry = {"dtype": "F32", "shape": [2], "data_offsets": offsets}
    with refused(CheckpointError, "damaged", "a.safetensors"):
        read_arrays(safetensors(tmp_path / "a.safetensors", {"a": entry}, bytes(8)), "f", 10**6)


@pytest.mark.parametrize("pairs, length", [([(0, 8), (0, 8)], 8), ([(0, 8), (4, 12)], 12), ([(8, 16), (16, 24)], 24),
                                           ([(0, 8), (12, 20)], 20), ([(0, 8), (8, 16)], 17)],
                         ids=["same bytes", "overlap", "starts late", "gap", "bytes left"])
def test_arrays_fill_the_file(pairs: list[tuple[int, int]], length: int, tmp_path: Path) -> None:
    entries = {name: {"dtype": "F32", "shape": [2], "data_offsets": pair}
               for name, pair in zip("ab", pairs, strict=True)}
    with refused(CheckpointError, "damaged", "a.safetensors"):
        read_arrays(safetensors(tmp_path / "a.safetensors", entries, bytes(length)), "f", 10**6)


def test_an_ignored_array_is_not_read(tmp_path: Path) -> None:
    """The causal masks of a GPT-2 are not weights: a sparse file may hold gigabytes of them."""
    shapes = {"wte.weight": (3, 2), "wpe.weight": (2, 2), "ln_f.weight": (2,), "h.0.attn.bias": (1 << 33,)}
    entries, at = {}, 0
    for name, shape in shapes.items():
        kind, size = ("U8", 1) if name.endswith("attn.bias") else ("F32", 4)
        end = at + size * int(np.prod(shape))
        entries[name], at = {"dtype": kind, "shape": shape, "data_offsets": [at, end]}, end
    path = safetensors(tmp_path / "a.safetensors", entries)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + at)
    with refused(MiniparError):                                     # it is not a whole GPT-2
        load_gpt2(path, 1)


@pytest.mark.parametrize("second", [np.ones(2, "f4"), np.zeros(2, "f4")], ids=["other", "equal"])
def test_two_members_of_one_name(second: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "w") as file:
        for array in (np.zeros(2, "f4"), second):
            with file.open("a.npy", "w") as member:
                np.save(member, array)
    with refused(CheckpointError, "two members", item="a.npy"):
        read_arrays(path, "f", 10**6)
