"""Checkpoints with fitting checksums whose contents no minipar wrote: each field and array is checked before
a model is made.
"""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minipar.checkpoint import archive
from minipar.checkpoint.archive import load, load_meta, save
from minipar.errors import CheckpointError
from minipar.records import is_whole
from minipar.training.run_folder import RunFolder
from tests.tiny import trainer
from tests.untrusted.test_untrusted import no_plain_files

State = tuple[dict[str, np.ndarray], dict[str, Any]]
STRANGE: list[Any] = ["8", 2.5, None, [], {}, -1, float("nan"), 10**300, "x" * 10**5, [[0]], True, 10**6]


@pytest.fixture(scope="module")
def state() -> State:
    one = trainer()
    one.step()
    return one.state()


def refused(folder: Path, arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> str:
    run = RunFolder(folder)
    (folder / "checkpoints").mkdir(exist_ok=True)
    save(run.checkpoints.path(1), arrays, meta)
    with pytest.raises(CheckpointError) as caught:
        run.latest()
    said = str(caught.value)
    assert len(said) < 500 and said.isprintable()
    return said


def test_the_state_itself_is_taken(tmp_path: Path, state: State) -> None:
    (tmp_path / "checkpoints").mkdir()
    save(tmp_path / "checkpoints" / "step-00000001.npz", *state)
    assert RunFolder(tmp_path).latest()[2] == state[1]


def test_every_field_of_the_metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A strange value of any field is refused, or does no harm: then the field keeps its type."""
    monkeypatch.setattr(os, "fsync", lambda file: None)
    arrays, meta = trainer(optimizer="sgd").state()                 # few arrays
    kinds = ("model", "train", "tokenizer", "loss_scale")
    places = [(name,) for name in meta] + [(kind, name) for kind in kinds for name in meta[kind]]
    for place in places:
        for value in STRANGE:
            changed = {name: dict(old) if isinstance(old, dict) else old for name, old in meta.items()}
            target = changed if len(place) == 1 else changed[place[0]]
            target[place[-1]] = value
            (tmp_path / "checkpoints").mkdir(exist_ok=True)
            save(tmp_path / "checkpoints" / "step-00000001.npz", arrays, changed)
            try:
                RunFolder(tmp_path).latest()
            except CheckpointError as error:
                assert len(str(error)) < 500 and str(error).isprintable()
            else:
                right = meta[place[0]] if len(place) == 1 else meta[place[0]][place[1]]
                if place == ("loss_scale",):                         # nothing said of it: one that begins
                    continue
                assert not isinstance(right, dict) and (type(value) is type(right)
                                                        or is_whole(value)), (place, value)


@pytest.mark.parametrize("name, value", [
    ("width", "8"), ("layers", 10**6), ("layers", 10**300), ("heads", 2.5), ("vocabulary", 7),
    ("context", 10**8), ("tied", 1)])
def test_the_model(tmp_path: Path, state: State, name: str, value: Any) -> None:
    arrays, meta = state
    refused(tmp_path, arrays, {**meta, "model": {**meta["model"], name: value}})


@pytest.mark.parametrize("changes", [
    {"train": [1]}, {"model": "GPT"}, {"tokenizer": []}, {"tokenizer": {"kind": "byte"}}, {"done": 2.5},
    {"done": -1},
    {"done": "1"}, {"optimizer_steps": 5}, {"text": "x"}, {"text": 3}, {"loss_scale": {"scale": "x"}},
    {"loss_scale": 3}, {"train": {}}, {"model": {}},
    {"tokenizer": {"kind": ["char"]}},
])
def test_the_rest_of_the_metadata(tmp_path: Path, state: State, changes: dict[str, Any]) -> None:
    refused(tmp_path, state[0], {**state[1], **changes})


@pytest.mark.parametrize("change, said", [
    (lambda a: a.astype(np.int64), "is of int64, not of float32"), (lambda a: a.astype("U3"), "is of <U3"),
    (lambda a: a.astype(np.float64), "is of float64"), (lambda a: a.astype(">f4"), "is of >f4"),
    (lambda a: a[:-1], "has shape"),
    (lambda a: a[None], "has shape"), (lambda a: a * np.nan, "NaN or infinity"),
    (lambda a: a.astype(complex), "is of complex128"),
    (lambda a: np.where(a == a.max(), np.inf, a), "NaN or infinity"), (lambda a: a != 0, "is of bool"),
])
def test_weights(tmp_path: Path, state: State, change: Any, said: str) -> None:
    name = "weights/blocks.0.mlp.up.weight"
    assert said in refused(tmp_path, {**state[0], name: change(state[0][name])}, state[1])


def test_the_state_of_the_optimiser(tmp_path: Path, state: State) -> None:
    name = "optimizer/squares/norm.weight"
    assert "negative" in refused(tmp_path, {**state[0], name: state[0][name] - 1}, state[1])
    assert "NaN" in refused(tmp_path, {**state[0], name: state[0][name] * np.nan}, state[1])


def test_what_is_no_plain_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in no_plain_files(Path(".")):
        for read in (load, load_meta):
            with pytest.raises(CheckpointError):
                read(path)
    (tmp_path / "run").mkdir()
    os.mkfifo(tmp_path / "run" / "metrics.jsonl")
    with pytest.raises(CheckpointError) as caught:
        RunFolder(tmp_path / "run").create({})
    assert caught.value.facts["kind"] == "not a file"


def forged(path: Path, header: bytes, members: dict[str, bytes], way: int = zipfile.ZIP_STORED) -> Path:
    """An archive whose checksum of checkpoint.json is right, whatever it says."""
    with zipfile.ZipFile(path, "w", way) as new:
        for name, data in {**members, "checkpoint.json": header}.items():
            new.writestr(name, data)
        new.comment = archive._checksum(header).encode()
    return path


@pytest.mark.parametrize("header", [
    b"[]", b"7", b"{}", b"[" * 200_000, b"9" * 10_000, b"\xff\xfe", b'{"format": ["minipar"]}',
    b'{"format": "minipar checkpoint 1", "arrays": [], "meta": {}}',
    b'{"format": "minipar checkpoint 1", "arrays": {}, "meta": 3}',
    b'{"format": "minipar checkpoint 1", "arrays": {"a": 3}, "meta": {}}',
    b'{"format": "minipar checkpoint 1"}',
    b'{"format": "minipar checkpoint 1", "arrays": {"a": {"shape": [3], "dtype": "<f8"}}, "meta": {}}',
    b'{"format": "minipar checkpoint 1", "arrays": {"a": {"shape": [4], "dtype": "<f8", "blake2b": "x"}}, '
    b'"meta": {}}', b'{"format": "minipar checkpoint 1", "arrays": {"\\ud800\\u001b[31m": {}}, "meta": {}}',
    b'{"x": [' + b"0," * 1_000_000 + b"0]}",
])
def test_headers_that_no_minipar_wrote(tmp_path: Path, header: bytes) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    path = forged(tmp_path / "a.npz", header, {"a.npy": buffer.getvalue()})
    with pytest.raises(CheckpointError) as caught:
        load(path)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 500


def test_an_archive_that_unpacks_to_gigabytes(tmp_path: Path) -> None:
    path = forged(tmp_path / "a.npz", b"{}", {"a.npy": bytes(10**8)}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 200_000
    with pytest.raises(CheckpointError, match="unsupported compression"):
        load(path)
