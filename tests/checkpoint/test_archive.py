"""What is saved comes back bit for bit, or an error says why not: every byte of a file is flipped to see
it.
"""

import io
import json
import os
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from minipar.checkpoint import archive
from minipar.checkpoint.archive import load, load_meta, save
from minipar.errors import CheckpointError

ARRAYS = {"wte.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
          "adam/m/wte.weight": np.full((3, 4), 0.5),
          "step": np.array(7), "nothing": np.zeros((0, 2), np.int8)}
META = {"step": 7, "seed": 2**100, "loss": 0.1 + 0.2, "best": float("inf"), "none": None, "tied": True,
        "config": {"name": "gr\u00f6\u00dfe \udc80", "layers": [1, 2]}}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
DTYPES = st.sampled_from(["f2", "f4", "f8", ">f4", "i1", "u2", "i8", "?", "c8", "S3", "U2"])


def same(one: tuple[dict, dict], two: tuple[dict, dict]) -> bool:
    """Equal names in equal order, dtypes, shapes and bits, and equal metadata."""
    return list(one[0]) == list(two[0]) and one[1] == two[1] and all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
        for a, b in zip(one[0].values(), two[0].values(), strict=True))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save(tmp_path / "a.npz", ARRAYS, META)
    return tmp_path / "a.npz"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["C"])),
        DTYPES.flatmap(lambda dtype: arrays_of.arrays(dtype, arrays_of.array_shapes(min_dims=0, min_side=0))),
        max_size=4,
    ),
    st.dictionaries(st.text(), JSON, max_size=3),
)
def test_everything_comes_back(tmp_path: Path, arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
    save(tmp_path / "any.npz", arrays, meta)
    assert same(load(tmp_path / "any.npz"), (arrays, meta)) and load_meta(tmp_path / "any.npz") == meta


def test_any_memory_order(tmp_path: Path) -> None:
    whole = np.arange(24.0).reshape(4, 6)
    arrays = {"fortran": np.asfortranarray(whole), "slice": whole[::2, 1::2], "turned": whole.T,
              "scalar": np.float32(2)}
    save(tmp_path / "a.npz", arrays, {})
    loaded, _ = load(tmp_path / "a.npz")
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array)
        assert loaded[name].flags.writeable


def test_plain_numpy_and_unzip_open_it(saved: Path) -> None:
    with np.load(saved, allow_pickle=False) as opened:
        assert opened.files == [*ARRAYS, "checkpoint.json"]
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(opened[name], array)
    with zipfile.ZipFile(saved) as unzipped:
        assert json.loads(unzipped.read("checkpoint.json"))["meta"] == META


def test_equal_contents_are_equal_files(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = saved.read_bytes()
    monkeypatch.setattr("time.time", lambda: 2e9)
    save(saved, ARRAYS, META)
    assert saved.read_bytes() == first


def put(path: Path, position: int, byte: int) -> None:
    with open(path, "r+b") as file:
        file.seek(position)
        file.write(bytes([byte]))


def test_no_byte_can_flip_unseen(saved: Path) -> None:
    """Every byte of the file, with one bit or all bits flipped: an error, or the very same contents."""
    original, data = load(saved), saved.read_bytes()
    harmless = set()
    for position, byte in enumerate(data):
        for mask in (1 << position % 8, 0xFF):
            put(saved, position, byte ^ mask)
            try:
                contents = load(saved)
            except CheckpointError as error:
                assert str(saved) in str(error) and "\n" not in str(error)
            else:
                assert same(contents, original), f"byte {position} ^ {mask} changed the contents unseen"
                harmless.add(position)
        put(saved, position, byte)
    assert saved.read_bytes() == data
    assert len(harmless) < len(data) / 3  # dates, attributes and the like in zip's own records


def test_no_truncation_is_unseen(saved: Path) -> None:
    for length in reversed(range(saved.stat().st_size)):
        os.truncate(saved, length)
        with pytest.raises(CheckpointError):
            load(saved)


def rewrite(path: Path, change: Callable[[dict[str, bytes]], object], forged: bool = False) -> None:
    """Rewrite the zip with changed members, so that zip's own checksums are right again; if forged, the
    header's too.
    """
    with zipfile.ZipFile(path) as old:
        members, comment = {name: old.read(name) for name in old.namelist()}, old.comment
    change(members)
    with zipfile.ZipFile(path, "w") as new:
        for name, data in members.items():
            new.writestr(name, data)
        new.comment = archive._checksum(members["checkpoint.json"]).encode() if forged else comment


def test_rewriting_alone_does_no_harm(saved: Path) -> None:
    rewrite(saved, lambda members: None)
    assert same(load(saved), (ARRAYS, META))


def swap(members: dict[str, bytes]) -> None:
    one, two = "wte.weight.npy", "adam/m/wte.weight.npy"
    members[one], members[two] = members[two], members[one]


@pytest.mark.parametrize("change, named", [
    (swap, "wte.weight.npy"),
    (lambda members: members.update({"step.npy": members["step.npy"][:-1] + b"\1"}), "step.npy"),
    (lambda members: members.pop("nothing.npy"), "nothing.npy"),
    (lambda members: members.update({"checkpoint.json": members["checkpoint.json"].replace(b'"step": 7', b'"step": 8')}),
     "checkpoint.json"),
])
def test_our_checksums_see_what_zip_does_not(saved: Path, change: Callable, named: str) -> None:
    rewrite(saved, change)
    with pytest.raises(CheckpointError, match=f"is damaged: {named}"):
        load(saved)


def test_without_the_checksums_a_swap_would_pass(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail: with the comparison blinded, the wrong arrays come out."""
    class Blind(str):
        __slots__ = ()

        def __ne__(self, other: object) -> bool:
            return False
    alike = {"wte.weight": np.zeros(3), "adam/m/wte.weight": np.ones(3)}  # headers that differ would be seen
    save(saved, alike, META)
    rewrite(saved, swap)
    monkeypatch.setattr(archive, "_checksum", lambda data: Blind())
    assert not same(load(saved), (alike, META))


def as_version_2(members: dict[str, bytes]) -> None:
    members["checkpoint.json"] = members["checkpoint.json"].replace(b"minipar checkpoint 1",
                                                                    b"minipar checkpoint 2")


def test_another_version_of_the_format(saved: Path) -> None:
    rewrite(saved, as_version_2, forged=True)
    with pytest.raises(CheckpointError, match="'minipar checkpoint 2'"):
        load(saved)


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize("data, said", [
    (npz(weight=np.ones(3)), "is not a minipar checkpoint: it has no checkpoint.json"),
    (b"", "does not open as .npz"),
    (b"step 7, loss 1.5\n" * 100, "does not open as .npz"),
    (pickle.dumps(ARRAYS), "does not open as .npz"),
], ids=["npz", "empty", "text", "pickle"])
def test_foreign_files(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "foreign.npz").write_bytes(data)
    for read in (load, load_meta):
        with pytest.raises(CheckpointError, match=said) as caught:
            read(tmp_path / "foreign.npz")
        assert str(tmp_path / "foreign.npz") in str(caught.value) and "\n" not in str(caught.value)


class Planted:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple:
        return warnings.warn, ("unpickled",)


def test_a_planted_pickle_is_never_run(saved: Path) -> None:
    """Even a file whose checksums are all right: the member is then data that NumPy refuses, and nothing
    runs.
    """
    buffer = io.BytesIO()
    np.save(buffer, np.array([Planted()], dtype=object))

    def plant(members: dict[str, bytes]) -> None:
        header = json.loads(members["checkpoint.json"])
        header["arrays"]["step"]["blake2b"] = archive._checksum(buffer.getvalue())
        members |= {"step.npy": buffer.getvalue(), "checkpoint.json": json.dumps(header).encode()}

    rewrite(saved, plant, forged=True)
    with pytest.raises(CheckpointError, match="step"):
        load(saved)


@pytest.mark.parametrize("name, said", [("none.npz", "there is no checkpoint"),
                                        ("", "is a folder, not a file"),
                                        ("a.npz/b.npz", "cannot read .*Not a directory"),
                                        ("x" * 300, "cannot read")])
def test_paths_that_lead_nowhere(saved: Path, name: str, said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        load(saved.parent / name)


def test_objects_and_other_things_cannot_be_saved_and_leave_the_old_file(saved: Path) -> None:
    before = saved.read_bytes()
    with pytest.raises(CheckpointError, match="cannot save 'names'"):
        save(saved, {"names": np.array([object()])}, {})
    with pytest.raises(TypeError, match="JSON"):
        save(saved, ARRAYS, {"rng": np.random.default_rng(0)})
    assert saved.read_bytes() == before and os.listdir(saved.parent) == ["a.npz"]
