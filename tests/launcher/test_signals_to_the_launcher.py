"""A signal to the launcher, not to a rank: what of a training is saved, and what is said. HOSTS.md has the
table.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from minipar.checkpoint.folder import Checkpoints
from minipar.launcher.launch import Launcher, find_launcher, launch_command, rank_environment
from tests.tiny import options

OPEN_MPI = "Open MPI"


def interrupted(folder: Path, number: signal.Signals) -> tuple[int, str]:
    """The exit status of `minipar launch`, and what was printed, when it gets a signal during a training."""
    words = [sys.executable, "-m", "minipar"]
    train = [*words, "train", *options(folder, steps=3000), "--dp", "2", "--out", str(folder / "run")]
    steps = folder / "run" / "metrics.jsonl"
    with subprocess.Popen([*words, "launch", "-n", "2", *train], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as job:
        end = time.monotonic() + 60
        while not (steps.exists() and steps.stat().st_size) and job.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        job.send_signal(number)
        said, _ = job.communicate(timeout=60)
    return job.returncode, said


def hung_up(folder: Path, launcher: Launcher) -> tuple[int, str]:
    """The exit status of mpirun itself, and what was printed, when it gets SIGHUP during a training."""
    train = [sys.executable, "-m", "minipar", "train", *options(folder, steps=3000), "--dp", "2", "--out",
             str(folder / "run")]
    steps = folder / "run" / "metrics.jsonl"
    line = launch_command(launcher, 2, train, root=os.geteuid() == 0)
    with subprocess.Popen(line, stdin=subprocess.DEVNULL, text=True, env=rank_environment(os.environ),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as job:
        end = time.monotonic() + 60
        while not (steps.exists() and steps.stat().st_size) and job.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        job.send_signal(signal.SIGHUP)
        said, _ = job.communicate(timeout=60)
    return job.returncode, said


@pytest.mark.mpi
def test_the_end_of_the_launcher_is_told(tmp_path: Path) -> None:
    """SIGHUP kills MPICH's launcher. Open MPI's launcher stops forwarding the output of the ranks, which save
    the state.
    """
    launcher = find_launcher(rank_environment(os.environ)["PATH"])
    assert launcher is not None
    status, said = hung_up(tmp_path, launcher)
    assert status, said
    if launcher.kind == OPEN_MPI:
        assert said.count("stopped by SIG") == 1, said
    else:
        assert re.search(r"^CommError: .*; the launcher, process \d+, has ended", said, re.MULTILINE), said
        assert said.count("CommError") == 1, said


@pytest.mark.mpi
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_training_can_go_on(number: signal.Signals, tmp_path: Path) -> None:
    """SIGUSR1: saved, one line, 128 + its number, under both MPIs. SIGTERM: at least the last checkpoint is
    whole, and the exit status is not 0.
    """
    launcher = find_launcher(rank_environment(os.environ)["PATH"])
    assert launcher is not None
    status, said = interrupted(tmp_path, number)
    if number == signal.SIGUSR1 or launcher.kind != OPEN_MPI:
        assert status == 128 + number, said
    assert status and "Traceback" not in said
    if number == signal.SIGUSR1:
        assert said.count("stopped by SIGUSR1 after step") == 1, said
    latest = Checkpoints(tmp_path / "run" / "checkpoints").latest()
    assert latest is not None
    step = int(latest.stem.partition("-")[2])
    done = subprocess.run([sys.executable, "-m", "minipar", "train", "--resume", str(tmp_path / "run"),
                           "--steps",
                           str(step + 1)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
