"""A program may catch the error of a wait, but a loop that catches each one and waits again must end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.errors import CommError
from tests.ranks import mpirun
from tests.refusals import refused

Kinds = type[BaseException]


def receives(comm: Communicator) -> None:
    comm.recv(np.zeros(2), (comm.rank + 1) % comm.size)


def meets_on_rank_0(comm: Communicator) -> None:
    if comm.rank == 0:
        comm.barrier()


def polls(comm: Communicator) -> None:
    request = comm.irecv(np.zeros(2), (comm.rank + 1) % comm.size)
    while not comm.test(request):
        time.sleep(0.001)


@pytest.mark.parametrize("waits, caught", [(receives, Exception), (receives, BaseException),
                                           (meets_on_rank_0, Exception), (polls, Exception)])
def test_a_loop_that_catches_every_error_ends(waits: Callable[[Communicator], None], caught: Kinds) -> None:
    ended: list[float] = []                                         # else a rank would go on after the test

    def body(comm: Communicator) -> None:
        while not ended:
            with suppress(caught):
                waits(comm)
            if waits is meets_on_rank_0 and comm.rank:
                return

    start = time.monotonic()
    with refused(CommError, "test_caught_errors.py", "waits again"):
        run(2, body, timeout=0.3)
    ended.append(time.monotonic() - start)
    assert ended[0] < 20


def test_a_program_may_catch_some_errors() -> None:
    def body(comm: Communicator) -> int:
        caught = 0
        for _ in range(5):
            try:
                receives(comm)
            except Exception:
                caught += 1
                time.sleep(0.1)
        return caught

    assert run(2, body, timeout=0.3) == [5, 5]


@pytest.mark.mpi
def test_a_loop_that_catches_every_error_ends_under_mpirun(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("""import os
os.environ["MINIPAR_TIMEOUT"] = "1"
import numpy as np
import minipar as mp
with mp.job() as comm:
    while True:
        try:
            comm.recv(np.zeros(2), 1 - comm.rank)
        except BaseException:
            pass
""")
    done = mpirun(2, [sys.executable, str(program)], limit=60)
    lines: list[Any] = [line for line in done.stdout.splitlines() if "CommError" in line]
    assert done.returncode == 2 and len(lines) == 1 and "program.py:8" in lines[0]
