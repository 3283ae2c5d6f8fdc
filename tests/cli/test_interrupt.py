"""Ctrl-C, SIGTERM and kill -9: what is saved, what is said, and that the run goes on to the bits of one never
stopped.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from minipar.checkpoint.archive import load
from minipar.checkpoint.folder import Checkpoints
from minipar.training.step_result import StepResult
from minipar.training.trainer import Trainer
from tests.commands import call, command
from tests.tiny import contents, losses, options

ENDLESS = 10**6
NOISY = dict(dropout=0.2, micro_batches=3)
SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


def steps_done(run: Path) -> int:
    latest = Checkpoints(run / "checkpoints").latest()
    assert latest is not None
    return load(latest)[1]["done"]


@pytest.fixture(scope="session")
def never_stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 20 steps with the cosine schedule, dropout and micro-batches, which nobody interrupted."""
    folder = tmp_path_factory.mktemp("never_stopped")
    assert call("train", *options(folder, **NOISY), "--out", folder / "run") == 0
    return folder


@pytest.mark.parametrize("after, number, status", [
    # 6: save_every
    (1, signal.SIGINT, 130), (6, signal.SIGTERM, 143), (13, signal.SIGINT, 130), (19, signal.SIGTERM, 143)])
def test_interrupted_and_resumed_is_never_stopped(after: int, number: signal.Signals, status: int,
                                                  never_stopped: Path,
                                                  tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    """The signal comes within a step, which is finished first."""
    run, step = tmp_path / "run", Trainer.step

    def interrupted(trainer: Trainer) -> StepResult:
        if trainer.steps_done == after - 1:
            os.kill(os.getpid(), number)
        return step(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", interrupted)
        capsys.readouterr()
        assert call("train", *options(never_stopped, **NOISY), "--out", run) == status
    out, err = capsys.readouterr()
    assert f"\n{err}".endswith(f"\nminipar train: stopped by {number.name} after step {after} of 20, saved; "
                        f"go on with: minipar train --resume {run}\n") and out == ""
    assert steps_done(run) == after and len([line for line in losses(run) if "loss" in line]) == after
    assert (run / "loss.png").exists()
    assert call("train", "--resume", run) == 0
    name = "checkpoints/step-00000020.npz"
    assert contents(run)[name] == contents(never_stopped / "run")[name]
    assert losses(run) == losses(never_stopped / "run")


@pytest.mark.parametrize("due", ["before", "after"])
def test_no_moment_is_missed(due: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal before the first step, and one between a step's checkpoint and the next step."""
    class Bar:
        def __init__(self, begin: int, end: int, *, shown: bool) -> None:
            self.updates = 0

        def __enter__(self) -> Bar:
            if due == "before":
                os.kill(os.getpid(), signal.SIGTERM)
            return self

        def __exit__(self, *exception: object) -> None: ...

        def show(self, step: StepResult, validation: float | None) -> None:
            self.updates += 1
            if self.updates == 7:
                os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("minipar.cli.train.TrainingProgress", Bar)
    assert call("train", *options(tmp_path), "--out", tmp_path / "run") == 143
    assert steps_done(tmp_path / "run") == (0 if due == "before" else 7)


def test_the_second_signal_ends_it_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    def stubborn(trainer: Trainer) -> StepResult:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("the second signal went unheard")

    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(Trainer, "step", stubborn)
    assert call("train", *options(tmp_path), "--out", tmp_path / "run") == 130
    assert capsys.readouterr().err.splitlines()[-1] == "minipar train: interrupted"
    assert steps_done(tmp_path / "run") == 0
    assert signal.getsignal(signal.SIGINT) is handler                # as it was before


def started(run: Path, *words: object) -> subprocess.Popen[str]:
    """`minipar train` in a process of its own that has done its first steps."""
    metrics = run / "metrics.jsonl"
    before = metrics.stat().st_size if metrics.exists() else 0
    process = subprocess.Popen(command("train", *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)
    limit = time.monotonic() + 120
    while not metrics.exists() or metrics.stat().st_size <= before:
        assert process.poll() is None and time.monotonic() < limit, process.communicate()
        time.sleep(0.002)
    return process


def same_as_never_stopped(folder: Path, run: Path, words: list[str]) -> None:
    """Resume the run for three steps more and hold it against one that does them all at once."""
    steps = steps_done(run) + 3
    assert call("train", "--resume", run, "--steps", steps) == 0
    assert call("train", *words, "--steps", steps, "--out", folder / "whole") == 0
    name = f"checkpoints/step-{steps:08d}.npz"
    assert contents(run)[name] == contents(folder / "whole")[name]
    assert [line for line in losses(run) if "loss" in line] == [line for line in losses(folder / "whole")
                                                                if "loss" in line]


def test_a_process_that_is_told_to_stop(tmp_path: Path) -> None:
    """Each signal once, the second time to a run that was resumed."""
    words, run = options(tmp_path, schedule="constant", steps=ENDLESS,
                         validate_every=ENDLESS), tmp_path / "run"
    for (number, status), where in zip(SIGNALS, (["--out"], ["--resume"]), strict=True):
        process = started(run, *words, *where, run)
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
        assert process.returncode == status and out == "" and "Traceback" not in err
        assert err.splitlines()[-1] == (f"minipar train: stopped by {number.name} after step "
                                        f"{steps_done(run)} of {ENDLESS}, "
                                        f"saved; go on with: minipar train --resume {run}")
    same_as_never_stopped(tmp_path, run, words)


def test_kill_at_any_moment(tmp_path: Path) -> None:
    """Checkpoints are so frequent that many kills fall into one. Every time, the run goes on from the last
    good one.
    """
    words = options(tmp_path, schedule="constant", steps=ENDLESS, save_every=2, validate_every=ENDLESS)
    run, moments, reached = tmp_path / "run", random.Random(0), []
    for attempt in range(3):
        process = started(run, *words, "--resume" if attempt else "--out", run)
        time.sleep(moments.uniform(0, 0.2))
        process.kill()
        process.communicate()
        reached.append(steps_done(run))
    assert reached == sorted(reached) and reached[-1] > 0
    same_as_never_stopped(tmp_path, run, words)
