"""`minipar reshard`: a run as rank files, rank files as a run that goes on to the same bits; kills leave
nothing half.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from minipar.checkpoint.archive import load
from minipar.checkpoint.folder import Checkpoints
from minipar.cli import main
from tests.checkpoint.kills import Killer
from tests.cli.test_full_disk import largest_file
from tests.commands import call, refused
from tests.tiny import contents, options, same_bits


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped after 3 of 6 steps."""
    folder = tmp_path_factory.mktemp("run")
    words = options(folder, steps=3, layers=2, warm_up=1, validate_every=3, save_every=3)
    assert call("train", *words, "--schedule", "constant", "--out", folder / "run") == 0
    return folder / "run"


def last(folder: Path) -> tuple[dict[str, np.ndarray], dict]:
    path = Checkpoints(folder / "checkpoints").latest()
    assert path is not None
    return load(path)


LAYOUTS = [
    "--dp 2 --tp 2 --pp 2 --zero 1",
    "--dp 3 --zero 3 --format safetensors",
    "--pp 2 --stage-layers 2,0",
    "--dp 1",
]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_goes_on_to_the_same_bits(layout: str, run: Path, tmp_path: Path) -> None:
    assert call("reshard", run, "--out", tmp_path / "ranks", *layout.split()) == 0
    assert (
        call("reshard", tmp_path / "ranks", "--out", tmp_path / "other", "--tp", 2, "--dp", 2, "--zero", 2)
        == 0
    )
    assert call("reshard", tmp_path / "other", "--out", tmp_path / "back") == 0
    (arrays, meta), (expected, wanted) = last(tmp_path / "back"), last(run)
    assert same_bits(arrays, expected) and meta == wanted
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "other", "ranks"]
    if layout == LAYOUTS[0]:
        (tmp_path / "plain").mkdir()
        for name, data in contents(run).items():
            (tmp_path / "plain" / name).parent.mkdir(exist_ok=True, parents=True)
            (tmp_path / "plain" / name).write_bytes(data)
        for folder in ("plain", "back"):
            assert call("train", "--resume", tmp_path / folder, "--steps", 6) == 0
        assert same_bits(last(tmp_path / "back")[0], last(tmp_path / "plain")[0])
        assert last(tmp_path / "back")[1]["done"] == 6


def test_one_line_for_mistakes(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target, before = tmp_path / "target", contents(run)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("precious")
    (tmp_path / "file").write_text("precious")
    for words, said in [
            ((run, "--out", target), "give --dp"), (("nowhere", "--out", target), "nowhere"),
            (("nowhere", "--out", target, "--dp", 2), "holds no checkpoint"), ((run, "--dp", 2), "--out"),
            ((run, "--out", tmp_path / "full", "--dp", 2), "exists already"),
            ((run, "--out", run, "--dp", 2), "exists"),
            ((run, "--out", tmp_path / "file", "--dp", 2), "exists already"),
            ((run, "--out", tmp_path / "file" / "x", "--dp", 2), "cannot write"),
            ((run, "--out", target, "--tp", 3), "heads"), ((run, "--out", target, "--pp", 3), "layers"),
            ((run, "--out", target, "--dp", 0), "dp is 0"),
            ((run, "--out", target, "--zero", 4), "zero is 4"),
            ((run, "--out", target, "--dp", 5000), "files"), ((run, "--out", target, "--dp", "x"), "--dp"),
            ((run, "--out", target, "--pp", 2, "--stage-layers", "3,0"), "layers"),
            ((run, "--out", target, "--pp", 2, "--pipeline", "nothing"), "nothing"),
            ((run, "--out", target, "--dp", 2, "--format", "pt"), "--format")]:
        assert said in refused(capsys, "reshard", *words), words
    assert "heads" in refused(capsys, "reshard", run, "--out", tmp_path / "a" / "b" / "c", "--tp", 3)
    with largest_file(3000):
        assert "File too large" in refused(capsys, "reshard", run, "--out", tmp_path / "a" / "b", "--dp", 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full"] and contents(run) == before
    assert contents(tmp_path / "full") == {"mine": b"precious"}


def killed_at(words: list[str], folder: Path, at: int) -> bool:
    """Whether `minipar` was killed at its file operation number `at`; False if it came to its end."""
    child = os.fork()
    if child == 0:
        silence = os.open(os.devnull, os.O_RDWR)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        sys.stdout, sys.stderr = (io.TextIOWrapper(io.FileIO(file, "w")) for file in (1, 2))
        Killer(folder, at, half=at % 2 == 0).install()
        os._exit(main(words))
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.parametrize("gathers", [False, True])
def test_a_kill_leaves_nothing_half(gathers: bool, run: Path, tmp_path: Path) -> None:
    """At every 37th operation on files. The next command then succeeds, and removes what was left."""
    source = run
    if gathers:
        source = tmp_path / "ranks"
        assert call("reshard", run, "--out", source, "--tp", 2) == 0
    target, at = tmp_path / "new" / "target", 1 + 3 * gathers
    words = ["reshard", str(source), "--out", str(target), *([] if gathers else ["--dp", "2", "--zero", "1"])]
    while killed_at(words, tmp_path / "new", at):
        assert not target.exists() or complete(target, gathers)
        at += 37
        if target.exists():
            break
    if not target.exists():
        assert main(words) == 0
    assert complete(target, gathers) and at > 4
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["target"]


def complete(target: Path, gathers: bool) -> bool:
    files = {os.path.relpath(path, target) for path in target.rglob("*") if path.is_file()}
    wanted = {"config.json", "checkpoints/step-00000003.npz"} if gathers else \
        {"rank0.npz", "rank1.npz", "layout.json", "training.json"}
    return files == wanted
