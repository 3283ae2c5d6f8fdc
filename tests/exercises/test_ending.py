"""A job that ignores SIGTERM is killed, also if another process keeps its pipe open. A signal to the grader or
to the doctor ends all processes that it started.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from multiprocessing import active_children
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from minipar.cli.interruption import interrupted_by_signals
from minipar.doctor.checkup import Host, run_job
from minipar.exercises import broker, mpirun
from minipar.exercises.catalogue import find
from minipar.exercises.tasks import graded_calls
from minipar.exercises.whole_class import Assignment, grades

STUBBORN = ("import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); {} "
            "os.write(1, b'%d\\n' % os.getpid()); time.sleep(60)")


@pytest.mark.parametrize("first", ["", "os.fork() or os.setsid();"])
def test_a_job_that_ignores_sigterm(first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mpirun, "ENDING", 0.3)
    job = subprocess.Popen([sys.executable, "-c", STUBBORN.format(first)], text=True, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, start_new_session=True)
    assert job.stdout is not None
    pids = [int(job.stdout.readline()) for _ in range(2 if first else 1)]
    began = time.monotonic()
    try:
        assert mpirun._ended(job) == "" and time.monotonic() - began < 30     # the job sleeps for 60 s
        assert job.wait(30) == -signal.SIGKILL
    finally:
        job.stdout.close()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def signal_after(seconds: float) -> None:
    """Send this process SIGTERM after some seconds."""
    threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGTERM)).start()


def running_in(folder: Path) -> list[str]:
    """The processes, except this one, whose temporary files are in the folder. Waits until they have ended,
    for at most 10 s.
    """
    until = time.monotonic() + 10
    while (found := now_running_in(folder)) and time.monotonic() < until:
        time.sleep(0.05)
    return found


def now_running_in(folder: Path) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"TMPDIR={folder}".encode() in (path / "environ").read_bytes().split(b"\0") \
                    and int(path.name) != os.getpid():
                found.append((path / "cmdline").read_text())
    return [line for line in found if line and "resource_tracker" not in line]


SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]


@pytest.mark.parametrize("start", [lambda: mpirun._job(".", 2, 50.0),
                                   lambda: run_job(Host.here(os.environ), "x", lambda *_: SLEEP, 2, "hello")],
                         ids=["exercise", "doctor"])
def test_a_signal_ends_the_job(start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mpirun, "launch_command", lambda *_, **__: SLEEP)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with pytest.raises(KeyboardInterrupt), interrupted_by_signals():
        signal_after(0.3)
        start()
    assert running_in(tmp_path) == []


def test_a_signal_is_no_error_of_the_submission(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was one: Ctrl-C gave the student no points."""
    monkeypatch.setattr(broker, "run", mock.Mock(side_effect=KeyboardInterrupt))
    exercise = find("ring_shift")
    with pytest.raises(KeyboardInterrupt):
        broker.one_call(mock.Mock(**{"first.return_value": []}), graded_calls(exercise, 0)[0], 1.0)


def test_a_signal_ends_the_grading_of_a_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for student in ("a", "b", "c", "d"):
        (tmp_path / student).mkdir()
        (tmp_path / student / "ring_shift.py").write_text("def shift(comm, x):\n    while True: pass\n")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folders = [tmp_path / student for student in ("a", "b", "c", "d")]
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), interrupted_by_signals():
        signal_after(3.0)
        list(grades(Assignment(folders, ["ring_shift"], limit=30.0, jobs=2)))
    assert time.monotonic() - began < 15 and active_children() == []
    assert running_in(tmp_path) == []
    assert list(tmp_path.glob("minipar-exercise-*")) == []
