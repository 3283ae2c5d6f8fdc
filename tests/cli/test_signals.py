"""A signal that asks to stop, to any rank or several, on every engine: the state saved, one line, the
signal's exit status.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from minipar.checkpoint.folder import Checkpoints
from minipar.cli.interruption import STOPPING, Interruption
from minipar.training.step_result import StepResult
from minipar.training.trainer import Trainer
from tests.commands import call
from tests.ranks import mpirun
from tests.tiny import options

# `minipar ARGUMENT...` on each rank; those named as RANK=SIGNAL,... send themselves a signal within their
# third step.
PROGRAM = """
import os, signal, sys
from minipar.cli import main
from minipar.training.trainer import Trainer
rank = os.environ.get("PMI_RANK", os.environ.get("OMPI_COMM_WORLD_RANK"))
number = dict(pair.split("=") for pair in sys.argv[1].split(",")).get(rank)
step = Trainer.step
def interrupted(trainer):
    if trainer.steps_done == 2 and number:
        os.kill(os.getpid(), int(number))
    return step(trainer)
Trainer.step = interrupted
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.mpi
@pytest.mark.parametrize("signals", [
    {1: signal.SIGTERM}, {1: signal.SIGINT}, {0: signal.SIGHUP, 1: signal.SIGUSR1}],
                         ids=["TERM to 1", "INT to 1", "two to two"])
def test_ranks_of_mpirun(signals: dict[int, signal.Signals], tmp_path: Path) -> None:
    asked = ",".join(f"{rank}={int(number)}" for rank, number in signals.items())
    words = [asked, "train", *options(tmp_path), "--dp", "2", "--out", str(tmp_path / "run")]
    done = mpirun(2, [sys.executable, "-c", PROGRAM, *words], limit=60)
    largest = max(signals.values())
    assert done.returncode == 128 + largest, done.stdout
    assert done.stdout.count(f"stopped by {largest.name} after step 3 of 20, saved; go on with: ") == 1
    assert "Traceback" not in done.stdout
    assert Checkpoints(tmp_path / "run"
                       / "checkpoints").latest() == tmp_path / "run" / "checkpoints" / "step-00000003.npz"


@pytest.mark.parametrize("words", [[], ["--dp", "2", "--engine", "threads"]], ids=["one process", "threads"])
@pytest.mark.parametrize("number", STOPPING)
def test_one_process(number: signal.Signals, words: list[str], tmp_path: Path,
                     monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    step = Trainer.step

    def interrupted(trainer: Trainer) -> StepResult:
        if trainer.steps_done == 2 and trainer.grid.world.rank == 0:
            os.kill(os.getpid(), number)
        return step(trainer)

    monkeypatch.setattr(Trainer, "step", interrupted)
    before = signal.getsignal(number)
    assert call("train", *options(tmp_path), *words, "--out", tmp_path / "run") == 128 + number
    out, err = capsys.readouterr()
    assert out == "" and err.count(f"stopped by {number.name} after step") == 1 and "Traceback" not in err
    assert signal.getsignal(number) == before
    assert call("train", "--resume", tmp_path / "run", *words, "--steps", 5) == 0


def test_a_warning_and_then_a_request_to_end_are_one_wish() -> None:
    """As Slurm and systemd send them. Only a second Ctrl-C ends the process at once."""
    with Interruption() as interruption:
        for number in (signal.SIGUSR1, signal.SIGHUP, signal.SIGTERM, signal.SIGTERM):
            signal.raise_signal(number)
        assert interruption.number == signal.SIGUSR1
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interruption() as interruption:
            signal.raise_signal(signal.SIGHUP)
            assert interruption.number == 0
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
