"""Runs a program: with minipar on ranks that are threads or processes, or with plain mpi4py under mpirun."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from minipar.launcher.launch import find_launcher, launch_command, rank_environment
from tests.commands import command


def under_mpirun(size: int, *words: object, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """A command on so many ranks."""
    environment = rank_environment(os.environ)
    launcher = find_launcher(environment["PATH"])
    assert launcher is not None, "mpirun is missing: pip install mpich"
    line = launch_command(launcher, size, [str(word) for word in words], root=os.geteuid() == 0)
    return subprocess.run(line, capture_output=True, text=True, timeout=timeout, check=False, env=environment)


def as_processes(size: int, program: Path, *words: object, before: Iterable[str] = (),
                 timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """mpirun -n SIZE minipar run BEFORE PROGRAM WORDS"""
    return under_mpirun(size, *command("run"), *before, program, *words, timeout=timeout)


def as_plain_mpi4py(
    size: int, program: Path, *words: object, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """mpirun -n SIZE python PROGRAM WORDS"""
    return under_mpirun(size, sys.executable, program, *words, timeout=timeout)
