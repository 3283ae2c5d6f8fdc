"""A disk that fills at each place where a run writes: one line, and nothing of what was there before is lost.

A quota on the size of a file stands in for a full disk wherever we run; where we may mount one, a small disk
does the rest.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from minipar.checkpoint.archive import load
from minipar.checkpoint.folder import Checkpoints
from tests.commands import call, stopped
from tests.tiny import contents, losses, options


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process grows beyond `size` bytes: the write fails with an error, as on a full disk.

    Python writes no bytecode meanwhile: it would keep the part of a module that has room.
    """
    before, bytecode = resource.getrlimit(resource.RLIMIT_FSIZE), sys.dont_write_bytecode
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        sys.dont_write_bytecode = bytecode


def test_no_room_for_the_first_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words, run = options(tmp_path), tmp_path / "run"
    with largest_file(5000):
        assert f"cannot write {run / 'checkpoints' / 'step-00000000.npz'}: File too large" in stopped(
            capsys, "train", *words, "--out", run)
    assert list(contents(run)) == ["config.json"]
    assert call("train", *words, "--out", run) == 0  # once there is room, the same command works


def test_no_room_for_the_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words, run = options(tmp_path), tmp_path / "run"
    with largest_file(100):
        assert f"cannot write {run / 'config.json'}" in stopped(capsys, "train", *words, "--out", run)
    assert contents(run) == {}


@pytest.fixture
def checkpoint_size(pristine: Path) -> int:
    return (pristine / "run" / "checkpoints" / "step-00000020.npz").stat().st_size


def test_no_room_for_the_picture(tmp_path: Path, checkpoint_size: int,
                                 capsys: pytest.CaptureFixture[str]) -> None:
    words, run = options(tmp_path), tmp_path / "run"
    with largest_file(checkpoint_size + 1000):
        capsys.readouterr()
        assert call("train", *words, "--out", run) == 0             # a picture never fails a finished run
    told = capsys.readouterr()
    assert (
        "no picture loss.png" in told.err and "File too large" in told.err and "validation loss" in told.out
    )
    assert load(run / "checkpoints"
                / "step-00000020.npz")[1]["done"] == 20 and not list(run.glob("loss.png*"))


def test_no_room_for_metrics(pristine: Path, tmp_path: Path, checkpoint_size: int,
                             capsys: pytest.CaptureFixture[str]) -> None:
    """They outgrow the quota, mostly in the middle of a line, at a step between two checkpoints; the run then
    goes on from the last.
    """
    words, run = options(pristine, steps=1000, schedule="constant", save_every=100,
                         validate_every=1000), tmp_path / "run"
    with largest_file(checkpoint_size + 1000):
        assert f"cannot write {run / 'metrics.jsonl'}: File too large" in stopped(
            capsys, "train", *words, "--out", run
        )
    path = Checkpoints(run / "checkpoints").latest()
    assert path is not None
    reached = load(path)[1]["done"]
    assert 0 < reached < len(losses(run))
    assert call("train", "--resume", run, "--steps", reached + 3) == 0
    assert [line["step"] for line in losses(run) if "loss" in line] == list(range(reached + 3))


def test_resume_without_room_loses_no_metrics(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(done)
    with largest_file(1000):
        assert f"cannot write {done / 'metrics.jsonl'}" in stopped(capsys, "train", "--resume", done,
                                                                   "--steps", 40)
    assert contents(done) == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 100 KiB: room for a few checkpoints, not for a run."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting needs root; the quotas stand in")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_small_disk(small_disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words, run = options(tmp_path), small_disk / "run"
    (small_disk / "other").write_bytes(bytes(40_000))
    assert "No space left on device" in stopped(capsys, "train", *words, "--out", run)
    latest = Checkpoints(run / "checkpoints").latest()
    assert latest is not None and load(latest)[1]["done"] < 20 and not list(run.rglob("*.tmp"))
    assert "No space left on device" in stopped(capsys, "train", "--resume", run)     # still full
    subprocess.run(["mount", "-o", "remount,size=1m", str(small_disk)], check=True)
    assert call("train", "--resume", run) == 0
    assert call("train", *words, "--out", tmp_path / "whole") == 0
    assert (
        contents(run)["checkpoints/step-00000020.npz"]
        == contents(tmp_path / "whole")["checkpoints/step-00000020.npz"]
    )
    assert losses(run) == losses(tmp_path / "whole")


def test_no_room_for_a_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A failed write does not name its file, so the caller does."""
    words = ["trace", "--pp", 2, "--layers", 2, "--width", 8, "--heads", 2, "--context", 8,
             "--engine", "threads", "--out"]
    with largest_file(100):
        assert "trace.json: File too large" in stopped(capsys, *words, tmp_path / "trace")
