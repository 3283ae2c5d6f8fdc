"""Launching ranks: the right flags for each launcher, the job's own exit status, and nobody left behind after
Ctrl-C.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from minipar.errors import ConfigError
from minipar.launcher.launch import Launcher, find_launcher, launch, launch_command, rank_environment
from tests.refusals import refused

Script = Callable[[str], str]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Makes an executable mpiexec of the given shell lines, alone in its folder; returns the folder."""
    def make(lines: str) -> str:
        path = tmp_path / "mpiexec"
        path.write_text(f"#!/bin/sh\n{lines}\n")
        path.chmod(0o755)
        return str(tmp_path)
    return make


@pytest.mark.parametrize("version, kind", [
    ("HYDRA build details:", "MPICH"), ("Intel(R) MPI Library for Linux* OS, Version 2021.13", "MPICH"),
    ("mpirun (Open MPI) 5.0.11", "Open MPI"), ("mpiexec (OpenRTE) 4.1.4", "Open MPI"),
    ("slurm 23.02", "unknown")])
def test_a_launcher_is_known_by_its_version(script: Script, version: str, kind: str) -> None:
    folder = script(f"echo '{version}'")
    assert find_launcher(folder) == Launcher(f"{folder}/mpiexec", kind)


def test_a_launcher_that_cannot_tell(script: Script, tmp_path: Path) -> None:
    assert find_launcher(str(tmp_path)) is None
    assert find_launcher(script("exit 1")) == Launcher(f"{tmp_path}/mpiexec", "unknown")


def test_flags() -> None:
    mpich, openmpi = Launcher("m", "MPICH"), Launcher("o", "Open MPI")
    assert launch_command(mpich, 8, ["a", "-b"], root=True) == ["m", "-n", "8", "a", "-b"]
    assert launch_command(mpich, 8, ["a"], root=False,
                          hostfile="hosts") == ["m", "-n", "8", "-f", "hosts", "a"]
    for root in (True, False):
        line = launch_command(openmpi, 2, ["a"], root=root, hostfile="hosts")
        assert line[:5] == ["o", "-n", "2", "--map-by", "slot:OVERSUBSCRIBE"] and line[-1] == "a"
        assert ("--allow-run-as-root" in line) == root
        assert (
            line[line.index("--hostfile") + 1] == "hosts"
            and line[line.index("-x") + 1] == "OPENBLAS_NUM_THREADS"
        )
    with refused(ConfigError, "MPICH", "Open MPI"):
        launch_command(Launcher("s", "unknown"), 2, ["a"], root=False)


def test_ranks_get_one_blas_thread_unless_told_otherwise() -> None:
    inherited = rank_environment({"PATH": "/usr/bin", "OMP_NUM_THREADS": "3", "X": "y"})
    assert (
        inherited["OPENBLAS_NUM_THREADS"] == "1"
        and inherited["OMP_NUM_THREADS"] == "3"
        and inherited["X"] == "y"
    )
    first, *_, last = inherited["PATH"].split(os.pathsep)
    assert Path(first, "python").exists() and last == "/usr/bin"


def test_ranks_run_and_their_status_comes_back(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import os, sys\n"
                       "from minipar.comm.mpi import world\n"
                       "rank = world().rank\n"
                       "open(sys.argv[1] + str(rank), 'w').write(os.environ['OPENBLAS_NUM_THREADS'])\n")
    assert launch(3, [str(program), f"{tmp_path}/rank"], os.environ) == 0
    assert {path.name: path.read_text()
            for path in tmp_path.glob("rank*")} == dict.fromkeys(["rank0", "rank1", "rank2"], "1")
    assert launch(2, ["python", "-c", "raise SystemExit(7)"], os.environ) == 7


@pytest.mark.parametrize("ranks, command, hostfile, complaint", [
    (0, ["python"], None, "cannot launch 0 ranks"), (2, [], None, "nothing to launch"),
    (10**9, ["python"], None, "at most 16,384"),
    (2, ["gone.py"], None, "no file gone.py"), (2, ["python"], "gone", "no file gone"),
    (2, ["no-such-command"], None, "no such command"),
    (2, ["./setup.cfg"], None, "cannot launch ./setup.cfg: it is not executable")])
def test_what_cannot_be_launched(ranks: int, command: list[str], hostfile: str | None,
                                 complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        launch(ranks, command, os.environ, hostfile)


STUBBORN = """
import os, pathlib, signal, sys, time
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
pathlib.Path(sys.argv[1], str(os.getpid())).touch()
time.sleep(60)
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"  # a zombie has ended
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_launch_leaves_no_rank_behind(tmp_path: Path, number: signal.Signals) -> None:
    program, pids = tmp_path / "stubborn.py", tmp_path / "pids"
    program.write_text(STUBBORN)
    pids.mkdir()
    start = ("import os, sys; from minipar.launcher import launch; launch.GRACE = 1.0\n"
             "raise SystemExit(launch.launch(2, sys.argv[1:], os.environ))")
    line = [sys.executable, "-c", start, str(program), str(pids)]
    job = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 30
    while len(list(pids.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    ranks = [int(path.name) for path in pids.iterdir()]
    assert len(ranks) == 2 and all(alive(pid) for pid in ranks)     # so the check sees a rank that lives
    begin = time.monotonic()
    job.send_signal(number)
    printed, _ = job.communicate(timeout=30)
    while any(alive(pid) for pid in ranks) and time.monotonic() < begin + 10:
        time.sleep(0.05)
    assert job.returncode == 128 + number, printed
    assert not any(alive(pid) for pid in ranks) and b"Traceback" not in printed
    assert time.monotonic() - begin < 10
