"""Programs under mpirun that end as they should."""

import sys
from pathlib import Path

import pytest

from tests.ranks import mpirun

HEAD = "import sys\nfrom minipar.comm.start import job\nwith job() as comm:\n    comm.barrier(why='work')\n"


@pytest.mark.mpi
@pytest.mark.parametrize("rest", [
    "    pass",
    "    if comm.rank == 1: sys.exit(0)",                            # at its end: the others are not left waiting
    "    sys.exit()",
    "    import time; time.sleep(0.5 * comm.rank)",                  # the first waits for the last
])
def test_a_right_program_ends_silently(rest: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(HEAD + rest + "\n")
    done = mpirun(3, [sys.executable, str(program)], limit=60)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.mpi
def test_what_was_printed_before_an_error_is_not_lost(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(HEAD + "    print('result', comm.rank)\n    if comm.rank == 1: raise ValueError('late')\n"
                              "    comm.barrier(why='never')\n")
    done = mpirun(2, [sys.executable, str(program)], limit=60)
    assert done.returncode == 1 and "result 1" in done.stdout and done.stdout.count("ValueError: late") == 1
