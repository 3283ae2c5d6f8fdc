"""Files of every kind with changed bytes and changed values: each is read, or refused in one line, in bounded
memory and time.

    python -m tests.checkpoint.fuzz_files [ROUNDS] [SEED]

A checkpoint's checksums are made right again after its metadata was changed, as a stranger would.
"""

from __future__ import annotations

import io
import json
import random
import resource
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minipar.checkpoint import archive
from minipar.checkpoint.archive import load
from minipar.checkpoint.file_layout import read_layout
from minipar.checkpoint.gpt2 import load_gpt2, save_gpt2
from minipar.checkpoint.tokenizer_files import load_tokenizer, save_tokenizer
from minipar.classroom.progress import read_progress
from minipar.compress.pipeline import pack_sparse, unpack_sparse
from minipar.compress.prune.sparse import pack, unpack
from minipar.compress.quantize import pack_model, quantize_weights, unpack_model
from minipar.config import ModelConfig
from minipar.data.bytepair.tokenizer import BytePairTokenizer
from minipar.data.text import load_text
from minipar.errors import ConfigError, MiniparError
from minipar.exercises.progress import FILE, StudentProgress
from minipar.nn import GPT
from minipar.plan.machine import machine
from minipar.proof.equivalent.gradient_files import read_batch
from minipar.schedules.files import load_json, to_json
from minipar.schedules.generators import make_schedule
from minipar.schedules.lint import lint
from minipar.training.page import page
from minipar.training.run_folder import RunFolder, read_metrics
from minipar.untrusted.plain import parse_json
from tests.tiny import TEXT, trainer

MEMORY, SECONDS = 2 << 30, 10.0  # beyond what Python and NumPy take; for one file
STRANGE: list[Any] = [
    None, True, -1, 0, 1, 2.5, 10**9, 10**300, float("nan"), float("inf"), "", "8", "\ud800\n\x1b", "x"
    * 9999, [], {}, [[]], [1], [-1, 2], {"a": 1}, ["F0"]]
PROOF = {"proven": True, "case": {"layout": {"dp": 2, "pp": 1, "tp": 1}},
         "findings": [{"item": "loss", "relative": 1e-16, "bits": True}],
         "traffic": [{"axis": "dp", "bytes": 8, "predicted_bytes": 8}]}
CONFIG = ModelConfig(vocabulary=11, context=8, layers=1, heads=2, width=8)


def strange_value(values: Any, rng: random.Random) -> Any:
    """The values with one of them, somewhere in them, replaced, doubled, renamed or left out."""
    places: list[tuple[Any, Any]] = []

    def collect(inside: Any) -> None:
        for key in inside if isinstance(inside, dict) else range(len(inside)):
            places.append((inside, key))
            if isinstance(inside[key], dict | list):
                collect(inside[key])

    values = json.loads(json.dumps(values))
    collect(values)
    inside, key = rng.choice(places)
    if rng.random() < 0.2:
        del inside[key]
    elif rng.random() < 0.1 and isinstance(inside, dict):
        inside[rng.choice(["strange", "\x1b", "x" * 999])] = inside.pop(key)
    else:
        inside[key] = rng.choice(STRANGE)
    return values


def strange_bytes(data: bytes, rng: random.Random) -> bytes:
    changed, kind = bytearray(data), rng.randrange(4)
    if kind == 0:
        return data[:rng.randrange(len(data) + 1)]
    if kind == 1:
        at = rng.randrange(len(data) + 1)
        return data[:at] + rng.randbytes(rng.randrange(1, 40)) + data[at:]
    for _ in range(rng.choice([1, 1, 4, 30])):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def strange_archive(path: Path, rng: random.Random) -> None:
    """Another header with a right checksum, or an array of other numbers."""
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    if rng.random() < 0.2:
        name = rng.choice([name for name in members if name.endswith(".npy")])
        members[name] = strange_bytes(members[name], rng)
    else:
        header = json.dumps(strange_value(json.loads(members["checkpoint.json"]), rng)).encode()
        members["checkpoint.json"] = header if rng.random() < 0.9 else strange_bytes(header, rng)
    with zipfile.ZipFile(path, "w", rng.choice([zipfile.ZIP_STORED] * 9 + [zipfile.ZIP_DEFLATED])) as new:
        for name, data in members.items():
            new.writestr(name, data)
        new.comment = archive._checksum(members["checkpoint.json"]).encode()


def strange_list(path: Path, rng: random.Random) -> None:
    """A .safetensors file with another list of arrays, or with another length of the list."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    listed = json.dumps(strange_value(json.loads(data[8:8 + length]), rng)).encode()
    said = len(listed) if rng.random() < 0.9 else rng.choice([0, 1, 10**9, 2**63, 2**64 - 1, len(data)])
    path.write_bytes(said.to_bytes(8, "little") + listed + data[8 + length:])


def strange_headers(path: Path, rng: random.Random) -> None:
    """An .npz file of which one array has another shape, dtype or order, or occurs twice."""
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    chosen = rng.choice(list(members))
    shape = tuple(rng.choices([0, 1, 8, -1, 2**31, 2**62, 2**70, True, 2.5], k=rng.choice([0, 1, 2, 2, 3, 65])))
    header = repr({"descr": rng.choice(["<f4", ">f8", "<f2", "|O", "|V4", "<c8", "<M8[s]", "|S0", "<U500000000",
                                        "f4,f4", [("a", "<f4")], "", None]),
                   "fortran_order": rng.choice([False, True, 0, None]), "shape": shape}).encode()
    members[chosen] = b"\x93NUMPY\2\0" + len(header).to_bytes(4, "little") + header + bytes(32)
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as new:
        warnings.simplefilter("ignore")                             # zipfile warns of two equal names
        for name in [*members, *[chosen] * rng.choice([0, 0, 0, 1])]:
            new.writestr(name, members[name])


def strange_json(path: Path, rng: random.Random) -> None:
    path.write_text(json.dumps(strange_value(json.loads(path.read_text()), rng)))


def read_run(path: Path) -> None:
    run = RunFolder(path.parent.parent)
    run.checkpoints.best()
    run.model()


def read_quantised(path: Path) -> None:
    unpack_model(GPT(CONFIG), *load(path))


def read_zeros(path: Path) -> None:
    unpack_sparse(GPT(CONFIG), *load(path))


def batch_file() -> bytes:
    """The bytes of an .npz file with a batch."""
    file = io.BytesIO()
    np.savez(file, inputs=np.zeros((2, 4), int), targets=np.ones((2, 4), int))
    return file.getvalue()


def files(folder: Path) -> dict[Path, tuple[Callable[[Path], object],
                                            Callable[[Path, random.Random], object] | None]]:
    """One file of each kind: who reads it, and how its values are changed (None: its bytes alone)."""
    one, model = trainer(), GPT(CONFIG)
    quantize_weights(model)
    (folder / "checkpoints").mkdir()
    archive.save(folder / "checkpoints" / "step-00000000.npz", *one.state())
    archive.save(folder / "quantised.npz", *pack_model(model))
    archive.save(folder / "zeros.npz", *pack_sparse(model))
    archive.save(folder / "sparse.npz", pack({"a": np.eye(30, dtype=np.float32)}), {})
    for name in ("gpt2.npz", "gpt2.safetensors"):
        save_gpt2(folder / name, CONFIG, GPT(CONFIG).state_dict())
    (folder / "schedule.json").write_text(json.dumps(to_json(make_schedule("zb-v", 2, 3))))
    (folder / "metrics.jsonl").write_text('{"step": 0, "loss": 2.5}\n' * 20)
    (folder / "text.txt").write_text(TEXT)
    save_tokenizer(folder / "tokenizer.json", BytePairTokenizer.learn(TEXT, 260))
    (folder / "machine.json").write_text(json.dumps(machine("a100-80g").to_dict()))
    (folder / "summary.txt").write_text("cost\n")
    (folder / "proof.json").write_text(json.dumps(PROOF))
    (folder / "teach.json").write_text(json.dumps({"section": 1, "predictions": {"tokens": "3"}}))
    exercises = StudentProgress(folder)
    exercises.entry("ring_shift").state = "passed"
    exercises.save()
    (folder / "layout.json").write_text(json.dumps({"tp": 2, "heads": 2, "shards": {"wte.weight": 0}}))
    (folder / "batch.npz").write_bytes(batch_file())
    return {
        folder / "machine.json": (lambda path: machine(str(path)), strange_json),
        folder / "proof.json": (lambda path: page(folder, parse_json(path.read_bytes(), path, ConfigError)),
                                strange_json),
        folder / "teach.json": (read_progress, strange_json),
        folder / FILE: (lambda path: StudentProgress(path.parent), strange_json),
        folder / "layout.json": (read_layout, strange_json),
        folder / "batch.npz": (lambda path: read_batch(path, CONFIG), strange_headers),
        folder / "checkpoints" / "step-00000000.npz": (read_run, strange_archive),
        folder / "quantised.npz": (read_quantised, strange_archive), folder
        / "zeros.npz": (read_zeros, strange_archive),
        folder / "sparse.npz": (lambda path: unpack(load(path)[0]), strange_archive),
        folder / "gpt2.npz": (lambda path: load_gpt2(path, 2), strange_headers),
        folder / "gpt2.safetensors": (lambda path: load_gpt2(path, 2), strange_list),
        folder / "tokenizer.json": (load_tokenizer, strange_json),
        folder / "schedule.json": (lambda path: lint(load_json(path)), strange_json),
        folder / "metrics.jsonl": (lambda path: list(read_metrics(path)), None), folder
        / "text.txt": (load_text, None)}


def fuzz(rounds: int, seed: int) -> dict[str, int]:
    """How many files were read and refused; raises AssertionError for whatever else happens, with the seed in
    it.
    """
    found = {"read": 0, "refused": 0}
    with tempfile.TemporaryDirectory() as name:
        kinds = files(Path(name))
        for number in range(rounds):
            for path, (read, change) in kinds.items():
                rng, before = random.Random(f"{seed} {number} {path.name}"), path.read_bytes()
                if change is not None and rng.random() < 0.7:
                    change(path, rng)
                else:
                    path.write_bytes(strange_bytes(before, rng))
                began, where = time.perf_counter(), f"seed {seed}, round {number}, {path.name}"
                try:
                    read(path)
                    found["read"] += 1
                except MiniparError as error:
                    assert len(str(error)) < 500 and str(error).isprintable(), f"{where}: {error!r}"
                    found["refused"] += 1
                except BaseException as error:
                    raise AssertionError(f"{where}: {type(error).__name__}: {error}") from error
                assert time.perf_counter() - began < SECONDS, f"{where}: took too long"
                path.write_bytes(before)
    return found


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    how_many, first = (*map(int, sys.argv[1:]), *(300, 0)[len(sys.argv) - 1:])
    print(f"seed {first}: {fuzz(how_many, first)}")
