"""A run that was killed between its last step and its summary is finished by --resume; a finished one says
so.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.commands import call, refused
from tests.tiny import contents, losses, options


def test_a_finished_run_shows_its_summary(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(done)
    capsys.readouterr()
    assert call("train", "--resume", done) == 0
    out, err = capsys.readouterr()
    assert out == (done / "summary.txt").read_text() and err.count("\n") == 1
    assert "is finished" in err and "--steps 40" in err and contents(done) == before


@pytest.mark.parametrize("words", [[], ["--dp", "2", "--engine", "threads"]], ids=["one process", "threads"])
@pytest.mark.parametrize("missing", [["summary.txt"], ["summary.txt", "loss.png"]])
def test_what_is_missing_is_made(missing: list[str], words: list[str], done: Path,
                                 capsys: pytest.CaptureFixture[str]) -> None:
    before, lines = contents(done), losses(done)
    for name in missing:
        (done / name).unlink()
    for folder in (done, done / "checkpoints"):
        (folder / "summary.txt.0123abcd.tmp").write_text("left over by a kill")
    shutil.copy(done / "checkpoints" / "step-00000018.npz", done / "checkpoints" / "step-00000002.npz")
    assert call("train", "--resume", done, *words) == 0
    after = contents(done)
    assert after.keys() == before.keys() and losses(done) == lines
    checkpoints = [name for name in before if name.startswith("checkpoints")]
    assert all(after[name] == before[name] for name in checkpoints)
    assert after["summary.txt"].splitlines()[0] == before["summary.txt"].splitlines()[0]


def test_a_trace_that_was_asked_for_is_remembered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert call("train", *options(tmp_path, steps=2), "--trace", "--out", run) == 0
    (run / "summary.txt").unlink()
    shutil.rmtree(run / "trace")
    assert call("train", "--resume", run) == 0
    assert (run / "trace" / "summary.json").exists() and "predicted" in (run / "summary.txt").read_text()


def test_more_steps_that_were_asked_for_are_remembered(done: Path, capsys: pytest.CaptureFixture[str],
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before the first checkpoint of the new steps: no --steps is needed to go on."""
    with monkeypatch.context() as patch:
        patch.setattr("minipar.cli.train._train", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            call("train", "--resume", done, "--steps", 23)
    assert not (done / "summary.txt").exists()
    assert call("train", "--resume", done) == 0
    assert "23 steps" in (done / "summary.txt").read_text() and losses(done)[-1]["step"] == 22


def test_stopped_at_a_step_that_becomes_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    numbers = iter([0, 0, 0, 15])
    with monkeypatch.context() as patch:
        patch.setattr("minipar.training.fit.agree", lambda *_: next(numbers))
        assert call("train", *options(tmp_path), "--out", run) == 128 + 15
    assert call("train", "--resume", run, "--steps", 3) == 0
    assert "validation loss" in (run / "summary.txt").read_text()
    assert [line["step"] for line in losses(run) if "validation" in line] == [2]
    assert "is after 3 steps" in refused(capsys, "train", "--resume", run, "--steps", 2)
