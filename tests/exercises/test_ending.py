"""A job that ignores SIGTERM is killed, also if another process keeps its pipe open."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from minipar.exercises import mpirun

STUBBORN = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); {} print(os.getpid(), flush=True); time.sleep(60)"


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
