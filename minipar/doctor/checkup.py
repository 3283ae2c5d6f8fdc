"""Checks the machine step by step. A step is skipped if an earlier failure makes it impossible."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from minipar import __version__
from minipar.comm.backoff import cores
from minipar.comm.children import isolated, isolated_code
from minipar.comm.held_signals import child_process
from minipar.doctor.findings import HealthFinding
from minipar.doctor.remedies import CHOICES, OTHER_MPI, PIP, START_OVER, import_failure, job_failure
from minipar.doctor.smoke import Answer
from minipar.launcher.launch import (
    BLAS_THREADS,
    GRACE,
    Launcher,
    find_launcher,
    job_ender,
    launch_command,
    launcher_folders,
    rank_environment,
)
from minipar.plan.collective_times import Links, ring_all_reduce, tree_all_reduce

# a function of the number of ranks and a command; it returns the command line that starts the ranks
CommandLine = Callable[[int, list[str]], list[str]]
LIMIT = 60.0                                                        # timeout of one job in seconds
RACERS = 4  # number of ranks for the comparison of ring and tree
# This program runs in another process: the import of MPI starts MPI, and a wrong library may crash the
# process.
_PROBE = """
import json, mpi4py
from mpi4py import MPI
print(json.dumps([mpi4py.__version__, MPI.get_vendor()[0], ".".join(map(str, MPI.get_vendor()[1]))]))
"""


@dataclass
class Host:
    """The machine to check. environ: the environment variables. folders: the folders to search for a
    launcher, in the form of a PATH. cores: the number of cores.
    """

    environ: Mapping[str, str]
    folders: str
    cores: int

    @classmethod
    def here(cls, environ: Mapping[str, str]) -> Host:
        return cls(environ, launcher_folders(environ), cores())


def check_up(machine: Host) -> Iterator[HealthFinding]:
    """Yields the findings one by one. A check that needs a broken part is skipped."""
    versions = f"minipar {__version__}, numpy {np.__version__}"
    yield HealthFinding("Python", "ok", f"{platform.python_version()} at {sys.executable}, {versions}")
    yield blas(machine)
    library = find_library(machine)
    yield library
    launcher = find_launcher(machine.folders)
    if launcher is None:
        yield HealthFinding("launcher", "broken", "no mpiexec or mpirun beside this Python or on the PATH",
                            f"{PIP} install mpich")
    elif library.status == "broken" or fits(launcher, library):
        yield HealthFinding("launcher", "ok", f"{launcher.path}, {launcher.kind}")
    else:
        yield HealthFinding("launcher", "broken", f"{launcher.path} is {launcher.kind}'s: {OTHER_MPI}",
                            mend_mismatch(machine))
    if launcher is not None and library.status != "broken":
        yield from check_jobs(machine, launcher)


def fits(launcher: Launcher, library: HealthFinding) -> bool:
    """Returns whether launcher and library belong together: both are of Open MPI, or neither is. All other
    MPIs descend from MPICH.
    """
    return launcher.kind == "unknown" or (launcher.kind == "Open MPI") == ("Open MPI" in library.text)


def blas(machine: Host) -> HealthFinding:
    """Returns the finding about BLAS threads: whether the threads of two ranks would need more cores than
    there are.
    """
    name = np.show_config(mode="dicts")["Build Dependencies"]["blas"].get("name", "unknown")
    chosen = next((machine.environ[variable] for variable in BLAS_THREADS
                   if machine.environ.get(variable, "").isdigit()), None)
    threads = int(chosen) if chosen else machine.cores
    text = (
        f"{machine.cores} cores, BLAS is {name}, {threads} BLAS thread{'s' * (threads > 1)} in each process"
    )
    if threads == 1 or 2 * threads <= machine.cores:
        return HealthFinding("cores", "ok", text)
    return HealthFinding("cores", "note",
                         f"{text}: two ranks under a plain mpirun would run {2 * threads} threads",
                         "minipar launch -n 2 COMMAND, or export "
                         + " ".join(f"{variable}=1" for variable in BLAS_THREADS[:3]))


def find_library(machine: Host) -> HealthFinding:
    """Returns the finding about the MPI library that mpi4py loads."""
    with child_process(isolated_code(_PROBE), _await_probe, env=dict(machine.environ), start_new_session=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       encoding="utf-8", errors="backslashreplace") as probe:
        out, err = probe.communicate()
    if probe.returncode:
        killed = f"killed: {signal.strsignal(-probe.returncode)}" if probe.returncode < 0 else ""
        return import_failure(f"{err}\n{killed}", machine.environ)
    version, vendor, release = json.loads(out)
    return HealthFinding("mpi4py", "ok", f"{version}, on {vendor} {release}")


def _await_probe(probe: subprocess.Popen[str]) -> None:
    """Wait until the probe has ended, but at most GRACE seconds. MPI removes its shared memory only if its
    start and its end are complete.
    """
    try:
        probe.communicate(timeout=GRACE)
    except subprocess.TimeoutExpired:
        probe.kill()
        probe.communicate()


def mend_mismatch(machine: Host) -> str:
    chosen = [variable for variable in CHOICES if variable in machine.environ]
    return f"unset {' '.join(chosen)}" if chosen else START_OVER


def check_jobs(machine: Host, launcher: Launcher) -> Iterator[HealthFinding]:
    """Start ranks with a plain mpirun, and with the flags of `minipar launch`. Only a failure of the second
    way means that ranks do not run.
    """
    def plain(ranks: int, command: list[str]) -> list[str]:
        return [launcher.path, "-n", str(ranks), *command]

    def ours(ranks: int, command: list[str]) -> list[str]:
        return launch_command(launcher, ranks, command, root=os.geteuid() == 0)

    fixed = run_job(machine, "minipar launch", ours, 2, "links") if launcher.kind != "unknown" else None
    typed = run_job(machine, "mpirun", plain, machine.cores + 1, "hello")
    if isinstance(typed, HealthFinding):
        yield (
            typed
            if fixed is None or isinstance(fixed, HealthFinding)
            else HealthFinding("mpirun", "note", typed.text, typed.remedy)
        )
    else:
        yield HealthFinding("mpirun", "ok",
                            f"a plain mpirun starts {machine.cores + 1} ranks on {machine.cores} cores")
    if isinstance(fixed, HealthFinding):
        yield fixed
    elif fixed is not None:
        yield HealthFinding("minipar launch", "ok", "2 ranks exchange messages")
        yield from tell_links(fixed)
        yield from check_crossing(machine, ours, fixed)


def run_job(machine: Host, name: str, line: CommandLine, ranks: int, task: str) -> HealthFinding | Answer:
    """Run a job. Returns the answer that rank 0 printed, or a finding about the failure of the job."""
    command = line(ranks, isolated("minipar.doctor.smoke", task))
    # the job has its own session, so Ctrl-C and a signal to this process do not reach it
    end = job_ender()
    with child_process(command, end, env=rank_environment(machine.environ), start_new_session=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       encoding="utf-8", errors="backslashreplace") as job:
        try:
            out, err = job.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            end(job)
            return HealthFinding(name, "broken", f"a job of {ranks} ranks did not end within {LIMIT:g} s",
                                 " ".join(command))
    answers: list[Answer] = [json.loads(row) for row in out.splitlines() if row.startswith('{"size"')]
    if any(answer["size"] != ranks for answer in answers):
        return HealthFinding(name, "broken", OTHER_MPI, mend_mismatch(machine))
    if job.returncode or not answers:
        return job_failure(name, err + out, ranks)
    return answers[0]


def measured_links(host: Host) -> Answer | None:
    """Returns alpha, beta and gamma (see `measure_links`) of this machine; None if no job can be started."""
    launcher = find_launcher(host.folders)
    if launcher is None or find_library(host).status == "broken":
        return None
    found = run_job(host, "links", lambda ranks, command: launch_command(launcher, ranks, command,
                                                                         root=os.geteuid() == 0), 2, "links")
    return None if isinstance(found, HealthFinding) else found


def tell_links(links: Answer) -> Iterator[HealthFinding]:
    yield HealthFinding("links", "ok",
                        f"alpha {links['alpha'] * 1e6:.2f} us per message, beta {links['beta'] * 1e9:.3f} ns "
                        f"per byte ({1e-9 / links['beta']:.1f} GB/s), between two ranks on this machine")


def check_crossing(machine: Host, line: CommandLine, links: Answer) -> Iterator[HealthFinding]:
    """Yields the finding about the size from which the ring is faster than the tree. The cost model predicts
    this size. If there are enough cores, the size is also measured.
    """
    size = crossing(Links(links["alpha"], links["beta"], links["gamma"]))
    predicted = (
        f"an all-reduce on {RACERS} ranks: by the cost model, the ring is faster than the tree from "
        f"{human(size)} on"
    )
    if machine.cores < RACERS:
        yield HealthFinding("ring or tree", "ok",
                            f"{predicted}; not measured, as {RACERS} ranks would share {machine.cores} cores")
        return
    raced = run_job(machine, "ring or tree", line, RACERS, "crossing")
    if isinstance(raced, HealthFinding):
        yield raced
    else:
        measured = (
            "never, up to 2 MiB" if raced["crossing"] is None else f"from {human(raced['crossing'])} on"
        )
        yield HealthFinding("ring or tree", "ok", f"{predicted}; measured, {measured}")


def crossing(links: Links) -> float:
    """Returns the number of bytes at which ring and tree take equal times. Both times are linear functions of
    the number n of bytes, so the two lines cross once. Example: the ring's 6 + 2 n and the tree's 4 + 4 n are
    equal at n = (6 - 4) / (4 - 2) = 1.
    """
    ring, tree = ([float(time(RACERS, nbytes, links)) for nbytes in (0, 1)]
                  for time in (ring_all_reduce, tree_all_reduce))
    return (ring[0] - tree[0]) / ((tree[1] - tree[0]) - (ring[1] - ring[0]))


def human(nbytes: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if nbytes < 1024 or unit == "MiB":
            break
        nbytes /= 1024
    return f"{nbytes:.3g} {unit}"
