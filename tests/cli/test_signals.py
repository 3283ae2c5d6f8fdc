"""A signal that asks to stop, to any rank or several, on every engine: the state saved, one line, the
signal's exit status.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from minipar.checkpoint.folder import Checkpoints
from minipar.cli.interruption import PAUSE, STOPPING, Interruption, interrupted_by_signals
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


@pytest.mark.parametrize("number", [*STOPPING, signal.SIGQUIT])
def test_every_other_command_says_which_signal_ended_it(number: signal.Signals,
                                                        monkeypatch: pytest.MonkeyPatch,
                                                        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("minipar.cli.lesson.lessons_folder", lambda: signal.raise_signal(number))
    before = signal.getsignal(number)
    assert call("lesson", "list") == 128 + number
    out, err = capsys.readouterr()
    said = "interrupted" if number == signal.SIGINT else number.name
    assert out == "" and err.count("\n") == 1 and said in err and signal.getsignal(number) == before


# `minipar generate` on two ranks; the rank sys.argv[1] gets the signal sys.argv[2] while the other one waits.
GENERATE = """
import os, signal, sys
from minipar.cli import generate, main
def model(grid, options):
    if grid.world.rank == int(sys.argv[1]):
        os.kill(os.getpid(), int(sys.argv[2]))
    grid.world.barrier()
generate.text_model = model
sys.exit(main(["generate", "--run", "x", "--prompt", "p", "--tp", "2"]))
"""


@pytest.mark.mpi
@pytest.mark.parametrize("rank, number", [(0, signal.SIGQUIT), (1, signal.SIGHUP), (1, signal.SIGUSR2)])
def test_ranks_of_another_command(rank: int, number: signal.Signals) -> None:
    done = mpirun(2, [sys.executable, "-c", GENERATE, str(rank), str(int(number))], limit=60)
    assert done.returncode == 128 + number, done.stdout
    assert done.stdout.count(f"rank {rank} of 2 was stopped by {number.name}") == 1
    assert "Traceback" not in done.stdout


def test_more_signals_do_not_disturb_the_end_of_a_command() -> None:
    with pytest.raises(KeyboardInterrupt) as caught, interrupted_by_signals():
        try:
            signal.raise_signal(signal.SIGUSR1)
        finally:
            for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGHUP):
                signal.raise_signal(number)
            assert signal.getsignal(signal.SIGQUIT) == signal.SIG_DFL      # Ctrl-\\ ends it at once
    assert caught.value.args == (signal.SIGUSR1,)


def test_a_signal_whose_error_was_lost_can_be_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python drops an error that is raised within a callback of its own."""
    monkeypatch.setattr("minipar.cli.interruption.CLEAN_UP", 0.01)
    with pytest.raises(KeyboardInterrupt), interrupted_by_signals():
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        time.sleep(0.02)
        signal.raise_signal(signal.SIGTERM)


class Destroyed:
    """Python drops an error of a destructor."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGQUIT)


class Referred:
    """Python drops an error of a weak reference's callback."""


def destructor() -> None:
    Destroyed()


def callback() -> None:
    referred = Referred()
    keep = weakref.ref(referred, lambda _: signal.raise_signal(signal.SIGQUIT))
    del referred
    assert keep() is None


def cleared() -> None:
    """Some functions in C clear every error, as this code does."""
    with suppress(BaseException):
        signal.raise_signal(signal.SIGQUIT)


@pytest.mark.parametrize("lose", [destructor, callback, cleared])
def test_a_signal_whose_error_was_lost_comes_again(lose: Callable[[], None],
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    with pytest.raises(KeyboardInterrupt) as caught, interrupted_by_signals():
        lose()
        time.sleep(10)
    assert caught.value.args == (signal.SIGQUIT,)


def test_a_signal_that_ended_a_command_does_not_come_again(capsys: pytest.CaptureFixture[str]) -> None:
    def run(options: object) -> int:
        signal.raise_signal(signal.SIGTERM)
        return 0

    with mock.patch("minipar.cli.doctor.run", run):
        assert call("doctor") == 128 + signal.SIGTERM
        time.sleep(3 * PAUSE)
    assert capsys.readouterr().err.count("stopped by SIGTERM") == 1


def test_a_warning_and_then_a_request_to_end_are_one_wish() -> None:
    """As Slurm and systemd send them. Only a second Ctrl-C ends the process at once."""
    with Interruption() as interruption:
        for number in (signal.SIGUSR1, signal.SIGHUP, signal.SIGTERM, signal.SIGTERM):
            signal.raise_signal(number)
        assert interruption.number == signal.SIGUSR1
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("handling", [Interruption, interrupted_by_signals])
def test_what_nohup_ignores_stays_ignored(handling: Callable[[], AbstractContextManager[Any]]) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with handling() as interruption:
            signal.raise_signal(signal.SIGHUP)
            assert interruption is None or interruption.number == 0
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
