"""Programs under mpirun that end as they should."""

import sys
from pathlib import Path

import pytest

from tests.ranks import mpirun

START = "import sys, time\nfrom minipar.comm.start import job\n"
HEAD = f"{START}with job() as comm:\n    comm.barrier(why='work')\n"
LATE = f"""{START}
from minipar.comm.mpi import MpiComm
settle = MpiComm.__init__
MpiComm.__init__ = lambda comm, *given: (settle(comm, *given), time.sleep(0.3 * comm.rank))[0]
with job(timeout=0.02): pass
"""


@pytest.mark.mpi
@pytest.mark.parametrize("code", [
    LATE,                                                           # the limit does not count for the start
    f"{HEAD}    if comm.rank: sys.exit(0)",                         # at its end: the other is not left waiting
    f"{HEAD}    time.sleep(0.3 * comm.rank)",                       # the first waits for the last
], ids=["late to begin", "exit", "late to end"])
def test_a_right_program_ends_silently(code: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(code + "\n")
    done = mpirun(3, [sys.executable, str(program)], limit=60)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.mpi
def test_what_was_printed_before_an_error_is_not_lost(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(HEAD + "    print('result', comm.rank)\n    if comm.rank == 1: raise ValueError('late')\n"
                              "    comm.barrier(why='never')\n")
    done = mpirun(2, [sys.executable, str(program)], limit=60)
    assert done.returncode == 1 and "result 1" in done.stdout and done.stdout.count("ValueError: late") == 1
