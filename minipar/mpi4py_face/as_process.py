"""Runs a program on a rank that is a process: one of several under mpirun, or the only one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from minipar.comm.protocol import Communicator
from minipar.mpi4py_face.one_rank import Books, rank_of_program
from minipar.mpi4py_face.options import RunOptions
from minipar.mpi4py_face.output import Processes
from minipar.mpi4py_face.package import install
from minipar.mpi4py_face.program import UserProgram


@contextmanager
def as_main(program: UserProgram) -> Iterator[None]:
    """A context with the sys.argv, the sys.path and the `__main__` module that `python program.py` has.
    """
    before = sys.argv, sys.path[:], sys.modules["__main__"]
    sys.argv, sys.path[0:0] = program.argv, [program.folder]
    sys.modules["__main__"] = program.main()
    try:
        yield
    finally:
        sys.argv, sys.path[:], sys.modules["__main__"] = before


def run_as_process(program: UserProgram, comm: Communicator, options: RunOptions) -> Books:
    """Run the program on this rank. If the program raises an exception, the job ends all ranks.

    With --unchecked and no other option, the program uses the real mpi4py if this rank runs under MPI.
    """
    books = Books()
    if options.plain and comm.native is not None:
        with as_main(program):
            exec(program.code, vars(sys.modules["__main__"]))
        return books
    install()
    stream = sys.stdout = Processes(sys.stdout, comm.rank, options.label)
    with as_main(program), rank_of_program(comm, options, books):
        try:
            exec(program.code, vars(sys.modules["__main__"]))
        finally:
            stream.end(comm.rank)
    return books
